"""Signing in: one answer for every failure, slower for every guess, a new session for every success."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hikeshi_desk.accounts import attempts, passwords, totp
from hikeshi_desk.accounts.models import Attempts, Role, User
from hikeshi_desk.audit.models import Entry

PASSWORD = "a long enough passphrase"
SIGN_IN, SECOND, DESK = reverse("accounts:sign-in"), reverse("accounts:second-step"), "/desk/"
pytestmark = pytest.mark.django_db


def _try(client: Client, email: str, password: str = PASSWORD, **more):
    return client.post(SIGN_IN, {"email": email, "password": password, **more})


def _is_in(client: Client) -> bool:
    return client.get(reverse("accounts:me")).status_code in (200, 302) and "_auth_user_id" in client.session


def _later(monkeypatch, delta: timedelta) -> None:
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + delta)


def _with_app(user: User) -> bytes:
    factor = totp.begin(user)
    secret = totp.secret_of(factor)
    assert totp.confirm(user, totp.code_at(secret, int(time.time()) // 30 - 1))
    return secret


def _code(secret: bytes) -> str:
    return totp.code_at(secret, int(time.time()) // 30)


def _bare(content: bytes, email: str) -> str:
    text = re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", content.decode())
    return text.replace(email, "")


def test_a_right_password_opens_the_desk_with_a_new_session(client, make_person):
    user = make_person(email="taro@example.jp")
    client.get(SIGN_IN)
    session = client.session
    session["planted"] = True
    session.save()
    before = session.session_key
    client.cookies[settings.SESSION_COOKIE_NAME] = before
    answer = _try(client, "taro@example.jp")
    assert (answer.status_code, answer.url) == (302, DESK)
    assert client.session["_auth_user_id"] == str(user.pk)
    assert client.session.session_key != before
    assert "planted" not in client.session
    assert not Session.objects.filter(session_key=before).exists()
    assert Entry.objects.filter(act="sign_in", actor=str(user.pk)).count() == 1


@pytest.mark.parametrize("spelling", ["TARO@Example.JP", "ｔａｒｏ＠ｅｘａｍｐｌｅ．ｊｐ", "  taro@example.jp ", "taro@example.ﬁ"])
def test_spelling_variants_are_one_name(client, make_person, spelling):
    make_person(email="taro@example.fi" if "ﬁ" in spelling else "taro@example.jp")
    assert _try(client, spelling).status_code == 302


def test_every_failure_has_the_same_bytes(make_person):
    make_person(email="known@example.jp")
    make_person(email="goner@example.jp", is_active=False)
    make_person(email="invit@example.jp", password="!")
    pages = set()
    for email, password in [("known@example.jp", "wrong"), ("nobdy@example.jp", PASSWORD), ("goner@example.jp", PASSWORD),
                            ("invit@example.jp", PASSWORD), ("invit@example.jp", "!")]:
        answer = _try(Client(), email, password)
        pages.add((answer.status_code, _bare(answer.content, email), str(sorted(answer.headers.items()))))
    for _ in range(attempts.PER_ACCOUNT):
        waiting = _try(Client(), "known@example.jp", "wrong")
    assert _try(Client(), "known@example.jp").status_code == 200, "the right password has to wait as well"
    pages.add((waiting.status_code, _bare(waiting.content, "known@example.jp"), str(sorted(waiting.headers.items()))))
    assert len(pages) == 1


def test_every_attempt_costs_exactly_one_hash(client, make_person, monkeypatch):
    make_person(email="known@example.jp")
    make_person(email="goner@example.jp", is_active=False)
    make_person(email="invit@example.jp", password="!")
    calls, check = [], passwords.check_password
    monkeypatch.setattr(passwords, "check_password", lambda *given: calls.append(given) or check(*given))
    passwords._nobodys()
    for email in ("known", "goner", "invit", "nobdy"):
        calls.clear()
        assert passwords.user_with(f"{email}@example.jp", "wrong") is None
        assert [encoded.split("$")[0] for _, encoded in calls] == ["argon2"]


def test_guessing_stops_in_every_spelling_and_waits_longer_each_time(make_person, monkeypatch):
    make_person(email="taro@example.jp")
    spellings = ["taro@example.jp", "TARO@example.jp", "ｔaro@example.jp", " taro@EXAMPLE.jp", "tａro@example.jp"]
    for spelling in spellings:
        assert _try(Client(), spelling, "wrong").status_code == 200
    assert _try(Client(), "taro@example.jp").status_code == 200
    _later(monkeypatch, timedelta(seconds=61))
    assert _try(Client(), "taro@example.jp", "wrong").status_code == 200
    _later(monkeypatch, timedelta(seconds=61))
    assert _try(Client(), "taro@example.jp").status_code == 200, "the second wait is longer than the first"
    _later(monkeypatch, timedelta(seconds=61))
    assert _try(Client(), "taro@example.jp").status_code == 302


def test_a_changed_forwarded_address_or_method_gives_no_more_guesses(make_person):
    make_person(email="taro@example.jp")
    for index in range(attempts.PER_ACCOUNT):
        client = Client(headers={"X-Forwarded-For": f"192.0.2.{index}", "User-Agent": str(index)})
        assert _try(client, "taro@example.jp", "wrong").status_code == 200
    client = Client(headers={"X-Forwarded-For": "198.51.100.1"})
    assert _try(client, "taro@example.jp").status_code == 200
    for method in (client.put, client.patch, client.delete):
        assert method(SIGN_IN, {"email": "taro@example.jp", "password": PASSWORD}).status_code == 405


def test_a_browser_that_signed_in_before_is_not_locked_out_by_strangers(make_person):
    make_person(email="taro@example.jp")
    mine = Client()
    assert _try(mine, "taro@example.jp").status_code == 302
    mine.post(reverse("accounts:sign-out"))
    for _ in range(attempts.PER_ACCOUNT + 1):
        _try(Client(), "taro@example.jp", "wrong")
    assert _try(Client(), "taro@example.jp").status_code == 200
    assert _try(mine, "taro@example.jp").status_code == 302


def test_a_known_browser_is_counted_too_and_its_mark_is_for_one_account(make_person):
    make_person(email="taro@example.jp")
    make_person(email="hanako@example.jp")
    mine = Client()
    _try(mine, "taro@example.jp")
    mine.post(reverse("accounts:sign-out"))
    for _ in range(attempts.PER_ACCOUNT):
        assert _try(mine, "taro@example.jp", "wrong").status_code == 200
    assert _try(mine, "taro@example.jp").status_code == 200
    for _ in range(attempts.PER_ACCOUNT):
        _try(mine, "hanako@example.jp", "wrong")
    assert _try(Client(), "hanako@example.jp").status_code == 200


def test_many_names_together_are_stopped(make_person, monkeypatch):
    monkeypatch.setattr(attempts, "TOGETHER", 3)
    make_person(email="taro@example.jp")
    for index in range(3):
        _try(Client(), f"name{index}@example.jp", "wrong")
    assert _try(Client(), "taro@example.jp").status_code == 200
    _later(monkeypatch, timedelta(minutes=11))
    assert _try(Client(), "taro@example.jp").status_code == 302


def test_no_name_that_was_tried_is_kept(make_person):
    _try(Client(), "secret-name@example.jp", "secret-password")
    kept = str(list(Attempts.objects.values())) + str(list(Entry.objects.values()))
    assert "secret" not in kept
    assert "127.0.0.1" not in kept


def test_the_second_step_is_needed_and_each_code_opens_once(make_person):
    user = make_person(email="taro@example.jp")
    secret = _with_app(user)
    client = Client()
    assert _try(client, "taro@example.jp").url == SECOND
    assert not _is_in(client)
    code = _code(secret)
    assert client.post(SECOND, {"code": code}).url == DESK
    assert client.session["second_factor"] == "totp"
    again = Client()
    _try(again, "taro@example.jp")
    assert again.post(SECOND, {"code": code}).status_code == 200
    assert not _is_in(again)


def test_the_second_step_without_the_first_leads_back(client):
    assert client.post(SECOND, {"code": "123456"}).url == SIGN_IN


def test_the_second_step_ends_after_five_minutes(make_person, monkeypatch):
    secret = _with_app(make_person(email="taro@example.jp"))
    client = Client()
    _try(client, "taro@example.jp")
    _later(monkeypatch, timedelta(minutes=6))
    assert client.post(SECOND, {"code": _code(secret)}).url == SIGN_IN


def test_guessing_codes_stops_and_a_right_password_gives_no_new_guesses(make_person):
    user = make_person(email="taro@example.jp")
    secret = _with_app(user)
    guesses = 0
    for _ in range(4):
        client = Client()
        if _try(client, "taro@example.jp").status_code != 302:
            break
        for _ in range(3):
            client.post(SECOND, {"code": "000000"})
            guesses += 1
    assert guesses <= attempts.PER_ACCOUNT + 1
    assert client.post(SECOND, {"code": _code(secret)}).status_code in (200, 302)
    assert not _is_in(client)


def test_a_recovery_code_opens_once(make_person):
    user = make_person(email="taro@example.jp")
    _with_app(user)
    codes = totp.new_recovery_codes(user)
    for expected in (DESK, None):
        client = Client()
        _try(client, "taro@example.jp")
        answer = client.post(SECOND, {"code": codes[0].lower().replace("-", " ")})
        assert getattr(answer, "url", None) == expected


@pytest.mark.parametrize("target, lands", [
    ("/desk/account/", "/desk/account/"), ("//evil.example/desk/", DESK), ("https://evil.example/", DESK),
    ("/desk/\\evil.example", "/desk/\\evil.example"), ("/elsewhere/", DESK), ("javascript:alert(1)", DESK),
    ("/desk//evil", "/desk//evil"), ("\n/desk/", DESK),
])
def test_afterwards_only_pages_of_the_desk_are_reached(client, make_person, target, lands):
    make_person(email="taro@example.jp")
    answer = _try(client, "taro@example.jp", next=target)
    assert answer.status_code == 302
    assert answer.url.replace("%5C", "\\") == lands


def test_signing_out_ends_the_session_on_the_server(client, make_person):
    make_person(email="taro@example.jp")
    _try(client, "taro@example.jp")
    stolen = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert client.get(reverse("accounts:sign-out")).status_code == 405
    client.post(reverse("accounts:sign-out"))
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = stolen
    assert thief.get(reverse("accounts:me")).status_code == 302


@pytest.mark.parametrize("delta, stays", [(timedelta(hours=1), True), (timedelta(hours=3), False),
                                          (timedelta(days=-2), False)])
def test_a_session_ends_when_idle_or_when_the_clock_goes_back(client, make_person, monkeypatch, delta, stays):
    make_person(email="taro@example.jp")
    _try(client, "taro@example.jp")
    _later(monkeypatch, delta)
    assert (client.get(reverse("accounts:me")).status_code == 200) is stays


def test_a_session_ends_after_twelve_hours_of_work(client, make_person, monkeypatch):
    make_person(email="taro@example.jp")
    _try(client, "taro@example.jp")
    for _ in range(11):
        _later(monkeypatch, timedelta(minutes=65))
        assert client.get(reverse("accounts:me")).status_code == 200
    _later(monkeypatch, timedelta(minutes=65))
    assert client.get(reverse("accounts:me")).status_code == 302


def test_people_of_the_desk_need_a_second_factor_where_it_is_required(client, make_person, settings):
    settings.SECOND_FACTOR = "required"
    user = make_person(Role.HANDLER, email="taro@example.jp")
    _try(client, "taro@example.jp")
    set_up = reverse("accounts:second-factor")
    assert client.get(reverse("accounts:me")).url == set_up
    assert client.get(set_up).status_code == 200
    client.post(set_up)
    assert client.get(reverse("accounts:second-factor-picture")).headers["Content-Type"] == "image/svg+xml"
    assert client.post(set_up, {"code": "000000"}).status_code == 200
    secret = totp.secret_of(totp.waiting(user))
    page = client.post(set_up, {"code": _code(secret)})
    assert len(re.findall(rb"<code>[0-9A-Z-]{19}</code>", page.content)) == 10
    assert client.get(reverse("accounts:me")).status_code == 200
    assert client.get(reverse("accounts:second-factor-picture")).status_code == 404, "the secret is not shown again"
    partner = Client()
    make_person(Role.PARTNER, email="partner@example.jp")
    _try(partner, "partner@example.jp")
    assert partner.get(reverse("accounts:me")).status_code == 200

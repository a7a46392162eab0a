"""Guessing is stopped for every factor, whatever the guesser changes: spelling, address, method, clock."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from two_worlds import World, bare

from hikeshi_desk.accounts import attempts, outbox, totp
from hikeshi_desk.accounts.models import Membership, Organisation, Passkey, Role, User
from hikeshi_desk.consult import throttle

PASSWORD = "a long enough passphrase"
SIGN_IN, SECOND = reverse("accounts:sign-in"), reverse("accounts:second-step")
pytestmark = pytest.mark.django_db
SPELLINGS = ["taro@example.jp", "TARO@example.jp", "ｔaro@example.jp", " taro@EXAMPLE.jp", "tａro@example.jp", "Taro@ｅxample.jp"]


@pytest.fixture
def taro(db) -> User:
    desk = Organisation.objects.create(name="窓口", is_desk=True)
    user = User.objects.create(email="taro@example.jp", name="太郎", password=make_password(PASSWORD))
    Membership.objects.create(user=user, organisation=desk, role=Role.HANDLER)
    return user


def _stranger(number: int) -> Client:
    """Another browser, another claimed address each time."""
    return Client(REMOTE_ADDR=f"192.0.2.{number % 250}", headers={
        "X-Forwarded-For": f"198.51.100.{number % 250}", "X-Real-IP": f"203.0.113.{number % 250}", "Forwarded": f"for=10.0.0.{number % 250}",
        "User-Agent": f"agent {number}", "Host": "localhost"})


def _is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def _app(user: User) -> bytes:
    totp.begin(user)
    secret = totp.secret_of(totp.waiting(user))
    assert totp.confirm(user, totp.code_at(secret, int(time.time()) // 30 - 1))
    return secret


def _half(client: Client, user: User) -> None:
    """As the sign-in leaves it after a right password."""
    session = client.session
    session["half_way"] = {"user": str(user.pk), "at": timezone.now().timestamp(), "next": ""}
    session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key


def _by_password(taro: User) -> tuple[Callable[[int], None], Callable[[], bool]]:
    def wrong(number: int) -> None:
        _stranger(number).post(SIGN_IN, {"email": SPELLINGS[number % len(SPELLINGS)], "password": f"wrong {number}"})

    def right() -> bool:
        client = _stranger(99)
        client.post(SIGN_IN, {"email": "taro@example.jp", "password": PASSWORD})
        return _is_in(client)
    return wrong, right


def _by_code(taro: User, code: Callable[[], str]) -> tuple[Callable[[int], None], Callable[[], bool]]:
    def send(number: int, given: str) -> Client:
        client = _stranger(number)
        _half(client, taro)
        client.post(SECOND, {"code": given})
        return client
    return (lambda number: bool(send(number, f"{number:06d}"))), (lambda: _is_in(send(99, code())))


def _factors(taro: User) -> dict[str, tuple[Callable[[int], Any], Callable[[], bool]]]:
    secret = _app(taro)
    recovery = totp.new_recovery_codes(taro)[0]
    return {"totp": _by_code(taro, lambda: totp.code_at(secret, int(time.time()) // 30)), "recovery": _by_code(taro, lambda: recovery)}


def _passkey_try(number: int, taro: User) -> None:
    key, _ = Passkey.objects.get_or_create(user=taro, key_id="eHh4eHh4eHh4eHh4eHh4eA", defaults={
        "name": "x", "rp_id": "localhost", "credential": b"x"})
    client = _stranger(number)
    client.post(reverse("accounts:passkey-ask", args=["alone"]))
    answer = {"id": key.key_id, "rawId": key.key_id, "type": "public-key", "response": {
        "clientDataJSON": "e30", "authenticatorData": "AAAA", "signature": "AAAA"}}
    client.post(reverse("accounts:sign-in-passkey"), {"passkey": json.dumps(answer)})
    assert not _is_in(client)


@pytest.mark.parametrize("factor", ["password", "totp", "recovery"])
@pytest.mark.parametrize("clock", [timedelta(0), timedelta(days=-1), timedelta(days=-400), timedelta(minutes=-61)])
def test_a_right_answer_waits_after_wrong_ones_also_when_the_clock_goes_back(taro, monkeypatch, factor, clock):
    wrong, right = _by_password(taro) if factor == "password" else _factors(taro)[factor]
    for number in range(attempts.PER_ACCOUNT):
        wrong(number)
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + clock)
    if clock <= timedelta(days=-1):
        # A wait longer than any we set is a clock's mistake; nobody is locked out for days, and guesses still count.
        for number in range(2 * attempts.PER_ACCOUNT):
            wrong(number)
    assert not right()


@pytest.mark.parametrize("factor", ["password", "totp", "recovery"])
def test_the_same_answer_without_wrong_ones_before_is_let_in(taro, factor):
    _, right = _by_password(taro) if factor == "password" else _factors(taro)[factor]
    assert right()


def test_tries_of_one_factor_count_for_every_other(taro):
    _, right = _by_password(taro)
    for number in range(attempts.PER_ACCOUNT):
        _passkey_try(number, taro)
    assert not right()


def test_no_other_method_opens_a_way_around(taro):
    for path, sent in ((SIGN_IN, {"email": "taro@example.jp", "password": PASSWORD}), (SECOND, {"code": "000000"}),
                       (reverse("accounts:sign-in-passkey"), {"passkey": "{}"}), (reverse("consult:code"), {"code": "x"})):
        for method in ("put", "patch", "delete", "options", "trace"):
            client = Client()
            assert getattr(client, method)(path, sent if method != "trace" else None).status_code == 405
            assert not _is_in(client)
        client = Client()
        client.post(path, sent, headers={"X-HTTP-Method-Override": "GET"})
        assert client.get(path, sent).status_code in (200, 302, 405)
        got = Client()
        got.get(path, sent)
        assert not _is_in(got), "nothing is taken from an address"


def test_receipt_codes_are_stopped_by_their_first_group_in_every_spelling(world: World):
    group, rest = world.b_code[:4], world.b_code[4:]
    shape = "".join("0" if sign.isalnum() else sign for sign in rest[:-4])  # groups as in a real code, all wrong
    for number in range(throttle.MOST_OF_PREFIX):
        spelling = [group, group.lower(), f" {group}", "".join(chr(ord(sign) + 0xFEE0) for sign in group)][number % 4]
        assert _stranger(number).post(reverse("consult:code"), {"code": f"{spelling}{shape}{number:04d}"}).status_code == 422
    answer = _stranger(99).post(reverse("consult:code"), {"code": world.b_code})
    assert answer.status_code == 429


def test_what_exists_and_what_does_not_get_the_same_bytes(taro, world: World, monkeypatch):
    """Sign-in, forgotten password, invitation, receipt code: an existing name, token or code changes nothing."""
    monkeypatch.setattr(outbox, "_send", lambda *mail: None)
    monkeypatch.setattr(outbox, "_is_ready", lambda: True)

    def pages(path: str, sent: list[dict[str, str]]) -> set[str]:
        found = set()
        for one in sent:
            text = str(bare(Client().post(path, one)))
            for value in filter(None, one.values()):
                text = text.replace(value, "?")
            found.add(text)
        return found

    assert len(pages(SIGN_IN, [{"email": "taro@example.jp", "password": "wrong"}, {"email": "none@example.jp", "password": "wrong"}])) == 1
    assert len(pages(reverse("accounts:forgotten"), [{"email": "taro@example.jp"}, {"email": "none@example.jp"}])) == 1
    wrong = world.b_code[:-1] + ("A" if world.b_code[-1] != "A" else "B")
    assert len(pages(reverse("consult:code"), [{"code": wrong}, {"code": "ZZZZ-ZZZZ-ZZZZ"}, {"code": ""}])) == 1
    from hikeshi_desk.accounts import links

    token = links.make_link(links.Purpose.INVITE, taro).split("/")[-2]
    links.make_link(links.Purpose.INVITE, taro)  # the first one is used up by the second
    answers = {str(bare(getattr(Client(), method)(reverse("accounts:link", args=[one])))) for method in ("get", "post")
               for one in (token, "x" * 43, token[:-1] + "_")}
    assert len(answers) == 1


def test_an_unknown_passkey_and_a_known_one_get_the_same_page(taro):
    found = set()
    for known in (True, False):
        client = Client(headers={"Host": "localhost"})
        if known:
            Passkey.objects.create(user=taro, name="x", rp_id="localhost", key_id="eHh4eHh4eHh4eHh4eHh4eA", credential=b"x")
        else:
            Passkey.objects.all().delete()
        client.post(reverse("accounts:passkey-ask", args=["alone"]))
        answer = {"id": "eHh4eHh4eHh4eHh4eHh4eA", "rawId": "eHh4eHh4eHh4eHh4eHh4eA", "type": "public-key", "response": {
            "clientDataJSON": "e30", "authenticatorData": "AAAA", "signature": "AAAA"}}
        page = client.post(reverse("accounts:sign-in-passkey"), {"passkey": json.dumps(answer)})
        found.add(re.sub(r"value='[^']*'", "", str(bare(page))))
    assert len(found) == 1

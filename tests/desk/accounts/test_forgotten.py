"""A forgotten password: one answer for every address, few mails, a link that works once."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from hikeshi_desk.accounts import forgotten, outbox
from hikeshi_desk.accounts.models import Attempts, OneTimeLink, User
from hikeshi_desk.audit.models import Entry

PAGE, SIGN_IN = reverse("accounts:forgotten"), reverse("accounts:sign-in")
NEW = "another long passphrase"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mails(monkeypatch) -> list[tuple[str, str, str]]:
    sent: list[tuple[str, str, str]] = []
    monkeypatch.setattr(outbox, "_send", lambda *mail: sent.append(mail))
    monkeypatch.setattr(outbox, "_is_ready", lambda: True)
    return sent


def _ask(email: str, **more):
    return Client(**more).post(PAGE, {"email": email})


def _work() -> None:
    call_command("db_worker", batch=True, interval=0.1, verbosity=0)


def _bare(answer) -> tuple[object, ...]:
    return (answer.status_code, answer.headers.get("Location"), re.sub(rb'name="csrfmiddlewaretoken" value="[^"]+"', b"", answer.content),
            sorted((name, value) for name, value in answer.headers.items()), sorted(answer.cookies))


def test_the_link_goes_to_the_person_s_own_address_and_works_once(mails, make_person, client):
    user = make_person(email="taro@example.jp")
    client.force_login(user)
    answer = _ask(" ＴＡＲＯ@example.jp ")
    assert "リンクを送りました" in Client().get(answer.url).content.decode()
    assert not mails, "the mail waits for the job, not the visitor for the mail"
    _work()
    [(to, subject, body)] = mails
    path = re.search(r"http://testserver(/desk/account/link/[\w-]+/)", body)[1]
    assert (to, subject) == ("taro@example.jp", "新しいパスワードの設定")
    assert Client().post(path, {"password": NEW, "again": NEW}).url == SIGN_IN
    assert Client().post(path, {"password": NEW, "again": NEW}).status_code == 404
    assert client.get(reverse("accounts:me")).status_code == 302, "every session ended"
    assert client.post(SIGN_IN, {"email": "taro@example.jp", "password": NEW}).status_code == 302
    assert Entry.objects.filter(act="password.link_mailed").count() == 1


def test_every_address_gets_the_same_bytes_and_the_same_work(mails, make_person):
    make_person(email="known@example.jp")
    make_person(email="goner@example.jp", is_active=False)
    make_person(email="invit@example.jp", password="!")
    _ask("first@example.jp")
    pages, work = set(), set()
    for email in ("known@example.jp", "goner@example.jp", "invit@example.jp", "nobdy@example.jp"):
        with CaptureQueriesContext(connection) as queries:
            pages.add(str(_bare(_ask(email))))
        work.add(tuple(re.sub(r"'[^']*'|\b[0-9a-f]{32,}\b|[0-9.:-]+", "?", query["sql"]) for query in queries))
    assert len(pages) == 1
    assert len(work) == 1, "not one statement more or less"
    _work()
    assert sorted(to for to, _, _ in mails) == ["invit@example.jp", "known@example.jp"]


def test_what_waits_for_the_job_is_unreadable_and_no_source_is_kept(mails, make_person):
    _ask("secret-name@example.jp", headers={"X-Forwarded-For": "198.51.100.7"}, REMOTE_ADDR="192.0.2.77")
    kept = str(list(DBTaskResult.objects.values())) + str(list(Attempts.objects.values())) + str(list(Entry.objects.values()))
    for secret in ("secret-name", "192.0.2.77", "198.51.100.7"):
        assert secret not in kept


def test_an_address_gets_few_mails_in_every_spelling_and_method(mails, make_person):
    make_person(email="taro@example.jp")
    spellings = ["taro@example.jp", "TARO@example.jp", "ｔaro@example.jp", " taro@EXAMPLE.jp", "tａro@example.jp"] * 3
    pages = {str(_bare(_ask(spelling, REMOTE_ADDR=f"192.0.2.{index}"))) for index, spelling in enumerate(spellings)}
    assert len(pages) == 1, "over the budget the answer is the same"
    _work()
    assert len(mails) == forgotten.PER_ADDRESS
    for method in (Client().put, Client().patch, Client().delete):
        assert method(PAGE, {"email": "taro@example.jp"}).status_code == 405


def test_a_source_has_a_budget_whatever_it_claims_to_be(mails, make_person):
    for index in range(forgotten.PER_SOURCE + 5):
        make_person(email=f"p{index}@example.jp")
        _ask(f"p{index}@example.jp", REMOTE_ADDR="192.0.2.1", headers={"X-Forwarded-For": f"198.51.100.{index}"})
    _ask("p0@example.jp", REMOTE_ADDR="192.0.2.2")
    for index in range(forgotten.PER_SOURCE + 5):  # one neighbourhood of IPv6 is one source
        _ask(f"p{index}@example.jp", REMOTE_ADDR=f"2001:db8:0:1::{index + 1:x}")
    _work()
    assert len(mails) == 2 * forgotten.PER_SOURCE + 1


def test_an_hour_later_the_budget_is_new_and_an_old_link_is_dead(mails, make_person, monkeypatch):
    make_person(email="taro@example.jp")
    for _ in range(forgotten.PER_ADDRESS + 1):
        _ask("taro@example.jp")
    _work()
    path = re.search(r"/desk/account/link/[\w-]+/", mails[-1][2])[0]
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(minutes=61))
    assert Client().get(path).status_code == 404
    _ask("taro@example.jp")
    _work()
    assert len(mails) == forgotten.PER_ADDRESS + 1


def test_a_job_that_waited_too_long_or_was_forged_sends_nothing(mails, make_person, monkeypatch):
    make_person(email="taro@example.jp")
    assert forgotten.unseal("gAAAA") is None and forgotten.unseal("") is None
    _ask("taro@example.jp")
    monkeypatch.setattr(forgotten, "WITHIN", timedelta(seconds=-1))
    _work()
    assert not mails and not OneTimeLink.objects.exists()


def test_without_mail_the_page_says_to_ask_a_lead_and_does_nothing(make_person, client):
    make_person(email="taro@example.jp")
    for answer in (client.get(PAGE), client.post(PAGE, {"email": "taro@example.jp"})):
        assert "責任者に、新しいリンクを頼んで" in answer.content.decode()
    assert not DBTaskResult.objects.exists() and not Attempts.objects.exists()


@pytest.mark.parametrize("email", ["", "x" * 255, "no address", "a\0b@example.jp", "a@b@c", "'; --", "\n\nBcc: x@example.jp"])
def test_odd_addresses_do_no_harm(mails, email):
    assert _ask(email).status_code in (200, 302)
    _work()
    assert not mails and not User.objects.exists()

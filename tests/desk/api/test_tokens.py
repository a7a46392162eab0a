"""Tokens: made with the second factor, shown once, dead with their person, seen by the lead."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.utils import timezone

from hikeshi_desk.accounts import people, totp
from hikeshi_desk.accounts.models import SecondFactor
from hikeshi_desk.api import tokens
from hikeshi_desk.api.models import Token
from hikeshi_desk.audit.models import Entry

PASSWORD = "a long enough passphrase"
WANTED = {"name": "本社UTM", "scopes": ["alerts:write"], "days": "90"}


def _signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _confirmed(client: Client, **given: str) -> Client:
    client.post("/desk/tokens/new/", given)
    return client


@pytest.fixture
def person(make_person):
    return make_person(password=make_password(PASSWORD))


def test_a_token_is_shown_once_and_kept_as_an_hmac(person, caller):
    client = _confirmed(_signed_in(person), current=PASSWORD)
    page = client.post("/desk/tokens/new/", WANTED).content.decode()
    secret = page.split("Bearer ")[1].split("<")[0].strip()
    token = Token.objects.get()
    assert secret not in str(Token.objects.values()) + str(Entry.objects.values())
    assert secret not in client.get("/desk/tokens/").content.decode() and "本社UTM" in client.get("/desk/tokens/").content.decode()
    assert tokens.caller_of(secret).user == person and token.scopes == ["alerts:write"]
    assert timedelta(days=89) < token.expires_at - timezone.now() <= timedelta(days=90)
    assert Entry.objects.filter(act="token.made", actor=str(person.pk)).count() == 1
    # Sending the form again asks for the person first and makes nothing.
    client.post("/desk/tokens/new/", WANTED)
    assert Token.objects.count() == 1
    assert Token.objects.get().last_used_on == timezone.localdate()


def test_without_confirming_there_is_no_token(person):
    client = _signed_in(person)
    client.post("/desk/tokens/new/", WANTED)
    _confirmed(client, current="wrong").post("/desk/tokens/new/", WANTED)
    assert not Token.objects.exists()


def test_the_password_is_not_enough_for_who_has_a_second_factor(person):
    factor = totp.begin(person)
    SecondFactor.objects.filter(pk=factor.pk).update(confirmed_at=timezone.now())
    client = _signed_in(person)
    session = client.session
    session["second_factor"] = "totp"
    session.save()
    _confirmed(client, current=PASSWORD).post("/desk/tokens/new/", WANTED)
    assert not Token.objects.exists()
    code = totp.new_recovery_codes(person)[0]
    _confirmed(client, code=code).post("/desk/tokens/new/", WANTED)
    assert Token.objects.count() == 1


@pytest.mark.parametrize("change", [{"scopes": []}, {"scopes": ["cases:read", "root"]}, {"days": "3650"}, {"name": ""}])
def test_a_token_has_a_name_known_scopes_and_an_end(person, change):
    _confirmed(_signed_in(person), current=PASSWORD).post("/desk/tokens/new/", WANTED | change)
    assert not Token.objects.exists()


def test_a_person_has_only_so_many(person, monkeypatch):
    monkeypatch.setattr(tokens, "MOST", 1)
    tokens.make(person, name="a", scopes=["cases:read"], days=30)
    _confirmed(_signed_in(person), current=PASSWORD).post("/desk/tokens/new/", WANTED)
    assert Token.objects.count() == 1


def test_everybody_sees_and_revokes_their_own_and_a_lead_all(caller, make_person):
    mine, other, lead = caller("handler"), caller("partner"), make_person("lead", name="責任者")
    path = f"/desk/tokens/{other.token.pk}/revoke/"
    stranger = _signed_in(mine.user)
    assert stranger.post(path).status_code == 404 and other("GET", "/cases").status_code == 200
    assert stranger.get("/desk/tokens/").content.decode().count("panel token") == 1
    assert _signed_in(lead).get("/desk/tokens/").content.decode().count("panel token") == 2
    assert _signed_in(lead).post(path).status_code == 302
    assert other("GET", "/cases").status_code == 401 and mine("GET", "/cases").status_code == 200
    assert Entry.objects.get(act="token.revoked").actor == str(lead.pk)


def test_a_dead_token_looks_like_a_wrong_one(caller, anonymous, make_person):
    ask = caller()
    wrong = type(anonymous)("hikeshi_" + "x" * 43)("GET", "/cases")
    assert wrong.status_code == 401 and wrong["WWW-Authenticate"].startswith("Bearer")
    Token.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert ask("GET", "/cases").content == wrong.content


def test_a_deactivated_person_has_no_token_also_after_coming_back(caller, make_person):
    ask, lead = caller(), make_person("lead", password=make_password(PASSWORD))
    assert ask("GET", "/cases").status_code == 200
    people.deactivate(lead, ask.user)
    assert ask("GET", "/cases").status_code == 401
    people.reactivate(lead, ask.user)
    assert ask("GET", "/cases").status_code == 401
    ask.user.refresh_from_db()
    assert caller(user=ask.user)("GET", "/cases").status_code == 200  # a new one is


def test_who_must_have_a_second_factor_and_lost_it_has_no_token(caller, settings):
    ask = caller()
    settings.SECOND_FACTOR = "required"
    assert ask("GET", "/cases").status_code == 401
    assert caller("partner")("GET", "/cases").status_code == 200


def test_a_session_opens_nothing_of_the_api(person):
    client = _signed_in(person)
    assert client.get("/api/v1/cases").status_code == 401


def test_wrong_tokens_wait_and_right_ones_don_t(caller, anonymous, monkeypatch):
    monkeypatch.setattr(tokens, "WRONG_IN_TEN_MINUTES", 3)
    ask, guess = caller(), type(anonymous)("hikeshi_guess")
    answers = [guess("GET", "/cases").status_code for _ in range(5)]
    assert answers == [401, 401, 401, 429, 429] and ask("GET", "/cases").status_code == 200


def test_each_token_has_its_own_rate(caller, monkeypatch):
    monkeypatch.setattr(tokens, "A_MINUTE", 2)
    fast, other = caller(), caller()
    assert [fast("GET", "/cases").status_code for _ in range(3)] == [200, 200, 429]
    assert int(fast("GET", "/cases")["Retry-After"]) <= 60 and other("GET", "/cases").status_code == 200

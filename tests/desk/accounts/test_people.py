"""Links work once, leads administer, sessions end when they must."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hikeshi_desk.accounts import links
from hikeshi_desk.accounts.models import Membership, OneTimeLink, Organisation, Role, User
from hikeshi_desk.audit.log import verify
from hikeshi_desk.audit.models import Entry

NEW = "another long passphrase"
SET_UP = {"desk": "窓口", "desk_en": "", "name": "責任者", "email": "Lead@Example.jp", "password": NEW, "again": NEW}
ME = reverse("accounts:me")
pytestmark = pytest.mark.django_db


@pytest.fixture
def lead(make_person) -> User:
    return make_person(Role.LEAD, email="lead@example.jp")


@pytest.fixture
def as_lead(lead) -> Client:
    client = Client()
    client.force_login(lead)
    return client


def _link(page: bytes) -> str:
    return re.search(rb"/desk/account/link/[\w-]+/", page)[0].decode()


def test_the_set_up_link_makes_the_first_lead_once(client):
    path = links.setup_link()
    assert client.get(path).status_code == client.head(path).status_code == client.get(path).status_code == 200
    assert client.post(path, SET_UP | {"again": "different from it"}).status_code == 200
    assert client.post(path, SET_UP | {"password": "short", "again": "short"}).status_code == 200
    assert not User.objects.exists()
    assert client.post(path, SET_UP).url == reverse("accounts:sign-in")
    user = User.objects.get()
    assert (user.email, user.memberships.get().role, user.memberships.get().organisation.is_desk) == (
        "lead@example.jp", Role.LEAD, True)
    assert client.post(path, SET_UP | {"email": "second@example.jp"}).status_code == 404
    assert client.get(path).status_code == 404
    assert links.setup_link() is None
    assert client.post(reverse("accounts:sign-in"), {"email": "lead@example.jp", "password": NEW}).status_code == 302


def test_a_new_set_up_link_ends_the_one_before_and_time_ends_both(client, monkeypatch):
    first, second = links.setup_link(), links.setup_link()
    assert client.get(first).status_code == 404
    assert client.get(second).status_code == 200
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(days=1, minutes=1))
    assert client.get(second).status_code == client.post(second, SET_UP).status_code == 404
    assert not User.objects.exists()


def test_there_is_no_person_before_the_set_up(client):
    assert not User.objects.exists()
    assert client.get(reverse("accounts:people")).status_code == 302


def test_an_unknown_link_is_a_page_that_does_not_exist(client):
    assert client.get("/desk/account/link/x/").content == client.get("/no/such/page/").content


def test_an_invited_person_chooses_a_password_with_a_link_that_works_once(as_lead, the_desk, client):
    page = as_lead.post(reverse("accounts:people"), {"name": "鈴木", "email": "ＳＵＺＵＫＩ@example.jp",
                                                     "organisation": the_desk.pk, "role": "handler"})
    path = _link(page.content)
    user = User.objects.get(email="suzuki@example.jp")
    assert not user.has_usable_password()
    assert client.post(path, {"name": "鈴木花子", "password": NEW, "again": NEW}).status_code == 302
    user.refresh_from_db()
    assert user.check_password(NEW) and user.name == "鈴木花子"
    assert client.post(path, {"name": "x", "password": NEW * 2, "again": NEW * 2}).status_code == 404
    assert "token" not in str(list(Entry.objects.values())) and path.split("/")[-2] not in str(
        list(OneTimeLink.objects.values()) + list(Entry.objects.values()))
    assert verify() is None


def test_an_invitation_ends_with_a_newer_one_and_with_the_person(as_lead, make_person, client):
    user = make_person()
    first = _link(as_lead.post(reverse("accounts:person-link", args=[user.pk])).content)
    second = _link(as_lead.post(reverse("accounts:person-link", args=[user.pk])).content)
    assert (client.get(first).status_code, client.get(second).status_code) == (404, 200)
    as_lead.post(reverse("accounts:person-deactivate", args=[user.pk]))
    assert client.get(second).status_code == 404


@pytest.mark.parametrize("field, value", [("is_active", "1"), ("session_epoch", "9"), ("is_desk", "1"), ("user", "x")])
def test_a_field_that_the_form_does_not_have_is_refused(as_lead, the_desk, field, value):
    given = {"name": "鈴木", "email": "s@example.jp", "organisation": the_desk.pk, "role": "handler", field: value}
    assert as_lead.post(reverse("accounts:people"), given).status_code == 200
    assert not User.objects.filter(email="s@example.jp").exists()


def test_an_address_in_another_spelling_is_not_a_second_person(as_lead, the_desk, make_person):
    make_person(email="suzuki@example.jp")
    count = User.objects.count()
    as_lead.post(reverse("accounts:people"), {"name": "x", "email": "SUZUKI@EXAMPLE.JP",
                                              "organisation": the_desk.pk, "role": "handler"})
    assert User.objects.count() == count


def test_roles_of_the_desk_are_not_given_elsewhere(as_lead, make_person, other_organisation):
    user = make_person(Role.PARTNER)
    for role in ("lead", "handler", "auditor"):
        as_lead.post(reverse("accounts:person-role", args=[user.pk]), {"organisation": other_organisation.pk, "role": role})
    assert list(user.memberships.values_list("role", flat=True)) == ["partner"]


@pytest.mark.parametrize("act", ["deactivate", "role", "sessions", "link", "second-factor"])
def test_what_changes_a_person_s_rights_ends_their_sessions(as_lead, make_person, the_desk, act):
    user, theirs = make_person(Role.HANDLER), Client()
    theirs.force_login(user)
    assert theirs.get(ME).status_code == 200
    if act == "sessions":
        elsewhere = Client()
        elsewhere.force_login(user)
        elsewhere.post(reverse("accounts:end-sessions"))
        assert elsewhere.get(ME).status_code == 200
    elif act == "link":
        path = _link(as_lead.post(reverse("accounts:person-link", args=[user.pk])).content)
        assert theirs.get(ME).status_code == 200, "only using the link changes the password"
        Client().post(path, {"password": NEW, "again": NEW})
    else:
        as_lead.post(reverse(f"accounts:person-{act}", args=[user.pk]), {"organisation": the_desk.pk, "role": "auditor"}
                     if act == "role" else {})
    assert theirs.get(ME).status_code == 302


def test_old_sessions_stay_ended_when_the_person_comes_back(as_lead, make_person):
    user, theirs = make_person(), Client()
    theirs.force_login(user)
    as_lead.post(reverse("accounts:person-deactivate", args=[user.pk]))
    as_lead.post(reverse("accounts:person-reactivate", args=[user.pk]))
    assert User.objects.get(pk=user.pk).is_active
    assert theirs.get(ME).status_code == 302


def test_the_last_lead_stays(as_lead, lead, make_person):
    membership = lead.memberships.get()
    make_person(Role.LEAD, password="!")  # invited only: nobody who could sign in
    as_lead.post(reverse("accounts:person-deactivate", args=[lead.pk]))
    as_lead.post(reverse("accounts:person-role-remove", args=[lead.pk, membership.pk]))
    lead.refresh_from_db()
    assert lead.is_active and Membership.objects.filter(pk=membership.pk).exists()
    make_person(Role.LEAD)
    as_lead.post(reverse("accounts:person-role-remove", args=[lead.pk, membership.pk]))
    assert not Membership.objects.filter(pk=membership.pk).exists()


def test_a_password_is_changed_only_with_the_present_one_and_guesses_are_counted(make_person):
    user, client = make_person(), Client()
    client.force_login(user)
    path = reverse("accounts:password")
    for _ in range(6):
        assert client.post(path, {"current": "wrong", "password": NEW, "again": NEW}).status_code == 200
    assert client.post(path, {"current": "a long enough passphrase", "password": NEW, "again": NEW}).status_code == 200
    other = make_person()
    client.force_login(other)
    assert client.post(path, {"current": "a long enough passphrase", "password": NEW, "again": NEW}).status_code == 302
    assert client.get(ME).status_code == 200
    other.refresh_from_db()
    assert other.check_password(NEW)


def test_the_log_is_shown_with_names_and_checked_on_request(as_lead, lead):
    as_lead.post(reverse("accounts:end-sessions"))
    page = as_lead.get(reverse("accounts:audit")).content.decode()
    assert "sessions.ended" in page and lead.name in page
    assert "すべての行がつながっています" in as_lead.post(reverse("accounts:audit")).content.decode()
    Entry.objects.filter(sequence=1).update(act="x")
    assert "1行目から" in as_lead.post(reverse("accounts:audit")).content.decode()


def test_an_organisation_is_added(as_lead):
    as_lead.post(reverse("accounts:organisations"), {"name": "県警", "name_en": "", "kinds": ["authority"]})
    assert Organisation.objects.get(name="県警").kinds == ["authority"]
    as_lead.post(reverse("accounts:organisations"), {"name": "偽", "kinds": ["king"]})
    assert not Organisation.objects.filter(name="偽").exists()
    assert "監督官庁" in as_lead.get(reverse("accounts:organisations")).content.decode()


def test_names_are_shown_as_text(as_lead, make_person):
    make_person(name="<script>alert(1)</script>")
    page = as_lead.get(reverse("accounts:people")).content.decode()
    assert "<script" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize("language, title", [("ja", "自分の設定"), ("en", "My account")])
def test_pages_come_in_both_languages(make_person, language, title):
    client = Client()
    client.force_login(make_person())
    answer = client.post("/language/", {"language": language, "next": ME})
    assert answer.url == ME
    page = client.get(ME).content.decode()
    assert f'<html lang="{language}">' in page and f"<h1>{title}</h1>" in page
    assert client.post("/language/", {"language": language, "next": "//evil.example/"}).url == "/"

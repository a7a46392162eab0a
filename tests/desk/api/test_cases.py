"""Cases by token: what its person may see and do on the pages, no more."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.utils import timezone

from hikeshi_desk.accounts.models import Membership, Organisation, Team
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import acts
from hikeshi_desk.cases.models import Attachment, Case, Message, Party


@pytest.fixture
def case(anonymous):
    anonymous("POST", "/consultations", {"what": "SECRET 業務サーバ", "incident": "malware", "contact": "victim@example.jp",
                                         "asker_name": "VICTIM", "facts": {"affected": "FACT"}})
    found = Case.objects.get()
    Attachment.objects.create(case=found, message=found.messages.get(), name="FILE.log", sha256="a" * 64, size=3)
    return found


def test_the_desk_lists_and_reads(caller, case):
    for role in ("handler", "lead", "auditor"):
        ask = caller(role)
        rows = ask("GET", "/cases").json()["cases"]
        assert [row["number"] for row in rows] == [case.number] and rows[0]["due_at"]
        told = ask("GET", f"/cases/{case.pk}").json()
        assert told["asker"] == "VICTIM" and told["facts"] == {"affected": "FACT"}
        message = ask("GET", f"/cases/{case.pk}/messages").json()["messages"][0]
        assert message["text"].startswith("SECRET") and message["files"][0]["name"] == "FILE.log"


@pytest.mark.parametrize("scope", [None, "conversation", "files"])
def test_a_partner_sees_exactly_what_the_page_shows(caller, case, other_organisation, scope):
    partner = caller("partner")
    assert partner("GET", "/cases").json()["cases"] == []
    for path in (f"/cases/{case.pk}", f"/cases/{case.pk}/messages"):
        denied, missing = partner("GET", path), partner("GET", path.replace(str(case.pk), str(uuid.uuid4())))
        assert denied.status_code == 404 and denied.content == missing.content
    acts.note(case, caller().user, body="INTERNAL")
    Party.objects.create(case=case, organisation=other_organisation, sees_conversation=scope == "conversation",
                         sees_files=scope == "files")
    seen = str([partner("GET", path).json() for path in ("/cases", f"/cases/{case.pk}", f"/cases/{case.pk}/messages")])
    assert case.number in seen
    assert ("SECRET" in seen) == (scope == "conversation") and "INTERNAL" not in seen
    for hidden in ("VICTIM", "victim@example.jp", "FACT"):
        assert hidden not in seen
    client = Client()
    client.force_login(partner.user)
    page = client.get(f"/desk/case/{case.pk}/").content.decode()
    assert ("SECRET" in page) == ("SECRET" in seen)


def test_only_who_works_on_cases_writes(caller, case, other_organisation):
    Party.objects.create(case=case, organisation=other_organisation, sees_conversation=True)
    acts_of = [("POST", "notes", {"text": "x"}), ("POST", "replies", {"text": "x"}), ("PUT", "owner", {"owner": "me"}),
               ("PUT", "state", {"state": "closed", "reason": "x"})]
    for role in ("partner", "reader", "auditor", None):
        ask = caller(role)
        for method, place, body in acts_of:
            assert ask(method, f"/cases/{case.pk}/{place}", body).status_code == 404, (role, place)
    reading = caller("handler", scopes=["cases:read"])
    for method, place, body in acts_of:
        assert reading(method, f"/cases/{case.pk}/{place}", body).status_code == 403
    assert Message.objects.count() == 1 and Case.objects.get().state == "new"


def test_a_handler_answers_notes_assigns_closes_and_opens(caller, case, make_person):
    ask = caller()
    Team.objects.create(name="早期警戒")
    key = "one-answer-only-once"
    for _ in range(2):
        told = ask("POST", f"/cases/{case.pk}/replies", {"text": "隔離してください", "wait": True}, Idempotency_Key=key)
        assert told.status_code == 200
    assert told.json()["state"] == "waiting"
    assert ask("POST", f"/cases/{case.pk}/notes", {"text": "内緒\0"}).status_code == 200
    assert list(Message.objects.order_by("at").values_list("kind", flat=True)) == ["asker", "reply", "note"]
    other = make_person(email="other@example.jp", name="佐藤")
    told = ask("PUT", f"/cases/{case.pk}/owner", {"owner": "other@example.jp", "team": "早期警戒"}).json()
    assert told["owner"] == "佐藤" and told["team"] == "早期警戒"
    unsaid = ask("PUT", f"/cases/{case.pk}/state", {"state": "closed"})
    assert unsaid.status_code == 409 and unsaid.json()["detail"]  # the page asks for a reason, too
    closed = ask("PUT", f"/cases/{case.pk}/state", {"state": "closed", "reason": "対応済み"})
    assert closed.json()["state"] == "closed"
    again = ask("PUT", f"/cases/{case.pk}/state", {"state": "closed", "reason": "x"})
    assert again.status_code == 409 and again.json()["detail"] and again.json()["next"]
    assert ask("PUT", f"/cases/{case.pk}/state", {"state": "open", "reason": "続き"}).json()["state"] == "open"
    done = set(Entry.objects.filter(actor=str(ask.user.pk)).values_list("act", flat=True))
    assert {"case.reply", "case.note", "case.assign", "case.close", "case.reopen"} <= done
    assert ask("GET", f"/cases?owner={other.email}").json()["cases"] and not ask("GET", "/cases?owner=me").json()["cases"]


@pytest.mark.parametrize("body", [
    {"owner": "partner@example.jp"}, {"owner": "nobody@example.jp"}, {"owner": "me", "team": "no such"}])
def test_a_case_is_given_only_to_whom_the_page_offers(caller, case, make_person, body):
    make_person("partner", email="partner@example.jp")
    assert caller()("PUT", f"/cases/{case.pk}/owner", body).status_code == 409
    case.refresh_from_db()
    assert case.owner is None


@pytest.mark.parametrize("body", [{"text": "x", "author": "me"}, {"text": ""}, {}, [], "x", {"text": "x", "case_id": 1}])
def test_no_field_is_assigned_that_isn_t_in_the_model(caller, case, body):
    assert caller()("POST", f"/cases/{case.pk}/notes", body).status_code == 422
    assert Message.objects.count() == 1


def test_pages_filters_and_search(caller, anonymous, case):
    for number in range(4):
        anonymous("POST", "/consultations", {"what": f"不審なメール {number}", "incident": "phishing", "anonymous": True})
    ask = caller()
    first = ask("GET", "/cases?size=3").json()
    second = ask("GET", f"/cases?size=3&page={first['next_page']}").json()
    numbers = [row["number"] for row in first["cases"] + second["cases"]]
    assert len(set(numbers)) == 5 and second["next_page"] is None
    assert len(ask("GET", "/cases?incident=phishing&state=new").json()["cases"]) == 4
    assert len(ask("GET", "/cases?q=不審なメール").json()["cases"]) == 4 and not ask("GET", "/cases?q=見当たらない").json()["cases"]
    later = (timezone.now() + timezone.timedelta(days=1)).isoformat().replace("+", "%2B")
    assert ask("GET", f"/cases?changed_since={later}").json()["cases"] == []
    for wrong in ("page=0", "size=1000", "state=lost", "changed_since=2026-11-20"):
        assert ask("GET", f"/cases?{wrong}").status_code == 422


def test_a_token_gives_no_more_than_its_person_has_now(caller, case, the_desk):
    ask = caller("lead")
    assert ask("GET", f"/cases/{case.pk}").status_code == 200
    Membership.objects.filter(user=ask.user).delete()
    assert ask("GET", f"/cases/{case.pk}").status_code == 404 and ask("GET", "/cases").json()["cases"] == []
    Membership.objects.create(user=ask.user, organisation=Organisation.objects.create(name="X"), role="lead")
    assert ask("GET", f"/cases/{case.pk}").status_code == 404

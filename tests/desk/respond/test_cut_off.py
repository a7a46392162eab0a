"""A full cut-off: proposed with reasons, decided by whom the plan names, approved by a lead who did not record it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from hikeshi_desk.accounts.models import Role
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.acting import Refused
from hikeshi_desk.respond import acts
from hikeshi_desk.respond.models import Decision, Response

pytestmark = pytest.mark.django_db


def decide(case, by, **more):
    acts.decide_cut_off(case, by, **{"answer": "full", "role": "CISO", "name": "山田", "reason": "個人情報が出ている",
                                     "at": timezone.now(), **more})
    return acts.standing(case)


def refused(what, *args, **more) -> str:
    with pytest.raises(Refused) as told:
        what(*args, **more)
    return told.value.key.removeprefix("respond.refused.")


def shown(client, case) -> str:
    return client.get(f"/desk/case/{case.pk}/response/").content.decode()


def test_the_decision_keeps_who_when_and_why(begun, sato, handler):
    case = begun()
    row = decide(case, sato, role="情報システム部長", name="鈴木")
    assert (row.role, row.name, row.reason, row.by, row.approved_at) == ("情報システム部長", "鈴木", "個人情報が出ている", sato, None)
    text = shown(handler, case)
    assert "情報システム部長 鈴木" in text and "責任者の承認を待っています" in text and "個人情報が出た" in text
    assert Entry.objects.filter(act="case.decide_cut_off", subject=f"case:{case.pk}").count() == 1


@pytest.mark.parametrize(("more", "why"), [
    ({"role": "社長"}, "decider"), ({"role": ""}, "decider"), ({"role": "ciso"}, "decider"), ({"answer": "maybe"}, "choice"),
    ({"name": " "}, "name"), ({"reason": "\n"}, "reason"), ({"at": None}, "time")])
def test_a_decision_without_what_it_needs_is_refused(begun, sato, more, why):
    assert refused(decide, begun(), sato, **more) == why
    assert not Decision.objects.exists()


def test_nothing_is_decided_in_the_future_or_by_a_plan_that_names_nobody(begun, sato):
    case = begun()
    assert refused(decide, case, sato, at=timezone.now() + timedelta(hours=1)) == "time"
    acts.set_plan(case, sato, form={"contacts": "本部, 090"})
    assert refused(decide, case, sato) == "decider"


def test_the_same_decision_twice_is_one(begun, sato):
    case, at = begun(), timezone.now()
    decide(case, sato, at=at)
    decide(case, sato, at=at)
    assert Decision.objects.count() == 1


def test_only_a_lead_who_did_not_record_it_approves(begun, sato, member, sign_in, handler):
    case = begun()
    lead = member(Role.LEAD, name="責任者")
    row = decide(case, lead)
    assert refused(acts.approve_cut_off, case, lead, decision=str(row.pk)) == "own_decision"
    address = f"/desk/case/{case.pk}/response/do/approve/"
    assert handler.post(address, {"decision": row.pk}).status_code == 404
    assert "承認する</button>" not in shown(sign_in(lead), case) and "承認する</button>" not in shown(handler, case)
    other = sign_in(member(Role.LEAD, name="別の責任者"))
    assert "承認する</button>" in shown(other, case)
    other.post(address, {"decision": row.pk})
    row.refresh_from_db()
    assert row.approved_by.name == "別の責任者"
    assert "別の責任者" in shown(handler, case)


def test_only_the_newest_decision_can_be_approved_and_the_older_stay_to_be_read(begun, sato, member, handler):
    case, lead = begun(), member(Role.LEAD)
    first = decide(case, sato)
    second = decide(case, sato, answer="none", reason="影響が大きい")
    assert refused(acts.approve_cut_off, case, lead, decision=str(first.pk)) == "decision"
    acts.withdraw_cut_off(case, sato, decision=str(second.pk), why="前提が変わった")
    assert refused(acts.approve_cut_off, case, lead, decision=str(second.pk)) == "decision"
    assert acts.standing(case) == first
    text = shown(handler, case)
    assert "影響が大きい" in text and "前提が変わった" in text and "以前の決定" in text
    assert refused(acts.withdraw_cut_off, case, sato, decision=str(first.pk), why=" ") == "reason"


def test_a_decision_of_another_case_can_not_be_approved_or_withdrawn(begun, sato, member):
    case, other = begun(), begun()
    row = decide(case, sato)
    assert refused(acts.approve_cut_off, other, member(Role.LEAD), decision=str(row.pk)) == "decision"
    assert refused(acts.withdraw_cut_off, other, sato, decision=str(row.pk), why="x") == "decision"


@pytest.mark.parametrize(("fields", "machines", "is_proposed"), [
    ({"incident": "data_leak", "facts": {"detected_by": "police"}}, 0, True),
    ({"incident": "data_leak", "facts": {"detected_by": "edr"}}, 0, False),
    ({"incident": "malware", "facts": {"detected_by": "police"}}, 0, False),
    ({"incident": "malware"}, 5, True), ({"incident": "malware"}, 4, False)])
def test_a_cut_off_is_proposed_by_what_is_known_without_an_analysis(begun, sato, handler, fields, machines, is_proposed):
    case = begun(**fields)
    for number in range(machines):
        acts.add_machine(case, sato, host=f"WS{number}")
    assert ("全面遮断を提案します" in shown(handler, case)) is is_proposed


def test_a_machine_that_turned_out_harmless_does_not_count(begun, sato, handler):
    case = begun(incident="malware")
    for number in range(5):
        acts.add_machine(case, sato, host=f"WS{number}")
    row = case.measures.get(subject="WS0")
    acts.mark_measures(case, sato, ids=[str(row.pk)], state="not_needed", note="誤検知")
    assert "全面遮断を提案します" not in shown(handler, case)


def test_the_plan_keeps_what_was_written(begun, sato):
    case = begun()
    row = Response.objects.get(case=case)
    assert row.plan["decider"] == "CISO" and row.plan["deputies"] == ["情報システム部長"]
    assert row.plan["contact"] == [{"name": "対策本部", "by": "090-0000-0000"}]
    before = Entry.objects.filter(act="case.set_plan").count()
    acts.set_plan(case, sato, form={"decider": "CISO", "deputies": "情報システム部長", "criteria": "個人情報が出た",
                                    "contacts": "対策本部, 090-0000-0000", "own_domains": "corp.example", "never_block": "bank.example"})
    assert Entry.objects.filter(act="case.set_plan").count() == before

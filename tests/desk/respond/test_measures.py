"""Measures and their marks: what they mean, what each needs, what two people at once do to them."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connection, connections, transaction

from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.acting import Refused
from hikeshi_desk.cases.models import Case
from hikeshi_desk.respond import acts, kinds
from hikeshi_desk.respond.models import Mark, Measure, Response

pytestmark = pytest.mark.django_db


def one(case: Case, control: str, subject: str) -> Measure:
    return Measure.objects.get(case=case, control=control, subject=subject)


def mark(case, by, measure, state, **more):
    acts.mark_measures(case, by, ids=[str(measure.pk)], state=state, **more)
    measure.refresh_from_db()
    return measure.state


def refused(what, *args, **more) -> str:
    with pytest.raises(Refused) as told:
        what(*args, **more)
    return told.value.key.removeprefix("respond.refused.")


@pytest.fixture
def machine(begun, sato):
    case = begun()
    acts.add_machine(case, sato, host="WS01", why="EDRの検知")
    return case, one(case, "isolation", "WS01")


def test_every_response_begins_with_the_steps_and_the_lists_in_the_order_of_work(begun):
    case = begun()
    steps = [row.subject for row in Measure.objects.filter(case=case, control="step")]
    assert steps == ["decide", "isolate", "block", "mail", "accounts", "check", "scope", "recover"]
    assert Measure.objects.filter(case=case, control="mailwork").count() == 5
    assert {"revoke", "block_sending", "forwarding", "mail_lists"} <= {
        row.subject for row in Measure.objects.filter(case=case, control="mailwork")}


def test_beginning_twice_is_beginning_once(begun, sato):
    case = begun()
    acts.begin_response(case, sato)
    assert Response.objects.filter(case=case).count() == 1
    assert Entry.objects.filter(act="case.begin_response", subject=f"case:{case.pk}").count() == 1


def test_requested_applied_verified_with_who_and_when(machine, sato, member):
    case, ws = machine
    other = member("handler", name="鈴木")
    assert mark(case, sato, ws, "requested") == "requested"
    assert mark(case, other, ws, "applied", note="電話で確認", device="SW-3") == "applied"
    assert mark(case, sato, ws, "verified", evidence="14:20のログで拒否") == "verified"
    told = list(ws.marks.values_list("state", "by__name", "note", "device", "evidence"))
    assert told == [("requested", "佐藤", "", "", ""), ("applied", "鈴木", "電話で確認", "SW-3", ""),
                    ("verified", "佐藤", "", "", "14:20のログで拒否")]
    counts = Response.objects.get(case=case).counts
    assert counts["isolation"] == {"verified": 1}


@pytest.mark.parametrize(("state", "more", "why"), [
    ("verified", {}, "evidence"), ("verified", {"note": "止まりました"}, "evidence"), ("verified", {"evidence": "  \n"}, "evidence"),
    ("not_needed", {}, "reason"), ("not_needed", {"evidence": "x"}, "reason"), ("open", {}, "state"), ("", {}, "state"),
    ("done", {}, "state")])
def test_a_mark_without_what_it_needs_is_refused(machine, sato, state, more, why):
    case, ws = machine
    assert refused(acts.mark_measures, case, sato, ids=[str(ws.pk)], state=state, **more) == why
    assert not Mark.objects.exists()


def test_what_it_says_already_is_not_said_twice(machine, sato, member):
    case, ws = machine
    for _ in range(3):
        mark(case, sato, ws, "requested")
    assert ws.marks.count() == 1
    mark(case, member("lead"), ws, "requested")  # somebody else's word is another one
    assert ws.marks.count() == 2


def test_taking_back_brings_the_earlier_state_and_keeps_both(machine, sato):
    case, ws = machine
    mark(case, sato, ws, "requested")
    mark(case, sato, ws, "applied")
    last = ws.marks.last()
    acts.take_back_mark(case, sato, mark=str(last.pk), note="別の機器でした")
    ws.refresh_from_db()
    assert ws.state == "requested" and ws.marks.count() == 3
    assert refused(acts.take_back_mark, case, sato, mark=str(last.pk)) == "taken_back"
    assert refused(acts.take_back_mark, case, sato, mark=str(ws.marks.last().pk)) == "mark"  # no undo of an undo
    acts.take_back_mark(case, sato, mark=str(ws.marks.first().pk))
    ws.refresh_from_db()
    assert ws.state == "open"


@pytest.mark.parametrize("number", ["", "x", "-1", "0", "9" * 30, "１"])
def test_a_mark_that_is_none_can_not_be_taken_back(machine, sato, number):
    assert refused(acts.take_back_mark, machine[0], sato, mark=number) == "mark"


def test_a_mark_of_another_case_can_not_be_taken_back_nor_its_measure_marked(machine, begun, sato):
    case, ws = machine
    other = begun()
    mark(case, sato, ws, "requested")
    assert refused(acts.take_back_mark, other, sato, mark=str(ws.marks.get().pk)) == "mark"
    assert refused(acts.mark_measures, other, sato, ids=[str(ws.pk)], state="applied") == "none"
    mine = one(other, "protocol", "ssh")
    # One's own beside another's: nothing at all, not half.
    assert refused(acts.mark_measures, other, sato, ids=[str(mine.pk), str(ws.pk)], state="applied") == "none"
    assert not mine.marks.exists()


def test_what_is_withdrawn_takes_no_marks_until_it_comes_back(machine, sato):
    case, ws = machine
    mark(case, sato, ws, "requested")
    assert refused(acts.withdraw_measures, case, sato, ids=[str(ws.pk)], why=" ") == "reason"
    acts.withdraw_measures(case, sato, ids=[str(ws.pk)], why="別会社の機器")
    assert refused(acts.mark_measures, case, sato, ids=[str(ws.pk)], state="applied") == "withdrawn"
    assert refused(acts.take_back_mark, case, sato, mark=str(ws.marks.get().pk)) == "withdrawn"
    assert refused(acts.ask_measures, case, sato, ids=[str(ws.pk)]) == "withdrawn"
    assert "isolation" not in Response.objects.get(case=case).counts
    acts.restore_measure(case, sato, measure=str(ws.pk))
    assert mark(case, sato, ws, "applied") == "applied"


def test_adding_what_was_withdrawn_brings_it_back(machine, sato):
    case, ws = machine
    assert refused(acts.add_machine, case, sato, host="ws01") == "known"  # names of machines know no case
    acts.withdraw_measures(case, sato, ids=[str(ws.pk)], why="x")
    acts.add_machine(case, sato, host="WS01")
    ws.refresh_from_db()
    assert ws.withdrawn_at is None and Measure.objects.filter(case=case, control="isolation").count() == 1


def test_items_of_the_plan_are_left_out_with_a_reason_and_never_withdrawn(begun, sato):
    case = begun()
    item = one(case, "mailwork", "revoke")
    assert refused(acts.withdraw_measures, case, sato, ids=[str(item.pk)], why="x") == "fixed"
    assert mark(case, sato, item, "not_needed", note="メールは使っていない") == "not_needed"


def test_a_whole_column_takes_one_word(begun, sato):
    case = begun()
    acts.add_blocks(case, sato, values="198.51.100.1\n198.51.100.2\nhttp://evil.example/a", why="EDR")
    acts.mark_measures(case, sato, ids=(), controls=("firewall",), state="applied")
    rows = Measure.objects.filter(case=case)
    assert rows.filter(control="firewall", state="applied").count() == 2
    assert not rows.exclude(control="firewall").exclude(state="open").exists()
    assert refused(acts.mark_measures, case, sato, ids=(), controls=("x",), state="applied") == "choice"
    acts.withdraw_measures(case, sato, ids=(), controls=("dns",), why="DNSは別会社")
    assert rows.filter(withdrawn_at__isnull=False).count() == rows.filter(control="dns").count() == 2


# Steps: the order is kept, or a reason stands beside it.

def test_a_step_before_its_turn_needs_a_reason(begun, sato):
    case = begun()
    scope = one(case, "step", "scope")
    assert refused(acts.mark_measures, case, sato, ids=[str(scope.pk)], state="applied") == "turn"
    assert mark(case, sato, scope, "requested") == "requested"  # to begin looking is no harm
    assert mark(case, sato, scope, "applied", note="外部の業者が先に終えた") == "applied"


def test_a_step_with_open_measures_needs_a_reason_and_without_none(machine, sato):
    case, ws = machine
    mark(case, sato, one(case, "step", "decide"), "applied")
    isolate = one(case, "step", "isolate")
    assert refused(acts.mark_measures, case, sato, ids=[str(isolate.pk)], state="applied") == "parts_open"
    mark(case, sato, ws, "applied")  # done, but nobody looked
    assert refused(acts.mark_measures, case, sato, ids=[str(isolate.pk)], state="applied") == "parts_open"
    mark(case, sato, ws, "verified", evidence="スイッチのポートが閉じている")
    assert mark(case, sato, isolate, "applied") == "applied"


def test_that_it_holds_can_not_be_said_while_anything_is_open(begun, sato):
    case = begun()
    for step in ("decide", "isolate", "block", "mail", "accounts"):
        mark(case, sato, one(case, "step", step), "applied", note="x")
    check = one(case, "step", "check")
    assert refused(acts.mark_measures, case, sato, ids=[str(check.pk)], state="applied") == "parts_open"
    for control in ("mailwork", "protocol"):
        acts.mark_measures(case, sato, ids=(), controls=(control,), state="verified", evidence="規則の一覧を見た")
    assert mark(case, sato, check, "applied") == "applied"


def test_a_step_is_begun_done_or_left_out(begun, sato):
    case = begun()
    step = one(case, "step", "decide")
    for state, more in (("verified", {"evidence": "x"}), ("failed", {})):
        assert refused(acts.mark_measures, case, sato, ids=[str(step.pk)], state=state, **more) == "step_state"
    assert refused(acts.mark_measures, case, sato, ids=[str(step.pk)], state="not_needed") == "reason"
    assert mark(case, sato, step, "not_needed", note="軽い事案") == "not_needed"


# What is entered by hand.

@pytest.mark.parametrize(("value", "kind", "controls"), [
    ("198.51.100.7", "ipv4", 4), ("198[.]51[.]100[.]7", "ipv4", 4), ("2001:db8::7", "ipv6", 4), ("evil.example", "domain", 4),
    ("hxxps://evil[.]example/a?b", "url", 2), ("a@evil.example", "email", 1), ("198.51.100.0/24", "cidr", 4), ("0123456789abcdef" * 4, "sha256", 1)])
def test_destinations_come_in_at_every_control_that_can_stop_them(begun, sato, value, kind, controls):
    case = begun()
    acts.add_blocks(case, sato, values=value, why="EDR")
    rows = Measure.objects.filter(case=case, control__in=kinds.BLOCKING)
    assert len(rows) == controls and {row.told["type"] for row in rows} == {kind}


@pytest.mark.parametrize(("value", "why"), [
    ("10.0.0.5", "never"), ("corp.example", "never"), ("mail.corp.example", "never"), ("bank.example", "never"),
    ("1.1.1.1", "shared"), ("co.jp", "shared"), ("0.0.0.0/0", "never"), ("<script>alert(1)</script>", "no_target"),
    ("evil.example\nnot a value at all", "no_target"), ("999.1.1.1", "no_target"), ("", "empty"), (" \n\0 ", "empty"),
    ("http://" + "a" * 5000 + ".example/", "no_target"), ("http://evil.example/" + "a" * 5000, "no_target")])
def test_what_must_not_be_blocked_or_is_no_value_is_refused_whole(begun, sato, value, why):
    case = begun()
    assert refused(acts.add_blocks, case, sato, values=value, why="x") == why
    assert not Measure.objects.filter(case=case, control__in=kinds.BLOCKING).exists()


def test_what_others_use_comes_in_with_a_reason_only_and_one_s_own_never(begun, sato):
    case = begun()
    assert refused(acts.add_blocks, case, sato, values="1.1.1.1", why="", force=True) == "shared"
    acts.add_blocks(case, sato, values="1.1.1.1", why="この社では使わない", force=True)
    assert one(case, "dns", "1.1.1.1").told["forced"]
    assert refused(acts.add_blocks, case, sato, values="10.0.0.5", why="x", force=True) == "never"


def test_a_huge_list_is_refused_whole(begun, sato, monkeypatch):
    case = begun()
    many = "\n".join(f"198.51.{n // 250}.{n % 250 + 1}" for n in range(1001))
    assert refused(acts.add_blocks, case, sato, values=many, why="x") == "too_many"
    monkeypatch.setattr(kinds, "MOST", 30)
    assert refused(acts.add_blocks, case, sato, values="\n".join(many.split()[:10]), why="x") == "too_many"
    assert not Measure.objects.filter(case=case, control__in=kinds.BLOCKING).exists()


def test_accounts_stand_once_for_each_machine(begun, sato):
    case = begun()
    acts.add_account(case, sato, account="CORP\\t.mori", host="WS01")
    acts.add_account(case, sato, account="CORP\\t.mori", host="FS01", kind="service")
    assert refused(acts.add_account, case, sato, account="corp\\T.Mori", host="ws01") == "known"
    assert refused(acts.add_account, case, sato, account="x", kind="<b>") == "choice"
    assert refused(acts.add_account, case, sato, account="  ") == "empty"
    assert [row.subject for row in Measure.objects.filter(case=case, control="reset")] == [
        "CORP\\t.mori@WS01", "CORP\\t.mori@FS01"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's tests share one connection (DATABASE_URL)")
@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_both_keep_their_marks_and_one_undo_wins(begun, sato, member):
    case = begun()
    acts.add_machine(case, sato, host="WS01")
    ws, other = one(case, "isolation", "WS01"), member("lead")
    assert at_once(lambda: acts.mark_measures(case, sato, ids=[str(ws.pk)], state="requested"),
                   lambda: acts.mark_measures(case, other, ids=[str(ws.pk)], state="applied")) == []
    assert ws.marks.count() == 2
    ws.refresh_from_db()
    assert ws.state == ws.marks.last().state
    number = str(ws.marks.last().pk)
    assert at_once(lambda: acts.take_back_mark(case, sato, mark=number),
                   lambda: acts.take_back_mark(case, other, mark=number)) == ["respond.refused.taken_back"]
    assert ws.marks.count() == 3


def at_once(*works) -> list[str]:
    gate, wrong = threading.Barrier(len(works)), []

    def run(work) -> None:
        try:
            gate.wait(10)
            work()
        except Refused as told:
            wrong.append(told.key)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return wrong


def test_the_database_itself_takes_a_mark_back_only_once(machine, sato):
    """Whoever gets past the check at the same moment meets the constraint."""
    case, ws = machine
    mark(case, sato, ws, "requested")
    first = ws.marks.get()
    Mark.objects.create(measure=ws, at=first.at, by=sato, state="requested", undoes=first)
    with pytest.raises(IntegrityError), transaction.atomic():
        Mark.objects.create(measure=ws, at=first.at, by=sato, state="requested", undoes=first)

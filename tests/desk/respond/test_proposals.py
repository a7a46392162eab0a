"""Measures out of a case's analysis: in order, once, renewed with a newer one, and never against what people did."""

from __future__ import annotations

import hashlib
import json

import pytest

from hikeshi_desk.analysis import folder
from hikeshi_desk.analysis.models import Analysis
from hikeshi_desk.cases import signals
from hikeshi_desk.respond import acts, kinds, propose
from hikeshi_desk.respond.models import Measure, Response

pytestmark = pytest.mark.django_db


def subjects(case, control):
    return list(Measure.objects.filter(case=case, control=control, withdrawn_at=None).values_list("subject", flat=True))


def test_machines_come_in_the_order_of_isolation_and_destinations_at_every_control(analysed):
    case = analysed()
    assert propose.propose(case.pk) > 0
    assert subjects(case, "isolation") == ["FS01", "WS01"]  # encryption before the open line
    for control in kinds.BLOCKING:
        assert set(subjects(case, control)) == {"198.51.100.77", "evil.duckdns.org"}
    fs = Measure.objects.get(case=case, control="isolation", subject="FS01")
    assert fs.told["cause"] == "encryption" and fs.told["addresses"] == ["10.0.0.9"] and fs.origin == "analysis"
    assert fs.told["records"][0] == {"path": "a.zip!/Security.evtx", "record_id": 3, "line": None}
    row = Response.objects.get(case=case)
    assert [one["value"] for one in row.held] == ["1.1.1.1"] and row.cut_off  # encryption proposes a full cut-off
    assert row.counts["isolation"] == {"open": 2}


def test_doing_it_twice_is_doing_it_once(analysed):
    case = analysed()
    propose.propose(case.pk)
    before = list(Measure.objects.filter(case=case).order_by("pk").values())
    assert propose.propose(case.pk) == 0
    assert list(Measure.objects.filter(case=case).order_by("pk").values()) == before


def test_a_newer_analysis_renews_what_nobody_touched_and_leaves_the_rest(analysed, sato):
    case = analysed()
    propose.propose(case.pk)
    acts.mark_measures(case, sato, ids=[str(Measure.objects.get(case=case, control="isolation", subject="WS01").pk)],
                       state="applied")
    acts.add_machine(case, sato, host="NAS01", why="電話で聞いた")
    analysed(case, compromised_hosts=[{"name": "DB01", "confidence": "high"}, {"name": "nas01", "confidence": "high"}],
             encrypted_hosts=[], c2=[], block_list=[])
    assert propose.waits(case.pk)
    propose.propose(case.pk)
    assert set(subjects(case, "isolation")) == {"WS01", "DB01", "NAS01"}  # FS01: nobody touched it
    assert Measure.objects.get(case=case, subject="NAS01").told["reasons"][0]["ja"] == "電話で聞いた"
    assert not subjects(case, "firewall") and not propose.waits(case.pk)


def test_what_was_withdrawn_is_not_proposed_again(analysed, sato):
    case = analysed()
    propose.propose(case.pk)
    ws = Measure.objects.get(case=case, control="isolation", subject="WS01")
    acts.withdraw_measures(case, sato, ids=[str(ws.pk)], why="誤検知")
    analysed(case)
    propose.propose(case.pk)
    assert subjects(case, "isolation") == ["FS01"]


def test_the_plan_keeps_off_the_list_what_is_their_own(analysed, sato):
    case = analysed()
    acts.set_plan(case, sato, form={"never_block": "evil.duckdns.org", "domain_controllers": "WS01"})
    propose.propose(case.pk)
    assert subjects(case, "proxy") == ["198.51.100.77"]
    assert {one["value"] for one in Response.objects.get(case=case).held} == {"1.1.1.1", "evil.duckdns.org"}
    assert "krbtgt" in str(Measure.objects.filter(case=case, control="reset").values_list("told", flat=True))


@pytest.mark.parametrize("broken", ["{", "[]", json.dumps({"compromised_hosts": "x", "c2": [1, None, {}]}), ""])
def test_a_result_that_is_broken_leaves_no_half_proposals(analysed, broken):
    case = analysed()
    (folder.of(Analysis.objects.get(case=case).result) / "out" / "case.json").write_text(broken)
    propose.propose(case.pk)
    assert not Measure.objects.filter(case=case, origin="analysis").exists()
    assert not propose.waits(case.pk)  # asking again would find the same


def test_strangers_words_are_fit_for_a_row(analysed):
    bad = "WS\x00<img src=x>\u202e" + "あ" * 9000
    case = analysed(compromised_hosts=[{"name": bad, "confidence": "high", "addresses": [bad]}], encrypted_hosts=[],
                    c2=[{"value": "http://evil.example/" + "a" * 9000, "type": "url", "confidence": "high"},
                        {"value": "<script>", "type": "domain", "confidence": "high"}], block_list=[])
    propose.propose(case.pk)
    name, = subjects(case, "isolation")
    assert len(name) <= propose.LONGEST and "\0" not in name and "\u202e" not in name
    assert not subjects(case, "proxy")


def test_a_huge_result_is_cut_and_says_so(analysed, monkeypatch):
    monkeypatch.setattr(kinds, "MOST", 300)
    case = analysed(compromised_hosts=[
        {"name": f"PC{n}", "confidence": "high", "records": [{"path": "x", "line": 1}]} for n in range(1000)], encrypted_hosts=[])
    propose.propose(case.pk)
    row = Response.objects.get(case=case)
    assert Measure.objects.filter(case=case, origin="analysis").count() == 300 and row.left_out > 700
    assert "1001" in str(row.cut_off)


def test_a_new_result_asks_for_a_job_and_one_from_words_alone_does_not(analysed, consult, django_capture_on_commit_callbacks):
    from django_tasks_db.models import DBTaskResult

    case = analysed()
    with django_capture_on_commit_callbacks(execute=True):
        signals.after_commit(signals.case_analysed, case.pk)
    job = DBTaskResult.objects.get(task_path="hikeshi_desk.respond.tasks.propose")
    assert job.args_kwargs["args"] == [str(case.pk)]
    from hikeshi_desk.respond.tasks import propose as task

    task.func(str(case.pk))
    assert subjects(case, "isolation") == ["FS01", "WS01"]
    task.func(str(case.pk))  # a second one finds nothing to do
    other = consult()
    Analysis.objects.create(case=other, state="done", result=Analysis.objects.get(case=case).result, summary={"words": {}})
    with django_capture_on_commit_callbacks(execute=True):
        signals.after_commit(signals.case_analysed, other.pk)
    assert DBTaskResult.objects.filter(task_path="hikeshi_desk.respond.tasks.propose").count() == 1


def test_a_case_that_is_analysed_gets_its_proposals_in_a_job(db, django_capture_on_commit_callbacks):
    from django_tasks_db.models import DBTaskResult

    from hikeshi_desk.analysis import service
    from hikeshi_desk.cases.opening import open_submission
    from hikeshi_desk.intake import spool
    from hikeshi_desk.intake.models import Submission
    from hikeshi_desk.intake.submit import IncomingFile, Payload, submit

    log = b"".join(b"1791478%03d.000 10 10.0.0.5 TCP_MISS/200 100 GET http://198.51.100.77/a - DIRECT/198.51.100.77 text/html\n" % n
                   for n in range(50))
    path = spool.incoming() / "upload-squid"
    path.write_bytes(log)
    accepted = submit(Payload(channel="web", what="調べてください", request="first_steps", anonymous=True),
                      [IncomingFile("access.log", path, hashlib.sha256(log).hexdigest(), len(log))],
                      idempotency_key="a-test-key-long-enough-squid")
    case = open_submission(Submission.objects.get(pk=accepted.submission_id)).case
    with django_capture_on_commit_callbacks(execute=True):
        row = service.analyse_now(case.pk)
    assert row.state == "done"
    assert DBTaskResult.objects.filter(task_path="hikeshi_desk.respond.tasks.propose").count() == 1
    assert propose.waits(case.pk)
    propose.propose(case.pk)
    assert Response.objects.get(case=case).result == row.result and not Response.objects.get(case=case).is_unreadable

"""From a consultation with files to findings in the case: once, again, interrupted, and with newer knowledge."""

from __future__ import annotations

import io
import json
import signal
import zipfile

import pytest

from hikeshi.knowledge import installed
from hikeshi.knowledge.admit import admit
from hikeshi.knowledge.keys import make_key
from hikeshi.knowledge.pack_build import Input, build
from hikeshi_desk.analysis import folder, knowledge, service
from hikeshi_desk.analysis.models import Analysis, Sign, State
from hikeshi_desk.analysis.run import read_rows, work
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import store

pytestmark = pytest.mark.django_db
LOG = "2026-10-09T01:02:0{n}+09:00 host sshd[1]: Failed password for root from 203.0.113.7 port 4242 ssh2\n"


def log_lines(count: int = 5) -> bytes:
    return "".join(LOG.format(n=n % 10) for n in range(count)).encode()


def jobs() -> int:
    from django_tasks_db.models import DBTaskResult

    return DBTaskResult.objects.ready().count()


def run_job() -> None:
    """One job of the queue, by the worker that runs in production."""
    from unittest import mock

    from django.core.management import call_command
    from django_tasks_db.management.commands import db_worker

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)}
    try:
        # On PostgreSQL the worker would close the connection that holds the test's transaction, and its rows with it.
        with mock.patch.object(db_worker, "close_old_connections"):
            call_command("db_worker", batch=True, max_tasks=1, interval=0, startup_delay=False, verbosity=0)
    finally:
        for number, handler in before.items():  # the worker's own would outlive it
            signal.signal(number, handler)


def test_a_worked_incident_is_told_in_the_case(consult, handler, incident_zip, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        case = consult("ファイルが開けません", [("資料.zip", incident_zip)], incident="ransomware")
    row = Analysis.objects.get(case=case)
    assert (row.state, jobs()) == (State.WAITING, 1)
    page = handler.get(f"/desk/case/{case.pk}/").content.decode()
    assert "順番を待っています" in page
    work(case.pk)
    row.refresh_from_db()
    assert row.state == State.DONE
    assert row.summary["evidence"]["verdict"] == "identified"
    assert row.summary["evidence"]["family"] == "Medusa"
    assert len(json.dumps(row.summary).encode()) < 64 * 1024
    names = {host["name"] for host in row.summary["hosts"]}
    assert {"APP01", "FS01", "RDS01"} <= names
    case.refresh_from_db()
    page = handler.get(f"/desk/case/{case.pk}/").content.decode()
    assert "Medusa と見られます" in page
    assert "資料.zip!/FS01/" in page  # the record, under the sender's name
    assert "spread.svg" in page
    # Everything beside the page.
    base = f"/desk/case/{case.pk}/analysis/"
    assert b"<svg" in b"".join(handler.get(base + "spread.svg").streaming_content)
    pdf = handler.get(base + "report.pdf")
    assert pdf["Content-Disposition"].startswith("attachment") and b"".join(pdf.streaming_content)[:4] == b"%PDF"
    lines = b"".join(handler.get(base + "findings.jsonl").streaming_content).splitlines()
    assert len(lines) == row.summary["counts"]["findings"] == len(read_rows(row.result))
    # Nothing plain of the evidence stays, and the family is a sign of the case.
    assert not (folder.of(row.result) / "evidence").exists()
    assert Sign.objects.filter(case=case, key="family:medusa", kind="family").count() == 1
    # The identify task has its proposal; a person finishes it.
    task = case.tasks.get(kind="identify_ransomware")
    assert task.done_at is None and 'value="Medusa"' in page


def test_a_case_without_files_or_ransom_words_has_no_job(consult, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        case = consult("複合機が印刷できません。至急お願いします。")
    assert not Analysis.objects.filter(case=case).exists()
    assert jobs() == 0
    assert service.enqueue(case.pk) is False
    assert service.take_up() == 0


def test_a_pasted_note_is_identified_without_any_file(consult, note):
    case = consult(f"次の文が画面に出ました。\n\n{note}\nどうすればよいですか。")
    row = service.analyse_now(case.pk)
    assert row.state == State.DONE
    assert (row.summary["words"]["verdict"], row.summary["words"]["family"]) == ("identified", "Medusa")
    assert row.summary["evidence"] == {}


def test_words_about_encryption_alone_name_no_family(consult):
    case = consult("ファイルが暗号化されたようで開けません。", incident="ransomware")
    row = service.analyse_now(case.pk)
    assert row.state == State.DONE
    assert row.summary["words"]["family"] is None
    assert row.summary["words"]["candidates"] == []


@pytest.mark.parametrize(("words", "family"), [
    ("すべてのファイルの拡張子が .lockbit になりました", "LockBit"),
    ("デスクトップに !!!READ_ME_MEDUSA!!!.txt があり、暗号化されています", "Medusa"),
    ("拡張子 .docx のファイルが開けなくなりました", None),
    ("取引先の www.lockbit.example から暗号化メールが来ました", None),
])
def test_names_that_the_asker_mentions_are_looked_at(consult, words, family):
    assert service.analyse_now(consult(words).pk).summary["words"]["family"] == family


def test_asking_ten_times_is_asking_once(consult, note):
    case = consult(note)
    for _ in range(10):
        assert service.enqueue(case.pk)
    assert jobs() == 1
    run_job()
    assert Analysis.objects.get(case=case).state == State.DONE
    assert jobs() == 0


def test_new_words_while_one_runs_lead_to_one_more(consult, note, monkeypatch):
    from hikeshi_desk.analysis import run

    case = consult(note)
    service.enqueue(case.pk)
    Analysis.objects.filter(case=case).update(state=State.RUNNING)
    for _ in range(3):
        service.enqueue(case.pk)
    assert jobs() == 1  # the one of the beginning
    read = run._read

    def read_while_more_comes(order, place):
        for _ in range(3):
            service.enqueue(case.pk)
        return read(order, place)

    monkeypatch.setattr(run, "_read", read_while_more_comes)
    work(case.pk)
    row = Analysis.objects.get(case=case)
    assert (row.state, row.again, jobs()) == (State.WAITING, False, 2)
    monkeypatch.setattr(run, "_read", read)
    run_job()
    run_job()
    row.refresh_from_db()
    assert (row.state, jobs()) == (State.DONE, 0)


def test_nobody_works_on_a_case_beside_another(consult, note):
    case = consult(note)
    service.enqueue(case.pk)
    with folder.only_one(case.pk) as mine:
        assert mine
        work(case.pk)
    row = Analysis.objects.get(case=case)
    assert (row.state, row.attempts) == (State.WAITING, 0)


def test_a_lost_signal_is_taken_up(consult):
    case = consult(files=[("auth.log", log_lines())])
    assert service.take_up() == 1
    assert service.take_up() == 0
    run_job()
    assert service.take_up() == 0
    consult("追加です", [("more.log", log_lines(7))], thread=_thread(case))
    assert service.take_up() == 1
    run_job()
    row = Analysis.objects.get(case=case)
    assert row.state == State.DONE and len(row.inputs) == 2


def test_a_finished_case_is_left_alone_until_its_asker_writes(consult):
    case = consult("拡張子が .lockbit になりました", [("auth.log", log_lines())])
    type(case).objects.filter(pk=case.pk).update(state="closed")
    assert service.take_up() == 0
    consult("まだ直りません", thread=_thread(case))
    assert service.take_up() == 1


def _thread(case):
    from hikeshi_desk.intake import receipt

    return receipt.hmac_of(case.code)


def test_after_three_starts_without_an_end_it_is_parked_and_can_be_tried_again(consult, handler, note):
    case = consult(note)
    service.enqueue(case.pk)
    # As three killed processes leave it.
    Analysis.objects.filter(case=case).update(state=State.RUNNING, attempts=3)
    work(case.pk)
    row = Analysis.objects.get(case=case)
    assert (row.state, row.problem) == (State.FAILED, "interrupted")
    assert Entry.objects.filter(act="analysis.failed").count() == 1
    page = handler.get(f"/desk/case/{case.pk}/").content.decode()
    assert "3回続けて途中で止まった" in page
    assert service.take_up() == 0  # parked means parked
    handler.post(f"/desk/case/{case.pk}/analysis/again/")
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.WAITING, 0)
    work(case.pk)
    row.refresh_from_db()
    assert (row.state, row.problem) == (State.DONE, "")


def test_a_fault_of_ours_parks_the_case_and_keeps_the_last_result(consult, handler, note, monkeypatch):
    from hikeshi_desk.analysis import run

    case = consult(note)
    before = service.analyse_now(case.pk)
    monkeypatch.setattr(run, "identify_words", lambda *_: 1 / 0)
    row = service.analyse_now(case.pk)
    assert (row.state, row.problem, row.result) == (State.FAILED, "fault", before.result)
    assert folder.of(before.result).is_dir()
    page = handler.get(f"/desk/case/{case.pk}/").content.decode()
    assert "プログラムの誤り" in page and "前回" in page


def test_newer_knowledge_asks_again_and_tells_what_changed(consult, handler, note, tmp_path, monkeypatch):
    case = consult(note)
    row = service.analyse_now(case.pk)
    assert service.refresh_stale() == 0
    # As an older pack would have left it.
    row.summary["words"] |= {"verdict": "identified", "family": "Akira"}
    row.save()
    more = tmp_path / "pack"
    more.mkdir()
    (more / "families.toml").write_text("# one more\n")
    monkeypatch.setattr(knowledge, "FOLDERS", [*knowledge.FOLDERS, more])
    assert service.refresh_stale() == 1
    assert service.refresh_stale() == 0
    run_job()
    row.refresh_from_db()
    assert row.state == State.DONE and row.change["before"]["family"] == "Akira"
    assert service.refresh_stale() == 0
    page = handler.get(f"/desk/case/{case.pk}/").content.decode()
    assert "答えが変わりました" in page and "Akira → Medusa" in page
    # An older notice can't confirm a newer one.
    handler.post(f"/desk/case/{case.pk}/analysis/confirm/", {"at": "2020-01-01"})
    row.refresh_from_db()
    assert row.change
    handler.post(f"/desk/case/{case.pk}/analysis/confirm/", {"at": row.change["at"]})
    row.refresh_from_db()
    assert row.change == {}
    entry = Entry.objects.get(act="analysis.confirmed")
    assert (entry.detail["before"], entry.detail["after"]) == ("Akira", "Medusa")


def test_an_imported_pack_asks_again_and_its_removal_too(consult, note, tmp_path, monkeypatch):
    monkeypatch.setenv("HIKESHI_KNOWLEDGE", str(tmp_path / "knowledge"))
    row = service.analyse_now(consult(note).pk)
    own = row.knowledge
    key = tmp_path / "key"
    installed.trust(make_key(key))
    assert service.refresh_stale() == 0  # a key alone answers nothing
    (tmp_path / "a.hkpack").write_bytes(build(Input(), name="Test", key=key))
    admit(tmp_path / "a.hkpack")
    assert service.refresh_stale() == 1
    run_job()
    row.refresh_from_db()
    assert row.state == State.DONE and row.knowledge not in ("", own)
    assert service.refresh_stale() == 0
    installed.remove()
    assert service.refresh_stale() == 1
    run_job()
    row.refresh_from_db()
    assert row.knowledge == own


def test_newer_knowledge_with_the_same_answer_tells_nothing(consult, note, tmp_path, monkeypatch):
    case = consult(note)
    row = service.analyse_now(case.pk)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "x.toml").write_text("")
    monkeypatch.setattr(knowledge, "FOLDERS", [*knowledge.FOLDERS, tmp_path / "pack"])
    acts = Entry.objects.count()
    service.refresh_stale()
    run_job()
    first, result = row.knowledge, row.result
    row.refresh_from_db()
    assert row.knowledge != first and row.result != result
    assert row.change == {} and Entry.objects.count() == acts


def test_findings_that_newer_knowledge_adds_are_told(consult, incident):
    case = consult(files=[("Security.evtx", (incident / "RDS01/Security.evtx").read_bytes())])
    row = service.analyse_now(case.pk)
    kept = read_rows(row.result)
    assert len(kept) > 2
    folder.write(folder.of(row.result) / folder.PAGE, folder.lines(kept[2:]))
    Analysis.objects.filter(case=case).update(knowledge="older")
    row = service.analyse_now(case.pk)
    assert row.change["added"] == 2


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.log", bytes(300_000_000))
    return out.getvalue()


def test_hostile_evidence_is_named_and_the_rest_is_read(consult, incident, settings):
    event_log = (incident / "FS01/Security.evtx").read_bytes()
    torn = event_log[:70_000] + bytes(3_000) + event_log[75_000:90_000]
    case = consult(files=[("bomb.zip", bomb()), ("torn.zip", b"PK\x03\x04torn"), ("empty.log", b""),
                          ("Security.evtx", torn), ("head.evtx", event_log[:100]), ("auth.log", log_lines()),
                          ("gone.log", b"will be gone\n")])
    store.place_of(case.attachments.get(name="gone.log").sha256).unlink()
    row = service.analyse_now(case.pk)
    assert (row.state, row.summary["counts"]["given"]) == (State.DONE, 7)
    named = {one["name"].partition("!/")[0] for one in row.summary["not_read"]}
    assert {"bomb.zip", "torn.zip", "gone.log"} <= named
    assert row.summary["counts"]["records"] > 5  # the five lines, and what was whole of the torn log


def test_ten_thousand_names_fit(consult):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(10_000):
            archive.writestr(f"folder/帳票{number:05}.txt", b"")
    row = service.analyse_now(consult(files=[("many.zip", out.getvalue())]).pk)
    assert row.state == State.DONE
    assert row.summary["counts"]["files"] == 10_000


def test_names_are_data(consult):
    names = ["../../etc/passwd", "a\tb\x1b[31m.log", "\u202egpj.exe.log", ".hidden", "..", "CON", "x" * 255,
             "Security.evtx", "Security.evtx", "日本語 ファイル.log"]
    case = consult(files=[(name, log_lines(n + 1)) for n, name in enumerate(names)])
    row = service.analyse_now(case.pk)
    assert row.state == State.DONE and row.summary["counts"]["files"] == len(names)
    assert row.summary["counts"]["records"] == sum(range(1, len(names) + 1))


def test_the_summary_fits_however_large_the_case():
    from hikeshi_desk.analysis import summary

    row = {"name": "名" * 300, "ja": "語" * 300, "en": "x" * 300}
    cut = summary.fitted({"top": [row] * 100, "hosts": [row] * 100, "not_read": [row] * 100, "evidence": {"family": "A"}})
    assert len(json.dumps(cut, ensure_ascii=False).encode()) <= summary.LARGEST
    assert cut["evidence"] == {"family": "A"}


def test_results_nobody_names_go_after_a_day_and_others_stay(consult):
    import os
    import uuid

    row = service.analyse_now(consult("拡張子が .lockbit になりました").pk)
    left, fresh = folder.of(uuid.uuid4()), folder.of(uuid.uuid4())
    for path in (left, fresh):
        path.mkdir()
    for path in (left, folder.of(row.result)):
        os.utime(path, (1, 1))
    service.take_up()
    assert not left.exists() and fresh.exists() and folder.of(row.result).exists()

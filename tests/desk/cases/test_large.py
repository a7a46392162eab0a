"""A large submission: its words at once, its files behind them, nothing lost or doubled whenever it stops."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from django.conf import settings

from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import acts, opening, signals, store
from hikeshi_desk.cases.models import Attachment, Case, Message, Rank
from hikeshi_desk.cases.opening import begin, file_large, open_submission, open_waiting
from hikeshi_desk.intake import spool
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.submit import Payload, submit

pytestmark = pytest.mark.django_db
CONTENTS = [bytes([letter]) * 2000 for letter in b"abca"]  # the first and the last are the same file, sent twice


@pytest.fixture(autouse=True)
def a_low_bar(monkeypatch):
    monkeypatch.setattr(opening, "AT_ONCE", 4000)


@pytest.fixture
def large(incoming_file):
    def send(**fields) -> Submission:
        files = [incoming_file(f"{number}.bin", content) for number, content in enumerate(CONTENTS)]
        payload = Payload(channel="web", **{"what": "大きなファイルを送ります", "request": "first_steps", **fields})
        return Submission.objects.get(pk=submit(payload, files, idempotency_key="k" * 16).submission_id)
    return send


@pytest.fixture
def heard(monkeypatch):
    told: list[str] = []
    receivers = {}
    for name in ("case_opened", "case_heard", "case_filed", "case_urgent"):
        receivers[name] = lambda name=name, **_: told.append(name)
        getattr(signals, name).connect(receivers[name])
    yield told
    for name, receiver in receivers.items():
        getattr(signals, name).disconnect(receiver)


def sealed() -> set[str]:
    return {path.stem for path in Path(settings.EVIDENCE).glob("??/*.age")}


def is_whole(case: Case) -> bool:
    rows = case.attachments.order_by("name")
    return [(row.name, store.open_content(row.sha256).read()) for row in rows] == [
        (f"{number}.bin", content) for number, content in enumerate(CONTENTS)]


def test_the_words_are_a_case_at_once_and_urgent_ones_call_before_any_file_is_sealed(
        large, heard, monkeypatch, django_capture_on_commit_callbacks):
    def not_now(*_):
        raise AssertionError("sealed while the sender waits")

    sent = large(incident="ransomware")
    with monkeypatch.context() as patch, django_capture_on_commit_callbacks(execute=True):
        patch.setattr(store, "keep", not_now)
        case = begin(sent).case
    assert heard == ["case_opened", "case_urgent"] and case.rank == Rank.URGENT
    assert case.messages.get().body == "大きなファイルを送ります" and not case.attachments.exists()
    sent.refresh_from_db()
    assert sent.opened_at is None
    with django_capture_on_commit_callbacks(execute=True):
        assert file_large() == 1 and file_large() == 0
    assert heard == ["case_opened", "case_urgent", "case_filed"]
    sent.refresh_from_db()
    assert sent.opened_at and is_whole(case)
    assert not (spool.folder_of(sent.pk) / "files").exists()
    assert Entry.objects.get(act="case.opened").detail["files"] == len(CONTENTS)


def test_a_small_one_is_whole_at_once(incoming_file, heard, django_capture_on_commit_callbacks):
    submit(Payload(channel="web", what="小"), [incoming_file("a", b"x" * 3000)], idempotency_key="k" * 16)
    with django_capture_on_commit_callbacks(execute=True):
        assert begin(Submission.objects.get()).attachments.count() == 1
    assert heard == ["case_opened"] and Submission.objects.get().opened_at and file_large() == 0


@pytest.mark.parametrize("stopped_at", range(4))
@pytest.mark.parametrize("where", ["seal", "attach", "unlink"])
def test_a_stop_at_any_file_is_made_good_and_doubles_nothing(
        large, monkeypatch, stopped_at, where, django_capture_on_commit_callbacks):
    sent = large()
    original = {"seal": store.keep, "attach": opening._attach, "unlink": Path.unlink}[where]
    count = iter(range(1000))

    def stops(*given, **named):
        is_meant = where != "unlink" or given[0].name in ("0001", "0002", "0003", "0004")
        if is_meant and next(count) == stopped_at:
            raise OSError(28, "No space left on device")
        return original(*given, **named)

    holder, name = {"seal": (store, "keep"), "attach": (opening, "_attach"), "unlink": (Path, "unlink")}[where]
    with monkeypatch.context() as patch:
        patch.setattr(holder, name, stops)
        with pytest.raises(OSError, match="No space"), django_capture_on_commit_callbacks(execute=True):
            open_submission(sent)
    with django_capture_on_commit_callbacks(execute=True):
        assert open_waiting() + file_large(stuck=True) <= 1
    sent.refresh_from_db()
    assert sent.opened_at and Case.objects.count() == Message.objects.count() == 1 and is_whole(Case.objects.get())
    opening.clear_opened()
    assert not spool.left_files()


def test_one_with_a_problem_waits_for_the_round_and_is_not_tried_every_two_seconds(large, monkeypatch):
    sent = large()
    tried = []
    with monkeypatch.context() as patch:
        patch.setattr(store, "keep", lambda *given: tried.append(given) or 1 / 0)
        assert [file_large() for _ in range(3)] == [0, 0, 0] and len(tried) == 1
        assert file_large(stuck=True) == 0 and len(tried) == 2
    assert "ZeroDivisionError" in Submission.objects.get(pk=sent.pk).problem and Message.objects.count() == 1
    assert file_large(stuck=True) == 1 and Submission.objects.get(pk=sent.pk).problem == ""


def test_each_file_leaves_the_spool_before_the_next_is_sealed(large, monkeypatch):
    """So that the spool and the store together never hold more than one file twice."""
    sent, original, seen = large(), store.keep, []

    def watching(path, sha256, size):
        in_spool = {hashlib.sha256(one.read_bytes()).hexdigest() for one in path.parent.iterdir()}
        seen.append((len(list(path.parent.iterdir())), len(in_spool & sealed()) - (sha256 in sealed())))
        return original(path, sha256, size)

    monkeypatch.setattr(store, "keep", watching)
    monkeypatch.setattr("django.db.transaction.on_commit", lambda act: act())
    open_submission(sent)
    # The first file, sealed, is still in the spool once more under its second name.
    assert [left for left, _ in seen] == [4, 3, 2, 1] and all(twice <= 1 for _, twice in seen)
    assert is_whole(Case.objects.get())


def test_a_follow_up_with_large_files_is_heard_at_once_and_the_case_may_end_meanwhile(
        consult, thread, large, handler, heard, django_capture_on_commit_callbacks):
    case = consult("最初")
    with django_capture_on_commit_callbacks(execute=True):
        message = begin(large(thread=thread(case)))
    assert message.case == case and heard == ["case_heard"]
    acts.close(case, handler, reason="確認済み")
    assert file_large() == 1 and is_whole(case) and Case.objects.count() == 1


def test_a_damaged_large_file_keeps_the_words_and_says_so(large, handler, client):
    sent = large()
    (spool.folder_of(sent.pk) / "files" / "0002").write_bytes(os.urandom(2000))
    assert open_waiting() == 1 and file_large() == 0
    case = Case.objects.get()
    assert [row.name for row in Attachment.objects.all()] == ["0.bin"]
    client.force_login(handler)
    assert "まだ保管できていません" in client.get(f"/desk/case/{case.pk}/").content.decode()


def test_the_desk_sees_that_files_follow(large, handler, client):
    case = begin(large()).case
    client.force_login(handler)
    assert "添付ファイルを保管しています" in client.get(f"/desk/case/{case.pk}/").content.decode()
    file_large()
    page = client.get(f"/desk/case/{case.pk}/").content.decode()
    assert "保管しています" not in page and "3.bin" in page

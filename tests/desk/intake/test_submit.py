"""submit(): on the disk, then in the database, then the answer."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid

import pytest
from django.conf import settings
from django.db import OperationalError

from hikeshi_desk.intake import spool
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.receipt import hmac_of
from hikeshi_desk.intake.submit import IncomingFile, NotAccepted, Payload, replay, submit

KEY = "a-key-of-this-test-0001"


@pytest.fixture(autouse=True)
def own_spool(tmp_path, settings):
    settings.SPOOL = tmp_path / "spool"
    return settings.SPOOL


def arrived(content: bytes = b"log line\n", name: str = "access.log") -> IncomingFile:
    path = spool.incoming() / uuid.uuid4().hex
    path.write_bytes(content)
    return IncomingFile(name, path, hashlib.sha256(content).hexdigest(), len(content))


def said(what: str = "ファイルが開けません", **more: object) -> Payload:
    return Payload(channel="web", what=what, **more)


@pytest.mark.django_db
def test_what_was_sent_lies_in_the_spool_and_has_a_row_and_a_code():
    payload = said(facts={"found_on": "2026-11-20"}, hypothesis=("VPNから入られた",), incident="ransomware")
    accepted = submit(payload, [arrived(), arrived(b"note", "../../etc/メモ.txt")], idempotency_key=KEY)

    kept, files = spool.read(accepted.submission_id)
    assert kept == payload
    assert [file.name for file in files] == ["access.log", "../../etc/メモ.txt"]
    assert [file.path.name for file in files] == ["0001", "0002"]
    assert files[1].path.read_bytes() == b"note"
    row = Submission.objects.get(pk=accepted.submission_id)
    assert row.receipt == hmac_of(accepted.receipt_code)
    assert not accepted.duplicate
    assert list(spool.incoming().iterdir()) == []


@pytest.mark.django_db
def test_the_code_and_the_key_are_written_nowhere():
    accepted = submit(said(), idempotency_key=KEY)
    letters = accepted.receipt_code.replace("-", "")
    everything = b"".join(path.read_bytes() for path in settings.SPOOL.rglob("*") if path.is_file())
    everything += json.dumps(list(Submission.objects.values()), default=str).encode()
    assert accepted.submission_id.hex.encode() in everything.replace(b"-", b"")
    for secret in (accepted.receipt_code, letters, KEY):
        assert secret.encode() not in everything


@pytest.mark.django_db
def test_the_same_thing_twice_is_one_submission_with_the_same_code():
    first = submit(said(), [arrived()], idempotency_key=KEY)
    second = submit(said(), [arrived()], idempotency_key=KEY)
    assert (second.submission_id, second.receipt_code, second.duplicate) == (first.submission_id, first.receipt_code, True)
    assert Submission.objects.count() == 1
    assert list(spool.folders()) == [first.submission_id]


@pytest.mark.django_db
@pytest.mark.parametrize("other", ["what", "file", "file name"])
def test_the_same_key_with_another_content_is_kept_as_well_and_has_another_code(other):
    first = submit(said(), [arrived()], idempotency_key=KEY)
    second = submit(said("別の相談" if other == "what" else "ファイルが開けません"),
                    [arrived(b"else" if other == "file" else b"log line\n",
                             "b.log" if other == "file name" else "access.log")], idempotency_key=KEY)
    assert not second.duplicate
    assert second.submission_id != first.submission_id
    assert second.receipt_code != first.receipt_code


@pytest.mark.django_db
def test_another_key_is_another_submission_with_another_code():
    first, second = (submit(said(), idempotency_key=key) for key in (KEY, KEY + "x"))
    assert second.submission_id != first.submission_id
    assert second.receipt_code != first.receipt_code


@pytest.mark.django_db
def test_a_follow_up_carries_its_threads_receipt_and_gets_no_code():
    first = submit(said(), idempotency_key=KEY)
    thread = hmac_of(first.receipt_code)
    follow_up = submit(said("追加です", thread=thread), idempotency_key=KEY)
    assert follow_up.receipt_code is None
    assert Submission.objects.get(pk=follow_up.submission_id).receipt == thread


@pytest.mark.django_db
def test_a_short_key_and_an_unknown_channel_are_refused_before_anything_is_written():
    with pytest.raises(ValueError, match="16"):
        submit(said(), idempotency_key="short")
    with pytest.raises(ValueError, match="fax"):
        submit(Payload(channel="fax"), idempotency_key=KEY)
    assert not settings.SPOOL.exists()


@pytest.mark.django_db
def test_two_at_the_same_moment_are_one_submission(monkeypatch):
    """Neither sees the other's row first; the database's rule decides."""
    monkeypatch.setattr("hikeshi_desk.intake.submit._known", lambda key: None)
    first = submit(said(), [arrived()], idempotency_key=KEY)
    second = submit(said(), [arrived()], idempotency_key=KEY)
    assert second.duplicate
    assert second.submission_id == first.submission_id
    assert second.receipt_code == first.receipt_code
    assert list(spool.folders()) == [first.submission_id]


@pytest.mark.django_db
def test_replay_makes_the_missing_row_once():
    accepted = submit(said(), [arrived()], idempotency_key=KEY)
    before = Submission.objects.values().get()
    Submission.objects.all()._raw_delete("default")
    assert replay() == 1
    assert Submission.objects.values().get() == before
    assert replay() == 0
    assert submit(said(), [arrived()], idempotency_key=KEY).submission_id == accepted.submission_id


@pytest.mark.django_db
def test_replay_of_two_folders_of_one_key_keeps_one(monkeypatch):
    accepted = submit(said(), idempotency_key=KEY)
    folder = spool.folder_of(accepted.submission_id)
    twin = uuid.uuid4()
    shutil.copytree(folder, spool.folder_of(twin))
    assert replay() == 0
    assert list(spool.folders()) == [accepted.submission_id]


@pytest.mark.django_db
def test_replay_steps_over_a_folder_it_cannot_read_and_leaves_it():
    broken = uuid.uuid4()
    spool.folder_of(broken).mkdir(parents=True)
    (spool.folder_of(broken) / "payload.json").write_text("{ half")
    accepted = submit(said(), idempotency_key=KEY)
    Submission.objects.all()._raw_delete("default")
    assert replay() == 1
    assert Submission.objects.get().pk == accepted.submission_id
    assert spool.folder_of(broken).exists()


@pytest.mark.django_db
def test_replay_removes_only_what_was_left_long_ago():
    young, old = spool.incoming() / "young", spool.incoming() / "old"
    half = settings.SPOOL / f".new-{uuid.uuid4()}"
    for path in (young, old):
        path.write_bytes(b"part")
    half.mkdir()
    for path in (old, half):
        os.utime(path, (1, 1))
    replay()
    assert young.exists()
    assert not old.exists()
    assert not half.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("nth", range(1, 7))
@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC])
def test_a_failed_fsync_gives_no_acknowledgement_and_is_not_tried_again(monkeypatch, nth, fault):
    spool.incoming()  # the folder exists: six fsyncs are left (two files, payload, files/, folder, spool)
    calls = []
    real = os.fsync

    def fails(handle):
        calls.append(handle)
        if len(calls) == nth:
            raise OSError(fault, os.strerror(fault))
        real(handle)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(NotAccepted):
        submit(said(), [arrived(), arrived(b"2")], idempotency_key=KEY)
    assert len(calls) == nth
    assert Submission.objects.count() == 0
    assert list(spool.folders()) == []
    monkeypatch.setattr(os, "fsync", real)
    assert not submit(said(), [arrived(), arrived(b"2")], idempotency_key=KEY).duplicate


@pytest.mark.django_db
def test_exactly_six_things_are_synced_and_the_spool_last(monkeypatch):
    spool.incoming()
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    accepted = submit(said(), [arrived(), arrived(b"2")], idempotency_key=KEY)
    folder = spool.folder_of(accepted.submission_id)
    wanted = [folder / "files/0001", folder / "files/0002", folder / "payload.json", folder / "files", folder, settings.SPOOL]
    assert synced == [path.stat().st_ino for path in wanted]


@pytest.mark.django_db
def test_a_file_that_is_not_whole_is_not_acknowledged():
    file = arrived(b"whole content")
    file.path.write_bytes(b"whole con")
    with pytest.raises(NotAccepted):
        submit(said(), [file], idempotency_key=KEY)
    assert list(spool.folders()) == []


@pytest.mark.django_db
def test_a_locked_database_does_not_stop_intake(monkeypatch):
    def locked(self, **kwargs):
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(Submission, "save", locked)
        accepted = submit(said(), [arrived()], idempotency_key=KEY)
    assert Submission.objects.count() == 0
    assert replay() == 1
    assert Submission.objects.get().receipt == hmac_of(accepted.receipt_code)


@pytest.mark.django_db
def test_half_a_character_is_kept():
    accepted = submit(said("壊れた\ud83d文字 \0"), idempotency_key=KEY)
    assert spool.read(accepted.submission_id)[0].what == "壊れた\ud83d文字 \0"

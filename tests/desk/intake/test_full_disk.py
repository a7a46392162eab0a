"""A disk that is really full: said, nothing acknowledged is lost, and it goes on once there is room."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess

import pytest
from django.core.files.uploadhandler import StopUpload

from hikeshi_desk import config
from hikeshi_desk.intake import parts, spool
from hikeshi_desk.intake.submit import NotAccepted, Payload, submit
from hikeshi_desk.intake.upload import SpoolUploadHandler

SIZE = 6 << 20


@pytest.fixture
def small_disk(tmp_path, settings, monkeypatch):
    place = tmp_path / "small"
    place.mkdir()
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    settings.SPOOL = place / "spool"
    settings.SPOOL.mkdir()
    monkeypatch.setattr(config, "load", lambda path: {"limits": {"free_disk_gib": 0}})
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.django_db
def test_a_part_that_does_not_fit_is_refused_and_sent_again_when_there_is_room(small_disk):
    content = os.urandom(SIZE)
    row, _ = parts.begin(SIZE, hashlib.sha256(content).hexdigest())
    parts.append(row, 0, 1 << 20, io.BytesIO(content))
    filler = small_disk / "filler"
    with filler.open("wb") as out, pytest.raises(OSError, match="No space"):
        while True:
            out.write(bytes(1 << 20))
            out.flush()
    with pytest.raises(parts.Refused, match="disk") as refused:
        parts.append(row, 1 << 20, SIZE - (1 << 20), io.BytesIO(content[1 << 20:]))
    assert refused.value.offset == 1 << 20
    with pytest.raises(NotAccepted):
        submit(Payload(channel="api", what="x" * 4_000_000), idempotency_key="a-key-of-this-test-0001")
    assert not list(spool.folders())
    filler.unlink()
    assert parts.append(row, 1 << 20, SIZE - (1 << 20), io.BytesIO(content[1 << 20:])) == SIZE
    parts.finish(row)
    accepted = submit(Payload(channel="api", what="x"), parts.as_files([(row, "a")]), idempotency_key="a-key-of-this-test-0002")
    assert spool.read(accepted.submission_id)[1][0].path.read_bytes() == content


@pytest.mark.django_db
def test_what_can_t_fit_is_refused_before_it_is_sent(small_disk):
    with pytest.raises(parts.Refused, match="disk"):
        parts.begin(12 << 20, "0" * 64)


def _arriving(sizes: list[int]) -> list:
    handler = SpoolUploadHandler()
    handler.handle_raw_input(None, {}, sum(sizes), b"")
    found = []
    for number, size in enumerate(sizes):
        handler.new_file("files", f"{number}.bin", "application/octet-stream", None)
        for start in range(0, size, 1 << 20):
            handler.receive_data_chunk(os.urandom(min(1 << 20, size - start)), start)
        found.append(handler.file_complete(size).incoming)
    return found


@pytest.mark.django_db
def test_of_several_files_only_the_largest_needs_its_size_twice(
        small_disk, settings, monkeypatch):
    from hikeshi_desk.cases import opening
    from hikeshi_desk.intake.models import Submission

    settings.EVIDENCE = small_disk / "evidence"
    monkeypatch.setattr(opening, "AT_ONCE", 1000)
    monkeypatch.setattr("django.db.transaction.on_commit", lambda act: act())
    files = _arriving([7 << 19, 7 << 19, 7 << 19])  # 10.5 MiB on a disk of 16: once, and 3.5 more
    accepted = submit(Payload(channel="web", what="x"), files, idempotency_key="a-key-of-this-test-0003")
    message = opening.open_submission(Submission.objects.get(pk=accepted.submission_id))
    assert message.attachments.count() == 3


def test_one_file_that_could_not_be_sealed_beside_itself_is_refused_on_the_way(small_disk, monkeypatch):
    with pytest.raises(StopUpload):
        _arriving([21 << 19])
    monkeypatch.setattr("hikeshi_desk.intake.upload.LOOK_EVERY", 1 << 20)
    with pytest.raises(StopUpload):
        _arriving([21 << 19])
    assert not list(spool.incoming().iterdir())

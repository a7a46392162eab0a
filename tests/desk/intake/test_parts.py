"""Uploads in parts: what was acknowledged is on the disk; a stop at any point loses none of it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from hikeshi_desk import config
from hikeshi_desk.intake import limits, parts, spool
from hikeshi_desk.intake import steps as steps_of
from hikeshi_desk.intake.models import Submission, Upload
from hikeshi_desk.intake.submit import NotAccepted, Payload, submit

CONTENT = os.urandom(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEY = "a-key-of-this-test-0001"


@pytest.fixture(autouse=True)
def own_spool(tmp_path, settings):
    settings.SPOOL = tmp_path / "spool"
    return settings.SPOOL


@pytest.fixture
def limited(monkeypatch):
    def limit(**told: object) -> None:
        monkeypatch.setattr(config, "load", lambda path: {"limits": told})
    return limit


def arrived(content: bytes = CONTENT) -> Upload:
    row, _ = parts.begin(len(content), hashlib.sha256(content).hexdigest())
    parts.append(row, 0, len(content), io.BytesIO(content))
    parts.finish(row)
    return row


@pytest.mark.django_db
def test_parts_become_one_file_of_a_submission():
    row, key = parts.begin(len(CONTENT), SHA256)
    for start in range(0, len(CONTENT), 33_000):
        part = CONTENT[start:start + 33_000]
        assert parts.append(parts.find(row.pk, key), start, len(part), io.BytesIO(part)) == start + len(part)
    row = parts.find(row.pk, key)
    parts.finish(row)
    parts.finish(row)
    accepted = submit(Payload(channel="api", what="x"), parts.as_files([(row, "../証拠.tar")]), idempotency_key=KEY)
    parts.use([row])
    _, files = spool.read(accepted.submission_id)
    assert files[0].name == "../証拠.tar" and files[0].path.read_bytes() == CONTENT
    assert list((settings.SPOOL / "uploads").iterdir()) == []
    again = submit(Payload(channel="api", what="x"), parts.as_files([(row, "../証拠.tar")]), idempotency_key=KEY)
    assert again.duplicate and again.receipt_code == accepted.receipt_code
    with pytest.raises(NotAccepted):
        submit(Payload(channel="api", what="other"), parts.as_files([(row, "x")]), idempotency_key=KEY)


@pytest.mark.django_db
def test_the_key_opens_it_and_is_not_kept():
    row, key = parts.begin(3, SHA256)
    assert key not in str(Upload.objects.values()) and parts.find(row.pk, key) == row
    for upload, wrong in ((row.pk, "x" * 43), (row.pk, ""), (uuid.uuid4(), key)):
        with pytest.raises(parts.Refused, match="unknown"):
            parts.find(upload, wrong)


@pytest.mark.django_db
@pytest.mark.parametrize(("offset", "length", "reason"), [
    (1, 10, "offset"), (0, 100_001, "part"), (0, parts.LONGEST_PART + 1, "part"), (100_000, 1, "offset")])
def test_a_part_elsewhere_or_too_long_is_refused_with_where_to_go_on(offset, length, reason):
    row, _ = parts.begin(len(CONTENT), SHA256)
    with pytest.raises(parts.Refused, match=reason) as refused:
        parts.append(row, offset, length, io.BytesIO(CONTENT))
    assert refused.value.offset == 0 and Upload.objects.get().offset == 0


@pytest.mark.django_db
def test_what_came_before_the_line_broke_is_kept():
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= 50_000:
                raise OSError("reset")
            return super().read(min(size or 0, 50_000))

    row, _ = parts.begin(len(CONTENT), SHA256)
    assert parts.append(row, 0, len(CONTENT), Broken(CONTENT)) == 50_000
    assert parts.append(row, 50_000, 50_000, io.BytesIO(CONTENT[50_000:])) == 100_000
    parts.finish(row)


@pytest.mark.django_db
def test_two_at_once_do_not_mix():
    row, _ = parts.begin(len(CONTENT), SHA256)

    class Other(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if not self.tell():
                with pytest.raises(parts.Refused, match="busy"):
                    parts.append(Upload.objects.get(), 0, 10, io.BytesIO(b"0123456789"))
            return super().read(size)

    parts.append(row, 0, len(CONTENT), Other(CONTENT))
    parts.finish(row)


@pytest.mark.django_db
def test_an_incomplete_or_changed_file_is_no_file():
    row, _ = parts.begin(len(CONTENT), SHA256)
    parts.append(row, 0, 10, io.BytesIO(CONTENT))
    with pytest.raises(parts.Refused, match="short") as short:
        parts.finish(row)
    assert short.value.offset == 10
    with pytest.raises(parts.Refused, match="short"):
        parts.as_files([(row, "x")])
    wrong = bytes(len(CONTENT) - 10)
    parts.append(row, 10, len(wrong), io.BytesIO(wrong))
    with pytest.raises(parts.Refused, match="hash"):
        parts.finish(row)
    parts.append(row, 0, len(CONTENT), io.BytesIO(CONTENT))  # from the beginning again
    parts.finish(row)


@pytest.mark.django_db
def test_an_empty_file_is_one():
    assert parts.as_files([(arrived(b""), "empty")])[0].size == 0


@pytest.mark.django_db
def test_limits_are_the_operator_s(limited, monkeypatch):
    limited(largest_upload_gib=0.00001, upload_sessions=1)
    with pytest.raises(parts.Refused, match="too_large"):
        parts.begin(20_000, SHA256)
    parts.begin(10_000, SHA256)
    with pytest.raises(parts.Refused, match="too_many"):
        parts.begin(1, SHA256)
    limited(free_disk_gib=1_000_000)
    with pytest.raises(parts.Refused, match="disk"):
        parts.begin(1, SHA256)


@pytest.mark.parametrize("told", [{"largest": 1}, {"upload_sessions": "many"}, {"upload_sessions": 1.5},
                                  {"free_disk_gib": -1}, {"largest_upload_gib": True}])
def test_a_limit_that_is_none_stops_the_start(limited, told):
    limited(**told)
    with pytest.raises(limits.ImproperlyConfigured, match="desk.toml"):
        limits.limits()


@pytest.mark.django_db
def test_what_nobody_touched_for_seven_days_goes_and_nothing_else(tmp_path):
    old, young = parts.begin(10, SHA256)[0], parts.begin(10, SHA256)[0]
    Upload.objects.filter(pk=old.pk).update(touched_at=timezone.now() - timedelta(days=7, minutes=1))
    Upload.objects.filter(pk=young.pk).update(touched_at=timezone.now() - timedelta(days=6, hours=23))
    stray = settings.SPOOL / "uploads" / str(uuid.uuid4())
    stray.write_bytes(b"")
    assert parts.sweep() == 1 and spool.sweep() == 0
    assert list(Upload.objects.all()) == [young] and stray.exists()
    assert {path.name for path in (settings.SPOOL / "uploads").iterdir()} == {str(young.pk), stray.name}
    os.utime(stray, (0, 0))
    assert parts.sweep() == 1 and not stray.exists()


@pytest.mark.django_db
def test_a_submission_that_failed_half_way_leaves_the_upload_to_try_again(monkeypatch):
    row = arrived()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(spool, "_sync_file", full)
        with pytest.raises(NotAccepted):
            submit(Payload(channel="api", what="x"), parts.as_files([(row, "a")]), idempotency_key=KEY)
    assert not Submission.objects.exists()
    submit(Payload(channel="api", what="x"), parts.as_files([(row, "a")]), idempotency_key=KEY)
    assert Submission.objects.count() == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the desk runs on Linux")
def test_killed_at_every_step_no_acknowledged_byte_is_lost(tmp_path):
    driver = Path(__file__).with_name("parts_driver.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HIKESHI_", "DATABASE_"))}
    environment |= {"HIKESHI_DATA": str(tmp_path / "data"), "DJANGO_SETTINGS_MODULE": "hikeshi_desk.settings",
                    "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    steps = [*(f"{step}:{nth}" for step in steps_of.PART_STEPS for nth in (1, 2, 3)),
             "begun", "files_moved", "files_synced", "folders_synced", "renamed"]
    run = subprocess.run([sys.executable, str(driver), *steps], env=environment, capture_output=True, text=True,
                         timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout.splitlines()[-1])
    # An exit of 9 is an acknowledged byte that was gone.
    assert told["ends"] == [-signal.SIGKILL] * len(steps) + [0], told
    assert told["whole"] and told["submissions"] == 1 and told["codes"] == 1 and told["left"] == 0, told

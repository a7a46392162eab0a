"""Uploads in parts: begun with size and hash, added to at an offset, finished, and then part of a submission.

SPOOL/uploads/<id> holds the bytes; the row says how many of them are on the disk for certain. A part is brought to
the disk before the row says so, and the row before the sender is told: whatever happens in between, the sender asks
for the offset and goes on from there. The key opens an upload; only its HMAC is kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from hikeshi_desk.intake.limits import has_room, limits
from hikeshi_desk.intake.models import Upload
from hikeshi_desk.intake.spool import IncomingFile, sync_folder
from hikeshi_desk.intake.steps import reached

LONGEST_PART = 64 << 20
KEPT = timedelta(days=7)  # an upload nobody touched for so long has nobody behind it
_BLOCK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Refused(Exception):
    """Not possible; `reason` is too_large, too_many, disk, unknown, offset, part, busy, short, hash or used.

    `offset` says where the upload stands, for those that can go on.
    """

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.offset = reason, offset


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def begin(size: int, sha256: str) -> tuple[Upload, str]:
    """A new upload and its key, told once. Raises Refused: too_large, too_many, disk."""
    if not 0 <= size <= limits().most_bytes or not _SHA256.fullmatch(sha256):
        raise Refused("too_large")
    if Upload.objects.filter(used_at=None).count() >= limits().upload_sessions:
        raise Refused("too_many")
    if not has_room(size, size):
        raise Refused("disk")
    key, now = secrets.token_urlsafe(32), timezone.now()
    row = Upload(key=_digest(key), size=size, sha256=sha256, created_at=now, touched_at=now)
    folder = _folder()
    try:
        path = folder / str(row.pk)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        sync_folder(folder)
    except OSError as error:
        raise Refused("disk") from error
    row.save(force_insert=True)
    return row, key


def find(upload: uuid.UUID, key: str) -> Upload:
    """The upload this key opens. Raises Refused("unknown") for a wrong id and a wrong key alike."""
    row = Upload.objects.filter(pk=upload).first()
    if not hmac.compare_digest(row.key if row else "", _digest(key)) or row is None:
        raise Refused("unknown")
    return row


def append(row: Upload, offset: int, length: int, source: _Readable) -> int:
    """Adds a part and gives the new offset; what arrived before the line broke is kept as well.

    Raises Refused: offset (with the right one), part (too long, or past the end), busy, disk, used.
    """
    with _alone(row) as out:
        if offset != row.offset:
            raise Refused("offset", row.offset)
        if length > LONGEST_PART or offset + length > row.size:
            raise Refused("part", row.offset)
        if not has_room(0):
            raise Refused("disk", row.offset)
        try:
            out.truncate(row.offset)  # what a killed writer left behind was never acknowledged
            out.seek(row.offset)
            taken = _copy(source, out, length)
            out.flush()
            reached("part_written")
            os.fsync(out.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                out.truncate(row.offset)
            raise Refused("disk", row.offset) from error
        reached("part_synced")
        row.offset, row.touched_at = row.offset + taken, timezone.now()
        row.save(update_fields=["offset", "touched_at"])
        reached("part_counted")
    return int(row.offset)


def finish(row: Upload) -> None:
    """All is here and has the hash that was promised. Doing so twice is doing so once.

    Raises Refused: short (with the offset), hash (the upload begins again at 0), busy, used.
    """
    if row.finished_at:
        return
    with _alone(row) as out:
        if row.offset != row.size:
            raise Refused("short", row.offset)
        out.seek(0)
        if hashlib.file_digest(out, "sha256").hexdigest() != row.sha256:
            row.offset, row.touched_at = 0, timezone.now()
            row.save(update_fields=["offset", "touched_at"])
            raise Refused("hash", 0)
        row.finished_at = row.touched_at = timezone.now()
        row.save(update_fields=["finished_at", "touched_at"])


def as_files(named: Iterable[tuple[Upload, str]]) -> tuple[IncomingFile, ...]:
    """Finished uploads under the names they were sent with. Raises Refused("short")."""
    found = []
    for row, name in named:
        if row.finished_at is None:
            raise Refused("short", row.offset)
        found.append(IncomingFile(name, _path(row), row.sha256, row.size))
    return tuple(found)


def use(rows: Iterable[Upload]) -> None:
    """A submission has taken these: their bytes are its own now. The rows stay, so that asking again gives the same."""
    rows = list(rows)
    for row in rows:
        _path(row).unlink(missing_ok=True)  # a second name of the same bytes, if the process ended at a bad moment
    Upload.objects.filter(pk__in=[row.pk for row in rows], used_at=None).update(used_at=timezone.now())


def drop(row: Upload) -> None:
    """The sender does not want it any more."""
    _path(row).unlink(missing_ok=True)
    row.delete()


def sweep() -> int:
    """Removes uploads that nobody touched for seven days, and files without a row; gives how many."""
    old, count = timezone.now() - KEPT, 0
    for row in Upload.objects.filter(touched_at__lt=old):
        _path(row).unlink(missing_ok=True)
        row.delete()
        count += 1
    folder = Path(settings.SPOOL) / "uploads"
    known = {str(pk) for pk in Upload.objects.values_list("pk", flat=True)}
    for path in folder.iterdir() if folder.exists() else ():
        with contextlib.suppress(FileNotFoundError):
            if path.name not in known and path.stat().st_mtime < old.timestamp():
                path.unlink()
                count += 1
    return count


@contextlib.contextmanager
def _alone(row: Upload) -> Iterator[BinaryIO]:
    """The upload's file, held by nobody else; the row as it is now. Raises Refused: busy, used."""
    try:
        file = _path(row).open("r+b")
    except FileNotFoundError as error:
        raise Refused("used", row.offset) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused("busy", row.offset) from error
        row.refresh_from_db()
        if row.used_at or row.finished_at:
            raise Refused("used", row.offset)
        yield file


def _copy(source: _Readable, out: BinaryIO, length: int) -> int:
    """Up to `length` bytes; fewer when the sender went away."""
    taken = 0
    read: Callable[[int], bytes] = source.read
    while taken < length:
        try:
            block = read(min(_BLOCK, length - taken))
        except OSError:  # the line broke; also Django's UnreadablePostError
            break
        if not block:
            break
        out.write(block)
        taken += len(block)
    return taken


def _folder() -> Path:
    folder = Path(settings.SPOOL) / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _path(row: Upload) -> Path:
    return _folder() / str(row.pk)


def _digest(key: str) -> str:
    return salted_hmac("hikeshi_desk.intake.parts", key, algorithm="sha256").hexdigest()

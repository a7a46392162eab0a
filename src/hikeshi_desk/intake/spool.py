"""The spool: everything that came in, as files, before the database knows of it.

SPOOL/<submission id>/payload.json and files/0001, 0002 …. A folder is made as .new-<id>, brought to the
disk, renamed and the rename brought to the disk: what stands under its id is whole. SPOOL/incoming holds
uploads that are still arriving.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from hikeshi_desk.intake.steps import reached

VERSION = 1
_STALE_S = 2 * 86_400  # an upload or a half-made folder untouched for so long has nobody behind it


class NotAccepted(Exception):
    """The disk did not take it. Nothing was acknowledged; sending again is safe."""


class Damaged(ValueError):
    """A spool folder that can't be read."""


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file that is on the disk already; its name is data and never a path."""

    name: str
    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Payload:
    """What was said. `thread` is the HMAC of an existing thread's receipt, or "" for a new consultation.

    `mail` holds message_id, in_reply_to, references, subject and from, for mail only.
    """

    channel: str
    language: str = "ja"
    what: str = ""
    request: str = ""
    incident: str = ""
    asker_kind: str = ""
    asker_name: str = ""
    contact: str = ""
    anonymous: bool = False
    on_behalf: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    hypothesis: tuple[str, ...] = ()
    thread: str = ""
    mail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the desk added: identity, time and the HMACs by which it is found again."""

    submission: uuid.UUID
    received_at: datetime
    key: str
    receipt: str
    sha256: str
    size: int


def folder_of(submission: uuid.UUID) -> Path:
    return Path(settings.SPOOL) / str(submission)


def incoming() -> Path:
    """Where uploads arrive; made when missing."""
    folder = Path(settings.SPOOL) / "incoming"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def digest_of(payload: Payload, files: Sequence[IncomingFile]) -> str:
    """SHA-256 over everything that was said and sent: equal for the same thing sent twice."""
    content = {"payload": _plain(payload), "files": [[file.name, file.sha256, file.size] for file in files]}
    return hashlib.sha256(_json(content, sort_keys=True)).hexdigest()


def write(envelope: Envelope, payload: Payload, files: Sequence[IncomingFile]) -> Path:
    """The folder, whole and on the disk. Raises NotAccepted; a failed fsync is never tried again."""
    spool = Path(settings.SPOOL)
    new, final = spool / f".new-{envelope.submission}", folder_of(envelope.submission)
    try:
        if not spool.exists():
            spool.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(spool.parent)
        _fill(new, envelope, payload, files)
        new.rename(final)
        reached("renamed")
        sync_folder(spool)
        reached("spooled")
        for file in files:
            file.path.unlink(missing_ok=True)
    except OSError as error:
        for left in (new, final):  # gives the space back; whatever stays was never acknowledged
            shutil.rmtree(left, ignore_errors=True)
        raise NotAccepted(f"the disk did not take it: {error.strerror or error}") from error
    return final


def _fill(new: Path, envelope: Envelope, payload: Payload, files: Sequence[IncomingFile]) -> None:
    inside = new / "files"
    new.mkdir(mode=0o700)
    inside.mkdir(mode=0o700)
    reached("begun")
    kept = [inside / f"{number:04d}" for number in range(1, len(files) + 1)]
    for file, place in zip(files, kept, strict=True):
        if file.path.stat().st_size != file.size:
            raise OSError(f"upload {place.name} is not whole")
        _take(file.path, place)
    reached("files_moved")
    for place in kept:
        _sync_file(place)
    reached("files_synced")
    content = {"version": VERSION, "submission": str(envelope.submission),
               "received_at": envelope.received_at.isoformat(), "key": envelope.key, "receipt": envelope.receipt,
               "sha256": envelope.sha256, "size": envelope.size, **_plain(payload),
               "files": [{"name": file.name, "sha256": file.sha256, "size": file.size} for file in files]}
    with (new / "payload.json").open("xb") as out:
        out.write(_json(content, indent=1))
        out.flush()
        os.fsync(out.fileno())
    reached("payload_written")
    sync_folder(inside)
    sync_folder(new)
    reached("folders_synced")


def read(submission: uuid.UUID) -> tuple[Payload, tuple[IncomingFile, ...]]:
    """What was sent. Files are listed even after they moved into the content store. Raises Damaged."""
    content = _content(folder_of(submission))
    try:
        names = {one.name for one in fields(Payload)}
        values = {name: value for name, value in content.items() if name in names}
        values["hypothesis"] = tuple(values.get("hypothesis", ()))
        files = tuple(IncomingFile(name=file["name"], sha256=file["sha256"], size=int(file["size"]),
                                   path=folder_of(submission) / "files" / f"{number:04d}")
                      for number, file in enumerate(content["files"], 1))
        return Payload(**values), files
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"spool folder {submission}: {error}") from error


def envelope_of(submission: uuid.UUID) -> Envelope:
    content = _content(folder_of(submission))
    try:
        return Envelope(submission=submission, received_at=datetime.fromisoformat(content["received_at"]),
                        key=content["key"], receipt=content["receipt"], sha256=content["sha256"],
                        size=int(content["size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"spool folder {submission}: {error}") from error


def folders() -> Iterator[uuid.UUID]:
    """Ids of all whole folders."""
    spool = Path(settings.SPOOL)
    if not spool.exists():
        return
    for path in sorted(spool.iterdir()):
        try:
            yield uuid.UUID(path.name)
        except ValueError:
            continue


def left_files() -> list[Path]:
    """The files' folders of whole submissions, as far as they still stand."""
    return [folder_of(one) / "files" for one in folders() if (folder_of(one) / "files").exists()]


def sweep() -> int:
    """Removes what nobody is behind any more: uploads and half-made folders untouched for two days."""
    old, count = time.time() - _STALE_S, 0
    for path in (*Path(settings.SPOOL).glob(".new-*"), *incoming().iterdir()):
        try:
            if path.stat().st_mtime < old:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                count += 1
        except FileNotFoundError:
            continue
    return count


def _take(path: Path, place: Path) -> None:
    """One more name for the same bytes: until the submission stands, a second attempt still finds its file."""
    try:
        os.link(path, place)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK):
            raise
        path.replace(place)  # a file system without links, or another one


def sync_folder(path: Path) -> None:
    """A folder's names on the disk. Windows keeps no handle on folders and writes names through."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_file(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _content(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / "payload.json").read_bytes())
    except (OSError, ValueError) as error:
        raise Damaged(f"spool folder {folder.name}: {error}") from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise Damaged(f"spool folder {folder.name}: unknown version")
    return content


def _plain(payload: Payload) -> dict[str, Any]:
    return asdict(payload)


def _json(value: object, *, indent: int | None = None, sort_keys: bool = False) -> bytes:
    # ASCII only: half a character from a hostile mail is written as its escape, kept and not refused.
    return json.dumps(value, ensure_ascii=True, indent=indent, sort_keys=sort_keys).encode()

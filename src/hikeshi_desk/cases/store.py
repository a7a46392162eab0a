"""The content store: a file lies under the hash of its content, and nowhere is a path kept.

EVIDENCE/<first two of sha256>/<sha256>. Complete and on the disk before `keep` returns; keeping twice is
keeping once. OSError is the caller's: a failed fsync is never tried again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

_SHA256 = re.compile(r"[0-9a-f]{64}")


class NotTheSame(ValueError):
    """A file's content is not what its hash or size says."""


def place_of(sha256: str) -> Path:
    if not _SHA256.fullmatch(sha256):
        raise NotTheSame(f"'{sha256[:80]}' is no SHA-256")
    return Path(settings.EVIDENCE) / sha256[:2] / sha256


def keep(source: Path, sha256: str, size: int) -> Path:
    """The file is in the store when this returns; `source` stays where it is.

    A hard link where the file system has them, so that gigabytes are not copied in a request; otherwise a
    copy, hashed on the way. Raises NotTheSame if size (or, for a copy, hash) differ.
    """
    place = place_of(sha256)
    if place.exists() and place.stat().st_size == size:
        return place
    if source.stat().st_size != size:
        raise NotTheSame(f"{sha256[:12]}… has {source.stat().st_size} bytes, not {size}")
    folder = place.parent
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync_folder(folder.parent)
    new = folder / f".new-{uuid.uuid4().hex}"
    try:
        try:
            os.link(source, new)
        except OSError:
            _copy(source, new, sha256)
        _sync_file(new)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)
    _sync_folder(folder)
    return place


def open_content(sha256: str) -> BinaryIO:
    return place_of(sha256).open("rb")


def _copy(source: Path, target: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as write:
        while block := read.read(1 << 20):
            digest.update(block)
            write.write(block)
    if digest.hexdigest() != sha256:
        raise NotTheSame(f"{sha256[:12]}… has another content")
    shutil.copymode(source, target)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

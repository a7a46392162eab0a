"""The raw mails, each under the hash of its bytes: kept before anything looks at them, and never changed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from django.conf import settings


class Raw(NamedTuple):
    sha256: str
    size: int


def root() -> Path:
    return Path(settings.DATA) / "mail" / "raw"


def path_of(sha256: str) -> Path:
    return root() / sha256[:2] / f"{sha256}.eml"


def keep(chunks: Iterable[bytes]) -> Raw:
    """The mail is on the disk when this returns: file and folders are synced. Raises OSError and keeps nothing
    half; after a failed sync nothing is tried again here."""
    root().mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(prefix=".new-", dir=root())
    temporary = Path(name)
    try:
        hashed, size = hashlib.sha256(), 0
        with open(handle, "wb") as out:
            for chunk in chunks:
                hashed.update(chunk)
                size += out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        target = path_of(hashed.hexdigest())
        if not target.parent.exists():
            target.parent.mkdir(exist_ok=True, mode=0o700)
            _sync(root())
        temporary.replace(target)
        _sync(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return Raw(hashed.hexdigest(), size)


def all_kept() -> Iterable[Path]:
    return root().glob("??/*.eml") if root().exists() else ()


def clear_unfinished() -> None:
    """Parts of mails whose receipt was never acknowledged (at start, before any channel opens)."""
    if root().exists():
        for path in root().glob(".new-*"):
            path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Compiled rule sets on disk, so that a hunt starts at once.

A set is JSON, never code, in a folder only its owner can use; a file that someone else could
have written, or whose checksum is wrong, counts as absent. No cache never matters: see
`compile_rules`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson

_KEPT = 8
_MAX_BYTES = 256 << 20


def default_folder() -> Path | None:
    """The user's cache folder for compiled rules, or None where there is no home."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        if base and Path(base).is_absolute():
            return Path(base) / "hikeshi" / "rules"
        home = Path.home()
    except (RuntimeError, OSError):
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "hikeshi" / "rules"


def read(folder: Path, digest: str) -> dict[str, Any] | None:
    """A stored set, or None."""
    try:
        if not _private(folder):
            return None
        path = folder / f"{digest}.json"
        info = path.lstat()
        if not stat.S_ISREG(info.st_mode) or not _ours(info) or info.st_size > _MAX_BYTES:
            return None
        raw = path.read_bytes()
        checksum, _, body = raw.partition(b"\n")
        if checksum.decode("ascii", "replace") != hashlib.sha256(body).hexdigest():
            return None
        data = orjson.loads(body)
        with contextlib.suppress(OSError):
            os.utime(path)
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and data.get("digest") == digest else None


def write(folder: Path, digest: str, data: dict[str, Any]) -> bool:
    """Store a set; False where that is not possible or not safe."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _private(folder):
            return False
        body = orjson.dumps(data)
        handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            Path(name).replace(folder / f"{digest}.json")
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        _forget_old(folder)
    except (OSError, TypeError, ValueError):
        return False
    return True


def _private(folder: Path) -> bool:
    """Ours, a real folder, and closed to everyone else."""
    try:
        info = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and _ours(info)


def _ours(info: os.stat_result) -> bool:
    if not hasattr(os, "getuid"):
        return True                 # Windows: the profile's own access list protects its cache folder
    return info.st_uid == os.getuid() and not info.st_mode & 0o022


def _forget_old(folder: Path) -> None:
    stored = sorted(folder.glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in stored[_KEPT:]:
        path.unlink(missing_ok=True)

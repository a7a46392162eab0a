"""What is slow to build, kept on disk in the user's private cache folder.

An entry is JSON with a checksum, never code, in a folder only its owner can use; a file that
someone else could have written, or whose checksum is wrong, counts as absent. A cache never
matters: unreadable, unwritable or damaged, the thing is built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

_KEPT = 8
_MAX_BYTES = 256 << 20


def cache_folder(part: str) -> Path | None:
    """The folder of this user for one kind of entry ("rules", "knowledge"), or None without a home.

    HIKESHI_CACHE names another place for all kinds.
    """
    chosen = os.environ.get("HIKESHI_CACHE")
    if chosen:
        return Path(chosen) / part
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        if base and Path(base).is_absolute():
            return Path(base) / "hikeshi" / part
        return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "hikeshi" / part
    except (RuntimeError, OSError):
        return None


def cached(name: str, key: str, build: Callable[[], Any]) -> Any:
    """What `build` returns (plain JSON data), from the cache when `key` was built before."""
    folder = cache_folder("knowledge")
    if folder is None:
        return build()
    digest = f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:40]}"
    stored = read(folder, digest)
    if stored is not None and "value" in stored:
        return stored["value"]
    value = build()
    write(folder, digest, {"digest": digest, "value": value})
    return value


def read(folder: Path, digest: str) -> dict[str, Any] | None:
    """A stored entry (it names its own `digest`), or None."""
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
    """Store an entry; False where that is not possible or not safe."""
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

"""Keep a compact form of slow package data in the user's private cache folder.

A cache never matters: unreadable, unwritable, damaged or foreign, it is built again. Only JSON is
kept, never pickles: what lies in a folder must not be able to run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson


def cache_folder() -> Path:
    """The folder for this user: HIKESHI_CACHE, else the platform's usual place."""
    chosen = os.environ.get("HIKESHI_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "hikeshi" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "hikeshi"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hikeshi"


def cached(name: str, key: str, build: Callable[[], Any]) -> Any:
    """What `build` returns (plain JSON data), from the cache when `key` was built before."""
    try:
        folder = cache_folder()
        path = folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
        if _private(folder):
            with contextlib.suppress(OSError, orjson.JSONDecodeError):
                return orjson.loads(path.read_bytes())
    except (OSError, RuntimeError):  # RuntimeError: no home folder is known
        return build()
    value = build()
    with contextlib.suppress(OSError):
        _write(folder, path, orjson.dumps(value))
    return value


def _private(folder: Path) -> bool:
    """Nobody else can write there (POSIX: mine, and not writable for others)."""
    state = folder.stat() if folder.is_dir() else None
    if state is None:
        return False
    getuid = getattr(os, "getuid", None)
    return getuid is None or (state.st_uid == getuid() and not state.st_mode & 0o022)


def _write(folder: Path, path: Path, data: bytes) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _private(folder):
        return
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise

"""Where results lie: DATA/analysis/<uuid>/ for each run, and a lock for each case.

A result is whole when its `page.jsonl` is there: it is written last, in one step. What no row names any more
is swept away after a day.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

import orjson
from django.conf import settings

PAGE = "page.jsonl"
_OLD_S = 86_400


def root() -> Path:
    return Path(settings.DATA) / "analysis"


def of(run: uuid.UUID) -> Path:
    return root() / str(run)


@contextlib.contextmanager
def only_one(case_id: uuid.UUID) -> Iterator[bool]:
    """True while nobody else works on the case. The lock ends with its process, however that ends."""
    place = root() / "locks"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (place / str(case_id)).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def write(path: Path, data: bytes) -> None:
    """The whole file or none, on the disk when this returns."""
    new = path.with_name(f".new-{uuid.uuid4().hex}")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lines(rows: object) -> bytes:
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)  # type: ignore[attr-defined]


def drop(run: uuid.UUID | None) -> None:
    if run is not None:
        shutil.rmtree(of(run), ignore_errors=True)


def sweep(known: Collection[str]) -> None:
    """Removes runs nobody names, a day after they were last touched."""
    if not root().is_dir():
        return
    old = time.time() - _OLD_S
    for path in root().iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.name != "locks" and path.name not in known and path.stat().st_mtime < old:
                shutil.rmtree(path, ignore_errors=True)

"""Writes the results of a triage run, each file whole or not at all.

manifest.json is written last: a folder that has it is complete.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

LAST = "manifest.json"
_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def json_bytes(value: Any) -> bytes:
    return orjson.dumps(value, option=_PRETTY)


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def publish(out: Path, staging: Path, contents: Mapping[str, bytes], tables: Sequence[tuple[str, Path]]) -> None:
    """Puts `contents` (name → bytes) and `tables` (evidence name, Parquet file) into OUT.

    Everything is written and flushed to `staging` (on the same disk) first; then the old
    manifest goes, the files are moved in one by one, and the new manifest comes last.
    """
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "events").mkdir(parents=True)
    for name, data in contents.items():
        _write_durably(staging / name, data)
    for number, (name, path) in enumerate(tables, start=1):
        path.rename(staging / "events" / f"{number:04}-{_safe(name)}.parquet")
    (out / LAST).unlink(missing_ok=True)
    shutil.rmtree(out / "events", ignore_errors=True)
    (staging / "events").rename(out / "events")
    for name in sorted(contents, key=lambda n: (n == LAST, n)):
        (staging / name).replace(out / name)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _safe(name: str) -> str:
    """A file name from an evidence name: its last part, letters and digits only."""
    last = re.split(r"[/\\!]", name)[-1]
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", last)[:60].strip(".") or "events"

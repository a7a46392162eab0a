"""Small files to parse, and what comes out, as rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

import pytest

from hikeshi.events.table import EventTable, Reject
from hikeshi.evidence.source import Source
from hikeshi.parse.registry import parse_source


class Read:
    """Rows and rejects of one file, and its tables."""

    def __init__(self, tables: list[EventTable]) -> None:
        self.tables = tables
        self.rows: list[dict[str, Any]] = [row for table in tables for row in table.iter_rows()]
        self.rejects: list[Reject] = [reject for table in tables for reject in table.rejects]


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Source]:
    def make(content: str | bytes, *, encoding: str | None = None, kind: str = "text") -> Source:
        data = content if isinstance(content, bytes) else content.encode(encoding or "utf-8")
        path = tmp_path / "sample.log"
        path.write_bytes(data)
        return Source(path, "logs/sample.log", "0" * 64, len(data), kind=kind, encoding=encoding)

    return make


@pytest.fixture
def read(source: Callable[..., Source]) -> Callable[..., Read]:
    def run(
        content: str | bytes,
        *,
        encoding: str | None = None,
        zone: tzinfo = UTC,
        assumed: bool = True,
        format: str | None = None,
        batch_rows: int = 50_000,
    ) -> Read:
        given = source(content, encoding=encoding)
        return Read(list(parse_source(given, zone=zone, zone_assumed=assumed, format=format, batch_rows=batch_rows)))

    return run

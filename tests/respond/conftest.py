"""The generated company as events, made once for all tests that look at it; results from single events."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hikeshi.events.table import TableBuilder
from hikeshi.events.time import parse_iso

sys.path.insert(0, str(Path(__file__).parent))

from company import Company
from respond_helpers import PLAN, Made, ResultOf, events_of


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("company")
    made = Company()
    made.write(folder / "logs")
    events_of(folder / "logs", folder / "result" / "events")
    (folder / "plan.toml").write_text(PLAN)
    return Made(made, folder / "result", folder / "plan.toml")


@pytest.fixture
def result_of(tmp_path: Path) -> ResultOf:
    """A result folder from events (time as ISO text, flat names) and the parts of case.json."""
    def make(rows: Sequence[dict[str, Any]], case: dict[str, Any] | None = None, *, name: str = "result") -> Path:
        folder = tmp_path / name
        (folder / "events").mkdir(parents=True, exist_ok=True)
        builder = TableBuilder()
        for number, row in enumerate(rows, 1):
            cells = {"log.file.path": "fw.log", "log.line": number, **row}
            builder.add(parse_iso(cells.pop("at"), UTC), cells)
        pq.write_table(builder.build().to_arrow(), folder / "events" / "0001-fw.parquet")
        (folder / "case.json").write_text(json.dumps(case or {}))
        (folder / "manifest.json").write_text(json.dumps({"evidence": [{"path": "fw.log", "sha256": "ab" * 32}]}))
        return folder

    return make

"""The generated company as events, made once for all tests that look at it."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from hikeshi.events.table import ARROW_SCHEMA, TableBuilder
from hikeshi.events.time import parse_iso
from hikeshi.evidence.source import Source
from hikeshi.parse.registry import parse_source

sys.path.insert(0, str(Path(__file__).parent))

from company import Company

ResultOf = Callable[..., Path]


def write_events(job: tuple[Path, str, Path]) -> Path:
    """One log as triage writes its events."""
    path, name, out = job
    source = Source(path, name, "0" * 64, path.stat().st_size, kind="text", encoding="utf-8")
    with pq.ParquetWriter(out, ARROW_SCHEMA, compression="zstd") as writer:
        for table in parse_source(source, zone=ZoneInfo("Asia/Tokyo"), zone_assumed=False):
            writer.write_table(table.to_arrow())
    return out


def events_of(folder: Path, out: Path) -> list[Path]:
    """Every log of a folder, on all cores."""
    out.mkdir(parents=True, exist_ok=True)
    logs = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    jobs = [(p, str(p.relative_to(folder)), out / f"{n:04}.parquet") for n, p in enumerate(logs)]
    with multiprocessing.get_context("spawn").Pool(2, initializer=_path, initargs=(list(sys.path),)) as pool:
        return pool.map(write_events, jobs, chunksize=4)


def _path(entries: Sequence[str]) -> None:
    sys.path[:] = entries


@dataclass(frozen=True)
class Made:
    company: Company
    result: Path  # a folder as `hikeshi triage --out` leaves it, with its events only
    plan: Path


PLAN = """
zone = "Asia/Tokyo"
own_domains = ["corp.example"]
decider = "CISO"

[[allow]]
destination = "pay.bank.example"
ports = [443]

[[allow]]
destination = "192.0.2.123"
ports = [123]

[[window]]
name = "noon"
days = ["mon", "tue", "wed", "thu", "fri"]
start = "11:30"
end = "13:30"

[[window]]
name = "late Friday over midnight"
days = ["fri"]
start = "16:00"
end = "02:00"

[[system]]
name = "orders"
destinations = ["order.partner.example"]
impact_per_hour = "300,000 JPY"
windows = ["noon"]

[[contact]]
name = "Incident lead"
by = "radio"
"""


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

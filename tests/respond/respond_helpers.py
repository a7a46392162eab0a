"""What the tests of containment share: events out of logs, single events, entries of a case."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
from company import Company

from hikeshi.events.table import ARROW_SCHEMA
from hikeshi.evidence.source import Source
from hikeshi.parse.registry import parse_source

ResultOf = Callable[..., Path]
AT = "2026-11-02T01:00:00Z"

REF = [{"path": "a.evtx", "sha256": "ab" * 32, "record_id": 7}]


def entry(**more: Any) -> dict[str, Any]:
    return {"confidence": "high", "records": REF, **more}


def host(name: str, last: str = "2026-11-02T10:00:00Z") -> dict[str, Any]:
    return entry(name=name, addresses=[], first="2026-11-02T01:00:00Z", last=last, reasons=[])


def web(**more: Any) -> dict[str, Any]:
    return {"at": AT, "event.dataset": "squid.access", "event.action": "TCP_MISS", "source.ip": "10.0.0.5",
            "url.full": "http://site.example/", "destination.domain": "site.example", "destination.ip": "192.0.2.1",
            "http.response.status_code": 200, **more}


def flow(**more: Any) -> dict[str, Any]:
    return {"at": AT, "event.dataset": "fortinet.traffic", "event.action": "close", "source.ip": "10.0.0.5",
            "destination.ip": "192.0.2.1", "destination.port": 443, "source.bytes": 100, **more}


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

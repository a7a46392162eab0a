"""Correlations after a hunt: the children's hit tables go to one limited child, findings come back as lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import orjson

from hikeshi.detect.compile import CompiledRules, from_plain
from hikeshi.detect.correlate import CorrelationCount, Correlator
from hikeshi.errors import HikeshiError
from hikeshi.events.time import parse_iso
from hikeshi.evidence.sandbox import Limits, Task, run
from hikeshi.triage.findings import RECORDS_KEPT, Detection

_HOSTS_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Correlated:
    """One correlation's findings in figures; times UTC microseconds."""

    rule: int
    count: CorrelationCount
    first: int | None
    last: int | None
    hosts: tuple[str, ...]


@dataclass(slots=True)
class CorrelationRun:
    """What came of it: iterate over `lines()`, then read `results` and `error`."""

    compiled: CompiledRules
    tables: Sequence[Path]
    spool: Path
    levels: Sequence[str]
    results: tuple[Correlated, ...] = ()
    error: HikeshiError | None = None
    cpu_s: float = 0.0

    def lines(self) -> Iterator[bytes]:
        """Findings as JSON Lines, correlation by correlation, then by time."""
        out = self.spool / "correlations.jsonl"
        setup = {"rules": orjson.dumps(self.compiled.to_plain()), "levels": list(self.levels)}
        task = Task("correlations", [[str(p) for p in self.tables], str(out)])
        for outcome in run("hikeshi.triage.correlate:work_out", [task], setup="hikeshi.triage.correlate:prepare",
                           setup_argument=setup, workers=1, limits=Limits(cpu_s=3600, wall_s=7200),
                           readable=sorted({self.spool, *(t.parent for t in self.tables)}), writable=[self.spool]):
            self.cpu_s += outcome.cpu_s
            self.error = outcome.error
            if outcome.error is None:
                self.results = tuple(Correlated(r["rule"], CorrelationCount(**r["count"]), r["first"], r["last"],
                                                tuple(r["hosts"])) for r in outcome.value)
        if self.error is None:
            with open(out, "rb") as file:
                yield from file


def as_detections(rows: Iterable[Mapping[str, Any]], sha256: Mapping[str, str]) -> Iterator[Detection]:
    """Findings as a triage tells them: one Detection for each host; `sha256` by the file's name."""
    for row in rows:
        for host in row["hosts"] or [""]:
            records = [r for r in row["records"] if (r["host"] or "") == host]
            yield Detection(row["rule_id"], host, len(records), row["first"], row["last"], [
                (r["path"], sha256.get(r["path"], ""), r["record_id"], r["line"] if r["record_id"] is None else None)
                for r in records[:RECORDS_KEPT]])


def prepare(argument: Mapping[str, Any]) -> tuple[CompiledRules, tuple[str, ...]]:
    return from_plain(orjson.loads(argument["rules"])), tuple(argument["levels"])


def work_out(context: tuple[CompiledRules, tuple[str, ...]], argument: Sequence[Any]) -> list[dict[str, Any]]:
    """In the child: write the findings, give back the figures."""
    compiled, levels = context
    tables, out = argument
    correlator = Correlator(compiled, [Path(p) for p in tables])
    spans: dict[str, tuple[int, int]] = {}
    hosts: dict[str, set[str]] = {}
    with open(out, "wb") as file:
        for row in correlator.findings(levels):
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            key = row["rule_id"] + row["rule_title"]
            began, ended = parse_iso(row["first"], UTC), parse_iso(row["last"], UTC)
            first, last = spans.get(key, (began, ended))
            spans[key] = min(first, began), max(last, ended)
            held = hosts.setdefault(key, set())
            if len(held) < _HOSTS_KEPT:
                held.update(row["hosts"])
    answers = []
    for number, count in sorted(correlator.counts.items()):
        rule = compiled.correlations[number]["rule"]
        info = compiled.rules[rule]
        key = info.id + info.title
        answers.append({"rule": rule, "count": asdict(count), "first": spans[key][0] if key in spans else None,
                        "last": spans[key][1] if key in spans else None, "hosts": sorted(hosts.get(key, ()))})
    return answers

"""Correlations after a hunt: the children's hit tables go to one limited child, findings come back as lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import orjson

from hikeshi.detect.compile import CompiledRules, from_plain
from hikeshi.detect.correlate import CorrelationCount, Correlator
from hikeshi.detect.site import OFF, Aside, Expected, SiteUse
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
    exceptions: tuple[Sequence[Expected], Sequence[SiteUse]] = ((), ())
    results: tuple[Correlated, ...] = ()
    error: HikeshiError | None = None
    cpu_s: float = 0.0
    set_aside: Sequence[int] = ()       # findings the site expects, by exception
    switched_off: int = 0               # findings of correlations it switched off

    def lines(self) -> Iterator[bytes]:
        """Findings as JSON Lines, correlation by correlation, then by time."""
        out = self.spool / "correlations.jsonl"
        setup = {"rules": orjson.dumps(self.compiled.to_plain()), "levels": list(self.levels),
                 "site": self.exceptions}
        task = Task("correlations", [[str(p) for p in self.tables], str(out)])
        for outcome in run("hikeshi.triage.correlate:work_out", [task], setup="hikeshi.triage.correlate:prepare",
                           setup_argument=setup, workers=1, limits=Limits(cpu_s=3600, wall_s=7200),
                           readable=sorted({self.spool, *(t.parent for t in self.tables)}), writable=[self.spool]):
            self.cpu_s += outcome.cpu_s
            self.error = outcome.error
            if outcome.error is None:
                answers, self.set_aside, self.switched_off = outcome.value
                self.results = tuple(Correlated(r["rule"], CorrelationCount(**r["count"]), r["first"], r["last"],
                                                tuple(r["hosts"])) for r in answers)
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


@dataclass(frozen=True, slots=True)
class _Context:
    compiled: CompiledRules
    levels: tuple[str, ...]
    aside: Aside


def prepare(argument: Mapping[str, Any]) -> _Context:
    compiled = from_plain(orjson.loads(argument["rules"]))
    return _Context(compiled, tuple(argument["levels"]), Aside(compiled, *argument["site"]))


def work_out(context: _Context, argument: Sequence[Any]) -> tuple[list[dict[str, Any]], list[int], int]:
    """In the child: write the findings, give back the figures, what the site expects, what it switched off."""
    compiled = context.compiled
    tables, out = argument
    correlator = Correlator(compiled, [Path(p) for p in tables])
    told: dict[int, _Told] = {}
    off = 0
    with open(out, "wb") as file:
        for number, row in correlator.findings((*context.levels, OFF)):
            rule = compiled.correlations[number]["rule"]
            if row["level"] == OFF or context.aside.finding(row, rule):
                off += row["level"] == OFF
                correlator.counts[number].findings -= 1
                continue
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            told.setdefault(number, _Told()).add(row)
    answers = []
    for number, count in sorted(correlator.counts.items()):
        one = told.get(number, _Told())
        answers.append({"rule": compiled.correlations[number]["rule"], "count": asdict(count), "first": one.first,
                        "last": one.last, "hosts": sorted(one.hosts)})
    return answers, context.aside.hits, off


@dataclass(slots=True)
class _Told:
    """When and where one correlation's findings were."""

    first: int | None = None
    last: int | None = None
    hosts: set[str] = field(default_factory=set)

    def add(self, row: Mapping[str, Any]) -> None:
        began, ended = parse_iso(row["first"], UTC), parse_iso(row["last"], UTC)
        self.first = began if self.first is None else min(self.first, began)
        self.last = ended if self.last is None else max(self.last, ended)
        if len(self.hosts) < _HOSTS_KEPT:
            self.hosts.update(row["hosts"])

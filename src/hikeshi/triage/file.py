"""One log file through every stage, in its limited child: parse, detect, sweep, digest, Parquet.

What was found is written to the folder the child may write to; the parent reads result.json,
whether it was written now or by an earlier run that was stopped.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from hikeshi.detect.compile import CompiledRules
from hikeshi.detect.hits import HitWriter
from hikeshi.detect.match import Match, Matcher
from hikeshi.detect.site import OFF, Aside, Expected, SiteUse
from hikeshi.errors import HikeshiError, UnsupportedFormat
from hikeshi.events.leases import Leases
from hikeshi.events.schema import NAMES
from hikeshi.events.table import ARROW_SCHEMA, Column, EventTable, Reject, Rows
from hikeshi.events.time import NO_TIME, format_utc, zone_name
from hikeshi.evidence.source import Source
from hikeshi.parse.registry import detect_format, parse_source
from hikeshi.parse.windows import add_ecs_columns
from hikeshi.sweep import Compiled, Sweeper
from hikeshi.trace import Digest, Gathered, digest
from hikeshi.triage.findings import RECORDS_KEPT, Detection
from hikeshi.triage.reading import Zone

HOUR_US = 3_600_000_000
REASONS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What a child needs beside the file."""

    rules: CompiledRules
    indicators: Compiled | None
    zone: Zone
    leases: Leases = field(default_factory=Leases)
    exceptions: tuple[tuple[Expected, ...], list[SiteUse]] = field(default_factory=lambda: ((), []))
    recover: bool = False  # of event logs also the records that no reader shows


@dataclass(frozen=True, slots=True)
class Context:
    settings: Settings
    matcher: Matcher


@dataclass(frozen=True, slots=True)
class Order:
    """One file, and the folder for its results."""

    source: Source
    folder: Path


@dataclass(slots=True)
class FileResult:
    """What one file gave. `hours` are hours since 1970 UTC → records; `first`, `last` UTC ISO 8601;
    `rejected` counts all damaged parts, `reasons` names the most frequent; `undated` records have no
    time that can be read, so they are searched but have no place in the story."""

    format: str
    zone: str
    records: int = 0
    rejected: int = 0
    undated: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    detections: list[Detection] = field(default_factory=list)
    sightings: list[dict[str, Any]] = field(default_factory=list)
    hours: dict[str, int] = field(default_factory=dict)
    first: str | None = None
    last: str | None = None
    stopped: str = ""
    set_aside: list[int] = field(default_factory=list)  # hits the site expects, by exception
    switched_off: int = 0  # hits of rules that the site switched off

    @classmethod
    def load(cls, path: Path) -> FileResult:
        data = orjson.loads(path.read_bytes())
        detections = [Detection(**{**d, "records": [tuple(r) for r in d["records"]]}) for d in data.pop("detections")]
        return cls(**data, detections=detections)


def prepare(settings: Settings) -> Context:
    """Runs in each child before it is locked down."""
    # What these load on first use must be there before the lock.
    pq.ParquetWriter(pa.BufferOutputStream(), ARROW_SCHEMA, compression="zstd").close()
    matcher = Matcher(settings.rules)
    matcher.make_ready()
    return Context(settings, matcher)


def analyse(context: Context, order: Order) -> str:
    """Reads one file and leaves events.parquet, digest.arrow and result.json in its folder."""
    source, folder = order.source, order.folder
    folder.mkdir(parents=True)
    zone = context.settings.zone.of(source)
    try:
        name, _ = detect_format(source)
    except UnsupportedFormat:
        name = source.kind
    result = FileResult(name, "UTC" if name == "evtx" else zone_name(zone.zone, assumed=zone.assumed))
    _Analysis(context, source, folder, result).run(zone)
    (folder / "result.json").write_bytes(orjson.dumps(asdict(result)))
    return name


class _Analysis:
    """One pass over the batches of one file."""

    def __init__(self, context: Context, source: Source, folder: Path, result: FileResult) -> None:
        self.matcher, self.source, self.folder, self.result = context.matcher, source, folder, result
        self.recover = context.settings.recover
        indicators = context.settings.indicators
        self.sweeper = Sweeper(indicators, context.settings.leases) if indicators is not None else None
        rules = context.settings.rules
        self.kept = HitWriter(rules, folder / "hits.arrow")
        self.aside = Aside(rules, *context.settings.exceptions)
        self.quiet = {id(self.matcher.rules[n]) for n in rules.quiet}
        self.digests = Gathered()
        self.hours: Counter[int] = Counter()
        self.reasons: Counter[str] = Counter()
        self.seen: dict[tuple[str, str], Detection] = {}
        self.first, self.last = NO_TIME, NO_TIME

    def run(self, zone: Zone) -> None:
        writer = pq.ParquetWriter(self.folder / "events.parquet", ARROW_SCHEMA, compression="zstd")
        try:
            for table in parse_source(self.source, zone=zone.zone, zone_assumed=zone.assumed,
                                      recover=self.recover):
                self.add(table)
                writer.write_table(table.to_arrow())
        except HikeshiError as error:
            if not self.result.records:
                raise
            # What was read before the damage stays; the rest is said to be missing.
            self.result.stopped = error.what
        finally:
            writer.close()
            self.kept.close()
        self.finish()

    def add(self, table: EventTable) -> None:
        result = self.result
        result.records += table.row_count
        result.rejected += len(table.rejects)
        self.reasons.update(_reason(r) for r in table.rejects)
        if not table.row_count:
            return
        matches = self.aside(table, self.matcher.match(table))
        add_ecs_columns(table)
        self.kept.add(table, matches)
        for match in matches:
            if match.rule.level == OFF:
                result.switched_off += 0 if id(match.rule) in self.quiet else len(match.rows)
            elif id(match.rule) not in self.quiet:
                self._detect(table, match)
        if self.sweeper is not None:
            self.sweeper.add(self.source, table)
        self.digests.append(digest(self.source, table))
        self._count_hours(table)

    def finish(self) -> None:
        result = self.result
        Digest.merge(self.digests).save(self.folder / "digest.arrow")
        result.set_aside = self.aside.hits
        result.detections = [self.seen[key] for key in sorted(self.seen)]
        if self.sweeper is not None:
            result.sightings = [s.to_dict() for s in self.sweeper.sightings()]
        result.hours = {str(hour): count for hour, count in sorted(self.hours.items())}
        result.reasons = dict(self.reasons.most_common(REASONS_KEPT))
        result.first, result.last = (None if t == NO_TIME else format_utc(t) for t in (self.first, self.last))

    def _count_hours(self, table: EventTable) -> None:
        times = table.times[table.times != NO_TIME]
        self.result.undated += table.row_count - len(times)
        if not len(times):
            return
        hours, counts = np.unique(times // HOUR_US, return_counts=True)
        self.hours.update(dict(zip(hours.tolist(), counts.tolist(), strict=True)))
        self.first = int(times.min()) if self.first == NO_TIME else min(self.first, int(times.min()))
        self.last = max(self.last, int(times.max()))

    def _detect(self, table: EventTable, match: Match) -> None:
        """Adds the rows of one rule to its Detection, one for each host."""
        hosts = _values(table, "host.name", match.rows)
        accounts = _values(table, "user.name", match.rows)
        records = _values(table, "winlog.record_id", match.rows)
        lines = _values(table, "log.line", match.rows)
        times = table.times[match.rows].tolist()
        for host, account, record, line, time in zip(hosts, accounts, records, lines, times, strict=True):
            key = (match.rule.id, str(host or ""))
            found = self.seen.get(key)
            if found is None:
                found = self.seen[key] = Detection(key[0], key[1], 0, None, None, [])
            found.count += 1
            if time != NO_TIME:
                when = format_utc(time)
                found.first = min(found.first or when, when)
                found.last = max(found.last or when, when)
            if len(found.records) < RECORDS_KEPT:
                place = (record, None) if record is not None else (None, line)
                found.records.append((self.source.name, self.source.sha256, *place))
            if account and account not in found.accounts and len(found.accounts) < REASONS_KEPT:
                found.accounts.append(str(account))


def _values(table: EventTable, name: str, rows: Rows) -> list[Any]:
    column: Column | None = table.columns.get(name) if name in NAMES else table.fields.get(name)
    if column is None:
        return [None] * len(rows)
    return [column.values[c] if c >= 0 else None for c in column.dense(table.row_count)[rows].tolist()]


def _reason(reject: Reject) -> str:
    return reject.reason[:200]


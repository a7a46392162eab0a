"""Windows event logs × Sigma rules, from paths to hits.

Event logs are EVTX files, and Windows events that were exported as XML or JSON Lines; whether a
text is such an export, the child decides. Files are dealt to sandbox children: a large EVTX file
in parts, one a task; small files together, so that their events share one set of columns. A
child writes its hits as JSON Lines into a scratch folder and gives back only counts; the parent
passes them on in file order. Memory stays flat, the order is the same in every run. When a child
dies, its files are tried again one by one: only the file, or the part, that kills is lost.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson

from hikeshi.detect.compile import CompiledRules, Narrowed, Skipped, compile_rules, from_plain
from hikeshi.detect.hits import HitWriter
from hikeshi.detect.match import Match, Matcher, read_names
from hikeshi.detect.patterns import code as scanner_code
from hikeshi.detect.place import spoken_of
from hikeshi.detect.result import result_lines
from hikeshi.detect.rules import LEVELS, load_rules
from hikeshi.detect.site import NO_SITE, OFF, Aside, Expected, Site, SiteUse, tuned
from hikeshi.errors import ChildError, HikeshiError, RuleError
from hikeshi.events.table import Column, EventTable, Reject
from hikeshi.events.time import NO_TIME, parse_zone
from hikeshi.evidence.acquire import acquire
from hikeshi.evidence.sandbox import Limits, Task, run, usable_cores
from hikeshi.evidence.source import Source
from hikeshi.parse.evtx import CHUNK_BYTES, Part, may_be_carved, parts_of, read_records
from hikeshi.parse.evtx_batch import EvtxBatch
from hikeshi.triage.reading import make_reader

if TYPE_CHECKING:
    from hikeshi.triage.correlate import Correlated

# Small enough that two cores share a folder evenly, large enough that a task is worth its start.
_GROUP_BYTES = 24 << 20
_GROUP_FILES = 256
# From here on a file is dealt in parts, so that all cores share it.
_SPLIT_BYTES = 64 << 20
_PART_CHUNKS = (512, 1536)
_BATCH_ROWS = 100_000
_EXPORT_ROWS = 10_000
# A child that needs longer than this for its largest piece is caught in a loop.
_SLOWEST_BYTES_PER_S = 128 << 10
_PROBLEMS_KEPT = 20
_BLOCK_BYTES = 1 << 18
_EXPORTS = ("windows-xml", "windows-json")
_SCHEMA_COLUMNS = frozenset(("winlog.record_id", "event.code", "winlog.channel", "host.name", "event.provider"))

Piece = tuple[Source, Part | None]     # a whole file where there is no part


@dataclass(slots=True)
class RuleCount:
    """One rule's hits: how many, from when to when (UTC microseconds), on which machines."""

    rule_id: str
    title: str
    author: str
    level: str
    count: int = 0
    first: int | None = None
    last: int | None = None
    hosts: set[str] = field(default_factory=set)
    recovered: int = 0                  # of the hits, those on records that no reader of the log shows


@dataclass(slots=True)
class FileReport:
    """What became of one event log. `problems`: the first few damaged places, in words."""

    name: str
    events: int = 0
    rejected: int = 0
    hits: int = 0
    problems: tuple[str, ...] = ()
    error: str | None = None
    recovered: int = 0              # of the events, those that no reader of the log shows
    recovered_hits: int = 0


@dataclass(slots=True)
class HuntSummary:
    """The run in figures; complete once the hits were read to the end."""

    rules_loaded: int = 0
    rules_applicable: int = 0
    rules_from_cache: bool = False
    skipped: list[Skipped] = field(default_factory=list)
    rule_errors: list[RuleError] = field(default_factory=list)
    files: list[FileReport] = field(default_factory=list)
    not_read: list[tuple[str, str]] = field(default_factory=list)
    other_files: int = 0
    rules: dict[str, RuleCount] = field(default_factory=dict)
    filters: list[Narrowed] = field(default_factory=list)
    correlations: list[Correlated] = field(default_factory=list)
    correlation_error: str = ""
    site: list[SiteUse] = field(default_factory=list)
    switched_off: int = 0               # hits of rules that the site switched off
    protection: str = ""
    cpu_s: float = 0.0
    seconds: float = 0.0

    @property
    def events(self) -> int:
        return sum(f.events for f in self.files)

    @property
    def rejected(self) -> int:
        return sum(f.rejected for f in self.files)

    @property
    def hits(self) -> int:
        return sum(f.hits for f in self.files) + self.correlated

    @property
    def correlated(self) -> int:
        """Findings of correlations."""
        return sum(c.count.findings for c in self.correlations)

    @property
    def recovered(self) -> int:
        """Records from slack, damaged parts and files that are no logs."""
        return sum(f.recovered for f in self.files)

    @property
    def recovered_hits(self) -> int:
        return sum(f.recovered_hits for f in self.files)

    @property
    def unreadable(self) -> list[FileReport]:
        return [f for f in self.files if f.error]


class Hunt:
    """One run: iterate over `blocks()` or `lines()` for the hits, then read `summary`."""

    def __init__(self, paths: Sequence[Path], rules: Sequence[Path], *, workers: int | None = None,
                 level: str = "informational", cache: Path | None = None, site: Site = NO_SITE, recover: bool = False,
                 on_progress: Callable[[str, int, int], None] | None = None) -> None:
        """`level`: the lowest level reported. `cache`: where compiled rules are kept, or None. `site`: what
        this site decided about rules. `recover`: also records from slack, damaged parts and files that are no logs.

        `on_progress(what, done, total)` counts bytes of event logs.
        """
        self._paths, self._rules, self._workers, self._cache = list(paths), list(rules), workers, cache
        self._site, self._recover = site, recover
        self._levels = LEVELS[LEVELS.index(level):]
        self._on_progress = on_progress or (lambda what, done, total: None)
        self._hashes: dict[str, str] = {}
        self.summary = HuntSummary()

    def lines(self) -> Iterator[bytes]:
        """The hits one by one, else as `blocks`."""
        for block in self.blocks():
            yield from block.splitlines(keepends=True)

    def blocks(self) -> Iterator[bytes]:
        """Hits as JSON Lines (detect.result), by file name, then record, then rule; some whole lines at a time.

        Raises UsageError or RuleError before the first line, InputError if a path is missing.
        """
        started = time.monotonic()
        compiled, self.summary.site = tuned(
            compile_rules(load_rules(self._rules), cache=self._cache, placeholders=self._site.placeholders),
            self._site, datetime.now(UTC).date())
        self._describe_rules(compiled)
        with tempfile.TemporaryDirectory(prefix="hikeshi-hunt-") as folder:
            work = Path(folder)
            acquired = acquire(self._paths, work / "work", workers=self._workers)
            logs = [s for s in acquired.sources if self._is_read(s)]
            self._hashes = {s.name: s.sha256 for s in logs}
            self.summary.not_read = [(name, str(text.en)) for name, text in acquired.not_read]
            for source in acquired.sources:
                if not self._is_read(source):
                    self._name_other(source)
            spool = work / "hits"
            spool.mkdir()
            yield from self._hunt(logs, compiled, spool)
        self.summary.seconds = time.monotonic() - started

    def _is_read(self, source: Source) -> bool:
        return _may_be_log(source) or source.kind == "text" or (self._recover and may_be_carved(source))

    def _describe_rules(self, compiled: CompiledRules) -> None:
        summary = self.summary
        summary.rules_loaded, summary.rules_applicable = compiled.loaded, compiled.applicable
        summary.skipped, summary.rule_errors = compiled.skipped, compiled.errors
        summary.rules_from_cache, summary.filters = compiled.from_cache, compiled.filters

    def _exceptions(self) -> tuple[tuple[Expected, ...], list[SiteUse]]:
        """The site's exceptions, and their lines in the summary."""
        return self._site.exceptions, self.summary.site[len(self._site.tunings):]

    def _name_other(self, source: Source) -> None:
        """A file called .evtx that is none deserves a line; a text file beside the logs doesn't."""
        if source.name.lower().endswith(".evtx"):
            what = "empty" if source.kind == "empty" else f"not a Windows event log (its content: {source.kind})"
            self.summary.files.append(FileReport(source.name, error=f"the file is {what}"))
        else:
            self.summary.other_files += 1

    def _hunt(self, logs: list[Source], compiled: CompiledRules, spool: Path) -> Iterator[bytes]:
        if not logs:
            return
        setup = {"rules": orjson.dumps(compiled.to_plain()), "levels": self._levels, "spool": str(spool),
                 "site": self._exceptions(), "recover": self._recover}
        make_reader(logs, scanner_code, on_progress=self._on_progress)
        total, done = sum(s.size for s in logs), 0
        by_name = {s.name: s for s in logs}
        waiting: dict[int, dict[str, Any]] = {}
        tables: list[Path] = []
        following = 0
        groups = _grouped(logs, self._workers or usable_cores())
        for number, answer in self._answers(groups, setup, logs, spool):
            waiting[number] = answer
            done += sum(map(_bytes_of, groups[number]))
            self._on_progress("event logs", done, total)
            while following in waiting:
                tables += map(Path, waiting[following]["tables"])
                yield from self._account(waiting.pop(following), by_name)
                following += 1
        if tables:
            yield from self._correlate(compiled, tables, spool)

    def _correlate(self, compiled: CompiledRules, tables: list[Path], spool: Path) -> Iterator[bytes]:
        """What only shows over the hits of all files, at the end."""
        # With the reports' words it costs a child its start-up time.
        from hikeshi.triage.correlate import CorrelationRun

        work = CorrelationRun(compiled, tables, spool, self._levels, exceptions=self._exceptions())
        for line in work.lines():
            found = orjson.loads(line)
            files = sorted({r["path"] for r in found["records"]})
            found["evidence"] = {path: self._hashes[path] for path in files if path in self._hashes}
            yield orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)
        self.summary.cpu_s += work.cpu_s
        self.summary.correlation_error = work.error.what if work.error else ""
        self.summary.correlations = list(work.results)
        self._add_site(work.set_aside, work.switched_off)
        for one in work.results:
            if one.count.findings:
                info = compiled.rules[one.rule]
                self.summary.rules[f"{info.title}{info.id}\0"] = RuleCount(
                    info.id, info.title, info.author, info.level, one.count.findings, one.first, one.last,
                    set(one.hosts))

    def _answers(self, groups: list[list[Piece]], setup: Mapping[str, Any], logs: list[Source], spool: Path
                 ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each group's answer as it arrives; groups whose child died come last, file by file."""
        died: list[int] = []
        for key, value, error in self._run([(str(n), g) for n, g in enumerate(groups)], setup, logs, spool):
            if error is None:
                yield int(key), value
            else:
                died.append(int(key))
        again = [(f"{n}.{i}", [piece]) for n in died for i, piece in enumerate(groups[n])]
        parts: dict[int, dict[int, dict[str, Any]]] = {n: {} for n in died}
        for key, value, error in self._run(again, setup, logs, spool) if again else ():
            number, index = (int(part) for part in key.split("."))
            parts[number][index] = value if error is None else _lost(groups[number][index], error)
            if len(parts[number]) == len(groups[number]):
                yield number, _joined([parts[number][i] for i in sorted(parts[number])])

    def _run(self, tasks: list[tuple[str, list[Piece]]], setup: Mapping[str, Any], logs: list[Source], spool: Path
             ) -> Iterator[tuple[str, Any, HikeshiError | None]]:
        # One folder rather than ten thousand files: the lock lists every path it is given.
        readable = sorted({s.path.parent for s in logs} if len(logs) > 100 else {s.path for s in logs})
        largest_first = sorted(tasks, key=lambda t: -sum(map(_bytes_of, t[1])))
        largest = max(_bytes_of(piece) for _, pieces in tasks for piece in pieces)
        limits = Limits(cpu_s=600 + largest / _SLOWEST_BYTES_PER_S, wall_s=1800 + 3 * largest / _SLOWEST_BYTES_PER_S)
        workers = None if self._workers is None else max(1, self._workers)
        if workers is None and len(tasks) == 1:
            workers = 1
        for outcome in run("hikeshi.triage.hunt:hunt_files", (Task(k, [k, pieces]) for k, pieces in largest_first),
                           setup="hikeshi.triage.hunt:prepare", setup_argument=dict(setup), workers=workers,
                           limits=limits, readable=readable, writable=[spool], forked=True):
            self.summary.cpu_s += outcome.cpu_s
            self.summary.protection = outcome.protection
            yield outcome.key, outcome.value, outcome.error

    def _account(self, answer: dict[str, Any], by_name: Mapping[str, Source]) -> Iterator[bytes]:
        """Add an answer to the summary and pass its lines on, some at a time."""
        for numbers, off in answer["site"]:
            self._add_site(numbers, off)
        for name in answer["others"]:
            self._name_other(by_name[name])
        for told in answer["files"]:
            self._add_report(FileReport(**told))
        for rule in answer["rules"]:
            mine = self.summary.rules.setdefault(rule["title"] + rule["rule_id"], RuleCount(
                rule["rule_id"], rule["title"], rule["author"], rule["level"]))
            mine.count += rule["count"]
            mine.recovered += rule["recovered"]
            mine.hosts.update(rule["hosts"])
            times = [t for t in (mine.first, rule["first"]) if t is not None]
            mine.first = min(times, default=None)
            mine.last = max([t for t in (mine.last, rule["last"]) if t is not None], default=None)
        for name in answer["spools"]:
            with open(name, "rb") as file:
                while lines := file.readlines(_BLOCK_BYTES):
                    yield b"".join(lines)
            Path(name).unlink()

    def _add_site(self, numbers: Sequence[int], off: int) -> None:
        self.summary.switched_off += off
        for use, number in zip(self._exceptions()[1], numbers, strict=False):
            use.hits += number

    def _add_report(self, report: FileReport) -> None:
        """The parts of a file follow each other: together they are one report."""
        files = self.summary.files
        if not files or files[-1].name != report.name:
            files.append(report)
            return
        whole = files[-1]
        whole.events += report.events
        whole.rejected += report.rejected
        whole.hits += report.hits
        whole.recovered += report.recovered
        whole.recovered_hits += report.recovered_hits
        whole.problems = (*whole.problems, *report.problems)[:_PROBLEMS_KEPT]
        whole.error = whole.error or report.error


def _may_be_log(source: Source) -> bool:
    """Event logs, and files called so whose header may be wiped: their chunks can still be read."""
    return source.kind == "evtx" or (source.name.lower().endswith(".evtx") and source.kind in ("binary", "sparse"))


def _grouped(logs: list[Source], workers: int) -> list[list[Piece]]:
    """Files in name order, small neighbours together, the parts of a large one each alone.

    Much to read is dealt in large parts, which share more of what is done once a part; little in small ones, so that
    the workers end together.
    """
    chunks = min(max(sum(s.size for s in logs) // CHUNK_BYTES // (6 * workers), _PART_CHUNKS[0]), _PART_CHUNKS[1])
    groups: list[list[Piece]] = []
    size = _GROUP_BYTES
    for source in logs:
        if source.size > _SPLIT_BYTES and source.kind != "text":
            groups.extend([(source, part)] for part in parts_of(source.size, chunks))
            size = _GROUP_BYTES
            continue
        if size + source.size > _GROUP_BYTES or len(groups[-1]) >= _GROUP_FILES:
            groups.append([])
            size = 0
        groups[-1].append((source, None))
        size += source.size
    return groups


def _bytes_of(piece: Piece) -> int:
    source, part = piece
    return source.size if part is None else min(part.end, source.size) - part.offset


def _lost(piece: Piece, error: HikeshiError) -> dict[str, Any]:
    source, part = piece
    what = " ".join((error.what if isinstance(error, ChildError) else str(error)).split())
    where = "" if part is None else f"bytes {part.offset:,} to {min(part.end, source.size):,}: "
    return {"files": [_report(source.name, error=where + what)], "rules": [], "spools": [], "others": [], "tables": [],
            "site": []}


def _joined(answers: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: [item for answer in answers for item in answer[key]]
            for key in ("files", "rules", "spools", "others", "tables", "site")}


def _report(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "events": 0, "rejected": 0, "hits": 0, "problems": (), "error": None,
            "recovered": 0, "recovered_hits": 0, **values}


# ---- in the child ------------------------------------------------------------------------


@dataclass(slots=True)
class _Context:
    compiled: CompiledRules
    matcher: Matcher
    want: frozenset[str] | None
    columns: frozenset[str]
    levels: frozenset[str]
    spool: Path
    exceptions: tuple[tuple[Expected, ...], list[SiteUse]]
    recover: bool = False
    batch: EvtxBatch | None = None          # an empty one, from the task before: it knows the templates it met


def prepare(argument: Mapping[str, Any]) -> _Context:
    """Once for all children: the compiled rules, ready to match."""
    compiled = from_plain(orjson.loads(argument["rules"]))
    matcher = Matcher(compiled)
    matcher.make_ready()
    named = read_names([k for k in matcher.keys if k != "*"])
    # A keyword may stand in any field; the System part is read only where a rule or a hit names it.
    want = None if matcher.keyword_specs else named
    return _Context(compiled, matcher, want, named | _SCHEMA_COLUMNS, frozenset(argument["levels"]),
                    Path(argument["spool"]), argument["site"], argument.get("recover", False))


def hunt_files(context: _Context, argument: Sequence[Any]) -> dict[str, Any]:
    """Hunt through some pieces; hits go to a file in the spool folder, the figures come back."""
    key, pieces = argument
    path = context.spool / f"{key}.jsonl"
    kept = HitWriter(context.compiled, context.spool / f"{key}.hits.arrow")
    with open(path, "wb") as out:
        job = _Job(context, out, kept)
        for source, part in pieces:
            if source.kind == "text":
                job.read_text(source)
            else:
                job.read(source, part)
        job.flush()
    kept.close()
    context.batch = job.batch
    return {"files": list(job.files.values()), "rules": list(job.rules.values()), "spools": [str(path)],
            "others": job.others, "tables": [str(kept.path)] if kept.rows else [],
            "site": [(job.aside.hits, job.switched_off)]}


class _Job:
    """Several files through one batch of columns."""

    def __init__(self, context: _Context, out: Any, kept: HitWriter) -> None:
        self._context, self._out, self._kept = context, out, kept
        self._hashes: dict[str, str] = {}               # of the files read, by name
        self._silent = {id(context.matcher.rules[n]) for n in context.compiled.quiet}
        self.aside = Aside(context.compiled, *context.exceptions)
        self.switched_off = 0
        self.batch = context.batch or EvtxBatch(want=context.want, columns=context.columns, limit=_BATCH_ROWS,
                                                lazy=True)
        context.batch = None                # a task that fails leaves none behind
        self._starts: list[tuple[int, str]] = []
        self.files: dict[str, dict[str, Any]] = {}
        self.rules: dict[int, dict[str, Any]] = {}
        self.others: list[str] = []

    def read(self, source: Source, part: Part | None) -> None:
        report = self.files[source.name] = _report(source.name)
        self._hashes[source.name] = source.sha256
        self._starts.append((self.batch.rows, source.name))
        before = self.batch.rows
        try:
            for _ in read_records(source, self.batch, part, recover=self._context.recover):
                if self.batch.full:
                    report["events"] += self.batch.rows - before
                    self._take_rejects(report, self.batch.rejects)
                    self.flush()
                    self._starts, before = [(0, source.name)], 0
        except HikeshiError as error:
            if may_be_carved(source):
                del self.files[source.name]
                self._starts.pop()
                self.others.append(source.name)
                return
            report["error"] = error.what
        report["events"] += self.batch.rows - before
        self._take_rejects(report, self.batch.rejects)

    def read_text(self, source: Source) -> None:
        """Windows events that were exported as text, and logs that some rule speaks of; any other text is
        only named."""
        # The text formats cost a child its start-up time: only where there is a text.
        from hikeshi.parse.registry import detect_format, parse_source

        try:
            name, _ = detect_format(source)
        except HikeshiError:
            name = ""
        other = name not in _EXPORTS
        if other and (name in ("", "text") or not self._context.compiled.reads_texts):
            self.others.append(source.name)
            return
        self.flush()            # what was read before comes first
        report = self.files[source.name] = _report(source.name)
        self._hashes[source.name] = source.sha256
        zone = parse_zone(source.zone_hint) if source.zone_hint else UTC
        try:
            for table in parse_source(source, zone=zone, zone_assumed=not source.zone_hint, format=name,
                                      batch_rows=_EXPORT_ROWS):
                self._take_rejects(report, table.rejects)
                seen = table.row_count if "winlog.channel" in table.columns else spoken_of(
                    table, self._context.matcher.specs)
                if seen:
                    report["events"] += seen
                    self._match(table)
        except HikeshiError as error:
            report["error"] = error.what
        if other and not report["events"] and not report["error"]:
            del self.files[source.name]         # no rule speaks of what this log holds
            self.others.append(source.name)

    def _take_rejects(self, report: dict[str, Any], rejects: list[Reject]) -> None:
        report["rejected"] += len(rejects)
        room = _PROBLEMS_KEPT - len(report["problems"])
        report["problems"] += tuple(
            f"record {r.record}: {r.reason}" if r.record is not None else
            f"line {r.line:,}: {r.reason}" if r.line is not None else
            f"at byte {r.offset:,}: {r.reason}" if r.offset is not None else r.reason for r in rejects[:max(room, 0)])
        rejects.clear()

    def flush(self) -> None:
        """Match what the batch holds and write the hits."""
        starts, self._starts = self._starts, []
        if not self.batch.rows:
            self.batch.build()
            return
        table = self.batch.build()
        table.columns["log.file.path"] = _file_column(starts, table.row_count)
        self._match(table)

    def _match(self, table: EventTable) -> None:
        self._count_recovered(table, np.arange(table.row_count), "recovered")
        found = self.aside(table, self._context.matcher.match(table))
        self._kept.add(table, found)
        self.switched_off += sum(len(m.rows) for m in found if m.rule.level == OFF and id(m.rule) not in self._silent)
        matches = [m for m in found if m.rule.level in self._context.levels and id(m.rule) not in self._silent]
        if not matches:
            return
        self._count(table, matches)
        self._write(table, matches)

    def _write(self, table: EventTable, matches: list[Match]) -> None:
        rows = np.concatenate([m.rows for m in matches])
        # Rule order within a record, records in file order: a stable sort of rule-major rows.
        order = np.argsort(rows, kind="stable")
        self._out.writelines(result_lines(table, matches, order, hashes=self._hashes))
        names = table.columns["log.file.path"]
        for code, count in zip(*np.unique(names.codes[rows], return_counts=True), strict=True):
            self.files[names.values[code]]["hits"] += int(count)
        self._count_recovered(table, rows, "recovered_hits")

    def _count_recovered(self, table: EventTable, rows: npt.NDArray[Any], which: str) -> None:
        marks = table.columns.get("hikeshi.recovered")
        if marks is None:
            return
        names = table.columns["log.file.path"]
        chosen = rows[marks.dense(table.row_count)[rows] >= 0]
        for code, count in zip(*np.unique(names.dense(table.row_count)[chosen], return_counts=True), strict=True):
            self.files[names.values[code]][which] += int(count)

    def _count(self, table: EventTable, matches: list[Match]) -> None:
        hosts = table.columns.get("host.name")
        host_codes = None if hosts is None else hosts.dense(table.row_count)
        marks = table.columns.get("hikeshi.recovered")
        recovered = None if marks is None else marks.dense(table.row_count)
        for match in matches:
            rule = match.rule
            entry = self.rules.setdefault(id(rule), {
                "rule_id": rule.id, "title": rule.title, "author": rule.author, "level": rule.level, "count": 0,
                "first": None, "last": None, "hosts": [], "recovered": 0})
            entry["count"] += len(match.rows)
            if recovered is not None:
                entry["recovered"] += int((recovered[match.rows] >= 0).sum())
            times = table.times[match.rows]
            times = times[times != NO_TIME]
            if len(times):
                first, last = int(times.min()), int(times.max())
                entry["first"] = first if entry["first"] is None else min(entry["first"], first)
                entry["last"] = last if entry["last"] is None else max(entry["last"], last)
            if hosts is not None and host_codes is not None:
                names = {hosts.values[c] for c in np.unique(host_codes[match.rows]).tolist() if c >= 0}
                entry["hosts"] = sorted({*entry["hosts"], *names})


def _file_column(starts: list[tuple[int, str]], row_count: int) -> Column:
    """log.file.path from the row at which each file begins."""
    codes = np.zeros(row_count, dtype=np.int32)
    names: list[str] = []
    for start, name in starts:
        codes[start:] = len(names)
        names.append(name)
    return Column(names, codes)

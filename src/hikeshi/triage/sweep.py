"""Sweep a folder of evidence for indicators: files in, sightings out.

Text logs are swept by parts of a file, one a child: every byte is searched for candidates, only lines that
hold one are parsed, and the parsed columns decide. Files whose records are no single lines (event logs,
JSON documents) are parsed wholly. Children give sums as columns; sightings are made of them at the end.
A run that is stopped begins anew: it takes seconds a gigabyte. What children do is in sweep_part.py.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path

from hikeshi.errors import HikeshiError
from hikeshi.events.leases import Grant, Leases, leases
from hikeshi.evidence import sandbox
from hikeshi.evidence.acquire import acquire
from hikeshi.evidence.source import Source
from hikeshi.indicators import IndicatorSet, warning_lists
from hikeshi.model.case import NotRead
from hikeshi.model.sighting import Sighting
from hikeshi.sweep import Compiled, compile_indicators, open_compiled
from hikeshi.sweep import kernel as machine_code
from hikeshi.sweep.sightings import in_order, sightings_of
from hikeshi.sweep.tallies import Part, Tallies
from hikeshi.triage.reading import LIMITS, Zone, is_log, left_out, not_read, readable, workers_for

PART = 64 << 20
_SORTED = 200_000  # sightings; more come out in the order of the list
_WORTH_MAKING = 1 << 30  # bytes of logs from which machine code pays although it has to be made first


@dataclass(slots=True)
class SweepResult:
    """`records` counts the lines (or events) that were searched, `parsed` those that held a candidate,
    `rejected` those of them no parser could read; `skipped` names files that are no logs."""

    tallies: list[tuple[Source, Tallies]] = field(default_factory=list)
    compiled: Compiled | None = None
    leases: Leases = field(default_factory=Leases)
    files: int = 0
    skipped: list[str] = field(default_factory=list)
    records: int = 0
    parsed: int = 0
    rejected: int = 0
    bytes: int = 0
    not_read: list[NotRead] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many sightings there are at most."""
        return sum(t.rows for _, t in self.tallies)

    @property
    def sightings(self) -> list[Sighting]:
        """All of them, destinations first, then by first time seen."""
        return sorted(self._all(), key=in_order)

    def each(self) -> Iterator[Sighting]:
        """The same without holding them all; in the order of the list where there are very many."""
        return iter(self.sightings) if self.count <= _SORTED else self._all()

    def _all(self) -> Iterator[Sighting]:
        assert self.compiled is not None or not self.tallies
        lists = warning_lists() if self.tallies else None
        for source, tallies in self.tallies:
            assert self.compiled is not None
            yield from sightings_of(tallies, self.compiled, self.leases.rows, source.name, source.sha256, lists)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a child needs beside the file: the tables' file, leases, machine code, the zone, the format if
    the user named one."""

    compiled: Path
    leases: Leases
    kernel: Path | None
    zone: Zone
    format: str | None = None


@dataclass(frozen=True, slots=True)
class FilePart:
    """Bytes [start, end) of a file; `fields` the header line that holds there, if it is not the file's first."""

    source: Source
    start: int
    end: int
    fields: str | None = None


@dataclass(frozen=True, slots=True)
class FileResult:
    """One part's sums, as they come back from the child. `lines` is how many it owned; `fields_used` and
    `fields_left` the header lines with which it began and ended (formats that have them)."""

    part: Part
    lines: int
    parsed: int
    rejected: int
    fields_used: str = ""
    fields_left: str = ""


# ---- in the parent ---------------------------------------------------------------------------


def sweep_sources(sources: Sequence[Source], indicators: IndicatorSet | Compiled, work: Path, *,
                  held: Leases | None = None, workers: int | None = None, zone: str | None = None,
                  format: str | None = None,
                  on_progress: Callable[[str, int, int], None] | None = None) -> SweepResult:
    """Sweep files that evidence.acquire has already opened; `work` is a folder for the tables."""
    compiled = indicators if isinstance(indicators, Compiled) else compile_indicators(indicators)
    if compiled.path is None:
        compiled.write(work / "indicators.hksweep")
        compiled = open_compiled(work / "indicators.hksweep")
    wanted = sorted((s for s in sources if is_log(s)), key=lambda s: (-s.size, s.name))
    total = sum(s.size for s in wanted)
    held = held or Leases()
    settings = Settings(compiled.path or work, held, machine_code.location(make=total >= _WORTH_MAKING),
                        Zone.named(zone), format)
    result = SweepResult(compiled=compiled, leases=held, bytes=total,
                         skipped=[s.name for s in sources if s.size and not is_log(s)])
    # This process only waits: what it needs at the end can be loaded meanwhile.
    loading = threading.Thread(target=_load_warnings, daemon=True)
    loading.start()
    _Run(settings, result, wanted, workers, on_progress).all()
    result.not_read.sort(key=lambda n: n.path)
    return result


def _load_warnings() -> None:
    with contextlib.suppress(HikeshiError):  # told when the lists are asked for
        warning_lists()


class _Run:
    """Gives out the parts and puts their sums together, each file's in its order."""

    def __init__(self, settings: Settings, result: SweepResult, sources: Sequence[Source], workers: int | None,
                 on_progress: Callable[[str, int, int], None] | None) -> None:
        self.settings, self.result, self.sources, self.workers = settings, result, sources, workers
        self.on_progress = on_progress
        self.failed: set[int] = set()

    def all(self) -> None:
        parts = [(number, part) for number, source in enumerate(self.sources) for part in _parts(source)]
        done = self._some(parts)
        again: list[tuple[int, FilePart]] = []
        for number, mine in _by_file(parts, done).items():
            # Headers may change in the middle of a file: a part that began with another one is swept anew.
            fields = mine[0][1].fields_left
            for part, got in mine[1:]:
                if fields != got.fields_used:
                    again.append((number, replace(part, fields=fields)))
                    fields = got.fields_left if got.fields_left != got.fields_used else fields
                else:
                    fields = got.fields_left
        for key, got in self._some(again).items():
            done[key] = got
        for number, mine in _by_file(parts, done).items():
            tallies, line = Tallies(), 0
            for _, got in mine:
                tallies.join(got.part, first_line=line)
                line += got.lines
                self.result.parsed += got.parsed
                self.result.rejected += got.rejected
            self.result.records += line
            self.result.files += 1
            if tallies:
                self.result.tallies.append((self.sources[number], tallies))

    def _some(self, parts: Sequence[tuple[int, FilePart]]) -> dict[tuple[int, int], FileResult]:
        if not parts:
            return {}
        by_key = {f"{number} {part.start}": (number, part) for number, part in parts}
        tasks = (sandbox.Task(key, part) for key, (_, part) in by_key.items())
        out: dict[tuple[int, int], FileResult] = {}
        for done, outcome in enumerate(sandbox.run(
                "hikeshi.triage.sweep_part:sweep_part", tasks, setup="hikeshi.triage.sweep_part:prepare",
                setup_argument=self.settings, workers=workers_for(self.workers, len(parts)), limits=LIMITS,
                readable=readable(self.sources), forked=True), 1):
            number, part = by_key[outcome.key]
            if outcome.error is not None:
                if number not in self.failed:
                    self.failed.add(number)
                    self.result.not_read.append(not_read(self.sources[number], outcome.error))
            else:
                out[number, part.start] = outcome.value
            if self.on_progress:
                self.on_progress("sweep", done, len(parts))
        return out


def _parts(source: Source) -> list[FilePart]:
    if source.kind != "text" or source.size < PART * 3 // 2:
        return [FilePart(source, 0, source.size)]
    count = max(2, source.size // PART)
    cuts = [source.size * i // count for i in range(count + 1)]
    return [FilePart(source, a, b) for a, b in pairwise(cuts)]


def _by_file(parts: Sequence[tuple[int, FilePart]],
             done: dict[tuple[int, int], FileResult]) -> dict[int, list[tuple[FilePart, FileResult]]]:
    """What came back, by file and place. A file of which a part failed keeps the others."""
    out: dict[int, list[tuple[FilePart, FileResult]]] = {}
    for number, part in parts:
        got = done.get((number, part.start))
        if got is not None:
            out.setdefault(number, []).append((part, got))
    return out


def gather_leases(sources: Sequence[Source], *, zone: Zone, workers: int | None = None,
                  named: bool = False) -> tuple[Leases, list[NotRead]]:
    """Spans from DHCP logs: all of `sources` if they were `named` as such, else those whose name says so."""
    wanted = [s for s in sources if is_log(s) and (
        named or any(word in s.name.lower().rpartition("/")[2] for word in ("dhcp", "lease")))]
    if not wanted:
        return Leases(), []
    found: list[Grant] = []
    problems = []
    tasks = (sandbox.Task(str(i), s) for i, s in enumerate(wanted))
    for outcome in sandbox.run("hikeshi.triage.sweep_part:read_leases", tasks,
                               setup="hikeshi.triage.sweep_part:zone_of_leases", setup_argument=zone,
                               workers=workers_for(workers, len(wanted)), limits=LIMITS,
                               readable=readable(wanted)):
        if outcome.error is not None:
            problems.append(not_read(wanted[int(outcome.key)], outcome.error))
        else:
            found += outcome.value
    return leases(found), problems


def sweep_evidence(paths: Iterable[Path], indicators: IndicatorSet | Compiled, *, lease_logs: Sequence[Path] = (),
                   workers: int | None = None, zone: str | None = None, format: str | None = None,
                   on_progress: Callable[[str, int, int], None] | None = None) -> SweepResult:
    """Sweep files, folders and archives. `zone` reads times that name none (default: the evidence's
    notes, else the machine's). `lease_logs` say which machine had an address when; DHCP logs among the
    evidence are used too. Files that can't be read are in `not_read`, with the reason."""
    with tempfile.TemporaryDirectory(prefix="hikeshi-") as work:
        acquired = acquire(list(paths), Path(work) / "evidence", workers=workers)
        closed = [left_out(name, reason) for name, reason in acquired.not_read]
        beside = acquired.sources
        if lease_logs:
            given = acquire(list(lease_logs), Path(work) / "leases", workers=workers)
            closed += [left_out(name, reason) for name, reason in given.not_read]
            beside = given.sources
        held, problems = gather_leases(beside, zone=Zone.named(zone), workers=workers, named=bool(lease_logs))
        result = sweep_sources(acquired.sources, indicators, Path(work), held=held, workers=workers, zone=zone,
                               format=format, on_progress=on_progress)
        result.not_read = sorted([*closed, *problems, *result.not_read], key=lambda n: n.path)
        return result


def first(result: SweepResult, most: int) -> list[Sighting]:
    """The first sightings, all of them where they are not too many."""
    return list(islice(result.each(), most))


def marked(sightings: list[Sighting]) -> list[Sighting]:
    """Each with the warning lists its indicator stands on."""
    if not sightings:
        return sightings
    lists = warning_lists()
    marks = {key: lists.of(*key) for key in {(s.indicator_type, s.indicator) for s in sightings}}
    return [replace(s, warning_lists=marks[s.indicator_type, s.indicator]) for s in sightings]

"""Sweep a folder of evidence for indicators: files in, sightings out.

Each file is parsed and searched in a limited child; what comes back is a list of sightings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hikeshi.evidence import sandbox
from hikeshi.evidence.acquire import acquire
from hikeshi.evidence.source import Source
from hikeshi.indicators import IndicatorSet, warning_lists
from hikeshi.model.case import NotRead
from hikeshi.model.sighting import Sighting
from hikeshi.parse.registry import parse_source
from hikeshi.parse.windows import add_ecs_columns
from hikeshi.sweep import Compiled, Sweeper, compile_indicators, merge
from hikeshi.triage.reading import LIMITS, Zone, is_log, largest_first, left_out, not_read, readable, workers_for


@dataclass(slots=True)
class SweepResult:
    """Sightings, destinations first; `records` and `rejected` count what was searched, `skipped` names
    the files that are no logs and were not searched."""

    sightings: list[Sighting] = field(default_factory=list)
    files: int = 0
    skipped: list[str] = field(default_factory=list)
    records: int = 0
    rejected: int = 0
    not_read: list[NotRead] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a child needs beside the file: the tables, the zone, the format if the user named one."""

    compiled: Compiled
    zone: Zone
    format: str | None = None


@dataclass(frozen=True, slots=True)
class FileResult:
    """One file's part, as it comes back from the child."""

    sightings: tuple[Sighting, ...]
    records: int
    rejected: int


def prepare(settings: Settings) -> Settings:
    """Runs in each child before it is locked down; everything a task imports is imported by now."""
    return settings


def sweep_file(settings: Settings, source: Source) -> FileResult:
    """All sightings of one file; runs in the child."""
    zone = settings.zone.of(source)
    sweeper = Sweeper(settings.compiled)
    records = rejected = 0
    for table in parse_source(source, zone=zone.zone, zone_assumed=zone.assumed, format=settings.format):
        add_ecs_columns(table)
        sweeper.add(source, table)
        records += table.row_count
        rejected += len(table.rejects)
    return FileResult(tuple(sweeper.sightings()), records, rejected)


def sweep_sources(sources: Sequence[Source], indicators: IndicatorSet, *, workers: int | None = None,
                  zone: str | None = None, format: str | None = None,
                  on_progress: Callable[[str, int, int], None] | None = None) -> SweepResult:
    """Sweep files that evidence.acquire has already opened. Largest files first, one a child."""
    settings = Settings(compile_indicators(indicators), Zone.named(zone), format)
    wanted = largest_first(s for s in sources if is_log(s))
    result = SweepResult(skipped=[s.name for s in sources if s.size and not is_log(s)])
    by_key = {str(number): source for number, source in enumerate(wanted)}
    tasks = (sandbox.Task(key, source) for key, source in by_key.items())
    parts: list[tuple[Sighting, ...]] = []
    if by_key:
        for done, outcome in enumerate(sandbox.run(
                "hikeshi.triage.sweep:sweep_file", tasks, setup="hikeshi.triage.sweep:prepare",
                setup_argument=settings, workers=workers_for(workers, len(by_key)), limits=LIMITS,
                readable=readable(wanted)), 1):
            if outcome.error is not None:
                result.not_read.append(not_read(by_key[outcome.key], outcome.error))
            else:
                part: FileResult = outcome.value
                parts.append(part.sightings)
                result.files += 1
                result.records += part.records
                result.rejected += part.rejected
            if on_progress:
                on_progress("sweep", done, len(by_key))
    result.sightings = marked(merge(parts))
    result.not_read.sort(key=lambda n: n.path)
    return result


def sweep_evidence(paths: Iterable[Path], indicators: IndicatorSet, *, workers: int | None = None,
                   zone: str | None = None, format: str | None = None,
                   on_progress: Callable[[str, int, int], None] | None = None) -> SweepResult:
    """Sweep files, folders and archives. `zone` reads times that name none (default: the evidence's
    notes, else the machine's). Files that can't be read are in `not_read`, with the reason."""
    with tempfile.TemporaryDirectory(prefix="hikeshi-") as work:
        acquired = acquire(list(paths), Path(work), workers=workers)
        result = sweep_sources(acquired.sources, indicators, workers=workers, zone=zone, format=format,
                               on_progress=on_progress)
        closed = [left_out(name, reason) for name, reason in acquired.not_read]
        result.not_read = sorted([*closed, *result.not_read], key=lambda n: n.path)
        return result


def marked(sightings: list[Sighting]) -> list[Sighting]:
    """Each with the warning lists its indicator stands on."""
    if not sightings:
        return sightings
    lists = warning_lists()
    marks = {key: lists.of(*key) for key in {(s.indicator_type, s.indicator) for s in sightings}}
    return [replace(s, warning_lists=marks[s.indicator_type, s.indicator]) for s in sightings]

"""Logs as rows of events: files in, one file of JSON Lines or a summary a file out.

Each file is parsed in a limited child, which writes what it read to the work folder; the parent
passes it on in the files' order and holds no events itself.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from hikeshi.errors import HikeshiError, UnsupportedFormat, UsageError
from hikeshi.events.table import EventTable, Reject
from hikeshi.evidence import sandbox
from hikeshi.evidence.acquire import acquire
from hikeshi.evidence.source import Source
from hikeshi.model.case import NotRead
from hikeshi.model.text import Text
from hikeshi.parse.registry import BY_NAME, detect_format, parse_source
from hikeshi.parse.windows import add_ecs_columns
from hikeshi.triage.reading import LIMITS, Zone, is_log, left_out, make_reader, readable, workers_for

_FIRST_ROWS = 5
_REJECTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What a child needs beside the file. `rows_to` is the folder for JSON Lines, or None for a summary."""

    zone: Zone
    format: str | None
    rows_to: Path | None
    recover: bool = False


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What became of one file.

    `datasets` counts its events; `first_rows` holds a few of them; `rejects` the first parts that
    could not be read, `rejected` how many there were; `rows` the JSON Lines, if these were asked for.
    """

    name: str
    format: str
    events: int = 0
    rejected: int = 0
    datasets: dict[str, int] = field(default_factory=dict)
    first_rows: tuple[dict[str, Any], ...] = ()
    rejects: tuple[Reject, ...] = ()
    rows: Path | None = None


@dataclass(slots=True)
class Parsed:
    """The files in name order (an iterator: each is parsed before it is given), and, once that is
    used up, what could not be read."""

    files: Iterator[ParsedFile]
    not_read: list[NotRead]


@contextmanager
def parse_evidence(
    paths: Sequence[Path],
    *,
    zone: str | None = None,
    format: str | None = None,
    rows: bool = False,
    workers: int | None = None,
    recover: bool = False,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[Parsed]:
    """Parse files, folders and archives; `rows` asks for every event as JSON Lines.

    `zone` reads times that name none (default: the evidence's notes, else the machine's, which is
    then marked as assumed). Raises UsageError for an unknown format or zone, InputError for a path
    that doesn't exist.
    """
    if format is not None and format not in BY_NAME:
        raise UsageError(f"unknown format '{format}'", hint="`hikeshi parse --formats` lists them")
    settings_zone = Zone.named(zone)
    with tempfile.TemporaryDirectory(prefix="hikeshi-") as folder:
        work = Path(folder).resolve()
        out = work / "rows"
        out.mkdir()
        acquired = acquire(list(paths), work / "evidence", workers=workers)
        not_read = [left_out(name, reason) for name, reason in acquired.not_read]
        settings = Settings(settings_zone, format, out if rows else None, recover)
        wanted = [s for s in acquired.sources if is_log(s)]
        not_read += [_unread(s.name, _not_a_log(s)) for s in acquired.sources if not is_log(s)]
        yield Parsed(_files(wanted, settings, out, workers, not_read, on_progress), not_read)


def _files(
    sources: Sequence[Source],
    settings: Settings,
    out: Path,
    workers: int | None,
    not_read: list[NotRead],
    on_progress: Callable[[str, int, int], None] | None,
) -> Iterator[ParsedFile]:
    if not sources:
        return
    tasks = (sandbox.Task(str(number), (number, source)) for number, source in enumerate(sources))
    done: dict[int, ParsedFile | None] = {}
    following = 0
    make_reader(sources, on_progress=on_progress)
    outcomes = sandbox.run(
        "hikeshi.triage.parse:parse_file",
        tasks,
        setup="hikeshi.triage.parse:prepare",
        setup_argument=settings,
        workers=workers_for(workers, len(sources)),
        limits=LIMITS,
        readable=readable(sources),
        writable=[out],
        forked=True,
    )
    for count, outcome in enumerate(outcomes, 1):
        number = int(outcome.key)
        if outcome.error is not None:
            not_read.append(_unread(sources[number].name, outcome.error))
        done[number] = outcome.value if outcome.error is None else None
        if on_progress:
            on_progress("parse", count, len(sources))
        while following in done:
            file = done.pop(following)
            following += 1
            if file is not None:
                yield file
                if file.rows is not None:
                    file.rows.unlink(missing_ok=True)
    not_read.sort(key=lambda n: n.path)


def prepare(settings: Settings) -> Settings:
    """Runs in each child before it is locked down."""
    return settings


def parse_file(settings: Settings, task: tuple[int, Source]) -> ParsedFile:
    """Parse one file; runs in the child."""
    number, source = task
    zone = settings.zone.of(source)
    name = settings.format or detect_format(source)[0]
    tables = parse_source(source, zone=zone.zone, zone_assumed=zone.assumed, format=name,
                          recover=settings.recover)
    counted = _Count(source.name, name)
    if settings.rows_to is None:
        for table in tables:
            counted.add(table)
        return counted.result(None)
    path = settings.rows_to / f"{number}.jsonl"
    with path.open("wb") as out:
        for table in tables:
            counted.add(table)
            _write(table, out)
    return counted.result(path)


class _Count:
    def __init__(self, name: str, format: str) -> None:
        self._name, self._format = name, format
        self._events = self._rejected = 0
        self._datasets: Counter[str] = Counter()
        self._first: list[dict[str, Any]] = []
        self._rejects: list[Reject] = []

    def add(self, table: EventTable) -> None:
        add_ecs_columns(table)
        self._events += table.row_count
        self._rejected += len(table.rejects)
        self._rejects += table.rejects[: max(0, _REJECTS_SHOWN - len(self._rejects))]
        column = table.columns.get("event.dataset")
        if column is not None:
            for value in column.to_list(table.row_count):
                self._datasets[value or "?"] += 1
        room = _FIRST_ROWS - len(self._first)
        if room > 0 and table.row_count:
            self._first += table.iter_rows(range(min(room, table.row_count)))

    def result(self, rows: Path | None) -> ParsedFile:
        return ParsedFile(
            self._name,
            self._format,
            self._events,
            self._rejected,
            dict(self._datasets.most_common()),
            tuple(self._first),
            tuple(self._rejects),
            rows,
        )


def _write(table: EventTable, out: IO[bytes]) -> None:
    for row in table.iter_rows():
        out.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def _not_a_log(source: Source) -> HikeshiError:
    if not source.size:
        return UnsupportedFormat("the file is empty")
    return UnsupportedFormat(f"{source.kind}: not a log")


def _unread(name: str, error: HikeshiError) -> NotRead:
    ja = "空のファイルです" if error.what == "the file is empty" else f"読めませんでした: {error.what}"
    return NotRead(confidence="high", path=name, reason=Text(ja, error.what))

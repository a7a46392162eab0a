"""What the sandbox runs for a sweep: one part of a file, or one lease log."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from hikeshi.events.leases import Grant, grants
from hikeshi.events.table import EventTable, TableBuilder
from hikeshi.events.time import NO_TIME
from hikeshi.evidence.source import Source
from hikeshi.parse.chosen import HEADED, LineReader, line_reader
from hikeshi.parse.registry import parse_source
from hikeshi.parse.windows import add_ecs_columns
from hikeshi.sweep import Compiled, Sweeper, open_compiled
from hikeshi.sweep import kernel as machine_code
from hikeshi.sweep.lines import LinePicker, Picked
from hikeshi.triage.reading import Zone
from hikeshi.triage.sweep import FilePart, FileResult, Settings

_ROWS, _BYTES = 40_000, 12 << 20


@dataclass(frozen=True, slots=True)
class Context:
    """The same, opened in the child."""

    settings: Settings
    compiled: Compiled


def prepare(settings: Settings) -> Context:
    """Runs in each child before it is locked down; everything a task opens beside its file is open by now."""
    gc.set_threshold(50_000)  # many small objects, no cycles
    machine_code.use(settings.kernel)
    machine_code.kernel()
    return Context(settings, open_compiled(settings.compiled))


def sweep_part(context: Context, order: FilePart) -> FileResult:
    """All sightings of one part of a file; runs in the child."""
    source, settings = order.source, context.settings
    zone = settings.zone.of(source)
    sweeper = Sweeper(context.compiled, settings.leases)
    reader = line_reader(source, zone=zone.zone, zone_assumed=zone.assumed, format=settings.format)
    if reader is not None:
        return _Lines(order, sweeper, reader).run()
    count = rejected = 0
    # Not by lines: the first part is the whole file, the others are empty.
    if order.start == 0:
        for table in parse_source(source, zone=zone.zone, zone_assumed=zone.assumed, format=settings.format):
            add_ecs_columns(table)
            sweeper.add(source, table)
            count += table.row_count
            rejected += len(table.rejects)
    return FileResult(sweeper.part(source), count, count, rejected)


class _Lines:
    """Candidate lines of a part, parsed in batches."""

    def __init__(self, order: FilePart, sweeper: Sweeper, reader: LineReader) -> None:
        self.order, self.sweeper, self.reader = order, sweeper, reader
        self.headed = reader.name in HEADED
        self.head = list(reader.head)
        if order.fields is not None:
            self.head = [order.fields]
        self.parsed = self.rejected = 0

    def run(self) -> FileResult:
        order = self.order
        began = _fields(self.head)
        picker = LinePicker(order.source.path, order.start, order.end, self.sweeper.compiled.tables,
                            lead_bytes=self.reader.encoding in ("cp932", "latin-1", "euc_jp"),
                            marks=b"#" if self.headed else b"")
        for batch in picker.batches(_ROWS, _BYTES):
            self._add(batch)
        return FileResult(self.sweeper.part(order.source), picker.count, self.parsed, self.rejected, began,
                          _fields(self.head))

    def _add(self, batch: Picked) -> None:
        lines = _decoded(batch.lines, self.reader.encoding)
        if self.order.start == 0 and batch.numbers and batch.numbers[0] == 0:
            lines[0] = lines[0].removeprefix("\ufeff")
        numbers = [n + 1 for n in batch.numbers]
        if lines:
            for table in self.reader.parse(lines, numbers, batch.offsets, cut=batch.cut,
                                           head=self.head if self.headed else None):
                self.rejected += len(table.rejects)
                if table.row_count:
                    self._sweep(table)
        if batch.excerpts:
            self._sweep(_excerpts(batch, self.reader.encoding))
        if self.headed:
            self.head = ([line for line in lines if _fields([line])] or self.head)[-1:]

    def _sweep(self, table: EventTable) -> None:
        add_ecs_columns(table)
        self.sweeper.add(self.order.source, table)
        self.parsed += table.row_count


def _fields(lines: Sequence[str]) -> str:
    """The last header line that names the columns."""
    return next((line for line in reversed(lines) if line.lstrip("\ufeff")[:7].lower() == "#fields"), "")


def _decoded(lines: list[bytes], encoding: str) -> list[str]:
    whole = b"\n".join(lines).decode(encoding, "backslashreplace").split("\n")
    if len(whole) != len(lines):  # broken bytes have swallowed a line end
        whole = [line.decode(encoding, "backslashreplace") for line in lines]
    return [line[:-1] if line.endswith("\r") else line for line in whole] if lines else []


def _excerpts(batch: Picked, encoding: str) -> EventTable:
    builder = TableBuilder()
    for number, text in batch.excerpts:
        builder.add(NO_TIME, {"event.dataset": "unparsed", "message": text.decode(encoding, "backslashreplace"),
                              "log.line": number + 1})
    return builder.build()


def read_leases(zone: Zone, source: Source) -> tuple[Grant, ...]:
    """The grants in one DHCP log; runs in a child."""
    own = zone.of(source)
    return tuple(chain.from_iterable(
        grants(table) for table in parse_source(source, zone=own.zone, zone_assumed=own.assumed)))


def zone_of_leases(zone: Zone) -> Zone:
    """The context of read_leases."""
    return zone

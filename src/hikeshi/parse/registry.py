"""The way in: from a file to its events.

formats.py is the table of formats, recognise.py tells which one a file has, one_line.py reads a line of any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any

import numpy as np

from hikeshi.errors import UsageError
from hikeshi.events.table import Column, EventTable, Reject, constant
from hikeshi.events.time import to_datetime
from hikeshi.evidence.source import Source
from hikeshi.parse.block import Lists
from hikeshi.parse.context import Context
from hikeshi.parse.file import SAMPLE_LINES, File, open_text, sample_of
from hikeshi.parse.formats import BY_NAME, FORMATS
from hikeshi.parse.one_line import any_line
from hikeshi.parse.recognise import detect_format, detect_lines
from hikeshi.parse.stamps import stamp
from hikeshi.parse.windows import dataset_of

__all__ = ["BY_NAME", "FORMATS", "any_line", "detect_format", "detect_lines", "finished", "parse_source", "prime"]

# Formats that are no text.
_BINARY = frozenset({"evtx", "wtmp"})


def parse_source(
    source: Source,
    *,
    zone: tzinfo,
    zone_assumed: bool,
    format: str | None = None,
    batch_rows: int = 50_000,
    recover: bool = False,
) -> Iterator[EventTable]:
    """The events of one file as batches in file order, in memory that does not grow with the file.

    Every row has event.dataset, event.timezone (where it has a time), log.file.path, log.offset
    and log.line (text logs). `zone` reads times that name none; `zone_assumed` marks it so.
    `recover`: of event logs also the records that no reader shows, with their marks.
    What can't be read stays as a row of dataset "unparsed" and as a Reject.
    Raises UnsupportedFormat for what is neither text nor EVTX, UsageError for an unknown format.
    """
    if format is not None and format not in BY_NAME:
        raise UsageError(f"unknown format '{format}'", hint="`hikeshi parse --formats` lists them")
    written = int(source.path.stat().st_mtime * 1_000_000)
    context = Context(zone, zone_assumed, written)
    if source.kind in _BINARY or format in _BINARY:
        name, file = format or source.kind, File(source, "", context, batch_rows, [], recover=recover)
    else:
        file = open_text(source, context, batch_rows)
        if source.kind == "empty" or source.size == 0:
            return
        sample = sample_of(file)
        name = format or detect_lines(sample)[0]
        prime(context, sample)
    yield from finished(BY_NAME[name].parse(file), file)


_SLASHED_DATE = re.compile(r"(?<![\d/.-])([0-3]?\d)[/.-]([0-3]?\d)[/.-](?:19|20)\d\d(?=[ T:,])")


def prime(context: Context, sample: Sequence[str]) -> None:
    """Times without a year lean on a time nearby that has one, if the sample holds any; dates with
    the day in front show themselves by a day after the twelfth."""
    dates = [m for line in sample[:SAMPLE_LINES] for m in _SLASHED_DATE.findall(line)]
    context.day_first = any(int(a) > 12 for a, _ in dates) and not any(int(b) > 12 for _, b in dates)
    for line in sample[:SAMPLE_LINES]:
        match = re.search(r"\b(20\d\d)[-/](0[1-9]|1[0-2])[-/]([0-2]\d|3[01])[T ]\d\d:\d\d:\d\d", line)
        if match and abs(to_datetime(context.written).year - int(match[1])) < 60:
            stamp(match[0], context)
            return


def finished(tables: Iterator[EventTable], file: File) -> Iterator[EventTable]:
    last: EventTable | None = None
    for table in tables:
        if last is not None:
            yield last
        if table.row_count:
            table.columns["log.file.path"] = constant(file.source.name, table.row_count)
            channel = table.columns.get("winlog.channel")
            if "event.dataset" not in table.columns and channel is not None:
                _windows_dataset(table, channel)
        last = table
    if file.problems:
        last = last if last is not None else EventTable(0, np.empty(0, dtype=np.int64))
        last.rejects.extend(Reject(problem) for problem in file.problems)
    if last is not None:
        yield last


def _windows_dataset(table: EventTable, channel: Column) -> None:
    lists = Lists(table.row_count)
    dense: Any = channel.dense(table.row_count)
    lists.put_column("event.dataset", Column(channel.values, dense), [dataset_of(v) for v in channel.values])
    column = lists.columns.get("event.dataset")
    if column is None:
        table.columns["event.dataset"] = constant("windows", table.row_count)
        return
    if (column.codes < 0).any():
        column = Column(
            [*column.values, "windows"], np.where(column.codes < 0, len(column.values), column.codes).astype(np.int32)
        )
    table.columns["event.dataset"] = column

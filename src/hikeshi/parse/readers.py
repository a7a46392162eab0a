"""Files of one event a line: read line by line, or as columns a block at a time."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hikeshi.events.table import Column, EventTable, Reject, TableBuilder, encode
from hikeshi.events.time import NO_TIME
from hikeshi.evidence.text import Block
from hikeshi.parse import plaintext
from hikeshi.parse.context import Event
from hikeshi.parse.file import File
from hikeshi.parse.format import KNOWN, Reader
from hikeshi.parse.headed import BlockParser
from hikeshi.parse.one_line import any_line
from hikeshi.parse.prose import add_who_and_where

_SHOWN = 200

class Rows:
    """Collects events one at a time and gives batches."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._builder = TableBuilder()
        self._lines: list[int] = []
        self._offsets: list[int] = []

    def add(self, event: Event, line: int, offset: int) -> None:
        self._builder.add(event.time, event.cells)
        self._lines.append(line)
        self._offsets.append(offset)

    def reject(self, text: str, reason: str, line: int, offset: int) -> None:
        """Kept in `rejects` and, so that it is still swept, as an event of its own."""
        self._builder.reject(Reject(reason, line=line, offset=offset, raw=text[:_SHOWN]))
        self.add(unparsed(text), line, offset)

    def note(self, reject: Reject) -> None:
        self._builder.reject(reject)

    def full(self) -> bool:
        return len(self._lines) >= self._file.batch_rows

    def build(self) -> Iterator[EventTable]:
        table = self._builder.build()
        if table.row_count or table.rejects:
            _place(table, self._lines, self._offsets)
            yield table
        self._lines, self._offsets = [], []


def unparsed(text: str) -> Event:
    """A line that is no record of its file's format: swept as text, with what it plainly says."""
    cells: dict[str, Any] = {"event.dataset": "unparsed", "message": text}
    add_who_and_where(cells, text)
    return Event(NO_TIME, cells)


def _place(table: EventTable, lines: Sequence[int], offsets: Sequence[int]) -> None:
    if table.row_count:
        table.columns["log.line"] = encode(list(lines))
        table.columns["log.offset"] = encode(list(offsets))


def is_blank(text: str) -> bool:
    return not text or not text.strip(" \t\r\ufeff\0\x1a")


def by_line(
    name: str, *, lenient: bool = False, heading: re.Pattern[str] | None = None
) -> Reader:
    """A reader for formats of one event a line; a line of another format goes to its own parser."""

    def parse(file: File) -> Iterator[EventTable]:
        # Pairs are in the lines of many makers: theirs are asked first, line by line.
        own = KNOWN.named(name) if name != "keyvalue" else None
        first = own if own is not None and own.parse_line is not None else None
        rows = Rows(file)
        for block in file.blocks():
            cut = set(block.truncated)
            for i, (text, offset) in enumerate(zip(block.lines, block.offsets.tolist(), strict=True)):
                if is_blank(text):
                    continue
                number = block.first_number + i
                event = any_line(text, file.context, first, lenient=lenient)
                if event is None:
                    if not lenient and (text.startswith("#") or (heading is not None and heading.match(text))):
                        event = _comment(text)
                    elif lenient:
                        event = plaintext.parse_line(text, file.context)
                    else:
                        rows.reject(text, f"no {name} record", number, offset)
                        continue
                rows.add(event, number, offset)
                if i in cut:
                    rows.note(_cut(text, number, offset))
                if rows.full():
                    yield from rows.build()
        yield from rows.build()

    return parse


def _comment(text: str) -> Event:
    return Event(NO_TIME, {"event.dataset": "comment", "message": text})


def _cut(text: str, line: int, offset: int) -> Reject:
    return Reject("the line is longer than 1 MiB; its end was not read", line=line, offset=offset, raw=text[:_SHOWN])


def by_block(name: str, parse_block: BlockParser, rows: int = 1 << 20) -> Reader:
    """A reader for formats that are parsed as columns; odd lines go the slow way, in their place."""

    def parse(file: File) -> Iterator[EventTable]:
        for block in file.large_blocks():
            step = min(rows, file.batch_rows)
            for start in range(0, len(block.lines), step):
                yield from columns_of(file, block, slice(start, start + step), name, parse_block)

    return parse


@contextmanager
def _uncollected() -> Iterator[None]:
    """A block makes a hundred thousand lists and no cycle: the collector would find nothing."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def columns_of(file: File, block: Block, part: slice, name: str, parse_block: BlockParser) -> Iterator[EventTable]:
    texts, offsets = block.lines[part], block.offsets[part]
    first = block.first_number + (part.start or 0)
    with _uncollected():
        lists, odd = parse_block(texts, file.context)
    others: dict[int, Event] = {}
    rejects: list[Reject] = []
    blank: list[int] = []
    # Pairs are in the lines of many makers: theirs are asked first.
    row = KNOWN.named(name) if name != "keyvalue" else None
    for i in odd:
        text = texts[i]
        if is_blank(text):
            blank.append(i)
            continue
        first_tried = row if row is not None and row.parse_line is not None else None
        event = any_line(text, file.context, first_tried, lenient=False)
        if event is None:
            if text.startswith("#"):
                event = _comment(text)
            else:
                rejects.append(Reject(f"no {name} record", line=first + i, offset=int(offsets[i]), raw=text[:_SHOWN]))
                event = unparsed(text)
        others[i] = event
    rejects += [
        _cut(block.lines[i], block.first_number + i, int(block.offsets[i]))
        for i in block.truncated
        if part.start <= i < part.stop
    ]
    table = lists.table(others, rejects)
    order = np.arange(table.row_count, dtype=np.int32)
    table.columns["log.line"] = Column(list(range(first, first + table.row_count)), order)
    table.columns["log.offset"] = Column(offsets.tolist(), order.copy())
    if blank:
        keep = np.setdiff1d(order, np.array(blank, dtype=np.int32))
        kept = table.take(keep)
        kept.rejects = table.rejects
        table = kept
    if table.row_count or table.rejects:
        yield table

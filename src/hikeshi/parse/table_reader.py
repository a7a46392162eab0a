"""Files of rows and columns: W3C logs, whose #Fields line may change midway, and CSV with its relatives."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hikeshi.events.table import EventTable
from hikeshi.evidence.text import Block
from hikeshi.parse import delimited, plaintext, w3c
from hikeshi.parse.file import File, sample_of
from hikeshi.parse.one_line import any_line
from hikeshi.parse.readers import Rows, by_line, columns_of, is_blank


def read_w3c(file: File) -> Iterator[EventTable]:
    layout = w3c.Layout()
    for block in file.large_blocks():
        start, count = 0, len(block.lines)
        while start < count:
            text = block.lines[start]
            if text.startswith("#"):
                layout.header(text.lstrip("\ufeff"))
                start += 1
                continue
            end = start
            limit = min(count, start + file.batch_rows)
            while end < limit and not block.lines[end].startswith("#"):
                end += 1
            if layout.standard:
                reader = partial(w3c.parse_block, layout=layout)
                yield from columns_of(file, block, slice(start, end), "w3c", reader)
            else:
                yield from _w3c_rows(file, block, start, end, layout)
            start = end


def _w3c_rows(file: File, block: Block, start: int, end: int, layout: w3c.Layout) -> Iterator[EventTable]:
    rows = Rows(file)
    for i in range(start, end):
        text, number, offset = block.lines[i], block.first_number + i, int(block.offsets[i])
        if is_blank(text):
            continue
        event = w3c.parse_other(text, layout, file.context) if layout.names else any_line(text, file.context)
        if event is None:
            rows.reject(text, "another number of values than the #Fields line", number, offset)
        else:
            rows.add(event, number, offset)
    yield from rows.build()


def read_csv(file: File) -> Iterator[EventTable]:
    layout = delimited.sniff(sample_of(file))
    if layout is None:
        yield from by_line("mixed", lenient=True)(file)
        return
    rows = Rows(file)
    seen = 0
    for values, text, line, offset in delimited.records(file.lines(), layout.separator):
        if is_blank(text):
            continue
        seen += 1
        if seen <= layout.skip:
            if seen < layout.skip:
                rows.add(plaintext.parse_line(text, file.context), line, offset)
            continue
        event = delimited.parse_record(values, layout, file.context)
        if event is None:
            if tuple(v.strip() for v in values) == layout.headings:
                continue
            rows.reject(text, "another number of values than the heading", line, offset)
        else:
            rows.add(event, line, offset)
        if rows.full():
            yield from rows.build()
    yield from rows.build()

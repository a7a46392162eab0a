"""Single lines of a log, chosen by somebody else, parsed as the whole file would have been.

The sweep looks at every byte and parses only lines that hold a candidate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from hikeshi.errors import UsageError
from hikeshi.events.table import EventTable, encode
from hikeshi.evidence.source import Source
from hikeshi.evidence.text import Block
from hikeshi.parse import delimited, jsonlines
from hikeshi.parse.context import Context
from hikeshi.parse.file import SAMPLE_LINES, File, open_text, sample_of
from hikeshi.parse.formats import BY_NAME
from hikeshi.parse.recognise import detect_lines
from hikeshi.parse.registry import finished, prime

HEADED = ("w3c", "zeek")  # formats whose "#Fields" line tells the columns of what follows

@dataclass(frozen=True, slots=True)
class LineReader:
    """Reads single lines of one file, chosen by somebody else, as parse_source would have read them.

    `name` is the file's format. Made by line_reader(), which also knows which formats allow it.
    """

    name: str
    encoding: str
    head: tuple[str, ...]
    file: File

    def parse(
        self,
        lines: Sequence[str],
        numbers: Sequence[int],
        offsets: Sequence[int],
        *,
        cut: Sequence[int] = (),
        head: Sequence[str] | None = None,
    ) -> Iterator[EventTable]:
        """Events of lines with their numbers (from 1) and offsets; `cut` are positions of lines whose end is
        not here. `head`: what the format must have read before ("#Fields"), if not the file's own."""
        before = list(self.head if head is None else head)
        block = Block(
            [*before, *lines],
            0,
            np.arange(len(before) + len(lines), dtype=np.int64),
            tuple(i + len(before) for i in cut),
        )
        file = _Chosen(self.file.source, self.encoding, self.file.context, self.file.batch_rows, [], [block])
        true_lines = np.array([*([0] * len(before)), *numbers], dtype=np.int64)
        true_offsets = np.array([*([0] * len(before)), *offsets], dtype=np.int64)
        for table in finished(BY_NAME[self.name].parse(file), file):
            column = table.columns.get("log.line")
            if column is None:
                continue
            places = np.array(column.values, dtype=np.int64)[column.dense(table.row_count)]
            if before:
                kept = np.flatnonzero(places >= len(before)).astype(np.int32)
                rejects = [r for r in table.rejects if r.line is None or r.line >= len(before)]
                table, places = table.take(kept), places[kept]
                table.rejects = rejects
            table.columns["log.line"] = encode(true_lines[places].tolist())
            table.columns["log.offset"] = encode(true_offsets[places].tolist())
            yield table


@dataclass(slots=True)
class _Chosen(File):
    """A file that consists of given lines; the number of a line is its place."""

    given: list[Block]

    def blocks(self) -> Iterator[Block]:
        return iter(self.given)


def line_reader(
    source: Source, *, zone: tzinfo, zone_assumed: bool, format: str | None = None, batch_rows: int = 50_000
) -> LineReader | None:
    """A reader for chosen lines; None if this file's records are no lines that stand alone (event logs,
    JSON documents, XML, quoted CSV over several lines, wide characters, odd line ends).
    Raises like parse_source."""
    if format is not None and format not in BY_NAME:
        raise UsageError(f"unknown format '{format}'", hint="`hikeshi parse --formats` lists them")
    if source.kind != "text" or format == "evtx":
        return None
    context = Context(zone, zone_assumed, int(source.path.stat().st_mtime * 1_000_000))
    file = open_text(source, context, batch_rows)
    with source.path.open("rb") as stream:
        start = stream.read(1 << 16)
    if (
        file.encoding.startswith(("utf-16", "iso2022"))
        or start.startswith(b"\x1f\x8b")
        or (b"\r" in start and b"\n" not in start)
    ):
        return None
    sample = sample_of(file)
    name = format or detect_lines(sample)[0]
    head: tuple[str, ...] = ()
    if name in HEADED:
        head = tuple(line for line in sample[:SAMPLE_LINES] if line.lstrip("\ufeff").startswith("#"))
    elif name == "csv":
        layout = delimited.sniff(sample)
        if layout is not None and any(line.count('"') % 2 for line in sample):
            return None
        head = tuple(sample[:50])
    elif name == "json":
        if jsonlines.is_document(sample[:50]):
            return None
    elif name not in ("mixed", "text") and BY_NAME[name].parse_line is None:
        return None
    prime(context, sample)
    return LineReader(name, file.encoding, head, file)

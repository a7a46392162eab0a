"""A text file as parsers receive it: its lines, in blocks, and what is known of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from hikeshi.errors import UnsupportedFormat
from hikeshi.evidence.source import Source
from hikeshi.evidence.text import Block, detect_encoding, read_blocks
from hikeshi.parse.context import Context
from hikeshi.parse.pieces import Piece, read_pieces

SAMPLE_LINES = 200
_MOST_BLOCKS = 16

@dataclass(slots=True)
class File:
    """A text file as parsers receive it."""

    source: Source
    encoding: str
    context: Context
    batch_rows: int
    problems: list[str]
    recover: bool = field(default=False, kw_only=True)          # of event logs also what their readers don't show

    def blocks(self) -> Iterator[Block]:
        return read_blocks(self.source.path, self.encoding, problems=self.problems)

    def large_blocks(self) -> Iterator[Block]:
        """Blocks of at least half a batch: unique values pay off in larger tables."""
        held: list[Block] = []
        count = 0
        for block in self.blocks():
            held.append(block)
            count += len(block.lines)
            if count * 2 >= self.batch_rows or len(held) >= _MOST_BLOCKS:
                yield joined(held)
                held, count = [], 0
        if held:
            yield joined(held)

    def pieces(self, mark: str) -> Iterator[Piece]:
        """The file as a document, in pieces that end with `mark`."""
        return read_pieces(self.source.path, self.encoding, mark)

    def lines(self) -> Iterator[tuple[str, int, int]]:
        """(text, line, offset)."""
        for block in self.blocks():
            yield from zip(
                block.lines,
                range(block.first_number, block.first_number + len(block.lines)),
                block.offsets.tolist(),
                strict=True,
            )


def joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    lines: list[str] = []
    cut: list[int] = []
    for block in blocks:
        cut += [i + len(lines) for i in block.truncated]
        lines += block.lines
    return Block(lines, blocks[0].first_number, np.concatenate([b.offsets for b in blocks]), tuple(cut))


def sample_of(file: File) -> list[str]:
    return [text for text, _, _ in islice(file.lines(), SAMPLE_LINES * 2)]


def open_text(source: Source, context: Context, batch_rows: int) -> File:
    if source.kind not in ("text", "empty"):
        raise UnsupportedFormat(
            f"{source.name}: {source.kind} is not a log Hikeshi reads",
            hint="`hikeshi parse --formats` lists what it reads",
        )
    encoding = source.encoding
    if encoding is None:
        with source.path.open("rb") as stream:
            encoding = detect_encoding(stream.read(1 << 20))
    return File(source, encoding, context, batch_rows, [])

"""Long documents in pieces that end where a record may end, with the place of everything in them.

Event Viewer and cloud services write a whole document into one line; lines are no unit there.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_READ = 1 << 20
_LONGEST = 32 << 20
_MARKS = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}


@dataclass(slots=True)
class Piece:
    """Text that begins at byte `offset` in line `line`; `at` tells where a character of it stands."""

    text: str
    line: int
    offset: int
    codec: str = "utf-8"
    _known: tuple[int, int, int] = field(default=(0, 0, 0))

    def at(self, index: int) -> tuple[int, int]:
        """Line and byte of a character. Fast when asked in ascending order."""
        start, lines, size = self._known
        if index < start:
            start, lines, size = 0, 0, 0
        part = self.text[start:index]
        lines += part.count("\n")
        size += len(part) if part.isascii() and self.codec == "utf-8" else len(part.encode(self.codec, "replace"))
        self._known = (index, lines, size)
        return self.line + lines, self.offset + size


def read_pieces(path: Path, encoding: str, mark: str) -> Iterator[Piece]:
    """The file in pieces of about a mebibyte, each but the last ending with `mark`.

    Where the mark does not come for 32 MiB the piece ends anyway.
    """
    codec = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(
        codecs.lookup(encoding).name, codecs.lookup(encoding).name
    )
    unit = 2 if codec.startswith("utf-16") else 1
    end_mark, newline = mark.encode(codec), "\n".encode(codec)
    line, held = 1, b""
    with path.open("rb") as stream:
        bom = _MARKS.get(codec, b"")
        offset = len(bom) if bom and stream.read(len(bom)) == bom else 0
        stream.seek(offset)
        while chunk := stream.read(_READ):
            held += chunk
            end = held.rfind(end_mark)
            while end > 0 and end % unit:
                end = held.rfind(end_mark, 0, end + len(end_mark) - 1)
            if end < 0:
                if len(held) < _LONGEST:
                    continue
                end = len(held) - len(held) % unit - len(end_mark)
            data, held = held[: end + len(end_mark)], held[end + len(end_mark) :]
            yield Piece(data.decode(codec, "backslashreplace"), line, offset, codec)
            line += data.count(newline)
            offset += len(data)
    if held:
        yield Piece(held.decode(codec, "backslashreplace"), line, offset, codec)

"""The lines of a part of a file that may hold an indicator, without taking any line apart.

Every byte is looked at once, in buffers that end at a line's end; what comes out are whole lines with
their numbers. More lines may come out than hold an indicator, never fewer: whoever parses them decides.
A part owns the lines that begin in it. A line longer than the buffer is searched piece by piece: the
places around its candidates come out as `excerpts`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from hikeshi.sweep.kernel import kernel
from hikeshi.sweep.machine import Lines, machine_of
from hikeshi.sweep.native import PAD
from hikeshi.sweep.scan import Tables, scan, scan_plainly

BUFFER = 4 << 20
HEAD = 1 << 20  # of a line: what parsers read of it
_AROUND = 200
_OVERLAP = 512
_EXCERPTS = 1 << 20  # bytes kept of one line

_QUOTED = re.compile(rb"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[^\\])", re.DOTALL)
_QUOTED_ONE = re.compile(rb"\\[^\\]", re.DOTALL)
_WIDE = re.compile(rb"[\x81-\xfe].", re.DOTALL)
# The same where a character of one byte stands before: half-width kana
_WIDE_LAST = re.compile(rb"[\x80-\xff][\x00-\x7f]")
_V6 = re.compile(rb"[0-9A-Fa-f:.]*(?:::|(?::[0-9A-Fa-f]{1,4}){6})[0-9A-Fa-f:.]*")
_OWN_SCRIPT = re.compile(rb"[A-Za-z0-9._-]*[\x80-\xff][A-Za-z0-9._\x80-\xff-]*")
_FULL_WIDTH_DOTS = (b".", b"\xef\xbc\x8e", b"\xe3\x80\x82")


@dataclass(slots=True)
class Picked:
    """Some lines of a part, without their ends; `numbers` count from 0 in the part. `cut` are positions
    of lines of which only the first HEAD bytes are here. `excerpts` are (number, text) of longer ones."""

    lines: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    excerpts: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0

    def __len__(self) -> int:
        return len(self.lines) + len(self.excerpts)


@dataclass(slots=True)
class _LongLine:
    """A line longer than the buffer, while its pieces go by."""

    number: int
    offset: int
    excerpts: bytearray = field(default_factory=bytearray)
    seen_to: int = 0  # offset in the file up to which candidates were taken


class LinePicker:
    """Goes through one part of a file; `count` is the number of lines it owned, once it is through. Lines that
    begin with `marks` (the headers of some formats) come out too."""

    def __init__(self, path: Path, start: int, end: int, tables: Tables, *, lead_bytes: bool = False,
                 marks: bytes = b"", buffer: int = BUFFER, on_bytes: Callable[[int], None] | None = None) -> None:
        self.path, self.start, self.end, self.tables = path, start, end, tables
        self.lead_bytes, self.marks = lead_bytes, marks
        self.buffer, self.on_bytes = buffer, on_bytes
        self.count = 0

    def batches(self, rows: int, size: int) -> Iterator[Picked]:
        """Picked lines in batches of about `rows` lines or `size` bytes."""
        held = Picked()
        with self.path.open("rb", buffering=0) as file:
            for _ in self._regions(file, held):
                if len(held) >= rows or held.size >= size:
                    yield held
                    self._empty(held)
        if len(held):
            yield held

    @staticmethod
    def _empty(held: Picked) -> None:
        held.lines, held.numbers, held.offsets, held.cut, held.excerpts, held.size = [], [], [], [], [], 0

    def _regions(self, file: BinaryIO, out: Picked) -> Iterator[None]:
        """Fills `out`, buffer by buffer."""
        base = self._first_line(file)
        if base >= self.end:
            return
        data = bytearray(self.buffer + PAD)
        view = np.frombuffer(data, dtype=np.uint8)
        window = memoryview(data)
        held = 0
        long: _LongLine | None = None
        while True:
            got = self._fill(file, window, held)
            size = held + got
            ended = size < self.buffer
            data[size:size + PAD] = bytes(PAD)
            last = self.end - base  # lines that begin before this are ours
            if long is not None:
                stop = data.find(b"\n", held, size)
                if stop < 0 and not ended:
                    held = self._piece(data, size, base, long)
                    base += size - held
                    yield
                    continue
                stop = size if stop < 0 else stop
                self._piece(data, stop, base, long)
                self._close(long, out)
                long = None
                self.count += 1
                base, held = self._shift(data, stop + 1, size, base)
                if base >= self.end or (ended and not held):
                    return
                continue
            if last < size:
                close = data.find(b"\n", max(last - 1, 0), size) + 1
                cut = close or (size if ended else 0)
            else:
                cut = size if ended else data.rfind(b"\n", 0, size) + 1
            if not cut and last < size and not ended:
                cut = data.rfind(b"\n", 0, size) + 1  # our last line goes on beyond the buffer
            if cut:
                # The lines are done with what follows: it is no part of a token of theirs.
                if data[cut - 1] != 10:
                    data[cut:cut + PAD] = bytes(PAD)
                self._take(view, data, cut, base, out)
                base, held = self._shift(data, cut, size, base)
                yield
            elif size and not ended:
                long = _LongLine(self.count, base)
                held = self._piece(data, size, base, long, out)
                base += size - held
                yield
                continue
            if base >= self.end or (ended and not held) or (not got and not cut):
                return

    def _first_line(self, file: BinaryIO) -> int:
        """Where the first line of this part begins."""
        if not self.start:
            return 0
        at = self.start - 1
        file.seek(at)
        while chunk := file.read(1 << 16):
            place = chunk.find(b"\n")
            if place >= 0:
                file.seek(at + place + 1)
                return at + place + 1
            at += len(chunk)
            if at > self.end:
                break
        return self.end

    def _fill(self, file: BinaryIO, window: memoryview, held: int) -> int:
        total = 0
        while held + total < self.buffer:
            got = file.readinto(window[held + total:self.buffer])  # type: ignore[attr-defined]
            if not got:
                break
            total += got
        if self.on_bytes is not None and total:
            self.on_bytes(total)
        return total

    @staticmethod
    def _shift(data: bytearray, begin: int, size: int, base: int) -> tuple[int, int]:
        """Moves what was not used to the front; gives its place in the file and its length."""
        rest = data[begin:size]
        data[:len(rest)] = rest
        return base + min(begin, size), len(rest)

    def _take(self, view: npt.NDArray[np.uint8], data: bytearray, size: int, base: int, out: Picked) -> None:
        """The candidate lines of a region of whole lines."""
        found = self._lines(view, data, size)
        if self.marks:
            found = self._with_marked(found, view, data, size)
        for start, end, number in zip(found.starts.tolist(), found.ends.tolist(), found.numbers.tolist(), strict=True):
            if end - start > HEAD:
                out.cut.append(len(out.lines))
                self._far(bytes(data[start:end]), self.count + number, out)
                end = start + HEAD
            out.lines.append(bytes(data[start:end]))
            out.numbers.append(self.count + number)
            out.offsets.append(base + start)
            out.size += end - start
        self.count += found.line_ends + (data[size - 1] != 10)

    def _with_marked(self, found: Lines, view: npt.NDArray[np.uint8], data: bytearray, size: int) -> Lines:
        starts = [0] if data.startswith(self.marks) else []
        wanted, at = b"\n" + self.marks, -1
        while (at := data.find(wanted, at + 1, size)) >= 0:
            starts.append(at + 1)
        if not starts:
            return found
        newlines = np.flatnonzero(view[:size] == 10)
        all_starts = np.union1d(found.starts, np.array(starts, dtype=np.int64))
        numbers = np.searchsorted(newlines, all_starts)
        return Lines(all_starts, np.append(newlines, size)[numbers], numbers, found.line_ends)

    def _far(self, line: bytes, number: int, out: Picked) -> None:
        """What lies behind the part of a line that parsers read."""
        long = _LongLine(number, 0, seen_to=HEAD)
        self._piece(bytearray(line), len(line), 0, long)
        if long.excerpts:
            out.excerpts.append((number, bytes(long.excerpts)))
            out.size += len(long.excerpts)

    def _lines(self, view: npt.NDArray[np.uint8], data: bytearray, size: int) -> Lines:
        native = kernel()
        if native is not None:
            return machine_of(native, self.tables).lines(view, size, lead_bytes=self.lead_bytes)
        return lines_plainly(bytes(data[:size]), self.tables, lead_bytes=self.lead_bytes)

    def _piece(self, data: bytearray, size: int, base: int, long: _LongLine, out: Picked | None = None) -> int:
        """Searches a piece of a long line; gives how many bytes at its end are looked at again. With `out`
        it is the first piece: its head goes to the parser."""
        piece = bytes(data[:size])
        found = _places(piece, self.tables, lead_bytes=self.lead_bytes)
        if out is not None:
            if any(start < HEAD for start, _ in found):
                out.cut.append(len(out.lines))
                out.lines.append(piece[:HEAD])
                out.numbers.append(long.number)
                out.offsets.append(long.offset)
                out.size += HEAD
            long.seen_to = base + min(HEAD, size)
        for start, end in found:
            if base + end > long.seen_to and len(long.excerpts) < _EXCERPTS:
                long.excerpts += piece[max(0, start - _AROUND):end + _AROUND] + b" "
                long.seen_to = base + end
        keep = min(_OVERLAP, size)
        data[:keep] = data[size - keep:size]
        return keep

    @staticmethod
    def _close(long: _LongLine, out: Picked) -> None:
        if long.excerpts:
            out.excerpts.append((long.number, bytes(long.excerpts)))
            out.size += len(long.excerpts)


def lines_plainly(data: bytes, tables: Tables, *, lead_bytes: bool) -> Lines:
    """What Machine.lines gives, with numpy and regular expressions: the same lines or some more."""
    places = np.array(sorted({start for start, _ in _places(data, tables, lead_bytes=lead_bytes, plainly=True)}),
                      dtype=np.int64)
    newlines = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == 10)
    numbers = np.unique(np.searchsorted(newlines, places))
    starts = np.where(numbers > 0, newlines[np.maximum(numbers - 1, 0)] + 1 if len(newlines) else 0, 0)
    bounds = np.append(newlines, len(data))
    return Lines(starts, bounds[numbers], numbers, len(newlines))


def _places(data: bytes, tables: Tables, *, lead_bytes: bool, plainly: bool = False) -> list[tuple[int, int]]:
    """Every stretch of a text that may be an indicator, in any of the ways in which a log may quote it."""
    look = scan_plainly if plainly else scan
    forms = [data]
    if b"\\" in data:
        forms += [_blanked(_QUOTED, data), _blanked(_QUOTED_ONE, data)]
    if lead_bytes and not data.isascii():
        forms += [_blanked(_WIDE, data), _blanked(_WIDE_LAST, data)]
    out: set[tuple[int, int]] = set()
    for form in forms:
        found = look(form, tables)
        out.update(zip(found.starts.tolist(), found.ends.tolist(), strict=True))
    if tables.has_v6:
        out.update(m.span() for m in _V6.finditer(data))
    if tables.has_idna and not data.isascii():
        out.update(m.span() for m in _OWN_SCRIPT.finditer(data) if any(dot in m[0] for dot in _FULL_WIDTH_DOTS))
    return sorted(out)


def _blanked(pattern: re.Pattern[bytes], data: bytes) -> bytes:
    return pattern.sub(lambda m: b"\0" * len(m[0]), data)

"""Text of any encoding as lines with exact places, in constant memory.

A line ends with LF or CR LF; in a file that has only CR, with CR. Other characters that some
programs take for line ends (NEL, U+2028, form feed) stay in the line, so that line numbers are
those of grep and of editors. Bytes that the encoding doesn't know stay visible as `\\x81`.
Files packed with gzip are read as their content; offsets then count unpacked bytes.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from hikeshi.errors import DamagedInput, Location
from hikeshi.evidence.gunzip import MAGIC as GZIP_MAGIC
from hikeshi.evidence.gunzip import gunzip_chunks

MAX_LINE = 1024 * 1024
_BLOCK = 1024 * 1024
_ENOUGH = 4096  # bytes from which the kind of line ends is told
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


class Line(NamedTuple):
    """One line without its end; `number` from 1, `offset` in bytes; `truncated` if it was longer."""

    text: str
    number: int
    offset: int
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive lines: `lines[i]` has the number `first_number + i` and starts at byte
    `offsets[i]`; `truncated` holds the positions i of lines that were cut."""

    lines: list[str]
    first_number: int
    offsets: npt.NDArray[np.int64]
    truncated: tuple[int, ...] = ()


# ----------------------------------------------------------------------------------- lines


def read_lines(path: Path, encoding: str, *, max_line: int = MAX_LINE,
               problems: list[str] | None = None) -> Iterator[Line]:
    """Every line of the file; of a line longer than `max_line` bytes only its beginning.

    A damaged gzip file gives all lines before the damage; then a sentence is added to
    `problems`, or, without such a list, DamagedInput is raised.
    """
    for block in read_blocks(path, encoding, max_line=max_line, problems=problems):
        numbers = range(block.first_number, block.first_number + len(block.lines))
        if block.truncated:
            cut = set(block.truncated)
            marks: Iterator[bool] = (i in cut for i in range(len(block.lines)))
        else:
            marks = repeat(False)
        yield from map(Line._make, zip(block.lines, numbers, block.offsets.tolist(), marks, strict=False))


def read_blocks(path: Path, encoding: str, *, max_line: int = MAX_LINE,
                problems: list[str] | None = None) -> Iterator[Block]:
    """The lines of `read_lines`, about a mebibyte at a time: the fast way for parsers."""
    found: list[str] = []
    with open(path, "rb") as stream, closing(_chunks(stream, found)) as chunks:
        splitter = _Splitter(encoding, max_line)
        for chunk in chunks:
            yield from splitter.feed(chunk)
        yield from splitter.finish()
    if problems is not None:
        problems.extend(found)
    elif found:
        raise DamagedInput(found[0], source=Location(path.name), hint="the lines before the damage were read")


def read_text(path: Path, limit: int = MAX_LINE, encoding: str | None = None) -> str:
    """The file's first `limit` bytes as text, line ends as LF; its encoding is found if not given."""
    with open(path, "rb") as stream, closing(_chunks(stream, [])) as chunks:
        data = b""
        for chunk in chunks:
            data += chunk
            if len(data) >= limit:
                break
    data = data[:limit]
    encoding = encoding or detect_encoding(data)
    data = data[_bom_length(data, encoding):]
    text = codecs.getincrementaldecoder(_codec(encoding))("backslashreplace").decode(data, len(data) < limit)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _chunks(stream: IO[bytes], problems: list[str]) -> Generator[bytes, None, None]:
    packed = stream.read(3) == GZIP_MAGIC
    stream.seek(0)
    if packed:
        yield from gunzip_chunks(stream, problems)
        return
    while chunk := stream.read(_BLOCK):
        yield chunk


def _codec(encoding: str) -> str:
    name = codecs.lookup(encoding).name
    return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(name, name)


def _bom_length(head: bytes, encoding: str) -> int:
    codec = _codec(encoding)
    return next((len(bom) for bom, name in _BOMS if head.startswith(bom) and _codec(name) == codec), 0)


class _Splitter:
    """Cuts a stream of bytes into blocks of decoded lines."""

    def __init__(self, encoding: str, max_line: int) -> None:
        self._codec = _codec(encoding)
        self._encoding = encoding
        self._decode = codecs.getdecoder(self._codec)
        self._unit = 2 if self._codec.startswith("utf-16") else 1
        self._max_line = max(max_line, 16)
        self._end = b""  # the line end's bytes, known after the first chunk
        self._rest = b""
        self._offset = 0  # of the first byte in _rest
        self._number = 1
        self._skipping = False

    def feed(self, chunk: bytes) -> Iterator[Block]:
        if not self._end:
            self._rest += chunk
            if len(self._rest) < _ENOUGH:
                return  # too little to tell how lines end
            chunk, self._rest = self._rest, b""
            chunk = self._begin(chunk)
        if self._skipping:
            chunk = self._skip(chunk)
        if chunk:
            yield from self._split(self._rest + chunk if self._rest else chunk)

    def finish(self) -> Iterator[Block]:
        if not self._end and self._rest:
            chunk, self._rest = self._rest, b""
            yield from self._split(self._begin(chunk))
        if self._rest and not self._skipping:
            yield self._block(self._rest, np.array([0], dtype=np.int64), np.array([len(self._rest)], dtype=np.int64))

    def _begin(self, head: bytes) -> bytes:
        """Finds out how lines end, drops the byte order mark."""
        skip = _bom_length(head, self._encoding)
        self._offset = skip
        newline, carriage = "\n".encode(self._codec), "\r".encode(self._codec)
        only_cr = self._find(head[skip:], newline) < 0 <= self._find(head[skip:], carriage)
        self._end = carriage if only_cr else newline
        return head[skip:]

    def _find(self, data: bytes, what: bytes) -> int:
        """First place of a line end, on a code unit's boundary."""
        place = data.find(what)
        while place > 0 and place % self._unit:
            place = data.find(what, place + 1)
        return place

    def _skip(self, chunk: bytes) -> bytes:
        """Passes over the rest of a line that was cut."""
        chunk = self._rest + chunk  # at most half a code unit
        place = self._find(chunk, self._end)
        if place < 0:
            whole = len(chunk) - len(chunk) % self._unit
            self._offset += whole
            self._rest = chunk[whole:]
            return b""
        past = place + len(self._end)
        self._offset += past
        self._skipping, self._rest = False, b""
        return chunk[past:]

    def _split(self, data: bytes) -> Iterator[Block]:
        ends = self._line_ends(data)
        if len(ends):
            starts = np.empty_like(ends)
            starts[0], starts[1:] = 0, ends[:-1] + len(self._end)
            past = int(ends[-1]) + len(self._end)
            yield self._block(data[:past], starts, ends)
            self._offset += past
            data = data[past:]
        if len(data) > self._max_line:
            yield self._block(data, np.array([0], dtype=np.int64), np.array([len(data)], dtype=np.int64))
            self._skipping = True
            whole = len(data) - len(data) % self._unit
            self._offset += whole
            data = data[whole:]
        self._rest = data

    def _line_ends(self, data: bytes) -> npt.NDArray[np.int64]:
        if self._unit == 1:
            return np.flatnonzero(np.frombuffer(data, np.uint8) == self._end[0]).astype(np.int64)
        units = np.frombuffer(data, "<u2" if self._codec.endswith("le") else ">u2", len(data) // 2)
        return np.flatnonzero(units == (10 if b"\n" in self._end else 13)).astype(np.int64) * 2

    def _block(self, data: bytes, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Block:
        long = np.flatnonzero(ends - starts > self._max_line)
        lines = None if len(long) else self._decode_whole(data, len(starts), ended=int(ends[-1]) < len(data))
        if lines is None:
            lines = [self._decode_line(data[s:e]) for s, e in zip(starts.tolist(), ends.tolist(), strict=True)]
        block = Block(lines, self._number, starts + self._offset, tuple(long.tolist()))
        self._number += len(lines)
        return block

    def _decode_whole(self, data: bytes, count: int, *, ended: bool) -> list[str] | None:
        """All lines in one go; None if that finds other line ends than the bytes have."""
        end = "\r" if self._end.strip(b"\0") == b"\r" else "\n"
        text = self._decode(data, "backslashreplace")[0]
        if end == "\n" and "\r" in text:
            text = text.replace("\r\n", "\n")
        lines = text.split(end)
        if ended:
            if lines.pop():  # broken bytes have swallowed the last line end
                return None
        elif end == "\n" and lines[-1].endswith("\r"):  # the file ends between CR and LF
            lines[-1] = lines[-1][:-1]
        return lines if len(lines) == count else None

    def _decode_line(self, data: bytes) -> str:
        if len(data) <= self._max_line:
            text = self._decode(data, "backslashreplace")[0]
        else:
            reader = codecs.getincrementaldecoder(self._codec)("backslashreplace")
            text = reader.decode(data[:self._max_line - self._max_line % self._unit], False)
        return text[:-1] if text.endswith("\r") and self._end.strip(b"\0") == b"\n" else text


# --------------------------------------------------------------------------------- encodings

_SAMPLE_HEAD, _SAMPLE = 64 * 1024, 256 * 1024
_ESCAPES_JIS = re.compile(rb"\x1b(?:\$[@B]|\$\([DOPQ]|\([JI])")
_JAPANESE = re.compile("[\u3041-\u30ff\u4e00-\u9fff\uff01-\uff5e\u3001-\u303f\uff66-\uff9f"
                       "\u2460-\u24ff\u3200-\u33ff\uf900-\ufaff]+")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fc\u3001-\u3011\u301c\uff01-\uff5e]")
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
_RUN_OF_NUL_PAIRS = re.compile(rb"(?:\0\0){4,}")
_UNKNOWN = "\ufffd"


def detect_encoding(data: bytes) -> str:
    """The encoding these bytes of text are most probably in, as a Python codec name.

    utf-8, utf-8-sig, utf-16-le, utf-16-be, cp932 (Shift_JIS), euc_jp, iso2022_jp (or
    iso2022_jp_ext), and latin-1 where nothing else fits. Pure ASCII is utf-8.
    """
    detector = EncodingDetector()
    detector.feed(data)
    return detector.result()


class EncodingDetector:
    """Finds the encoding while a file passes by: feed it all of the file, it keeps a sample.

    The beginning and the first places that aren't ASCII: a log can be ASCII for a gigabyte.
    """

    def __init__(self) -> None:
        self._head = b""
        self._parts: list[bytes] = []
        self._held = 0
        self.size = 0

    def feed(self, chunk: bytes) -> None:
        taken = 0
        if len(self._head) < _SAMPLE_HEAD:
            taken = _SAMPLE_HEAD - len(self._head)
            self._head += chunk[:taken]
        self.size += len(chunk)
        if self._held >= _SAMPLE or taken >= len(chunk) or chunk.isascii():
            return
        for start in range(taken, len(chunk), 16384):
            piece = chunk[start:start + 16384]
            if not piece.isascii() and self._held < _SAMPLE:
                self._parts.append(_whole_lines(piece))
                self._held += len(piece)

    @property
    def head(self) -> bytes:
        """The first 64 KiB."""
        return self._head

    def result(self) -> str:
        head = self._head
        for bom, name in _BOMS:
            if head.startswith(bom):
                return name
        wide = _utf16(head)
        if wide:
            return wide
        sample = (_whole_lines(head, start=False) if self.size > len(head) else head) + b"\n" + b"\n".join(self._parts)
        if sample.isascii():
            return _jis(sample) or "utf-8"
        return _eight_bit(sample)


def _whole_lines(piece: bytes, *, start: bool = True) -> bytes:
    """The piece from its first line end to its last, so that no character is cut in half."""
    first = piece.find(b"\n") + 1 if start else 0
    last = piece.rfind(b"\n")
    return piece[first:last] if last > first else piece


def _utf16(head: bytes) -> str | None:
    """UTF-16 without a mark: its ASCII characters have their zero bytes all on one side."""
    head = _RUN_OF_NUL_PAIRS.sub(b"", head)  # padding says nothing
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if not head or max(even, odd) * 50 < len(head):
        return None
    name, zeros, others = ("utf-16-le", odd, even) if odd > even else ("utf-16-be", even, odd)
    if others * 10 > zeros:
        return None
    text = head[:len(head) // 2 * 2].decode(name, "replace")
    strange = sum(1 for c in text if not (c.isprintable() or c in "\r\n\t\f\0"))
    ascii_count = sum(1 for c in text if c < "\x80")
    # Any two bytes make a Chinese character: line ends, mostly ASCII, or kana are believed.
    likely = "\n" in text or ascii_count * 10 >= len(text) * 7 or len(_KANA.findall(text)) * 20 >= len(text)
    return name if likely and strange * 20 <= len(text) else None


def _jis(sample: bytes) -> str | None:
    if not _ESCAPES_JIS.search(sample):
        return None
    for name in ("iso2022_jp", "iso2022_jp_ext"):
        try:
            sample.decode(name)
        except UnicodeDecodeError:
            continue
        return name
    return "iso2022_jp_ext" if _UNKNOWN not in sample.decode("iso2022_jp_ext", "replace")[:2000] else None


def _eight_bit(sample: bytes) -> str:
    high = sum(1 for b in sample if b >= 0x80)
    text = sample.decode("utf-8", "replace")
    # Bytes that are UTF-8 by accident are rare: even a log with other bytes mixed in is UTF-8.
    if text.count(_UNKNOWN) * 5 <= high:
        return "utf-8"
    scores = {name: _japanese_score(sample, name) for name in ("cp932", "euc_jp")}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 0.25 else "latin-1"


def _japanese_score(sample: bytes, name: str) -> float:
    """How much like Japanese the text is in this encoding: at most 1, below 0 if it does not decode."""
    text = sample.decode(name, "replace")
    foreign = sum(1 for c in text if ord(c) >= 0x80)
    if not foreign:
        return 0.0
    # Western letters read as cp932 give single kanji between ASCII letters: only runs count.
    runs = sum(len(run) for run in _JAPANESE.findall(text) if len(run) > 1)
    kana, half, bad = len(_KANA.findall(text)), len(_HALF_WIDTH.findall(text)), text.count(_UNKNOWN)
    return (0.5 * runs + 0.5 * kana - 0.2 * half - 4 * bad) / foreign

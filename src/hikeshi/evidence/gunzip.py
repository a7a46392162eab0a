"""The bytes inside a gzip stream, up to the very place where it is damaged.

Python's gzip raises and keeps back what it had already unpacked; here everything before the
damage comes out, several members are read on, and what was wrong is said in a sentence.

ISA-L unpacks two to three times as fast as zlib but keeps back what it had when it meets damage: such a member is
read once more by zlib, from its beginning. A stream that can't go back, or a machine without ISA-L, has zlib alone.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Generator, Iterator
from importlib import import_module
from typing import IO, Any

quick: Any = None
with contextlib.suppress(ImportError):  # not for every processor
    quick = import_module("isal.isal_zlib")

_READ = 256 * 1024
_OUT = 1024 * 1024
MAGIC = b"\x1f\x8b\x08"


def gunzip_chunks(stream: IO[bytes], problems: list[str]) -> Iterator[bytes]:
    """Unpacked pieces of at most 1 MiB; damage ends the stream and adds a sentence to `problems`.

    The memory used is constant however much comes out: the caller decides when to stop.
    """
    source = _Bytes(stream)
    members = 0
    while True:
        head = source.peek(3)
        if not head.strip(b"\0") and members:  # the end, or the zeros that tapes and tar leave
            return
        if not head.startswith(MAGIC):
            problems.append("gzip: other data follows the compressed data" if members else "gzip: no gzip header")
            return
        if not _skip_header(source):
            problems.append("gzip: the file ends inside its header")
            return
        members += 1
        if not (yield from _member(source, problems)):
            return


def _member(source: _Bytes, problems: list[str]) -> Generator[bytes, None, bool]:
    """Pieces of one member; returns whether it was whole."""
    begin = source.place() if quick is not None else None
    if begin is None:
        return (yield from _member_by_zlib(source, problems, 0))
    inflate, crc, told = quick.decompressobj(-15), 0, 0
    while not inflate.eof:
        data = inflate.unconsumed_tail or source.take()
        out = None
        with contextlib.suppress(quick.error):
            out = inflate.decompress(data, _OUT) if data else None
        if out is None:  # damaged or cut off: zlib tells how far it goes
            source.back_to(begin)
            return (yield from _member_by_zlib(source, problems, told))
        crc, told = quick.crc32(out, crc), told + len(out)
        if out:
            yield out
    source.put_back(inflate.unused_data)
    return _trailer_fits(source, crc, told, problems)


def _member_by_zlib(source: _Bytes, problems: list[str], told: int) -> Generator[bytes, None, bool]:
    """The same; the first `told` bytes came out already."""
    inflate = zlib.decompressobj(-15)
    crc = size = 0
    while not inflate.eof:
        data = inflate.unconsumed_tail or source.take()
        if not data:
            problems.append(f"gzip: the file ends too early, {size:,} bytes could be unpacked")
            return False
        before = inflate.copy()
        try:
            out = inflate.decompress(data, _OUT)
        except zlib.error:
            out = _up_to_damage(before, data)
            size += len(out)
            if size > told:
                yield out[max(0, told - (size - len(out))):]
            problems.append(f"gzip: damaged after {size:,} unpacked bytes")
            return False
        crc, size = zlib.crc32(out, crc), size + len(out)
        if size > told:
            yield out[max(0, told - (size - len(out))):]
    source.put_back(inflate.unused_data)
    return _trailer_fits(source, crc, size, problems)


def _trailer_fits(source: _Bytes, crc: int, size: int, problems: list[str]) -> bool:
    """Whether a trailer is there; a check sum that does not fit is said and read past."""
    trailer = source.read(8)
    if len(trailer) < 8:
        problems.append("gzip: the check sum at the end is missing")
        return False
    if trailer != crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little"):
        problems.append("gzip: the check sum does not fit, the content may be damaged")
    return True


def _up_to_damage(inflate: Any, data: bytes) -> bytes:
    out = bytearray()
    try:
        for i in range(len(data)):
            out += inflate.decompress(data[i:i + 1], _OUT)
            if len(out) >= _OUT:
                break
    except zlib.error:
        pass
    return bytes(out)


def _skip_header(source: _Bytes) -> bool:
    head = source.read(10)
    if len(head) < 10:
        return False
    flags = head[3]
    if flags & 4:
        length = source.read(2)
        if len(length) < 2 or len(source.read(int.from_bytes(length, "little"))) < int.from_bytes(length, "little"):
            return False
    for flag in (8, 16):  # original name, comment: both end with NUL
        if flags & flag and not source.skip_past_nul():
            return False
    return not flags & 2 or len(source.read(2)) == 2


class _Bytes:
    """A stream that can be looked into and handed back to."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._held = b""

    def place(self) -> int | None:
        """Where the next byte stands; None where the stream can't go back to it."""
        return self._stream.tell() - len(self._held) if self._stream.seekable() else None

    def back_to(self, place: int) -> None:
        self._stream.seek(place)
        self._held = b""

    def peek(self, count: int) -> bytes:
        while len(self._held) < count and (more := self._stream.read(_READ)):
            self._held += more
        return self._held[:count]

    def read(self, count: int) -> bytes:
        out = self.peek(count)
        self._held = self._held[count:]
        return out

    def take(self) -> bytes:
        """What is held, or the next piece of the stream."""
        out, self._held = self._held or self._stream.read(_READ), b""
        return out

    def put_back(self, data: bytes) -> None:
        self._held = data + self._held

    def skip_past_nul(self) -> bool:
        for _ in range(1024):
            byte = self.read(1)
            if byte in (b"", b"\0"):
                return byte == b"\0"
        return False

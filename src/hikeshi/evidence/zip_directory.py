"""The entries of a zip file, read so that one bad entry costs only itself.

Python's zipfile refuses a whole archive for one name with a lying UTF-8 flag, accepts entries
that overlap, and needs the directory at the end, which a cut-off upload lacks. This reader
takes names as bytes, reads zip64, and without a directory walks from entry to entry.
Source: PKWARE APPNOTE.TXT 6.3.10.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

_END, _END64, _LOCATOR64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_MARK64 = 0xFFFFFFFF


@dataclass(slots=True)
class ZipEntry:
    """One entry; `packed` None means: until its data ends by itself."""

    name: bytes
    flags: int
    method: int
    crc: int | None
    packed: int | None
    size: int | None
    header: int
    extra: bytes
    unix_mode: int
    is_folder: bool
    data: int = 0  # where the packed bytes begin, set by `locate`

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & 0x41) or self.method == 99

    @property
    def is_link(self) -> bool:
        return self.unix_mode & 0o170000 == 0o120000

    @property
    def is_special(self) -> bool:
        return self.unix_mode & 0o170000 not in (0, 0o100000, 0o040000, 0o120000)


def read_directory(stream: IO[bytes], size: int, problems: list[str]) -> Iterator[ZipEntry] | None:
    """The entries of the central directory in its order; None if there is no directory."""
    end = _find_end(stream, size)
    if end is None:
        return None
    place, count, length, offset = end
    # Something may lie before the archive (a self-extractor's program): then all offsets are shifted.
    for start in (place - length, offset):
        if start >= 0 and (not count or _at(stream, start, 4) == b"PK\1\2"):
            return _central(stream, start, count, start - offset, problems)
    return None


def _find_end(stream: IO[bytes], size: int) -> tuple[int, int, int, int] | None:
    """Place of the end record, number of entries, length and offset of the directory."""
    reach = min(size, 65557)
    tail = _at(stream, size - reach, reach)
    at = tail.rfind(_END)
    while at >= 0 and len(tail) - at < 22:
        at = tail.rfind(_END, 0, at)
    if at < 0:
        return None
    count, length, offset = struct.unpack_from("<HII", tail, at + 10)
    place = size - reach + at
    if count == 0xFFFF or _MARK64 in (length, offset):
        locator = _at(stream, place - 20, 20) if place >= 20 else b""
        if locator[:4] == _LOCATOR64:
            (place64,) = struct.unpack_from("<Q", locator, 8)
            record = _at(stream, place64, 56)
            if record[:4] == _END64 and len(record) == 56:
                count, length, offset = struct.unpack_from("<QQQ", record, 32)
                place = place64
    return place, count, length, offset


def _central(stream: IO[bytes], start: int, count: int, shift: int, problems: list[str]) -> Iterator[ZipEntry]:
    place = start
    number = 0
    while True:
        fixed = _at(stream, place, _CENTRAL.size)
        if len(fixed) < _CENTRAL.size or fixed[:4] != b"PK\1\2":
            break
        (_, made_by, _, flags, method, _, _, crc, packed, size, name_len, extra_len, comment_len,
         _, _, attributes, header) = _CENTRAL.unpack(fixed)
        rest = _at(stream, place + _CENTRAL.size, name_len + extra_len)
        name, extra = rest[:name_len], rest[name_len:]
        size, packed, header = _wide(extra, size, packed, header)
        number += 1
        mode = attributes >> 16 if made_by >> 8 in (3, 19) else 0
        yield ZipEntry(name, flags, method, crc, packed, size, header + shift, extra, mode,
                       name.endswith((b"/", b"\\")) or mode & 0o170000 == 0o040000 or bool(attributes & 0x10))
        place += _CENTRAL.size + name_len + extra_len + comment_len
    if number != count:
        problems.append(f"zip: the directory announces {count:,} entries and has {number:,}")


def _wide(extra: bytes, *values: int) -> tuple[int, int, int]:
    """Sizes and offset from the zip64 field, where the short ones say "see there"."""
    field = b""
    rest = extra
    while len(rest) >= 4:
        kind, length = struct.unpack_from("<HH", rest)
        if kind == 1:
            field = rest[4:4 + length]
            break
        rest = rest[4 + length:]
    out = []
    for value in values:
        if value == _MARK64 and len(field) >= 8:
            value, field = int.from_bytes(field[:8], "little"), field[8:]
        out.append(value)
    return out[0], out[1], out[2]


def locate(stream: IO[bytes], entry: ZipEntry) -> bytes | None:
    """Set `entry.data` from the local header; its name for itself, or None if there is no header."""
    fixed = _at(stream, entry.header, _LOCAL.size) if entry.header >= 0 else b""
    if len(fixed) < _LOCAL.size or fixed[:4] != b"PK\3\4":
        return None
    flags, name_len, extra_len = struct.unpack_from("<H", fixed, 6)[0], *struct.unpack_from("<HH", fixed, 26)
    entry.flags |= flags & 0x41
    entry.data = entry.header + _LOCAL.size + name_len + extra_len
    return _at(stream, entry.header + _LOCAL.size, name_len)


def next_local(stream: IO[bytes], place: int, size: int) -> ZipEntry | None:
    """The entry whose local header is the next at or after `place`; None if there is none."""
    while place < size:
        window = _at(stream, place, 2**20)
        at = window.find(b"PK\3\4")
        if at < 0:
            place += max(1, len(window) - 3)
            continue
        place += at
        fixed = _at(stream, place, _LOCAL.size)
        if len(fixed) < _LOCAL.size:
            return None
        _, _, flags, method, _, _, crc, packed, unpacked, name_len, extra_len = _LOCAL.unpack(fixed)
        rest = _at(stream, place + _LOCAL.size, name_len + extra_len)
        name, extra = rest[:name_len], rest[name_len:]
        unpacked, packed, _ = _wide(extra, unpacked, packed, 0)
        later = bool(flags & 8)  # sizes follow the data: trust the compressed stream's own end
        return ZipEntry(name, flags, method, None if later else crc, None if later else packed,
                        None if later else unpacked, place, extra, 0, name.endswith(b"/"),
                        place + _LOCAL.size + name_len + extra_len)
    return None


def _at(stream: IO[bytes], place: int, count: int) -> bytes:
    stream.seek(place)
    return stream.read(count)

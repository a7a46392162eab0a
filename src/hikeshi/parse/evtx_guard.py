"""What must be taken out of a chunk before the `evtx` package reads it.

The package follows the tables of names wherever they lead, in a circle too, and writes a value as often as a template
asks for it: 64 KiB can keep it busy for hours or become gigabytes of text. Sound logs are told apart by two cheap
counts; only a chunk that is remarkable in them is looked at record by record.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

_HEADER_BYTES, CHUNK_BYTES, DATA_START = 4096, 65536, 512
# What one chunk may become, roughly in bytes. Sound ones stay below a hundredth of it.
MOST_TEXT = 48 << 20
_NAME_TABLE, _NAME_BUCKETS = 128, 64
_FRAGMENT = b"\x0f\x01\x01\x00"
# A substitution that occurs so often in all templates of a chunk together is no reason to look closer.
_USUAL_REPEATS, _USUAL_DEPTH = 64, 2
# Text for each byte of a value, and for each value of an array.
_PER_BYTE, _PER_ELEMENT = 2, 64
_DEEPEST = 16
# The types a value may have; 0 is none at all.
_IS_TYPE = np.zeros(256, dtype=bool)
for _types in (range(0x01, 0x16), range(0x20, 0x24), range(0x81, 0x96)):
    _IS_TYPE[_types.start:_types.stop] = True


def blanks(chunk: bytes) -> tuple[list[tuple[int, int]], str]:
    """The places (start, stop) that are to be read as zeros, and why; none for all but hostile chunks."""
    if len(chunk) < CHUNK_BYTES or chunk[:8] != b"ElfChnk\0":
        return [], ""
    if _is_remarkable(chunk) and _unfolded(chunk) > MOST_TEXT:
        return [(0, CHUNK_BYTES)], f"a chunk that would become more than {MOST_TEXT >> 20} MiB of text was not read"
    buckets = [(at, at + 4) for at in _endless_names(chunk)]
    return buckets, "the chunk's table of names runs in a circle" if buckets else ""


def guarded(log: bytes) -> bytes:
    """A whole log without such places."""
    out = bytearray(log)
    for at in range(_HEADER_BYTES, len(log), CHUNK_BYTES):
        for start, stop in blanks(log[at:at + CHUNK_BYTES])[0]:
            out[at + start:at + stop] = bytes(stop - start)
    return bytes(out)


def _endless_names(chunk: bytes) -> Iterator[int]:
    """The buckets whose chain of names has no end."""
    word = struct.Struct("<I").unpack_from
    ending: set[int] = {0}
    for bucket in range(_NAME_TABLE, _NAME_TABLE + 4 * _NAME_BUCKETS, 4):
        at, = word(chunk, bucket)
        met: set[int] = set()
        while at not in ending and at not in met and at <= CHUNK_BYTES - 4:
            met.add(at)
            at, = word(chunk, at)
        if at in met:
            yield bucket
        else:
            ending |= met


def _repeats(data: bytes) -> Any:
    """What could be substitutions: how often each number occurs."""
    raw = np.frombuffer(data, dtype=np.uint8)
    if len(raw) < 4:
        return np.zeros(1, dtype=np.int64)
    places = np.flatnonzero((raw[:-3] | 3) == 0x0F)
    places = places[(raw[places] != 0x0C) & (raw[places] != 0x0F) & _IS_TYPE[raw[places + 3]]]
    return np.bincount(raw[places + 1].astype(np.int64) | raw[places + 2].astype(np.int64) << 8, minlength=1)


def _is_remarkable(chunk: bytes) -> bool:
    """Whether a substitution may stand in a template very often, or fragments in fragments."""
    if int(_repeats(chunk[DATA_START:])[:256].max()) > _USUAL_REPEATS:
        return True
    records = list(_records(chunk))
    starts, end = [at for at, _ in records], sum(records[-1]) if records else 0
    fragments, at = [], chunk.find(_FRAGMENT + b"\x0c", DATA_START)
    while 0 <= at < end:
        fragments.append(at)
        at = chunk.find(_FRAGMENT + b"\x0c", at + 1)
    if not fragments:
        return False
    return int(np.bincount(np.searchsorted(starts, fragments)).max()) > _USUAL_DEPTH


def _records(chunk: bytes) -> Iterator[tuple[int, int]]:
    """Start and size of each record, as the package walks them."""
    at, (free,) = DATA_START, struct.unpack_from("<I", chunk, 48)
    while at < free and at + 28 <= CHUNK_BYTES and chunk[at:at + 4] == b"**\0\0":
        size, = struct.unpack_from("<I", chunk, at + 4)
        yield at, min(size, CHUNK_BYTES - at)
        if size < 28:
            return
        at += size


def _unfolded(chunk: bytes) -> int:
    """How much text the records become, at most or nearly so."""
    definitions: dict[int, tuple[int, Counter[int]]] = {}
    most = int(_repeats(chunk[DATA_START:]).max())
    total = 0
    for at, size in _records(chunk):
        try:
            total += _instance(chunk, at + 24, definitions, 0)
        except (struct.error, IndexError):
            total += most * size
        if total > MOST_TEXT:
            break
    return total


def _instance(chunk: bytes, at: int, definitions: dict[int, tuple[int, Counter[int]]], depth: int) -> int:
    """The text of a fragment: its template's, and each value as often as that asks for it."""
    if depth > _DEEPEST:
        return MOST_TEXT + 1
    if chunk[at:at + 4] != _FRAGMENT or chunk[at + 4] != 0x0C:
        return 0
    place, = struct.unpack_from("<I", chunk, at + 10)
    at += 14
    if place not in definitions:
        definitions[place] = _definition(chunk, place)
    own, times = definitions[place]
    if place == at:
        at += 24 + struct.unpack_from("<I", chunk, at + 20)[0]
    count, = struct.unpack_from("<I", chunk, at)
    at += 4
    begin = at + 4 * count
    total = own
    for index, here in enumerate(range(at, begin, 4)):
        size, kind = struct.unpack_from("<HB", chunk, here)
        often = times[index]
        if often and size:
            if kind == 0x21:
                text = _instance(chunk, begin, definitions, depth + 1)
            elif kind & 0x80:
                # An array of texts is read up to its last zero, wherever that is.
                room = CHUNK_BYTES - begin if kind == 0x81 and often > _USUAL_REPEATS else size
                text = room * (_PER_ELEMENT + own)
            else:
                text = size * _PER_BYTE
            total += often * text
            if total > MOST_TEXT:
                break
        begin += size
    return total


def _definition(chunk: bytes, place: int) -> tuple[int, Counter[int]]:
    """A template's size, and how often it asks for each value."""
    size, = struct.unpack_from("<I", chunk, place + 20)
    numbers = _repeats(chunk[place + 24:min(place + 24 + size, CHUNK_BYTES)])
    return min(size, CHUNK_BYTES), Counter({int(n): int(numbers[n]) for n in np.flatnonzero(numbers)})

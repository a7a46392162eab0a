"""What must be taken out of a chunk before the `evtx` package reads it.

The package follows the tables of names wherever they lead, in a circle too. It writes a value as often as a template
asks for it, and an element as often as an array in it has members, two arrays in one element as often as both
multiplied: 64 KiB can keep it busy for hours or become any number of gigabytes. Sound logs are told apart by cheap
counts; only a chunk that is remarkable in them is looked at record by record.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

_HEADER_BYTES, CHUNK_BYTES, DATA_START = 4096, 65536, 512
# What one chunk may become, roughly in bytes. Sound ones stay below a hundredth of it.
MOST_TEXT = 48 << 20
_NAME_TABLE, _NAME_BUCKETS = 128, 64
_FRAGMENT = b"\x0f\x01\x01\x00"
# A substitution that occurs so often in all templates of a chunk together is no reason to look closer.
_USUAL_REPEATS, _USUAL_DEPTH = 64, 2
# So does a short array, in bytes.
_USUAL_ARRAY = 8
_WIDTHS = {0x85: 2, 0x86: 2, 0x87: 4, 0x88: 4, 0x89: 8, 0x8A: 8, 0x8B: 4, 0x8C: 8, 0x8D: 4, 0x8F: 16, 0x90: 4,
           0x91: 8, 0x92: 16, 0x93: 8, 0x94: 4, 0x95: 8}
# Text for each byte of a value, and what each element that an array brings forth takes beside its text.
_PER_BYTE, _PER_ELEMENT = 2, 200
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
    if _has_arrays(chunk):
        return True
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
        if size < 28 or chunk[at + 8:at + 16] == chunk[32:40]:
            return                                  # the last one, says the chunk
        at += size


def _has_arrays(chunk: bytes) -> bool:
    """Whether a value may be an array of more than one member."""
    raw = np.frombuffer(chunk, dtype=np.uint8)[DATA_START:]
    kinds = np.flatnonzero((raw[2:-1] >= 0x81) & (raw[2:-1] <= 0x95) & (raw[3:] == 0))
    sizes = raw[kinds].astype(np.int64) | raw[kinds + 1].astype(np.int64) << 8
    return bool(((sizes > _USUAL_ARRAY) & (sizes < CHUNK_BYTES - DATA_START)).any())


def _unfolded(chunk: bytes) -> int:
    """How much text the records become, at most or nearly so."""
    forms: dict[int, _Form] = {}
    most = int(_repeats(chunk[DATA_START:]).max())
    total = 0
    for at, size in _records(chunk):
        try:
            total += _instance(chunk, at + 24, forms, 0)
        except (struct.error, IndexError):
            total += most * size
        if total > MOST_TEXT:
            break
    return total


@dataclass(frozen=True, slots=True)
class _Form:
    """A template: its size, how often it asks for each value, and its elements: the number of the one around each
    (-1 for none), and the values that stand directly in it or in its attributes."""

    size: int
    times: Counter[int]
    elements: list[tuple[int, list[int]]]


def _instance(chunk: bytes, at: int, forms: dict[int, _Form], depth: int) -> int:
    """The text of a fragment: its template's, and each value as often as that asks for it."""
    if depth > _DEEPEST:
        return MOST_TEXT + 1
    if chunk[at:at + 4] != _FRAGMENT or chunk[at + 4] != 0x0C:
        return 0
    place, = struct.unpack_from("<I", chunk, at + 10)
    at += 14
    if place not in forms:
        forms[place] = _form(chunk, place)
    form = forms[place]
    if place == at:
        at += 24 + struct.unpack_from("<I", chunk, at + 20)[0]
    count, = struct.unpack_from("<I", chunk, at)
    at += 4
    begin = at + 4 * count
    total = form.size
    texts: dict[int, int] = {}
    arrays: dict[int, int] = {}
    for index, here in enumerate(range(at, begin, 4)):
        size, kind = struct.unpack_from("<HB", chunk, here)
        often = form.times[index]
        if often and size:
            text = _instance(chunk, begin, forms, depth + 1) if kind == 0x21 else size * _PER_BYTE
            total += often * text
            if total > MOST_TEXT:
                return total
            members = _members(chunk[begin:begin + size], kind) if kind & 0x80 else 1
            if members > 1:
                arrays[index] = members
            texts[index] = -(-text // max(members, 1))
        begin += size
    return total + _multiplied(form, texts, arrays) if arrays else total


def _multiplied(form: _Form, texts: dict[int, int], arrays: dict[int, int]) -> int:
    """What the elements become if each is written as often as its arrays have members, with all that is in it."""
    inside = [sum(texts.get(number, 0) for number in numbers) for _, numbers in form.elements]
    total = 0
    for element in range(len(inside) - 1, -1, -1):
        around, numbers = form.elements[element]
        text = min(MOST_TEXT + 1, prod(arrays.get(n, 1) for n in numbers) * (_PER_ELEMENT + inside[element]))
        if around >= 0:
            inside[around] += text
        else:
            total += text
    return total


def _members(raw: bytes, kind: int) -> int:
    """How many an array has, at most. Each text ends with a zero, the last one maybe beyond the array's size."""
    if kind == 0x81:
        return int(np.count_nonzero(np.frombuffer(raw[:len(raw) & ~1], dtype="<u2") == 0)) + 1
    return len(raw) // _WIDTHS.get(kind, 1)


def _form(chunk: bytes, place: int) -> _Form:
    size, = struct.unpack_from("<I", chunk, place + 20)
    end = min(place + 24 + size, CHUNK_BYTES)
    numbers = _repeats(chunk[place + 24:end])
    times = Counter({int(n): int(numbers[n]) for n in np.flatnonzero(numbers)})
    try:
        elements = _elements(chunk, place + 28, end)
    except (struct.error, IndexError):
        # Nothing is known: all stands in one element.
        elements = [(-1, list(times.elements()))]
    return _Form(min(size, CHUNK_BYTES), times, elements)


def _elements(chunk: bytes, at: int, end: int) -> list[tuple[int, list[int]]]:
    out: list[tuple[int, list[int]]] = []
    inside: list[int] = []
    while at < end:
        token = chunk[at]
        kind = token & 0xBF
        if kind in (0x01, 0x06):
            if kind == 0x01:
                out.append((inside[-1] if inside else -1, []))
                inside.append(len(out) - 1)
            at += 7 if kind == 0x01 else 1
            name, = struct.unpack_from("<I", chunk, at)
            at += 4
            if name == at:
                at += 10 + 2 * struct.unpack_from("<H", chunk, at + 6)[0]
            at += 4 if token == 0x41 else 0
        elif kind in (0x05, 0x07, 0x08):
            at += (4 if kind == 0x05 else 3) + 2 * struct.unpack_from("<H", chunk, at + (2 if kind == 0x05 else 1))[0]
        elif kind in (0x0D, 0x0E):
            out[inside[-1]][1].append(struct.unpack_from("<H", chunk, at + 1)[0])
            at += 4
        elif kind in (0x03, 0x04):
            inside.pop()
            at += 1
        elif kind == 0x02:
            at += 1
        elif kind == 0x00 and not inside:
            return out
        else:
            raise IndexError
    raise IndexError

"""Changes to an input that know how a chunk is built: a seed gives the same change again."""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.fuzz.compare import CHUNK, NEIGHBOURS

_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 0x0F, 0x10, 0x1C, 0x21, 0x7F, 0x80, 0xFF, 0x100, 0x1FF, 0x200, 0x7FFF, 0x8000, 0xFFF0,
            0xFFFF, 0x10000, 0x10001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF, 1 << 62, (1 << 63) - 1, 1 << 63,
            (1 << 64) - 1)
_KINDS = (*range(0x16), 0x20, 0x21, 0x23, 0x7F, 0x80, *range(0x81, 0x96), 0xA1, 0xFF)
_TOKENS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49)
_TEXTS = (b"\0\0", b"\0\xd8", b"\0\xdc", b"\0\xd8\0\xdc", b"\xff\xff", b"\xfe\xff", b" \0", b"\n\0", b"<\0", b"&\0",
          b"\xf0\xe0", b"\xf1\xe0", b"\xf2\xe0", b"0\0", b"#\0", b"\"\0", b"\xa0\0", b"%\0")
_SIZES = {0x01: 4, 0x03: 1, 0x04: 1, 0x05: 2, 0x06: 2, 0x07: 4, 0x08: 4, 0x09: 8, 0x0A: 8, 0x0B: 4, 0x0C: 8, 0x0D: 4,
          0x0E: 3, 0x0F: 16, 0x10: 8, 0x11: 8, 0x12: 16, 0x13: 12, 0x14: 4, 0x15: 8, 0x81: 6}


@dataclass(slots=True)
class Map:
    """Where in a chunk there is something to turn: (place, bytes) by sort."""

    records: list[tuple[int, int]] = field(default_factory=list)
    places: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def add(self, sort: str, place: int, width: int) -> None:
        self.places.setdefault(sort, []).append((place, width))


def map_of(chunk: bytes) -> Map:
    """What can be found; a chunk that is broken already gives less."""
    out = Map()
    for place, width in ((8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 4), (48, 4)):
        out.add("head", place, width)
    for bucket in range(64):
        if chunk[128 + 4 * bucket:132 + 4 * bucket].strip(b"\0"):
            out.add("names", 128 + 4 * bucket, 4)
    at = 512
    while at + 28 <= len(chunk) and chunk[at:at + 4] == b"**\0\0" and len(out.records) < 200:
        size, = struct.unpack_from("<I", chunk, at + 4)
        if not 28 <= size <= len(chunk) - at:
            break
        out.records.append((at, size))
        for sort, place, width in (("size", at + 4, 4), ("id", at + 8, 8), ("time", at + 16, 8),
                                   ("size", at + size - 4, 4)):
            out.add(sort, place, width)
        with contextlib.suppress(struct.error, IndexError):
            _instance(chunk, at + 24, at + size, out, 0)
        at += size
    return out


def _instance(data: bytes, at: int, end: int, out: Map, depth: int) -> None:
    out.add("token", at, 1)
    out.add("token", at + 4, 1)
    out.add("offset", at + 10, 4)
    offset, = struct.unpack_from("<I", data, at + 10)
    at += 14
    if offset == at:
        size, = struct.unpack_from("<I", data, at + 20)
        out.add("offset", at, 4)
        out.add("length", at + 20, 4)
        _definition(data, at + 28, min(at + 24 + size, end), out)
        at += 24 + size
    count, = struct.unpack_from("<I", data, at)
    out.add("count", at, 4)
    place = at + 4 + 4 * count
    for index in range(min(count, 300)):
        here = at + 4 + 4 * index
        size, kind = struct.unpack_from("<HB", data, here)
        out.add("value size", here, 2)
        out.add("kind", here + 2, 1)
        if kind == 0x21 and size > 14 and depth < 3:
            _instance(data, place, place + size, out, depth + 1)
        elif size:
            out.add("text" if kind in (0x01, 0x81) else "value", place, size)
        place += size
    out.add("token", place, 1)


def _definition(data: bytes, at: int, end: int, out: Map) -> None:
    while at < end:
        out.add("token", at, 1)
        kind = data[at] & 0xBF
        if kind in (0x01, 0x06):
            head = 7 if kind == 0x01 else 1
            if kind == 0x01:
                out.add("index", at + 1, 2)
            out.add("offset", at + head, 4)
            name, = struct.unpack_from("<I", data, at + head)
            more = 4 if data[at] == 0x41 else 0
            at += head + 4
            if name == at:
                length, = struct.unpack_from("<H", data, at + 6)
                out.add("offset", at, 4)
                out.add("length", at + 6, 2)
                out.add("text", at + 8, 2 * length)
                at += 10 + 2 * length
            at += more
        elif kind == 0x05:
            length, = struct.unpack_from("<H", data, at + 2)
            out.add("length", at + 2, 2)
            if length:
                out.add("text", at + 4, 2 * length)
            at += 4 + 2 * length
        elif kind in (0x0D, 0x0E):
            out.add("index", at + 1, 2)
            out.add("kind", at + 3, 1)
            at += 4
        else:
            at += 1


# ---- changes ------------------------------------------------------------------------------------------------


def _put(data: bytearray, place: int, width: int, value: int) -> None:
    data[place:place + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")


def _number(data: bytearray, found: Map, draw: random.Random) -> None:
    sort = draw.choice(sorted(found.places))
    place, width = draw.choice(found.places[sort])
    if sort == "text":
        _text(data, found, draw)
    elif sort == "value":
        data[place + draw.randrange(width)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    elif sort == "kind":
        data[place] = draw.choice(_KINDS)
    elif sort == "token":
        data[place] = draw.choice(_TOKENS)
    else:
        now = int.from_bytes(data[place:place + width], "little")
        others = found.places[sort] if draw.random() < .7 else draw.choice(list(found.places.values()))
        there, wide = draw.choice(others)
        _put(data, place, width, draw.choice((
            draw.choice(_NUMBERS), now + draw.choice((-8, -4, -2, -1, 1, 2, 4, 8, 256)), place, there,
            int.from_bytes(data[there:there + min(wide, 8)], "little"), draw.randrange(CHUNK))))


def _text(data: bytearray, found: Map, draw: random.Random) -> None:
    place, width = draw.choice(found.places.get("text") or [(512, 2)])
    at = place + 2 * draw.randrange(max(1, width // 2))
    data[at:at + 2] = draw.choice(_TEXTS)[:2]
    if draw.random() < .3:
        word = draw.choice(_TEXTS)
        at = draw.choice((place, place + max(0, width - len(word))))
        data[at:at + len(word)] = word


def _kind_with_size(data: bytearray, found: Map, draw: random.Random) -> None:
    """Another type for a value of the same size, or one of no bytes."""
    places = found.places.get("value size")
    if not places:
        return
    place, _ = draw.choice(places)
    size, = struct.unpack_from("<H", data, place)
    fitting = [k for k, s in _SIZES.items() if s == size] or list(_SIZES)
    data[place + 2] = draw.choice(fitting if draw.random() < .8 else _KINDS)


def _resized(data: bytearray, found: Map, draw: random.Random) -> None:
    """A value longer or shorter, and all sizes around it as they must be."""
    places = found.places.get("value size")
    if not places or not found.records:
        return
    place, _ = draw.choice(places)
    at, size = next(((a, s) for a, s in found.records if a <= place < a + s), (0, 0))
    if not at:
        return
    old, = struct.unpack_from("<H", data, place)
    kind = draw.choice(list(_SIZES)) if draw.random() < .5 else data[place + 2]
    new = _SIZES.get(kind, old) if draw.random() < .6 else max(0, old + draw.choice((-2, -1, 1, 2, 4, 8, 60, 400)))
    begin = _value_place(data, found, place)
    if begin is None or len(data) + new - old > CHUNK:
        return
    raw = bytes(data[begin:begin + old])
    data[begin:begin + old] = (raw + draw.choice((b"\0", b"A\0", b"\x01", b"\xff")) * new)[:new]
    struct.pack_into("<HB", data, place, new, kind)
    _grow(data, at, size, new - old)


def _value_place(data: bytearray, found: Map, place: int) -> int | None:
    """Where the value lies whose size stands at a place."""
    for count_at, _ in found.places.get("count", []):
        count, = struct.unpack_from("<I", data, count_at)
        if count_at < place < count_at + 4 + 4 * count and (place - count_at) % 4 == 0:
            at = count_at + 4 + 4 * count
            for here in range(count_at + 4, place, 4):
                at += struct.unpack_from("<H", data, here)[0]
            return at
    return None


def _grow(data: bytearray, at: int, size: int, by: int) -> None:
    struct.pack_into("<I", data, at + 4, (size + by) & 0xFFFFFFFF)
    struct.pack_into("<I", data, at + size + by - 4, (size + by) & 0xFFFFFFFF)
    free, last = struct.unpack_from("<I", data, 48)[0], struct.unpack_from("<I", data, 44)[0]
    struct.pack_into("<I", data, 48, (free + by) & 0xFFFFFFFF)
    if last > at:
        struct.pack_into("<I", data, 44, (last + by) & 0xFFFFFFFF)


def _record(data: bytearray, found: Map, draw: random.Random) -> None:
    """A record twice, left out, or another one's place taken; the free space follows."""
    if not found.records:
        return
    at, size = draw.choice(found.records)
    free, = struct.unpack_from("<I", data, 48)
    what = draw.randrange(4)
    if what == 0 and len(data) + size <= CHUNK and free == len(data):
        copies = draw.choice((1, 1, 2, 10))
        for _ in range(copies):
            if len(data) + size <= CHUNK:
                data += data[at:at + size]
        struct.pack_into("<I", data, 48, len(data))
    elif what == 1:
        struct.pack_into("<I", data, 48, draw.choice((at, at + size, at + 28)))
    elif what == 2:
        other, room = draw.choice(found.records)
        data[other + 24:other + min(size, room) - 4] = data[at + 24:at + min(size, room) - 4]
    else:
        struct.pack_into("<Q", data, 32, struct.unpack_from("<Q", data, at + 8)[0])


def _swap(data: bytearray, found: Map, draw: random.Random) -> None:
    places = found.places[draw.choice(sorted(found.places))]
    (a, n), (b, m) = draw.choice(places), draw.choice(places)
    width = min(n, m)
    data[a:a + width], data[b:b + width] = data[b:b + width], data[a:a + width]


def _bytes(data: bytearray, found: Map, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 2, 8))):
        data[draw.randrange(min(len(data), 128), len(data))] = draw.choice(
            (0, 1, 0x21, 0x7F, 0x80, 0xFF, draw.randrange(256)))


_CHANGES: tuple[Callable[[bytearray, Map, random.Random], None], ...] = (
    _number, _number, _number, _number, _text, _kind_with_size, _kind_with_size, _resized, _resized, _record, _swap,
    _bytes)


def mutated(given: bytes, seed: int, most: int = CHUNK + 1) -> bytes:
    """The input with some changes."""
    draw = random.Random(seed)
    choices, data = given[0] if given else 0, bytearray(given[1:1 + CHUNK].ljust(600, b"\0"))
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        try:
            draw.choice(_CHANGES)(data, map_of(data), draw)
        except (struct.error, IndexError, ValueError):
            continue
    if draw.random() < .03:
        choices ^= draw.choice((1, NEIGHBOURS))
    return (bytes((choices,)) + bytes(data).rstrip(b"\0"))[:most]

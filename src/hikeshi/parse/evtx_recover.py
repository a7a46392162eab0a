"""Records of Windows event logs that no reader shows, found by their mark in plain bytes.

Nothing is taken on trust: a template definition counts only if its GUID is the one the record asks for, a name only
if its checksum fits, a record's size only if it is repeated at its end. What does not fit is left out and said
(`Found.lacks`). Definitions and values are given in the form that `evtx_plans.log_of` writes, so that the `evtx`
package turns them into events; its rules are not written down a second time.

Work is linear: a record that is not whole ends where the next begins, and definitions are read within a budget.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from hikeshi.parse.evtx_plans import name_hash

RECORD_MAGIC = b"**\0\0"
CHUNK_MAGIC = b"ElfChnk\0"
CHUNK_BYTES, DATA_START = 65536, 512
_HEADER = struct.Struct("<4sIQQ")
_FRAGMENT = b"\x0f\x01\x01\x00"
_INSTANCE = b"\x0c\x01"
_LARGEST = CHUNK_BYTES - DATA_START
_MOST_VALUES, _DEEPEST = 256, 24
# FILETIME of the years 1990 and 2100: outside of them no event log has written.
_EARLIEST, _LATEST = 122_756_256_000_000_000, 157_469_184_000_000_000
# Definitions read, in bytes: as often as the data is long, and some for short pieces.
_BUDGET = 8 * CHUNK_BYTES
_SIZES = {0x03: 1, 0x04: 1, 0x05: 2, 0x06: 2, 0x07: 4, 0x08: 4, 0x09: 8, 0x0A: 8, 0x0B: 4, 0x0C: 8, 0x0D: 4, 0x0F: 16,
          0x11: 8, 0x12: 16, 0x14: 4, 0x15: 8}
_NULL = (0x00, b"")
NO_END, NO_NAMES, OTHER_CHUNK, WRONG_SIZE, BAD_VALUE = (
    "its end is missing", "names of fields are missing", "its names are from another place in the log",
    "its size is wrong", "a value is damaged")


@dataclass(slots=True)
class Found:
    """A record. `canonical` and `values` as evtx_plans.log_of takes them; `time` a FILETIME; `lacks` what is not as
    it was written, in words; `unknown` template ids whose definition is missing."""

    offset: int
    record_id: int
    time: int
    canonical: bytes
    values: dict[int, Any]
    content: bytes = b""                 # a hash of its values, whatever their names are
    lacks: tuple[str, ...] = ()
    unknown: frozenset[int] = frozenset()

    @property
    def whole(self) -> bool:
        """All its values are surely there."""
        return not {NO_END, BAD_VALUE, WRONG_SIZE}.intersection(self.lacks)


class _Broken(Exception):
    pass


def recover(data: bytes, *, start: int = 0, stop: int | None = None, bases: Sequence[int] = (),
            known: Mapping[int, bytes] | None = None, skip: Collection[int] = ()) -> Iterator[Found]:
    """The records that begin in data[start:stop], in the order of their places.

    `bases`: where chunks may begin, beside those that say so. `known`: definitions of other chunks of the log, by
    id. `skip`: places of records that were read already.
    """
    stop = len(data) if stop is None else stop
    space = Space(data, bases, known or {})
    at = data.find(RECORD_MAGIC, start, stop + 3)
    while 0 <= at < stop:
        size = _whole_size(data, at)
        following = data.find(RECORD_MAGIC, at + (size or 4))
        if at not in skip:
            end = at + size if size else _end_of_rest(data, at, following)
            found = read_record(space, at, end, whole=bool(size))
            if found is not None:
                yield found
        at = following


def read_record(space: Space, at: int, end: int, *, whole: bool) -> Found | None:
    """The record at `at`, which ends at `end` at the latest; None if there is none."""
    data = space.data
    if end - at < 24 + 4 + 10 or data[at + 24:at + 28] != _FRAGMENT:
        return None
    _, size, record_id, time = _HEADER.unpack_from(data, at)
    if not (_EARLIEST <= time <= _LATEST and 0 < record_id < 1 << 62):
        return None
    reader = _Reader(space)
    try:
        _, canonical, values = reader.instance(at + 24, end - 4 if whole else end, 0)
    except (_Broken, struct.error, IndexError):
        return None
    if canonical is None:
        if not values:
            return None
        canonical, values = _unnamed_event(values, record_id, time)
    if not whole:
        reader.lacks[WRONG_SIZE if 24 <= size <= _LARGEST and NO_END not in reader.lacks else NO_END] = None
    return Found(at, record_id, time, canonical, values, reader.content.digest(), tuple(reader.lacks),
                 frozenset(reader.unknown))


def _end_of_rest(data: bytes, at: int, following: int) -> int:
    """Where a record that is not whole ends at the latest: at the next, or where only zeros follow."""
    end = min(len(data), at + _LARGEST, following if following >= 0 else len(data))
    return min(end, at + len(data[at:end].rstrip(b"\0")) + 2)


def _whole_size(data: bytes, at: int) -> int:
    """The record's size if its end repeats it, else 0."""
    if at + 28 > len(data):
        return 0
    size, = struct.unpack_from("<I", data, at + 4)
    if not 28 <= size <= _LARGEST or size % 4 or at + size > len(data):
        return 0
    return size if data[at + size - 4:at + size] == data[at + 4:at + 8] else 0


# ---- definitions -----------------------------------------------------------------------------


@dataclass(slots=True)
class Space:
    """Bytes that hold chunks, and what was read of them."""

    data: bytes
    bases: Sequence[int]
    known: Mapping[int, bytes]
    learned: int | None = None           # where the last definition that stood in its record puts its chunk
    budget: int = 0
    definitions: dict[tuple[int, int, int], bytes | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        said, at = list(self.bases), self.data.find(CHUNK_MAGIC)
        while at >= 0:
            said.append(at)
            at = self.data.find(CHUNK_MAGIC, at + CHUNK_BYTES // 128)
        self.bases = sorted(set(said))
        self.budget = _BUDGET + 2 * len(self.data)

    def near(self, place: int) -> Iterator[int]:
        """Where the chunk around a place may begin: as its records say, then as chunk headers and the file do."""
        if self.learned is not None and 0 <= place - self.learned < CHUNK_BYTES:
            yield self.learned
        last = bisect_right(self.bases, place)
        for base in reversed(self.bases[max(0, last - 3):last]):
            if place - base < CHUNK_BYTES and base != self.learned:
                yield base

    def definition(self, base: int, offset: int, wanted: int) -> bytes | None:
        """The definition that stands at an offset of a chunk, if it is the one wanted and sound."""
        key = (base, offset, wanted)
        if key not in self.definitions:
            self.definitions[key] = self._read_definition(base, offset, wanted)
        return self.definitions[key]

    def _read_definition(self, base: int, offset: int, wanted: int) -> bytes | None:
        data, at = self.data, base + offset
        if not DATA_START <= offset <= CHUNK_BYTES - 28 or at < 0 or data[at + 4:at + 8] != struct.pack("<I", wanted):
            return None
        size, = struct.unpack_from("<I", data, at + 20)
        end = at + 24 + size
        if size > self.budget or end > min(base + CHUNK_BYTES, len(data)):
            return None
        self.budget -= size
        try:
            canonical, stopped = _walk(data, base, at + 24, end)
        except (_Broken, struct.error, IndexError):
            return None
        return canonical if stopped == end else None


def _walk(data: bytes, base: int | None, at: int, end: int) -> tuple[bytes, int]:
    """A fragment written out with its names (see evtx_plans), and where it ends. Without `base` no name is known."""
    if data[at:at + 4] != _FRAGMENT:
        raise _Broken
    at += 4
    out = bytearray()
    depth = roots = 0
    tag = False
    while at < end:
        token = data[at]
        kind = token & 0xBF
        if kind in (0x01, 0x06):
            if tag == (kind == 0x01):
                raise _Broken
            head = 7 if kind == 0x01 else 1
            out += data[at:at + 3] if kind == 0x01 else data[at:at + 1]
            at += head + 4
            name, inline = _name_at(data, base, struct.unpack_from("<I", data, at - 4)[0], at)
            out += name
            at += inline
            if kind == 0x01:
                at += 4 if token & 0x40 else 0
                tag = True
                depth += 1
                roots += depth == 1
                if depth > _DEEPEST or roots > 1:
                    raise _Broken
        elif kind == 0x05:
            length = 2 * struct.unpack_from("<H", data, at + 2)[0]
            if data[at + 1] != 1 or not depth or at + 4 + length > end:
                raise _Broken
            data[at + 4:at + 4 + length].decode("utf-16-le", "surrogatepass")
            out += data[at:at + 1] + data[at + 2:at + 4 + length]
            at += 4 + length
        elif token in (0x0D, 0x0E):
            if not depth or at + 4 > end or struct.unpack_from("<H", data, at + 1)[0] >= _MOST_VALUES:
                raise _Broken
            out += data[at:at + 4]
            at += 4
        elif token in (0x02, 0x03, 0x04):
            if tag != (token != 0x04) or not depth:
                raise _Broken
            tag = False
            depth -= token != 0x02
            out.append(token)
            at += 1
        elif token == 0x00 and not depth and roots:
            return bytes(out), at + 1
        else:
            raise _Broken
    raise _Broken


def _name_at(data: bytes, base: int | None, offset: int, here: int) -> tuple[bytes, int]:
    """A name with its length before it, and how many bytes it takes up at `here`."""
    if base is None or not DATA_START <= offset <= CHUNK_BYTES - 10:
        raise _Broken
    at = base + offset
    if at < 0:
        raise _Broken
    check, count = struct.unpack_from("<HH", data, at + 4)
    text = data[at + 8:at + 8 + 2 * count]
    if not 0 < count <= 512 or len(text) != 2 * count or data[at + 8 + 2 * count:at + 10 + 2 * count] != b"\0\0":
        raise _Broken
    if name_hash(text) != check or any(text[i:i + 2] == b"\0\0" for i in range(0, len(text), 2)):
        raise _Broken
    return data[at + 6:at + 8] + text, 10 + 2 * count if at == here else 0


def indexes_of(canonical: bytes) -> dict[int, set[int]]:
    """The substitutions of a definition, and the types it gives them."""
    out: dict[int, set[int]] = {}
    at = 0
    while at < len(canonical):
        kind = canonical[at] & 0xBF
        if kind in (0x01, 0x05, 0x06):
            at += 3 if kind == 0x01 else 1
            at += 2 + 2 * int.from_bytes(canonical[at:at + 2], "little")
        elif kind in (0x0D, 0x0E):
            out.setdefault(int.from_bytes(canonical[at + 1:at + 3], "little"), set()).add(canonical[at + 3])
            at += 4
        else:
            at += 1
    return out


# ---- values ----------------------------------------------------------------------------------


class _Reader:
    """One record's values, and what is wrong with them."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.lacks: dict[str, None] = {}
        self.unknown: set[int] = set()
        self.content = blake2b(digest_size=12)

    def instance(self, at: int, end: int, depth: int) -> tuple[int, bytes | None, dict[int, Any]]:
        """A fragment: where it ends, its definition (None where that is missing) and its values."""
        data, space = self.space.data, self.space
        if data[at:at + 4] == _FRAGMENT:
            if data[at + 4:at + 6] != _INSTANCE:
                return self._plain_fragment(at, end)
            at += 4
        elif not depth or data[at:at + 2] != _INSTANCE:         # a value may leave the fragment's header out
            raise _Broken
        number, offset = struct.unpack_from("<II", data, at + 2)
        at += 10
        canonical = None
        if data[at + 4:at + 8] == struct.pack("<I", number):
            size, = struct.unpack_from("<I", data, at + 20)
            space.learned = at - offset
            canonical = space.definition(at - offset, offset, number)
            at += 24 + size
        else:
            canonical = next((d for base in space.near(at)
                              if (d := space.definition(base, offset, number)) is not None), None)
            if any(base + offset == at for base in space.near(at)):
                raise _Broken           # its own definition stands here and is destroyed: its end is not known
        if at + 4 > end:
            raise _Broken
        at, kinds, values = self._values(at, end, depth)
        if canonical is not None and not _fits(canonical, kinds, strictly=False):
            canonical = None
        if canonical is None:
            canonical = space.known.get(number)
            if canonical is not None and _fits(canonical, kinds, strictly=True):
                self.lacks[OTHER_CHUNK] = None
            else:
                canonical = None
                self.unknown.add(number)
                self.lacks[NO_NAMES] = None
        return at, canonical, values

    def _plain_fragment(self, at: int, end: int) -> tuple[int, bytes | None, dict[int, Any]]:
        for base in self.space.near(at):
            try:
                canonical, at = _walk(self.space.data, base, at, end)
            except (_Broken, struct.error, IndexError, UnicodeDecodeError):
                continue
            if not indexes_of(canonical):
                return at, canonical, {}
        raise _Broken

    def _values(self, at: int, end: int, depth: int) -> tuple[int, list[int], dict[int, Any]]:
        data = self.space.data
        count, = struct.unpack_from("<I", data, at)
        at += 4
        if count > _MOST_VALUES or at + 4 * count > end:
            raise _Broken
        sizes = struct.unpack_from("<" + "HBB" * count, data, at)
        at += 4 * count
        values: dict[int, Any] = {}
        for index in range(count):
            size, kind = sizes[3 * index], sizes[3 * index + 1]
            raw = data[at:max(at, min(at + size, end))]
            if len(raw) < size:
                self.lacks[NO_END] = None
                # What is there of a text is still a text.
                values[index] = (kind, raw[:len(raw) & ~1]) if kind == 0x01 and len(raw) > 1 else _NULL
            elif kind == 0x21 and size:
                values[index] = self._fragment(at, at + size, depth)
            elif _is_sound(kind, raw):
                values[index] = (kind, raw)
                self.content.update(struct.pack("<HB", size, kind) + raw)
            else:
                self.lacks[BAD_VALUE] = None
                values[index] = _NULL
            at += size
        return at, list(sizes[1::3]), values

    def _fragment(self, at: int, end: int, depth: int) -> Any:
        if depth < 2:
            try:
                _, canonical, values = self.instance(at, end, depth + 1)
                if canonical is not None:
                    return 0x21, canonical, values
                if values:
                    return 0x21, *_unnamed_data(values)
                return _NULL
            except (_Broken, struct.error, IndexError, UnicodeDecodeError):
                pass
        self.lacks[BAD_VALUE] = None
        return _NULL


def _is_sound(kind: int, raw: bytes) -> bool:
    """Whether a value of this type may look so; else a reader would run over its end."""
    if kind == 0x13:
        return len(raw) >= 8 and len(raw) == 8 + 4 * raw[1]
    if kind == 0x10:
        return len(raw) in (4, 8)
    if kind in (0x00, 0x01, 0x02, 0x0E, 0x21):
        return kind != 0x01 or not len(raw) % 2
    if kind & 0x80:
        width = _SIZES.get(kind & 0x7F, 2 if kind == 0x81 else 0)
        return bool(width) and not len(raw) % width
    return _SIZES.get(kind) == len(raw)


def _fits(canonical: bytes, kinds: Sequence[int], *, strictly: bool) -> bool:
    """Whether a definition can be that of these values; `strictly`: it stands elsewhere, so the types must agree."""
    for index, types in indexes_of(canonical).items():
        if index >= len(kinds):
            return False
        if strictly and kinds[index] and kinds[index] not in types:
            return False
    return True


# ---- values without names ----------------------------------------------------------------------


def _text(token: int, text: str) -> bytes:
    raw = text.encode("utf-16-le")
    return bytes((token,)) + struct.pack("<H", len(raw) // 2) + raw


def _element(name: str, *inside: bytes, attribute: tuple[str, bytes] | None = None) -> bytes:
    head = bytes((0x41 if attribute else 0x01,)) + b"\xff\xff" + _text(0, name)[1:]
    listed = _text(0x06, attribute[0]) + attribute[1] if attribute else b""
    return head + listed + (b"\x02" + b"".join(inside) + b"\x04" if inside else b"\x03")


def _value(index: int, kind: int) -> bytes:
    return struct.pack("<BHB", 0x0E, index, kind)


def _unnamed_data(values: Mapping[int, Any]) -> tuple[bytes, dict[int, Any]]:
    """EventData of values whose names are lost: "value 0", "value 1", …"""
    kept = {index: value for index, value in values.items() if len(value) == 2 and value[0]}
    return _element("EventData", *(_element("Data", _value(index, value[0]),
                                            attribute=("Name", _text(0x05, f"value {index}")))
                                   for index, value in kept.items())), kept


def _unnamed_event(values: dict[int, Any], record_id: int, time: int) -> tuple[bytes, dict[int, Any]]:
    """An event whose System part can't be told from its values: only what the record's header says."""
    last = max(values) + 1
    body = next((index for index, value in values.items() if len(value) > 2), None)
    own = {index: value for index, value in values.items() if len(value) == 2 and value[0]}
    system = _element("System", _element("EventID", _text(0x05, "")),
                      _element("TimeCreated", attribute=("SystemTime", _value(last, 0x11))),
                      _element("EventRecordID", _value(last + 1, 0x0A)))
    unnamed = _element("UserData", _element("Unnamed", *(_element(f"value.{index}", _value(index, value[0]))
                                                         for index, value in own.items())))
    parts = [system, unnamed, *([_value(body, 0x21)] if body is not None else [])]
    given = own | {last: (0x11, struct.pack("<Q", time)), last + 1: (0x0A, struct.pack("<Q", record_id))}
    if body is not None:
        given[body] = values[body]
    return _element("Event", *parts), given

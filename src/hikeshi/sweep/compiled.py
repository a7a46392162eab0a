"""An indicator list as one file of look-up tables, made once and mapped into memory.

A name matches itself and what is below it, an address itself, a network what is inside, a URL its
path and what is below that (at a path border; its query only if the indicator has one), a hash itself.

The file: MAGIC, length and check sum of a JSON head, the head, then arrays at multiples of 64 bytes.
    values, offsets, types   every indicator's text and type, by number
    table, kinds             a hash table of the keys' fingerprints (0: empty), and what kinds of key share it
    first, entry_kinds,
    entry_numbers            per slot of the table: which indicators, and as what
    filter, last             one bit for the top bits of each key's fingerprint, and of each last label's
    starts, ends             IPv4 networks, joined where they touch; ranges6 the IPv6 ones (high, low, high, low)
    nets, net_numbers        every network: version, first, last as big-endian bytes, sorted
The head has the version, a check sum of the arrays and where each lies. A file of another version, a
damaged one or one whose parts don't fit each other is refused.
"""

from __future__ import annotations

import contextlib
import ipaddress
import mmap
import os
import tempfile
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import orjson

from hikeshi.errors import IndicatorError, LimitExceeded, Location, OutputError
from hikeshi.indicators import IndicatorSet
from hikeshi.indicators.lists import MAX_ENTRIES, load_in_parts
from hikeshi.indicators.normalise import DEFAULT_PORTS, split_port
from hikeshi.sweep.native import ADDRESS, MAIL, NAME, TOKEN, URL
from hikeshi.sweep.scan import Tables, address_fingerprints, fingerprints_of, six_fingerprint

MAGIC = b"HKSWEEP\n"
VERSION = 1
SUFFIX = ".hksweep"
_ALIGN = 64
_HEAD_LIMIT = 1 << 20
_DEFAULT = frozenset(DEFAULT_PORTS.values()) | {""}
_HASHES = ("md5", "sha1", "sha256", "sha512")
_TYPES = ("domain", "ipv4", "ipv6", "cidr", "url", "email", "md5", "sha1", "sha256", "sha512", "cve", "btc")
_NET = np.dtype("S33")  # version, first, last
_FORM: dict[str, str] = {
    "values": "|u1", "offsets": "<i8", "types": "|u1", "table": "<u8", "kinds": "|u1", "first": "<u4",
    "entry_kinds": "|u1", "entry_numbers": "<u4", "filter": "<u8", "last": "<u8", "starts": "<i8", "ends": "<i8",
    "ranges6": "<u8", "plain": "<i8", "runs": "<i8", "nets": "|S33", "net_numbers": "<u4"}

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class UrlRule:
    """One URL indicator below its host: port ("" = any usual one), path and query ("" = any)."""

    port: str
    path: str
    query: str

    def matches(self, port: str, rest: str) -> bool:
        """Whether what stands behind a host ("/a/b?x=1") lies at or below this URL."""
        if port != self.port and not (not self.port and port in _DEFAULT):
            return False
        if "%" in rest or "%" in self.path:
            rest, own = unquote(rest), unquote(self.path)
        else:
            own = self.path
        rest = rest.partition("#")[0]
        if self.query:
            return _begins(rest, f"{own or '/'}?{self.query}", "&")
        if own in ("", "/"):
            return True
        return _begins(rest, own, "/?;")


def _begins(text: str, start: str, borders: str) -> bool:
    return text.startswith(start) and (len(text) == len(start) or start[-1] in borders or text[len(start)] in borders)


def url_parts(value: str) -> tuple[str, UrlRule]:
    """A URL indicator's host (without brackets) and the rest of it."""
    scheme, mark, rest = value.partition("://")
    if not mark:
        scheme, rest = "", value
    cut = next((i for i, c in enumerate(rest) if c in "/?#"), len(rest))
    place, below = rest[:cut].rpartition("@")[2], rest[cut:].partition("#")[0]
    host, port = split_port(place)
    path, _, query = below.partition("?")
    return host.strip("[]"), UrlRule("" if port == DEFAULT_PORTS.get(scheme) else port, path, query)


class Compiled:
    """The tables; an indicator is known by its number. Made by compile_indicators or open_compiled.

    Goes to another process as its file's path, or as its bytes when there is no file."""

    def __init__(self, arrays: dict[str, Array], flags: dict[str, bool], unique: int,
                 path: Path | None = None) -> None:
        self.arrays, self.flags, self.path = arrays, flags, path
        self._unique = unique
        self.tables = Tables(
            filter=arrays["filter"], table=arrays["table"], kinds=arrays["kinds"], last=arrays["last"],
            starts=arrays["starts"], ends=arrays["ends"], ranges6=arrays["ranges6"], plain=arrays["plain"],
            runs=arrays["runs"], has_v4=flags["v4"], has_v6=flags["v6"], has_idna=flags["idna"],
            numeric_last=flags["numeric_last"])
        # Single elements of a memory view come as plain numbers, several times faster than numpy's.
        self._values, self._offsets, self._types = (_view(arrays[k]) for k in ("values", "offsets", "types"))
        self._first, self._entry_kinds, self._entry_numbers = (
            _view(arrays[k]) for k in ("first", "entry_kinds", "entry_numbers"))
        self._urls: dict[int, UrlRule] = {}
        self._keys: dict[int, tuple[tuple[int, int, str], ...]] = {}

    def __len__(self) -> int:
        """How many different indicators; numbers of those that came twice lead nowhere."""
        return self._unique

    def __reduce__(self) -> tuple[Any, ...]:
        return (open_compiled, (self.path,)) if self.path is not None else (read_compiled, (self.to_bytes(),))

    @property
    def has_v6(self) -> bool:
        return self.flags["v6"]

    def value(self, number: int) -> str:
        return str(self._values[self._offsets[number]:self._offsets[number + 1]], "utf-8")

    def type(self, number: int) -> str:
        return _TYPES[self._types[number]]

    def entries(self, slot: int) -> list[tuple[int, int]]:
        """(kind, indicator) of everything whose key may have this slot's fingerprint."""
        kinds, numbers = self._entry_kinds, self._entry_numbers
        return [(kinds[i], numbers[i]) for i in range(self._first[slot], self._first[slot + 1])]

    def keys(self, slot: int) -> tuple[tuple[int, int, str], ...]:
        """The same with the indicators' texts; what is asked for often is kept."""
        held = self._keys.get(slot)
        if held is None:
            if len(self._keys) > 50_000:
                self._keys.clear()
            held = self._keys[slot] = tuple((kind, number, self.value(number)) for kind, number in self.entries(slot))
        return held

    def url(self, number: int) -> UrlRule:
        rule = self._urls.get(number)
        if rule is None:
            if len(self._urls) > 100_000:
                self._urls.clear()
            rule = self._urls[number] = url_parts(self.value(number))[1]
        return rule

    def names_above(self, name: str) -> Iterator[int]:
        """Numbers of the listed names that are this one or above it."""
        while name:
            for slot in self.tables.slots(fingerprints_of([name])).tolist():
                if slot >= 0:
                    yield from (n for kind, n in self.entries(slot) if kind == NAME and self.value(n) == name)
            name = name.partition(".")[2]

    def address_entries(self, address: str) -> Iterator[tuple[int, int]]:
        """(kind, indicator) of an address as such and of URLs on it."""
        found = ipaddress.ip_address(address)
        fingerprint = (address_fingerprints(np.array([int(found)], dtype=np.int64)) if found.version == 4
                       else six_fingerprint(int(found)))
        for slot in self.tables.slots(fingerprint).tolist():
            if slot >= 0:
                for kind, number in self.entries(slot):
                    value = self.value(number)
                    if (value if kind == ADDRESS else url_parts(value)[0]) == str(found):
                        yield kind, number

    @cached_property
    def _nets(self) -> tuple[list[bytes], list[bytes]]:
        nets = [bytes(n).ljust(33, b"\0") for n in self.arrays["nets"].tolist()]
        reach: list[bytes] = []
        for net in nets:
            last = net[:1] + net[17:]
            reach.append(max(reach[-1], last) if reach and reach[-1][:1] == net[:1] else last)
        return nets, reach

    def networks_of(self, address: str) -> list[int]:
        """Numbers of the networks an address lies in."""
        if not len(self.arrays["nets"]):
            return []
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return []
        nets, reach = self._nets
        wanted = _net_bytes(found.version, int(found), (1 << 128) - 1)
        here = wanted[:17]
        out = []
        at = bisect_right(nets, wanted) - 1
        while at >= 0 and nets[at][:1] == here[:1] and reach[at] >= here:
            if nets[at][:1] + nets[at][17:] >= here:
                out.append(int(self.arrays["net_numbers"][at]))
            at -= 1
        return out

    # ---- as bytes

    def to_bytes(self) -> bytes:
        return b"".join(self._parts())

    def write(self, path: Path) -> None:
        """The file, whole or not at all."""
        try:
            handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
            try:
                with open(handle, "wb") as out:
                    for part in self._parts():
                        out.write(part)
                    out.flush()
                    os.fsync(out.fileno())
                Path(name).chmod(0o644)  # a list is no secret; mkstemp makes files private
                Path(name).replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(name).unlink()
                raise
        except OSError as error:
            raise OutputError(f"can't be written: {error.strerror}", source=Location(str(path)),
                              hint="free some space, or choose another folder") from error

    def _parts(self) -> Iterator[bytes | memoryview]:
        check = at = 0
        places: dict[str, list[int]] = {}
        for name in _FORM:
            data = _raw(self.arrays[name]) if len(self.arrays[name]) else b""
            places[name] = [at, len(self.arrays[name])]
            check = zlib.crc32(data, check)
            gap = -len(data) % _ALIGN
            check = zlib.crc32(bytes(gap), check)
            at += len(data) + gap
        head = orjson.dumps({"version": VERSION, "indicators": len(self), "bytes": at, "check": check,
                             "arrays": places, "flags": self.flags})
        head = head.ljust(len(head) + -(len(head) + 16) % _ALIGN)
        yield MAGIC + len(head).to_bytes(4, "little") + zlib.crc32(head).to_bytes(4, "little") + head
        for name in _FORM:
            if len(self.arrays[name]):
                data = _raw(self.arrays[name])
                yield data
                yield bytes(-len(data) % _ALIGN)


def _view(array: Array) -> Any:
    flat: Any = np.ascontiguousarray(array)
    return memoryview(flat)


def _raw(array: Array) -> memoryview:
    flat: Any = np.ascontiguousarray(array)
    return memoryview(flat).cast("B")


def is_compiled(path: Path) -> bool:
    """Whether a file is (or was) a compiled list."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def open_compiled(path: Path) -> Compiled:
    """A file of compile_indicators, mapped; its check sum is looked at once. Raises IndicatorError."""
    try:
        with path.open("rb") as file:
            start = _head(file.read(_HEAD_LIMIT + 16), path)
            head, begin = start
            file.seek(begin)
            check = 0
            # Read, not mapped: pages that are only summed up need not stay in this process.
            while chunk := file.read(1 << 22):
                check = zlib.crc32(chunk, check)
            if file.tell() - begin != head["bytes"] or check != head["check"]:
                raise _refused(path, "is damaged")
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise IndicatorError(f"the compiled list can't be read: {error.strerror}",
                             source=Location(str(path))) from error
    return _from(data, head, begin, path)


def read_compiled(data: bytes) -> Compiled:
    """Like open_compiled, for bytes."""
    head, begin = _head(data, None)
    if len(data) - begin != head["bytes"] or zlib.crc32(memoryview(data)[begin:]) != head["check"]:
        raise _refused(None, "is damaged")
    return _from(memoryview(data), head, begin, None)


def _refused(path: Path | None, why: str) -> IndicatorError:
    return IndicatorError(f"the compiled list {why}", source=Location(str(path)) if path else None,
                          hint="make it again: hikeshi indicators compile LIST --out FILE")


def _head(data: bytes, path: Path | None) -> tuple[dict[str, Any], int]:
    size = int.from_bytes(data[8:12], "little")
    if data[:8] != MAGIC or size > _HEAD_LIMIT or len(data) < 16 + size:
        raise _refused(path, "is damaged")
    try:
        head = orjson.loads(data[16:16 + size])
        version = head["version"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise _refused(path, "is damaged") from error
    if version != VERSION:
        raise _refused(path, f"is of version {version}; this program reads version {VERSION}")
    if zlib.crc32(data[16:16 + size]) != int.from_bytes(data[12:16], "little"):
        raise _refused(path, "is damaged")
    return head, 16 + size


def _from(data: memoryview, head: dict[str, Any], begin: int, path: Path | None) -> Compiled:
    try:
        arrays = {name: np.frombuffer(data, form, head["arrays"][name][1], begin + head["arrays"][name][0])
                  if head["arrays"][name][1] else np.empty(0, form) for name, form in _FORM.items()}
        flags = {k: bool(head["flags"][k]) for k in ("v4", "v6", "idna", "numeric_last")}
        _check(arrays)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _refused(path, "is damaged") from error
    return Compiled(arrays, flags, min(len(arrays["types"]), int(head["indicators"])), path)


def _check(arrays: dict[str, Array]) -> None:
    """Parts fit each other: machine code relies on it. Raises ValueError."""
    slots, entries = len(arrays["table"]), len(arrays["entry_kinds"])
    sound = (
        slots and not slots & (slots - 1) and len(arrays["kinds"]) == slots and len(arrays["first"]) == slots + 1
        and np.count_nonzero(arrays["table"]) < slots
        and all(len(arrays[k]) and not len(arrays[k]) & (len(arrays[k]) - 1) for k in ("filter", "last"))
        and len(arrays["entry_numbers"]) == entries and int(arrays["first"][-1]) == entries
        and len(arrays["offsets"]) == len(arrays["types"]) + 1
        and int(arrays["offsets"][-1]) == len(arrays["values"]) and int(arrays["offsets"][0]) == 0
        and (not len(arrays["types"]) or int(arrays["types"].max()) < len(_TYPES))
        and (not entries or int(arrays["entry_numbers"].max()) < len(arrays["types"]))
        and len(arrays["starts"]) == len(arrays["ends"]) and len(arrays["ranges6"]) % 4 == 0
        and len(arrays["nets"]) == len(arrays["net_numbers"]))
    if not sound:
        raise ValueError


# ---- making one ------------------------------------------------------------------------------


def compile_indicators(indicators: IndicatorSet | Iterable[tuple[str, str]]) -> Compiled:
    """Tables of a set, or of (type, value) pairs; a million take some seconds."""
    making = _Making()
    pairs = (((kind, value) for kind, values in indicators.values.items() for value in values)
             if isinstance(indicators, IndicatorSet) else indicators)
    for kind, value in pairs:
        making.add(kind, value)
    return making.finish()


def compile_lists(paths: Iterable[str | Path]) -> tuple[Compiled, IndicatorSet]:
    """Tables of list files, and what was said of the lists (problems, duplicates; the set itself is empty).
    Raises like load_indicators."""
    making = _Making()
    told = load_in_parts(paths, making.add)
    return making.finish(), told


class _Making:
    """Collects keys in batches, so that five million indicators need no objects of their own."""

    _BATCH = 200_000

    def __init__(self) -> None:
        self.values, self.types = bytearray(), bytearray()
        self.lengths: list[Array] = []
        self.sizes: list[int] = []
        self.keys: list[str] = []
        self.key_numbers: list[int] = []
        self.key_kinds = bytearray()
        self.fours: list[tuple[int, int, int]] = []
        self.prints: list[Array] = []
        self.numbers: list[Array] = []
        self.kinds: list[Array] = []
        self.lasts: list[Array] = []
        self.nets: list[tuple[bytes, int]] = []
        self.plain: set[int] = set()
        self.runs: set[int] = set()
        self.v4 = self.v6 = self.idna = self.numeric_last = False

    def add(self, kind: str, value: str) -> None:
        number = len(self.types)
        if number >= MAX_ENTRIES:
            raise LimitExceeded(f"more than {MAX_ENTRIES:,} indicators", hint="split the list")
        raw = value.encode("utf-8", "replace")
        self.values += raw
        self.sizes.append(len(raw))
        self.types.append(_TYPES.index(kind))
        if kind == "domain":
            self._key(value, NAME, number)
        elif kind == "ipv4":
            self.fours.append((_four(value), ADDRESS, number))
            self.v4 = True
        elif kind == "ipv6":
            self._six(int(ipaddress.ip_address(value)), ADDRESS, number)
        elif kind == "cidr":
            net = ipaddress.ip_network(value)
            self.nets.append((_net_bytes(net.version, int(net.network_address), int(net.broadcast_address)), number))
            self.v6 |= net.version == 6
        elif kind == "url":
            self._url(url_parts(value)[0], number)
        elif kind == "email":
            self._key(value.rpartition("@")[2], MAIL, number)
        else:
            if kind in _HASHES:
                self.runs.add(len(value))
            self._key(value.lower(), TOKEN, number, hashed=kind in _HASHES)
        if len(self.sizes) >= self._BATCH:
            self._flush()

    def _url(self, host: str, number: int) -> None:
        if ":" in host:
            self._six(int(ipaddress.ip_address(host)), URL, number)
        elif host.count(".") == 3 and host.replace(".", "").isdigit():
            self.fours.append((_four(host), URL, number))
            self.v4 = True
        else:
            self._key(host, URL, number)

    def _six(self, value: int, kind: int, number: int) -> None:
        self._put(six_fingerprint(value), np.array([kind], dtype=np.uint8), np.array([number], dtype=np.uint32))
        self.v6 = True

    def _key(self, key: str, kind: int, number: int, *, hashed: bool = False) -> None:
        self.keys.append(key)
        self.key_kinds.append(kind)
        self.key_numbers.append(number)
        if "." not in key:
            if not hashed:
                self.plain.add(len(key))
        else:
            self.numeric_last |= key[-1] in "0123456789" and key.rpartition(".")[2].isdigit()
            self.idna |= "xn--" in key

    def _put(self, prints: Array, kinds: Array, numbers: Array) -> None:
        self.prints.append(prints)
        self.kinds.append(kinds)
        self.numbers.append(numbers)

    def _flush(self) -> None:
        self.lengths.append(np.array(self.sizes, dtype=np.int64))
        self.sizes = []
        if self.keys:
            self._put(fingerprints_of(self.keys), np.frombuffer(bytes(self.key_kinds), np.uint8),
                      np.array(self.key_numbers, dtype=np.uint32))
            self.lasts.append(fingerprints_of(list({k.rpartition(".")[2] for k in self.keys})))
        if self.fours:
            fours = np.array(self.fours, dtype=np.int64)
            self._put(address_fingerprints(fours[:, 0]), fours[:, 1].astype(np.uint8), fours[:, 2].astype(np.uint32))
        self.keys, self.key_numbers, self.fours, self.key_kinds = [], [], [], bytearray()

    def finish(self) -> Compiled:
        self._flush()
        prints = np.concatenate([*self.prints, np.empty(0, np.uint64)])
        kinds = np.concatenate([*self.kinds, np.empty(0, np.uint8)])
        numbers = np.concatenate([*self.numbers, np.empty(0, np.uint32)])
        offsets = np.zeros(len(self.types) + 1, dtype=np.int64)
        np.cumsum(np.concatenate(self.lengths), out=offsets[1:])
        again = self._repeated(prints, kinds, numbers, offsets)
        prints, kinds, numbers = prints[~again], kinds[~again], numbers[~again]
        table, kinds, first, entry_kinds, entry_numbers = _table(prints, kinds, numbers)
        nets = dict(sorted(self.nets, reverse=True))  # of equal ones the first number
        repeated = int(again.sum()) + len(self.nets) - len(nets)
        self.nets = sorted(nets.items())
        starts, ends, ranges6 = _ranges([n for n, _ in self.nets])
        arrays: dict[str, Array] = {
            "values": np.frombuffer(bytes(self.values), np.uint8), "offsets": offsets,
            "types": np.frombuffer(bytes(self.types), np.uint8), "table": table, "kinds": kinds, "first": first,
            "entry_kinds": entry_kinds, "entry_numbers": entry_numbers, "filter": _bits(prints),
            "last": _bits(np.unique(np.concatenate([*self.lasts, np.empty(0, np.uint64)]))),
            "starts": starts, "ends": ends, "ranges6": ranges6,
            "plain": np.array(sorted(self.plain), dtype=np.int64), "runs": np.array(sorted(self.runs), dtype=np.int64),
            "nets": np.array([n for n, _ in self.nets], dtype=_NET),
            "net_numbers": np.array([n for _, n in self.nets], dtype=np.uint32)}
        return Compiled(arrays, {"v4": self.v4, "v6": self.v6, "idna": self.idna, "numeric_last": self.numeric_last},
                        len(self.types) - repeated)

    def _repeated(self, prints: Array, kinds: Array, numbers: Array, offsets: Array) -> Array:
        """Which entries say the same as an earlier one (lists that came in parts)."""
        out = np.zeros(len(prints), dtype=np.bool_)
        order = np.lexsort((numbers, kinds, prints))
        same = np.flatnonzero((np.diff(prints[order]) == 0) & (np.diff(kinds[order]) == 0))
        seen: set[bytes] = set()
        run = -2
        for at in same.tolist():
            if at != run + 1:
                seen = {self._value(int(numbers[order[at]]), offsets)}
            value = self._value(int(numbers[order[at + 1]]), offsets)
            out[order[at + 1]] = value in seen
            seen.add(value)
            run = at
        return out

    def _value(self, number: int, offsets: Array) -> bytes:
        return bytes(self.values[offsets[number]:offsets[number + 1]]) + self.types[number:number + 1]


def _four(value: str) -> int:
    a, b, c, d = value.split(".")
    return (int(a) << 24) | (int(b) << 16) | (int(c) << 8) | int(d)


def _net_bytes(version: int, first: int, last: int) -> bytes:
    return bytes([version]) + first.to_bytes(16, "big") + last.to_bytes(16, "big")


def _bits(prints: Array) -> Array:
    """One bit for each fingerprint's top bits; sixteen times as many bits as fingerprints."""
    bits = min(27, max(13, (len(prints) * 16).bit_length()))
    marks = np.zeros(1 << bits, dtype=np.bool_)
    marks[(prints >> np.uint64(64 - bits)).astype(np.int64)] = True
    out: Array = np.packbits(marks, bitorder="little").view(np.uint64)
    return out


def _table(prints: Array, kinds: Array, numbers: Array) -> tuple[Array, Array, Array, Array, Array]:
    """An open hash table of the unique fingerprints, at most two thirds full, and its entries by slot."""
    unique, group = np.unique(prints, return_inverse=True)
    size = 16
    while size * 2 < len(unique) * 3:
        size *= 2
    mask = np.uint64(size - 1)
    table = np.zeros(size, dtype=np.uint64)
    place = (unique & mask).astype(np.int64)
    waiting = np.arange(len(unique))
    while len(waiting):
        at = place[waiting]
        free = table[at] == 0
        # Of several that want one slot the last writer has it; the others go on to the next.
        table[at[free]] = unique[waiting[free]]
        settled = table[at] == unique[waiting]
        waiting = waiting[~settled]
        place[waiting] = (place[waiting] + 1) & (size - 1)
    slots = place[group.reshape(-1)] if len(unique) else np.empty(0, np.int64)
    order = np.argsort(slots, kind="stable")
    first = np.zeros(size + 1, dtype=np.uint32)
    np.cumsum(np.bincount(slots, minlength=size), out=first[1:])
    shared = np.zeros(size, dtype=np.uint8)
    np.bitwise_or.at(shared, slots, kinds)
    return table, shared, first, kinds[order], numbers[order]


def _ranges(nets: list[bytes]) -> tuple[Array, Array, Array]:
    """Sorted networks joined where they touch: IPv4 starts and ends, IPv6 as four words each."""
    merged: dict[int, list[list[int]]] = {4: [], 6: []}
    for net in nets:
        held = merged[net[0]]
        first, last = int.from_bytes(net[1:17], "big"), int.from_bytes(net[17:], "big")
        if held and first <= held[-1][1] + 1:
            held[-1][1] = max(held[-1][1], last)
        else:
            held.append([first, last])
    four: Array = np.array(merged[4], dtype=np.int64).reshape(-1, 2)
    low = (1 << 64) - 1
    six = [word for a, b in merged[6] for word in (a >> 64, a & low, b >> 64, b & low)]
    return four[:, 0].copy(), four[:, 1].copy(), np.array(six, dtype=np.uint64)

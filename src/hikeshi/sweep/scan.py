"""Find the places of a text that may be a look-up key, without touching most of it in Python.

A token is a run of letters, digits, "." "_" "-" (lower case and upper case are the same). Looked up
are whole tokens, everything behind a dot in them (the parents of a host), and runs of letters and
digits with the length of a hash. Every such stretch has a 64-bit fingerprint: the difference of two
prefix sums, so that all stretches of a chunk cost one pass. Fingerprints choose candidates; whoever
asked compares the text itself. Foreign bytes (UTF-8 beyond ASCII) and percent escapes separate tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hikeshi.sweep.kernel import kernel
from hikeshi.sweep.machine import stretches
from hikeshi.sweep.native import LONGEST, RANGE_SLOT, TAIL

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

CHUNK = 1 << 20
_P = 0x9E3779B97F4A7C15 | 1
_GOLDEN = np.uint64(0xD6E8FEB86659FD93)
_ESCAPE = re.compile(rb"%(?:25)*[0-9A-Fa-f]{2}")

_bytes = np.arange(256)
_UPPER = (_bytes >= 65) & (_bytes <= 90)
_ALNUM = ((_bytes >= 48) & (_bytes <= 57)) | _UPPER | ((_bytes >= 97) & (_bytes <= 122))
_DOT, _HYPHEN, _UNDERSCORE = 46, 45, 95
_TAIL_SIGNS = (_bytes == _DOT) | (_bytes == _HYPHEN) | (_bytes == _UNDERSCORE)
_TOKEN = _ALNUM | _TAIL_SIGNS
_FOLD = np.where(_UPPER, _bytes + 32, _bytes)


def _weights() -> U64:
    """An odd number for each byte, upper case as lower. Any would do, but compiled lists rely on these
    (splitmix64, whose numbers are the same everywhere and for ever)."""
    numbers, state = [], 20240910
    for _ in range(256):
        state = (state + 0x9E3779B97F4A7C15) % (1 << 64)
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % (1 << 64)
        z = (z ^ z >> 27) * 0x94D049BB133111EB % (1 << 64)
        numbers.append(z ^ z >> 31 | 1)
    return np.array(numbers, dtype=np.uint64)[_FOLD]


WEIGHTS = _weights()


@lru_cache(maxsize=4)
def _powers(count: int) -> tuple[U64, U64]:
    """P^i and P^-i modulo 2^64 for i < count."""
    forward = np.full(count, _P, dtype=np.uint64)
    forward[0] = 1
    inverse = np.full(count, pow(_P, -1, 1 << 64), dtype=np.uint64)
    inverse[0] = 1
    with np.errstate(over="ignore"):
        return np.cumprod(forward, dtype=np.uint64), np.cumprod(inverse, dtype=np.uint64)


def _prefix_sums(data: npt.NDArray[np.uint8]) -> tuple[U64, U64]:
    size = 1 << max(20, len(data).bit_length())
    forward, inverse = _powers(size)
    sums = np.empty(len(data) + 1, dtype=np.uint64)
    sums[0] = 0
    with np.errstate(over="ignore"):
        np.cumsum(WEIGHTS[data] * forward[:len(data)], out=sums[1:])
    return sums, inverse


def _fingerprints(sums: U64, inverse: U64, starts: I64, ends: I64) -> U64:
    with np.errstate(over="ignore"):
        return _mixed((sums[ends] - sums[starts]) * inverse[starts])


def _mixed(out: U64) -> U64:
    out ^= out >> np.uint64(29)
    out *= np.uint64(0xBF58476D1CE4E5B9)
    return out


def fingerprints_of(keys: Sequence[str]) -> U64:
    """The fingerprints of ASCII keys."""
    parts = []
    at = 0
    while at < len(keys):
        batch: list[str] = []
        size = 0
        while at < len(keys) and (size < CHUNK or not batch):
            batch.append(keys[at])
            size += len(keys[at]) + 1
            at += 1
        lengths = np.fromiter(map(len, batch), dtype=np.int64, count=len(batch))
        data = np.frombuffer("".join(batch).encode("ascii", "replace"), dtype=np.uint8)
        sums, inverse = _prefix_sums(data)
        ends = np.cumsum(lengths)
        parts.append(_fingerprints(sums, inverse, ends - lengths, ends))
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def address_fingerprints(numbers: I64) -> U64:
    """The fingerprints of IPv4 addresses given as numbers."""
    with np.errstate(over="ignore"):
        return _mixed((numbers.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def six_fingerprint(number: int) -> U64:
    """The fingerprint of an IPv6 address given as a number, as an array of one."""
    high = np.array([number >> 64], dtype=np.uint64)
    low = np.array([number & (1 << 64) - 1], dtype=np.uint64)
    with np.errstate(over="ignore"):
        return _mixed((high + np.uint64(7)) * _GOLDEN ^ _mixed(low))


@dataclass(frozen=True, slots=True)
class Tables:
    """What to look for. `filter` and `last` have one bit for each value of a fingerprint's top bits; `table`
    is open addressed by its low bits, 0 is empty; `kinds` are the bits of native.py; `plain` and `runs` the
    lengths of keys without a dot and of hashes; `starts`, `ends` joined IPv4 networks, `ranges6` IPv6 ones."""

    filter: U64
    table: U64
    kinds: npt.NDArray[np.uint8]
    last: U64
    starts: I64
    ends: I64
    ranges6: U64
    plain: I64
    runs: I64
    has_v4: bool
    has_v6: bool
    has_idna: bool
    numeric_last: bool

    def slots(self, fingerprints: U64) -> I64:
        """The slot of each fingerprint, -1 where it is not in the table."""
        out = np.full(len(fingerprints), -1, dtype=np.int64)
        top = fingerprints >> np.uint64(64 - (len(self.filter) * 64).bit_length() + 1)
        held = (self.filter[(top >> np.uint64(6)).astype(np.int64)] >> (top & np.uint64(63))) & np.uint64(1)
        waiting = np.flatnonzero(held)
        mask = len(self.table) - 1
        place = (fingerprints[waiting] & np.uint64(mask)).astype(np.int64)
        while len(waiting):
            there = self.table[place]
            same = there == fingerprints[waiting]
            out[waiting[same]] = place[same]
            on = ~same & (there != 0)
            waiting, place = waiting[on], (place[on] + 1) & mask
        return out


@dataclass(frozen=True, slots=True)
class Candidates:
    """Stretches of one chunk that may be keys, by place; `slots` in the table, RANGE_SLOT for an address
    inside the IPv4 networks."""

    starts: I64
    ends: I64
    slots: I64


def scan(data: bytes, tables: Tables) -> Candidates:
    """All candidate stretches of a chunk, ascending by start; by machine code where there is some."""
    native = kernel()
    return scan_plainly(data, tables) if native is None else stretches(native, data, tables)


def scan_plainly(data: bytes, tables: Tables) -> Candidates:
    """scan() with numpy alone."""
    if b"%" in data:
        data = _ESCAPE.sub(lambda m: b"\0" * len(m[0]), data)
    raw = np.frombuffer(data, dtype=np.uint8)
    starts, ends = _runs(_TOKEN[raw])
    if not len(starts):
        return _EMPTY
    sums, inverse = _prefix_sums(raw)
    dots = np.flatnonzero(raw == _DOT)
    ends = _without_tail(raw, starts, ends)
    first_dot = np.searchsorted(dots, starts)
    dot_count = np.searchsorted(dots, ends) - first_dot
    found: list[tuple[I64, I64, I64]] = []

    def look_up(begin: I64, end: I64) -> None:
        slots = tables.slots(_fingerprints(sums, inverse, begin, end))
        hit = slots >= 0
        found.append((begin[hit], end[hit], slots[hit]))

    whole = (dot_count > 0) & (ends - starts <= LONGEST)
    if len(tables.plain):
        whole |= (dot_count == 0) & np.isin(ends - starts, tables.plain)
    look_up(starts[whole], ends[whole])
    parents = np.repeat(np.arange(len(starts)), dot_count)
    if len(parents):
        offsets = np.arange(len(parents)) - np.repeat(np.cumsum(dot_count) - dot_count, dot_count)
        below = dots[first_dot[parents] + offsets] + 1
        stops = ends[parents]
        real = (stops - below > 2) & (stops - below <= LONGEST)
        look_up(below[real], stops[real])
    if len(tables.runs):
        run_starts, run_ends = _runs(_ALNUM[raw])
        right = np.isin(run_ends - run_starts, tables.runs)
        look_up(run_starts[right], run_ends[right])
    if len(tables.starts) or tables.has_v4:
        found += _addresses(raw, starts, ends, dots, first_dot, dot_count, tables)
    return joined(found)


_NOTHING = np.empty(0, dtype=np.int64)
_EMPTY = Candidates(_NOTHING, _NOTHING, _NOTHING)


def joined(found: Sequence[tuple[I64, I64, I64]]) -> Candidates:
    """In order of place; a stretch that was found twice (a hash that is a whole token) counts once."""
    starts = np.concatenate([f[0] for f in found]) if found else _NOTHING
    if not len(starts):
        return _EMPTY
    ends = np.concatenate([f[1] for f in found])
    slots = np.concatenate([f[2] for f in found])
    order = np.lexsort((slots, ends, starts))
    starts, ends, slots = starts[order], ends[order], slots[order]
    new = np.ones(len(starts), dtype=np.bool_)
    new[1:] = (starts[1:] != starts[:-1]) | (ends[1:] != ends[:-1]) | (slots[1:] != slots[:-1])
    return Candidates(starts[new], ends[new], slots[new])


def _runs(inside: npt.NDArray[np.bool_]) -> tuple[I64, I64]:
    """Starts and ends of the runs of True."""
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    if len(inside) and inside[0]:
        edges = np.concatenate(([0], edges))
    if len(edges) % 2:
        edges = np.append(edges, len(inside))
    return edges[0::2], edges[1::2]


def _without_tail(raw: npt.NDArray[np.uint8], starts: I64, ends: I64) -> I64:
    """Tokens without the signs at their end (up to TAIL): the dot of a full name or of a sentence."""
    ends = ends.copy()
    at = np.arange(len(ends))
    for _ in range(TAIL):
        at = at[_TAIL_SIGNS[raw[ends[at] - 1]] & (ends[at] - starts[at] > 1)]
        if not len(at):
            break
        ends[at] -= 1
    return ends


def _addresses(raw: npt.NDArray[np.uint8], starts: I64, ends: I64, dots: I64, first_dot: I64, dot_count: I64,
               tables: Tables) -> list[tuple[I64, I64, I64]]:
    """Tokens that are a listed IPv4 address, and those inside a listed network."""
    quads = np.flatnonzero((dot_count == 3) & (ends - starts <= 15) & (ends - starts >= 7))
    if not len(quads):
        return []
    begin, stop, at = starts[quads], ends[quads], first_dot[quads]
    edges = [begin - 1, dots[at], dots[at + 1], dots[at + 2], stop]
    value = np.zeros(len(quads), dtype=np.int64)
    good = np.ones(len(quads), dtype=np.bool_)
    digits = raw.astype(np.int16) - 48
    for left, right in pairwise(edges):
        length = right - left - 1
        good &= (length >= 1) & (length <= 3)
        part = np.zeros(len(quads), dtype=np.int64)
        for place, unit in ((1, 1), (2, 10), (3, 100)):
            here = length >= place
            digit = digits[np.maximum(right - place, 0)]
            good &= ~here | ((digit >= 0) & (digit <= 9))
            part += np.where(here, digit * unit, 0)
        good &= part <= 255
        value = value * 256 + part
    out: list[tuple[I64, I64, I64]] = []
    begin, stop, value = begin[good], stop[good], value[good]
    if tables.has_v4:
        slots = tables.slots(address_fingerprints(value))
        hit = slots >= 0
        out.append((begin[hit], stop[hit], slots[hit]))
    if len(tables.starts):
        net = np.searchsorted(tables.starts, value, side="right") - 1
        hit = (net >= 0) & (value <= tables.ends[np.maximum(net, 0)])
        out.append((begin[hit], stop[hit], np.full(int(hit.sum()), RANGE_SLOT, dtype=np.int64)))
    return out


@dataclass(frozen=True, slots=True)
class Chunk:
    """Values joined by line ends. `starts` are their places in `data`; `first` is the number of the first
    of them; `ascii` says that bytes and characters are the same."""

    data: bytes
    starts: I64
    first: int
    ascii: bool


def chunks(values: Sequence[str]) -> Iterator[Chunk]:
    """Values in chunks of about CHUNK characters; a longer value comes alone. A line end inside a value
    separates tokens just as well: it can neither hide one nor make one."""
    lengths = np.fromiter(map(len, values), dtype=np.int64, count=len(values)) + 1
    ends = np.cumsum(lengths)
    at = 0
    while at < len(values):
        begun = int(ends[at] - lengths[at])
        stop = max(at + 1, int(np.searchsorted(ends, begun + CHUNK)))
        joined = "\n".join(values[at:stop])
        if joined.isascii():
            yield Chunk(joined.encode("ascii"), ends[at:stop] - lengths[at:stop] - begun, at, True)
        else:
            encoded = [v.encode("utf-8", "replace") for v in values[at:stop]]
            sizes = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)) + 1
            yield Chunk(b"\n".join(encoded), np.cumsum(sizes) - sizes, at, False)
        at = stop

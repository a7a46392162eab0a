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

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

CHUNK = 1 << 20
TAIL = 64
_LONGEST = 300  # characters of a key; longer keys are looked up by their first token only
_P = 0x9E3779B97F4A7C15 | 1
_ESCAPE = re.compile(rb"%(?:25)*[0-9A-Fa-f]{2}")

_bytes = np.arange(256)
_UPPER = (_bytes >= 65) & (_bytes <= 90)
_ALNUM = ((_bytes >= 48) & (_bytes <= 57)) | _UPPER | ((_bytes >= 97) & (_bytes <= 122))
_DOT, _HYPHEN, _UNDERSCORE = 46, 45, 95
_TAIL_SIGNS = (_bytes == _DOT) | (_bytes == _HYPHEN) | (_bytes == _UNDERSCORE)
_TOKEN = _ALNUM | _TAIL_SIGNS
_FOLD = np.where(_UPPER, _bytes + 32, _bytes)
# Any fixed random numbers do; candidates are compared as text afterwards.
_random: U64 = np.random.default_rng(20240910).integers(1, 1 << 63, 256, dtype=np.uint64)
_WEIGHTS: U64 = _random[_FOLD] * np.uint64(2) + np.uint64(1)


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
        np.cumsum(_WEIGHTS[data] * forward[:len(data)], out=sums[1:])
    return sums, inverse


def _fingerprints(sums: U64, inverse: U64, starts: I64, ends: I64) -> U64:
    with np.errstate(over="ignore"):
        out: U64 = (sums[ends] - sums[starts]) * inverse[starts]
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


@dataclass(slots=True)
class Filter:
    """Sorted fingerprints behind a table of one byte each for their top bits: most stretches end there."""

    sorted: U64
    table: npt.NDArray[np.bool_]
    shift: np.uint64

    @classmethod
    def of(cls, fingerprints: U64) -> Filter:
        bits = min(24, max(16, int(len(fingerprints) * 16).bit_length()))
        shift = np.uint64(64 - bits)
        table = np.zeros(1 << bits, dtype=np.bool_)
        table[(fingerprints >> shift).astype(np.int64)] = True
        return cls(np.unique(fingerprints), table, shift)

    def holds(self, fingerprints: U64) -> npt.NDArray[np.bool_]:
        out = self.table[(fingerprints >> self.shift).astype(np.int64)]
        maybe = np.flatnonzero(out)
        if len(maybe):
            wanted = fingerprints[maybe]
            at = np.searchsorted(self.sorted, wanted)
            at[at == len(self.sorted)] = 0
            out[maybe] = self.sorted[at] == wanted
        return out


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for: keys with a dot, keys without one by length, hash lengths, IPv4 ranges."""

    keys: Filter | None
    plain_lengths: npt.NDArray[np.int64]  # of keys without a dot that are whole tokens
    run_lengths: npt.NDArray[np.int64]  # of hashes: letters and digits only
    range_starts: npt.NDArray[np.int64]  # merged IPv4 ranges, ascending
    range_ends: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Stretches of one chunk that may be keys, by place; `address` marks hits in the IPv4 ranges."""

    starts: I64
    ends: I64
    address: npt.NDArray[np.bool_]


def scan(data: bytes, wanted: Wanted) -> Candidates:
    """All candidate stretches of a chunk, ascending by start."""
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
    found: list[tuple[I64, I64, bool]] = []
    if wanted.keys is not None:
        keys = wanted.keys
        whole = dot_count > 0
        if len(wanted.plain_lengths):
            whole |= np.isin(ends - starts, wanted.plain_lengths)
        found.append((*_held(keys, sums, inverse, starts[whole], ends[whole]), False))
        parents = np.repeat(np.arange(len(starts)), dot_count)
        if len(parents):
            offsets = np.arange(len(parents)) - np.repeat(np.cumsum(dot_count) - dot_count, dot_count)
            below = dots[first_dot[parents] + offsets] + 1
            stops = ends[parents]
            real = (stops - below > 2) & (stops - below <= _LONGEST)
            found.append((*_held(keys, sums, inverse, below[real], stops[real]), False))
        if len(wanted.run_lengths):
            run_starts, run_ends = _runs(_ALNUM[raw])
            right = np.isin(run_ends - run_starts, wanted.run_lengths)
            found.append((*_held(keys, sums, inverse, run_starts[right], run_ends[right]), False))
    if len(wanted.range_starts):
        found.append((*_in_ranges(raw, starts, ends, dots, first_dot, dot_count, wanted), True))
    return _joined(found)


_NOTHING = np.empty(0, dtype=np.int64)
_EMPTY = Candidates(_NOTHING, _NOTHING, np.empty(0, dtype=np.bool_))


def _joined(found: list[tuple[I64, I64, bool]]) -> Candidates:
    starts = np.concatenate([f[0] for f in found]) if found else _NOTHING
    if not len(starts):
        return _EMPTY
    ends = np.concatenate([f[1] for f in found])
    address = np.concatenate([np.full(len(f[0]), f[2]) for f in found])
    order = np.argsort(starts, kind="stable")
    return Candidates(starts[order], ends[order], address[order])


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


def _held(keys: Filter, sums: U64, inverse: U64, starts: I64, ends: I64) -> tuple[I64, I64]:
    held = keys.holds(_fingerprints(sums, inverse, starts, ends))
    return starts[held], ends[held]


def _in_ranges(raw: npt.NDArray[np.uint8], starts: I64, ends: I64, dots: I64, first_dot: I64, dot_count: I64,
               wanted: Wanted) -> tuple[I64, I64]:
    """Tokens that are an IPv4 address inside one of the ranges."""
    quads = np.flatnonzero((dot_count == 3) & (ends - starts <= 15) & (ends - starts >= 7))
    if not len(quads):
        return _NOTHING, _NOTHING
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
    slot = np.searchsorted(wanted.range_starts, value, side="right") - 1
    good &= (slot >= 0) & (value <= wanted.range_ends[np.maximum(slot, 0)])
    return begin[good], stop[good]


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

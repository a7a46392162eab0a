"""Texts looked for in a column's unique values, and the checks that one pass can't make.

A Scanner holds one Aho-Corasick automaton for a column. All unique values are joined into one
text, each between two separators; a separator in a literal ties it to the start or end of a
value, so that one pass answers contains, startswith, endswith and equals alike.
"""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import ahocorasick
import numpy as np
import numpy.typing as npt
import re2

from hikeshi.detect.compile import END, MULTI, SINGLE, START, WHOLE

Numbers = npt.NDArray[np.int64]
# Event text comes out of XML, which can't hold NUL; a NUL in a hostile value reads as U+FFFD.
_SEPARATOR, _STAND_IN = "\0", "\ufffd"
# pyahocorasick copies its text at four bytes a character.
_SLICE_CHARS = 4 << 20


class Scanner:
    """Finds the literals of one column."""

    def __init__(self, literals: Iterable[tuple[int, int, str]]) -> None:
        """literals: number, mode, folded text."""
        self._automaton = ahocorasick.Automaton(ahocorasick.STORE_INTS)
        for number, mode, text in literals:
            word = text.replace(_SEPARATOR, _STAND_IN)
            if mode in (START, WHOLE):
                word = _SEPARATOR + word
            if mode in (END, WHOLE):
                word += _SEPARATOR
            self._automaton.add_word(word, number)
        self._automaton.make_automaton()

    def find(self, values: Sequence[str]) -> tuple[Numbers, Numbers]:
        """Pairs of literal number and value number, sorted by literal, each once."""
        found: list[Numbers] = []
        first = 0
        while first < len(values):
            last, size = first, 0
            while last < len(values) and (size < _SLICE_CHARS or last == first):
                size += len(values[last]) + 1
                last += 1
            found.append(self._find(values[first:last], first, len(values)))
            first = last
        if not found:
            empty = np.empty(0, dtype=np.int64)
            return empty, empty
        pairs = _sorted_once(np.concatenate(found))
        return pairs // len(values), pairs % len(values)

    def _find(self, values: Sequence[str], offset: int, total: int) -> Numbers:
        joined = _SEPARATOR.join(values)
        if joined.count(_SEPARATOR) != len(values) - 1:
            joined = _SEPARATOR.join(v.replace(_SEPARATOR, _STAND_IN) for v in values)
        joined = joined.casefold()
        hits = np.fromiter(chain.from_iterable(self._automaton.iter(f"{_SEPARATOR}{joined}{_SEPARATOR}")), np.int64)
        if not len(hits):
            return hits
        lengths = np.fromiter(map(len, joined.split(_SEPARATOR)), np.int64, len(values))
        ends = np.cumsum(lengths + 1)
        owners = np.searchsorted(ends, hits[0::2], side="left")
        return _sorted_once(hits[1::2] * total + (owners + offset))


def _sorted_once(numbers: Numbers) -> Numbers:
    """Ascending, each number once; quicker than np.unique, which hashes first."""
    numbers.sort()
    if len(numbers) < 2:
        return numbers
    keep = np.empty(len(numbers), dtype=np.bool_)
    keep[0] = True
    np.not_equal(numbers[1:], numbers[:-1], out=keep[1:])
    return numbers[keep]


class Glob:
    """A text with wildcards inside: `parts` are texts, MULTI (*) and SINGLE (?)."""

    def __init__(self, parts: Sequence[Any], *, cased: bool, lines: bool) -> None:
        self._cased, self._lines = cased, lines
        self._open_start, self._open_end = parts[0] == MULTI, parts[-1] == MULTI
        self._segments: list[list[Any]] = [[]]
        for part in parts:
            if part == MULTI:
                self._segments.append([])
            else:
                self._segments[-1].append(part)
        self._segments = [s for s in self._segments if s]

    def __call__(self, value: str) -> bool:
        text = value if self._cased else value.casefold()
        return self._matches(text) or (self._lines and "\n" in text and any(map(self._matches, text.split("\n"))))

    def _matches(self, text: str) -> bool:
        segments, at, end = self._segments, 0, len(text)
        if not self._open_start:
            head, *segments = segments
            at = _fits(head, text, 0)
            if at < 0:
                return False
            if not segments:
                return self._open_end or at == end
        if not self._open_end:
            *segments, tail = segments
            start = end - _length(tail)
            if start < at or _fits(tail, text, start) < 0:
                return False
            end = start
        for segment in segments:
            at = _search(segment, text, at)
            if at < 0:
                return False
        return at <= end


def _length(segment: Sequence[Any]) -> int:
    return sum(len(p) if p.__class__ is str else 1 for p in segment)


def _fits(segment: Sequence[Any], text: str, at: int) -> int:
    """The end of a segment that begins at `at`, or -1."""
    for part in segment:
        if part == SINGLE:
            at += 1
            if at > len(text):
                return -1
        elif text.startswith(part, at):
            at += len(part)
        else:
            return -1
    return at


def _search(segment: Sequence[Any], text: str, at: int) -> int:
    """The end of the leftmost place of a segment from `at` on, or -1."""
    lead = 0
    for part in segment:
        if part != SINGLE:
            break
        lead += 1
    if lead == len(segment):
        return at + lead if at + lead <= len(text) else -1
    anchor = segment[lead]
    place = text.find(anchor, at + lead)
    while place >= 0:
        end = _fits(segment, text, place - lead)
        if end >= 0:
            return end
        place = text.find(anchor, place + 1)
    return -1


class Regex:
    """An RE2 search, run only where the required texts occur often enough."""

    def __init__(self, pattern: str, counts: Mapping[str, int]) -> None:
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        self._search = re2.compile(pattern, options).search
        self._counts = sorted(counts.items(), key=lambda item: -len(item[0]))

    def __call__(self, value: str) -> bool:
        if self._counts:
            folded = value.casefold()
            if any(folded.count(text) < number for text, number in self._counts):
                return False
        return self._search(value) is not None


class Networks:
    """An address inside one of some networks; IPv4 in IPv6 clothes counts as IPv4."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(n) for n in networks]

    def __call__(self, value: str) -> bool:
        address = _address(value)
        if address is None:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(a in n for n in self._networks for a in (address, plain) if a.version == n.version)


@lru_cache(maxsize=65536)
def _address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(value.strip().partition("%")[0])
    except ValueError:
        return None


_OPERATORS = {"LT": operator.lt, "LTE": operator.le, "GT": operator.gt, "GTE": operator.ge, "NEQ": operator.ne}


class Compare:
    """A number below or above another; text that is no number is neither."""

    def __init__(self, comparison: str, number: float) -> None:
        self._operator, self._number = _OPERATORS[comparison], number

    def __call__(self, value: str) -> bool:
        number = as_number(value)
        if number is None:
            return False
        return bool(self._operator(number, self._number))


def as_number(value: str) -> int | float | None:
    text = value.strip()
    if not text.isascii() or len(text) > 64 or "_" in text:
        return None
    try:
        if text[:2].lower() == "0x":
            return int(text, 16)
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    except ValueError:
        return None

"""Texts looked for in a column's unique values, and the checks that one pass can't make.

A Scanner holds one Aho-Corasick automaton for a column. All unique values are joined into one
text, each between two separators; a separator in a literal ties it to the start or end of a
value, so that one pass answers contains, startswith, endswith and equals alike.
"""

from __future__ import annotations

import ipaddress
import operator
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import ahocorasick
import numpy as np
import numpy.typing as npt
import re2

from hikeshi.detect import scan_native as native
from hikeshi.detect.compile import END, MULTI, SINGLE, START, WHOLE
from hikeshi.machine import Loaded, MachineCode

Numbers = npt.NDArray[np.int64]
# Event text comes out of XML, which can't hold NUL; a NUL in a hostile value reads as U+FFFD.
_SEPARATOR, _STAND_IN = "\0", "\ufffd"
# Text that is all ASCII folds much faster: small slices keep most of them so. (pyahocorasick copies its text at four
# bytes a character.)
_SLICE_VALUES = 1024
code = MachineCode("hikeshi.detect.scan_native", native.ARGUMENTS, "scan", ahead=True)


class Scanner:
    """Finds the literals of one column."""

    def __init__(self, literals: Iterable[tuple[int, int, str]]) -> None:
        """literals: number, mode, folded text."""
        words: dict[str, int] = {}
        for number, mode, text in literals:
            word = text.replace(_SEPARATOR, _STAND_IN)
            if mode in (START, WHOLE):
                word = _SEPARATOR + word
            if mode in (END, WHOLE):
                word += _SEPARATOR
            words[word] = number
        loaded = code.load()
        self._walker: _Walker | _Automaton = _Automaton(words) if loaded is None else _Walker(loaded, words)

    def find(self, values: Sequence[str]) -> tuple[Numbers, Numbers]:
        """Pairs of literal number and value number, sorted by literal, each once."""
        found: list[Numbers] = []
        for first in range(0, len(values), _SLICE_VALUES):
            part = values[first:first + _SLICE_VALUES]
            joined = _SEPARATOR.join(part)
            if joined.count(_SEPARATOR) != len(part) - 1:
                joined = _SEPARATOR.join(v.replace(_SEPARATOR, _STAND_IN) for v in part)
            pairs = self._walker.pairs(f"{_SEPARATOR}{joined.casefold()}{_SEPARATOR}", len(part))
            if len(pairs):
                found.append(pairs + first)
        if not found:
            empty = np.empty(0, dtype=np.int64)
            return empty, empty
        pairs = _sorted_once(np.concatenate(found) if len(found) > 1 else found[0])
        return pairs >> 32, pairs & 0xFFFFFFFF


class _Automaton:
    """The walk by pyahocorasick."""

    def __init__(self, words: Mapping[str, int]) -> None:
        self._automaton = ahocorasick.Automaton(ahocorasick.STORE_INTS)
        for word, number in words.items():
            self._automaton.add_word(word, number)
        self._automaton.make_automaton()

    def pairs(self, joined: str, count: int) -> Numbers:
        """literal << 32 | value for each literal in each of the values between separators."""
        hits = np.fromiter(chain.from_iterable(self._automaton.iter(joined)), np.int64)
        if not len(hits):
            return hits
        lengths = np.fromiter(map(len, joined[1:-1].split(_SEPARATOR)), np.int64, count)
        owners = np.searchsorted(np.cumsum(lengths + 1), hits[0::2], side="left")
        return hits[1::2] << 32 | owners


@lru_cache(maxsize=4)
def _pairs_of(size: int) -> Numbers:
    """Where pairs are written before they are copied: one for all scanners."""
    return np.empty(size, dtype=np.int64)


class _Walker:
    """The walk by machine code, over UTF-8."""

    def __init__(self, loaded: Loaded, words: Mapping[str, int]) -> None:
        make, self._find = loaded.functions
        self._loaded = loaded
        raw = [(word.encode("utf-8", "surrogatepass"), number) for word, number in words.items() if word]
        text = np.frombuffer(b"".join(w for w, _ in raw) or b"\0", dtype=np.uint8)
        starts = np.zeros(len(raw) + 1, dtype=np.int64)
        np.cumsum([len(w) for w, _ in raw], out=starts[1:])
        most = int(starts[-1]) + 1
        longest = max((len(w) for w, _ in raw), default=0)
        edges = 1 << (2 * most).bit_length()
        numbers = np.array([n for _, n in raw], dtype=np.int64)
        self._numbers = numbers
        self._state = np.zeros(native.STATE, dtype=np.int64)
        self._state[[native.WORDS, native.EDGE_MASK, native.LONGEST]] = len(raw), edges - 1, longest
        self._roots = np.zeros(256, dtype=np.int32)
        nodes = np.empty(native.NODE_SIZE * most, dtype=np.int32)
        table = np.zeros(edges, dtype=np.int64)
        # Words are numbered by their place here, so that what was seen fits a short array.
        places = np.arange(len(raw), dtype=np.int64)
        self._seen = np.zeros(len(raw) + 1, dtype=np.int32)
        self._pairs = np.empty(longest + 64, dtype=np.int64)
        self._edges, self._nodes = table, nodes
        count = self._call(make, text, starts, places, np.empty(most, dtype=np.int64))
        self._nodes = nodes[:native.NODE_SIZE * count].copy()
        self._pairs = _pairs_of(1 << (max(1 << 16, 2 * longest)).bit_length())
        self._state[native.ROOM] = len(self._pairs)

    def _call(self, entry: Any, text: Any, starts: Any, numbers: Any, order: Any) -> int:
        arrays = (text, self._state, self._edges, self._roots, self._nodes, starts, numbers, self._seen, order,
                  self._pairs)
        return int(entry(*[a.ctypes.data for a in arrays]))

    def pairs(self, joined: str, count: int) -> Numbers:
        """literal << 32 | value for each literal in each of the values between separators."""
        text = np.frombuffer(joined.encode("utf-8", "surrogatepass"), dtype=np.uint8)
        state = self._state
        state[[native.SIZE, native.POS, native.NODE, native.VALUE]] = len(text), 0, 0, 0
        self._seen[:] = 0
        found: list[Numbers] = []
        while state[native.POS] < len(text):
            size = self._call(self._find, text, self._numbers, self._numbers, self._numbers)
            if size:
                found.append(self._pairs[:size].copy())
        if not found:
            return np.empty(0, dtype=np.int64)
        pairs = np.concatenate(found) if len(found) > 1 else found[0]
        named: Numbers = self._numbers[pairs >> 32] << 32 | pairs & 0xFFFFFFFF
        return named


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
    """An RE2 search, run only where the value is long enough, and the required texts and characters occur often
    enough (regex.Needs)."""

    def __init__(self, pattern: str, counts: Mapping[str, int], classes: Mapping[str, int], low: int,
                 high: int | None) -> None:
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        self._search = re2.compile(pattern, options).search
        self._counts = sorted(counts.items(), key=lambda item: -len(item[0]))
        self._classes = [(chars.encode(), number) for chars, number in classes.items()]
        self._low, self._high = low, sys.maxsize if high is None else high

    def __call__(self, value: str) -> bool:
        return self.may_match(value) and self._search(value) is not None

    def may_match(self, value: str) -> bool:
        """What RE2 need not be asked about is False."""
        if not self._low <= len(value) <= self._high:
            return False
        if self._counts or self._classes:
            folded = value.casefold()
            if any(folded.count(text) < number for text, number in self._counts):
                return False
            if self._classes:
                raw = folded.encode("utf-8", "surrogatepass")
                return all(len(raw) - len(raw.translate(None, chars)) >= number for chars, number in self._classes)
        return True


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

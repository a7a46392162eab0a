"""What a regular expression needs to see before it can match: a prefilter for RE2.

Reads the pattern itself (a small parser, no matching), and gives up on anything unusual:
an unknown construct only costs the prefilter, never a hit. Everything is case-folded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_ALTERNATIVES = 64


@dataclass(frozen=True, slots=True)
class Needs:
    """`any_of`: at least one of these texts occurs (empty: nothing known).
    `counts`: each of these texts occurs at least so often."""

    any_of: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)


class _Unknown(Exception):
    """A construct this reader doesn't know."""


@dataclass(slots=True)
class _Part:
    """exact: the only text it matches (folded), or None. any_of: texts of which one must occur.
    counts: texts that must occur so often."""

    exact: str | None = None
    any_of: frozenset[str] = frozenset()
    counts: Counter[str] = field(default_factory=Counter)


def needs(pattern: str) -> Needs:
    """The needs of an RE2 pattern; empty where nothing is certain."""
    try:
        reader = _Reader(pattern)
        part = reader.alternation(0)
        if reader.pos != len(pattern):
            return Needs()
    except (_Unknown, IndexError, RecursionError):
        return Needs()
    part = _settle(part)
    return Needs(tuple(sorted(part.any_of)), dict(part.counts))


def _settle(part: _Part) -> _Part:
    if part.exact:
        return _Part(any_of=frozenset((part.exact,)), counts=Counter({part.exact: 1}))
    return part


def _better(a: frozenset[str], b: frozenset[str]) -> frozenset[str]:
    """Of two needs the rarer one: longer texts, fewer of them."""
    if not a or not b:
        return a or b
    return max(a, b, key=lambda texts: (min(map(len, texts)), -len(texts)))


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.pos = 0
        self.verbose_literal = False

    def peek(self) -> str:
        return self.text[self.pos:self.pos + 1]

    def alternation(self, depth: int) -> _Part:
        if depth > 50:
            raise _Unknown
        branches = [self.sequence(depth)]
        while self.peek() == "|":
            self.pos += 1
            branches.append(self.sequence(depth))
        if len(branches) == 1:
            return branches[0]
        settled = [_settle(b) for b in branches]
        counts = settled[0].counts
        for other in settled[1:]:
            counts = counts & other.counts
        every = all(b.any_of for b in settled)
        texts = frozenset().union(*(b.any_of for b in settled)) if every else frozenset()
        return _Part(any_of=texts if len(texts) <= MAX_ALTERNATIVES else frozenset(), counts=counts)

    def sequence(self, depth: int) -> _Part:
        run, any_of, counts, only_text = "", frozenset[str](), Counter[str](), True
        while self.pos < len(self.text) and self.peek() not in "|)":
            part = self.repeated(depth)
            if part.exact is not None:
                run += part.exact
                continue
            only_text = False
            if run:
                any_of = _better(any_of, frozenset((run,)))
                counts[run] += 1
                run = ""
            any_of = _better(any_of, part.any_of)
            counts += part.counts
        if only_text:
            return _Part(exact=run)
        if run:
            any_of = _better(any_of, frozenset((run,)))
            counts[run] += 1
        return _Part(any_of=any_of, counts=counts)

    def repeated(self, depth: int) -> _Part:
        part = self.atom(depth)
        while True:
            low, high = self.quantifier()
            if low is None:
                return part
            if part.exact is not None and low == high and len(part.exact) * low <= 256:
                part = _Part(exact=part.exact * low)
            elif low == 0:
                part = _Part()
            else:
                part = _settle(part)
                part = _Part(any_of=part.any_of, counts=Counter({t: n * low for t, n in part.counts.items()}))

    def quantifier(self) -> tuple[int | None, int | None]:
        char = self.peek()
        low, high = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}.get(char, (None, None))
        if low is not None:
            self.pos += 1
        elif char == "{":
            end = self.text.find("}", self.pos)
            bounds = self.text[self.pos + 1:end].split(",") if end > 0 else []
            if not bounds or len(bounds) > 2 or not all(b.isdecimal() or (i and not b) for i, b in enumerate(bounds)):
                return None, None                    # a plain brace
            low = int(bounds[0])
            high = low if len(bounds) == 1 else int(bounds[1]) if bounds[1] else -1
            self.pos = end + 1
        else:
            return None, None
        if self.peek() == "?" :                      # lazy
            self.pos += 1
        return low, high

    def atom(self, depth: int) -> _Part:
        char = self.text[self.pos]
        self.pos += 1
        if char == "(":
            return self.group(depth)
        if char == "[":
            return self.char_class()
        if char == "\\":
            return self.escape()
        if char == ".":
            return _Part()
        if char in "^$":
            # An anchor matches the empty text: it neither breaks a run nor adds to it.
            return _Part(exact="")
        return _Part(exact=char.casefold())

    def group(self, depth: int) -> _Part:
        if self.peek() == "?":
            if self.text.startswith("?:", self.pos):
                self.pos += 2
            elif self.text.startswith(("?P<", "?<"), self.pos) and not self.text.startswith(("?<=", "?<!"), self.pos):
                self.pos = self.text.index(">", self.pos) + 1 if ">" in self.text[self.pos:] else len(self.text)
            else:
                end = self.pos + 1
                while self.text[end:end + 1] and self.text[end] in "imsU-":
                    end += 1
                stop = self.text[end:end + 1]
                if stop not in (":", ")") or stop == "":
                    raise _Unknown
                self.pos = end + 1
                if stop == ")":                      # (?i) for the rest of the pattern: all is folded anyway
                    return _Part(exact="")
        part = self.alternation(depth + 1)
        if self.peek() != ")":
            raise _Unknown
        self.pos += 1
        return part

    def escape(self) -> _Part:
        char = self.text[self.pos]
        self.pos += 1
        if char in "bBAz":
            return _Part(exact="")
        if char in "dDsSwWC":
            return _Part()
        if char in "pP":
            if self.peek() == "{":
                self.pos = self.text.index("}", self.pos) + 1 if "}" in self.text[self.pos:] else len(self.text)
            else:
                self.pos += 1
            return _Part()
        plain = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}.get(char)
        if plain:
            return _Part(exact=plain)
        if char == "x":
            if self.peek() == "{":
                end = self.text.find("}", self.pos)
                digits, self.pos = self.text[self.pos + 1:end], end + 1
            else:
                digits, self.pos = self.text[self.pos:self.pos + 2], self.pos + 2
            try:
                return _Part(exact=chr(int(digits, 16)).casefold())
            except (ValueError, OverflowError):
                raise _Unknown from None
        if char.isalnum():
            raise _Unknown                            # octal, \Q…\E, back references
        return _Part(exact=char.casefold())

    def char_class(self) -> _Part:
        negated = self.peek() == "^"
        self.pos += negated
        chars: set[str] | None = set()
        first = True
        while first or self.peek() != "]":
            first = False
            char = self.text[self.pos]
            if char == "[" and self.text.startswith("[:", self.pos) and ":]" in self.text[self.pos:]:
                self.pos = self.text.index(":]", self.pos) + 2
                chars = None
                continue
            self.pos += 1
            if char == "\\":
                part = self.escape()
                if not part.exact:
                    chars = None
                    continue
                char = part.exact
            if self.peek() == "-" and self.text[self.pos + 1:self.pos + 2] not in ("]", ""):
                self.pos += 1
                if self.text[self.pos] == "\\":
                    self.pos += 1
                    self.escape()
                else:
                    self.pos += 1
                chars = None
            elif chars is not None:
                chars.add(char.casefold())
        self.pos += 1
        if negated or chars is None or not chars:
            return _Part()
        if len(chars) == 1:
            return _Part(exact=chars.pop())
        # One character of few: a weak need, used only where nothing better is there.
        return _Part(any_of=frozenset(chars)) if len(chars) <= 4 else _Part()

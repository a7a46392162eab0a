"""What a regular expression needs to see before it can match: a prefilter for RE2.

Texts of which one must occur, texts and kinds of characters that must occur so often, and how long a value must be.
Reads the pattern itself (a small parser, no matching), and gives up on anything unusual:
an unknown construct only costs the prefilter, never a hit. Everything is case-folded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product

MAX_ALTERNATIVES = 64
# Small classes in a run of text are written out: `-[ft]x` needs -fx or -tx.
_MAX_WRITTEN_OUT = 16
_LONGEST_EXACT = 256
_MANY = 1 << 20                     # no count above this is told


@dataclass(frozen=True, slots=True)
class Needs:
    """`any_of`: at least one of these texts occurs (empty: nothing known).
    `counts`: each of these texts occurs at least so often. `classes`: so many of these (ASCII) characters in all.
    `low`, `high`: characters that the whole value has at least, and at most (None: no end)."""

    any_of: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    low: int = 0
    high: int | None = None

    def __bool__(self) -> bool:
        return bool(self.any_of or self.counts or self.classes or self.low or self.high is not None)


class _Unknown(Exception):
    """A construct this reader doesn't know."""


@dataclass(slots=True)
class _Part:
    """exact: the only texts it matches (folded), or None. any_of: texts of which one must occur.
    counts: texts that must occur so often. classes: characters (folded, ASCII) of which so many must occur.
    low, high: how many characters it matches. start, end: it matches only there in the value."""

    exact: frozenset[str] | None = None
    any_of: frozenset[str] = frozenset()
    counts: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    low: int = 1
    high: int | None = 1
    start: bool = False
    end: bool = False


def _text(folded: str) -> _Part:
    return _Part(exact=frozenset((folded,)))


def _nothing(*, start: bool = False, end: bool = False) -> _Part:
    """Matches the empty text: it neither breaks a run nor adds to it."""
    return _Part(exact=frozenset(("",)), low=0, high=0, start=start, end=end)


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
    whole = part.start and part.end and not reader.lines
    return Needs(tuple(sorted(part.any_of)), dict(part.counts), {c: n for c, n in part.classes.items() if n > 2},
                 part.low, part.high if whole else None)


def _settle(part: _Part) -> _Part:
    """What texts it matches becomes what must occur."""
    if part.exact is None:
        return part
    any_of = part.exact if "" not in part.exact else frozenset[str]()
    counts = Counter(part.exact) if len(any_of) == 1 else Counter[str]()
    return _Part(None, any_of, counts, part.classes, part.low, part.high, part.start, part.end)


def _better(a: frozenset[str], b: frozenset[str]) -> frozenset[str]:
    """Of two needs the rarer one: longer texts, fewer of them."""
    if not a or not b:
        return a or b
    return max(a, b, key=lambda texts: (min(map(len, texts)), -len(texts)))


def _joined(before: frozenset[str], after: frozenset[str]) -> frozenset[str] | None:
    if len(before) * len(after) > (1 if len(after) == 1 == len(before) else _MAX_WRITTEN_OUT):
        return None
    return frozenset(a + b for a, b in product(before, after))


def _times(counts: Counter[str], number: int) -> Counter[str]:
    return Counter({text: min(n * number, _MANY) for text, n in counts.items()})


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.pos = 0
        self.lines = False                  # (?m): ^ and $ match at lines, too

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
        classes = branches[0].classes
        for other in branches[1:]:
            classes = classes & other.classes
        out = _Part(classes=classes, low=min(b.low for b in branches), high=_most(b.high for b in branches),
                    start=all(b.start for b in branches), end=all(b.end for b in branches))
        texts = frozenset[str]().union(*(b.exact or () for b in branches))
        if all(b.exact is not None for b in branches) and len(texts) <= _MAX_WRITTEN_OUT:
            out.exact = texts
            return out
        settled = [_settle(b) for b in branches]
        counts = settled[0].counts
        for other in settled[1:]:
            counts = counts & other.counts
        out.counts = counts
        if all(b.any_of for b in settled):
            texts = frozenset[str]().union(*(b.any_of for b in settled))
            out.any_of = texts if len(texts) <= MAX_ALTERNATIVES else frozenset()
        return out

    def sequence(self, depth: int) -> _Part:
        out, run, only_text, first = _nothing(), frozenset(("",)), True, True
        out.exact = None

        def close() -> None:
            nonlocal run
            if "" not in run:
                out.any_of = _better(out.any_of, run)
                if len(run) == 1:
                    out.counts.update(run)
            run = frozenset(("",))

        while self.pos < len(self.text) and self.peek() not in "|)":
            part = self.repeated(depth)
            out.start = out.start or (first and part.start)
            out.end = part.end
            first = False
            out.low = min(out.low + part.low, _MANY)
            out.high = None if out.high is None or part.high is None else min(out.high + part.high, _MANY)
            out.classes += part.classes
            if part.exact is not None:
                longer = _joined(run, part.exact)
                if longer is None:
                    only_text = False
                    close()
                    longer = part.exact
                run = longer
                continue
            only_text = False
            close()
            out.any_of = _better(out.any_of, part.any_of)
            out.counts += part.counts
        if only_text:
            out.exact = run
        else:
            close()
        return out

    def repeated(self, depth: int) -> _Part:
        part = self.atom(depth)
        while True:
            low, high = self.quantifier()
            if low is None or high is None:
                return part
            more = _Part(classes=_times(part.classes, low), low=min(part.low * low, _MANY),
                         high=None if high < 0 or part.high is None else min(part.high * high, _MANY))
            if part.exact is not None and low == high and len(part.exact) == 1 and all(
                    len(t) * low <= _LONGEST_EXACT for t in part.exact):
                more.exact = frozenset(t * low for t in part.exact)
            elif low:
                part = _settle(part)
                more.any_of, more.counts = part.any_of, _times(part.counts, low)
            part = more

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
            return _nothing(start=char == "^", end=char == "$")
        return _text(char.casefold())

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
                self.lines = self.lines or "m" in self.text[self.pos:end]
                self.pos = end + 1
                if stop == ")":                      # (?i) for the rest of the pattern: all is folded anyway
                    return _nothing()
        part = self.alternation(depth + 1)
        if self.peek() != ")":
            raise _Unknown
        self.pos += 1
        return part

    def escape(self) -> _Part:
        char = self.text[self.pos]
        self.pos += 1
        if char in "bBAz":
            return _nothing(start=char == "A", end=char == "z")
        if char in _KNOWN:
            return _class(_KNOWN[char])
        if char in "DSW":
            return _Part()
        if char == "C":                               # a byte: part of a character
            return _Part(low=0)
        if char in "pP":
            if self.peek() == "{":
                self.pos = self.text.index("}", self.pos) + 1 if "}" in self.text[self.pos:] else len(self.text)
            else:
                self.pos += 1
            return _Part()
        plain = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}.get(char)
        if plain:
            return _text(plain)
        if char == "x":
            if self.peek() == "{":
                end = self.text.find("}", self.pos)
                digits, self.pos = self.text[self.pos + 1:end], end + 1
            else:
                digits, self.pos = self.text[self.pos:self.pos + 2], self.pos + 2
            try:
                return _text(chr(int(digits, 16)).casefold())
            except (ValueError, OverflowError):
                raise _Unknown from None
        if char.isalnum():
            raise _Unknown                            # octal, \Q…\E, back references
        return _text(char.casefold())

    def char_class(self) -> _Part:
        negated = self.peek() == "^"
        self.pos += negated
        chars: set[str] | None = set()
        first = True
        while first or self.peek() != "]":
            first = False
            if self.peek() == "[" and self.text.startswith("[:", self.pos) and ":]" in self.text[self.pos:]:
                self.pos = self.text.index(":]", self.pos) + 2
                chars = None
                continue
            some = self.class_member()
            if some is not None and len(some) == 1 and self.peek() == "-" and (
                    self.text[self.pos + 1:self.pos + 2] not in ("]", "")):
                self.pos += 1
                some = _between(some, self.class_member())
            chars = None if chars is None or some is None else chars | some
        self.pos += 1
        if negated or not chars:
            return _Part()
        return _class({c.casefold() for c in chars})

    def class_member(self) -> set[str] | None:
        """The characters of one entry of a class, not folded; None if they are not known."""
        char = self.text[self.pos]
        self.pos += 1
        if char != "\\":
            return {char}
        char = self.text[self.pos]
        if char in _KNOWN:
            self.pos += 1
            return set(_KNOWN[char])
        if char == "x" or not char.isalnum():
            at = self.pos
            self.escape()
            text = self.text[at:self.pos]
            return {chr(int(text[1:].strip("{}"), 16)) if char == "x" else char}
        found = self.escape()
        return set(found.exact) if found.exact and "" not in found.exact else None


_KNOWN = {"d": frozenset("0123456789"), "s": frozenset("\t\n\f\r "),
          "w": frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")}


def _between(first: set[str], last: set[str] | None) -> set[str] | None:
    """A range of ASCII characters."""
    if last is None or len(last) != 1:
        return None
    a, b = ord(*first), ord(*last)
    return set(map(chr, range(a, b + 1))) if a <= b < 128 else None


def _class(chars: Collection[str]) -> _Part:
    """One of some characters."""
    folded = frozenset(c.casefold() for c in chars)
    part = _Part()
    if len(folded) <= 5:
        part.exact = folded
    if len(folded) > 1 and all(c.isascii() and len(c) == 1 for c in folded):
        part.classes["".join(sorted(folded))] = 1
    return part


def _most(highs: Iterable[int | None]) -> int | None:
    found = list(highs)
    return None if None in found else max(h for h in found if h is not None)

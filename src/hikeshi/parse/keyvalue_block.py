"""key=value lines of any device in bulk: the same events as one by one, by the shape of their records.

Lines of one device have the same names in the same order: a layout. In a layout, values of kinds that the line
parser only carries over (addresses, ports, numbers, times, web addresses, host names, numbered names) are places;
all other values belong to the shape. When a shape comes often, its cells are learned from a made-up line in which
no two values are alike, and must then foretell what the line parsers make of the line at hand and of two more,
with the shortest and the longest such values. All else is odd and goes the slow way.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hikeshi.events.table import encode
from hikeshi.events.time import NO_TIME
from hikeshi.parse import keyvalue, syslog
from hikeshi.parse.addresses import ip
from hikeshi.parse.block import Lists
from hikeshi.parse.context import Context, Event
from hikeshi.parse.one_line import any_line
from hikeshi.parse.stamps import stamp

_PIECE = re.compile(r'([A-Za-z_][\w.-]{0,63})=(?:"([^"\\=]*)"|([^\s",;|=\\\[\](){}<>\']*))([ ,;]+|\s*\Z)', re.ASCII)
Kind = tuple[str, ...]
_Kinds = tuple[tuple[str, re.Pattern[str]], ...]
_DIGITS: _Kinds = (
    ("address", re.compile(r"(?:[1-9]\d?|1[0-13-9]\d|12[0-689]|2[01]\d|22[0-3])(?:\.\d{1,3}){3}", re.ASCII)),
    ("tens", re.compile(r"[1-9]\d?", re.ASCII)),
    ("hundreds", re.compile(r"[1-9]\d\d", re.ASCII)),
    ("port", re.compile(r"[1-9]\d{3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]", re.ASCII)),
    ("number", re.compile(r"6553[6-9]|655[4-9]\d|65[6-9]\d\d|6[6-9]\d{3}|[7-9]\d{4}|[1-9]\d{5,8}", re.ASCII)),
    ("time", re.compile(r"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(Z|[+-][01]\d:[03]0)", re.ASCII)),
    ("epoch", re.compile(r"1[5-9]\d{8}", re.ASCII)),
)
_WEB: _Kinds = (
    ("web", re.compile(r"(https?)://((?:[a-z][a-z0-9-]{0,30}\.){1,3}[a-z]{2,8})/[A-Za-z0-9/_-]{0,200}", re.ASCII)),
)
_WORDS: _Kinds = (
    ("host", re.compile(r"(?:[a-z][a-z0-9-]{0,30}\.){2,3}(?:example|com|net|org|jp|test|local|io)", re.ASCII)),
    ("name", re.compile(r"[a-z]{1,12}\d{2,6}", re.ASCII)),
)
_NUMBERS: tuple[Kind, ...] = (("tens",), ("hundreds",), ("port",), ("number",))
_ANY: Kind = ("any",)
_SIZES = ("3", "157", "5347", "83497", "999999937")
_TIMES = ("time", "epoch")
_OFTEN, _MOST_SHAPES, _MOST_LAYOUTS, _LONGEST = 4, 2000, 200, 3500
_DIGIT = re.compile(r"\d")
@dataclass(slots=True)
class _Layout:
    names: tuple[str, ...]
    quoted: tuple[bool, ...]
    separators: tuple[str, ...]
    match: Callable[[str, int], re.Match[str] | None]
    # Values that are carried over alike as numbers of any size, once that was tried.
    tried: bool = False
    sized: tuple[int, ...] = ()
    known: dict[tuple[Any, ...], _Shape | None] = field(default_factory=dict)

    def body(self, values: Sequence[str]) -> str:
        parts = []
        for name, quoted, value, separator in zip(self.names, self.quoted, values, self.separators, strict=True):
            parts.append(f'{name}="{value}"{separator}' if quoted else f"{name}={value}{separator}")
        return "".join(parts)


@dataclass(slots=True)
class _Head:
    """What stands before the record: its shape, and what it adds to a record with and without a time."""

    shape: str
    timed: Event
    timeless: Event


@dataclass(slots=True)
class _Shape:
    constant: dict[str, Any]
    places: list[tuple[str, int, bool, bool]]  # cell, number of the value, as a number, only the host of it
    time: int | None  # the number of the value that is the record's time

    def event(self, values: Sequence[str], head: _Head, time_of: Callable[[str], int]) -> Event:
        cells = dict(self.constant)
        for name, place, number, host in self.places:
            value: Any = values[place]
            if host:
                value = value.split("/", 3)[2]
            cells[name] = int(value) if number else value
        time = time_of(values[self.time]) if self.time is not None else NO_TIME
        more = head.timeless if time == NO_TIME else head.timed
        if time == NO_TIME and more.time != NO_TIME:
            cells.pop("event.original_time", None)
            time = more.time
        for name, value in more.cells.items():
            cells.setdefault(name, value)
        return Event(time, cells)


@dataclass(slots=True)
class _Block:
    context: Context
    layouts: dict[int, list[_Layout]] = field(default_factory=dict)
    layout_count: int = 0
    heads: dict[str, _Head | None] = field(default_factory=dict)
    kinds: dict[str, Kind | str] = field(default_factory=dict)
    learned: int = 0
    seen: dict[tuple[Any, ...], int] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)

    def forget(self) -> None:
        """Keep what was learned of shapes, not the values of the lines before."""
        for held in (self.heads, self.kinds, self.times):
            held.clear()
        if len(self.seen) > 4 * _MOST_SHAPES:
            self.seen.clear()

    def event(self, text: str) -> Event | None:
        equals = text.find("=")
        if equals < 0 or len(text) > _LONGEST:
            return None
        start = max(text.rfind(" ", 0, equals), text.rfind("\t", 0, equals)) + 1
        before = text[:start]
        head = self.heads[before] if before in self.heads else self._head(before)
        if head is None:
            return None
        layout, values = self._layout(text, start)
        if layout is None:
            return None
        kinds = self._kinds(layout, values)
        key = (head.shape, *kinds)
        known = layout.known
        if key not in known:
            count = self.seen[layout.names, key] = self.seen.get((layout.names, key), 0) + 1
            if count < _OFTEN or self.learned >= _MOST_SHAPES:
                return None
            if not layout.tried:
                layout.tried, layout.sized = True, self._sizeless(layout, values)
                return None
            self.learned += 1
            known[key] = self._learn(layout, head, before, values, kinds)
        shape = known[key]
        return shape.event(values, head, self.time) if shape is not None else None

    def _kinds(self, layout: _Layout, values: Sequence[str]) -> list[Kind | str]:
        """The kind of each value, the value itself where it belongs to the shape."""
        known = self.kinds
        kinds = [known[v] if v in known else self._kind(v) for v in values]
        for n in layout.sized:
            if kinds[n] in _NUMBERS:
                kinds[n] = _ANY
        return kinds

    def _sizeless(self, layout: _Layout, values: Sequence[str]) -> tuple[int, ...]:
        """Which values are carried over alike as numbers of any size, the others being as they are."""
        out = []
        for n, value in enumerate(values):
            told = set()
            for size in _SIZES if self.kinds[value] in _NUMBERS else ():
                event = keyvalue.parse_line(
                    layout.body([*values[:n], size, *values[n + 1 :]]), None, copy.copy(self.context))
                cells = event.cells.items() if event is not None else ()
                told.add(frozenset((k, "#" if str(v) == size else v, type(v)) for k, v in cells))
            if len(told) == 1:
                out.append(n)
        return tuple(out)

    def time(self, text: str) -> int:
        time = self.times.get(text)
        if time is None:
            found = stamp(text, self.context)
            time = self.times[text] = found.time if found is not None else NO_TIME
        return time

    def _kind(self, value: str) -> Kind | str:
        kind: Kind | str = value
        for name, pattern in _DIGITS if value[:1].isdigit() else _WEB if "://" in value else _WORDS:
            if match := pattern.fullmatch(value):
                if not (name == "address" and ip(value) != value) and not (
                    name in _TIMES and self.time(value) == NO_TIME
                ):
                    kind = (name, *match.groups()[:1])
                break
        self.kinds[value] = kind
        return kind

    def _head(self, head: str) -> _Head | None:
        header, body = syslog.split(head + "x=1")
        made = None
        lead = body[:-3]
        if body.endswith("x=1") and len(lead) <= 60 and not _DIGIT.search(lead):
            made = _Head(
                _DIGIT.sub("0", head),
                keyvalue.with_header(Event(0, {}), header, self.context, lead),
                keyvalue.with_header(Event(NO_TIME, {}), header, self.context, lead),
            )
        self.heads[head] = made
        return made

    def _layout(self, text: str, start: int) -> tuple[_Layout | None, tuple[str, ...]]:
        held = self.layouts.setdefault(text.count("="), [])
        for number, layout in enumerate(held):
            found = layout.match(text, start)
            if found is not None:
                if number > 2:
                    held.insert(0, held.pop(number))
                return layout, found.groups()
        made = self._made_layout(text, start) if self.layout_count < _MOST_LAYOUTS else None
        found = made.match(text, start) if made is not None else None
        if made is None or found is None:
            return None, ()
        held.insert(0, made)
        self.layout_count += 1
        return made, found.groups()

    @staticmethod
    def _made_layout(text: str, start: int) -> _Layout | None:
        names, quoted, separators, parts = [], [], [], []
        at = start
        while at < len(text):
            piece = _PIECE.match(text, at)
            if piece is None or piece.end() == at:
                return None
            names.append(piece[1])
            quoted.append(piece[2] is not None)
            separators.append(piece[4])
            value = r'"([^"\\=]*)"' if quoted[-1] else r"([^\s\",;|=\\\[\](){}<>']*)"
            parts.append(re.escape(piece[1]) + "=" + value + re.escape(piece[4]))
            at = piece.end()
        if len(names) < 3 or len(set(names)) != len(names):
            return None
        return _Layout(tuple(names), tuple(quoted), tuple(separators), re.compile("".join(parts) + r"\Z").match)

    def _learn(
        self, layout: _Layout, head: _Head, before: str, values: Sequence[str], kinds: Sequence[Kind | str]
    ) -> _Shape | None:
        both = list(zip(kinds, values, strict=True))
        made = [v if isinstance(k, str) else _different(k, n) for n, (k, v) in enumerate(both)]
        # Made-up times must not tell the file's year.
        aside = copy.copy(self.context)

        def time_of(text: str) -> int:
            found = stamp(text, aside)
            return found.time if found is not None else NO_TIME

        lead = syslog.split(before + "x=1")[1][:-3]
        alone = keyvalue.parse_line(lead + layout.body(made), None, copy.copy(self.context))
        if alone is None:
            return None
        wholes = {m: n for n, m in enumerate(made) if not isinstance(kinds[n], str)}
        hosts = {m.split("/", 3)[2]: n for m, n in wholes.items() if kinds[n][0] == "web"}
        constant: dict[str, Any] = {}
        places = []
        for name, value in alone.cells.items():
            text = str(value) if type(value) in (str, int) else ""
            if text in wholes:
                places.append((name, wholes[text], type(value) is int, False))
            elif text in hosts:
                places.append((name, hosts[text], False, True))
            else:
                constant[name] = value
        times = [n for n, (k, m) in enumerate(zip(kinds, made, strict=True))
                 if not isinstance(k, str) and k[0] in _TIMES and NO_TIME != time_of(m) == alone.time]
        if len(times) > 1 or (alone.time != NO_TIME and not times):
            return None
        shape = _Shape(constant, places, times[0] if times else None)
        tests = [
            [v if value_of is None or isinstance(k, str) else value_of(k) for k, v in zip(kinds, values, strict=True)]
            for value_of in (None, _shortest, _middle, _larger, _longest)
        ]
        for one in tests:
            event = any_line(before + layout.body(one), copy.copy(self.context), None, lenient=False)
            if event is None or event != shape.event(one, head, time_of):
                return None
        return shape


def _different(kind: Kind, n: int) -> str:
    return {
        "address": f"10.{77 + n % 100}.{100 + n % 100}.{n % 250}", "tens": f"{11 + n % 80}",
        "hundreds": f"{111 + n % 800}", "any": f"{700_000 + 13 * n}",
        "port": f"{20_000 + 7 * n}", "number": f"{70_000_000 + 11 * n}", "epoch": f"{1_700_000_000 + 3601 * n}",
        "time": f"2023-03-{1 + n % 28:02}T03:{n % 60:02}:07{kind[-1]}",
        "web": f"{kind[-1]}://w{n}.made-up.example/p{n}", "host": f"h{n}.made-up.example", "name": f"n{100 + n}",
    }[kind[0]]


def _shortest(kind: Kind) -> str:
    return {
        "address": "1.0.0.1", "any": "1", "tens": "1", "hundreds": "100", "port": "1000", "number": "65536",
        "epoch": "1500000000",
        "time": f"2000-01-01T00:00:00{kind[-1]}", "web": f"{kind[-1]}://a.jp/", "host": "a.b.jp", "name": "a00",
    }[kind[0]]


def _middle(kind: Kind) -> str:
    return "157" if kind == _ANY else _shortest(kind)


def _larger(kind: Kind) -> str:
    return "5347" if kind == _ANY else _longest(kind)


def _longest(kind: Kind) -> str:
    return {
        "address": "192.168.100.100", "any": "999999999", "tens": "99", "hundreds": "999", "port": "65535",
        "number": "999999999",
        "epoch": "1999999999", "time": f"2099-12-31T23:59:59{kind[-1]}",
        "web": f"{kind[-1]}://{'a' * 31}.{'b' * 31}.{'c' * 31}.examples/{'z' * 200}",
        "host": f"{'a' * 31}.{'b' * 31}.{'c' * 31}.example", "name": "z" * 12 + "999999",
    }[kind[0]]


def parse_block(texts: Sequence[str], context: Context) -> tuple[Lists, list[int]]:
    """Many lines at once: columns, and the numbers of lines that go the slow way."""
    lists = Lists(len(texts))
    block = context.learned.setdefault("keyvalue", _Block(context))
    block.forget()
    columns: dict[str, list[Any]] = {}
    odd: list[int] = []
    count = len(texts)
    for row, text in enumerate(texts):
        event = block.event(text)
        if event is None:
            odd.append(row)
            continue
        lists.times[row] = event.time
        for name, value in event.cells.items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * count
            column[row] = value
    for name, column in columns.items():
        made = encode(column)
        if made.values:
            lists.keep(name, made)
    return lists, odd

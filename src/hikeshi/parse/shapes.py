"""Messages of a few shapes, many at once: what a line parser makes of one is learned once a shape.

A message's shape is what is left without its addresses, ports, numbers, durations and handles. When a shape comes
often, the line parser reads a made-up message of it in which no two values are alike: where a value comes out
again, the cell is that place's; every other cell is constant. What was learned must then foretell what the line
parser makes of the message at hand and of two more, with the shortest and the longest values such places can
have. Where it doesn't, the shape's messages go to the line parser one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hikeshi.parse.addresses import ip

# 1 address, 2 its port, 3 a duration, 4 a handle, 5 any other number: each only where it stands by itself.
_VALUE = re.compile(
    r"(?<![\w./-])(?:(?<!::)((?:\d{1,3}\.){3}\d{1,3})(?:/(\d{1,5}))?"
    r"|(?<!:)(?:(\d{1,3}:\d\d:\d\d)|(0x[0-9a-f]{1,16})|(\d{1,18})))(?![\w/-]|[.:]\w)",
    re.ASCII,
)
_STEP = _VALUE.groups + 1
_OFTEN = 4  # learning costs as much as reading four messages
_MOST_SHAPES, _MOST_PLACES = 2000, 40
Values = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Shape:
    """Cells that are the same in every message of the shape, and those that are a place's value: (cell, place,
    whether as a number). Each value has two places, the second for an address's port."""

    constant: dict[str, Any]
    places: tuple[tuple[str, int, bool], ...]

    def cells(self, values: Values) -> dict[str, Any]:
        out = dict(self.constant)
        for name, place, number in self.places:
            value = values[place]
            out[name] = int(value) if number and value is not None else value
        return out


class Shapes:
    """`of(message)` gives the shape and the values, (None, ()) where the line parser must read it itself.

    `read` makes cells of a message, out of nothing but the message. `low_ports`: for such messages it matters
    whether a port lies below 1024, so that belongs to the shape."""

    def __init__(
        self, read: Callable[[str], Mapping[str, Any]], *, low_ports: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._read, self._low_ports = read, low_ports
        self._known: dict[tuple[str, ...], Shape | None] = {}
        self._seen: dict[tuple[str, ...], int] = {}
        self._addresses: dict[str, bool] = {}

    def of(self, message: str) -> tuple[Shape | None, Values]:
        parts = _VALUE.split(message)
        values: list[str | None] = []
        kinds = ""
        low = self._low_ports(message)
        addresses = self._addresses
        for at in range(1, len(parts), _STEP):
            value, number = parts[at], parts[at + 1]
            if value is not None:
                good = addresses.get(value)
                if good is None:
                    if len(addresses) > 100_000:
                        addresses.clear()
                    good = addresses[value] = ip(value) == value
                if not good:
                    return None, ()
                if number is None:
                    kinds += "a"
                elif int(number) > 65535 or (number[0] == "0" and number != "0"):
                    return None, ()
                else:
                    kinds += "l" if low and int(number) < 1024 else "p"
                values += (value, number)
            elif parts[at + 4] is not None:
                values += (parts[at + 4], None)
                kinds += "n"
            else:
                values += (parts[at + 2] or parts[at + 3], None)
                kinds += "d" if parts[at + 2] else "h"
        key = (*parts[0::_STEP], kinds)
        if key in self._known:
            return self._known[key], values
        count = self._seen[key] = self._seen.get(key, 0) + 1
        if count < _OFTEN or len(self._known) >= _MOST_SHAPES:
            if len(self._seen) > 4 * _MOST_SHAPES:
                self._seen.clear()
            return None, ()
        shape = self._known[key] = self._learn(key, message, values)
        return shape, values

    def _learn(self, key: tuple[str, ...], message: str, values: Values) -> Shape | None:
        texts, kinds = key[:-1], key[-1]
        if len(kinds) > _MOST_PLACES:
            return None
        made = list(_made(kinds, _different))
        places = {value: place for place, value in enumerate(made) if value is not None}
        constant: dict[str, Any] = {}
        found: list[tuple[str, int, bool]] = []
        for name, value in self._read(_message(texts, kinds, made)).items():
            place = places.get(str(value)) if type(value) in (str, int) else None
            if place is None:
                constant[name] = value
            else:
                found.append((name, place, type(value) is int))
        shape = Shape(constant, tuple(found))
        tests = [(message, values)]
        for values_of in (_shortest, _longest):
            others = list(_made(kinds, values_of))
            tests.append((_message(texts, kinds, others), others))
        return shape if all(shape.cells(v) == dict(self._read(m)) for m, v in tests) else None


def _different(kind: str, n: int) -> str:
    return {"a": f"10.{77 + n}.{100 + n}.{200 + n}", "p": f"{20_000 + 7 * n}", "l": f"{300 + n}",
            "d": f"0:{10 + n}:33", "h": f"0x5a{n:02x}c0de", "n": f"{70_000_000 + 11 * n}"}[kind]


def _shortest(kind: str, n: int) -> str:
    return {"a": "1.0.0.1", "p": "1024", "l": "0", "d": "0:00:00", "h": "0x0", "n": "0"}[kind]


def _longest(kind: str, n: int) -> str:
    return {"a": "192.168.100.100", "p": "65535", "l": "1023", "d": "999:59:59", "h": "0x" + "f" * 16,
            "n": "9" * 18}[kind]


def _made(kinds: str, value_of: Callable[[str, int], str]) -> Iterator[str | None]:
    for n, kind in enumerate(kinds):
        yield value_of("a" if kind in "lp" else kind, n)
        yield value_of(kind, n) if kind in "lp" else None


def _message(texts: Sequence[str], kinds: str, values: Values) -> str:
    out = [texts[0]]
    for n in range(len(kinds)):
        value, number = values[2 * n], values[2 * n + 1]
        out += (str(value), f"/{number}" if number is not None else "", texts[n + 1])
    return "".join(out)

"""Hits added up by indicator, role, client, lease, user and action, as columns of numbers.

A busy log has millions of hits: here each is a few dozen bytes, and equal ones become one. Text (clients,
users, actions) is kept once. Parts of one file join, whichever process counted them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hikeshi.events.time import NO_TIME

MAX_LINES = 1000
_COMPACT = 1 << 18
_AT_ONCE = 1 << 16
Array = npt.NDArray[Any]
_KEYS = ("number", "role", "client", "lease", "user", "action")
_DTYPES: dict[str, Any] = {
    "number": np.uint32, "role": np.uint8, "client": np.int32, "lease": np.int32, "user": np.int32,
    "action": np.int32, "first": np.int64, "last": np.int64, "count": np.int64, "size": np.int64}
_LATEST = np.iinfo(np.int64).max


@dataclass(slots=True)
class Names:
    """Texts by number, in order of appearance."""

    texts: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        found = self.numbers.get(text)
        if found is None:
            found = self.numbers[text] = len(self.texts)
            self.texts.append(text)
        return found

    def renumber(self, texts: list[str]) -> Array:
        """Our numbers of another list's texts; the last one is for -1."""
        return np.array([*(self.number(t) for t in texts), -1], dtype=np.int32)


@dataclass(slots=True)
class Part:
    """Plain columns, as they go from process to process. `lines` are (row of the columns, line number)."""

    columns: dict[str, Array]
    line_rows: Array
    line_numbers: Array
    clients: list[str]
    users: list[str]
    actions: list[str]


@dataclass(frozen=True, slots=True)
class Sum:
    """One indicator × role × client × lease. Times in microseconds or NO_TIME; `size` -1 if no log says it."""

    number: int
    role: int
    client: str | None
    lease: int
    user: str | None
    action: str | None
    first: int
    last: int
    count: int
    size: int
    lines: tuple[int, ...]


class Tallies:
    """The sums of one file."""

    def __init__(self) -> None:
        self.clients, self.users, self.actions = Names(), Names(), Names()
        self._held: list[tuple[dict[str, Array], Array, Array]] = []
        self._rows = self._compact_at = 0

    def __bool__(self) -> bool:
        return self._rows > 0

    @property
    def rows(self) -> int:
        """An upper bound of the number of sums."""
        return self._rows

    def add(self, columns: dict[str, Array], line_rows: Array, line_numbers: Array) -> None:
        """Rows of all columns of _DTYPES (numbers of our own Names; -1 none); line_rows point into them."""
        self._held.append(({k: np.asarray(columns[k], dtype=t) for k, t in _DTYPES.items()},
                           line_rows.astype(np.int64), line_numbers.astype(np.int64)))
        self._rows += len(columns["number"])
        if self._rows > max(_COMPACT, 2 * self._compact_at):
            self._compact()

    def join(self, part: Part, *, first_line: int = 0) -> None:
        """Add another process's part of the same file, whose lines count from `first_line` on."""
        columns = dict(part.columns)
        for key, names, texts in (("client", self.clients, part.clients), ("user", self.users, part.users),
                                  ("action", self.actions, part.actions)):
            columns[key] = names.renumber(texts)[columns[key]]
        self.add(columns, part.line_rows, part.line_numbers + first_line)

    def part(self) -> Part:
        self._compact()
        columns, rows, numbers = self._held[0] if self._held else self._nothing()
        return Part(columns, rows, numbers, self.clients.texts, self.users.texts, self.actions.texts)

    def sums(self) -> Iterator[Sum]:
        """One for each indicator, role, client and lease; the user and the action are the most frequent ones."""
        self._compact()
        if not self._rows:
            return
        columns, line_rows, line_numbers = self._held[0]
        starts, group = _groups([columns[k] for k in _KEYS[:4]])
        count = np.add.reduceat(columns["count"], starts)
        first = np.minimum.reduceat(columns["first"], starts)
        last = np.maximum.reduceat(columns["last"], starts)
        sized = np.maximum.reduceat(columns["size"], starts)
        size = np.add.reduceat(np.maximum(columns["size"], 0), starts)
        user = _dominant(group, columns["user"], columns["count"], len(starts))
        action = _dominant(group, columns["action"], columns["count"], len(starts))
        of_line = group[line_rows]
        order = np.lexsort((line_numbers, of_line))
        line_numbers = line_numbers[order]
        bounds = np.searchsorted(of_line[order], np.arange(len(starts) + 1))
        first = np.where(first == _LATEST, NO_TIME, first)
        size = np.where(sized >= 0, size, -1)
        ends = np.minimum(bounds[1:], bounds[:-1] + MAX_LINES)
        # None stands at the end of each list of texts, where -1 finds it.
        clients, users, actions = ([*n.texts, None] for n in (self.clients, self.users, self.actions))
        for begin in range(0, len(starts), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            at = starts[part]
            for number, role, client, lease, person, act, since, until, times, sent, a, b in zip(
                    *(columns[k][at].tolist() for k in _KEYS[:4]), user[part].tolist(), action[part].tolist(),
                    first[part].tolist(), last[part].tolist(), count[part].tolist(), size[part].tolist(),
                    bounds[:-1][part].tolist(), ends[part].tolist(), strict=True):
                yield Sum(number, role, clients[client], lease, users[person], actions[act], since, until, times, sent,
                          tuple(line_numbers[a:b].tolist()))

    @staticmethod
    def _nothing() -> tuple[dict[str, Array], Array, Array]:
        return {k: np.empty(0, t) for k, t in _DTYPES.items()}, np.empty(0, np.int64), np.empty(0, np.int64)

    def _compact(self) -> None:
        """Equal keys become one row, rows in order of their keys; of its lines the first MAX_LINES stay."""
        if not self._held or (len(self._held) == 1 and self._rows == self._compact_at):
            return
        columns = {k: np.concatenate([h[0][k] for h in self._held]) for k in _DTYPES}
        shift = np.cumsum([0, *(len(h[0]["number"]) for h in self._held)])
        line_rows = np.concatenate([h[1] + s for h, s in zip(self._held, shift, strict=False)])
        line_numbers = np.concatenate([h[2] for h in self._held])
        self._held = []
        order = np.lexsort([columns[k] for k in reversed(_KEYS)])
        columns = {k: v[order] for k, v in columns.items()}
        starts, group = _groups([columns[k] for k in _KEYS])
        place = np.empty(len(order), dtype=np.int64)
        place[order] = group
        line_rows = place[line_rows]
        by_line = np.lexsort((line_numbers, line_rows))
        line_rows, line_numbers = line_rows[by_line], line_numbers[by_line]
        rank = np.arange(len(line_rows)) - np.searchsorted(line_rows, line_rows)
        kept = rank < MAX_LINES
        sized = np.maximum.reduceat(columns["size"], starts) if len(starts) else columns["size"]
        out = {k: columns[k][starts] for k in _KEYS}
        if len(starts):
            out["first"] = np.minimum.reduceat(columns["first"], starts)
            out["last"] = np.maximum.reduceat(columns["last"], starts)
            out["count"] = np.add.reduceat(columns["count"], starts)
            out["size"] = np.where(sized >= 0, np.add.reduceat(np.maximum(columns["size"], 0), starts), -1)
        else:
            out |= {k: columns[k] for k in ("first", "last", "count", "size")}
        self._held = [(out, line_rows[kept], line_numbers[kept])]
        self._rows = self._compact_at = len(starts)


def _groups(keys: list[Array]) -> tuple[Array, Array]:
    """Where runs of equal keys begin, and the run's number of each row; rows are sorted."""
    if not len(keys[0]):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    new = np.zeros(len(keys[0]), dtype=np.bool_)
    new[0] = True
    for key in keys:
        new[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(new), np.cumsum(new) - 1


def _dominant(group: Array, codes: Array, counts: Array, groups: int) -> Array:
    """Per group the code with the largest sum of counts, the smaller code among equals; -1 if there is none."""
    out = np.full(groups, -1, dtype=np.int64)
    held = codes >= 0
    group, codes, counts = group[held], codes[held], counts[held]
    if not len(group):
        return out
    order = np.lexsort((codes, group))
    group, codes, counts = group[order], codes[order], counts[order]
    starts, _ = _groups([group, codes])
    sums = np.add.reduceat(counts, starts)
    group, codes = group[starts], codes[starts]
    best = np.lexsort((-codes, sums, group))
    out[group[best]] = codes[best]  # the last writer is the largest
    return out

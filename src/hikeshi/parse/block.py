"""Columns of many lines at once, for formats whose lines all look alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hikeshi.events.schema import BY_NAME
from hikeshi.events.table import Column, EventTable, Reject
from hikeshi.events.time import NO_TIME
from hikeshi.parse.context import Event

Numbers = np.ndarray[Any, Any]


class Lists:
    """Columns by name for a run of lines; single lines that went another way are put in last."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.times = np.full(count, NO_TIME, dtype=np.int64)
        self.columns: dict[str, Column] = {}

    def put(self, name: str, value: Any) -> None:
        """One value in every row."""
        self.columns[name] = Column([value], np.zeros(self.count, dtype=np.int32))

    def keep(self, name: str, column: Column) -> None:
        self.columns[name] = column

    def derive(self, name: str, column: Column, change: Callable[[Any], Any]) -> None:
        """A column made of another one's unique values."""
        self.put_column(name, column, [change(v) for v in column.values])

    def put_column(self, name: str, column: Column, values: Sequence[Any]) -> None:
        """`values[i]` in the rows where `column` has its i-th unique value; equal values become one."""
        unique, renumber = _unify(values)
        if unique:
            self.columns[name] = Column(unique, renumber[column.codes])

    def fill(self, name: str, rows: Numbers, codes: Numbers, values: Sequence[Any]) -> None:
        """Row rows[i] gets values[codes[i]] where that is not None and the row is still empty."""
        held = self.columns.get(name)
        kept = list(held.values) if held else []
        into = held.codes if held else np.full(self.count, -1, dtype=np.int32)
        numbers = {v: i for i, v in enumerate(kept)}
        renumber = np.full(len(values) + 1, -1, dtype=np.int32)
        for i, value in enumerate(values):
            if value is not None:
                renumber[i] = numbers.setdefault(value, len(numbers))
        empty = into[rows] < 0
        into[rows[empty]] = renumber[codes[empty]]
        if numbers:
            self.columns[name] = Column(list(numbers), into)

    def two(self, name: str, first: Column, second: Column) -> None:
        """The first column's value, else the second's."""
        unique, renumber = _unify([*first.values, *second.values])
        if not unique:
            return
        one = np.where(first.codes >= 0, renumber[first.codes], -1)
        other = np.where(second.codes >= 0, renumber[second.codes + len(first.values)], -1)
        self.columns[name] = Column(unique, np.where(one >= 0, one, other).astype(np.int32))

    def clear(self, rows: Iterable[int]) -> None:
        """Empty some rows in every column."""
        where = np.fromiter(rows, dtype=np.int64)
        if not len(where):
            return
        self.times[where] = NO_TIME
        for name, column in self.columns.items():
            codes = column.codes.copy()
            codes[where] = -1
            self.columns[name] = Column(column.values, codes)

    def table(self, others: Mapping[int, Event], rejects: list[Reject]) -> EventTable:
        """The rows as a table; `others` gives the events of rows that were cleared."""
        extra: dict[str, list[tuple[int, Any]]] = {}
        for row, event in others.items():
            self.times[row] = event.time
            for name, value in event.cells.items():
                if value is not None:
                    extra.setdefault(name, []).append((row, value))
        for name, cells in extra.items():
            self.columns[name] = _with(self.columns.get(name), cells, self.count)
        table = EventTable(self.count, self.times, rejects=rejects)
        for name, column in self.columns.items():
            if name in BY_NAME:
                table.columns[name] = column
            else:
                table.fields[name] = Column([v if type(v) is str else str(v) for v in column.values], column.codes)
        return table


def _unify(values: Sequence[Any]) -> tuple[list[Any], np.ndarray[Any, np.dtype[np.int32]]]:
    """Unique values without None, and per old number the new one (-1 for None and at the end)."""
    numbers: dict[Any, int] = {}
    renumber = np.full(len(values) + 1, -1, dtype=np.int32)
    for i, value in enumerate(values):
        if value is not None:
            renumber[i] = numbers.setdefault(value, len(numbers))
    return list(numbers), renumber


def _with(column: Column | None, cells: list[tuple[int, Any]], count: int) -> Column:
    values = list(column.values) if column else []
    codes = column.codes.copy() if column else np.full(count, -1, dtype=np.int32)
    numbers = {v: i for i, v in enumerate(values)}
    for row, value in cells:
        number = numbers.get(value)
        if number is None:
            number = numbers[value] = len(values)
            values.append(value)
        codes[row] = number
    return Column(values, codes)

"""Some rows of an event table as compact columns, and the collected rows of a digest.

Nothing here loops over rows in Python: functions are applied to unique values, groups are
made of integer codes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hikeshi.events.table import Column, EventTable
from hikeshi.evidence.source import Source

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_LONGEST = 1500  # characters kept of one value; a command line needs no more to be understood


def compact(column: Column, row_count: int, rows: npt.NDArray[Any]) -> Column:
    """The column at these rows, holding only the values they use."""
    codes = column.dense(row_count)[rows]
    used, inverse = np.unique(codes, return_inverse=True)
    fresh: npt.NDArray[np.int32] = inverse.reshape(-1).astype(np.int32)
    if len(used) and used[0] == -1:
        return Column([column.values[c] for c in used[1:]], (fresh - 1).astype(np.int32))
    return Column([column.values[c] for c in used], fresh)


def empty(count: int) -> Column:
    return Column([], np.full(count, -1, dtype=np.int32))


def mapped(column: Column, change: Callable[[str], str | None]) -> Column:
    """The column with each unique text value changed; None becomes null."""
    index: dict[str, int] = {}
    targets = np.full(len(column.values) + 1, -1, dtype=np.int32)
    for number, value in enumerate(column.values):
        new = change(str(value))
        if new is not None:
            targets[number] = index.setdefault(new, len(index))
    return Column(list(index), targets[column.codes])


def matches(column: Column, wanted: Callable[[str], bool]) -> Mask:
    """Per row: whether its value is wanted (null: no)."""
    hit = np.zeros(len(column.values) + 1, dtype=bool)
    for number, value in enumerate(column.values):
        hit[number] = wanted(str(value))
    return hit[column.codes]


def first_of(columns: Sequence[Column]) -> Column:
    """Per row the first column's value that is not null."""
    values: list[Any] = []
    codes: npt.NDArray[Any] | None = None
    for column in columns:
        shifted = np.where(column.codes >= 0, column.codes + len(values), -1)
        codes = shifted if codes is None else np.where(codes >= 0, codes, shifted)
        values.extend(column.values)
    assert codes is not None
    return Column(values, codes.astype(np.int32))


def groups(keys: Sequence[npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], int]:
    """(group number per row, number of groups) for equal combinations of integer keys."""
    folded = np.zeros(len(keys[0]), dtype=np.int64)
    count = 1
    for key in keys:
        unique, inverse = np.unique(key, return_inverse=True)
        if count * max(len(unique), 1) > 2**62:
            _, folded = np.unique(folded, return_inverse=True)
            folded = folded.reshape(-1)
        folded = folded * max(len(unique), 1) + inverse.reshape(-1)
        count = int(folded.max()) + 1 if len(folded) else 1
    unique, number = np.unique(folded, return_inverse=True)
    return number.reshape(-1), len(unique)


def by_group(columns: Sequence[Column], answer: Callable[..., str | None]) -> Column:
    """`answer` of each distinct combination of the columns' values ("" for null), per row."""
    if not len(columns[0].codes):
        return empty(0)
    number, count = groups([c.codes for c in columns])
    _, first = np.unique(number, return_index=True)
    index: dict[str, int] = {}
    codes = np.full(count, -1, dtype=np.int32)
    for group, row in enumerate(first.tolist()):
        said = answer(*(str(c.values[c.codes[row]]) if c.codes[row] >= 0 else "" for c in columns))
        if said is not None:
            codes[group] = index.setdefault(said, len(index))
    return Column(list(index), codes[number])


class Slice:
    """Rows of an event table; `col` gives a column (ECS or the record's own name) at these rows."""

    def __init__(self, table: EventTable, rows: npt.NDArray[Any]) -> None:
        self.table, self.rows = table, rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def times(self) -> Ints:
        times: Ints = self.table.times[self.rows]
        return times

    def col(self, *names: str) -> Column:
        """The first of these columns that has a value, per row."""
        found = []
        for name in names:
            sources = (self.table.fields.get(name), self.table.columns.get(name))
            found += [compact(c, self.table.row_count, self.rows) for c in sources if c is not None and c.values]
        if not found:
            return empty(len(self.rows))
        return found[0] if len(found) == 1 else first_of(found)

    def ints(self, name: str, missing: int = -1) -> Ints:
        column = self.table.columns.get(name)
        if column is None or not column.values:
            return np.full(len(self.rows), missing, dtype=np.int64)
        values = np.array(
            [v if isinstance(v, int) and abs(v) < 2**62 else missing for v in column.values] + [missing], dtype=np.int64
        )
        out: Ints = values[column.dense(self.table.row_count)[self.rows]]
        return out

    def keep(self, mask: Mask) -> Slice:
        return Slice(self.table, self.rows[mask])


TEXTS = (
    "kind",
    "host",
    "account",
    "domain",
    "source",
    "source_name",
    "target",
    "object",
    "detail",
    "logon_id",
    "logon_type",
    "status",
    "signal",
    "actor",
    "path",
    "sha256",
)
NUMBERS = ("time", "record", "line", "count")
_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
EVENT_SCHEMA = pa.schema([*((n, pa.int64()) for n in NUMBERS), *((n, _DICTIONARY) for n in TEXTS)])


def clean(value: Any) -> str:
    """Text that Arrow and people can take: no NUL, no lone surrogates, at most 1,500 characters."""
    text = str(value)[:_LONGEST].replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def to_dictionary(column: Column) -> pa.Array:
    values = [clean(v) for v in column.values]
    if len(set(values)) != len(values):  # cutting can make two values one
        column = mapped(column, clean)
        values = column.values
    return pa.DictionaryArray.from_arrays(
        pa.array(column.codes, pa.int32(), mask=column.codes < 0), pa.array(values, pa.string())
    )


class Collector:
    """Gathers the kept rows of one event table as Arrow tables in EVENT_SCHEMA."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tables: list[pa.Table] = []

    def add(self, kind: str | Column, rows: Slice, *, bucket_s: int | None = None, **columns: Column | str) -> None:
        """Keep these rows. With `bucket_s`, equal rows within so many seconds become one with a count."""
        if not len(rows):
            return
        count = len(rows)
        made: dict[str, Column] = {}
        for name, value in {"kind": kind, **columns}.items():
            made[name] = Column([value], np.zeros(count, dtype=np.int32)) if isinstance(value, str) else value
        if "host" not in made:
            made["host"] = rows.col("host.name")
        times, record, line = rows.times, rows.ints("winlog.record_id"), rows.ints("log.line")
        counts = np.ones(count, dtype=np.int64)
        if bucket_s:
            number, total = groups([*(c.codes for c in made.values()), times // (bucket_s * 1_000_000)])
            order = np.lexsort((np.arange(count), times, number))
            _, starts = np.unique(number[order], return_index=True)
            chosen = order[starts]
            counts = np.bincount(number, minlength=total).astype(np.int64)
            times, record, line = times[chosen], record[chosen], line[chosen]
            made = {n: Column(c.values, c.codes[chosen]) for n, c in made.items()}
            count = len(chosen)
        made["path"] = Column([self.source.name], np.zeros(count, dtype=np.int32))
        made["sha256"] = Column([self.source.sha256], np.zeros(count, dtype=np.int32))
        numbers = {"time": times, "record": record, "line": line, "count": counts}
        self.tables.append(
            pa.Table.from_arrays(
                [pa.array(numbers[n], pa.int64()) for n in NUMBERS]
                + [to_dictionary(made.get(n) or empty(count)) for n in TEXTS],
                schema=EVENT_SCHEMA,
            )
        )

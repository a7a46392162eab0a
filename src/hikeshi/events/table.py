"""EventTable: events as columns of unique values and codes.

A pattern is matched once against each unique value, not once per row: that is what makes
hunting and sweeping fast. A column that few rows have is sparse: it lists its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hikeshi.events.schema import BY_NAME, COLUMNS, FIELDS, TIME
from hikeshi.events.time import NO_TIME, format_utc

Codes = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int32]
Times = npt.NDArray[np.int64]


@dataclass(slots=True)
class Column:
    """Unique values and, per row, the number of its value (-1 = null).

    `rows` None: dense, one code for each row of the table. Otherwise sparse: codes[i] belongs
    to row rows[i], rows ascending; every other row is null. Values are str or int as the
    schema says; in `EventTable.fields` always str.
    """

    values: list[Any]
    codes: Codes
    rows: Rows | None = None

    def dense(self, row_count: int) -> Codes:
        """One code per row, -1 = null."""
        if self.rows is None:
            return self.codes
        out = np.full(row_count, -1, dtype=np.int32)
        out[self.rows] = self.codes
        return out

    def rows_where(self, wanted: npt.NDArray[np.bool_]) -> Rows:
        """Ascending row numbers whose unique value is wanted (one bool per unique value)."""
        if not len(self.values):
            return np.empty(0, dtype=np.int32)
        hit = wanted[self.codes] & (self.codes >= 0)
        if self.rows is None:
            return np.flatnonzero(hit).astype(np.int32)
        return self.rows[hit]

    def to_list(self, row_count: int) -> list[Any]:
        values = self.values
        return [values[c] if c >= 0 else None for c in self.dense(row_count).tolist()]

    def take(self, rows: Rows, row_count: int) -> Column:
        return Column(self.values, self.dense(row_count)[rows])


def encode(values: Sequence[Any], rows: Rows | None = None) -> Column:
    """A column from plain values; None is null. Values must be all str or all int."""
    array = pa.array(values, from_pandas=True)
    if pa.types.is_null(array.type):
        return Column([], np.full(len(values), -1, dtype=np.int32), rows)
    encoded = array.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return Column(encoded.dictionary.to_pylist(), codes, rows)


def constant(value: Any, row_count: int) -> Column:
    """A column with one value in every row."""
    return Column([value], np.zeros(row_count, dtype=np.int32))


@dataclass(frozen=True, slots=True)
class Reject:
    """A part of the file that could not be read as an event: kept and counted, never dropped.

    `line` from 1 or `record` where known, `offset` in bytes; `raw` the first 200 characters.
    """

    reason: str
    line: int | None = None
    record: int | None = None
    offset: int | None = None
    raw: str = ""


@dataclass(slots=True)
class EventTable:
    """A batch of events of one file, in file order.

    times    int64 microseconds since 1970 UTC per row; NO_TIME where unknown
    columns  ECS columns by name (never "@timestamp", never "fields")
    fields   everything else under the record's own name
    rejects  what could not be read in this part of the file
    """

    row_count: int
    times: Times
    columns: dict[str, Column] = field(default_factory=dict)
    fields: dict[str, Column] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)

    def column(self, name: str) -> Column | None:
        """An ECS column, or a field by its own name; None where no row has it."""
        return self.columns.get(name) or self.fields.get(name)

    def row(self, index: int) -> dict[str, Any]:
        """One event as flat names; absent values have no key; time as UTC ISO 8601."""
        return next(self.iter_rows([index]))

    def iter_rows(self, indexes: Iterable[int] | None = None) -> Iterator[dict[str, Any]]:
        """Events as dicts of flat names in schema order; `fields` spread under their own names
        unless an ECS name has the same spelling."""
        chosen = np.arange(self.row_count) if indexes is None else np.asarray(list(indexes), dtype=np.int64)
        listed: list[tuple[str, list[Any]]] = []
        for name, column in (*_in_schema_order(self.columns), *self.fields.items()):
            codes = column.dense(self.row_count)[chosen].tolist()
            listed.append((name, [column.values[c] if c >= 0 else None for c in codes]))
        for i, time in enumerate(self.times[chosen].tolist()):
            out: dict[str, Any] = {} if time == NO_TIME else {TIME: format_utc(time)}
            for name, values in listed:
                if values[i] is not None:
                    out.setdefault(name, values[i])
            yield out

    def take(self, rows: Rows) -> EventTable:
        """The given rows, in the given order, without rejects."""
        return EventTable(
            len(rows), self.times[rows],
            {k: c.take(rows, self.row_count) for k, c in self.columns.items()},
            {k: c.take(rows, self.row_count) for k, c in self.fields.items()},
        )

    def to_arrow(self) -> pa.Table:
        """The table in ARROW_SCHEMA: every ECS column, and `fields` as map<string, string>."""
        times = pa.array(self.times, mask=self.times == NO_TIME).cast(pa.timestamp("us", tz="UTC"))
        arrays: list[pa.Array] = []
        for spec in COLUMNS:
            if spec.name == TIME:
                arrays.append(times)
                continue
            kind = pa.int64() if spec.type == "int" else pa.string()
            column = self.columns.get(spec.name)
            if column is None or not column.values:
                encoded = pa.DictionaryArray.from_arrays(pa.nulls(self.row_count, pa.int32()), pa.array([], kind))
            else:
                codes = column.dense(self.row_count)
                encoded = pa.DictionaryArray.from_arrays(
                    pa.array(codes, mask=codes < 0), pa.array(column.values, kind))
            arrays.append(encoded.cast(kind) if spec.type == "int" else encoded)
        arrays.append(self._map_column())
        return pa.Table.from_arrays(arrays, schema=ARROW_SCHEMA)

    def _map_column(self) -> pa.Array:
        if not self.fields:
            return pa.array([[]] * self.row_count, ARROW_SCHEMA.field(FIELDS).type)
        rows, names, values = [], [], []
        for number, column in enumerate(self.fields.values()):
            present = column.codes >= 0
            where = np.flatnonzero(present) if column.rows is None else column.rows[present]
            rows.append(where)
            names.append(np.full(len(where), number, dtype=np.int32))
            values.append(pa.array(column.values, pa.string()).take(pa.array(column.codes[present])))
        all_rows = np.concatenate(rows)
        order = np.argsort(all_rows, kind="stable")
        offsets = np.zeros(self.row_count + 1, dtype=np.int32)
        np.cumsum(np.bincount(all_rows, minlength=self.row_count), out=offsets[1:])
        keys = pa.array(list(self.fields), pa.string()).take(pa.array(np.concatenate(names)[order]))
        items = pa.chunked_array(values).combine_chunks().take(pa.array(order))
        if isinstance(items, pa.ChunkedArray):
            items = items.combine_chunks()
        return pa.MapArray.from_arrays(pa.array(offsets), keys, items)


def _in_schema_order(columns: Mapping[str, Column]) -> list[tuple[str, Column]]:
    return [(spec.name, columns[spec.name]) for spec in COLUMNS if spec.name in columns]


ARROW_SCHEMA = pa.schema(
    [
        pa.field(c.name, {"time": pa.timestamp("us", tz="UTC"), "int": pa.int64(),
                          "string": pa.dictionary(pa.int32(), pa.string())}[c.type])
        for c in COLUMNS
    ]
    + [pa.field(FIELDS, pa.map_(pa.string(), pa.string()))]
)


def from_arrow(table: pa.Table) -> EventTable:
    """An EventTable from a table in ARROW_SCHEMA (a Parquet file that triage wrote)."""
    times = table.column(TIME).cast(pa.int64()).fill_null(NO_TIME).to_numpy().astype(np.int64)
    out = EventTable(table.num_rows, times)
    for spec in COLUMNS:
        if spec.name == TIME or spec.name not in table.column_names:
            continue
        column = table.column(spec.name)
        if column.null_count == table.num_rows:
            continue
        out.columns[spec.name] = _decode(column)
    if FIELDS in table.column_names:
        out.fields = _fields_from(table.column(FIELDS).combine_chunks())
    return out


def _decode(column: Any) -> Column:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return Column(array.dictionary.to_pylist(), codes)


def _fields_from(maps: Any) -> dict[str, Column]:
    if isinstance(maps, pa.ChunkedArray):
        maps = pa.concat_arrays(maps.chunks) if maps.num_chunks else pa.array([], maps.type)
    if not len(maps):
        return {}
    offsets = maps.offsets.to_numpy()
    parents = np.repeat(np.arange(len(maps), dtype=np.int32), np.diff(offsets))
    keys = maps.keys.slice(offsets[0], offsets[-1] - offsets[0]).dictionary_encode()
    items = maps.items.slice(offsets[0], offsets[-1] - offsets[0])
    codes = keys.indices.to_numpy()
    out: dict[str, Column] = {}
    for number, name in enumerate(keys.dictionary.to_pylist()):
        where = np.flatnonzero(codes == number)
        encoded = items.take(pa.array(where)).dictionary_encode()
        out[name] = Column(encoded.dictionary.to_pylist(),
                           encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32),
                           parents[where])
    return out


class TableBuilder:
    """Collects one event at a time (text logs) and makes EventTables of them.

    `add` takes flat names: schema columns typed as the schema says, anything else goes to
    `fields` as text. None values are left out.
    """

    def __init__(self) -> None:
        self._times: list[int] = []
        self._cells: dict[str, tuple[list[int], list[Any]]] = {}
        self._rejects: list[Reject] = []

    def __len__(self) -> int:
        return len(self._times)

    def add(self, time: int, cells: Mapping[str, Any]) -> None:
        """One event: its UTC microseconds (NO_TIME if unknown) and its values."""
        row = len(self._times)
        self._times.append(time)
        for name, value in cells.items():
            if value is None:
                continue
            cell = self._cells.get(name)
            if cell is None:
                cell = self._cells[name] = ([], [])
            cell[0].append(row)
            cell[1].append(value)

    def reject(self, reject: Reject) -> None:
        self._rejects.append(reject)

    def build(self) -> EventTable:
        """The events since the last call."""
        count = len(self._times)
        table = EventTable(count, np.array(self._times, dtype=np.int64), rejects=self._rejects)
        for name, (rows, values) in self._cells.items():
            spec = BY_NAME.get(name)
            where = None if len(rows) == count else np.array(rows, dtype=np.int32)
            if spec is None:
                table.fields[name] = encode([v if type(v) is str else str(v) for v in values], where)
            else:
                table.columns[name] = encode(values, where)
        self._times, self._cells, self._rejects = [], {}, []
        return table

"""The hits that correlations count, kept on disk as small Arrow tables until all files are read.

A row is one rule on one record: when and where it was, and the fields that some correlation groups by
or measures. Files arrive in any order; time puts them together afterwards, see correlate.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hikeshi.detect.columns import Columns, View
from hikeshi.detect.compile import CompiledRules
from hikeshi.detect.match import Match
from hikeshi.detect.place import Places
from hikeshi.events.table import EventTable, Rows

_ABOUT = (("path", "log.file.path"), ("host", "host.name"), ("code", "event.code"), ("channel", "winlog.channel"))
_NUMBERS = (("record", "winlog.record_id"), ("line", "log.line"))


class HitWriter:
    """Takes the matches of one table after another; `close` ends the file. Without hits there is no file."""

    def __init__(self, compiled: CompiledRules, path: Path) -> None:
        program = compiled.program
        self.rules = frozenset(n for entry in compiled.correlations for kind, n in entry["inputs"] if kind == "rule")
        self._wanted: Mapping[str, Mapping[str, Sequence[Sequence[int]]]] = program.get("wanted", {})
        self._names = sorted({name for n in self.rules for name in self._wanted.get(str(n), {})})
        self._keys: list[str] = program["keys"]
        self._specs = [(frozenset(channels), frozenset(codes)) for channels, codes in program["specs"]]
        self._numbers = {id(info): n for n, info in enumerate(compiled.rules)}
        self.path = path
        self._writer: Any = None
        self.rows = 0

    def add(self, table: EventTable, matches: Sequence[Match]) -> None:
        """Keep what correlations need of these matches; `matches` are of this writer's compiled rules."""
        chosen = [(n, m.rows) for m in matches if (n := self._numbers.get(id(m.rule), -1)) in self.rules]
        if not chosen:
            return
        columns = Columns(table)
        places = Places(columns, table.row_count, self._specs)
        for number, rows in chosen:
            self._write(self._batch(table, columns, places, number, rows))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_file(str(self.path), batch.schema, options=options)
        self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def _batch(self, table: EventTable, columns: Columns, places: Places, number: int, rows: Rows) -> pa.RecordBatch:
        arrays: dict[str, pa.Array] = {
            "rule": pa.array(np.full(len(rows), number, dtype=np.int32)), "time": pa.array(table.times[rows])}
        for name, column in _ABOUT:
            arrays[name] = _texts(columns.view(f"@{column}"), rows)
        for name, column in _NUMBERS:
            held = table.columns.get(column)
            codes = None if held is None else held.dense(table.row_count)[rows].tolist()
            arrays[name] = pa.array([held.values[c] if c >= 0 else None for c in codes] if held and codes else
                                    [None] * len(rows), pa.int64())
        fields = self._wanted.get(str(number), {})
        for name in self._names:
            arrays[f"f:{name}"] = self._field(columns, places, fields.get(name, ()), rows)
        return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))

    def _field(self, columns: Columns, places: Places, homes: Sequence[Sequence[int]], rows: Rows) -> pa.Array:
        """A field's text per row, from the column that holds it in the row's own log."""
        values: list[str] = []
        codes = np.full(len(rows), -1, dtype=np.int64)
        for spec, key in homes:
            view = columns.view(self._keys[key])
            if view is None:
                continue
            free = np.flatnonzero((codes < 0) & places.rows_of(spec, rows))
            theirs = view.dense[rows[free]]
            free, theirs = free[theirs >= 0], theirs[theirs >= 0]
            used, where = np.unique(theirs, return_inverse=True)
            codes[free] = where + len(values)
            values += [view.values[c] for c in used.tolist()]
        return _taken(values, codes)


def _texts(view: View | None, rows: Rows) -> pa.Array:
    return pa.nulls(len(rows), pa.string()) if view is None else _taken(view.values, view.dense[rows].astype(np.int64))


def _taken(values: Sequence[str], codes: npt.NDArray[np.int64]) -> pa.Array:
    """Plain text per row; only the values that occur are looked at, and half a surrogate pair is no trouble."""
    used, where = np.unique(codes, return_inverse=True)
    texts = [None if c < 0 else values[c].encode("utf-8", "replace").decode() for c in used.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(where))


def read_hits(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of all files with the number of their first row, counted over all files in the given order."""
    start = 0
    for path in paths:
        with pa.memory_map(str(path)) as source:
            schema = pa.ipc.open_file(source).schema
            chosen = [schema.get_field_index(c) for c in columns if schema.get_field_index(c) >= 0]
            reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=chosen))
            for index in range(reader.num_record_batches):
                batch = reader.get_batch(index)
                yield start, batch
                start += batch.num_rows

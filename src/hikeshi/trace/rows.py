"""The kept records of all files in one order: by time, then by where they stand.

The order does not depend on the order in which files were read, so the same evidence always
gives the same story.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hikeshi.events.time import NO_TIME, format_utc
from hikeshi.model.evidence import RecordRef
from hikeshi.trace.slices import NUMBERS, TEXTS

Codes = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_SHOWN = 20  # records cited at one statement


class TextColumn:
    """Sorted unique values and one code per row; "" and -1 stand for nothing."""

    def __init__(self, values: list[str], codes: Codes) -> None:
        self.values, self.codes = values, codes

    def at(self, row: int) -> str:
        code = self.codes[row]
        return self.values[code] if code >= 0 else ""


def text_column(array: Any) -> TextColumn:
    """An Arrow string column with its values sorted, so that codes compare like texts."""
    if isinstance(array, pa.ChunkedArray):
        array = array.unify_dictionaries().combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = array.chunk(0)
    values = array.dictionary.to_pylist()
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    unique = sorted({v for v in values if v})
    place = {v: i for i, v in enumerate(unique)}
    target = np.array([place.get(v, -1) for v in values] + [-1], dtype=np.int32)
    return TextColumn(unique, target[codes])


class Rows:
    """Kept records with a time, sorted; `untimed` counts those without one."""

    def __init__(self, table: pa.Table, shifts: Mapping[str, int] | None = None) -> None:
        """`shifts`: microseconds to add to the times of a machine (short name) whose clock is wrong."""
        times = table.column("time").to_numpy()
        timed = times != NO_TIME
        self.untimed = int((~timed).sum())
        if self.untimed:
            table = table.filter(pa.array(timed))
        numbers = {n: table.column(n).to_numpy() for n in NUMBERS}
        texts = {n: text_column(table.column(n)) for n in TEXTS}
        if shifts:
            hosts = texts["host"]
            added = np.array([shifts.get(v.split(".", 1)[0].upper(), 0) for v in hosts.values] + [0], dtype=np.int64)
            numbers["time"] = numbers["time"] + added[hosts.codes]
        order = np.lexsort(
            (
                texts["detail"].codes,
                texts["object"].codes,
                texts["kind"].codes,
                numbers["line"],
                numbers["record"],
                texts["path"].codes,
                numbers["time"],
            )
        )
        self.time: Ints = numbers["time"][order]
        self.record: Ints = numbers["record"][order]
        self.line: Ints = numbers["line"][order]
        self.count: Ints = numbers["count"][order]
        self.texts = {n: TextColumn(c.values, c.codes[order]) for n, c in texts.items()}
        kinds = self.texts["kind"]
        self._by_kind = {value: np.flatnonzero(kinds.codes == number) for number, value in enumerate(kinds.values)}

    def __len__(self) -> int:
        return len(self.time)

    def of(self, *kinds: str) -> npt.NDArray[np.int64]:
        """Row numbers of these kinds, in time order."""
        found = [self._by_kind[k] for k in kinds if k in self._by_kind]
        if not found:
            return np.empty(0, dtype=np.int64)
        return found[0] if len(found) == 1 else np.sort(np.concatenate(found))

    def text(self, name: str, row: int) -> str:
        return self.texts[name].at(row)

    def ref(self, row: int) -> RecordRef:
        record, line = int(self.record[row]), int(self.line[row])
        return RecordRef(
            self.text("path", row),
            self.text("sha256", row),
            record_id=record if record >= 0 else None,
            line=line if record < 0 and line >= 0 else None,
        )

    def refs(self, rows: Iterable[int]) -> tuple[RecordRef, ...]:
        """Places of these rows, without repetition, at most twenty."""
        return tuple(dict.fromkeys(self.ref(r) for r in sorted(set(rows))))[:_SHOWN]


def moment(written: str | None) -> str:
    """A sort key for what `when` writes: the same moment with and without a fraction; None last."""
    if written is None:
        return "~"
    return written if "." in written else written.replace("Z", ".000000Z")


def when(time: int) -> str:
    """UTC ISO 8601 of microseconds."""
    return format_utc(int(time))

"""Records of Windows event logs as columns: JSON of the `evtx` package, transposed.

Records are transposed some hundred at a time into Arrow arrays, one set for each set of field names,
and dictionary-encoded once a batch: no per-cell Python work on the usual path.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa

from hikeshi.events.schema import BY_NAME
from hikeshi.events.table import Column, EventTable, Reject, constant
from hikeshi.events.texts import Texts
from hikeshi.events.time import NO_TIME, parse_iso

# A few hundred records at a time: their dicts stay in the processor's cache, and Python keeps its arenas.
_ROUND_ROWS = 256
_ROUND_TEXT, _BATCH_TEXT = 16 << 20, 48 << 20
_FLUSH_VALUES = 1024


class FastRows(Protocol):
    """Rows that came straight from binary XML, see evtx_fast: they are joined in when the batch is built."""

    @property
    def full(self) -> bool: ...

    def restart(self) -> None:
        """Forget what was read and the templates it had."""
        ...

    def take(self) -> dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], Sequence[Any]]]:
        """Row numbers, codes and texts by field name, System columns with "@"; nothing is kept."""
        ...


class _Cells:
    """One field or column while a batch grows: the rows that have it, and their values.

    Values wait as plain objects and become an Arrow array some thousand at a time: an array
    costs microseconds, however short it is.
    """

    __slots__ = ("arrays", "pending", "pending_rows", "rows")

    def __init__(self) -> None:
        self.arrays: list[Any] = []
        self.rows: list[np.ndarray[Any, Any]] = []
        self.pending: list[Any] = []
        self.pending_rows: list[np.ndarray[Any, Any]] = []

    def add(self, where: np.ndarray[Any, Any], array: Any) -> None:
        if len(where):
            self.rows.append(where)
            self.arrays.append(array)

    def take_pending(self) -> tuple[np.ndarray[Any, Any], list[Any]]:
        rows = np.concatenate(self.pending_rows) if len(self.pending_rows) > 1 else self.pending_rows[0]
        values = self.pending
        self.pending, self.pending_rows = [], []
        return rows, values


class EvtxBatch:
    """Collects the records of one or several files and makes an EventTable of them."""

    def __init__(self, *, want: Collection[str] | None = None, columns: Collection[str] | None = None,
                 limit: int = 100_000, lazy: bool = False) -> None:
        """`want`: only these fields; `columns`: only these System columns; None for all.

        `limit`: a reader pauses soon after so many rows. `lazy`: a table is done with before the reader goes on,
        so that its texts need not all be decoded.
        """
        self.limit, self.lazy = limit, lazy
        self.fast: FastRows | None = None
        self._want = None if want is None else frozenset(want)
        self._system_columns = _system_wanted(columns)
        self.rejects: list[Reject] = []
        self._reset()

    def _reset(self) -> None:
        self.doubled: set[int] = set()
        self.rows = 0
        self.text_size = 0
        self._fields: dict[str, _Cells] = {}
        self._columns: dict[str, _Cells] = {}
        self._times: list[np.ndarray[Any, Any]] = []

    def wants(self, name: str) -> bool:
        return self._want is None or name in self._want

    def wants_column(self, name: str) -> bool:
        return any(name == entry[0] for entry in self._system_columns)

    @property
    def full(self) -> bool:
        """Time to build: enough rows, or as much text as one table should hold."""
        return self.rows >= self.limit or self.text_size >= _BATCH_TEXT or (self.fast is not None and self.fast.full)

    def add_fast(self, times: np.ndarray[Any, Any]) -> int:
        """Make room for rows of `fast`, with their times; gives the number of the first."""
        base = self.rows
        self.rows += len(times)
        self._times.append(times)
        return base

    def mark(self, name: str, rows: np.ndarray[Any, Any], values: Sequence[Any]) -> None:
        """A column for rows that are there already."""
        self._column(name, rows, values)

    def consume(self, records: Iterator[Any], first_chunk: int = 0) -> Iterator[np.ndarray[Any, Any]]:
        """Read on; after each round the record ids of it. The batch may be built in between.

        `first_chunk` is the place in the file of what the decoder calls chunk 0.
        """
        loads = orjson.loads
        events: list[dict[str, Any]] = []
        heads: list[dict[str, Any]] = []
        more, round_text = True, 0
        while more:
            try:
                for record in records:
                    text = record["data"]
                    self.text_size += len(text)
                    event = loads(text)["Event"]
                    event["System"]["EventID"]
                    events.append(event)
                    heads.append(record)
                    round_text += len(text)
                    if len(events) >= _ROUND_ROWS or round_text >= _ROUND_TEXT:
                        break
                else:
                    more = False
            except (RuntimeError, OSError) as error:
                self.rejects.append(Reject(_in_file(plain(error), first_chunk)))
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                self.rejects.append(Reject(f"a record without the usual parts: {plain(error)}",
                                           record=record["event_record_id"], raw=record["data"][:200]))
            except BaseException as error:
                # A panic of the Rust decoder is no Exception; its iterator can't go on after it.
                if type(error).__name__ != "PanicException":
                    raise
                self.rejects.append(Reject(f"the decoder gave up: {plain(error)}"))
                more = False
            if events and (len(events) >= _ROUND_ROWS or round_text >= _ROUND_TEXT or not more):
                yield self._transpose(events, heads)
                events, heads, round_text = [], [], 0

    # One round -------------------------------------------------------------------------

    def _transpose(self, events: list[dict[str, Any]], heads: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
        base = self.rows
        self.rows += len(events)
        systems = [event["System"] for event in events]
        ids = np.array([head["event_record_id"] for head in heads], dtype=np.uint64).astype(np.int64)
        self._system(systems, base, ids, heads)
        shapes: dict[tuple[str, ...], tuple[list[int], list[dict[str, Any]]]] = {}
        for row, event in enumerate(events, base):
            data = event.get("EventData")
            if data.__class__ is not dict or len(event) != 2 + ("#attributes" in event):
                data = _payload(event)
                if not data:
                    continue
            shape = tuple(data)
            group = shapes.get(shape)
            if group is None:
                group = shapes[shape] = ([], [])
            group[0].append(row)
            group[1].append(data)
        for shape, (rows, dicts) in shapes.items():
            where = np.array(rows, dtype=np.int32)
            for name, values in zip(shape, zip(*map(dict.values, dicts), strict=True), strict=True):
                self._put(name, where, values)
        return ids

    def _system(self, systems: list[dict[str, Any]], base: int, ids: np.ndarray[Any, Any],
                heads: list[dict[str, Any]]) -> None:
        """The System parts of one round, transposed by the names they hold (two or three sets a log)."""
        times = np.empty(len(systems), dtype=np.int64)
        shapes: dict[tuple[str, ...], tuple[list[int], list[dict[str, Any]]]] = {}
        for index, (shape, system) in enumerate(zip(map(tuple, systems), systems, strict=True)):
            group = shapes.get(shape)
            if group is None:
                group = shapes[shape] = ([], [])
            group[0].append(index)
            group[1].append(system)
        for shape, (indexes, dicts) in shapes.items():
            places = np.array(indexes, dtype=np.int32)
            parts = dict(zip(shape, zip(*map(dict.values, dicts), strict=True), strict=True))
            created = _attribute(parts.get("TimeCreated", ()), "SystemTime") or [None] * len(dicts)
            times[places] = _times(created, indexes, heads)
            self._system_part(parts, places + np.int32(base), ids[places])
        self._times.append(times)

    def _system_part(self, parts: dict[str, tuple[Any, ...]], where: np.ndarray[Any, Any],
                     ids: np.ndarray[Any, Any]) -> None:
        record_ids = parts.get("EventRecordID", ())
        if any(r.__class__ is not int for r in record_ids):
            record_ids = tuple(r if r.__class__ is int else _whole(_text_of(r), i)
                               for r, i in zip(record_ids, ids.tolist(), strict=True))
        self._column("winlog.record_id", where, record_ids or ids.tolist())
        if "EventID" in parts:
            # Classic logs write <EventID Qualifiers="…">7045</EventID>: the number is its text.
            parts["EventID"] = tuple(c.get("#text") if c.__class__ is dict else c for c in parts["EventID"])
        for name, part, attribute in self._system_columns:
            if part in parts:
                values = parts[part] if attribute is None else _attribute(parts[part], attribute)
                if values is not None:
                    self._column(name, where, values)

    def _column(self, name: str, where: np.ndarray[Any, Any], values: Sequence[Any]) -> None:
        cells = self._columns.get(name)
        if cells is None:
            cells = self._columns[name] = _Cells()
        cells.pending.extend(values)
        cells.pending_rows.append(where)
        if len(cells.pending) >= _FLUSH_VALUES:
            self._flush_column(name, cells)

    def _flush_column(self, name: str, cells: _Cells) -> None:
        if cells.pending_rows:
            rows, values = cells.take_pending()
            cells.add(rows, _array(values, pa.int64() if BY_NAME[name].type == "int" else pa.string()))

    def _put(self, name: str, where: np.ndarray[Any, Any], values: Sequence[Any]) -> None:
        """The values of one field for some rows."""
        cells = self._fields.get(name)
        if cells is None:
            if not self.wants(name) and not (name == "#attributes" or values[0].__class__ is dict):
                return
            cells = self._fields[name] = _Cells()
        cells.pending.extend(values)
        cells.pending_rows.append(where)
        if len(cells.pending) >= _FLUSH_VALUES:
            self._flush_field(name, cells)

    def _flush_field(self, name: str, cells: _Cells) -> None:
        """Elements with attributes or parts of their own come apart here."""
        if not cells.pending_rows:
            return
        rows, values = cells.take_pending()
        array = _simple_array(values) if name != "#attributes" else None
        if array is None:
            texts = _own_texts(values)
            array = _typed(texts, pa.string()) if texts is not None else None
        if array is not None:
            cells.add(rows, array)
            return
        apart: dict[str, tuple[list[int], list[str]]] = {}
        for row, value in zip(rows.tolist(), values, strict=True):
            for leaf, text in _leaves(name, value).items():
                leaf_rows, leaf_texts = apart.setdefault(leaf, ([], []))
                leaf_rows.append(row)
                leaf_texts.append(text)
        for leaf, (leaf_rows, leaf_texts) in apart.items():
            if self.wants(leaf):
                self._fields.setdefault(leaf, _Cells()).add(
                    np.array(leaf_rows, dtype=np.int32), _array(leaf_texts, pa.string()))

    # One batch -------------------------------------------------------------------------

    def build(self) -> EventTable:
        """The records since the last call."""
        table, _ = self.build_told()
        return table

    def build_told(self) -> tuple[EventTable, set[int]]:
        """The records since the last call, and the rows in which several parts claim one name: the first has it."""
        count = self.rows
        table = EventTable(count, np.concatenate(self._times) if count else np.empty(0, dtype=np.int64),
                           rejects=list(self.rejects))
        fast = self.fast.take() if self.fast is not None else {}
        for name, cells in self._columns.items():
            self._flush_column(name, cells)
            column = _encode(cells, count, self.doubled)
            if column is not None:
                table.columns[name] = column if BY_NAME[name].type == "int" else _as_text(column)
        for name in [n for n in fast if n[:1] == "@"]:
            table.columns[name[1:]] = _joined(table.columns.get(name[1:]), *fast.pop(name), count)
        if count:
            table.columns["event.timezone"] = constant("UTC", count)
        for name, cells in list(self._fields.items()):
            self._flush_field(name, cells)
        for name, cells in self._fields.items():
            column = _encode(cells, count, self.doubled) if self.wants(name) else None
            if column is not None:
                table.fields[name] = _as_text(column)
        for name, parts in fast.items():
            table.fields[name] = _joined(table.fields.get(name), *parts, count)
        self.rejects.clear()
        doubled = self.doubled
        self._reset()
        return table, doubled


_NOTHING: dict[str, Any] = {}
_TIMESTAMP = pa.timestamp("us", tz="UTC")
# Column, element of System, and its attribute where the value is one.
_SYSTEM: tuple[tuple[str, str, str | None], ...] = (
    ("event.code", "EventID", None), ("event.provider", "Provider", "Name"), ("winlog.channel", "Channel", None),
    ("host.name", "Computer", None), ("winlog.level", "Level", None), ("winlog.keywords", "Keywords", None),
    ("winlog.task", "Task", None), ("winlog.opcode", "Opcode", None), ("winlog.version", "Version", None),
    ("winlog.user.identifier", "Security", "UserID"), ("winlog.activity_id", "Correlation", "ActivityID"),
    ("winlog.process.pid", "Execution", "ProcessID"), ("winlog.process.thread.id", "Execution", "ThreadID"),
)


def _system_wanted(columns: Collection[str] | None) -> tuple[tuple[str, str, str | None], ...]:
    return tuple(entry for entry in _SYSTEM if columns is None or entry[0] in columns)


def _encode(cells: _Cells, row_count: int, doubled: set[int]) -> Column | None:
    """The finished column: unique values, codes, and the rows that have one. Rows with several go to `doubled`."""
    arrays = cells.arrays
    if not arrays:
        return None
    numbers = pa.types.is_integer(arrays[0].type) and all(a.type == arrays[0].type for a in arrays)
    if not numbers:
        arrays = [a if pa.types.is_string(a.type) else a.cast(pa.string()) for a in arrays]
    array = pa.concat_arrays(arrays) if len(arrays) > 1 else arrays[0]
    rows = np.concatenate(cells.rows) if len(cells.rows) > 1 else cells.rows[0]
    encoded = array.dictionary_encode()
    if not len(encoded.dictionary):
        return None
    indices = encoded.indices
    if indices.null_count:
        rows = rows[indices.is_valid().to_numpy(zero_copy_only=False)]
        indices = indices.drop_null()
    codes = indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    if not _ascending(rows):
        order = np.argsort(rows, kind="stable")
        rows, codes = rows[order], codes[order]
        again = rows[1:] == rows[:-1]
        if again.any():
            doubled.update(rows[1:][again].tolist())
            first = np.concatenate(([True], ~again))
            rows, codes = rows[first], codes[first]
    return Column(encoded.dictionary.to_pylist(), codes, None if len(rows) == row_count else rows)


def _joined(column: Column | None, rows: np.ndarray[Any, Any], codes: np.ndarray[Any, Any], values: Sequence[Any],
            count: int) -> Column:
    """One column of two parts, whose rows differ."""
    if column is not None:
        texts = values.whole() if isinstance(values, Texts) else values
        numbers = {value: code for code, value in enumerate(texts)}
        mapped = np.array([numbers.setdefault(v, len(numbers)) for v in column.values], dtype=np.int32)
        values = list(numbers)
        others = np.arange(count, dtype=np.int32) if column.rows is None else column.rows
        rows, codes = np.concatenate([rows, others]), np.concatenate([codes, mapped[column.codes]])
        order = np.argsort(rows, kind="stable")
        rows, codes = rows[order], codes[order]
    return Column(values, codes, None if len(rows) == count else rows)  # type: ignore[arg-type]


def _as_text(column: Column) -> Column:
    if column.values and column.values[0].__class__ is int:
        column.values = [str(v) for v in column.values]
    return column


def _ascending(rows: np.ndarray[Any, Any]) -> bool:
    return len(rows) < 2 or bool((rows[1:] > rows[:-1]).all())


def _attribute(parts: Sequence[Any], name: str) -> list[Any] | None:
    """One attribute of each element; None where no element has any."""
    if not any(parts):
        return None
    try:
        return [part["#attributes"][name] for part in parts]
    except (KeyError, TypeError):
        return [part.get("#attributes", _NOTHING).get(name) if part.__class__ is dict else None for part in parts]


def _simple_array(values: Sequence[Any]) -> Any:
    """Texts, whole numbers or truth values, one sort of them, as an Arrow array; else None.

    The type is always given: letting Arrow guess costs ten times as much for short columns.
    """
    kind = next((v.__class__ for v in values if v is not None), str)
    if kind is str:
        return _typed(values, pa.string())
    if kind is int:
        return _typed(values, pa.int64())
    if kind is bool:
        array = _typed(values, pa.bool_())
        return None if array is None else array.cast(pa.string())
    return None


def _own_texts(values: Sequence[Any]) -> list[str] | None:
    """The texts of elements that hold nothing else, as unnamed Data elements do; None if one does."""
    texts: list[str] = []
    for value in values:
        if value.__class__ is not dict or len(value) != 1 or "#text" not in value:
            return None
        text = value["#text"]
        if text.__class__ is list:
            try:
                text = "\n".join(text)
            except TypeError:
                return None
        elif text.__class__ is not str:
            return None
        texts.append(text)
    return texts


def _typed(values: Sequence[Any], kind: Any) -> Any:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeError):
        return None


def _array(values: Sequence[Any], kind: Any) -> Any:
    """An Arrow array of plain values; numbers and truth values become text as Windows writes them."""
    if pa.types.is_integer(kind):
        array = _typed(values, kind)
        return array if array is not None else pa.array(
            [v if v.__class__ is int and abs(v) < 1 << 63 else None for v in values], kind)
    array = _simple_array(values)
    return array if array is not None else pa.array([_clean(_text_of(v)) for v in values], kind)


def _clean(text: str | None) -> str | None:
    # A lone surrogate can't be stored as UTF-8; what is readable stays.
    return None if text is None else text.encode("utf-8", "replace").decode()


def _text_of(value: Any) -> str | None:
    """A leaf as text: true and false as in XML, lists one a line, an element's own text."""
    if value is None or value.__class__ is str:
        return value
    if value is True or value is False:
        return "true" if value else "false"
    if value.__class__ is list:
        return "\n".join(_text_of(v) or "" for v in value)
    if value.__class__ is dict:
        return _text_of(value.get("#text"))
    return str(value)


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else otherwise


def _leaves(name: str, value: Any) -> dict[str, str]:
    """What one element says: its text, and its children's, under their own names.

    A name that occurs twice keeps both values, one a line.
    """
    out: dict[str, str] = {}
    _gather(name, value, out, 0)
    return out


def _gather(name: str, value: Any, out: dict[str, str], depth: int) -> None:
    if value.__class__ is dict and depth < 16:
        for key, inner in value.items():
            if key == "#text":
                _gather(name, inner, out, depth + 1)
            elif key == "#attributes":
                _attributes(inner, out)
            else:
                _gather(key, inner, out, depth + 1)
        return
    if value.__class__ is list and any(v.__class__ is dict for v in value) and depth < 16:
        for inner in value:
            _gather(name, inner, out, depth + 1)
        return
    text = _clean(_text_of(value) if depth < 16 else str(value))
    if text is not None:
        out[name] = f"{out[name]}\n{text}" if name in out else text


def _attributes(attributes: Any, out: dict[str, str]) -> None:
    if attributes.__class__ is not dict:
        return
    for key, value in attributes.items():
        text = _clean(_text_of(value))
        if text is not None and not key.startswith("xmlns") and key != "Qualifiers":
            out.setdefault(key, text)


def _payload(event: dict[str, Any]) -> dict[str, Any]:
    """Everything beside System as one flat dict: EventData first, its names win."""
    out: dict[str, Any] = {}
    data = event.get("EventData")
    if data.__class__ is dict:
        out.update(data)
    for part, value in event.items():
        if part in ("System", "EventData", "#attributes") or value is None:
            continue
        prefix = "RenderingInfo." if part == "RenderingInfo" else ""
        for name, text in _leaves(part, value).items():
            own = name if name == "Message" else prefix + name
            out.setdefault(own, text)
    return out


def _times(created: Sequence[str | None], indexes: list[int], heads: list[dict[str, Any]]
           ) -> np.ndarray[Any, Any]:
    """UTC microseconds from TimeCreated; the record header's time where it is absent or unreadable."""
    try:
        array = pa.array(created, pa.string())
        if not array.null_count:
            micros: np.ndarray[Any, Any] = array.cast(_TIMESTAMP).cast(pa.int64()).to_numpy()
            return micros
    except (pa.ArrowException, TypeError, ValueError):
        pass
    return np.array([_time(c, heads[i]["timestamp"]) for c, i in zip(created, indexes, strict=True)], dtype=np.int64)


def _time(created: Any, stamp: str) -> int:
    time = parse_iso(created, UTC) if created.__class__ is str else NO_TIME
    return parse_iso(stamp.removesuffix(" UTC").removesuffix("Z") + "Z", UTC) if time == NO_TIME else time


def _in_file(reason: str, first_chunk: int) -> str:
    """The decoder's words, with the chunk's number in the file rather than in the part."""
    before, mark, after = reason.partition("chunk number ")
    number, colon, rest = after.partition(":")
    if not mark or not number.isdecimal():
        return reason
    return f"{before}{mark}{int(number) + first_chunk}{colon}{rest}"


def plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]

"""Windows event logs (EVTX) as columns.

The Rust package `evtx` decodes the binary XML to JSON, one record at a time. Records are
transposed some hundred at a time into Arrow arrays, one set for each set of field names,
and dictionary-encoded once a batch: no per-cell Python work on the usual path.

A damaged part is a Reject with its record number or byte offset; the rest is read. What the
chunk headers announce is compared with what came out, so that a silent loss becomes a Reject.
Source of the layout: libevtx, "Windows XML Event Log (EVTX) format".
"""

from __future__ import annotations

import gc
import io
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, BinaryIO

import evtx
import numpy as np
import orjson
import pyarrow as pa

from hikeshi.errors import Location, UnsupportedFormat
from hikeshi.events.schema import BY_NAME
from hikeshi.events.table import Column, EventTable, Reject, constant
from hikeshi.events.time import NO_TIME, parse_iso
from hikeshi.evidence.source import Source

FILE_MAGIC = b"ElfFile\0"
CHUNK_MAGIC = b"ElfChnk\0"
HEADER_BYTES, CHUNK_BYTES = 4096, 65536
# A few hundred records at a time: their dicts stay in the processor's cache, and Python keeps its arenas.
_ROUND_ROWS = 256
_BATCH_TEXT = 192 << 20
_FLUSH_VALUES = 1024
_MISSING_SHOWN = 1000
# 32 MiB: a second's work, so that cores share a large log evenly.
_PART_CHUNKS = 512


def parse_evtx(source: Source, *, batch_rows: int = 100_000) -> Iterator[EventTable]:
    """The records of one file in file order, as batches of at most `batch_rows` rows.

    Columns: the System part under its ECS names (event.code, winlog.channel, …); fields:
    EventData, UserData and other payload under the record's own names; unnamed Data elements
    in `Data`, one a line; an empty element is "", an element without a value is absent.
    Times: TimeCreated, else the record header's time. Rejects lie in the last batch at the latest.
    Raises UnsupportedFormat if nothing in the file is an event log.
    """
    batch = EvtxBatch()
    for _ in read_records(source, batch):
        if batch.rows >= batch_rows or batch.text_size >= _BATCH_TEXT:
            yield batch.build()
    if batch.rows or batch.rejects:
        yield batch.build()


def read_records(source: Source, batch: EvtxBatch, part: Part | None = None) -> Iterator[None]:
    """Read a file, or one part of it, into a batch; yields whenever the batch may be built and emptied.

    A whole file is read part by part too: what its parts say apart is what it says at once.
    """
    for each in parts_of(source.size) if part is None else [part]:
        yield from _read_part(source, batch, each)


def parts_of(size: int) -> list[Part]:
    """The parts of a file of `size` bytes, in file order; one at least."""
    slots = max(1, -(-(size - HEADER_BYTES) // CHUNK_BYTES))
    return [Part(first, min(first + _PART_CHUNKS, slots)) for first in range(0, slots, _PART_CHUNKS)]


def _read_part(source: Source, batch: EvtxBatch, part: Part) -> Iterator[None]:
    layout = read_layout(source.path, part)
    if not layout.header_ok and not layout.any_chunk:
        raise _no_event_log(source)
    batch.rejects.extend(layout.problems)
    if not layout.chunks:
        return
    seen: list[np.ndarray[Any, Any]] = []
    collecting = gc.isenabled()
    gc.disable()                # a hundred thousand short-lived dicts a second: the collector finds nothing
    try:
        with _PartFile(source.path, part) as file:
            for ids in batch.consume(evtx.PyEvtxParser(file, number_of_threads=1).records_json(), part.first):
                seen.append(ids)
                yield
    except (RuntimeError, OSError) as error:
        batch.rejects.append(Reject(_plain(error), offset=part.offset))
    finally:
        if collecting:
            gc.enable()
    batch.rejects.extend(_announced_but_missing(layout, seen))


def _no_event_log(source: Source) -> UnsupportedFormat:
    if source.size == 0:
        return UnsupportedFormat("the file is empty", source=Location(source.name),
                                 hint="look for a copy that holds data")
    return UnsupportedFormat("the file is not a Windows event log", source=Location(source.name),
                             hint="check where the file comes from")


# ---- what the file itself says -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """Chunks `first` up to and without `stop`, counted from 0 by their place in the file."""

    first: int
    stop: int

    @property
    def offset(self) -> int:
        return HEADER_BYTES + self.first * CHUNK_BYTES

    @property
    def end(self) -> int:
        return HEADER_BYTES + self.stop * CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk header: where it lies, and the record ids it announces."""

    offset: int
    first_id: int
    last_id: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """`any_chunk`: there is a chunk somewhere in the file, maybe in another part."""

    header_ok: bool
    chunks: list[Chunk]
    problems: list[Reject]
    size: int
    any_chunk: bool


def read_layout(path: Path, part: Part | None = None) -> Layout:
    """File header and chunk headers, and what is wrong with them.

    Of a part: its own chunks; what concerns the file as a whole is told with the first part only.
    """
    problems: list[Reject] = []
    chunks: list[Chunk] = []
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        header = file.read(128)
        header_ok = len(header) == 128 and header[:8] == FILE_MAGIC and size >= HEADER_BYTES
        start, end = (HEADER_BYTES, size) if part is None else (part.offset, min(part.end, size))
        if start == HEADER_BYTES:
            problems.extend(_file_problems(file, header, size, header_ok=header_ok))
        for offset in range(start, end, CHUNK_BYTES):
            file.seek(offset)
            head = file.read(128)
            whole = offset + CHUNK_BYTES <= size
            if head[:8] == CHUNK_MAGIC and len(head) == 128:
                _, _, first_id, last_id = struct.unpack_from("<4Q", head, 8)
                chunks.append(Chunk(offset, first_id, last_id, whole))
            elif any(head):
                problems.append(Reject("a chunk without its magic number", offset=offset))
            if not whole:
                problems.append(Reject(
                    f"the file ends inside a chunk: {size - offset:,} of {CHUNK_BYTES:,} bytes", offset=offset))
        any_chunk = bool(chunks) or start > HEADER_BYTES or _count_chunks(file, size, enough=1) > 0
    return Layout(header_ok, chunks, problems, size, any_chunk)


def _file_problems(file: BinaryIO, header: bytes, size: int, *, header_ok: bool) -> Iterator[Reject]:
    if not header_ok:
        if _count_chunks(file, size, enough=1):
            yield Reject("the file header is damaged; records were read chunk by chunk", offset=0)
        return
    if zlib.crc32(header[:120]) != struct.unpack_from("<I", header, 124)[0]:
        # Windows leaves it stale on logs cut off at the mains; records don't depend on it.
        yield Reject("the file header's checksum is wrong", offset=0)
    expected = struct.unpack_from("<H", header, 42)[0]
    dirty = struct.unpack_from("<I", header, 120)[0] & 1
    cut = (size - HEADER_BYTES) % CHUNK_BYTES
    # Logs over 4 GiB wrap the 16-bit count; a dirty log's count is stale by design.
    if not dirty and not cut and size < 1 << 32:
        present = _count_chunks(file, size, enough=expected)
        if present < expected:
            yield Reject(f"the header announces {expected} chunks, {present} are there")


def _count_chunks(file: BinaryIO, size: int, *, enough: int) -> int:
    """How many chunks have their magic number; not looking further than `enough`."""
    found = 0
    for offset in range(HEADER_BYTES, size, CHUNK_BYTES):
        if found >= enough:
            break
        file.seek(offset)
        head = file.read(128)
        found += head[:8] == CHUNK_MAGIC and len(head) == 128
    return found


class _PartFile(io.RawIOBase):
    """A part as a file of its own: a sound header, then the part's chunks.

    The header is ours: the records don't depend on the file's, which may be damaged. A last
    chunk that is cut off is filled up with zeros: the package alone would lose its records.
    """

    def __init__(self, path: Path, part: Part) -> None:
        start = struct.pack("<8s3QI4H76x", FILE_MAGIC, 0, 0, 1, 128, 1, 3, HEADER_BYTES,
                            min(part.stop - part.first, 0xFFFF))
        self._header = start + struct.pack("<II", 0, zlib.crc32(start)) + bytes(HEADER_BYTES - 128)
        self._file = path.open("rb")
        self._file.seek(part.offset)
        self._part = part
        self._size = HEADER_BYTES + (part.stop - part.first) * CHUNK_BYTES
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        if self._at < HEADER_BYTES:
            data = self._header[self._at:self._at + wanted]
        else:
            self._file.seek(self._part.offset + self._at - HEADER_BYTES)
            data = self._file.read(wanted).ljust(wanted, b"\0")
        self._at += len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


def _announced_but_missing(layout: Layout, seen: Sequence[np.ndarray[Any, Any]]) -> Iterator[Reject]:
    """One Reject for each record that a chunk header announces and that did not come out."""
    if sum(len(ids) for ids in seen) >= sum(_announced(c) for c in layout.chunks):
        return
    got = np.unique(np.concatenate(seen)) if seen else np.empty(0, dtype=np.int64)
    shown = 0
    for chunk in layout.chunks:
        count = _announced(chunk)
        if not count or chunk.last_id >= 1 << 62:
            continue
        low, high = np.searchsorted(got, [chunk.first_id, chunk.last_id + 1])
        if high - low >= count:
            continue
        missing = np.setdiff1d(np.arange(chunk.first_id, chunk.last_id + 1), got[low:high])
        for record in missing[:max(_MISSING_SHOWN - shown, 0)].tolist():
            yield Reject("announced by its chunk, but not readable", record=record, offset=chunk.offset)
        shown += len(missing)
    if shown > _MISSING_SHOWN:
        yield Reject(f"{shown - _MISSING_SHOWN:,} further records announced, but not readable")


def _announced(chunk: Chunk) -> int:
    # A chunk holds at most 65,024 / 28 records: a header that says more is damaged itself.
    count = chunk.last_id - chunk.first_id + 1
    return count if 0 < count <= 2400 else 0


def _in_file(reason: str, first_chunk: int) -> str:
    """The decoder's words, with the chunk's number in the file rather than in the part."""
    before, mark, after = reason.partition("chunk number ")
    number, colon, rest = after.partition(":")
    if not mark or not number.isdecimal():
        return reason
    return f"{before}{mark}{int(number) + first_chunk}{colon}{rest}"


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


# ---- records to columns ------------------------------------------------------------------


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

    def __init__(self, *, want: Collection[str] | None = None, columns: Collection[str] | None = None) -> None:
        """`want`: only these fields; `columns`: only these System columns; None for all."""
        self._want = None if want is None else frozenset(want)
        self._system_columns = _system_wanted(columns)
        self.rejects: list[Reject] = []
        self._reset()

    def _reset(self) -> None:
        self.rows = 0
        self.text_size = 0
        self._fields: dict[str, _Cells] = {}
        self._columns: dict[str, _Cells] = {}
        self._times: list[np.ndarray[Any, Any]] = []

    def wants(self, name: str) -> bool:
        return self._want is None or name in self._want

    def consume(self, records: Iterator[Any], first_chunk: int = 0) -> Iterator[np.ndarray[Any, Any]]:
        """Read on; after each round the record ids of it. The batch may be built in between.

        `first_chunk` is the place in the file of what the decoder calls chunk 0.
        """
        loads = orjson.loads
        events: list[dict[str, Any]] = []
        heads: list[dict[str, Any]] = []
        more = True
        while more:
            try:
                for record in records:
                    text = record["data"]
                    self.text_size += len(text)
                    event = loads(text)["Event"]
                    event["System"]["EventID"]
                    events.append(event)
                    heads.append(record)
                    if len(events) >= _ROUND_ROWS:
                        break
                else:
                    more = False
            except (RuntimeError, OSError) as error:
                self.rejects.append(Reject(_in_file(_plain(error), first_chunk)))
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                self.rejects.append(Reject(f"a record without the usual parts: {_plain(error)}",
                                           record=record["event_record_id"], raw=record["data"][:200]))
            except BaseException as error:
                # A panic of the Rust decoder is no Exception; its iterator can't go on after it.
                if type(error).__name__ != "PanicException":
                    raise
                self.rejects.append(Reject(f"the decoder gave up: {_plain(error)}"))
                more = False
            if events and (len(events) >= _ROUND_ROWS or not more):
                yield self._transpose(events, heads)
                events, heads = [], []

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
        count = self.rows
        table = EventTable(count, np.concatenate(self._times) if count else np.empty(0, dtype=np.int64),
                           rejects=list(self.rejects))
        for name, cells in self._columns.items():
            self._flush_column(name, cells)
            column = _encode(cells, count)
            if column is not None:
                table.columns[name] = column if BY_NAME[name].type == "int" else _as_text(column)
        if count:
            table.columns["event.timezone"] = constant("UTC", count)
        for name, cells in list(self._fields.items()):
            self._flush_field(name, cells)
        for name, cells in self._fields.items():
            column = _encode(cells, count) if self.wants(name) else None
            if column is not None:
                table.fields[name] = _as_text(column)
        self.rejects.clear()
        self._reset()
        return table


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


def _encode(cells: _Cells, row_count: int) -> Column | None:
    """The finished column: unique values, codes, and the rows that have one."""
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
    return Column(encoded.dictionary.to_pylist(), codes, None if len(rows) == row_count else rows)


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
    return parse_iso(stamp.removesuffix(" UTC") + "Z", UTC) if time == NO_TIME else time

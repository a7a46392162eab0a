"""Windows event logs (EVTX) as columns.

The Rust package `evtx` decodes the binary XML to JSON, one record at a time. Records are
transposed some thousand at a time into Arrow arrays, one set for each set of field names,
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
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import repeat
from pathlib import Path
from typing import Any

import evtx
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from hikeshi.errors import UnsupportedFormat
from hikeshi.events.schema import BY_NAME
from hikeshi.events.table import Column, EventTable, Reject, constant
from hikeshi.events.time import NO_TIME, parse_iso
from hikeshi.evidence.source import Source

FILE_MAGIC = b"ElfFile\0"
CHUNK_MAGIC = b"ElfChnk\0"
HEADER_BYTES, CHUNK_BYTES = 4096, 65536
# Transposing some thousand records at a time keeps their dicts in the processor's cache.
_ROUND_ROWS = 4096
_BATCH_TEXT = 192 << 20
_MISSING_SHOWN = 1000


def parse_evtx(source: Source, *, batch_rows: int = 100_000, want: Collection[str] | None = None
               ) -> Iterator[EventTable]:
    """The records of one file in file order, as batches of at most `batch_rows` rows.

    Columns: the System part under its ECS names (event.code, winlog.channel, …); fields:
    EventData, UserData and other payload under the record's own names; unnamed Data elements
    in `Data`, one a line; an empty element is "", an element without a value is absent.
    `want`: only these columns and fields (time and record id always); None for all.
    Times: TimeCreated, else the record header's time. Rejects lie in the last batch at the latest.
    Raises UnsupportedFormat if nothing in the file is an event log.
    """
    batch = EvtxBatch(want=want)
    for _ in read_records(source, batch):
        if batch.rows >= batch_rows or batch.text_size >= _BATCH_TEXT:
            yield batch.build()
    if batch.rows or batch.rejects:
        yield batch.build()


def read_records(source: Source, batch: EvtxBatch) -> Iterator[None]:
    """Read a file into a batch; yields whenever the batch may be built and emptied."""
    layout = read_layout(source.path)
    if not layout.header_ok and not layout.chunks:
        raise _no_event_log(source)
    batch.rejects.extend(layout.problems)
    seen: list[np.ndarray[Any, Any]] = []
    collecting = gc.isenabled()
    gc.disable()                # a hundred thousand short-lived dicts a second: the collector finds nothing
    try:
        for opened in _streams(source, layout, batch.rejects):
            for ids in batch.consume(opened):
                seen.append(ids)
                if collecting and len(seen) % 16 == 0:
                    gc.collect(0)
                yield
    finally:
        if collecting:
            gc.enable()
    batch.rejects.extend(_announced_but_missing(layout, seen))


def _no_event_log(source: Source) -> UnsupportedFormat:
    if source.size == 0:
        return UnsupportedFormat(f"{source.name}: the file is empty", hint="look for a copy that holds data")
    return UnsupportedFormat(f"{source.name} is not a Windows event log", hint="check the file's origin")


# ---- what the file itself says -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk header: where it lies, and the record ids it announces."""

    offset: int
    first_id: int
    last_id: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Layout:
    header_ok: bool
    chunks: list[Chunk]
    problems: list[Reject]
    size: int


def read_layout(path: Path) -> Layout:
    """File header and chunk headers, and what is wrong with them."""
    problems: list[Reject] = []
    chunks: list[Chunk] = []
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        header = file.read(128)
        header_ok = len(header) == 128 and header[:8] == FILE_MAGIC and size >= HEADER_BYTES
        if header_ok and zlib.crc32(header[:120]) != struct.unpack_from("<I", header, 124)[0]:
            # Windows leaves it stale on logs cut off at the mains; records don't depend on it.
            problems.append(Reject("the file header's checksum is wrong", offset=0))
        for offset in range(HEADER_BYTES, size, CHUNK_BYTES):
            file.seek(offset)
            start = file.read(128)
            whole = offset + CHUNK_BYTES <= size
            if start[:8] == CHUNK_MAGIC and len(start) == 128:
                _, _, first_id, last_id = struct.unpack_from("<4Q", start, 8)
                chunks.append(Chunk(offset, first_id, last_id, whole))
            elif any(start):
                problems.append(Reject("a chunk without its magic number", offset=offset))
            if not whole:
                problems.append(Reject(
                    f"the file ends inside a chunk: {size - offset:,} of {CHUNK_BYTES:,} bytes", offset=offset))
    if not header_ok and chunks:
        problems.append(Reject("the file header is damaged; records were read chunk by chunk", offset=0))
    if header_ok:
        expected = struct.unpack_from("<H", header, 42)[0]
        dirty = struct.unpack_from("<I", header, 120)[0] & 1
        present = len(chunks)
        # Logs over 4 GiB wrap the 16-bit count; a dirty log's count is stale by design.
        if present < expected and not dirty and size < 1 << 32 and not any("ends inside" in p.reason for p in problems):
            problems.append(Reject(f"the header announces {expected} chunks, {present} are there"))
    return Layout(header_ok, chunks, problems, size)


def _streams(source: Source, layout: Layout, rejects: list[Reject]) -> Iterator[Iterator[Any]]:
    """Record iterators that together cover the file."""
    damaged_end = [c for c in layout.chunks if not c.whole]
    if layout.header_ok:
        try:
            # A cut-off last chunk is read below, padded: the package alone would lose its records.
            yield evtx.PyEvtxParser(str(source.path), number_of_threads=1).records_json()
        except (RuntimeError, OSError) as error:
            rejects.append(Reject(_plain(error)))
            damaged_end = layout.chunks
    else:
        damaged_end = layout.chunks
    for chunk in damaged_end:
        with source.path.open("rb") as file:
            file.seek(chunk.offset)
            body = file.read(CHUNK_BYTES)
        image = _lone_file(body)
        try:
            yield evtx.PyEvtxParser(io.BytesIO(image), number_of_threads=1).records_json()
        except (RuntimeError, OSError) as error:
            rejects.append(Reject(_plain(error), offset=chunk.offset))


def _lone_file(chunk: bytes) -> bytes:
    """A file that holds just this chunk."""
    start = struct.pack("<8s3QI4H76x", FILE_MAGIC, 0, 0, 1, 128, 1, 3, HEADER_BYTES, 1)
    header = start + struct.pack("<II", 0, zlib.crc32(start)) + bytes(HEADER_BYTES - 128)
    return header + chunk.ljust(CHUNK_BYTES, b"\0")


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


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


# ---- records to columns ------------------------------------------------------------------


class _Cells:
    """One field while a batch grows: Arrow arrays and the rows they belong to."""

    __slots__ = ("arrays", "rows")

    def __init__(self) -> None:
        self.arrays: list[Any] = []
        self.rows: list[np.ndarray[Any, Any]] = []


class EvtxBatch:
    """Collects the records of one or several files and makes an EventTable of them."""

    def __init__(self, *, want: Collection[str] | None = None, file_column: bool = False) -> None:
        self._want = None if want is None else frozenset(want)
        self._file_column = file_column
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

    def consume(self, records: Iterator[Any]) -> Iterator[np.ndarray[Any, Any]]:
        """Read on; after each round the record ids of it. The batch may be built in between."""
        loads = orjson.loads
        events: list[dict[str, Any]] = []
        heads: list[tuple[int, str]] = []
        more = True
        while more:
            try:
                for record in records:
                    text = record["data"]
                    self.text_size += len(text)
                    event = loads(text)["Event"]
                    event["System"]["Channel" if "Channel" in event["System"] else "EventID"]
                    events.append(event)
                    heads.append((record["event_record_id"], record["timestamp"]))
                    if len(events) >= _ROUND_ROWS:
                        break
                else:
                    more = False
            except (RuntimeError, OSError) as error:
                self.rejects.append(Reject(_plain(error)))
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                self.rejects.append(Reject(f"a record without the usual parts: {_plain(error)}",
                                           record=record["event_record_id"], raw=record["data"][:200]))
            if events and (len(events) >= _ROUND_ROWS or not more):
                yield self._transpose(events, heads)
                events, heads = [], []

    # One round -------------------------------------------------------------------------

    def _transpose(self, events: list[dict[str, Any]], heads: list[tuple[int, str]]) -> np.ndarray[Any, Any]:
        base = self.rows
        self.rows += len(events)
        systems = [event["System"] for event in events]
        ids = np.array([head[0] for head in heads], dtype=np.uint64).astype(np.int64)
        self._system(systems, base, ids, [head[1] for head in heads])
        shapes: dict[tuple[str, ...], tuple[list[int], list[dict[str, Any]]]] = {}
        for row, event in enumerate(events, base):
            data = event.get("EventData")
            if len(event) != 3 or data.__class__ is not dict:
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

    def _system(self, systems: list[dict[str, Any]], base: int, ids: np.ndarray[Any, Any], stamps: list[str]) -> None:
        where = np.arange(base, base + len(systems), dtype=np.int32)

        def plain(part: str) -> list[Any]:
            return [system.get(part) for system in systems]

        times = plain("TimeCreated")
        self._times.append(_times([(t or _NOTHING).get("#attributes", _NOTHING).get("SystemTime") for t in times],
                                  stamps))
        record_ids = plain("EventRecordID")
        self._column("winlog.record_id", where, [
            r if r.__class__ is int else _whole(_text_of(r), i)
            for r, i in zip(record_ids, ids.tolist(), strict=True)])
        codes = plain("EventID")
        self._column("event.code", where, [c if c.__class__ is int else _text_of(c) for c in codes])
        self._column("winlog.channel", where, plain("Channel"))
        self._column("host.name", where, plain("Computer"))
        self._attribute("event.provider", where, plain("Provider"), "Name")
        for name, part in _SYSTEM_PLAIN:
            if self.wants(name):
                self._column(name, where, plain(part))
        for name, part, attribute in _SYSTEM_ATTRIBUTES:
            if self.wants(name):
                self._attribute(name, where, plain(part), attribute)

    def _attribute(self, name: str, where: np.ndarray[Any, Any], parts: list[Any], attribute: str) -> None:
        self._column(name, where, [
            part.get("#attributes", _NOTHING).get(attribute) if part.__class__ is dict else None for part in parts])

    def _column(self, name: str, where: np.ndarray[Any, Any], values: Sequence[Any]) -> None:
        kind = pa.int64() if BY_NAME[name].type == "int" else pa.string()
        cells = self._columns.setdefault(name, _Cells())
        cells.rows.append(where)
        cells.arrays.append(_array(values, kind))

    def _put(self, name: str, where: np.ndarray[Any, Any], values: Sequence[Any]) -> None:
        """The values of one field; elements with attributes or parts of their own come apart here."""
        if not self.wants(name) and name != "#attributes":
            return
        try:
            array = pa.array(values)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeError):
            array = None
        if array is None or pa.types.is_nested(array.type) or name == "#attributes":
            self._put_odd(name, where, values)
            return
        if pa.types.is_null(array.type):
            return
        if not pa.types.is_string(array.type):
            array = array.cast(pa.string())
        self._add(name, where, array)

    def _put_odd(self, name: str, where: np.ndarray[Any, Any], values: Sequence[Any]) -> None:
        apart: dict[str, tuple[list[int], list[str]]] = {}
        for row, value in zip(where.tolist(), values, strict=True):
            for leaf, text in _leaves(name, value).items():
                rows, texts = apart.setdefault(leaf, ([], []))
                rows.append(row)
                texts.append(text)
        for leaf, (rows, texts) in apart.items():
            if self.wants(leaf):
                self._add(leaf, np.array(rows, dtype=np.int32), _array(texts, pa.string()))

    def _add(self, name: str, where: np.ndarray[Any, Any], array: Any) -> None:
        cells = self._fields.get(name)
        if cells is None:
            cells = self._fields[name] = _Cells()
        cells.rows.append(where)
        cells.arrays.append(array)

    # One batch -------------------------------------------------------------------------

    def build(self) -> EventTable:
        """The records since the last call."""
        count = self.rows
        table = EventTable(count, np.concatenate(self._times) if count else np.empty(0, dtype=np.int64),
                           rejects=list(self.rejects))
        for name, cells in self._columns.items():
            column = _encode(cells, count)
            if column is not None:
                table.columns[name] = column
        if count and self.wants("event.timezone"):
            table.columns["event.timezone"] = constant("UTC", count)
        for name, cells in self._fields.items():
            column = _encode(cells, count)
            if column is not None:
                table.fields[name] = column
        self.rejects.clear()
        self._reset()
        return table


_NOTHING: dict[str, Any] = {}
_SYSTEM_PLAIN = (("winlog.level", "Level"), ("winlog.keywords", "Keywords"), ("winlog.task", "Task"),
                 ("winlog.opcode", "Opcode"), ("winlog.version", "Version"))
_SYSTEM_ATTRIBUTES = (("winlog.user.identifier", "Security", "UserID"),
                      ("winlog.activity_id", "Correlation", "ActivityID"),
                      ("winlog.process.pid", "Execution", "ProcessID"),
                      ("winlog.process.thread.id", "Execution", "ThreadID"))


def _encode(cells: _Cells, row_count: int) -> Column | None:
    array = pa.concat_arrays(cells.arrays) if len(cells.arrays) > 1 else cells.arrays[0]
    rows = np.concatenate(cells.rows) if len(cells.rows) > 1 else cells.rows[0]
    encoded = array.dictionary_encode()
    if not len(encoded.dictionary):
        return None
    codes = encoded.indices
    if codes.null_count:
        present = codes.is_valid().to_numpy(zero_copy_only=False)
        rows = rows[present]
        codes = codes.drop_null()
    numbers = codes.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    if len(rows) == row_count:
        order = None if len(cells.rows) == 1 or _ascending(rows) else np.argsort(rows, kind="stable")
        return Column(encoded.dictionary.to_pylist(), numbers if order is None else numbers[order])
    if not _ascending(rows):
        order = np.argsort(rows, kind="stable")
        rows, numbers = rows[order], numbers[order]
    return Column(encoded.dictionary.to_pylist(), numbers, rows)


def _ascending(rows: np.ndarray[Any, Any]) -> bool:
    return len(rows) < 2 or bool((rows[1:] > rows[:-1]).all())


def _array(values: Sequence[Any], kind: Any) -> Any:
    """An Arrow array of plain values; numbers and truth values become text as Windows writes them."""
    try:
        array = pa.array(values)
        return array if array.type == kind else array.cast(kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeError):
        if pa.types.is_integer(kind):
            return pa.array([v if v.__class__ is int and abs(v) < 1 << 63 else None for v in values], kind)
        return pa.array([_clean(_text_of(v)) for v in values], kind)


def _clean(text: str | None) -> str | None:
    # A lone surrogate can't be stored as UTF-8; what is readable stays.
    return None if text is None else text.encode("utf-8", "replace").decode()


def _text_of(value: Any) -> str | None:
    """A leaf as text: true and false as in XML, lists one a line, an element's own text."""
    if value is None or value.__class__ is str:
        return value  # type: ignore[no-any-return]
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


def _times(created: list[str | None], stamps: list[str]) -> np.ndarray[Any, Any]:
    """UTC microseconds from TimeCreated; the record header's time where it is unreadable."""
    try:
        return pa.array(created, pa.string()).cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).fill_null(
            NO_TIME).to_numpy().astype(np.int64)
    except (pa.ArrowException, TypeError, ValueError):
        return np.array([_time(c, s) for c, s in zip(created, stamps, strict=True)], dtype=np.int64)


def _time(created: Any, stamp: str) -> int:
    time = parse_iso(created, UTC) if created.__class__ is str else NO_TIME
    return parse_iso(stamp.removesuffix(" UTC") + "Z", UTC) if time == NO_TIME else time

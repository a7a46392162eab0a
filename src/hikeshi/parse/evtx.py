"""Windows event logs (EVTX) as columns.

Chunks that are whole and sound go by machine code straight to columns (evtx_fast); all others, and all of them where
there is no machine code, are decoded to JSON by the Rust package `evtx` (evtx_batch). Both give the same.

A damaged part is a Reject with its record number or byte offset; the rest is read. What the
chunk headers announce is compared with what came out, so that a silent loss becomes a Reject.
Source of the layout: libevtx, "Windows XML Event Log (EVTX) format".
"""

from __future__ import annotations

import gc
import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import evtx
import numpy as np

from hikeshi.errors import Location, UnsupportedFormat
from hikeshi.events.table import EventTable, Reject
from hikeshi.evidence.source import Source
from hikeshi.parse.evtx_batch import EvtxBatch, plain
from hikeshi.parse.evtx_fast import FastRows, code
from hikeshi.parse.evtx_guard import blanks
from hikeshi.parse.evtx_recovered import CARVED, Recovery

FILE_MAGIC = b"ElfFile\0"
CHUNK_MAGIC = b"ElfChnk\0"
HEADER_BYTES, CHUNK_BYTES = 4096, 65536
_BLOCK_CHUNKS = 64
_ZEROS = bytes(CHUNK_BYTES)
_MISSING_SHOWN = 1000
# 32 MiB: a second's work, so that cores share a large log evenly.
_PART_CHUNKS = 512
# An empty batch from the file before: what it holds room for is large.
_kept: list[EvtxBatch] = []


def parse_evtx(source: Source, *, batch_rows: int = 100_000, recover: bool = False) -> Iterator[EventTable]:
    """The records of one file in file order, as batches of about `batch_rows` rows.

    Columns: the System part under its ECS names (event.code, winlog.channel, …); fields:
    EventData, UserData and other payload under the record's own names; unnamed Data elements
    in `Data`, one a line; an empty element is "", an element without a value is absent.
    `recover`: also records from slack and damaged parts, with their marks (evtx_recovered).
    Times: TimeCreated, else the record header's time. Rejects lie in the last batch at the latest.
    Raises UnsupportedFormat if nothing in the file is an event log.
    """
    batch = _kept.pop() if _kept else EvtxBatch()
    batch.limit = batch_rows
    if batch.fast is not None:
        batch.fast.restart()            # columns in the order of this file, whatever was read before it
    done = False
    try:
        for _ in read_records(source, batch, recover=recover):
            if batch.full:
                yield batch.build()
        if batch.rows or batch.rejects:
            yield batch.build()
        done = True
    finally:
        if done:
            _kept[:] = [batch]
        else:
            batch.fast = None       # they know each other: its memory would wait for the collector


def read_records(source: Source, batch: EvtxBatch, part: Part | None = None, *, recover: bool = False
                 ) -> Iterator[None]:
    """Read a file, or one part of it, into a batch; yields whenever the batch may be built and emptied.

    A whole file is read part by part too: what its parts say apart is what it says at once.
    """
    parts = parts_of(source.size) if part is None else [part]
    if recover and may_be_carved(source):
        yield from _carve(source, batch, parts)
        return
    for each in parts:
        yield from _read_part(source, batch, each, recover=recover)


def may_be_carved(source: Source) -> bool:
    """Whether a file that is no log may hold records: memory, disk images, swap, unallocated space."""
    return source.kind in ("binary", "sparse") and not source.name.lower().endswith(".evtx")


def _carve(source: Source, batch: EvtxBatch, parts: Sequence[Part]) -> Iterator[None]:
    count = 0
    for part in parts:
        recovery = Recovery(source.path, source.size, mark=CARVED)
        recovery.damaged(part.offset if part.first else 0, part.end, ())
        yield from recovery.into(batch)
        count += recovery.count
    if not count:
        raise _no_event_log(source)


def parts_of(size: int, chunks: int | None = None) -> list[Part]:
    """The parts of a file of `size` bytes, in file order; one at least, none larger than so many chunks."""
    chunks = chunks or _PART_CHUNKS
    slots = max(1, -(-(size - HEADER_BYTES) // CHUNK_BYTES))
    return [Part(first, min(first + chunks, slots)) for first in range(0, slots, chunks)]


def _read_part(source: Source, batch: EvtxBatch, part: Part, *, recover: bool) -> Iterator[None]:
    layout = read_layout(source.path, part)
    recovery = Recovery(source.path, layout.size) if recover else None
    if not layout.header_ok and not layout.any_chunk:
        if recovery is not None:
            recovery.damaged(0, part.end, ())
            yield from recovery.into(batch)
        if recovery is None or not recovery.count:
            raise _no_event_log(source)
        return
    batch.rejects.extend(layout.problems)
    if not layout.chunks and recovery is None:
        return
    seen: list[np.ndarray[Any, Any]] = []
    collecting = gc.isenabled()
    gc.disable()                # a hundred thousand short-lived dicts a second: the collector finds nothing
    try:
        for ids in _read_chunks(source.path, part, batch, recovery):
            seen.append(ids)
            yield
    finally:
        if collecting:
            gc.enable()
    batch.rejects.extend(_announced_but_missing(layout, seen))
    if recovery is not None:
        yield from recovery.into(batch)


def _read_chunks(path: Path, part: Part, batch: EvtxBatch, recovery: Recovery | None
                 ) -> Iterator[np.ndarray[Any, Any]]:
    """The part's records into the batch; gives the numbers in their headers."""
    loaded = code.load()
    if loaded is None and recovery is None:
        yield from _read_by_package(path, part, batch)
        return
    if loaded is not None and batch.fast is None:
        batch.fast = FastRows(loaded, batch)
    fast = batch.fast if loaded is not None else None
    assert fast is None or isinstance(fast, FastRows)
    data = bytearray(_BLOCK_CHUNKS * CHUNK_BYTES)
    view, numbers = memoryview(data), np.frombuffer(data, dtype=np.uint8)
    with path.open("rb") as file:
        for first in range(part.first, part.stop, _BLOCK_CHUNKS):
            stop = min(first + _BLOCK_CHUNKS, part.stop)
            file.seek(HEADER_BYTES + first * CHUNK_BYTES)
            size = _fill(file, view[:(stop - first) * CHUNK_BYTES])
            for begin, end, sound in _runs(view, stop - first, size):
                place = HEADER_BYTES + (first + begin) * CHUNK_BYTES
                if sound and recovery is not None:
                    recovery.look(view[begin * CHUNK_BYTES:end * CHUNK_BYTES], place)
                if sound and fast is not None:
                    yield from fast.consume(numbers[begin * CHUNK_BYTES:], end - begin,
                                            partial(_read_one, path, first + begin, batch))
                elif sound is not None:
                    told: list[np.ndarray[Any, Any]] = []
                    for ids in _read_by_package(path, Part(first + begin, first + end), batch):
                        told.append(ids)
                        yield ids
                    if not sound and recovery is not None:
                        recovery.damaged(place, place + (end - begin) * CHUNK_BYTES, told)


def _read_one(path: Path, first: int, batch: EvtxBatch, number: int) -> Iterator[np.ndarray[Any, Any]]:
    return _read_by_package(path, Part(first + number, first + number + 1), batch)


def _fill(file: BinaryIO, view: memoryview) -> int:
    """As many bytes as there are; the rest is left as it was."""
    at = 0
    while at < len(view):
        count = file.readinto(view[at:])        # type: ignore[attr-defined]
        if not count:
            break
        at += count
    return at


def _runs(view: memoryview, count: int, size: int) -> Iterator[tuple[int, int, bool | None]]:
    """Neighbouring chunks that are all sound, all not, or all empty (None): first, end, which."""
    sound = [_is_sound(view[at * CHUNK_BYTES:(at + 1) * CHUNK_BYTES], size - at * CHUNK_BYTES) for at in range(count)]
    begin = 0
    for at in range(1, count + 1):
        if at == count or sound[at] != sound[begin]:
            yield begin, at, sound[begin]
            begin = at


def _is_sound(chunk: memoryview, size: int) -> bool | None:
    """Whether a chunk is whole and its checksums are right; None if it is all zeros."""
    if size < CHUNK_BYTES or chunk[:8] != CHUNK_MAGIC:
        return None if size >= CHUNK_BYTES and chunk == _ZEROS else False
    free, = struct.unpack_from("<I", chunk, 48)
    data_sum, = struct.unpack_from("<I", chunk, 52)
    head_sum, = struct.unpack_from("<I", chunk, 124)
    return bool(512 <= free <= CHUNK_BYTES and zlib.crc32(chunk[512:free]) == data_sum
                and zlib.crc32(chunk[128:512], zlib.crc32(chunk[:120])) == head_sum)


def _read_by_package(path: Path, part: Part, batch: EvtxBatch) -> Iterator[np.ndarray[Any, Any]]:
    try:
        with _PartFile(path, part) as file:
            batch.rejects.extend(file.hostile())
            yield from batch.consume(evtx.PyEvtxParser(file, number_of_threads=1).records_json(), part.first)
    except (RuntimeError, OSError) as error:
        batch.rejects.append(Reject(plain(error), offset=part.offset))


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
    What only keeps the package busy is read as zeros (see evtx_guard).
    """

    def __init__(self, path: Path, part: Part) -> None:
        start = struct.pack("<8s3QI4H76x", FILE_MAGIC, 0, 0, 1, 128, 1, 3, HEADER_BYTES,
                            min(part.stop - part.first, 0xFFFF))
        self._header = start + struct.pack("<II", 0, zlib.crc32(start)) + bytes(HEADER_BYTES - 128)
        self._file = path.open("rb")
        self._file.seek(part.offset)
        self._part = part
        self._blanks: list[tuple[int, int]] = []
        self._size = HEADER_BYTES + (part.stop - part.first) * CHUNK_BYTES
        self._at = 0

    def hostile(self) -> Iterator[Reject]:
        """Look for such places; gives what is to be said of them."""
        self._file.seek(self._part.offset)
        for at in range(HEADER_BYTES, self._size, CHUNK_BYTES):
            places, why = blanks(self._file.read(CHUNK_BYTES))
            if places:
                self._blanks += [(at + start, at + stop) for start, stop in places]
                yield Reject(why, offset=self._part.offset + at - HEADER_BYTES)

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
            for start, stop in self._blanks:
                low, high = max(start - self._at, 0), min(stop - self._at, len(data))
                if low < high:
                    data = data[:low] + bytes(high - low) + data[high:]
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

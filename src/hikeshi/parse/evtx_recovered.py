"""Records that a log still holds though no reader shows them: in the slack of its chunks, in damaged parts; and in
files that are no logs (memory, disk images, swap).

`evtx_recover` finds them in bytes; here is where it looks, which of them were read already, and how they become rows:
written into small sound logs, which the `evtx` package reads. Their rows are marked (`hikeshi.recovered`,
`hikeshi.lacks`, `log.offset`). Memory is bounded by a block of four megabytes and what it holds.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import evtx
import numpy as np
import orjson

from hikeshi.events.table import Reject
from hikeshi.events.time import format_utc
from hikeshi.parse.evtx_batch import EvtxBatch
from hikeshi.parse.evtx_guard import guarded
from hikeshi.parse.evtx_plans import log_of
from hikeshi.parse.evtx_recover import (
    CHUNK_BYTES,
    CHUNK_MAGIC,
    DATA_START,
    RECORD_MAGIC,
    Found,
    Space,
    read_record,
    recover,
)

SLACK, DAMAGED, CARVED = "slack", "damaged", "carved"
_HEADER_BYTES = 4096
_BLOCK = 64 * CHUNK_BYTES
_AT_ONCE = 128                       # records a small log; fewer than EvtxBatch takes in one round
_MOST_INDEXED, _PLACES, _LONGEST_CHAIN = 512, 8, 256
_MOST_REMEMBERED = 1 << 20
_EPOCH = 11_644_473_600_000_000

Ids = np.ndarray[Any, Any]


class Recovery:
    """What the reader of one part of a file noticed, and the records that come of it."""

    def __init__(self, path: Path, size: int, *, mark: str = DAMAGED) -> None:
        self._path, self._size, self._mark = path, size, mark
        self._slack: list[int] = []
        self._damaged: list[tuple[int, int, Ids]] = []
        self._log = _Log(path, size)
        self._told: set[bytes] = set()
        self.count = 0

    def look(self, chunks: memoryview, place: int) -> None:
        """Sound chunks, the first of which lies at byte `place`: which have records behind their end."""
        for at in range(0, len(chunks), CHUNK_BYTES):
            free, = struct.unpack_from("<I", chunks, at + 48)
            if RECORD_MAGIC in bytes(chunks[at + free:at + CHUNK_BYTES]):
                self._slack.append(place + at)

    def damaged(self, start: int, stop: int, ids: Sequence[Ids]) -> None:
        """Bytes that hold no sound chunk, and the numbers of the records that were read in them all the same."""
        self._damaged.append((start, min(stop, self._size),
                              np.unique(np.concatenate(ids)) if ids else np.empty(0, np.int64)))

    def into(self, batch: EvtxBatch) -> Iterator[None]:
        """The records as rows of a batch, which may be built whenever this yields."""
        with self._path.open("rb") as file:
            for place in self._slack:
                yield from self._from_slack(file, place, batch)
            for start, stop, ids in self._damaged:
                yield from self._from_damaged(file, start, stop, ids, batch)

    def _from_slack(self, file: Any, place: int, batch: EvtxBatch) -> Iterator[None]:
        data = _read(file, place, CHUNK_BYTES)
        if len(data) < CHUNK_BYTES:
            return
        free = max(DATA_START, struct.unpack_from("<I", data, 48)[0])
        found = self._log.recover(file, data, place, start=free, stop=len(data), bases=(0,))
        yield from self._give(file, found, place, SLACK, batch)

    def _from_damaged(self, file: Any, start: int, stop: int, ids: Ids, batch: EvtxBatch) -> Iterator[None]:
        for begin in range(start, stop, _BLOCK):
            end = min(begin + _BLOCK, stop)
            lead = begin - max(0, begin - CHUNK_BYTES)
            place = begin - lead
            data = _read(file, place, end + CHUNK_BYTES - place)
            bases = list(range((_HEADER_BYTES - place) % CHUNK_BYTES - CHUNK_BYTES, len(data), CHUNK_BYTES))
            found = self._log.recover(file, data, place, start=lead, stop=end - place, bases=bases)
            if len(ids):
                found = _not_read_yet(data, found, [b for b in bases if b >= lead], ids)
            yield from self._give(file, found, place, self._mark, batch)

    def _give(self, file: Any, found: list[Found], place: int, mark: str, batch: EvtxBatch) -> Iterator[None]:
        new = []
        for one in self._log.without_live(file, found):
            key = struct.pack("<QQ", one.record_id, one.time) + one.content
            if key not in self._told:
                if len(self._told) < _MOST_REMEMBERED:
                    self._told.add(key)
                new.append(one)
        for first in range(0, len(new), _AT_ONCE):
            self._tabled(new[first:first + _AT_ONCE], place, mark, batch)
            yield

    def _tabled(self, found: list[Found], place: int, mark: str, batch: EvtxBatch) -> None:
        read = _Decoded(found)
        base = batch.rows
        for _ in batch.consume(read):
            pass
        rows = np.arange(base, base + len(read.given), dtype=np.int32)
        given = [found[n] for n in read.given]
        self.count += len(given)
        if given:
            batch.mark("hikeshi.recovered", rows, [mark] * len(given))
            batch.mark("log.offset", rows, [place + one.offset for one in given])
            partial = [(row, "; ".join(one.lacks)) for row, one in zip(rows.tolist(), given, strict=True) if one.lacks]
            if partial:
                batch.mark("hikeshi.lacks", np.array([r for r, _ in partial], dtype=np.int32), [t for _, t in partial])
        missing = sorted(set(range(len(found))) - set(read.given))
        batch.rejects.extend(Reject("a record was found here, but its values can't be decoded",
                                    record=found[n].record_id, offset=place + found[n].offset) for n in missing)


def _read(file: Any, place: int, size: int) -> bytes:
    file.seek(place)
    return bytes(file.read(size))


def _not_read_yet(data: bytes, found: list[Found], bases: Sequence[int], ids: Ids) -> list[Found]:
    """Without the records that the package read in this damaged part: those it reaches from the chunk's beginning,
    and of any other number that it gave the first."""
    reached: set[int] = set()
    for base in bases:
        at = base + DATA_START
        while at + 24 < len(data) and at < base + CHUNK_BYTES and data[at:at + 4] == RECORD_MAGIC:
            reached.add(at)
            size, = struct.unpack_from("<I", data, at + 4)
            if size < 28:
                break
            at += size
    given = set(ids.tolist())
    by_id: dict[int, list[Found]] = {}
    for one in found:
        if one.record_id in given:
            by_id.setdefault(one.record_id, []).append(one)
    read: set[int] = set()
    for several in by_id.values():
        mine = [one for one in several if one.offset in reached] or several[:1]
        read.update(one.offset for one in mine)
        same = {(one.time, one.content) for one in mine}
        times = {one.time for one in mine}
        read.update(one.offset for one in several
                    if (one.time, one.content) in same or (one.time in times and not one.whole))
    return [one for one in found if one.offset not in read]


class _Decoded:
    """Found records as the `evtx` package reads them, for EvtxBatch.consume; `given`: which of them it could."""

    def __init__(self, found: Sequence[Found]) -> None:
        self._found = found
        self.given: list[int] = []
        self._records = self._all()

    def __iter__(self) -> _Decoded:
        return self

    def __next__(self) -> Any:
        return next(self._records)

    def _all(self) -> Iterator[Any]:
        done: dict[int, Any] = dict(_decoded(self._found, range(len(self._found))))
        for number, one in enumerate(self._found):
            record = done.get(number)
            if record is None:                   # one bad record must not take its neighbours along
                record = next((r for _, r in _decoded([one], [number])), None)
            if record is not None:
                self.given.append(number)
                yield record


def _decoded(found: Sequence[Found], numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
    try:
        log = guarded(log_of([(one.canonical, one.values) for one in found]))
        parser: Any = evtx.PyEvtxParser(io.BytesIO(log), number_of_threads=1)
        for record in parser.records_json():
            which = record["event_record_id"] - 1
            orjson.loads(record["data"])["Event"]["System"]["EventID"]
            if 0 <= which < len(found):
                one = found[which]
                yield numbers[which], {"data": record["data"], "event_record_id": one.record_id,
                                       "timestamp": format_utc(one.time // 10 - _EPOCH)}
    except (RuntimeError, OSError, KeyError, TypeError, ValueError, struct.error):
        return
    except BaseException as error:
        # A panic of the Rust decoder, or a definition too large for a chunk, is not worth the others.
        if type(error).__name__ not in ("PanicException", "_Odd"):
            raise


# ---- the rest of the log -------------------------------------------------------------------------


class _Log:
    """The sound chunks of the file: definitions they hold, records they show. Read when first asked."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size
        self._heads: np.ndarray[Any, Any] | None = None
        self._index: dict[int, list[tuple[int, int]]] | None = None
        self._known: dict[int, bytes] = {}
        self._asked: set[int] = set()

    def recover(self, file: Any, data: bytes, place: int, *, start: int, stop: int, bases: Sequence[int]
                ) -> list[Found]:
        found = list(recover(data, start=start, stop=stop, bases=bases, known=self._known))
        wanted = set[int]().union(*(one.unknown for one in found)) - self._asked
        if wanted and self._learn(file, wanted, place):
            found = list(recover(data, start=start, stop=stop, bases=bases, known=self._known))
        return found

    def _chunks(self, file: Any) -> np.ndarray[Any, Any]:
        """Place, first and last record number and end of each chunk that says so."""
        if self._heads is None:
            heads = []
            for place in range(_HEADER_BYTES, self._size - CHUNK_BYTES + 1, CHUNK_BYTES):
                head = _read(file, place, 128)
                if head[:8] == CHUNK_MAGIC and len(head) == 128:
                    first, last = struct.unpack_from("<2Q", head, 24)
                    free, = struct.unpack_from("<I", head, 48)
                    if first <= last < 1 << 62 and DATA_START <= free <= CHUNK_BYTES:
                        heads.append((place, first, last, free))
            self._heads = np.array(heads, dtype=np.int64).reshape(-1, 4)
        return self._heads

    # Definitions --------------------------------------------------------------------------------

    def _learn(self, file: Any, wanted: set[int], place: int) -> bool:
        """Look for definitions in the tables of the log's chunks; whether any is known now. One of which two
        versions are about counts as unknown."""
        if self._index is None:
            self._index = self._indexed(file, place)
        self._asked |= wanted
        for number in wanted:
            forms = set()
            for base, offset in self._index.get(number, ()):
                form = Space(_read(file, base, CHUNK_BYTES), (0,), {}).definition(0, offset, number)
                if form is not None:
                    forms.add(form)
            if len(forms) == 1:
                self._known[number] = forms.pop()
        return not wanted.isdisjoint(self._known)

    def _indexed(self, file: Any, place: int) -> dict[int, list[tuple[int, int]]]:
        out: dict[int, list[tuple[int, int]]] = {}
        chunks = self._chunks(file)
        nearest = np.argsort(np.abs(chunks[:, 0] - place), kind="stable")[:_MOST_INDEXED]
        for base in chunks[nearest, 0].tolist():
            data = _read(file, base, CHUNK_BYTES)
            if len(data) < CHUNK_BYTES:
                continue
            for head in struct.unpack_from("<32I", data, 384):
                steps = 0
                while DATA_START <= head <= CHUNK_BYTES - 28 and steps < _LONGEST_CHAIN:
                    following, number = struct.unpack_from("<II", data, head)
                    places = out.setdefault(number, [])
                    if len(places) < _PLACES:
                        places.append((base, head))
                    head = following
                    steps += 1
        return out

    # Records that are read anyway -----------------------------------------------------------------

    def without_live(self, file: Any, found: list[Found]) -> list[Found]:
        """Without those that some sound chunk shows: same number, time and content; of one that is not whole, same
        number and time."""
        if not found:
            return []
        pairs = {(one.record_id, one.time) for one in found}
        ids = np.unique(np.array([one.record_id for one in found], dtype=np.int64))
        chunks = self._chunks(file)
        covers = np.searchsorted(ids, chunks[:, 1], "left") < np.searchsorted(ids, chunks[:, 2], "right")
        live: set[tuple[int, int]] = set()
        contents: set[tuple[int, int, bytes]] = set()
        for base, _, _, free in chunks[covers].tolist():
            data = _read(file, base, CHUNK_BYTES)
            if not _sound(data, free):
                continue
            words = np.frombuffer(data[:free & ~7], dtype="<u4").reshape(-1, 2)
            space = Space(data, (0,), {})
            for at in (8 * np.flatnonzero(words[:, 0] == int.from_bytes(RECORD_MAGIC, "little"))).tolist():
                if at + 24 > free or struct.unpack_from("<QQ", data, at + 8) not in pairs:
                    continue
                size, = struct.unpack_from("<I", data, at + 4)
                one = read_record(space, at, min(at + size, free), whole=True)
                if one is not None:
                    live.add((one.record_id, one.time))
                    contents.add((one.record_id, one.time, one.content))
        return [one for one in found if (one.record_id, one.time, one.content) not in contents
                and (one.whole or (one.record_id, one.time) not in live)]


def _sound(data: bytes, free: int) -> bool:
    return len(data) == CHUNK_BYTES and zlib.crc32(data[DATA_START:free]) == struct.unpack_from("<I", data, 52)[0]

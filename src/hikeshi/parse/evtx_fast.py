"""Chunks of Windows event logs straight to columns: what goes in and out of the machine code.

`evtx_native` reads whole, sound chunks; `evtx_plans` says what each template's values are. Everything else goes
through the `evtx` package, chunk by chunk. Where there is no machine code (`code.load()` gives None), all of it does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hikeshi.events.texts import Texts
from hikeshi.machine import Loaded, MachineCode
from hikeshi.parse import evtx_native as native
from hikeshi.parse.evtx_batch import EvtxBatch
from hikeshi.parse.evtx_plans import Plan, body_plan, event_plan

code = MachineCode("hikeshi.parse.evtx_native", native.ARGUMENTS, "evtx", ahead=True)

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
_EPOCH = 11_644_473_600_000_000           # microseconds from 1601 to 1970
_TEMPLATES, _FORM_BYTES, _TEXT_BYTES = 1 << 14, 16 << 20, 4 << 20
# What one batch may hold; memory is taken from the system as it fills.
_ENTRIES, _ARENA, _CELLS, _ROWS = 1 << 19, 64 << 20, 1 << 22, 1 << 18
RECORD_ID = "@winlog.record_id"
# Types of which two values can have the same text.
_AMBIGUOUS = frozenset((0x10, 0x11, 0x81, 0x82))


class FastRows:
    """The rows of one EvtxBatch that came by machine code."""

    def __init__(self, loaded: Loaded, batch: EvtxBatch) -> None:
        self._read, self._lay, self._text = loaded.functions
        self._loaded = loaded
        self._batch = batch
        self.full = False
        self._taken = 0                    # how often; texts of an earlier batch are gone
        self._old = False                  # the store holds what was taken
        self._local = np.zeros(native.CHUNK + native.MOST_LOCAL, dtype=np.int32)
        self._values = np.zeros(2 * (2 + 3 * native.MOST_VALUES), dtype=np.int64)
        self._make_store()
        self._forget_templates()
        self._empty_store()

    def _forget_templates(self) -> None:
        self._templates = np.empty(_TEMPLATES * native.TEMPLATE, dtype=np.int64)
        self._forms = np.empty(_FORM_BYTES, dtype=np.uint8)
        self._index = np.zeros(2 * _TEMPLATES, dtype=np.int64)
        self._steps = np.empty(native.STEP * 1024, dtype=np.int64)
        self._constants = np.empty(native.CONSTANT * 1024, dtype=np.int64)
        self._texts = np.empty(native.SCRATCH + _TEXT_BYTES, dtype=np.uint8)
        self._step_count = self._constant_count = 0
        self._text_end = native.SCRATCH
        self._names: dict[str, int] = {}
        self._counts = np.zeros(2 * native.COLUMNS, dtype=np.int64)
        self._state = np.zeros(native.STATE, dtype=np.int64)
        state = self._state
        state[native.SEED] = secrets.randbits(62)
        state[native.ROOM_TEMPLATES], state[native.TEMPLATE_MASK] = _TEMPLATES, 2 * _TEMPLATES - 1
        state[native.ROOM_FORMS] = _FORM_BYTES
        state[native.ROOM_ENTRIES], state[native.ROOM_ARENA] = _ENTRIES, _ARENA
        state[native.SLOT_MASK] = 2 * _ENTRIES - 1
        state[native.ROOM_CELLS], state[native.ROOM_ROWS] = _CELLS, _ROWS

    def _make_store(self) -> None:
        self._entries = np.empty(_ENTRIES * native.ENTRY, dtype=np.int64)
        self._slots = np.zeros(2 * _ENTRIES, dtype=np.int64)
        self._arena = np.empty(_ARENA, dtype=np.uint8)
        self._cells = np.empty(_CELLS, dtype=np.int64)
        self._rows = np.empty(native.ROW * _ROWS, dtype=np.int64)

    def _empty_store(self) -> None:
        state = self._state
        used = int(state[native.ENTRIES])
        if used * 8 < _ENTRIES:
            self._slots[self._entries[native.E_SLOT:used * native.ENTRY:native.ENTRY]] = 0
        else:
            self._slots[:] = 0
        self._counts[:] = 0
        for name in (native.ROWS, native.CELLS, native.ENTRIES, native.ARENA):
            state[name] = 0
        self._numbers: list[I64] = []      # the batch's row numbers of ours

    # Reading ------------------------------------------------------------------------------

    def consume(self, data: npt.NDArray[np.uint8], count: int, odd: Callable[[int], Iterator[I64]]) -> Iterator[I64]:
        """The records of `count` chunks; after each round the numbers in their headers. `odd` reads one chunk
        by the package. The batch may be built in between."""
        at = 0
        while at < count:
            if self._old:
                self._renew()
            state = self._state
            before = int(state[native.ROWS])
            state[native.AT], state[native.CHUNKS] = at, count
            state[native.LIMIT] = before + max(1, self._batch.limit - self._batch.rows)
            said = self._call(self._read, data, self._counts, self._index, self._local, self._values)
            at, done = int(state[native.AT]), int(state[native.ROWS])
            if said == native.PLAN:
                self._plan(int(state[native.WHICH]), int(state[native.ROLE]))
            if done > before:
                yield self._take_over(before, done)
            if said == native.FULL and done:
                self.full = True
                yield np.empty(0, dtype=np.int64)
                if not self.full:
                    continue
            if said in (native.ODD, native.FULL):
                # Nobody built the batch, or one chunk is too much for an empty store: the slow way needs no room.
                yield from odd(at)
                at += 1

    def _call(self, entry: Any, data: Any, counts: Any, index: Any, local: Any, values: Any) -> int:
        arrays = (data, self._state, self._arena, self._slots, self._entries, counts, self._templates, self._forms,
                  index, self._steps, self._constants, self._texts, local, self._cells, self._rows, values)
        return int(entry(*[a.ctypes.data for a in arrays]))

    def _take_over(self, first: int, stop: int) -> I64:
        rows = self._rows[native.ROW * first:native.ROW * stop].reshape(-1, native.ROW)
        times = rows[:, 1] // 10 - _EPOCH
        base = self._batch.add_fast(times)
        self._numbers.append(np.arange(base, base + len(rows), dtype=np.int64))
        return rows[:, 3].copy()

    # Plans ----------------------------------------------------------------------------------

    def _plan(self, number: int, role: int) -> None:
        place = number * native.TEMPLATE
        start, length = self._templates[place:place + 2].tolist()
        canonical = self._forms[start:start + length].tobytes()
        plan = event_plan(canonical) if role == native.EVENT else body_plan(canonical, user=role == native.USER_BODY)
        at = place + native.T_ROLE + 5 * role
        if plan is None or not self._room_for(plan):
            self._templates[at] = native.REFUSED
            return
        first = self._step_count
        for step in plan.steps:
            if self._wanted(step.column):
                self._steps = _grown(self._steps, native.STEP * (self._step_count + 1))
                self._steps[native.STEP * self._step_count:][:native.STEP] = (
                    step.index, self._column(step.column), step.null, step.empty, step.array)
                self._step_count += 1
        first_constant = self._constant_count
        for column, text in plan.constants:
            if self._wanted(column):
                raw = np.frombuffer(text.encode("utf-16-le"), dtype=np.uint8)
                self._constants = _grown(self._constants, native.CONSTANT * (self._constant_count + 1))
                self._constants[native.CONSTANT * self._constant_count:][:native.CONSTANT] = (
                    self._column(column), self._text_end, len(raw))
                self._texts[self._text_end:self._text_end + len(raw)] = raw
                self._text_end += len(raw)
                self._constant_count += 1
        self._templates[at:at + 5] = (native.READY, first, self._step_count, first_constant, self._constant_count)
        if role == native.EVENT:
            self._templates[place + native.T_TIME:][:4] = (
                plan.time, plan.record_id, plan.body, native.USER_BODY if plan.user else native.BODY)

    def _room_for(self, plan: Plan) -> bool:
        return (self._text_end + sum(2 * len(t) for _, t in plan.constants) <= len(self._texts)
                and len(self._names) + len(plan.steps) + len(plan.constants) <= native.COLUMNS)

    def _wanted(self, column: str) -> bool:
        return self._batch.wants_column(column[1:]) if column[:1] == "@" else self._batch.wants(column)

    def _column(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    # One batch --------------------------------------------------------------------------------

    def take(self) -> dict[str, tuple[I32, I32, Sequence[Any]]]:
        """Row numbers, codes and texts by field name, System columns with "@"; the next records begin anew.

        Texts of a lazy batch last until then.
        """
        if self._old:
            return {}
        count = int(self._state[native.ROWS])
        out = self._columns(count) if count else {}
        self.full, self._old = False, True
        self._taken += 1
        return out

    def restart(self) -> None:
        """Forget what was read and the templates it had: the next columns are as if these were the first records."""
        self._renew()
        self._forget_templates()

    def _renew(self) -> None:
        self._old = False
        self._taken += 1
        self._empty_store()
        state = self._state
        if state[native.TEMPLATES] * 4 > _TEMPLATES * 3 or state[native.FORMS] * 4 > _FORM_BYTES * 3:
            self._forget_templates()

    def _columns(self, count: int) -> dict[str, tuple[I32, I32, Sequence[Any]]]:
        numbers = np.concatenate(self._numbers)
        total = int(self._state[native.CELLS])
        sizes = np.bincount(self._cells[:total] >> 32, minlength=len(self._names))
        ends = np.cumsum(sizes)
        starts = ends - sizes
        rows, codes = np.empty(total, dtype=np.int32), np.empty(total, dtype=np.int64)
        self._call(self._lay, self._texts, starts.copy(), numbers, rows, codes)
        entries = self._entries[:int(self._state[native.ENTRIES]) * native.ENTRY].reshape(-1, native.ENTRY)
        keys = entries[:, native.E_KEY]
        order = np.argsort((keys >> 8).astype(np.int16), kind="stable")      # few bits: sorted by radix
        bounds = np.searchsorted(keys[order] >> 8, np.arange(len(self._names) + 1))
        out: dict[str, tuple[I32, I32, Sequence[Any]]] = {}
        for name, number in self._names.items():
            if not sizes[number]:
                continue
            part = slice(int(starts[number]), int(ends[number]))
            mine = order[bounds[number]:bounds[number + 1]]
            out[name] = rows[part].copy(), *self._column_of(number, codes[part].astype(np.int32), mine, entries)
        own = pa.array(self._rows[:native.ROW * count].reshape(-1, native.ROW)[:, 2]).dictionary_encode()
        out[RECORD_ID] = (numbers.astype(np.int32), own.indices.to_numpy(zero_copy_only=False).astype(np.int32),
                          own.dictionary.to_pylist())
        return out

    def _column_of(self, number: int, codes: I32, mine: I64, entries: I64) -> tuple[I32, Sequence[str]]:
        """Codes and texts of one column."""
        kinds = entries[mine, native.E_KEY] & 0xFF
        kind = int(kinds[0])
        if (kinds == kind).all() and kind not in _AMBIGUOUS and not self._counts[native.COLUMNS + number]:
            if not self._batch.lazy:
                return codes, self._decoded(mine, entries)
            nothing = np.flatnonzero(entries[mine, native.E_LENGTH] == 0)
            return codes, Texts(len(mine), partial(self._later, mine, self._taken + 1),
                                int(nothing[0]) if len(nothing) else -1)
        texts = self._decoded(mine, entries)
        if len(set(texts)) != len(texts):
            known: dict[str, int] = {}
            codes = np.array([known.setdefault(t, len(known)) for t in texts], dtype=np.int32)[codes]
            texts = list(known)
        return codes, texts

    def _later(self, mine: I64, taken: int, numbers: I64 | None) -> list[str]:
        if taken != self._taken:
            raise RuntimeError("a table of a lazy batch was used after its reader went on")
        entries = self._entries[:int(self._state[native.ENTRIES]) * native.ENTRY].reshape(-1, native.ENTRY)
        return self._decoded(mine if numbers is None else mine[numbers], entries)

    # Values as text ---------------------------------------------------------------------------

    def _decoded(self, which: I64, entries: I64) -> list[str]:
        """The texts of these entries, as the package writes them."""
        kinds = entries[which, native.E_KEY] & 0xFF
        if (kinds == 1).all():
            return self._strings(which, entries)
        out: list[str] = [""] * len(which)
        for kind in np.unique(kinds).tolist():
            places = np.flatnonzero(kinds == kind)
            texts = self._strings(which[places], entries) if kind == 1 else [
                _FORMS[kind](self._arena[start:start + length].tobytes())
                for start, length in entries[which[places], :2].tolist()]
            for place, text in zip(places.tolist(), texts, strict=True):
                out[place] = text
        return out

    def _strings(self, which: I64, entries: I64) -> list[str]:
        if not len(which):
            return []
        room = int(entries[which, native.E_LENGTH].sum()) + 2 * len(which)
        out = np.empty(room + 8, dtype=np.uint8)
        self._state[native.CHUNKS] = len(which)
        wanted = np.ascontiguousarray(which, dtype=np.int64)
        size = self._call(self._text, out, wanted, self._index, self._local, self._values)
        return out[:size - 2].tobytes().decode("utf-16-le", "surrogatepass").split("\0")


def _grown(array: I64, size: int) -> I64:
    if size <= len(array):
        return array
    out = np.empty(2 * size, dtype=np.int64)
    out[:len(array)] = array
    return out


def _signed(raw: bytes) -> str:
    return str(int.from_bytes(raw, "little", signed=True))


def _unsigned(raw: bytes) -> str:
    return str(int.from_bytes(raw, "little"))


def _hexadecimal(raw: bytes) -> str:
    return f"0x{int.from_bytes(raw, 'little'):x}"


def _texts(raw: bytes) -> list[str]:
    return raw.decode("utf-16-le").removesuffix("\0").split("\0")


def _guid(raw: bytes) -> str:
    text = (raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]).hex().upper()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _sid(raw: bytes) -> str:
    parts = [int.from_bytes(raw[at:at + 4], "little") for at in range(8, len(raw), 4)]
    return "-".join(map(str, (f"S-{raw[0]}", int.from_bytes(raw[2:8], "big"), *parts)))


def _moment(raw: bytes) -> str:
    micros = int.from_bytes(raw, "little") // 10 - _EPOCH
    return f"{np.datetime_as_string(np.datetime64(micros, 'us'), unit='us')}Z"


_FORMS: dict[int, Callable[[bytes], str]] = {
    0x03: _signed, 0x05: _signed, 0x07: _signed, 0x09: _signed,
    0x04: _unsigned, 0x06: _unsigned, 0x08: _unsigned, 0x0A: _unsigned,
    0x0D: lambda raw: "true" if raw[0] else "false", 0x0E: lambda raw: raw.hex().upper(), 0x0F: _guid,
    0x81: lambda raw: "\n".join(_texts(raw)), 0x82: lambda raw: _texts(raw)[-1],
    0x10: _hexadecimal, 0x11: _moment, 0x13: _sid, 0x14: _hexadecimal, 0x15: _hexadecimal,
}

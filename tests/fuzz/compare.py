"""One input through both readers of event logs: rows and rejects must be the same.

An input is a byte of choices and a chunk, whose trailing zeros are left out. Choices: 1 keeps the checksums as they
are (else they are made right, so that the machine code reads the chunk); 2 puts sound chunks before and behind it.
"""

from __future__ import annotations

import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from hikeshi.evidence.source import Source
from hikeshi.machine import Loaded
from hikeshi.parse import evtx, evtx_fast, evtx_native

CHUNK = evtx.CHUNK_BYTES
KEEP_SUMS, NEIGHBOURS = 1, 2
_HEAD = struct.pack("<8s3QI4H76x", b"ElfFile\0", 0, 0, 1, 128, 1, 3, 4096, 1)
_HEADER = (_HEAD + struct.pack("<II", 0, zlib.crc32(_HEAD))).ljust(4096, b"\0")
_NEVER = NotImplementedError
# What each way keeps from one file to the next, as in the product.
_kept: dict[str, list[Any]] = {"slow": [], "fast": []}


class Different(Exception):
    """The two ways say different things."""


class Outside(Exception):
    """The machine code looked behind the end of its memory."""


def repaired(chunk: bytes) -> bytes:
    """The chunk with the checksums that its content needs."""
    out = bytearray(chunk)
    free, = struct.unpack_from("<I", out, 48)
    if 512 <= free <= CHUNK:
        struct.pack_into("<I", out, 52, zlib.crc32(out[512:free]))
        struct.pack_into("<I", out, 124, zlib.crc32(out[128:512], zlib.crc32(out[:120])))
    return bytes(out)


def log_of(given: bytes) -> bytes:
    """The event log that an input stands for."""
    chunk = given[1:1 + CHUNK].ljust(CHUNK, b"\0")
    if not given[0] & KEEP_SUMS:
        chunk = repaired(chunk)
    if not given[0] & NEIGHBOURS:
        return _HEADER + chunk
    return _HEADER + _neighbour() + chunk + _neighbour()


@lru_cache(maxsize=1)
def _neighbour() -> bytes:
    from tests.fuzz.seeds import chunk_of

    return chunk_of(0, 6)


def told(path: Path, way: str, loaded: Loaded | None) -> tuple[list[Any], list[Any], list[str]]:
    """Rows, rejects and columns as parse_evtx gives them."""
    source = Source(name="a", path=path, size=path.stat().st_size, sha256="", kind="evtx", zone_hint=None)
    evtx_fast.code._loaded = [loaded]
    evtx._kept[:] = _kept[way]
    try:
        tables = list(evtx.parse_evtx(source))
        _kept[way] = evtx._kept[:]
    finally:
        evtx._kept.clear()
        evtx_fast.code.forget()
    return ([row for t in tables for row in t.iter_rows()],
            sorted(((r.reason, r.record, r.offset) for t in tables for r in t.rejects if "checksum" not in r.reason),
                   key=repr),
            sorted({n for t in tables for n in (*t.columns, *t.fields)}))


def check(path: Path, given: bytes, loaded: Loaded) -> int:
    """Write the log, read it both ways and compare; gives the number of rows."""
    path.write_bytes(log_of(given))
    slow, fast = told(path, "slow", None), told(path, "fast", loaded)
    if slow != fast and repr(slow) != repr(fast):
        raise Different(_first_difference(slow, fast))
    return len(slow[0])


def _first_difference(slow: Any, fast: Any) -> str:
    for name, a, b in zip(("rows", "rejects", "columns"), slow, fast, strict=True):
        if repr(a) != repr(b):
            if len(a) != len(b):
                return f"{name}: {len(a)} by the package, {len(b)} by machine code\n  {a[-3:]!r}\n  {b[-3:]!r}"
            at = next(i for i, (x, y) in enumerate(zip(a, b, strict=True)) if repr(x) != repr(y))
            if isinstance(a[at], dict):
                keys = [k for k in {**a[at], **b[at]} if repr(a[at].get(k, _NEVER)) != repr(b[at].get(k, _NEVER))]
                return f"row {at}: " + "; ".join(
                    f"{k}: {a[at].get(k, _NEVER)!r} by the package, {b[at].get(k, _NEVER)!r} by machine code" for k in keys)
            return f"{name} {at}: {a[at]!r} by the package, {b[at]!r} by machine code"
    return "order"


# ---- the machine code's source as plain Python, every place checked ----------------------------------------------


class _Guarded:
    """An array that may be read and written within [low, high) only."""

    __slots__ = ("array", "high", "low")

    def __init__(self, array: Any, low: int = 0, high: int | None = None) -> None:
        self.array, self.low, self.high = array, low, len(array) if high is None else high

    def __getitem__(self, at: Any) -> Any:
        if not self.low <= at < self.high:
            raise Outside(f"read at {at} of [{self.low}, {self.high})")
        return self.array[at]

    def __setitem__(self, at: Any, value: Any) -> None:
        if not self.low <= at < self.high:
            raise Outside(f"written at {at} of [{self.low}, {self.high})")
        self.array[at] = value


class _Types:
    """Stands where numba's types stand; any of them is the same to Python."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class Plain:
    """Stands where numba stands: functions stay Python."""

    types = _Types()

    @staticmethod
    def njit(*_: Any, **__: Any) -> Callable[[Any], Any]:
        return lambda function: function

    cfunc = njit


def plain_code() -> Loaded:
    """The machine code's source to be run as it is; slow. FastRows must be Checked."""
    with patch.dict(sys.modules, {"numba": Plain}):       # type: ignore[dict-item]  # `build` imports its types
        return Loaded(evtx_native.build(Plain), [])


class Checked(evtx_fast.FastRows):
    """FastRows on plain Python, whose arrays know their ends; a chunk's is its own, not the block's."""

    def _call(self, entry: Any, data: Any, counts: Any, index: Any, local: Any, values: Any) -> int:
        guarded = [_Guarded(a) for a in (
            self._state, self._arena, self._slots, self._entries, counts, self._templates, self._forms, index,
            self._steps, self._constants, self._texts, local, self._cells, self._rows, values)]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if entry is not self._read:
                return int(entry(_Guarded(data), *guarded))
            # A chunk at a time: then its end is known.
            state, last = self._state, int(self._state[evtx_native.CHUNKS])
            said = evtx_native.DONE
            while (said == evtx_native.DONE and state[evtx_native.AT] < last
                   and state[evtx_native.ROWS] < state[evtx_native.LIMIT]):
                at = int(state[evtx_native.AT])
                state[evtx_native.CHUNKS] = at + 1
                said = int(entry(_Guarded(data, at * CHUNK, (at + 1) * CHUNK), *guarded))
            state[evtx_native.CHUNKS] = last
            return said

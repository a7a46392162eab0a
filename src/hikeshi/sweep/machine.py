"""Calls of the machine code: tables and buffers as the addresses it takes, its answers as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hikeshi.sweep import native
from hikeshi.sweep.kernel import Kernel

if TYPE_CHECKING:
    from hikeshi.sweep.scan import Candidates, Tables

I64 = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
_ROOM = 1 << 15


class Lines(NamedTuple):
    """Lines of a buffer that hold a candidate: first byte, the line end's place, line ends before it; and how many
    line ends the buffer has."""

    starts: I64
    ends: I64
    numbers: I64
    line_ends: int


def _classes() -> Bytes:
    out = np.zeros(256, dtype=np.uint8)
    for byte in range(256):
        char = chr(byte) if byte < 128 else ""
        digit, alnum = "0" <= char <= "9" if char else False, char.isalnum()
        mark = native.IS_ALNUM * alnum | native.IS_DIGIT * digit
        mark |= native.IS_TOKEN * (alnum or char in tuple("._-")) | native.IS_TAIL * (char in tuple("._-"))
        hexadecimal = bool(char) and char in "0123456789abcdefABCDEF"
        mark |= native.IS_HEX * hexadecimal | native.IS_V6 * (hexadecimal or char in tuple(":."))
        out[byte] = mark | native.IS_HIGH * (byte >= 128)
    return out


_CLASSES = _classes()


class Machine:
    """One set of tables, ready to be looked for."""

    def __init__(self, kernel: Kernel, tables: Tables) -> None:
        from hikeshi.sweep.scan import WEIGHTS

        self.kernel, self.tables = kernel, tables
        self.numbers = np.zeros(native.NUMBERS, dtype=np.int64)
        self.out = np.zeros(3 * _ROOM, dtype=np.int64)
        self.masks = np.zeros(0, dtype=np.uint64)
        self.until = np.zeros(1, dtype=np.int64)
        self.weights = WEIGHTS
        self.flags = (native.HAS_V6 * tables.has_v6 | native.HAS_IDNA * tables.has_idna
                      | native.NUMERIC_LAST * tables.numeric_last | native.HAS_RUNS * bool(len(tables.runs))
                      | native.HAS_V4 * tables.has_v4)

    def _call(self, entry: Any, data: Bytes, lengths: I64) -> int:
        t = self.tables
        arrays = (data, self.masks, _CLASSES, self.weights, t.filter, t.table, t.kinds, t.last, t.starts, t.ends,
                  t.ranges6, lengths, self.numbers, self.out, self.until)
        return int(entry(*[a.ctypes.data for a in arrays]))

    def _begin(self, size: int, flags: int) -> None:
        t, n = self.tables, self.numbers
        n[:] = 0
        n[native.N], n[native.ROOM], n[native.FLAGS] = size, _ROOM, flags
        n[native.KEY_SHIFT] = 64 - (len(t.filter) * 64).bit_length() + 1
        n[native.LAST_SHIFT] = 64 - (len(t.last) * 64).bit_length() + 1
        n[native.TABLE_MASK] = len(t.table) - 1
        n[native.RANGES], n[native.RANGES6] = len(t.starts), len(t.ranges6) // 4
        # Some more than there are: a token is looked at with the block behind its own.
        n[native.BLOCKS] = count = (size + 63 >> 6) + native.AHEAD
        if len(self.masks) < 3 * count:
            self.masks = np.zeros(3 * count, dtype=np.uint64)
        self.masks[(size + 63 >> 6):count] = 0
        n[native.PLAIN], n[native.RUNS] = len(t.plain), len(t.runs)

    def _all(self, entry: Any, data: Bytes, lengths: I64, size: int, flags: int) -> I64:
        self._begin(size, flags)
        parts = []
        while True:
            count = self._call(entry, data, lengths)
            parts.append(self.out[:3 * count].reshape(-1, 3).copy())
            if self.numbers[native.DONE] >= size:
                return np.concatenate(parts)
            self.numbers[native.FROM] = self.numbers[native.DONE]

    def stretches(self, data: Bytes, size: int) -> I64:
        """(start, end, slot) of every candidate in data[:size]; PAD zero bytes follow."""
        flags = self.flags & ~(native.HAS_V6 | native.HAS_IDNA)
        found = self._all(self.kernel.find, data, self.tables.runs, size, flags)
        if len(self.tables.plain):
            found = np.concatenate([found, self._all(self.kernel.find_plain, data, self.tables.plain, size, flags)])
        return found

    def lines(self, data: Bytes, size: int, *, lead_bytes: bool) -> Lines:
        """The lines of data[:size] with a candidate; the buffer begins with a line, PAD bytes follow, and if
        the last line has no end these are zeros."""
        flags = self.flags | native.WANT_LINES | native.LEAD_BYTES * lead_bytes
        found = self._all(self.kernel.find, data, self.tables.runs, size, flags)
        line_ends = int(self.numbers[native.LINE_ENDS])
        if len(self.tables.plain):
            more = self._all(self.kernel.find_plain, data, self.tables.plain, size, flags)
            if len(more):
                found = np.concatenate([found, more])
                found = found[np.unique(found[:, 0], return_index=True)[1]]
        return Lines(found[:, 0], found[:, 1], found[:, 2], line_ends)


_last: list[Machine] = []


def machine_of(kernel: Kernel, tables: Tables) -> Machine:
    """The machine of these tables; the last one is kept."""
    if not _last or _last[0].tables is not tables:
        _last[:] = [Machine(kernel, tables)]
    return _last[0]


def stretches(kernel: Kernel, data: bytes, tables: Tables) -> Candidates:
    from hikeshi.sweep.scan import joined

    buffer = np.zeros(len(data) + native.PAD, dtype=np.uint8)
    buffer[:len(data)] = np.frombuffer(data, dtype=np.uint8)
    found = machine_of(kernel, tables).stretches(buffer, len(data))
    return joined([(found[:, 0], found[:, 1], found[:, 2])])

"""native.py as machine code, see hikeshi/machine.py. Without it scan.py finds the same places."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from hikeshi.machine import MachineCode

_code = MachineCode("hikeshi.sweep.native", 15, "sweep", parts=("hikeshi.sweep.blocks",))
use = _code.use


class Kernel(NamedTuple):
    """The two entry points as C functions of fifteen addresses."""

    find: Any
    find_plain: Any


_wrapped: list[tuple[object, Kernel]] = []


def kernel() -> Kernel | None:
    """The machine code if it has been made; None where there is none."""
    loaded = _code.load()
    if loaded is None:
        return None
    if not _wrapped or _wrapped[0][0] is not loaded:
        _wrapped[:] = [(loaded, Kernel(*loaded.functions))]
    return _wrapped[0][1]


def location(*, make: bool) -> Path | None:
    """Where the machine code lies; made now if it must be (some fifteen seconds) and `make` says so."""
    return _code.location(make=make)

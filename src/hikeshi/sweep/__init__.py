"""Logs against indicators: which client went where, when first and last, how often, how much.

compiled.py  an indicator list as one mapped file of look-up tables: names, addresses, networks, URLs, hashes
scan.py      a text's tokens against fingerprints of all look-up keys, a chunk of bytes at a time
native.py    the same as machine code (made once by numba); kernel.py keeps and loads it, machine.py calls it
lines.py     the lines of a part of a file that may hold an indicator
sweeper.py   event tables × compiled indicators → sums
tallies.py   hits added up as columns; sightings.py makes sightings of them
discover.py  what looks like command and control without any list
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hikeshi.sweep.compiled import Compiled, compile_indicators, compile_lists, is_compiled, open_compiled
    from hikeshi.sweep.sightings import merge
    from hikeshi.sweep.sweeper import Sweeper

__all__ = [
    "Compiled", "Sweeper", "compile_indicators", "compile_lists", "is_compiled", "merge", "open_compiled"]

# Loaded when asked for: a parent process needs neither the parsers' tables nor their libraries.
_PLACES = {"Sweeper": "sweeper", "merge": "sightings"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    module = importlib.import_module(f"hikeshi.sweep.{_PLACES.get(name, 'compiled')}")
    value = globals()[name] = getattr(module, name)
    return value

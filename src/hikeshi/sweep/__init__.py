"""Logs against indicators: which client went where, when first and last, how often, how much.

compiled.py  an indicator list as one mapped file of look-up tables: names, addresses, networks, URLs, hashes
scan.py      a text's tokens against fingerprints of all look-up keys, a chunk of bytes at a time
native.py    the same as machine code (made once by numba); kernel.py keeps and loads it, machine.py calls it
lines.py     the lines of a part of a file that may hold an indicator
sweeper.py   event tables × compiled indicators → sightings; merge()
tallies.py   hits added up as columns
leases.py    which machine had an address when
discover.py  what looks like command and control without any list
"""

from hikeshi.sweep.compiled import Compiled, compile_indicators, compile_lists, is_compiled, open_compiled
from hikeshi.sweep.leases import Leases
from hikeshi.sweep.sweeper import Sweeper, merge

__all__ = [
    "Compiled", "Leases", "Sweeper", "compile_indicators", "compile_lists", "is_compiled", "merge", "open_compiled"]

"""Logs against indicators: which client went where, when first and last, how often, how much.

compiled.py  an IndicatorSet as look-up tables: names, addresses, networks, URL prefixes, hashes
scan.py      a text's tokens against fingerprints of all look-up keys, a chunk of bytes at a time
sweeper.py   event tables × compiled indicators → sightings; merge()
"""

from hikeshi.sweep.compiled import Compiled, compile_indicators
from hikeshi.sweep.sweeper import Sweeper, merge

__all__ = ["Compiled", "Sweeper", "compile_indicators", "merge"]

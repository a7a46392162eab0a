"""Addresses, names and hashes: found in text, made comparable, read from lists, checked against lists.

refang.py     text as indicators are matched in it: half width, refanged, with offsets into the original
names.py      top-level domains, and names that only look like domains
normalise.py  one value → Indicator in its comparable form
extract.py    free text (Japanese too) → what stands in it, and where
lists.py      text, CSV, STIX, MISP files → IndicatorSet
warning.py    MISP warning lists: marks what is probably harmless, drops nothing
"""

from hikeshi.indicators.extract import Found, extract
from hikeshi.indicators.lists import IndicatorSet, Problem, load_indicators
from hikeshi.indicators.normalise import normalise
from hikeshi.indicators.refang import refang
from hikeshi.indicators.warning import WarningLists, warning_lists

__all__ = [
    "Found", "IndicatorSet", "Problem", "WarningLists", "extract", "load_indicators", "normalise", "refang",
    "warning_lists",
]

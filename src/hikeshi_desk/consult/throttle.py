"""How often a code may be tried: counted for everybody together and for each code's first group.

No address is looked at. Counts live in the process's memory for ten minutes. A first group that was tried
wrongly too often is refused for a while, right codes too; past the common limit only wrong codes are, so that
nobody can lock consultees out: a right one can't be guessed.
"""

from __future__ import annotations

import hashlib

from django.core.cache import cache

from hikeshi_desk.intake.receipt import normalise

WINDOW_S = 600
MOST_OF_PREFIX = 10
MOST_OF_ALL = 600
_PREFIX = 4


def is_open(code: str) -> bool:
    return int(cache.get(_prefix(code), 0)) < MOST_OF_PREFIX


def is_busy() -> bool:
    return int(cache.get("codes", 0)) >= MOST_OF_ALL


def count_failure(code: str) -> None:
    for key in ("codes", _prefix(code)):
        if not cache.add(key, 1, WINDOW_S):
            try:
                cache.incr(key)
            except ValueError:  # the window ended between the two
                cache.add(key, 1, WINDOW_S)


def _prefix(code: str) -> str:
    group = normalise(code)[:_PREFIX] or "none"
    return "codes-" + hashlib.sha256(group.encode()).hexdigest()[:16]

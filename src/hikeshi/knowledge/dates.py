"""Days and months of knowledge records. A month is its whole length: "2024-02" is the 1st to the 29th."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date

_FORM = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?", re.ASCII)


def first_day(text: str) -> date:
    """The first day that "2024-02" or "2024-02-11" can mean. Raises ValueError."""
    year, month, day = _parts(text)
    return date(year, month, day or 1)


def last_day(text: str) -> date:
    """The last day that "2024-02" or "2024-02-11" can mean. Raises ValueError."""
    year, month, day = _parts(text)
    return date(year, month, day or monthrange(year, month)[1])


def check_span(first: str, last: str) -> str | None:
    """What is wrong with the two, or None."""
    for value in (first, last):
        try:
            last_day(value)
        except ValueError:
            return f"'{value}' is not a date like 2026-11-22 or a month like 2026-11"
    return f"'{first}' is after '{last}'" if first_day(first) > last_day(last) else None


def _parts(text: str) -> tuple[int, int, int | None]:
    found = _FORM.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= 12:
        raise ValueError(f"'{text}' is neither a day nor a month")
    return int(found[1]), int(found[2]), int(found[3]) if found[3] else None

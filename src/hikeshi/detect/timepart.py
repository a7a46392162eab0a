"""Sigma's date modifiers: the minute, hour, day, week, month or year of a time that a field holds as text."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import date

# As Windows, ECS and cloud logs write it; seconds, fractions and zones may follow. The part is that of the text.
_TIME = re.compile(r"\s*(\d{4})[-/](\d\d?)[-/](\d\d?)(?:[T ]+(\d\d?):(\d\d))?", re.ASCII)
_OPERATORS: dict[str, Callable[[int, float], bool]] = {
    "EQ": operator.eq, "NEQ": operator.ne, "LT": operator.lt, "LTE": operator.le, "GT": operator.gt,
    "GTE": operator.ge}


class TimePart:
    """A part of a time compared with a number; text that is no time never holds. Weeks are ISO weeks."""

    def __init__(self, unit: str, comparison: str, number: float) -> None:
        self._unit, self._compare, self._number = unit, _OPERATORS[comparison], number

    def __call__(self, value: str) -> bool:
        part = part_of(value, self._unit)
        return part is not None and self._compare(part, self._number)


def part_of(value: str, unit: str) -> int | None:
    """The part of a time as written, or None where the text holds none."""
    found = _TIME.match(value)
    if found is None:
        return None
    year, month, day = (int(n) for n in found.groups()[:3])
    try:
        when = date(year, month, day)
    except ValueError:
        return None
    if unit in ("HOUR", "MINUTE"):
        number = found[4 if unit == "HOUR" else 5]
        limit = 24 if unit == "HOUR" else 60
        return int(number) if number is not None and int(number) < limit else None
    if unit == "WEEK":
        return when.isocalendar()[1]
    return {"DAY": day, "MONTH": month, "YEAR": year}[unit]

"""The times logs write, as UTC microseconds and the zone they were read with.

A stamp with its own zone, offset or epoch is read with that; one without takes the context's
zone and says so; one without a year gets the year that its neighbours or the file suggest, and
one whose day and month could be swapped is read month first: both are told in `note`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple

from hikeshi.events.time import NO_TIME, assemble, parse_offset, to_datetime, zone_name
from hikeshi.parse.context import Context


class Stamp(NamedTuple):
    """`time` in UTC microseconds, `zone` as event.timezone writes it, `note` what was guessed."""

    time: int
    zone: str
    note: str | None = None


_QUARTER, _DELAY, _FARTHEST = 900_000_000, 60_000_000, 26 * 3_600_000_000


def same_moment(read: int, other: int) -> bool:
    """Whether two times of a record may be one moment, the first read with a wrong zone: zones are quarters of an
    hour apart, at most 26 hours, and a device takes up to a minute between two stamps."""
    apart = abs(read - other)
    return apart <= _FARTHEST and min(apart % _QUARTER, -apart % _QUARTER) <= _DELAY


MONTHS = {
    m: i + 1 for i, m in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
}
_MON = r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_DOW = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +)?"
_CLOCK = r"(\d{1,2}):(\d\d)(?::(\d\d))?(?:[.,:](\d{1,9}))?"
_ZONE = r"(?:\s*(Z|[A-Z]{2,4}T?|(?:UTC|GMT)?[+-]\d\d?:?\d{0,2}))?"
_F = re.ASCII | re.IGNORECASE

# Hours from UTC of abbreviations that mean one thing; CST, IST and BST mean several.
_ABBREVIATIONS = {
    "Z": 0,
    "UTC": 0,
    "GMT": 0,
    "WET": 0,
    "WEST": 1,
    "CET": 1,
    "CEST": 2,
    "EET": 2,
    "EEST": 3,
    "MSK": 3,
    "JST": 9,
    "KST": 9,
    "EST": -5,
    "EDT": -4,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
}

_YEAR_MON_DAY = re.compile(r"(\d{4}) +" + _MON + r" +(\d{1,2}) +" + _CLOCK + _ZONE + r":?\Z", _F)
_COLONS = re.compile(r"(\d{4}):(\d\d):(\d\d)-" + _CLOCK + r"\Z", _F)
_MONTH_DAY = re.compile(r"([01]\d)/([0-3]\d)-(\d\d):(\d\d):(\d\d)\.(\d{6})\Z", re.ASCII)
_YEAR_FIRST = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T :]+|\s*,\s*)" + _CLOCK + r"\s*([AP]M)?" + _ZONE + r"\Z", _F
)
_DAY_MON_YEAR = re.compile(
    r"\[?" + _DOW + r"(\d{1,2})[-/ ]" + _MON + r"[-/ ](\d{4})[: T]+" + _CLOCK + _ZONE + r"\]?\Z", _F
)
_MON_DAY_CLOCK_YEAR = re.compile(_DOW + _MON + r" +(\d{1,2}) +" + _CLOCK + r"(?: +([A-Z]{3,4}))? +(\d{4})\Z", _F)
_MON_DAY_YEAR = re.compile(_DOW + _MON + r" +(\d{1,2}),? +(\d{4})[ ,:]+" + _CLOCK + r"\s*([AP]M)?" + _ZONE + r"\Z", _F)
_MON_DAY = re.compile(_DOW + _MON + r" +(\d{1,2}) +" + _CLOCK + _ZONE + r":?\Z", _F)
_SLASHED = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d\d)(?:[ :T,]+|(?<=/\d{4})-)" + _CLOCK + r"\s*([AP]M)?" + _ZONE + r"\Z",
    _F,
)
_JAPANESE = re.compile(
    r"(\d{4})年(\d{1,2})月(\d{1,2})日(?:\s*\(.\))?\s*(午前|午後)?\s*(\d{1,2})[:時](\d{1,2})(?:[:分](\d{1,2}))?秒?\Z"
)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)[T ]?(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?" + _ZONE + r"\Z", _F)
_EPOCH = re.compile(r"(\d{10})(?:\.(\d{1,9}))?\Z|(\d{13})\Z|(\d{16})\Z|(\d{19})\Z", re.ASCII)
_MS_JSON = re.compile(r"/Date\((\d{13})\)/\Z")


def stamp(text: str, context: Context) -> Stamp | None:
    """A time as some log wrote it; None if it is none that is known."""
    if text[5:6] == "-" and (match := _MONTH_DAY.match(text)) and 0 < int(match[1]) <= 12:
        mon, day, h, mi, s, f = match.groups()  # Snort: 09/10-20:26:40.123456
        return _without_year(int(mon), day, h, mi, s, f, None, context)
    found = _absolute(text, context.zone, context.zone_label, context.day_first)
    if found is not None:
        if found.time != NO_TIME:
            context.neighbour = found.time
            return found
        return None
    if match := _MON_DAY.match(text):
        mon, day, h, mi, s, f, z = match.groups()
        return _without_year(MONTHS[mon.lower()], day, h, mi, s, f, z, context)
    return None


_LEADING = re.compile(
    r"\s*[\[(]?("
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}[T ]\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?:\s?(?:Z|UTC|GMT|JST|[+-]\d\d:?\d\d))?"
    r"|\d{4}年\d{1,2}月\d{1,2}日\s*\d{1,2}[:時]\d{1,2}(?:[:分]\d{1,2})?秒?"
    r"|\d{1,2}[-/ ][A-Za-z]{3}[-/ ]\d{4}[: ]\d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?"
    r"|(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d(?:\.\d+)?(?: \d{4})?"
    r"|\d{1,2}/\d{1,2}/\d{4}[ :-]\d{1,2}:\d\d:\d\d(?:\.\d{1,9})?(?: [AP]M)?"
    r"|\d\d/\d\d-\d\d:\d\d:\d\d\.\d{6}"
    r"|\d{10}(?:\.\d{1,6})?(?=[\s\]]))",
    re.ASCII,
)


def leading(text: str, context: Context) -> Stamp | None:
    """The time that a line without any header begins with."""
    match = _LEADING.match(text)
    return stamp(match[1], context) if match else None


@lru_cache(maxsize=100_000)
def _absolute(text: str, zone: tzinfo, label: str, day_first: bool) -> Stamp | None:
    """A stamp that has its year; a Stamp with NO_TIME if it has one but is no real time."""
    if len(text) > 64:
        return None
    if match := _YEAR_FIRST.match(text):
        y, mo, d, h, mi, s, f, half, z = match.groups()
        return _made(y, mo, d, _hour(h, half), mi, s, f, z, zone, label)
    if match := _EPOCH.match(text):
        return _epoch(match)
    if match := _DAY_MON_YEAR.match(text):
        d, mo, y, h, mi, s, f, z = match.groups()
        return _made(y, MONTHS[mo.lower()], d, h, mi, s, f, z, zone, label)
    if match := _MON_DAY_CLOCK_YEAR.match(text):
        mo, d, h, mi, s, f, z, y = match.groups()
        return _made(y, MONTHS[mo.lower()], d, h, mi, s, f, z, zone, label)
    if match := _MON_DAY_YEAR.match(text):
        mo, d, y, h, mi, s, f, half, z = match.groups()
        return _made(y, MONTHS[mo.lower()], d, _hour(h, half), mi, s, f, z, zone, label)
    if match := _SLASHED.match(text):
        a, b, y, h, mi, s, f, half, z = match.groups()
        y = f"20{y}" if len(y) == 2 else y
        month, day = (b, a) if int(a) > 12 or (day_first and int(b) <= 12) else (a, b)
        made = _made(y, month, day, _hour(h, half), mi, s, f, z, zone, label)
        unsure = int(a) <= 12 and int(b) <= 12 and a != b
        order = "day" if day_first else "month"
        return made._replace(note=f"{order} first assumed") if unsure else made
    if match := _JAPANESE.match(text):
        y, mo, d, half, h, mi, s = match.groups()
        return _made(y, mo, d, _hour(h, {"午前": "AM", "午後": "PM"}.get(half)), mi, s, None, None, zone, label)
    if match := _COMPACT.match(text):
        y, mo, d, h, mi, s, f, z = match.groups()
        return _made(y, mo, d, h, mi, s, f, z, zone, label)
    if match := _COLONS.match(text):
        y, mo, d, h, mi, s, f = match.groups()
        return _made(y, mo, d, h, mi, s, f, None, zone, label)
    if match := _YEAR_MON_DAY.match(text):
        y, mo, d, h, mi, s, f, z = match.groups()
        return _made(y, MONTHS[mo.lower()], d, h, mi, s, f, z, zone, label)
    if match := _MS_JSON.match(text):
        return Stamp(int(match[1]) * 1000, "UTC")
    return None


def _hour(text: str, half: str | None) -> str:
    if half is None:
        return text
    return str(int(text) % 12 + (12 if half.upper() == "PM" else 0))


def _epoch(match: re.Match[str]) -> Stamp:
    if match[1]:
        micro = int(match[1]) * 1_000_000 + int(((match[2] or "") + "000000")[:6])
    elif match[3]:
        micro = int(match[3]) * 1_000
    else:
        micro = int(match[4]) if match[4] else int(match[5]) // 1_000
    return Stamp(micro, "UTC")


def _made(
    year: str | int,
    month: str | int,
    day: str | int,
    hour: str,
    minute: str,
    second: str | None,
    fraction: str | None,
    zone_text: str | None,
    zone: tzinfo,
    label: str,
) -> Stamp:
    own = own_zone(zone_text) if zone_text else None
    micro = int((fraction or "0").ljust(6, "0")[:6])
    time = assemble(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micro, own or zone)
    return Stamp(time, zone_name(own, assumed=False) if own else label)


def own_zone(text: str) -> tzinfo | None:
    """The zone a log names itself: "+0900", "+09", "UTC+2", "JST"; None if that is ambiguous."""
    text = text.strip().upper()
    hours = _ABBREVIATIONS.get(text)
    if hours is not None:
        return timezone(timedelta(hours=hours)) if hours else UTC
    match = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d\d)?", text)
    if not match:
        return None
    found = parse_offset(f"{match[1]}{int(match[2]):02d}{match[3] or '00'}")
    return UTC if found is not None and found.utcoffset(None) == timedelta(0) else found


def _without_year(
    month: int,
    day: str,
    hour: str,
    minute: str,
    second: str | None,
    fraction: str | None,
    zone_text: str | None,
    context: Context,
) -> Stamp | None:
    clock = (month, int(day), int(hour), int(minute), int(second or 0), int((fraction or "0").ljust(6, "0")[:6]))
    return _year_told(clock, zone_text, context.zone, context.zone_label, context.neighbour, context.written)


@lru_cache(maxsize=50_000)
def _year_told(
    clock: tuple[int, int, int, int, int, int],
    zone_text: str | None,
    default: tzinfo,
    label: str,
    neighbour: int,
    written: int,
) -> Stamp | None:
    own = own_zone(zone_text) if zone_text else None
    zone = own or default
    label = zone_name(own, assumed=False) if own else label
    reference = neighbour if neighbour != NO_TIME else written
    base = to_datetime(reference).year if reference != NO_TIME else datetime.now(UTC).year
    if neighbour != NO_TIME:
        # Within half a year of the neighbour there is only one such day.
        near = assemble(base, *clock, zone)
        if near != NO_TIME and abs(near - neighbour) < 180 * 86_400_000_000:
            return Stamp(near, label, f"year {base} assumed")
    tries = [assemble(year, *clock, zone) for year in (base + 1, base, base - 1, base - 2, base - 3, base - 4)]
    tries = [t for t in tries if t != NO_TIME]  # 29 February exists only in some years
    if not tries:
        return None
    if neighbour != NO_TIME:
        time = min(tries, key=lambda t: abs(t - neighbour))
    else:
        # A log line is not younger than its file; two days cover a wrong zone.
        limit = (reference if reference != NO_TIME else max(tries)) + 2 * 86_400_000_000
        time = next((t for t in tries if t <= limit), tries[-1])
    return Stamp(time, label, f"year {to_datetime(time).year} assumed")

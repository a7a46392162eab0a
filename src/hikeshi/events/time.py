"""UTC microseconds, and the times that logs write.

Inside Hikeshi a time is an int: microseconds since 1970-01-01 UTC. NO_TIME stands for a
time that is absent or can't be read; it sorts last in every list made for people.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hikeshi.errors import UsageError

NO_TIME = -(2**63)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)  # it prints itself without an offset
_MICROSECOND = timedelta(microseconds=1)
# Years 1 to 9999, the span that datetime and every reader of our output can show.
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII)


def format_utc(time: int) -> str:
    """ISO 8601 in UTC with Z; fractions only where there are any."""
    if not _FIRST <= time <= _LAST:
        raise ValueError(f"time {time} is outside the years 1 to 9999")
    return f"{(_NAIVE_EPOCH + timedelta(microseconds=time)).isoformat()}Z"


def from_datetime(moment: datetime) -> int:
    """Microseconds of an aware datetime."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone: say which zone it is in first")
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(time: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time)


def from_epoch_seconds(text: str) -> int:
    """Microseconds from "1726000000.002"; NO_TIME if it is no such number or out of range."""
    whole, _, fraction = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 12):
        return NO_TIME
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        return NO_TIME
    time = int(whole) * 1_000_000 + int((fraction + "000000")[:6])
    return time if _FIRST <= time <= _LAST else NO_TIME


@lru_cache(maxsize=200_000)
def parse_iso(text: str, zone: tzinfo) -> int:
    """Microseconds from ISO 8601 or "YYYY-MM-DD HH:MM:SS"; `zone` where it names none.

    NO_TIME if it can't be read. A leap second becomes the next second.
    """
    match = _ISO.match(text)
    if not match:
        return NO_TIME
    year, month, day, hour, minute, second = (int(g) for g in match.groups()[:6])
    micro = int((match[7] or "0").ljust(6, "0")[:6])
    offset = parse_offset(match[8]) if match[8] else zone
    return assemble(year, month, day, hour, minute, second, micro, offset or zone)


def assemble(year: int, month: int, day: int, hour: int, minute: int, second: int, micro: int, zone: tzinfo) -> int:
    """Microseconds of a calendar time in a zone; NO_TIME if there is no such time."""
    extra = 0
    if second == 60:  # a leap second, as some logs write it
        second, extra = 59, 1_000_000
    try:
        moment = datetime(year, month, day, hour, minute, second, micro, zone)
        time = (moment - _EPOCH) // _MICROSECOND + extra
    except (ValueError, OverflowError):
        return NO_TIME
    return time if _FIRST <= time <= _LAST else NO_TIME


def parse_offset(text: str) -> tzinfo | None:
    """"Z", "+09:00", "+0900" or "-0530" as a zone; None if it is none."""
    if text == "Z":
        return UTC
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text)
    if not match:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes)) if minutes < 1440 else None


def parse_zone(text: str) -> tzinfo:
    """A zone from "+09:00", "UTC", "JST" or "Asia/Tokyo"; raises UsageError."""
    offset = parse_offset(text)
    if offset is not None:
        return offset
    try:
        return ZoneInfo({"JST": "Asia/Tokyo", "Z": "UTC"}.get(text.upper(), text))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"unknown time zone '{text}'", hint="write +09:00, UTC or Asia/Tokyo") from error


def machine_zone() -> tzinfo:
    """This machine's zone, with its summer times where its name can be found out."""
    name = os.environ.get("TZ", "").lstrip(":")
    if not name:
        # On Unix the zone is a link into the zone database; Windows only tells today's offset.
        _, _, name = str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")
    if name:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    return datetime.now().astimezone().tzinfo or UTC


def zone_name(zone: tzinfo, *, assumed: bool) -> str:
    """How `event.timezone` writes a zone; an assumed one says so."""
    name = getattr(zone, "key", None) or str(zone)
    return f"{name} (assumed)" if assumed else name

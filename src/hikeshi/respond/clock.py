"""When a promise falls due: Japanese business days, or hours round the clock.

Counting rule for business days. The day of receipt never counts, whatever the hour: what arrives on a
Friday at 09:00, at 18:30 or on the Sunday after it is due on the same day. (Counting a late arrival as
the next day would make Friday evening a day later than Sunday noon.) Day 1 is the first business day after
the day of receipt; the promise is kept until the desk closes on day n. Days are those of the desk's zone.

No business days: Saturday, Sunday, national holidays with their substitutes and the days between two of
them (`holidays` package), 29 December to 3 January, and the desk's own closures.

Hours run day and night, on holidays too: an emergency does not wait.

A pause takes nothing away and gives nothing: what was left when it began is left when it ends. A promise
that has run out stays run out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import holidays

from hikeshi.errors import UsageError

JAPAN = ZoneInfo("Asia/Tokyo")
_ONE_DAY = timedelta(days=1)
# A calendar that is closed for longer is a mistake in its closures, not a calendar.
_LONGEST_CLOSURE_DAYS = 400


@lru_cache(maxsize=256)
def _national_holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("JP", years=year))


@dataclass(frozen=True)
class Calendar:
    """The days a desk works. `closures` are its own; `closes` is when a due day ends, in `zone`."""

    closures: frozenset[date] = frozenset()
    closes: time = time(17, 0)
    zone: tzinfo = field(default=JAPAN)

    def is_business_day(self, day: date) -> bool:
        if day.weekday() >= 5 or day in self.closures:
            return False
        if (day.month, day.day) >= (12, 29) or (day.month, day.day) <= (1, 3):
            return False
        return day not in _national_holidays(day.year)

    def day_of(self, at: datetime) -> date:
        return _aware(at).astimezone(self.zone).date()

    def end_of(self, day: date) -> datetime:
        return datetime.combine(day, self.closes, tzinfo=self.zone)


@dataclass(frozen=True)
class Clock:
    """A promise that runs. `amount` is in `unit`; all times are aware."""

    started_at: datetime
    due_at: datetime
    amount: int
    unit: Literal["business_days", "hours"]
    paused_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """True once it ran out; while it stands still, the moment of the pause decides."""
        return (self.paused_at or _aware(now)) > self.due_at


def business_day_after(day: date, count: int, calendar: Calendar) -> date:
    """The count-th business day after `day`; with 0 `day` itself, or the next business day if it is none."""
    if count < 0:
        raise UsageError(f"a promise can't be {count} business days long")
    closed = 0
    if count == 0:
        day, count = day - _ONE_DAY, 1
    while count:
        day += _ONE_DAY
        closed += 1
        if calendar.is_business_day(day):
            count, closed = count - 1, 0
        elif closed > _LONGEST_CLOSURE_DAYS:
            raise UsageError(f"the calendar has no business day in the {closed} days before {day}",
                             hint="check its closures")
    return day


def business_days_between(first: date, last: date, calendar: Calendar) -> int:
    """Business days after `first` up to and with `last`; 0 if `last` is not later."""
    days = max(0, (last - first).days)
    return sum(calendar.is_business_day(first + timedelta(days=n)) for n in range(1, days + 1))


def due(received_at: datetime, amount: int, unit: Literal["business_days", "hours"],
        calendar: Calendar | None = None) -> Clock:
    """The clock of a promise given at `received_at`. Raises UsageError for a time without a zone."""
    received_at = _aware(received_at)
    calendar = calendar or Calendar()
    if unit == "hours":
        end = _later(received_at.astimezone(calendar.zone), timedelta(hours=amount))
    else:
        end = calendar.end_of(business_day_after(calendar.day_of(received_at), amount, calendar))
    return Clock(received_at, end, amount, unit)


def pause(clock: Clock, at: datetime) -> Clock:
    """The clock stands still from `at`. A clock that stands already keeps its first pause."""
    return clock if clock.paused_at else replace(clock, paused_at=_aware(at))


def resume(clock: Clock, at: datetime, calendar: Calendar | None = None) -> Clock:
    """The clock goes on at `at` with what was left when it was paused."""
    if clock.paused_at is None:
        return clock
    calendar = calendar or Calendar()
    paused, at = clock.paused_at, _aware(at)
    if at < paused:
        raise UsageError(f"a clock paused at {paused.isoformat()} can't go on at {at.isoformat()}")
    if paused > clock.due_at:
        return replace(clock, paused_at=None)
    if clock.unit == "hours":
        return replace(clock, due_at=_later(clock.due_at, at - paused), paused_at=None)
    left = business_days_between(calendar.day_of(paused), calendar.day_of(clock.due_at), calendar)
    end = calendar.end_of(business_day_after(calendar.day_of(at), left, calendar))
    if left == 0 and end < at:
        # Paused on its last day and resumed after closing time: that day is gone, the next one is its last.
        end = calendar.end_of(business_day_after(calendar.day_of(at), 1, calendar))
    return replace(clock, due_at=max(end, clock.due_at), paused_at=None)


def closures_from(days: Collection[str]) -> frozenset[date]:
    """Closures as written in data ("2026-08-13"). Raises UsageError naming the one that is no date."""
    found = set()
    for text in days:
        try:
            found.add(date.fromisoformat(text))
        except ValueError:
            raise UsageError(f"'{text}' is not a date like 2026-08-13", hint="correct the desk's closures") from None
    return frozenset(found)


def _later(moment: datetime, by: timedelta) -> datetime:
    """Elapsed time, not wall time: a zone with summer time must not stretch an hour."""
    return (moment.astimezone(ZoneInfo("UTC")) + by).astimezone(moment.tzinfo)


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise UsageError(f"{moment.isoformat()} has no time zone")
    return moment

"""Who is on call when: shifts as spans of real time, and the gaps between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hikeshi_desk.accounts.models import Membership, Role, User
from hikeshi_desk.oncall.models import Shift

WEEK = timedelta(days=7)
LONGEST = timedelta(days=31)


@dataclass(frozen=True)
class Span:
    """From, to (UTC, the end not included), and whose it is; nobody's is a gap."""

    begin: datetime
    end: datetime
    shift: Shift | None = None


def works(person: User) -> bool:
    """May be called: active, and handler or lead of the desk."""
    return person.is_active and Membership.objects.filter(
        user=person, organisation__is_desk=True, role__in=(Role.HANDLER, Role.LEAD)).exists()


def at_work() -> list[User]:
    """Everybody who may be called."""
    return list(User.objects.filter(is_active=True, memberships__organisation__is_desk=True,
                                    memberships__role__in=(Role.HANDLER, Role.LEAD)).distinct().order_by("name", "pk"))


def leads() -> list[User]:
    return list(User.objects.filter(is_active=True, memberships__organisation__is_desk=True,
                                    memberships__role=Role.LEAD).distinct().order_by("created_at", "pk"))


def shifts() -> list[Shift]:
    """Shifts of people who may be called; one of somebody who left is a gap."""
    return list(Shift.objects.filter(person__in=at_work()).select_related("person"))


def on_call(at: datetime, zone: ZoneInfo, rows: Iterable[Shift] | None = None) -> list[User]:
    """Who is called at that moment, in the order of their places; each once."""
    rows = shifts() if rows is None else rows
    now = [span.shift for span in spans(rows, at, at + timedelta(microseconds=1), zone) if span.shift]
    ordered = sorted(now, key=lambda shift: (shift.place, shift.first_day, shift.begins, str(shift.pk)))
    return list({shift.person.pk: shift.person for shift in ordered}.values())


def spans(rows: Iterable[Shift], begin: datetime, end: datetime, zone: ZoneInfo) -> list[Span]:
    """Every turn that touches the time from `begin` to `end`, by beginning."""
    found = [span for shift in rows for span in _turns(shift, begin, end, zone)]
    return sorted(found, key=lambda span: (span.begin, span.end))


def _turns(shift: Shift, begin: datetime, end: datetime, zone: ZoneInfo) -> Iterator[Span]:
    first, last = _turn(shift, 0, zone), shift.last_day
    if not shift.weekly:
        if first.begin < end and first.end > begin:
            yield first
        return
    # A week too early, because a change of clocks moves the real time of a wall-clock one.
    week = max(0, (begin - first.end) // WEEK - 1)
    while True:
        turn = _turn(shift, week, zone)
        if turn.begin >= end or (last and shift.first_day + week * WEEK > last):
            return
        if turn.end > begin:
            yield turn
        week += 1


def _turn(shift: Shift, week: int, zone: ZoneInfo) -> Span:
    later = week * WEEK
    return Span(moment(shift.first_day + later, shift.begins, zone), moment(shift.end_day + later, shift.ends, zone),
                shift)


def moment(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """The real time of a wall-clock one. One that is skipped in spring is as much later; one that comes twice
    in autumn is the first."""
    return datetime.combine(day, clock, zone).astimezone(UTC)


def gaps(rows: Iterable[Shift], begin: datetime, end: datetime, zone: ZoneInfo) -> list[Span]:
    """When nobody is on call."""
    found, reached = [], begin
    for span in spans(rows, begin, end, zone):
        if span.begin > reached:
            found.append(Span(reached, span.begin))
        reached = max(reached, span.end)
    if reached < end:
        found.append(Span(reached, end))
    return found

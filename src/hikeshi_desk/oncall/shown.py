"""What pages show of the roster and of calls, prepared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.models import User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import labels
from hikeshi_desk.cases.access import is_desk
from hikeshi_desk.cases.models import Case
from hikeshi_desk.cases.together import rows
from hikeshi_desk.oncall import roster, ways
from hikeshi_desk.oncall.models import Call, Notice, Shift, Way
from hikeshi_desk.oncall.plan import Plan

DAYS = 14
_MINUTES = 24 * 60


@dataclass(frozen=True)
class Bar:
    """A piece of a day's picture, in minutes from midnight; `kind` is on, also or gap."""

    x: int
    width: int
    kind: str
    title: str


@dataclass(frozen=True)
class Day:
    name: str
    bars: Sequence[Bar]
    people: str
    gaps: str


@dataclass(frozen=True)
class ShiftRow:
    id: UUID
    person: str
    place: str
    when: str
    is_lost: bool  # of somebody who may not be called any more


@dataclass(frozen=True)
class WayRow:
    id: UUID
    person: str
    kind: str
    value: str


@dataclass(frozen=True)
class NoticeRow:
    person: str
    kind: str
    at: labels.Moment | None
    state: str
    sign: str
    problem: str


@dataclass(frozen=True)
class Alarm:
    case: Case
    since: labels.Moment | None


def days(rows: Sequence[Shift], now: datetime, plan: Plan, count: int = DAYS) -> list[Day]:
    """The next days in the roster's zone. A day of 23 or 25 hours is drawn as one of 24: the words are exact."""
    today = timezone.localtime(now, plan.zone).date()
    return [_day(rows, today + timedelta(days=n), plan, now) for n in range(count)]


def _day(rows: Sequence[Shift], day: Any, plan: Plan, now: datetime) -> Day:
    begin = roster.moment(day, time(0), plan.zone)
    end = roster.moment(day + timedelta(days=1), time(0), plan.zone)
    turns = roster.spans(rows, begin, end, plan.zone)
    # What of today is over is nobody's worry any more.
    holes = roster.gaps(rows, max(begin, now), end, plan.zone) if now < end else []
    bars = [_bar(max(span.begin, begin), min(span.end, end), begin, end,
                 "on" if span.shift and span.shift.place == 1 else "also",
                 f"{_clock(span.begin, begin, end, plan)} {span.shift.person.name if span.shift else ''}")
            for span in sorted(turns, key=lambda one: -(one.shift.place if one.shift else 0))]
    bars += [_bar(hole.begin, hole.end, begin, end, "gap", text("oncall.roster.nobody")) for hole in holes]
    names = dict.fromkeys(f"{_clock(max(span.begin, begin), begin, end, plan)}–{_clock(span.end, begin, end, plan)} "
                          f"{span.shift.person.name}" for span in turns if span.shift)
    gaps = "、".join(f"{_clock(hole.begin, begin, end, plan)}–{_clock(hole.end, begin, end, plan)}" for hole in holes)
    return Day(f"{day:%m-%d} ({text(f'oncall.weekday.{day.weekday()}')})", bars, "、".join(names), gaps)


def _bar(begin: datetime, end: datetime, day: datetime, day_end: datetime, kind: str, title: str) -> Bar:
    scale = _MINUTES / ((day_end - day).total_seconds() / 60)
    x = round((begin - day).total_seconds() / 60 * scale)
    return Bar(x, max(1, round((end - day).total_seconds() / 60 * scale) - x), kind, title)


def _clock(at: datetime, begin: datetime, end: datetime, plan: Plan) -> str:
    """The time of day; what ends at midnight or later ends at 24:00."""
    if at >= end:
        return "24:00"
    return f"{timezone.localtime(max(at, begin), plan.zone):%H:%M}"


def shift_rows(viewer: Viewer, now: datetime, plan: Plan) -> list[ShiftRow]:
    """Shifts that are not over, as rows."""
    may = {person.pk for person in roster.at_work()}
    rows = visible(Shift, viewer).select_related("person")
    today = timezone.localtime(now, plan.zone).date()
    return [ShiftRow(row.pk, row.person.name, text(f"oncall.place.{row.place}"), _when(row), row.person_id not in may)
            for row in rows if not _is_over(row, today, now, plan)]


def _is_over(row: Shift, today: Any, now: datetime, plan: Plan) -> bool:
    if row.weekly:
        return bool(row.last_day and row.last_day + (row.end_day - row.first_day) < today)
    return roster.moment(row.end_day, row.ends, plan.zone) <= now


def _when(row: Shift) -> str:
    if not row.weekly:
        return f"{row.first_day} {row.begins:%H:%M} – {row.end_day} {row.ends:%H:%M}"
    begin, end = (text(f"oncall.weekday.{day.weekday()}") for day in (row.first_day, row.end_day))
    words = text("oncall.roster.weekly", begin=f"{begin} {row.begins:%H:%M}", end=f"{end} {row.ends:%H:%M}",
                 first=row.first_day)
    return words + (f" – {row.last_day}" if row.last_day else "")


def way_rows(viewer: Viewer) -> list[WayRow]:
    return [WayRow(way.pk, way.person.name, text(f"oncall.way.{way.kind}"), ways.short(way))
            for way in visible(Way, viewer).select_related("person").order_by("person__name", "added_at")]


def last_test(viewer: Viewer, user: User) -> Sequence[NoticeRow]:
    """How this person's newest test went."""
    call = visible(Call, viewer).filter(case=None, asked_by=user).order_by("-began_at").first()
    return notice_rows(call) if call else ()


def notice_rows(call: Call) -> list[NoticeRow]:
    return [_notice(one) for one in _notices(call.notices.all())]


def _notices(rows: QuerySet[Notice]) -> QuerySet[Notice]:
    return rows.annotate(person_name=F("person__name")).order_by("made_at", "pk")


def _notice(one: Any) -> NoticeRow:
    sign = {Notice.State.SENT: "done", Notice.State.FAILED: "high"}.get(Notice.State(one.state), "info")
    return NoticeRow(one.person_name, text(f"oncall.way.{one.kind}"), labels.moment(one.sent_at or one.made_at),
                     text(f"oncall.notice.{one.state}"), sign, text(one.problem) if one.problem else "")


def panel(case: Case, viewer: Viewer) -> Mapping[str, Any] | None:
    """The call of a case, for the desk."""
    if not is_desk(viewer):
        return None
    asked = reads(case, viewer)
    call, notices = (rows(case, viewer, name, asked[name]) for name in ("oncall.call", "oncall.notices"))
    if not call or (call[0].state == Call.State.TAKEN and not notices):
        return None
    call = call[0]
    calling = call.state == Call.State.CALLING
    return {"case": case, "is_calling": calling, "nobody": calling and call.nobody_at is not None,
            "can_take": calling and viewer.is_desk, "taken_by": call.taken_by_name or "",
            "taken_at": labels.moment(call.taken_at), "began": labels.moment(call.began_at),
            "next": labels.moment(call.next_at) if calling else None, "notices": [_notice(one) for one in notices]}


def reads(case: Case, viewer: Viewer) -> dict[str, QuerySet[Any]]:
    if not is_desk(viewer):
        return {}
    return {"oncall.call": visible(Call, viewer).filter(case=case).annotate(taken_by_name=F("taken_by__name")),
            "oncall.notices": _notices(visible(Notice, viewer).filter(call__case=case))}


def alarms(viewer: Viewer) -> list[Alarm]:
    """Urgent cases for which nobody could be reached."""
    if not is_desk(viewer):
        return []
    rows = visible(Call, viewer).filter(state=Call.State.CALLING, nobody_at__isnull=False, case__isnull=False)
    rows = rows.select_related("case").order_by("began_at")
    return [Alarm(call.case, labels.moment(call.nobody_at)) for call in rows]


def open_from(now: datetime, rows: Sequence[Shift], plan: Plan) -> str:
    """When nobody is on call next within the picture, in words; "" if always somebody is."""
    hole = next(iter(roster.gaps(rows, now, now + timedelta(days=DAYS), plan.zone)), None)
    if hole is None:
        return ""
    return f"{timezone.localtime(hole.begin.astimezone(UTC), plan.zone):%m-%d %H:%M}"

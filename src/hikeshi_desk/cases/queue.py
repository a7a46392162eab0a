"""The queue: one row a case, ordered by what must be answered next; filters with their counts.

Statements do not grow with the number of cases, nor does their cost: one for the counts (the finished are not counted:
they only grow), one for the rows, one for those that a task due now lifts, one for the clocks. The rows come out of
the index in their order; nothing is sorted.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import labels, rules, search
from hikeshi_desk.cases.access import is_desk, readable
from hikeshi_desk.cases.models import Case, Clock, Rank, Urgency

ROWS = 50
VIEWS = ("next", "open", "mine", "handed", "team", "unowned", "urgent", "today", "over", "tasks", "waiting", "finished")
_SHOWN = ("number", "serial", "rank", "order_at", "title", "state", "urgency", "incident", "is_anonymous", "asker_name",
          "contact", "handed_at", "task_due_at", "last_word_at", "last_word_by", "organisation", "tlp", "owner__name",
          "team__name")


@dataclass(frozen=True)
class Row:
    case: Case
    title: str
    clock: labels.ClockFace
    sign: str
    urgency_word: str
    state_word: str
    kind: str
    asker: str
    last_word: str
    last_word_at: labels.Moment | None
    owner: str
    task: str = ""
    is_handed: bool = False


@dataclass(frozen=True)
class Filter:
    label: str
    count: int | None
    url: str
    is_current: bool


@dataclass(frozen=True)
class Queue:
    rows: Sequence[Row]
    views: Sequence[Filter]
    kinds: Sequence[Filter]
    view: str
    query: str
    kind: str
    next_url: str
    previous_url: str
    empty: str


def build(viewer: Viewer, asked: Mapping[str, str], now: datetime | None = None) -> Queue:
    """The page for what the address asks (view, kind, q, page); anything unknown in it is ignored."""
    now = now or timezone.now()
    asked = {name: value.replace("\0", "") for name, value in asked.items()}  # PostgreSQL takes no NUL
    view = asked.get("view", "")
    view = view if view in VIEWS else "next"
    kind, query, page = asked.get("kind", "")[:32], asked.get("q", "").strip()[:100], _page(asked.get("page", ""))
    conditions = _conditions(viewer, now)
    everything = visible(Case, viewer)
    # A task that is asked again after the end brings a finished case back, on its day.
    unfinished = everything.filter(Q(rank__lt=Rank.FINISHED) | Q(task_due_at__lte=end_of_day(now)))
    counts = unfinished.aggregate(
        **{name: Count("rank", filter=where) for name, where in conditions.items()},
        lifted=Count("rank", filter=_lifted(viewer, now)))
    if query:
        cases, more = search.find(query, viewer), False
    else:
        rows = everything.filter(rank=Rank.FINISHED) if view == "finished" else everything.filter(conditions[view])
        rows = rows.select_related("owner", "team").only(*_SHOWN)
        if kind:
            rows = rows.filter(incident="" if kind == "none" else kind)
        lifted = _lifted(viewer, now) if counts["lifted"] and view != "finished" else None
        # Without the lifted ones "next" is a range of the index; with an OR it would be walked to its end.
        walk = rows.filter(rank__lte=Rank.OWED) if view == "next" else rows
        cases, more = _page_of(walk.order_by("rank", "-order_at" if view == "finished" else "order_at"),
                               rows.filter(lifted) if lifted else None, lifted, (page - 1) * ROWS)
    link = _Link(view=view, kind=kind, q=query)
    return Queue(
        rows=_rows(cases, viewer, now), view=view, query=query, kind=kind,
        views=[Filter(text(f"cases.view.{name}"), counts.get(name), link(view=name, q=""),
                      name == view and not query) for name in VIEWS],
        kinds=[] if query else _kinds(everything, conditions, view, kind, link),
        next_url=link(page=str(page + 1)) if more else "",
        previous_url=link(page=str(page - 1)) if page > 1 else "",
        empty=text("cases.queue.nothing_found") if query else text(f"cases.empty.{view}"))


def _page(asked: str) -> int:
    return min(max(int(asked), 1), 10_000) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 1


def end_of_day(now: datetime) -> datetime:
    return timezone.localtime(now, rules.calendar().zone).replace(hour=23, minute=59, second=59, microsecond=999_999)


def _conditions(viewer: Viewer, now: datetime) -> dict[str, Q]:
    """What each view holds, of the cases not finished. Tasks are the desk's own: they bring up nothing for others."""
    today = end_of_day(now)
    running = Q(rank__lte=Rank.OWED)  # a range: the index gives it in order
    unfinished = Q(rank__lt=Rank.FINISHED)
    desk = is_desk(viewer)
    due = Q(task_due_at__lte=now) if desk else Q(pk__in=[])
    teams = viewer.user.teams.values("pk") if viewer.user else []
    handed = Q(handed_at__isnull=False) & (Q(owner=viewer.user) | Q(owner=None, team__in=teams))
    return {
        "next": running | due,
        "open": unfinished,
        "mine": unfinished & Q(owner=viewer.user),
        "handed": unfinished & handed,
        "team": unfinished & Q(team__in=teams),
        "unowned": unfinished & Q(owner=None),
        "urgent": Q(rank=Rank.URGENT),
        "today": running & Q(due_at__gte=now, due_at__lte=today) | (Q(task_due_at__gte=now, task_due_at__lte=today)
                                                                   if desk else Q(pk__in=[])),
        "over": running & Q(due_at__lt=now),
        "tasks": Q(task_due_at__lte=today) if desk else Q(pk__in=[]),
        "waiting": Q(rank=Rank.NOT_OWED),
    }


def _lifted(viewer: Viewer, now: datetime) -> Q:
    """Cases that wait or are finished, but have a task whose time is there: owed like an answer. The desk's only."""
    return Q(rank__gt=Rank.OWED, task_due_at__lte=now) if is_desk(viewer) else Q(pk__in=[])


def _page_of(walk: QuerySet[Any], above: QuerySet[Any] | None, lifted: Q | None,
             start: int) -> tuple[list[Case], bool]:
    """The rows of a page and whether there are more: the walk down the index, and the lifted ones put into it."""
    if above is None or lifted is None:
        cases = list(walk[start:start + ROWS + 1])
        return cases[:ROWS], len(cases) > ROWS
    up = list(above.order_by("task_due_at")[:start + ROWS + 1])
    # So many rows further up the page may begin: what is before is not on it, however the two mix.
    first = max(0, start - len(up))
    rest = list(walk.exclude(lifted)[first:start + ROWS + 1])
    merged = list(heapq.merge((((case.rank, case.order_at), case) for case in rest),
                              (((Rank.OWED, case.task_due_at), case) for case in up), key=itemgetter(0)))
    cases = [case for _, case in merged[start - first:]]
    return cases[:ROWS], len(cases) > ROWS


def _kinds(everything: QuerySet[Any], conditions: Mapping[str, Q], view: str, kind: str,
           link: _Link) -> list[Filter]:
    if view not in conditions:
        return []
    counted = (everything.filter(conditions[view]).order_by().values_list("incident")
               .annotate(count=Count("*")).order_by("-count", "incident"))
    found = [Filter(labels.label("incident", code), count, link(kind=code or "none", q=""), kind == (code or "none"))
             for code, count in counted[:12]]
    return [Filter(text("cases.view.any_kind"), None, link(kind="", q=""), not kind), *found] if found else []


def _rows(cases: Sequence[Case], viewer: Viewer, now: datetime) -> list[Row]:
    running: dict[object, Clock] = {}
    for clock in Clock.objects.filter(case__in=[case.pk for case in cases], stopped_at=None).order_by("-due_at"):
        running[clock.case_id] = clock
    desk = is_desk(viewer)
    titled = readable(viewer, cases)
    return [_row(case, running.get(case.pk), now, desk=desk, titled=case.pk in titled) for case in cases]


def _row(case: Case, clock: Clock | None, now: datetime, *, desk: bool, titled: bool) -> Row:
    # Judged urgent, or running on an urgent clock: the word is the same.
    urgency = Urgency.HIGH if case.rank == Rank.URGENT else case.urgency
    return Row(case, case.title if titled else case.number,
               labels.face(clock, now) if desk else labels.NO_CLOCK, _sign(case, urgency),
               labels.label("urgency", urgency), labels.label("state", case.state),
               labels.label("incident", case.incident), asker_of(case) if desk else "",
               labels.label("last_word", case.last_word_by), labels.moment(case.last_word_at),
               case.owner.name if case.owner else (case.team.name if case.team else ""),
               _task(case, now) if desk else "", desk and case.handed_at is not None)


def _task(case: Case, now: datetime) -> str:
    """A task with a time of its own, once its day is there."""
    at = case.task_due_at
    if at is None or at > end_of_day(now):
        return ""
    moment = labels.moment(at)
    return text("cases.queue.task_over" if at < now else "cases.queue.task_due", time=moment.local if moment else "")


def _sign(case: Case, urgency: str) -> str:
    """Colour is for what the desk must do: a case that waits for the asker keeps the word only."""
    return urgency if case.rank < Rank.NOT_OWED else ""


def asker_of(case: Case) -> str:
    if case.is_anonymous:
        return text("cases.asker.anonymous")
    return case.asker_name or case.contact or text("cases.asker.unknown")


class _Link:
    """Addresses of the queue with some of what was asked changed; a page number is never carried along."""

    def __init__(self, **asked: str) -> None:
        self.asked = asked

    def __call__(self, **changes: str) -> str:
        wanted = {name: value for name, value in {**self.asked, **changes}.items()
                  if value and (name, value) not in (("view", "next"), ("page", "1"))}
        return f"?{urlencode(wanted)}" if wanted else "?"

"""Promises that were not kept, by the month they ran out in, with the reason that was given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.db.models.functions import TruncMonth

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import clocks, labels, rules
from hikeshi_desk.cases.models import Clock
from hikeshi_desk.cases.queue import Filter

ROWS = 100
_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])", re.ASCII)
_REASONS = {"": Q(), "with": ~Q(breach_reason=""), "without": Q(breach_reason="")}


@dataclass(frozen=True)
class Row:
    clock: Clock
    number: str
    title: str
    promise: str
    due: labels.Moment | None
    late: str
    is_running: bool
    reason: str
    owner: str


@dataclass(frozen=True)
class Breaches:
    rows: Sequence[Row]
    months: Sequence[Filter]
    reasons: Sequence[Filter]
    next_url: str
    previous_url: str


def build(viewer: Viewer, asked: Mapping[str, str], now: datetime) -> Breaches:
    """The page for what the address asks (month, reason, page); anything unknown in it is ignored."""
    month = asked.get("month", "") if _MONTH.fullmatch(asked.get("month", "")) else ""
    reason = asked.get("reason", "") if asked.get("reason", "") in _REASONS else ""
    given = asked.get("page", "")
    page = max(int(given), 1) if given.isascii() and given.isdigit() and len(given) < 5 else 1
    zone = rules.calendar().zone
    everything = visible(Clock, viewer).filter(clocks.breached(now))
    by_month = everything.annotate(month=TruncMonth("due_at", tzinfo=zone)).order_by().values_list("month")
    counted = list(by_month.annotate(count=Count("pk"), reasoned=Count("pk", filter=~Q(breach_reason="")))
                   .order_by("-month"))
    rows = everything.filter(_REASONS[reason])
    if month:
        year, number = int(month[:4]), int(month[5:])
        first = datetime(year, number, 1, tzinfo=zone)
        rows = rows.filter(due_at__gte=first,
                           due_at__lt=datetime(year + number // 12, number % 12 + 1, 1, tzinfo=zone))
    start = (page - 1) * ROWS
    found = list(rows.select_related("case__owner").order_by("-due_at", "-pk")[start:start + ROWS + 1])

    def link(**changes: str) -> str:
        wanted = {name: value for name, value in {"month": month, "reason": reason, **changes}.items() if value}
        return f"?{urlencode(wanted)}"

    within = [row for row in counted if not month or f"{row[0]:%Y-%m}" == month]
    whole, reasoned = sum(row[1] for row in within), sum(row[2] for row in within)
    counts = {"": whole, "with": reasoned, "without": whole - reasoned}
    return Breaches(
        rows=[_row(row, now) for row in found[:ROWS]],
        months=[Filter(text("cases.breaches.all_months"), sum(row[1] for row in counted), link(month=""), not month),
                *(Filter(f"{at:%Y-%m}", count, link(month=f"{at:%Y-%m}"), f"{at:%Y-%m}" == month)
                  for at, count, _ in counted[:24])],
        reasons=[Filter(text(f"cases.breaches.{name or 'any'}"), counts[name], link(reason=name), name == reason)
                 for name in _REASONS],
        next_url=link(page=str(page + 1)) if len(found) > ROWS else "",
        previous_url=link(page=str(page - 1)) if page > 1 else "")


def _row(clock: Clock, now: datetime) -> Row:
    rule = rules.clocks().get(clock.rule)
    end = clock.stopped_at or clock.paused_at or now
    return Row(clock, clock.case.number, clock.case.title, rule.label if rule else clock.rule,
               labels.moment(clock.due_at), labels.length(end - clock.due_at), clock.stopped_at is None,
               clock.breach_reason, clock.case.owner.name if clock.case.owner else "")

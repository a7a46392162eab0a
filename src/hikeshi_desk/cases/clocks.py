"""A case's promises: started, paused, stopped; and the case's place in the queue, kept after each."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Min, Q

from hikeshi.respond import clock as respond
from hikeshi_desk.cases import rules
from hikeshi_desk.cases.models import Case, Clock, Rank, State, Urgency

FINISHED = (State.CLOSED, State.DECLINED, State.MERGED)


def start(case: Case, rule: rules.ClockRule, at: datetime) -> Clock:
    """A promise begins, unless one is running: the asker keeps the earlier one."""
    running = running_of(case)
    if running:
        return running
    made = respond.due(at, rule.amount, rule.unit, rules.calendar())
    row = Clock(case=case, rule=rule.id, amount=rule.amount, unit=rule.unit, started_at=at, due_at=made.due_at)
    row.save(force_insert=True)
    return row


def running_of(case: Case) -> Clock | None:
    return case.clocks.filter(stopped_at=None).order_by("due_at").first()


def start_next(case: Case, at: datetime) -> Clock:
    """The asker wrote again: an answer is owed once more."""
    urgent = case.urgency == Urgency.HIGH
    return start(case, rules.clocks()["urgent_next_answer" if urgent else "next_answer"], at)


def as_clock(row: Clock) -> respond.Clock:
    unit = row.unit
    assert unit == "business_days" or unit == "hours"
    return respond.Clock(row.started_at, row.due_at, row.amount, unit, row.paused_at)


def pause(row: Clock, reason: str, at: datetime) -> None:
    row.paused_at, row.pause_reason = respond.pause(as_clock(row), at).paused_at, reason
    row.save(update_fields=["paused_at", "pause_reason"])


def resume(row: Clock, at: datetime) -> None:
    made = respond.resume(as_clock(row), at, rules.calendar())
    row.due_at, row.paused_at, row.pause_reason = made.due_at, None, ""
    row.save(update_fields=["due_at", "paused_at", "pause_reason"])


def stop_all(case: Case, at: datetime) -> None:
    case.clocks.filter(stopped_at=None).update(stopped_at=at)


def hasten(case: Case, at: datetime) -> None:
    """Judged urgent after it began: the running promise is replaced by the urgent one if that is earlier."""
    row = running_of(case)
    if row is None or row.unit == "hours":
        return
    name = "urgent_next_answer" if case.answered_at else "urgent_answer"
    rule = rules.clocks()[name]
    made = respond.due(at, rule.amount, rule.unit, rules.calendar())
    if made.due_at < row.due_at:
        row.stopped_at = at
        row.save(update_fields=["stopped_at"])
        Clock.objects.create(case=case, rule=rule.id, amount=rule.amount, unit=rule.unit,
                             started_at=at, due_at=made.due_at, paused_at=row.paused_at, pause_reason=row.pause_reason)


def settle(case: Case) -> None:
    """Sets what the queue orders by (rank, order_at, due_at) from state, clocks and tasks. The caller saves.

    A task that falls due in a case that waits lifts it when that time is there: the queue does that.
    """
    row = case.clocks.filter(stopped_at=None).order_by("due_at").first()
    case.due_at = row.due_at if row else None
    case.task_due_at = case.tasks.filter(done_at=None).aggregate(first=Min("due_at"))["first"]
    if case.state in FINISHED:
        case.rank, case.order_at = Rank.FINISHED, case.last_word_at
        return
    if row is None or row.paused_at:
        case.rank, case.order_at = Rank.NOT_OWED, case.last_word_at
        return
    urgent = case.urgency == Urgency.HIGH or row.unit == "hours"
    case.rank, case.order_at = Rank.URGENT if urgent else Rank.OWED, min(row.due_at, case.task_due_at or row.due_at)


def breached(now: datetime) -> Q:
    """Clocks that ran out, running or stopped too late. As a filter on Clock."""
    from django.db.models import F

    return (Q(stopped_at=None, paused_at=None, due_at__lt=now) | Q(stopped_at__gt=F("due_at"))
            | Q(stopped_at=None, paused_at__gt=F("due_at")))

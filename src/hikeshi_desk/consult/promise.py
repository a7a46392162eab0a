"""When the answer comes, in the reader's words: a day and an hour, how that was counted, and whether it rests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.translation import get_language

from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import clocks, labels, rules
from hikeshi_desk.cases.models import Case

_DAYS_JA = "月火水木金土日"
_DAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS_EN = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
              "November", "December")


@dataclass(frozen=True)
class Promise:
    """`words` is the time, `counted` the rule behind it; `rests` the reason while the clock stands still."""

    words: str
    utc: str
    counted: str
    is_urgent: bool = False
    is_over: bool = False
    is_paused: bool = False
    rests: str = ""


def made(due_at: datetime, unit: str, amount: int) -> Promise:
    """What is promised at the moment of receiving."""
    moment = labels.moment(due_at)
    return Promise(in_words(due_at), moment.utc if moment else "", text(f"consult.promise.{unit}", number=amount),
                   is_urgent=unit == "hours")


def of(case: Case, now: datetime | None = None) -> Promise | None:
    """What is promised now; None when no answer is owed."""
    row = clocks.running_of(case)
    if row is None:
        return None
    start = made(row.due_at, row.unit, row.amount)
    return Promise(start.words, start.utc, start.counted, start.is_urgent,
                   is_over=row.paused_at is None and row.due_at < (now or timezone.now()),
                   is_paused=row.paused_at is not None, rests=row.pause_reason if row.paused_at else "")


def in_words(at: datetime) -> str:
    """"11月26日（木）17時00分（日本時間）", "Thursday 26 November, 17:00 (Japan time)"."""
    local = timezone.localtime(at, rules.calendar().zone)
    if (get_language() or "ja").startswith("en"):
        return (f"{_DAYS_EN[local.weekday()]} {local.day} {_MONTHS_EN[local.month - 1]}, {local:%H:%M} "
                f"({text('consult.promise.zone')})")
    return (f"{local.month}月{local.day}日（{_DAYS_JA[local.weekday()]}）{local.hour}時{local.minute:02d}分"
            f"（{text('consult.promise.zone')}）")


def usual() -> dict[str, str]:
    """How soon this desk answers, for the public page: first answers, urgent ones."""
    found = {}
    for name in ("first_answer", "urgent_answer"):
        rule = rules.clocks()[name]
        found[name] = text(f"consult.promise.{rule.unit}", number=rule.amount)
    return found

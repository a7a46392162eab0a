"""What a case still lacks before it may close: one place for the page that says so and the act that refuses."""

from __future__ import annotations

from datetime import datetime

from hikeshi_desk.cases import clocks, rules
from hikeshi_desk.cases.models import Case, Message, Task

PARTS = ("findings", "advice")
GAPS = ("unanswered", "owed", "findings", "advice", "tasks", "breach")
# Headings as the reply templates write them; what stands below one must say something.
_HEADINGS = {
    "findings": ("調査結果", "findings"),
    "advice": ("対策の助言", "対策アドバイス", "対策", "advice"),
}
_OTHER = ("まだ分からないこと", "what we don't know yet")
_MARKS = "■●◆#＃【】[]()（）:：・*＊ \t\u3000"


def parts_in(body: str) -> set[str]:
    """The parts whose heading stands in the text with words below it."""
    found: set[str] = set()
    current = ""
    for line in body.splitlines():
        heading = line.strip(_MARKS).casefold()
        named = next((part for part, names in _HEADINGS.items() if heading in names), "")
        if named:
            current = named
        elif heading in _OTHER or line.lstrip().startswith(("■", "#", "＃", "【", "◆")):
            current = ""
        elif current and any(sign.isalnum() for sign in line):
            found.add(current)
    return found


def missing(case: Case, now: datetime) -> list[str]:
    """Of GAPS, what is not there; a case that was never answered lacks the answer only, not also its parts."""
    gaps = []
    if case.answered_at is None:
        gaps.append("unanswered")
    else:
        if clocks.running_of(case):
            gaps.append("owed")
        told = {part for parts in case.messages.filter(kind=Message.Kind.REPLY).values_list("parts", flat=True)
                for part in parts or []}
        gaps += [part for part in PARTS if part not in told]
    if open_tasks(case):
        gaps.append("tasks")
    if case.clocks.filter(clocks.breached(now), breach_reason="").exists():
        gaps.append("breach")
    return gaps


def open_tasks(case: Case) -> list[Task]:
    """What is to be done before the end; what is asked again after closure is not."""
    return list(case.tasks.filter(done_at=None).exclude(kind__in=rules.follow_ups()))

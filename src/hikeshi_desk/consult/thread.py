"""A consultee's own conversation, found by the receipt's HMAC: answers, replies and files, never a note."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from hikeshi.knowledge.advice import Advice, advice_for
from hikeshi.respond.clock import due
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks, rules
from hikeshi_desk.cases.labels import Moment, moment
from hikeshi_desk.cases.models import Case, Message, State
from hikeshi_desk.cases.opening import open_submission
from hikeshi_desk.intake import spool
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.submit import Accepted

log = logging.getLogger(__name__)
_ADVICE = {"ransomware": "ransomware", "data_leak": "exfiltration", "targeted": "exfiltration",
           "web_compromise": "web_shell"}


@dataclass(frozen=True)
class Entry:
    is_desk: bool
    at: Moment | None
    body: str
    files: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Kept:
    """What is known of a receipt when its case may not be open yet."""

    incident: str
    received_at: Moment | None
    due_at: Moment | None
    is_urgent: bool


def open_now(accepted: Accepted) -> None:
    """Opens the case at once. It is kept already: whatever fails here is done again at the next start."""
    submission = Submission.objects.filter(pk=accepted.submission_id, opened_at=None).first()
    if submission is None:
        return
    try:
        open_submission(submission)
    except Exception as error:  # the edge of the stage: the consultee has been promised it is kept, and it is
        log.exception("submission %s is kept but not opened", submission.pk)
        Submission.objects.filter(pk=submission.pk).update(problem=f"{type(error).__name__}: {error}"[:500])


def find(receipt: str) -> Case | None:
    """The case of this receipt."""
    return Case.objects.filter(receipt=receipt).first() if receipt else None


def exists(receipt: str) -> bool:
    """Something was kept under this receipt, opened or not."""
    return Submission.objects.filter(receipt=receipt).exists()


def kept(receipt: str) -> Kept | None:
    """For the receipt page: the kind, when it arrived and when the answer is promised."""
    submission = Submission.objects.filter(receipt=receipt).order_by("received_at").first()
    if submission is None:
        return None
    try:
        payload, _ = spool.read(submission.pk)
    except spool.Damaged:
        log.exception("submission %s can't be read", submission.pk)
        return Kept("unknown", moment(submission.received_at), None, is_urgent=False)
    case = find(receipt)
    rule = rules.first_clock(payload.incident, payload.request)
    promised = case.due_at if case else due(submission.received_at, rule.amount, rule.unit, rules.calendar()).due_at
    return Kept(payload.incident, moment(submission.received_at), moment(promised), is_urgent=rule.unit == "hours")


def advice(incident: str) -> tuple[Advice, ...]:
    return advice_for(None, _ADVICE.get(incident, "unknown"))


def entries(case: Case) -> list[Entry]:
    """The conversation as the asker may see it, oldest first."""
    rows = case.messages.filter(kind__in=(Message.Kind.ASKER, Message.Kind.REPLY)).order_by("at")
    return [Entry(is_desk=row.kind == Message.Kind.REPLY, at=moment(row.at), body=row.body,
                  files=tuple((file.name, file.size) for file in row.attachments.all()))
            for row in rows.prefetch_related("attachments")]


def is_over(case: Case) -> bool:
    return case.state in clocks.FINISHED


def promised(case: Case) -> Moment | None:
    return moment(case.due_at)


def close(receipt: str, at: datetime | None = None) -> bool:
    """The asker needs no more. Closing twice is closing once; a later word opens it again."""
    at = at or timezone.now()
    with transaction.atomic():
        case = Case.objects.select_for_update().filter(receipt=receipt).first()
        if case is None or is_over(case):
            return False
        clocks.stop_all(case, at)
        case.state, case.closed_at = State.CLOSED, at
        case.close_reason = text("consult.thread.closed_by_asker", language="ja")
        clocks.settle(case)
        case.save()
        record("consultee", "case.closed_by_asker", f"case:{case.pk}", number=case.number)
    return True

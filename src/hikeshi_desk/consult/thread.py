"""A consultee's own conversation, found by the receipt's HMAC: answers, replies and files, never a note."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from hikeshi.respond.clock import due
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks, rules
from hikeshi_desk.cases.labels import Moment, moment
from hikeshi_desk.cases.models import Attachment, Case, Message, State
from hikeshi_desk.cases.opening import begin
from hikeshi_desk.consult import promise
from hikeshi_desk.consult.models import LastRead
from hikeshi_desk.consult.promise import Promise
from hikeshi_desk.intake import spool
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.submit import Accepted, IncomingFile, Payload, submit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class File:
    id: UUID
    name: str
    size: int


@dataclass(frozen=True)
class Entry:
    """One word of the conversation; only the desk's own files can be fetched again."""

    id: UUID
    is_desk: bool
    is_new: bool
    at: Moment | None
    body: str
    files: tuple[File, ...]
    is_filing: bool = False  # large files follow these words


@dataclass(frozen=True)
class Point:
    """One point of the asker's hypothesis, and what the desk thinks of it."""

    claim: str
    stance: str
    words: str
    comment: str


@dataclass(frozen=True)
class Decline:
    """Why this desk can't take it, and who may."""

    reason: str
    body: str
    why: str


@dataclass(frozen=True)
class Kept:
    """What is known of a receipt when its case may not be open yet."""

    incident: str
    request: str
    received_at: Moment | None
    promise: Promise | None


def send(payload: Payload, files: Sequence[IncomingFile], key: str) -> Accepted:
    """Kept, and opened at once; large files follow their words. Raises NotAccepted when it could not be kept."""
    accepted = submit(payload, files, idempotency_key=key)
    _open_now(accepted)
    return accepted


def _open_now(accepted: Accepted) -> None:
    """It is kept already: whatever fails here is done again at the next start."""
    submission = Submission.objects.filter(pk=accepted.submission_id, opened_at=None).first()
    if submission is None:
        return
    try:
        begin(submission)
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
        return Kept("unknown", "", moment(submission.received_at), None)
    case = find(receipt)
    rule = rules.first_clock(payload.incident, payload.request)
    due_at = due(submission.received_at, rule.amount, rule.unit, rules.calendar()).due_at
    return Kept(payload.incident, payload.request, moment(submission.received_at),
                promise.of(case) if case else promise.made(due_at, rule.unit, rule.amount))


def entries(case: Case, read_up_to: str | None) -> list[Entry]:
    """The conversation as the asker may see it, oldest first; answers behind the one last read are new."""
    rows = list(case.messages.filter(kind__in=(Message.Kind.ASKER, Message.Kind.REPLY)).order_by("at")
                .select_related("submission").prefetch_related("attachments"))
    last = next((row.at for row in rows if str(row.pk) == read_up_to), None)
    found = []
    for row in rows:
        is_desk = row.kind == Message.Kind.REPLY
        found.append(Entry(row.pk, is_desk, is_desk and (last is None or row.at > last), moment(row.at), row.body,
                           tuple(File(file.pk, file.name, file.size) for file in row.attachments.all()),
                           is_filing=bool(row.submission and row.submission.opened_at is None)))
    return found


def read_up_to(case: Case) -> str:
    """The newest answer that was shown before, "" if none was."""
    known = LastRead.objects.filter(case=case).first()
    return str(known.message_id) if known else ""


def mark_read(receipt: str) -> None:
    """Every answer of now has been shown."""
    case = find(receipt)
    newest = case.messages.filter(kind=Message.Kind.REPLY).order_by("-at").first() if case else None
    if newest:
        LastRead.objects.update_or_create(case=case, defaults={"message": newest})


def points(case: Case) -> list[Point]:
    """The second opinion, point by point; a point without an answer says so."""
    return [Point(row.claim, row.stance, text(f"consult.stance.{row.stance or 'open'}"), row.comment)
            for row in case.points.all()]


def declined(case: Case) -> Decline | None:
    """The newest refusal of a case that ended so."""
    row = case.referrals.filter(kind="decline").order_by("-at").first() if case.state == State.DECLINED else None
    if row is None:
        return None
    reason, body = rules.reasons().get(row.reason_code), rules.bodies().get(row.body)
    routes = [route for route in rules.routes_for(case.asker_kind, case.incident) if route.body == row.body]
    return Decline(reason.label if reason else "", body.name_on(timezone.localdate()) if body else "",
                   routes[0].label if routes else "")


def answer_file(receipt: str, file_id: UUID) -> Attachment | None:
    """A file of the desk's answer in this conversation. What the asker sent is not handed out again."""
    return Attachment.objects.filter(pk=file_id, case__receipt=receipt, message__kind=Message.Kind.REPLY).exclude(
        case__receipt="").first()


def is_over(case: Case) -> bool:
    return case.state in clocks.FINISHED


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

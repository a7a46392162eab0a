"""What did not arrive, told in its case: which address, why, what to do; and somebody is to do it.

Our mail is known by its message id, which nobody outside its correspondence can guess. An answering machine's word is
kept in the case too, but moves nothing: a vacation is not an answer.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from hikeshi.evidence.mail import Bounce, Mail
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks, search
from hikeshi_desk.cases.models import Case, Message, State, Task
from hikeshi_desk.mail.models import MailThread, ReceivedMail, SentMail

TASK = "mail_undelivered"
_LONGEST = 2000


def bounced(received: ReceivedMail, mail: Mail) -> bool:
    """A delivery report on mail of ours; True if it was one. Only a failure puts the case on somebody's desk."""
    sent = SentMail.objects.filter(mail_id__in=[one for one in (*mail.about, *mail.in_reply_to, *mail.references)
                                                if len(one) <= 255][-200:]).order_by("-created_at").first()
    if sent is None:
        return False
    reports = mail.bounces or (Bounce(sent.recipient, "failed", "", ""),)
    failed = [one for one in reports if one.action == "failed"]
    if not failed:
        return True
    one = next((report for report in failed if report.recipient.casefold() == sent.recipient.casefold()), failed[0])
    give_up(sent, " ".join(filter(None, (one.status, one.diagnostic))), at=received.received_at)
    return True


def give_up(sent: SentMail, why: str, *, at: datetime | None = None) -> None:
    """This mail will not arrive: said once, in its case."""
    at = at or timezone.now()
    with transaction.atomic():
        row = SentMail.objects.select_for_update().get(pk=sent.pk)
        if row.failed_at:
            return
        row.failed_at, row.problem = at, (why or row.problem)[:500]
        row.save(update_fields=["failed_at", "problem"])
        record("mail", "mail.undelivered", f"sentmail:{row.pk}", reason=row.problem[:200])
        case = case_of(row)
        if case is not None:
            _tell(case, row, at)


def case_of(sent: SentMail) -> Case | None:
    if sent.message is not None:
        return sent.message.case
    return Case.objects.filter(receipt=sent.thread.key).first() if sent.thread is not None else None


def _tell(case: Case, sent: SentMail, at: datetime) -> None:
    language = "en" if case.language == "en" else "ja"
    case = Case.objects.select_for_update().get(pk=case.pk)
    why = sent.problem or text("mail.undelivered.no_reason", language=language)
    _say(case, text("mail.undelivered.body", language=language, address=sent.recipient, why=why,
                    advice=text(f"mail.undelivered.{_advice(sent.problem)}", language=language)), at)
    if not case.tasks.filter(kind=TASK, done_at=None).exists():
        Task.objects.create(case=case, kind=TASK, title=text("mail.undelivered.task", language=language), due_at=at)
    if case.state == State.WAITING:  # for an answer to words that nobody got
        case.state = State.OPEN
        for clock in case.clocks.filter(stopped_at=None).exclude(paused_at=None):
            clocks.resume(clock, max(at, clock.paused_at or at))
    clocks.settle(case)
    case.save()
    record("mail", "case.mail_undelivered", f"case:{case.pk}", number=case.number)


def _advice(why: str) -> str:
    if "5.1." in why or "user unknown" in why.casefold() or "no such user" in why.casefold():
        return "wrong_address"
    if "5.2.2" in why or "quota" in why.casefold() or "full" in why.casefold():
        return "full"
    return "other_way"


def machine_said(received: ReceivedMail, thread: MailThread, mail: Mail) -> None:
    """An automatic answer in a case's thread: to be read there, no clock moves."""
    case = Case.objects.filter(receipt=thread.key).first()
    if case is None:
        return
    language = "en" if case.language == "en" else "ja"
    words = mail.text.strip()[:_LONGEST] or mail.subject
    with transaction.atomic():
        _say(case, f"{text('mail.machine_said', language=language)}\n\n{words}", received.received_at,
             mail_id=mail.message_id)
        record("mail", "case.mail_automatic", f"case:{case.pk}", number=case.number, mail=str(received.pk))


def _say(case: Case, body: str, at: datetime, mail_id: str = "") -> None:
    Message.objects.create(case=case, kind=Message.Kind.SYSTEM, channel="mail", body=body, at=at, mail_id=mail_id[:998])
    search.index(case, [body], internal=True)

"""Messages of a call on their way: by mail through the desk's own sending, by webhook through egress.

A message is claimed before it is sent, with a time after which anybody may claim it again: no lock is held while
another machine is waited for, and a process that dies in between loses nothing.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.urls import reverse
from django.utils import timezone, translation

from hikeshi_desk import egress
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import labels
from hikeshi_desk.mail import send
from hikeshi_desk.mail.post import load_post
from hikeshi_desk.oncall import links, ways
from hikeshi_desk.oncall.models import Call, Notice, Way
from hikeshi_desk.oncall.plan import Plan, load_plan

log = logging.getLogger(__name__)
PAUSES_S = (15, 30, 60, 120, 240, 480, 900)  # after each vain try; then it has failed
_CLAIM = timedelta(seconds=60)
_TIMEOUT_S = 10
ON_ITS_WAY = "oncall.problem.on_its_way"  # written down for the mail server, which did not have it yet


def impossible(way: Way | None) -> str:
    """Why this way can't be used at all now, as a key; "" if it can."""
    if way is None or way.kind == Way.Kind.MAIL:
        post = load_post()
        return "" if post.address and post.smtp else "oncall.problem.no_mail"
    if not ways.value_of(way):
        return "oncall.problem.sealed"
    return "" if egress.may_call(ways.value_of(way)) else "egress.refused.not_named"


def send_due(now: datetime | None = None) -> int:
    """Send what is due; gives how many messages failed for good."""
    now = now or timezone.now()
    waiting = Notice.objects.filter(state=Notice.State.WAITING, next_try_at__lte=now).order_by("next_try_at", "made_at")
    return sum(_send(notice, now) for notice in list(waiting[:100]))


def _send(notice: Notice, now: datetime) -> bool:
    claimed = Notice.objects.filter(pk=notice.pk, state=Notice.State.WAITING, next_try_at=notice.next_try_at,
                                    tries=notice.tries).update(next_try_at=now + _CLAIM, tries=notice.tries + 1)
    if not claimed:  # another node has it
        return False
    notice.refresh_from_db()
    if not notice.person.is_active:
        return _done(notice, "oncall.problem.left", now, for_good=True)
    return _done(notice, _deliver(notice), now)


def _deliver(notice: Notice) -> str:
    """Send one message; gives the key of what went wrong, or ""."""
    with translation.override(notice.person.language):
        said = words(notice, load_plan())
    if notice.kind == Way.Kind.MAIL:
        return _mail(ways.value_of(notice.way) if notice.way else notice.person.email, said, notice.key)
    if notice.way is None:
        return "oncall.problem.way_gone"
    content = {name: said[name] for name in ("text", "number", "kind", "due", "link")}
    try:
        answer = egress.call("POST", ways.value_of(notice.way), body=json.dumps(content, ensure_ascii=False).encode(),
                             headers={"Content-Type": "application/json"}, timeout_s=_TIMEOUT_S, most=100_000)
    except egress.Refused as refused:
        return refused.reason
    return "" if answer.is_good else "oncall.problem.answer"


def _mail(address: str, said: dict[str, str], key: str) -> str:
    """Into the desk's outgoing mail, once; asked again, whether it went out."""
    try:
        mail = send.send_notice(address, said["subject"], said["body"], key)
    except ValueError:
        return "oncall.refused.mail"
    except send.TooMany:
        return "oncall.problem.too_many"
    if mail is None:
        return "oncall.problem.no_mail"
    if mail.sent_at:
        return ""
    return "oncall.problem.mail" if mail.problem else ON_ITS_WAY


def _done(notice: Notice, problem: str, now: datetime, *, for_good: bool = False) -> bool:
    """Note how it went; True when it has failed for good."""
    with transaction.atomic():
        # The call's lock first, as everywhere: somebody may be taking it at this moment.
        call = Call.objects.select_for_update().get(pk=notice.call_id)
        row = Notice.objects.select_for_update().get(pk=notice.pk)
        row.problem = problem
        if not problem:
            row.state, row.sent_at = Notice.State.SENT, now
        elif for_good or row.tries > len(PAUSES_S):
            row.state = Notice.State.FAILED
        else:
            row.state, row.next_try_at = Notice.State.WAITING, now + timedelta(seconds=PAUSES_S[row.tries - 1])
        if row.state == Notice.State.WAITING and call.state == Call.State.TAKEN:
            row.state = Notice.State.STOPPED
        row.save()
        failed = row.state == Notice.State.FAILED
        if failed:
            record("system", "oncall.failed", call.subject, person=row.person_id, way=row.kind, why=row.problem)
        if problem and problem != ON_ITS_WAY:
            log.warning("an on-call message (%s, try %d) did not go out: %s", row.kind, row.tries, problem)
        if failed and call.state == Call.State.CALLING and not Notice.objects.filter(
                call=call, round=call.round).exclude(state=Notice.State.FAILED).exists():
            call.next_at = now
            call.save(update_fields=["next_at"])
    return failed


def words(notice: Notice, plan: Plan) -> dict[str, str]:
    """What the person reads, in the language that is on; "" for what a test does not have."""
    case = notice.call.case
    link = plan.address + (reverse("cases:case", args=[case.pk]) if case else reverse("oncall:roster"))
    answer = plan.address + reverse("oncall:link", args=[links.token_of(notice)])
    if case is None:
        return {"subject": text("oncall.mail.test_subject"), "body": text("oncall.mail.test_body", answer=answer),
                "text": text("oncall.chat.test", link=link), "number": "", "kind": "", "due": "", "link": link}
    kind = labels.label("incident", case.incident)
    due = when(case.due_at, plan)
    return {"subject": text("oncall.mail.subject", number=case.number, kind=kind),
            "body": text("oncall.mail.body", number=case.number, kind=kind, due=due, answer=answer, link=link),
            "text": text("oncall.chat.text", number=case.number, kind=kind, due=due, link=link),
            "number": case.number, "kind": kind, "due": case.due_at.isoformat() if case.due_at else "", "link": link}


def when(at: datetime | None, plan: Plan) -> str:
    """A time in the roster's zone, with its name."""
    if at is None:
        return text("oncall.mail.no_due")
    local = timezone.localtime(at, plan.zone)
    return f"{local:%Y-%m-%d %H:%M} {local.tzname()}"

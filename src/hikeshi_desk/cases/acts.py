"""What the desk does with a case. Every act is one transaction, writes to the audit log and settles the queue.

`by` is who acts; acts refuse what makes no sense with Refused (its `key` is a text of texts/cases.toml).
Callers have looked the case up through accounts.access.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from hikeshi_desk.accounts.models import Membership, Organisation, Role, Team, User
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks, rules, search, signals
from hikeshi_desk.cases.models import (
    Case,
    Clock,
    Message,
    OpinionPoint,
    Party,
    Phase,
    Referral,
    State,
    Task,
    TriageDecision,
    Urgency,
    Verdict,
)

P = ParamSpec("P")
_NO_INCIDENT = (Verdict.FAILURE, Verdict.FALSE_POSITIVE)
_SCOPES = ("conversation", "files", "findings", "indicators")


class Refused(ValueError):
    """The act is not possible now; `key` names the text that says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _act(work: Callable[Concatenate[Case, User, P], dict[str, Any]]) -> Callable[Concatenate[Case, User, P], Case]:
    """In one transaction: lock the case, do the work, settle, save, record what it returned under its name."""
    @wraps(work)
    def act(case: Case, by: User, /, *args: P.args, **kwargs: P.kwargs) -> Case:
        with transaction.atomic():
            locked = Case.objects.select_for_update().get(pk=case.pk)
            detail = work(locked, by, *args, **kwargs)
            clocks.settle(locked)
            locked.save()
            if detail is not UNCHANGED:
                record(str(by.pk), f"case.{work.__name__}", f"case:{locked.pk}", number=locked.number, **detail)
        return locked
    return act


UNCHANGED: dict[str, Any] = {}


def _said(text: str, refusal: str) -> str:
    text = text.strip()
    if not text:
        raise Refused(refusal)
    return text


@_act
def triage(case: Case, by: User, *, verdict: str, reason: str, rule: str = "", rsit: str = "") -> dict[str, Any]:
    """Judge: verdict with its reason first, then urgency by a rule. Earlier judgements stay as history."""
    reason = _said(reason, "cases.refused.reason")
    if verdict not in Verdict.values or not verdict:
        raise Refused("cases.refused.verdict")
    if (rule and rule not in rules.urgency_rules()) or (rsit and rsit not in rules.rsit()):
        raise Refused("cases.refused.choice")
    if rule and verdict in _NO_INCIDENT:
        raise Refused("cases.refused.urgency_without_incident")
    urgency = _urgency(case, verdict, rule)
    at = timezone.now()
    if urgency == Urgency.HIGH and case.urgency != Urgency.HIGH:
        signals.after_commit(signals.case_urgent, case.pk)
    TriageDecision.objects.create(case=case, verdict=verdict, reason=reason, urgency=urgency, urgency_rule=rule,
                                  rsit=rsit, by=by, at=at)
    case.verdict, case.urgency, case.rsit = verdict, urgency, rsit or case.rsit
    case.state = State.OPEN if case.state == State.NEW else case.state
    case.phase = Phase.RESPONSE if verdict == Verdict.TRUE else Phase.TRIAGE
    if urgency == Urgency.HIGH:
        clocks.hasten(case, at)
    _finish_task(case, "triage", by, at)
    if rule:
        _add_tasks(case, rules.tasks_after(urgency))
    search.index(case, [reason], internal=True)
    return {"verdict": verdict, "urgency": urgency, "rule": rule, "rsit": rsit}


def _urgency(case: Case, verdict: str, rule: str) -> str:
    if verdict in _NO_INCIDENT:
        return Urgency.LOW
    return rules.urgency_rules()[rule].urgency if rule else case.urgency


def _add_tasks(case: Case, wanted: Iterable[rules.FollowingTask]) -> None:
    known = set(case.tasks.values_list("kind", flat=True))
    Task.objects.bulk_create([
        Task(case=case, kind=rule.id, title=rule.en if case.language == "en" else rule.ja, position=50 + number)
        for number, rule in enumerate(wanted) if rule.id not in known])


def _finish_task(case: Case, kind: str, by: User, at: datetime) -> None:
    case.tasks.filter(kind=kind, done_at=None).update(done_at=at, done_by=by)


@_act
def reply(case: Case, by: User, *, body: str, message_id: UUID | None = None, wait: bool = False) -> dict[str, Any]:
    """Answer the asker: seen by them, stops the promise. The same `message_id` twice is one answer."""
    body = _said(body, "cases.refused.empty")
    if message_id and Message.objects.filter(pk=message_id).exists():
        return UNCHANGED
    at = timezone.now()
    _speak(case, by, body, at, message_id)
    case.state = State.WAITING if wait else State.OPEN
    _finish_task(case, "answer", by, at)
    return {"wait": wait, "length": len(body)}


def _speak(case: Case, by: User, body: str, at: datetime, message_id: UUID | None = None) -> None:
    message = Message(case=case, kind=Message.Kind.REPLY, channel="web", author=by, author_role=role_of(by),
                      body=body, at=at)
    if message_id:
        message.pk = message_id
    message.save(force_insert=True)
    clocks.stop_all(case, at)
    case.answered_at = case.answered_at or at
    case.last_word_at, case.last_word_by = at, "desk"
    search.index(case, [body], internal=False)
    signals.after_commit(signals.case_answered, case.pk)


@_act
def note(case: Case, by: User, *, body: str, message_id: UUID | None = None) -> dict[str, Any]:
    """A word among the desk; it never leaves it."""
    body = _said(body, "cases.refused.empty")
    if message_id and Message.objects.filter(pk=message_id).exists():
        return UNCHANGED
    message = Message(case=case, kind=Message.Kind.NOTE, author=by, author_role=role_of(by), body=body,
                      at=timezone.now())
    if message_id:
        message.pk = message_id
    message.save(force_insert=True)
    search.index(case, [body], internal=True)
    return {"length": len(body)}


@_act
def assign(case: Case, by: User, *, owner: User | None, team: Team | None, reason: str = "") -> dict[str, Any]:
    """Give the case to a person, a group, both or nobody; the hand-over is logged with who had it before."""
    before = {"owner": case.owner_id and str(case.owner_id), "team": case.team_id}
    if owner is not None and not works_here(owner):
        raise Refused("cases.refused.owner")
    case.owner, case.team = owner, team
    if owner and case.state == State.NEW:
        case.state = State.OPEN
    return {"from": before, "owner": owner.name if owner else "", "team": team.name if team else "",
            "reason": reason.strip()[:500]}


@_act
def pause(case: Case, by: User, *, reason: str) -> dict[str, Any]:
    reason = _said(reason, "cases.refused.reason")[:200]
    row = _running(case)
    if row.paused_at:
        raise Refused("cases.refused.paused")
    clocks.pause(row, reason, timezone.now())
    return {"clock": row.rule, "reason": reason}


@_act
def resume(case: Case, by: User) -> dict[str, Any]:
    row = _running(case)
    if not row.paused_at:
        raise Refused("cases.refused.not_paused")
    clocks.resume(row, timezone.now())
    return {"clock": row.rule, "due": row.due_at}


def _running(case: Case) -> Clock:
    row = clocks.running_of(case)
    if row is None:
        raise Refused("cases.refused.no_clock")
    return row


@_act
def breach(case: Case, by: User, *, clock: Clock, reason: str) -> dict[str, Any]:
    """Why a promise ran out. Said once; a later word replaces it, the log keeps both."""
    if clock.case_id != case.pk or not case.clocks.filter(clocks.breached(timezone.now()), pk=clock.pk).exists():
        raise Refused("cases.refused.not_breached")
    clock.breach_reason = _said(reason, "cases.refused.reason")[:500]
    clock.save(update_fields=["breach_reason"])
    return {"clock": clock.rule, "reason": clock.breach_reason}


@_act
def decline(case: Case, by: User, *, reason_code: str, body: str, text: str) -> dict[str, Any]:
    """Not for this desk: the asker is told, with the body that may help ("" for none)."""
    text = _said(text, "cases.refused.empty")
    if reason_code not in rules.reasons() or (body and body not in rules.bodies()):
        raise Refused("cases.refused.choice")
    if case.state in clocks.FINISHED:
        raise Refused("cases.refused.finished")
    at = timezone.now()
    _speak(case, by, text, at)
    Referral.objects.create(case=case, kind="decline", body=body, reason_code=reason_code, note=text, at=at, by=by)
    case.state, case.closed_at = State.DECLINED, at
    return {"reason": reason_code, "body": body}


@_act
def close(case: Case, by: User, *, reason: str = "") -> dict[str, Any]:
    """The end of a case: answered, or closed with a reason."""
    if case.state in clocks.FINISHED:
        raise Refused("cases.refused.finished")
    if case.answered_at is None:
        _said(reason, "cases.refused.close_unanswered")
    if case.answered_at and clocks.running_of(case):
        _said(reason, "cases.refused.close_owed")
    at = timezone.now()
    clocks.stop_all(case, at)
    case.state, case.closed_at, case.close_reason = State.CLOSED, at, reason.strip()[:500]
    return {"reason": case.close_reason}


@_act
def reopen(case: Case, by: User, *, reason: str) -> dict[str, Any]:
    reason = _said(reason, "cases.refused.reason")
    if case.state not in clocks.FINISHED:
        raise Refused("cases.refused.not_finished")
    case.state, case.closed_at, case.merged_into = State.OPEN, None, None
    return {"reason": reason[:500]}


@_act
def merge(case: Case, by: User, *, into: Case) -> dict[str, Any]:
    """The same incident twice: this case points to the other. Its conversation stays its own, because two
    askers must not read each other; so does its promise, unless it was answered."""
    seen: set[UUID] = {case.pk}
    step: Case | None = into
    while step is not None:
        if step.pk in seen:
            raise Refused("cases.refused.merge_circle")
        seen.add(step.pk)
        step = step.merged_into
    if case.answered_at is None:
        raise Refused("cases.refused.merge_unanswered")
    at = timezone.now()
    clocks.stop_all(case, at)
    case.merged_into, case.state, case.closed_at = into, State.MERGED, at
    record(str(by.pk), "case.merged_here", f"case:{into.pk}", number=into.number, other=case.number)
    return {"into": into.number}


@_act
def opine(case: Case, by: User, *, point: OpinionPoint, stance: str, comment: str) -> dict[str, Any]:
    """One point of the hypothesis: agree, disagree or missing evidence, with why."""
    if point.case_id != case.pk or stance not in OpinionPoint.Stance.values or not stance:
        raise Refused("cases.refused.choice")
    point.stance, point.comment = stance, _said(comment, "cases.refused.reason")
    point.by, point.at = by, timezone.now()
    point.save()
    if not case.points.filter(stance="").exists():
        _finish_task(case, "second_opinion", by, timezone.now())
    search.index(case, [comment], internal=True)
    return {"point": point.position + 1, "stance": stance}


@_act
def finish(case: Case, by: User, *, task: Task, result: str = "") -> dict[str, Any]:
    """A task is done; doing so twice changes nothing."""
    if task.case_id != case.pk:
        raise Refused("cases.refused.choice")
    if task.done_at:
        return UNCHANGED
    task.done_at, task.done_by, task.result = timezone.now(), by, result.strip()
    task.save()
    search.index(case, [task.result], internal=True)
    return {"task": task.kind}


@_act
def invite(case: Case, by: User, *, organisation: Organisation, scope: Iterable[str]) -> dict[str, Any]:
    """A further organisation comes into the case, or what it sees changes."""
    wanted = sorted(set(scope))
    if not set(wanted) <= set(_SCOPES):
        raise Refused("cases.refused.choice")
    sees = {f"sees_{name}": name in wanted for name in _SCOPES}
    Party.objects.update_or_create(case=case, organisation=organisation, defaults={**sees, "removed_at": None})
    return {"organisation": organisation.name, "scope": wanted}


@_act
def uninvite(case: Case, by: User, *, party: Party) -> dict[str, Any]:
    if party.case_id != case.pk or party.removed_at:
        raise Refused("cases.refused.choice")
    party.removed_at = timezone.now()
    party.save(update_fields=["removed_at"])
    return {"organisation": party.organisation.name}


def role_of(user: User) -> str:
    """The role somebody acts in at the desk: lead before handler."""
    held = set(Membership.objects.filter(user=user, organisation__is_desk=True).values_list("role", flat=True))
    return next((role.value for role in (Role.LEAD, Role.HANDLER) if role.value in held), "")


def works_here(user: User) -> bool:
    return user.is_active and bool(role_of(user))

"""What the desk does with a case. Every act is one transaction, writes to the audit log and settles the queue.

`by` is who acts; acts refuse what makes no sense with Refused (its `key` is a text of texts/cases.toml).
Callers have looked the case up through accounts.access.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from django.utils import timezone

from hikeshi_desk.accounts.models import Organisation, Team, User
from hikeshi_desk.accounts.texts import text as words
from hikeshi_desk.audit.log import record
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import clocks, endings, rules, search, signals
from hikeshi_desk.cases.acting import UNCHANGED, Refused, act, role_of, said, works_here
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

_NO_INCIDENT = (Verdict.FAILURE, Verdict.FALSE_POSITIVE)
_SCOPES = ("conversation", "files", "findings", "indicators")


@act
def triage(case: Case, by: User, *, verdict: str, reason: str, rule: str = "", rsit: str = "") -> dict[str, Any]:
    """Judge: verdict with its reason first, then urgency by a rule. Earlier judgements stay as history."""
    reason = said(reason, "cases.refused.reason")
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
    case.phase = _phase(verdict, urgency)
    if urgency == Urgency.HIGH:
        clocks.hasten(case, at)
    _finish_task(case, "triage", by, at)
    if rule or verdict in _NO_INCIDENT:
        _follow(case, by, urgency, at)
    search.index(case, [reason], internal=True)
    return {"verdict": verdict, "urgency": urgency, "rule": rule, "rsit": rsit}


def _urgency(case: Case, verdict: str, rule: str) -> str:
    if verdict in _NO_INCIDENT:
        return Urgency.LOW
    return rules.urgency_rules()[rule].urgency if rule else case.urgency


def _phase(verdict: str, urgency: str) -> str:
    """The response for what is urgent or not yet known; the short path leads straight to the answer."""
    if verdict in _NO_INCIDENT or (verdict == Verdict.TRUE and urgency == Urgency.LOW):
        return Phase.REPORTING
    return Phase.RESPONSE if verdict == Verdict.TRUE else Phase.TRIAGE


def _follow(case: Case, by: User, urgency: str, at: datetime) -> None:
    """The tasks that this urgency asks for; those it makes needless end as skipped, and come back when it rises."""
    wanted = rules.tasks_after(urgency)
    skipped = rules.tasks_skipped(urgency)
    case.tasks.filter(kind__in=skipped, done_at=None).update(
        done_at=at, done_by=by, is_skipped=True, result=words("cases.task.skipped", language="ja"))
    case.tasks.filter(is_skipped=True).exclude(kind__in=skipped).update(
        done_at=None, done_by=None, is_skipped=False, result="")
    known = set(case.tasks.values_list("kind", flat=True))
    Task.objects.bulk_create([
        Task(case=case, kind=rule.id, title=rule.en if case.language == "en" else rule.ja, position=50 + number)
        for number, rule in enumerate(wanted) if rule.id not in known])


def _finish_task(case: Case, kind: str, by: User, at: datetime) -> None:
    case.tasks.filter(kind=kind, done_at=None).update(done_at=at, done_by=by)


@act
def reply(case: Case, by: User, *, body: str, message_id: UUID | None = None, wait: bool = False,
          parts: Iterable[str] = ()) -> dict[str, Any]:
    """Answer the asker: seen by them, stops the promise. The same `message_id` twice is one answer.

    `parts`: what it holds beside what its headings say, of endings.PARTS.
    """
    body = said(body, "cases.refused.empty")
    if message_id and Message.objects.filter(pk=message_id).exists():
        return UNCHANGED
    at = timezone.now()
    holds = sorted({*endings.parts_in(body), *(part for part in parts if part in endings.PARTS)})
    speak(case, by, body, at, message_id, parts=holds)
    case.state = State.WAITING if wait else State.OPEN
    _finish_task(case, "answer", by, at)
    return {"wait": wait, "length": len(body), "parts": holds}


def speak(case: Case, by: User, body: str, at: datetime, message_id: UUID | None = None, *,
          parts: Iterable[str] = (), stops: bool = True) -> Message:
    """A word to the asker, inside an act. `stops`: it answers, so the promise ends with it.

    A case split off without its asker's thread speaks through the case that has it.
    """
    message = Message(case=case, kind=Message.Kind.REPLY, channel="web", author=by, author_role=role_of(by),
                      body=body, at=at, parts=list(parts))
    if message_id:
        message.pk = message_id
    message.save(force_insert=True)
    if stops:
        clocks.stop_all(case, at)
        case.answered_at = case.answered_at or at
    case.last_word_at, case.last_word_by = at, "desk"
    search.index(case, [body], internal=False)
    speaker = _speaker(case)
    if speaker is not None:
        Message.objects.create(case=speaker, kind=Message.Kind.REPLY, channel="web", author=by,
                               author_role=message.author_role, body=body, at=at, copied_from=message)
        Case.objects.filter(pk=speaker.pk).update(last_word_at=at, last_word_by="desk")
        search.index(speaker, [body], internal=False)
    signals.after_commit(signals.case_answered, (speaker or case).pk)
    return message


def _speaker(case: Case) -> Case | None:
    """Where a split case's asker reads; None when that is the case itself, or nobody reads anywhere."""
    seen = {case.pk}
    step = case
    while not step.receipt and step.split_from is not None and step.split_from.pk not in seen:
        step = step.split_from
        seen.add(step.pk)
    return step if step.receipt and step.pk != case.pk else None


@act
def note(case: Case, by: User, *, body: str, message_id: UUID | None = None) -> dict[str, Any]:
    """A word among the desk; it never leaves it."""
    body = said(body, "cases.refused.empty")
    if message_id and Message.objects.filter(pk=message_id).exists():
        return UNCHANGED
    message = Message(case=case, kind=Message.Kind.NOTE, author=by, author_role=role_of(by), body=body,
                      at=timezone.now())
    if message_id:
        message.pk = message_id
    message.save(force_insert=True)
    search.index(case, [body], internal=True)
    return {"length": len(body)}


def held_by(case: Case) -> dict[str, Any]:
    """Who has the case, as the log keeps it: enough to put it back."""
    return {"owner": case.owner_id and str(case.owner_id), "team": case.team_id,
            "handed": case.handed_at and case.handed_at.isoformat()}


@act
def assign(case: Case, by: User, *, owner: User | None, team: Team | None, reason: str = "") -> dict[str, Any]:
    """Give the case to a person, a group, both or nobody; the hand-over is logged with who had it before."""
    before = held_by(case)
    if owner is not None and not works_here(owner):
        raise Refused("cases.refused.owner")
    case.owner, case.team, case.handed_at = owner, team, None
    if owner and case.state == State.NEW:
        case.state = State.OPEN
    return {"from": before, "owner": owner.name if owner else "", "team": team.name if team else "",
            "reason": reason.strip()[:500]}


@act
def pause(case: Case, by: User, *, reason: str) -> dict[str, Any]:
    reason = said(reason, "cases.refused.reason")[:200]
    row = _running(case)
    if row.paused_at:
        raise Refused("cases.refused.paused")
    clocks.pause(row, reason, timezone.now())
    return {"clock": row.rule, "reason": reason, "row": row.pk}


@act
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


@act
def breach(case: Case, by: User, *, clock: Clock, reason: str) -> dict[str, Any]:
    """Why a promise ran out. Said once; a later word replaces it, the log keeps both."""
    if clock.case_id != case.pk or not case.clocks.filter(clocks.breached(timezone.now()), pk=clock.pk).exists():
        raise Refused("cases.refused.not_breached")
    clock.breach_reason = said(reason, "cases.refused.reason")[:500]
    clock.save(update_fields=["breach_reason"])
    return {"clock": clock.rule, "reason": clock.breach_reason}


@act
def decline(case: Case, by: User, *, reason_code: str, body: str, text: str) -> dict[str, Any]:
    """Not for this desk: the asker is told, with the body that may help ("" for none)."""
    text = said(text, "cases.refused.empty")
    if reason_code not in rules.reasons() or (body and body not in rules.bodies()):
        raise Refused("cases.refused.choice")
    if case.state in clocks.FINISHED:
        raise Refused("cases.refused.finished")
    at = timezone.now()
    speak(case, by, text, at)
    name = rules.bodies()[body].name_on(timezone.localdate(at), "ja") if body else ""
    Referral.objects.create(case=case, kind="decline", body=body, name=name, reason_code=reason_code, note=text,
                            is_asker_told=True, at=at, by=by)
    case.state, case.closed_at = State.DECLINED, at
    return {"reason": reason_code, "body": body}


@act
def close(case: Case, by: User, *, reason: str = "", excuses: Mapping[str, str] | None = None,
          follow_ups: Mapping[str, date] | None = None) -> dict[str, Any]:
    """The end of a case. What is missing (endings.missing) needs a written reason: its own in `excuses`, or `reason`
    for all the others. `follow_ups`: rules of tasks.toml with the day when they are asked for again."""
    if case.state in clocks.FINISHED:
        raise Refused("cases.refused.finished")
    reason = reason.strip()[:500]
    given = {name: said.strip()[:500] for name, said in (excuses or {}).items() if said.strip()}
    gaps = endings.missing(case, timezone.now())
    open_gaps = [gap for gap in gaps if gap not in given]
    if open_gaps and not reason:
        raise Refused(f"cases.refused.close_{open_gaps[0]}")
    at = timezone.now()
    clocks.stop_all(case, at)
    case.state, case.closed_at, case.phase = State.CLOSED, at, Phase.PREVENTION
    excused = {gap: given.get(gap, reason) for gap in gaps}
    case.close_reason = (reason or " / ".join(dict.fromkeys(excused.values())))[:500]
    case.handed_at = None
    _ask_again(case, follow_ups or {}, at)
    search.index(case, [case.close_reason], internal=True)
    return {"reason": case.close_reason, "missing": excused, "follow_ups": sorted(follow_ups or {})}


def _ask_again(case: Case, wanted: Mapping[str, date], at: datetime) -> None:
    known = rules.follow_ups()
    if not set(wanted) <= set(known) or any(day <= timezone.localdate(at) for day in wanted.values()):
        raise Refused("cases.refused.follow_up")
    calendar = rules.calendar()
    Task.objects.bulk_create([
        Task(case=case, kind=name, title=known[name].ja, position=90,
             due_at=datetime.combine(day, time(9), tzinfo=calendar.zone))
        for name, day in sorted(wanted.items())])


@act
def reopen(case: Case, by: User, *, reason: str) -> dict[str, Any]:
    reason = said(reason, "cases.refused.reason")
    if case.state not in clocks.FINISHED:
        raise Refused("cases.refused.not_finished")
    case.state, case.closed_at, case.merged_into, case.phase = State.OPEN, None, None, Phase.RESPONSE
    return {"reason": reason[:500]}


@act
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
    if case.merged_into_id:
        raise Refused("cases.refused.merged_already")
    at = timezone.now()
    stopped = list(case.clocks.filter(stopped_at=None).values_list("pk", flat=True))
    before = case.state
    clocks.stop_all(case, at)
    case.merged_into, case.state, case.closed_at = into, State.MERGED, at
    record(str(by.pk), "case.merged_here", f"case:{into.pk}", number=into.number, other=case.number)
    return {"into": into.number, "stopped": stopped, "state": before}


@act
def unmerge(case: Case, by: User, *, reason: str) -> dict[str, Any]:
    """They were two incidents after all: each goes its own way again, with the promises that ended by the merge."""
    reason = said(reason, "cases.refused.reason")[:500]
    return {**apart(case, by), "reason": reason}


def apart(case: Case, by: User) -> dict[str, Any]:
    """Takes a merge back, inside an act."""
    into = case.merged_into
    if into is None:
        raise Refused("cases.refused.not_merged")
    entry = Entry.objects.filter(subject=f"case:{case.pk}", act="case.merge").order_by("-sequence").first()
    stopped = entry.detail.get("stopped", []) if entry else []
    before = entry.detail.get("state", State.OPEN) if entry else State.OPEN
    if case.state == State.MERGED:  # otherwise the asker has written since, and that counts
        if not clocks.running_of(case):
            case.clocks.filter(pk__in=stopped, stopped_at=case.closed_at).update(stopped_at=None)
        case.state, case.closed_at = before if before in (State.OPEN, State.WAITING) else State.OPEN, None
    case.merged_into = None
    record(str(by.pk), "case.unmerged_here", f"case:{into.pk}", number=into.number, other=case.number)
    return {"other": into.number}


@act
def opine(case: Case, by: User, *, point: OpinionPoint, stance: str, comment: str) -> dict[str, Any]:
    """One point of the hypothesis: agree, disagree or missing evidence, with why."""
    if point.case_id != case.pk or stance not in OpinionPoint.Stance.values or not stance:
        raise Refused("cases.refused.choice")
    point.stance, point.comment = stance, said(comment, "cases.refused.reason")
    point.by, point.at = by, timezone.now()
    point.save()
    if not case.points.filter(stance="").exists():
        _finish_task(case, "second_opinion", by, timezone.now())
    search.index(case, [comment], internal=True)
    return {"point": point.position + 1, "stance": stance}


@act
def send_opinion(case: Case, by: User, *, message_id: UUID | None = None, wait: bool = False) -> dict[str, Any]:
    """The stances, point by point, as one reply in the asker's language."""
    points = list(case.points.all())
    if not any(point.stance for point in points):
        raise Refused("cases.refused.no_stance")
    if message_id and Message.objects.filter(pk=message_id).exists():
        return UNCHANGED
    at = timezone.now()
    speak(case, by, opinion_text(case, points), at, message_id, parts=["findings"])
    case.state = State.WAITING if wait else State.OPEN
    return {"points": len(points), "open": sum(not point.stance for point in points)}


def opinion_text(case: Case, points: Iterable[OpinionPoint]) -> str:
    language = "en" if case.language == "en" else "ja"
    lines = [words("cases.opinion.reply", language=language, number=case.number), ""]
    for point in points:
        stance = words(f"cases.stance.{point.stance or 'none'}", language=language)
        lines += [f"{point.position + 1}. {point.claim}", words("cases.opinion.line", language=language, stance=stance)]
        lines += [point.comment] if point.comment else []
        lines.append("")
    return "\n".join(lines).strip()


@act
def finish(case: Case, by: User, *, task: Task, result: str = "") -> dict[str, Any]:
    """A task is done; doing so twice changes nothing."""
    if task.case_id != case.pk:
        raise Refused("cases.refused.choice")
    task = case.tasks.get(pk=task.pk)  # as it is now that the case is locked: two may finish it at once
    if task.done_at:
        return UNCHANGED
    task.done_at, task.done_by, task.result = timezone.now(), by, result.strip()
    task.save()
    search.index(case, [task.result], internal=True)
    return {"task": task.kind, "row": task.pk}


@act
def invite(case: Case, by: User, *, organisation: Organisation, scope: Iterable[str]) -> dict[str, Any]:
    """A further organisation comes into the case, or what it sees changes."""
    wanted = sorted(set(scope))
    if not set(wanted) <= set(_SCOPES):
        raise Refused("cases.refused.choice")
    sees = {f"sees_{name}": name in wanted for name in _SCOPES}
    Party.objects.update_or_create(case=case, organisation=organisation, defaults={**sees, "removed_at": None})
    return {"organisation": organisation.name, "scope": wanted}


@act
def uninvite(case: Case, by: User, *, party: Party) -> dict[str, Any]:
    if party.case_id != case.pk or party.removed_at:
        raise Refused("cases.refused.choice")
    party.removed_at = timezone.now()
    party.save(update_fields=["removed_at"])
    return {"organisation": party.organisation.name}

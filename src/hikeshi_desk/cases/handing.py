"""Giving a case on: to a group or person of the desk with what they must know, or to another body."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone

from hikeshi_desk.accounts.models import Team, User
from hikeshi_desk.accounts.texts import text as words
from hikeshi_desk.cases import clocks, rules, search
from hikeshi_desk.cases.acting import UNCHANGED, Refused, act, role_of, said, works_here
from hikeshi_desk.cases.acts import held_by, speak
from hikeshi_desk.cases.models import Case, Message, Referral, State, Task

_LONGEST = 10_000


@act
def hand_over(case: Case, by: User, *, owner: User | None, team: Team | None, state: str, next_step: str,
              message_id: UUID | None = None) -> dict[str, Any]:
    """To a person or a group, with how it stands and what comes next: kept as a note, shown as handed until taken."""
    state, next_step = said(state, "cases.refused.hand_state"), said(next_step, "cases.refused.hand_next")
    if message_id and Message.objects.filter(pk=message_id).exists():
        return UNCHANGED
    before = held_by(case)
    _give(case, owner, team)
    body = words("cases.hand.note", language="ja", to=_names(owner, team), state=state[:_LONGEST],
                 next=next_step[:_LONGEST])
    _note(case, by, body, message_id)
    return {"from": before, "owner": owner.name if owner else "", "team": team.name if team else ""}


@act
def escalate(case: Case, by: User, *, team: Team | None, person: User | None, body: str, reason: str,
             tell: str = "") -> dict[str, Any]:
    """Beyond who has it now: to a group or person inside, or to another body. `tell` is said to the asker."""
    reason = said(reason, "cases.refused.reason")[:_LONGEST]
    if bool(body) == bool(team or person):
        raise Refused("cases.refused.escalate_to")
    before = held_by(case)
    if body:
        _refer(case, by, "escalate", body, "escalated", reason, tell)
        return {"body": body, "told": bool(tell.strip())}
    _give(case, person, team)
    _open(case)
    Referral.objects.create(case=case, kind="escalate", body="", name=_names(person, team), team=team, person=person,
                            reason_code="escalated", note=reason, at=timezone.now(), by=by,
                            is_asker_told=_told(case, by, tell))
    search.index(case, [reason], internal=True)
    return {"from": before, "owner": person.name if person else "", "team": team.name if team else "",
            "told": bool(tell.strip())}


@act
def route(case: Case, by: User, *, body: str, reason_code: str, note: str = "", tell: str = "") -> dict[str, Any]:
    """Sent to the body in charge, by the routing table or by choice; the case stays here until it is closed."""
    if reason_code not in rules.reasons():
        raise Refused("cases.refused.choice")
    _refer(case, by, "route", body, reason_code, note.strip()[:_LONGEST], tell)
    return {"body": body, "reason": reason_code, "told": bool(tell.strip())}


@act
def answer_referral(case: Case, by: User, *, referral: Referral, accepted: bool, note: str = "") -> dict[str, Any]:
    """What the other side said. Said again it replaces the answer; the log keeps both."""
    row = case.referrals.select_for_update().filter(pk=referral.pk).exclude(kind="decline").first()
    if row is None:
        raise Refused("cases.refused.choice")
    if row.accepted == accepted and row.answer_note == note.strip()[:_LONGEST]:
        return UNCHANGED
    row.accepted, row.answered_at, row.answer_note = accepted, timezone.now(), note.strip()[:_LONGEST]
    row.save(update_fields=["accepted", "answered_at", "answer_note"])
    if not case.referrals.filter(accepted=None).exclude(kind="decline").exists():
        case.tasks.filter(kind="referral_answer", done_at=None).update(done_at=row.answered_at, done_by=by)
    search.index(case, [row.answer_note], internal=True)
    return {"to": row.name, "accepted": accepted}


def _refer(case: Case, by: User, kind: str, body: str, reason_code: str, note: str, tell: str) -> None:
    if body not in rules.bodies():
        raise Refused("cases.refused.choice")
    _open(case)
    if case.referrals.filter(kind=kind, body=body, accepted=None).exists():
        raise Refused("cases.refused.referred_already")
    at = timezone.now()
    Referral.objects.create(
        case=case, kind=kind, body=body, name=rules.bodies()[body].name_on(timezone.localdate(at), "ja"),
        reason_code=reason_code, note=note, at=at, by=by, is_asker_told=_told(case, by, tell))
    if not case.tasks.filter(kind="referral_answer", done_at=None).exists():
        rule = rules.other_tasks()["referral_answer"]
        Task.objects.create(case=case, kind=rule.id, title=rule.ja, position=80)
    search.index(case, [note], internal=True)


def _told(case: Case, by: User, tell: str) -> bool:
    """The asker hears of it only in the handler's own words, and only if there are any."""
    if not tell.strip():
        return False
    speak(case, by, tell.strip(), timezone.now())
    return True


def _open(case: Case) -> None:
    if case.state in clocks.FINISHED:
        raise Refused("cases.refused.finished")


def _give(case: Case, owner: User | None, team: Team | None) -> None:
    if owner is None and team is None:
        raise Refused("cases.refused.hand_to")
    if owner is not None and not works_here(owner):
        raise Refused("cases.refused.owner")
    _open(case)
    case.owner, case.team, case.handed_at = owner, team, timezone.now()
    if case.state == State.NEW:
        case.state = State.OPEN


def _names(owner: User | None, team: Team | None) -> str:
    return " / ".join(one.name for one in (owner, team) if one is not None)


def _note(case: Case, by: User, body: str, message_id: UUID | None) -> None:
    message = Message(case=case, kind=Message.Kind.NOTE, author=by, author_role=role_of(by), body=body,
                      at=timezone.now())
    if message_id:
        message.pk = message_id
    message.save(force_insert=True)
    search.index(case, [body], internal=True)

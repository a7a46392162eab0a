"""What people do with a case's response. Every act is one transaction on the locked case, kept and recorded.

Callers have looked the case up through accounts.access; ids in forms count only where they are of this case.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from hikeshi.indicators import refang
from hikeshi.respond import holding, targets
from hikeshi.respond.state import DONE
from hikeshi_desk.accounts.models import User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import acts as case_acts
from hikeshi_desk.cases.acting import UNCHANGED, Refused, act, said
from hikeshi_desk.cases.models import Case
from hikeshi_desk.respond import counting, kinds, plans
from hikeshi_desk.respond.models import Decision, Mark, Measure
from hikeshi_desk.respond.propose import LONGEST, begun

_NOTE, _NAME, _WHY = 5_000, 200, 500
_MOST_AT_ONCE = 1_000
_SLACK = timedelta(minutes=5)  # clocks differ


@act
def begin_response(case: Case, by: User) -> dict[str, Any]:
    """The plan's steps and lists are there; asking twice is asking once."""
    had = hasattr(case, "response")
    begun(case, by)
    return UNCHANGED if had else {}


@act
def mark_measures(case: Case, by: User, *, ids: Collection[str], controls: Collection[str] = (), state: str,
                  note: str = "", evidence: str = "", device: str = "") -> dict[str, Any]:
    """One word for several measures: those of `ids`, and all of `controls` that stand. What it says already is not said
    twice. "verified" needs what shows it, "not_needed" a reason, as does a step that goes before its turn."""
    if state not in kinds.MARKABLE:
        raise Refused("respond.refused.state")
    note, evidence, device = _cut(note, _NOTE), _cut(evidence, _NOTE), _cut(device, _NAME)
    if state == "verified" and not evidence:
        raise Refused("respond.refused.evidence")
    if state == "not_needed" and not note:
        raise Refused("respond.refused.reason")
    chosen = _chosen(case, ids, controls)
    if any(one.withdrawn_at for one in chosen):
        raise Refused("respond.refused.withdrawn")
    steps = any(one.control == kinds.STEP for one in chosen)
    if steps and state not in kinds.STEP_STATES:
        raise Refused("respond.refused.step_state")
    if steps and not note:
        _in_turn(case, chosen, state)
    now = counting.in_force(Mark.objects.filter(measure__in=[one.pk for one in chosen]))
    new = [one for one in chosen if not _says(now.get(one.pk), by, state, note, evidence, device)]
    if not new:
        return UNCHANGED
    at = timezone.now()
    Mark.objects.bulk_create([Mark(measure=one, at=at, by=by, state=state, note=note, evidence=evidence, device=device)
                              for one in new], batch_size=200)
    _settled(case, new)
    return {"state": state, "count": len(new), "reason": note[:_WHY]}


@act
def take_back_mark(case: Case, by: User, *, mark: str, note: str = "") -> dict[str, Any]:
    """What was in force before it is in force again; both stay in the history."""
    taken = Mark.objects.filter(measure__case=case, pk=_number(mark), undoes=None).select_related("measure").first()
    if taken is None:
        raise Refused("respond.refused.mark")
    if Mark.objects.filter(undoes=taken).exists():
        raise Refused("respond.refused.taken_back")
    if taken.measure.withdrawn_at:
        raise Refused("respond.refused.withdrawn")
    Mark.objects.create(measure=taken.measure, at=timezone.now(), by=by, state=taken.state, note=_cut(note, _NOTE),
                        undoes=taken)
    _settled(case, [taken.measure])
    return {"state": taken.state, "reason": _cut(note, _WHY)}


@act
def add_machine(case: Case, by: User, *, host: str, why: str = "") -> dict[str, Any]:
    return _add(case, by, [("isolation", _name(host), {"reasons": _because(why)})])


@act
def add_account(case: Case, by: User, *, account: str, host: str = "", kind: str = "logon", why: str = "",
                ) -> dict[str, Any]:
    account, host = _name(account), _line(host, _NAME)
    if kind not in kinds.ACCOUNT_KINDS:
        raise Refused("respond.refused.choice")
    return _add(case, by, [("reset", f"{account}@{host}" if host else account, {
        "account": account, "host": host, "kind": kind, "reasons": _because(why)})])


@act
def add_protocol(case: Case, by: User, *, name: str, why: str = "") -> dict[str, Any]:
    return _add(case, by, [("protocol", _name(name), {"reasons": _because(why)})])


@act
def add_blocks(case: Case, by: User, *, values: str, why: str = "", force: bool = False) -> dict[str, Any]:
    """Values, one a line, each at every control that can stop it. What many others use needs `force` and a reason;
    one's own and private ranges are never blocked."""
    given = list(dict.fromkeys(line.strip() for line in values.replace("\0", "").splitlines() if line.strip()))
    if not given:
        raise Refused("respond.refused.empty")
    if len(given) > _MOST_AT_ONCE:
        raise Refused("respond.refused.too_many")
    found = [targets.target(refang(one).text) for one in given]
    if any(one is None or len(one.value) > LONGEST for one in found):
        raise Refused("respond.refused.no_target")
    plan, rows = plans.read(begun(case, by).plan), []
    for one in found:
        assert one is not None
        if holding.never(one, plan):
            raise Refused("respond.refused.never")
        is_shared = bool(holding.shared(one))
        if is_shared and not (force and why.strip()):
            raise Refused("respond.refused.shared")
        rows += [(control, one.value, {"type": one.type, "reasons": _because(why), "forced": is_shared})
                 for control in one.where]
    return _add(case, by, rows)


@act
def withdraw_measures(case: Case, by: User, *, ids: Collection[str], controls: Collection[str] = (), why: str,
                      ) -> dict[str, Any]:
    """No longer asked for: it leaves the lists and the block lists, its history stays. Fixed items are left out with
    a reason instead."""
    why = said(_line(why, _WHY), "respond.refused.reason")
    chosen = [one for one in _chosen(case, ids, controls) if one.withdrawn_at is None]
    if any(one.origin == Measure.Origin.PLAN for one in chosen):
        raise Refused("respond.refused.fixed")
    if not chosen:
        return UNCHANGED
    Measure.objects.filter(pk__in=[one.pk for one in chosen]).update(
        withdrawn_at=timezone.now(), withdrawn_by=by, withdrawn_why=why)
    _recount(case)
    return {"count": len(chosen), "reason": why}


@act
def restore_measure(case: Case, by: User, *, measure: str) -> dict[str, Any]:
    one = _chosen(case, [measure], ())[0]
    if one.withdrawn_at is None:
        return UNCHANGED
    Measure.objects.filter(pk=one.pk).update(withdrawn_at=None, withdrawn_by=None, withdrawn_why="")
    _recount(case)
    return {"count": 1}


@act
def ask_measures(case: Case, by: User, *, ids: Collection[str], controls: Collection[str] = (), tell: bool = True,
                 ) -> dict[str, Any]:
    """The asker sees these on their own page and may report them done; what was open is requested with it."""
    if not case.receipt:
        raise Refused("respond.refused.no_thread")
    chosen = [one for one in _chosen(case, ids, controls) if one.control != kinds.STEP]
    if any(one.withdrawn_at for one in chosen):
        raise Refused("respond.refused.withdrawn")
    new = [one for one in chosen if one.asked_at is None]
    if not new:
        raise Refused("respond.refused.asked")
    at = timezone.now()
    Measure.objects.filter(pk__in=[one.pk for one in new]).update(asked_at=at)
    still = [one for one in new if one.state == "open"]
    Mark.objects.bulk_create([Mark(measure=one, at=at, by=by, state="requested") for one in still], batch_size=200)
    _settled(case, still)
    if tell:
        language = "en" if case.language == "en" else "ja"
        case_acts.speak(case, by, text("respond.asked.message", language=language, count=len(new)), at, stops=False)
    return {"count": len(new), "told": tell}


@act
def unask_measures(case: Case, by: User, *, ids: Collection[str], controls: Collection[str] = ()) -> dict[str, Any]:
    """The asker no longer sees them; what they reported stays."""
    chosen = [one for one in _chosen(case, ids, controls) if one.asked_at]
    if not chosen:
        return UNCHANGED
    Measure.objects.filter(pk__in=[one.pk for one in chosen]).update(asked_at=None)
    _recount(case)
    return {"count": len(chosen)}


@act
def set_plan(case: Case, by: User, *, form: Mapping[str, str]) -> dict[str, Any]:
    """Who decides, by which criteria, what stays, who is reached how."""
    row, tree = begun(case, by), plans.of_form(form)
    if row.plan == tree:
        return UNCHANGED
    row.plan = tree
    row.save(update_fields=["plan"])
    return {"decider": tree.get("decider", ""), "contacts": len(tree.get("contact", []))}


@act
def decide_cut_off(case: Case, by: User, *, answer: str, role: str, name: str, reason: str, at: datetime | None,
                   ) -> dict[str, Any]:
    """What the victim's decider decided. Only a role that the plan names decides; the reason is part of it."""
    row = begun(case, by)
    if role not in plans.deciders(row.plan):
        raise Refused("respond.refused.decider")
    if answer not in Decision.Answer.values:
        raise Refused("respond.refused.choice")
    name, reason = said(_line(name, _NAME), "respond.refused.name"), said(_cut(reason, _NOTE), "respond.refused.reason")
    now = timezone.now()
    if at is None or at > now + _SLACK:
        raise Refused("respond.refused.time")
    last = standing(case)
    if last and (last.answer, last.role, last.name, last.reason, last.at) == (answer, role, name, reason, at):
        return UNCHANGED
    Decision.objects.create(case=case, answer=answer, role=role, name=name, at=at, reason=reason, by=by,
                            recorded_at=now)
    return {"answer": answer, "role": role, "reason": reason[:_WHY]}


@act
def approve_cut_off(case: Case, by: User, *, decision: str) -> dict[str, Any]:
    """A lead stands for it; somebody else than who wrote it down. Only the newest decision can be approved."""
    row = standing(case)
    if row is None or row.pk != _number(decision):
        raise Refused("respond.refused.decision")
    if row.approved_at:
        return UNCHANGED
    if row.by_id == by.pk:
        raise Refused("respond.refused.own_decision")
    row.approved_by, row.approved_at = by, timezone.now()
    row.save(update_fields=["approved_by", "approved_at"])
    return {"answer": row.answer, "role": row.role}


@act
def withdraw_cut_off(case: Case, by: User, *, decision: str, why: str) -> dict[str, Any]:
    """The decision no longer stands; it stays to be read."""
    why = said(_line(why, _WHY), "respond.refused.reason")
    row = standing(case)
    if row is None or row.pk != _number(decision):
        raise Refused("respond.refused.decision")
    row.withdrawn_by, row.withdrawn_at, row.withdrawn_why = by, timezone.now(), why
    row.save(update_fields=["withdrawn_by", "withdrawn_at", "withdrawn_why"])
    return {"answer": row.answer, "reason": why}


def standing(case: Case) -> Decision | None:
    """The newest decision that was not withdrawn."""
    return Decision.objects.filter(case=case, withdrawn_at=None).order_by("-pk").first()


def _add(case: Case, by: User, rows: Sequence[tuple[str, str, Mapping[str, Any]]]) -> dict[str, Any]:
    """New measures at the end; one that was withdrawn comes back, one that stands is left alone."""
    begun(case, by)
    known = {one.key: one for one in Measure.objects.filter(case=case)}
    last = max((one.position for one in known.values()), default=0)
    new, back = [], []
    for number, (control, subject, told) in enumerate(rows, 1):
        before = known.get(kinds.key_of(control, subject))
        if before is None:
            new.append(Measure(case=case, control=control, subject=subject, key=kinds.key_of(control, subject),
                               position=last + number, told=dict(told)))
        elif before.withdrawn_at:
            back.append(before)
    if len(known) + len(new) > kinds.MOST:
        raise Refused("respond.refused.too_many")
    if not new and not back:
        raise Refused("respond.refused.known")
    Measure.objects.bulk_create(new, batch_size=200)
    Measure.objects.filter(pk__in=[one.pk for one in back]).update(withdrawn_at=None, withdrawn_by=None,
                                                                   withdrawn_why="")
    _recount(case)
    return {"control": rows[0][0], "count": len(new) + len(back)}


def _in_turn(case: Case, chosen: Sequence[Measure], state: str) -> None:
    """A step that is done before its turn, or while its own measures are open, needs a reason."""
    if state == "requested":
        return
    first = min(one.position for one in chosen if one.control == kinds.STEP)
    mine = {one.pk for one in chosen}
    rows = Measure.objects.filter(case=case, withdrawn_at=None)
    if any(not kinds.is_done(one.state) and one.state != "applied" and one.pk not in mine
           for one in rows.filter(control=kinds.STEP, position__lt=first)):
        raise Refused("respond.refused.turn")
    parts = {control for one in chosen if one.control == kinds.STEP for control in kinds.of_step(one.subject)}
    if rows.filter(control__in=parts).exclude(state__in=DONE).exists():
        raise Refused("respond.refused.parts_open")


def _chosen(case: Case, ids: Collection[str], controls: Collection[str]) -> list[Measure]:
    """The measures a form names, of this case alone; whoever names another's names nothing."""
    if not set(controls) <= set(kinds.CONTROLS):
        raise Refused("respond.refused.choice")
    wanted = {one for one in map(_uuid, ids) if one}
    if len(wanted) > kinds.MOST:
        raise Refused("respond.refused.too_many")
    rows = [one for one in Measure.objects.filter(case=case) if one.pk in wanted
            or (one.control in controls and one.withdrawn_at is None)]
    if not rows or not wanted <= {one.pk for one in rows}:
        raise Refused("respond.refused.none")
    return rows


def _says(mark: Mark | None, by: User, state: str, note: str, evidence: str, device: str) -> bool:
    return mark is not None and (mark.by_id, mark.state, mark.note, mark.evidence, mark.device) == (
        by.pk, state, note, evidence, device)


def _settled(case: Case, measures: Sequence[Measure]) -> None:
    counting.settle(measures)
    _recount(case)


def _recount(case: Case) -> None:
    row = begun(case)
    row.counts = counting.counts(case)
    row.save(update_fields=["counts"])


def _because(why: str) -> list[dict[str, str]]:
    """A reason somebody typed: the same in both languages."""
    line = _line(why, _WHY)
    return [{"ja": line, "en": line}] if line else []


def _name(given: str) -> str:
    return said(_line(given, _NAME), "respond.refused.empty")


def _line(given: str, most: int) -> str:
    return " ".join(given.replace("\0", "").split())[:most]


def _cut(given: str, most: int) -> str:
    return given.replace("\0", "").replace("\r\n", "\n").strip()[:most]


def _number(given: str) -> int:
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else -1


def _uuid(given: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(given)
    except ValueError:
        return None

"""What the asker was asked to do, as they see it on their own page, and what they report.

They reach it by their receipt alone. What they report is "applied" and marked as reported: whether it holds, the desk
verifies.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from hikeshi.model.text import defang, plain
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis.shown import language
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks
from hikeshi_desk.cases.models import Case, State
from hikeshi_desk.respond import counting, kinds
from hikeshi_desk.respond.models import Mark, Measure, Response

MOST = 100  # on one page; the next come when these are reported
_LONGEST = 2_000
_REPORTABLE = ("open", "requested", "failed")


@dataclass(frozen=True)
class Item:
    """One measure in the asker's words. `tone` is waiting, reported, done or failed."""

    id: str
    what: str
    tone: str
    state: str
    note: str


@dataclass(frozen=True)
class Asked:
    """`groups` are those still to do, by what is to be done; `told` those that were reported or are settled."""

    groups: Sequence[tuple[str, Sequence[Item]]]
    more: int
    told: Sequence[Item]
    told_more: int


def of(case: Case) -> Asked | None:
    """What this asker sees; None where nothing was asked for."""
    rows = list(Measure.objects.filter(case=case, asked_at__isnull=False, withdrawn_at=None).order_by(
        "position", "subject"))
    if not rows:
        return None
    rows.sort(key=lambda one: kinds.CONTROLS.index(one.control))
    waiting = [one for one in rows if one.state in _REPORTABLE]
    settled = [one for one in rows if one.state not in _REPORTABLE]
    failed = counting.in_force(Mark.objects.filter(measure__in=[one.pk for one in waiting[:MOST]], state="failed"))
    groups: dict[str, list[Item]] = {}
    for one in waiting[:MOST]:
        note = failed[one.pk].note if one.state == "failed" and one.pk in failed else ""
        groups.setdefault(text(f"respond.asked.group.{one.control}"), []).append(_item(one, note))
    return Asked(list(groups.items()), max(0, len(waiting) - MOST), [_item(one) for one in settled[:MOST]],
                 max(0, len(settled) - MOST))


def what(one: Measure) -> str:
    """The measure's subject as people read it: addresses so that nobody opens them by a slip."""
    fixed = kinds.FIXED.get(one.control, {}).get(one.subject)
    if fixed is not None:
        return str(getattr(fixed, language()))
    if one.control in kinds.BLOCKING:
        return defang(plain(one.subject))
    if one.control == "reset" and one.told.get("host"):
        return f"{plain(one.told.get('account', ''))} ({plain(one.told['host'])})"
    return plain(one.subject)


def report(receipt: str, ids: Collection[str], note: str) -> int:
    """The asker did these; gives how many were new. Never "verified", never another case's, never one taken back."""
    with transaction.atomic():
        case = Case.objects.select_for_update().filter(receipt=receipt).exclude(receipt="").first()
        if case is None:
            return 0
        wanted = {one for one in map(_uuid, ids) if one}
        rows = [one for one in Measure.objects.filter(case=case, asked_at__isnull=False, withdrawn_at=None,
                                                      state__in=_REPORTABLE).exclude(control=kinds.STEP)
                if one.pk in wanted]
        if not rows:
            return 0
        at, said = timezone.now(), note.replace("\0", "").strip()[:_LONGEST]
        Mark.objects.bulk_create([Mark(measure=one, at=at, is_reported=True, state="applied", note=said)
                                  for one in rows], batch_size=200)
        counting.settle(rows)
        Response.objects.filter(case=case).update(counts=counting.counts(case))
        _heard(case)
        record("consultee", "case.report_measures", f"case:{case.pk}", number=case.number, count=len(rows))
    return len(rows)


def _heard(case: Case) -> None:
    """It is the desk's turn: somebody has to look whether it holds."""
    at = timezone.now()
    if case.state not in clocks.FINISHED:
        running = clocks.running_of(case)
        if running is None:
            clocks.start_next(case, at)
        elif running.paused_at:
            clocks.resume(running, at)
        if case.state == State.WAITING:
            case.state = State.OPEN
    case.last_word_at, case.last_word_by = at, "asker"
    clocks.settle(case)
    case.save()


def _item(one: Measure, note: str = "") -> Item:
    tone = "reported" if one.is_reported and one.state == "applied" else {
        "applied": "done", "verified": "done", "not_needed": "done", "failed": "failed"}.get(one.state, "waiting")
    word = "reported" if tone == "reported" else one.state
    return Item(str(one.pk), what(one), tone, text(f"respond.asked.state.{word}"), plain(note))


def _uuid(given: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(given)
    except ValueError:
        return None

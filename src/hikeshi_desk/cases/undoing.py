"""Taking the newest act back, where nothing outside the desk has seen it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from hikeshi_desk.accounts.models import Team, User
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import acts, clocks
from hikeshi_desk.cases.acting import Refused, act
from hikeshi_desk.cases.models import Case

# A reply, a refusal or a word to a party has left the desk: nothing undoes that.
UNDOABLE = frozenset({"case.assign", "case.pause", "case.finish", "case.merge"})
WITHIN = timedelta(minutes=10)
# Looking does not stand between an act and its undoing.
LOOKING = frozenset({"case.download", "case.file_damaged"})


def may_undo(entry: Entry, user: User, now: datetime) -> bool:
    return entry.act in UNDOABLE and entry.actor == str(user.pk) and now - entry.at < WITHIN


@act
def undo(case: Case, by: User, *, sequence: int) -> dict[str, Any]:
    """Undoes the act of that number if it is still the newest of this case, and one's own."""
    newest = Entry.objects.filter(subject=f"case:{case.pk}").exclude(act__in=LOOKING).order_by("-sequence").first()
    if newest is None or newest.sequence != sequence or not may_undo(newest, by, timezone.now()):
        raise Refused("cases.refused.undo")
    _BACK[newest.act](case, by, newest.detail)
    return {"of": newest.act, "sequence": sequence}


def _assigned(case: Case, by: User, detail: dict[str, Any]) -> None:
    before = detail.get("from") or {}
    case.owner = User.objects.filter(pk=before.get("owner"), is_active=True).first() if before.get("owner") else None
    case.team = Team.objects.filter(pk=before.get("team")).first() if before.get("team") else None
    case.handed_at = datetime.fromisoformat(before["handed"]) if before.get("handed") else None


def _paused(case: Case, by: User, detail: dict[str, Any]) -> None:
    """As if it had never stood still: the promise keeps its time."""
    row = clocks.running_of(case)
    if row is None or row.pk != detail.get("row") or row.paused_at is None:
        raise Refused("cases.refused.undo")
    row.paused_at, row.pause_reason = None, ""
    row.save(update_fields=["paused_at", "pause_reason"])


def _finished(case: Case, by: User, detail: dict[str, Any]) -> None:
    changed = case.tasks.filter(pk=detail.get("row")).exclude(done_at=None).update(
        done_at=None, done_by=None, result="")
    if not changed:
        raise Refused("cases.refused.undo")


def _merged(case: Case, by: User, detail: dict[str, Any]) -> None:
    acts.apart(case, by)


_BACK = {"case.assign": _assigned, "case.pause": _paused, "case.finish": _finished, "case.merge": _merged}

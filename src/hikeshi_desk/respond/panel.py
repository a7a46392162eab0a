"""The response on the case page: how far it has come, what can't wait, and the way to its own page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import together
from hikeshi_desk.cases.access import is_desk
from hikeshi_desk.cases.models import Case
from hikeshi_desk.respond import counting, kinds, plans
from hikeshi_desk.respond.models import Response


@dataclass(frozen=True)
class Progress:
    """How many of one kind are done; `words` say it without the bar."""

    id: str
    name: str
    done: int
    all: int
    words: str


def reads(case: Case, viewer: Viewer) -> Mapping[str, QuerySet[Any]]:
    return {"response": visible(Response, viewer).filter(case=case)}


def build(case: Case, viewer: Viewer) -> Mapping[str, Any] | None:
    if not is_desk(viewer):
        return None
    row = next(iter(together.rows(case, viewer, "response", reads(case, viewer)["response"])), None)
    return {"case": case, "row": row, "progress": progress(row.counts) if row else [],
            "warnings": warnings(row) if row else []}


def progress(told: Mapping[str, Any]) -> list[Progress]:
    """By kind, those that have something to do."""
    found = []
    for kind in kinds.KINDS.values():
        done, of = counting.share(dict(told), kind.controls)
        if of:
            found.append(Progress(kind.id, text(f"respond.kind.{kind.id}"), done, of,
                                  text("respond.progress.words", done=f"{done:,}", all=f"{of:,}")))
    return found


def warnings(row: Response) -> Sequence[str]:
    """What somebody has to look at."""
    found = []
    if not plans.contacts(row.plan):
        found.append(text("respond.warn.contacts"))
    if row.counts.get("reported"):
        found.append(text("respond.warn.reported", count=f"{row.counts['reported']:,}"))
    return found

"""The quick look of a handler at a note or a name: answered at once, kept, and looked at again by newer knowledge."""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction
from django.utils import timezone

from hikeshi.errors import HikeshiError
from hikeshi.model.text import Text
from hikeshi_desk.analysis import groups, service, signs
from hikeshi_desk.analysis.change import is_same, told
from hikeshi_desk.analysis.knowledge import knowledge_version
from hikeshi_desk.analysis.models import Analysis, Pasted
from hikeshi_desk.analysis.words import identify_pasted
from hikeshi_desk.cases.models import Case

log = logging.getLogger(__name__)
LABEL = Text("貼り付けた文", "the pasted text")
_SHOWN = 200
_MOST_AT_ONCE = 50


def keep(case: Case, given: str, answer: dict[str, Any]) -> Analysis:
    """The answer becomes the case's last quick look; inside the caller's transaction, with the case locked."""
    row = service.row_of(case)
    row.asked = {"given": _short(given), "at": timezone.now().isoformat(), "answer": answer}
    row.changed_at = row.changed_at if row.change else None
    row.save(update_fields=["asked", "changed_at"])
    Pasted.objects.update_or_create(case=case, defaults={"text": given, "knowledge": knowledge_version()})
    if signs.add(case, signs.of_answer(answer)):
        transaction.on_commit(groups.regroup_soon)
    return row


def look_again() -> int:
    """Ask newer knowledge about what was pasted; gives how many answers are other ones now."""
    changed = 0
    for one in list(service.stale_pasted().order_by("-pk")[:_MOST_AT_ONCE]):
        version = knowledge_version()
        try:
            answer = identify_pasted(one.text, LABEL)
        except HikeshiError as error:  # looked at again with the next knowledge, not every two minutes
            log.warning("what was pasted into case %s could not be looked at again: %s", one.case_id, error)
            Pasted.objects.filter(pk=one.pk, text=one.text).update(knowledge=version)
            continue
        with transaction.atomic():
            case = Case.objects.select_for_update().get(pk=one.case_id)
            if Pasted.objects.filter(pk=one.pk, text=one.text).update(knowledge=version):
                changed += _tell(service.row_of(case), answer)
    return changed


def _tell(row: Analysis, answer: dict[str, Any]) -> bool:
    """The older answer stands until a person accepts the new one; the same answer is only marked as newer."""
    if is_same(told(row.asked.get("answer", {})), told(answer)):
        row.asked = {**{key: value for key, value in row.asked.items() if key != "next"}, "answer": answer}
        row.changed_at = row.changed_at if row.change else None
    else:
        row.asked = {**row.asked, "next": {"at": timezone.now().isoformat(), "answer": answer}}
        row.changed_at = timezone.now()
    row.save(update_fields=["asked", "changed_at"])
    return "next" in row.asked


def _short(given: str) -> str:
    first = " ".join(given.split())
    return first if len(first) <= _SHOWN else first[:_SHOWN - 1] + "…"

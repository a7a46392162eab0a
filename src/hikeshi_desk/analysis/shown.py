"""What a viewer may see of a case's analysis, looked up once for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import get_language

from hikeshi.knowledge.advice import Advice, advice_by_id, advice_for, kind_of
from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.analysis import summary
from hikeshi_desk.analysis.models import Analysis
from hikeshi_desk.cases import labels, together
from hikeshi_desk.cases.access import is_desk
from hikeshi_desk.cases.models import Case


def analysis_of(case: Case, viewer: Viewer) -> Analysis | None:
    """The case's row as this viewer may see it; kept on the case object, so that a page asks once."""
    kept: dict[Viewer, Analysis | None] = case.__dict__.setdefault("_analysis", {})
    if viewer not in kept:
        kept[viewer] = next(iter(together.rows(case, viewer, "analysis", reads(case, viewer)["analysis"])), None)
    return kept[viewer]


def reads(case: Case, viewer: Viewer) -> dict[str, QuerySet[Any]]:
    return {"analysis": visible(Analysis, viewer).filter(case=case)}


def reads_of_panel(case: Case, viewer: Viewer) -> dict[str, QuerySet[Any]]:
    """All that the case page's panel asks for."""
    from hikeshi_desk.analysis import about, groups, lessons

    return {**reads(case, viewer), "analysis_ways": about.reads(case), "analysis_group": groups.reads(case, viewer),
            "analysis_lessons": lessons.reads(case, viewer)}


def answer_for(row: Analysis, viewer: Viewer) -> dict[str, Any]:
    """The answer to "which ransomware?"; a party gets that of the files, never that of the asker's words."""
    told = {**row.summary, **row.change.get("held", {})}  # a newer answer that nobody accepted yet waits
    return summary.answer(told if is_desk(viewer) else {**told, "words": {}})


def advice_of(row: Analysis, answer: Mapping[str, Any], incident: str) -> tuple[Advice, ...]:
    """Records in order: general first, then the family's; never empty."""
    known = tuple(a for a in map(advice_by_id, answer.get("advice_ids", [])) if a is not None)
    speaks = answer.get("verdict") in ("identified", "candidates") or incident == "ransomware" or (
        row.summary.get("counts", {}).get("encrypted", 0))
    if known and speaks:
        return known
    found = row.summary.get("kind", "unknown")  # what the evidence shows; what the asker says where it shows nothing
    return advice_for(None, "ransomware" if speaks else found if found != "unknown" else kind_of(incident))


def steps_of(advice: Sequence[Advice], language: str) -> tuple[list[str], list[str], list[str]]:
    """Steps, what not to do, and what is generally reported of the family; each once."""
    def told(part: str) -> list[str]:
        return list(dict.fromkeys(getattr(one, language) for a in advice for one in getattr(a, part)))
    return told("steps"), told("not_to_do"), told("facts")


def language() -> str:
    return "en" if (get_language() or "ja").startswith("en") else "ja"


def said(value: Mapping[str, Any] | None) -> str:
    """The reader's language of a stored text."""
    return str((value or {}).get(language(), ""))


def when(stored: str | None) -> labels.Moment | None:
    return labels.moment(datetime.fromisoformat(stored)) if stored else None

"""An answer that became another one: what was said, what is said now, by which knowledge, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.knowledge.installed import BUILT_IN
from hikeshi.model.text import plain
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis.models import Analysis
from hikeshi_desk.analysis.shown import said, when


def shown(told: Mapping[str, Any], of: str) -> dict[str, Any]:
    """For the notice on the case page; `of` is "analysis" or "pasted"."""
    return {"of": of, "at": when(told["at"]), "stamp": told["at"], "before": answer_words(told["before"]),
            "after": answer_words(told["after"]), "added": told.get("added", 0),
            "is_same": answer_words(told["before"]) == answer_words(told["after"]),
            "by": by_words(told.get("by", {})), "by_before": by_words(told.get("by_before", {})),
            "reasons": [said(one) for one in told.get("reasons", [])],
            "reasons_before": [said(one) for one in told.get("reasons_before", [])],
            "by_knowledge": told.get("because", "knowledge") == "knowledge", "is_held": bool(told.get("held"))}


def all_of(row: Analysis) -> list[dict[str, Any]]:
    """Every notice of a case that waits for a person."""
    pasted = of_pasted(row)
    return [*([shown(row.change, "analysis")] if row.change else []), *([shown(pasted, "pasted")] if pasted else [])]


def of_pasted(row: Analysis) -> dict[str, Any] | None:
    """The notice of the quick look, in the form that the analysis keeps its own."""
    later, before = row.asked.get("next"), row.asked.get("answer", {})
    if not later:
        return None
    now = later["answer"]
    return {"at": later["at"], "before": told(before), "after": told(now), "by": now.get("by", {}), "held": True,
            "by_before": before.get("by", {}), "reasons": reasons(now), "reasons_before": reasons(before)}


def told(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What of an answer makes it another one."""
    return {"verdict": answer.get("verdict", ""), "family": answer.get("family") or "",
            "candidates": [c["family"] for c in answer.get("candidates", [])[:3]]}


def is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Of two answers as `told` gives them. Names beside a sure one don't matter."""
    if (one["verdict"], one["family"]) != (other["verdict"], other["family"]):
        return False
    return bool(one["verdict"] != "candidates" or one["candidates"] == other["candidates"])


def reasons(answer: Mapping[str, Any]) -> list[dict[str, str]]:
    """Why, in two sentences: of the family that was named, or of the first candidate."""
    found = answer.get("candidates", [])
    best = next((one for one in found if one["family"] == answer.get("family")), found[0] if found else None)
    return list(best["reasons"][:2]) if best else list(answer.get("notes", [])[:2])


def answer_words(told: Mapping[str, Any]) -> str:
    """A stored answer in one short phrase."""
    verdict = told.get("verdict") or "none"
    if verdict == "identified":
        return plain(told["family"])
    words = text(f"analysis.short.{verdict}")
    names = ", ".join(plain(one) for one in told.get("candidates", []))
    return f"{words}: {names}" if verdict == "candidates" and names else words


def by_words(by: Mapping[str, Any]) -> str:
    """Which knowledge answered, for people; "" where that was not kept."""
    if not by:
        return ""
    if by.get("pack") == BUILT_IN:
        return text("analysis.by.built_in", version=by.get("program", ""))
    return text("analysis.by.pack", name=plain(by["name"]), serial=by["serial"])


def note(told: Mapping[str, Any]) -> str:
    """What the case keeps when a person accepted the new answer."""
    return text("analysis.change.note", before=answer_words(told["before"]), after=answer_words(told["after"]),
                by=by_words(told.get("by", {})) or "—", added=told.get("added", 0))

"""A reply written from the analysis, in the asker's language and plain words, and the result of the first task.

Nothing of it is sent by itself: it fills the reply form, and a person reads it first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from hikeshi.model.text import plain
from hikeshi.report.words import Language, Words
from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.accounts.models import Role
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis.change import answer_words
from hikeshi_desk.analysis.elsewhere import elsewhere, sentence
from hikeshi_desk.analysis.models import Analysis
from hikeshi_desk.analysis.shown import advice_of, analysis_of, answer_for
from hikeshi_desk.cases import advising, drafts
from hikeshi_desk.cases.access import is_desk
from hikeshi_desk.cases.models import Case

_ENTRIES, _HOSTS = 2, 12


def is_offered(case: Case, viewer: Viewer) -> bool:
    if not is_desk(viewer) or not viewer.has(Role.HANDLER, Role.LEAD):
        return False
    row = analysis_of(case, viewer)
    return row is not None and row.result is not None


def proposal(case: Case, viewer: Viewer) -> str:
    """The family, where one was named or some are left."""
    row = analysis_of(case, viewer) if is_desk(viewer) else None
    if row is None or row.result is None:
        return ""
    answer = answer_for(row, viewer)
    return answer_words(_short(answer)) if answer.get("verdict") in ("identified", "candidates") else ""


def _short(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"verdict": answer.get("verdict"), "family": answer.get("family"),
            "candidates": [one["family"] for one in answer.get("candidates", [])[:3]]}


def parts(case: Case, viewer: Viewer) -> tuple[drafts.Part, ...]:
    """The advice's sections for the family that was named, else for the kind; each can be left out."""
    row = analysis_of(case, viewer)
    return () if row is None else advising.parts_of(*_subject(case, row, answer_for(row, viewer)))


def _subject(case: Case, row: Analysis, answer: Mapping[str, Any]) -> tuple[str | None, str]:
    """The family, None unless named with confidence, and the kind of advice."""
    kind = advice_of(row, answer, case.incident)[0].kind
    return (answer["family"] if answer.get("verdict") == "identified" and kind == "ransomware" else None), kind


def build(case: Case, viewer: Viewer, chosen: Collection[str]) -> str:
    row = analysis_of(case, viewer)
    if row is None:
        return ""
    language: Language = "en" if advising.language_of(case) == "en" else "ja"

    def say(key: str, **values: object) -> str:
        return text(f"analysis.reply.{key}", language=language, **values)

    answer, told = answer_for(row, viewer), row.summary
    asker = say("nobody") if case.is_anonymous or not case.asker_name else case.asker_name
    found = [say(f"family_{answer.get('verdict') or 'none'}", **_names(answer))]
    found += [say("reason", reason=reason) for reason in _reasons(answer, language)]
    found += _entries(told, language, say)
    found += _extent(told, language, say)
    blocks = [
        say("greeting", asker=asker, number=case.number),
        say("found") + "\n" + _bulleted(found, language),
        *advising.blocks_of(*_subject(case, row, answer), language, chosen),
        say("unknown") + "\n" + _bulleted([one[language] for one in told["unknown"]], language)
        if told.get("unknown") else "",
        sentence(elsewhere(case, viewer), language) if case.request == "elsewhere" else "",
        say("end"),
    ]
    return "\n\n".join(filter(None, blocks))


def _names(answer: Mapping[str, Any]) -> dict[str, str]:
    match answer.get("verdict"):
        case "identified":
            return {"family": plain(answer["family"])}
        case "candidates":
            return {"families": ", ".join(plain(one["family"]) for one in answer["candidates"][:3])}
    return {}


def _reasons(answer: Mapping[str, Any], language: str) -> list[str]:
    if answer.get("verdict") != "identified":
        return []
    best = next((one for one in answer["candidates"] if one["family"] == answer["family"]), None)
    return [cast("str", reason[language]) for reason in (best or {"reasons": []})["reasons"][:1]]


def _entries(told: Mapping[str, Any], language: Language, say: Any) -> list[str]:
    words = Words(language)
    return [say(f"entry_{one['confidence']}", kind=words.of("kind", one["kind"]), host=plain(one["host"] or "?"))
            for one in told.get("entry", [])[:_ENTRIES]]


def _extent(told: Mapping[str, Any], language: str, say: Any) -> list[str]:
    counts, found = told.get("counts", {}), []
    hosts = [plain(one["name"]) for one in told.get("hosts", [])]
    if hosts:
        shown = ", ".join(hosts[:_HOSTS]) + ("…" if len(hosts) > _HOSTS else "")
        found.append(say("hosts", count=max(counts.get("hosts", 0), counts.get("encrypted", 0)), names=shown))
    if counts.get("reset"):
        found.append(say("reset", count=counts["reset"]))
    if counts.get("not_read"):
        found.append(say("not_read", count=counts["not_read"]))
    return found


def _bulleted(lines: list[str], language: str) -> str:
    mark = "・" if language == "ja" else "- "
    return "\n".join(mark + line for line in lines)

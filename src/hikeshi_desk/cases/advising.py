"""The advice as parts of a reply: one block a section, in the asker's language, each one to take or to leave out.

Nothing is sent by itself: the blocks fill the reply form, and a person reads them first.
"""

from __future__ import annotations

from collections.abc import Collection

from hikeshi.knowledge.advice import AdviceSection, kind_of, sections_for
from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.accounts.models import OrganisationKind, Role
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases.access import is_desk
from hikeshi_desk.cases.drafts import Draft, Part
from hikeshi_desk.cases.first_steps import reader_language
from hikeshi_desk.cases.models import Case

_NUMBERED = frozenset({"steps", "recovery"})
# Of use once the fire is out; in the first reply it would only be in the way.
_LATER = frozenset({"prevention"})


def parts_of(family: str | None, kind: str) -> tuple[Part, ...]:
    """The sections there are for a kind and a family, in the order of the advice."""
    language = reader_language()
    return tuple(Part(one.id, getattr(one.title, language), one.id not in _LATER)
                 for one in sections_for(family, kind))


def blocks_of(family: str | None, kind: str, language: str, chosen: Collection[str]) -> list[str]:
    """One block of plain text for each chosen section, in "ja" or "en"."""
    return [_block(one, language) for one in sections_for(family, kind) if one.id in chosen]


def _block(one: AdviceSection, language: str) -> str:
    mark = "・" if language == "ja" else "- "
    title = getattr(one.title, language)
    lines = [f"■ {title}" if language == "ja" else title]
    lines += [f"{n}. {getattr(line, language)}" if one.id in _NUMBERED else mark + getattr(line, language)
              for n, line in enumerate(one.lines, 1)]
    if one.unverified:
        lines.append(text("cases.advising.unverified", language=language, date=one.written_on))
    return "\n".join(lines)


def draft() -> Draft:
    """For every case, also one of which nothing is known but the asker's words."""
    return Draft("advice", "cases.advising.label", _is_offered, _build,
                 lambda case, viewer: parts_of(None, kind_of(case.incident)))


def _is_offered(case: Case, viewer: Viewer) -> bool:
    return is_desk(viewer) and viewer.has(Role.HANDLER, Role.LEAD)


def _build(case: Case, viewer: Viewer, chosen: Collection[str]) -> str:
    language = language_of(case)
    asker = case.asker_name if case.asker_name and not case.is_anonymous else text("cases.advising.nobody",
                                                                                   language=language)
    return "\n\n".join([text("cases.advising.greeting", language=language, asker=asker, number=case.number),
                        *blocks_of(None, kind_of(case.incident), language, chosen),
                        text("cases.advising.end", language=language)])


def language_of(case: Case) -> str:
    """The asker's language; coordination centres abroad are written to in English."""
    return "en" if case.language == "en" or case.asker_kind == OrganisationKind.FOREIGN_CSIRT else "ja"

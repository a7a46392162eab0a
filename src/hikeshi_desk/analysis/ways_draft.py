"""A reply on the recent ways in of the family that was named, in the asker's language. A person reads and sends it.

Own cases are in it only where their number may leave the desk; actors are not: a family is not an actor.
"""

from __future__ import annotations

from collections.abc import Collection

from django.utils.translation import override

from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.accounts.models import Role
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis.about import WayRow, about
from hikeshi_desk.analysis.about import reads as ways_of
from hikeshi_desk.analysis.shown import analysis_of, answer_for
from hikeshi_desk.cases import advising, drafts, together
from hikeshi_desk.cases.access import is_desk
from hikeshi_desk.cases.models import Case

_MOST = 10


def is_offered(case: Case, viewer: Viewer) -> bool:
    return is_desk(viewer) and viewer.has(Role.HANDLER, Role.LEAD) and bool(_family(case, viewer))


def parts(case: Case, viewer: Viewer) -> tuple[drafts.Part, ...]:
    return ()


def build(case: Case, viewer: Viewer, chosen: Collection[str]) -> str:
    own = together.rows(case, viewer, "analysis_ways", ways_of(case))
    with override("en" if advising.language_of(case) == "en" else "ja"):
        told = about(_family(case, viewer), own, for_desk=False)
        rows = [*told.own, *told.recent][:_MOST]
        asker = text("analysis.reply.nobody") if case.is_anonymous or not case.asker_name else case.asker_name
        lines = [text("knowledge.ways.reply", family=told.name, days=told.days), *map(_row, rows)] if rows else [
            text("knowledge.ways.reply_none", days=told.days)]
        return "\n\n".join([text("knowledge.ways.reply_greeting", asker=asker, number=case.number), "\n".join(lines),
                            text("knowledge.ways.reply_ask"), text("analysis.reply.end")])


def _row(row: WayRow) -> str:
    seen = text("knowledge.ways.reply_row", what=row.what, first=row.first, last=row.last, count=row.count,
                source=row.sources)
    return f"- {seen} {row.note}".rstrip()


def _family(case: Case, viewer: Viewer) -> str:
    row = analysis_of(case, viewer)
    answer = answer_for(row, viewer) if row is not None and row.result is not None else {}
    return str(answer["family"]) if answer.get("verdict") == "identified" else ""

"""Who uses a family, and by which ways they came in lately: from dated sources, and from this desk's own cases.

Own cases count with the way in that a person confirmed, and only where the family is sure. The desk sees a range
from three cases upwards; anybody else, and a reply, a range from five cases of three organisations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F, QuerySet
from django.utils import timezone

from hikeshi.errors import KnowledgeError
from hikeshi.knowledge.attack import load_attack
from hikeshi.knowledge.families import Family, load_families
from hikeshi.knowledge.sources import load_sources
from hikeshi.knowledge.vectors import KnownActor, Seen, Vectors, actors_of, recent_vectors, recent_vectors_of_actor
from hikeshi.model.text import plain
from hikeshi_desk.accounts.texts import load_texts, text
from hikeshi_desk.analysis import elsewhere
from hikeshi_desk.analysis.attribution import way_words
from hikeshi_desk.analysis.knowledge import options
from hikeshi_desk.analysis.models import Sign
from hikeshi_desk.analysis.shown import language
from hikeshi_desk.analysis.signs import key_of
from hikeshi_desk.cases.models import Case, State

FEWEST_FOR_DESK = 3
_MOST = 4_000


@dataclass(frozen=True)
class ActorRow:
    name: str
    relation: str
    sure: str
    sources: str


@dataclass(frozen=True)
class WayRow:
    """`what` in words; `first` and `last` days or months as the source has them; `count` of reports or cases."""

    what: str
    first: str
    last: str
    count: str
    sources: str
    note: str = ""


@dataclass(frozen=True)
class About:
    """`id` is "" for a family that is not in the knowledge. `says` is one sentence on `recent`."""

    id: str
    name: str
    actors: Sequence[ActorRow]
    days: int
    says: str
    recent: Sequence[WayRow]
    own: Sequence[WayRow]
    older: Sequence[WayRow]
    undated: Sequence[str]


def about(name: str, own: Sequence[Any] = (), *, for_desk: bool = True) -> About:
    """`own` are rows of `reads`, or of `own_rows`."""
    family, days = family_named(name), options().days
    found = recent_vectors(family.id if family else None, timezone.localdate(), days)
    return _about(family.id if family else "", family.name if family else name,
                  actors_of(family.id) if family else (), days, found, own_ways(own, days, for_desk=for_desk))


def about_actor(name: str, *, for_desk: bool = True) -> About:
    """The same for an actor; own cases are those in which a person confirmed this one."""
    days = options().days
    own = own_rows(Sign.objects.filter(kind="actor", key=key_of("actor", name)))
    return _about("", name, (), days, recent_vectors_of_actor(name, timezone.localdate(), days),
                  own_ways(list(own[:_MOST]), days, for_desk=for_desk))


def family_named(name: str) -> Family | None:
    """The family of that id or name; None where the name is nobody's, or that of several."""
    known = load_families()
    ids = (name,) if name in known.by_id else known.named(name)
    return known.by_id.get(ids[0]) if len(ids) == 1 else None


def reads(case: Case) -> QuerySet[Sign]:
    """Confirmed ways of other cases of the same family, for the case page."""
    own = Sign.objects.filter(case=case, kind="family").values("key")
    return own_rows(Sign.objects.filter(kind="family", key__in=own)).exclude(case=case)


def of_family(name: str) -> QuerySet[Sign]:
    return own_rows(Sign.objects.filter(kind="family", key=key_of("family", name)))


def own_rows(marks: QuerySet[Sign]) -> QuerySet[Sign]:
    """Ways that people confirmed, in cases with one of these signs of family or actor, lately."""
    since = timezone.now() - timedelta(days=options().days)
    return Sign.objects.filter(kind="way", case__in=marks.values("case"), case__opened_at__gte=since).exclude(
        case__state=State.MERGED).annotate(
        at=F("case__opened_at"), asked_by=F("case__organisation_id"), contact=F("case__contact")).order_by("-pk")


def own_ways(rows: Sequence[Any], days: int, *, for_desk: bool) -> list[WayRow]:
    """Ranges and months, and no word of which case or whose."""
    cases: dict[str, dict[Any, Any]] = defaultdict(dict)
    for row in rows[:_MOST]:
        cases[row.key][row.case_id] = row
    found = []
    for key, of in cases.items():
        asked = {elsewhere.organisation(row.asked_by, row.contact) for row in of.values()} - {""}
        may_tell = len(of) >= elsewhere.FEWEST_CASES and len(asked) >= elsewhere.FEWEST_ORGANISATIONS
        if not (may_tell or (for_desk and len(of) >= FEWEST_FOR_DESK)):
            continue
        months = sorted(_month(row.at) for row in of.values())
        kind, cve, product = [*key.removeprefix("way:").split("|"), "", ""][:3]
        found.append((-len(of), WayRow(plain(way_words(kind, cve, product)), months[0], months[-1],
                                       text(f"analysis.bucket.{elsewhere.bucket(len(of))}"),
                                       text("knowledge.ways.own_source"),
                                       "" if may_tell else text("knowledge.ways.own_inside"))))
    return [row for _, row in sorted(found, key=lambda pair: (pair[0], pair[1].what))]


def _month(at: datetime | str) -> str:
    """Read together with the rest of a page, a time comes as the database writes it."""
    told = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{timezone.localtime(told if told.tzinfo else told.replace(tzinfo=UTC)):%Y-%m}"


def _about(family: str, name: str, actors: Sequence[KnownActor], days: int, found: Vectors, own: list[WayRow]) -> About:
    here = language()
    says = getattr(found.says, here) if found.recent or not own else text("knowledge.ways.only_own", days=days)
    return About(family, plain(name), [
        ActorRow(plain(one.name), getattr(one.relation, here), text(f"analysis.sure.{one.confidence}"),
                 source_names(one.sources)) for one in actors],
        days, says, [_way(one) for one in found.recent], own, [_way(one) for one in found.older],
        [f"{one.name} ({one.id})" for one in found.undated])


def _way(one: Seen) -> WayRow:
    parts = [one.cve, one.product]
    if one.technique:
        parts.append(_technique(one.technique))
    return WayRow(plain(" · ".join(part for part in parts if part)), one.first_seen, one.last_seen,
                  text("knowledge.ways.reports", count=one.count), source_names(one.sources),
                  text("knowledge.ways.unverified") if one.unverified else "")


def _technique(id: str) -> str:
    """In the reader's words where we have some, else as ATT&CK names it."""
    key = f"knowledge.technique.{id.replace('.', '_')}"
    if key in load_texts():
        return f"{text(key)} ({id})"
    try:
        known = load_attack().techniques.get(id)
    except KnowledgeError:
        return id
    return f"{known.name} ({id})" if known else id


def source_names(ids: Sequence[str]) -> str:
    known = load_sources()
    return ", ".join(plain(known[one].name if one in known else one) for one in ids)

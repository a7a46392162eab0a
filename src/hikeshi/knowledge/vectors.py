"""Who is reported to use a family, and by which ways those with it came in lately.

A vector is dated: it was seen from a first to a last month or day. Records are from data/vectors.toml, from packs
and from a desk's released cases; the last two are handed in. What ATT&CK lists of a family bears no date and is
told apart. A family is not an actor: nothing here says who is behind a case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from hikeshi.errors import KnowledgeError
from hikeshi.knowledge.attack import Technique, load_attack
from hikeshi.knowledge.dates import check_span, first_day, last_day
from hikeshi.knowledge.families import Family, load_families
from hikeshi.knowledge.installed import part
from hikeshi.knowledge.load import DATA, Record, load_records
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text

DAYS = 90
OWN = DATA / "vectors.toml"
_RELATIONS = {
    "operates": Text("運営すると報告されている", "reported to run it"),
    "uses": Text("使うと報告されている", "reported to use it"),
    "used-by": Text("使うと報告されている", "reported to use it"),
}
_OTHER = Text("関わりが報告されている", "reported to be related to it")


@dataclass(frozen=True, slots=True)
class KnownActor:
    """`relation` is what is reported, `sources` who reports it (ids of SOURCES.toml). Never above medium: a report on
    the family's users tells little of who is behind one case."""

    name: str
    relation: Text
    confidence: Confidence
    sources: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "relation": self.relation.to_dict(), "confidence": self.confidence,
                "sources": list(self.sources)}


@dataclass(frozen=True, slots=True)
class Vector:
    """One dated record of a family or an actor. At least one of `cve`, `technique` and `product` is given.
    `first_seen` and `last_seen` are days or months; `count` is how many reports or cases stand behind it;
    `status` is the day it was checked, or "unverified"."""

    family: str
    actor: str
    cve: str
    technique: str
    product: str
    first_seen: str
    last_seen: str
    count: int
    source: str
    licence: str
    written_on: str
    status: str


@dataclass(frozen=True, slots=True)
class Seen:
    """All records of one way in, added up; first and last as written, the least and the greatest."""

    cve: str
    technique: str
    product: str
    first_seen: str
    last_seen: str
    count: int
    sources: tuple[str, ...]
    unverified: bool

    def to_dict(self) -> dict[str, Any]:
        return {"cve": self.cve, "technique": self.technique, "product": self.product, "first_seen": self.first_seen,
                "last_seen": self.last_seen, "count": self.count, "sources": list(self.sources),
                "unverified": self.unverified}


@dataclass(frozen=True, slots=True)
class Vectors:
    """`recent`: last seen from `since` to `on`, the newest first. `older`: before. `undated`: ATT&CK's techniques of
    the family. `says` is one sentence on `recent`, "no recent data" where it is empty."""

    on: date
    since: date
    recent: tuple[Seen, ...]
    older: tuple[Seen, ...]
    undated: tuple[Technique, ...]

    @property
    def says(self) -> Text:
        days = (self.on - self.since).days
        if not self.recent:
            return Text(f"過去{days}日の新しいデータはありません。使われていないという意味ではありません。",
                        f"No recent data (last {days} days). That does not mean that none was used.")
        return Text(f"過去{days}日に見られた侵入の手口です。", f"Ways in seen in the last {days} days.")

    def to_dict(self) -> dict[str, Any]:
        return {"on": self.on.isoformat(), "since": self.since.isoformat(), "says": self.says.to_dict(),
                "recent": [one.to_dict() for one in self.recent], "older": [one.to_dict() for one in self.older],
                "known_undated": [{"id": t.id, "name": t.name, "tactics": list(t.tactics)} for t in self.undated]}


def actors_of(family: str | None) -> tuple[KnownActor, ...]:
    """By name, each once; empty for an unknown family."""
    known = load_families().by_id.get(family or "")
    told: dict[tuple[str, Text], dict[str, None]] = {}
    for actor in known.actors if known else ():
        told.setdefault((actor.name, _RELATIONS.get(actor.relation, _OTHER)), {})[actor.source] = None
    return tuple(KnownActor(name, relation, "medium" if "attack" in sources or len(sources) > 1 else "low",
                            tuple(sources)) for (name, relation), sources in sorted(told.items()))


def recent_vectors(family: str | None, on: date, days: int = DAYS, *, more: Iterable[Vector] = ()) -> Vectors:
    """The ways in of a family and of those reported to use it. `more` are records of packs and released cases.

    What was first seen after `on` is left out: the answer of a day stays the answer of that day."""
    known = load_families().by_id.get(family or "")
    actors = {actor.name.casefold() for actor in known.actors} if known else set()
    return _vectors([v for v in dict.fromkeys((*load_vectors(), *more))
                     if (family and v.family == family) or (not v.family and v.actor.casefold() in actors)],
                    on, days, known.techniques if known else ())


def recent_vectors_of_actor(actor: str, on: date, days: int = DAYS, *, more: Iterable[Vector] = ()) -> Vectors:
    """The same for an actor: what is reported of the actor, and of the families the actor is reported to use."""
    name = actor.casefold()
    families = {one.id for one in families_of_actor(actor)}
    return _vectors([v for v in dict.fromkeys((*load_vectors(), *more))
                     if v.actor.casefold() == name or (not v.actor and v.family in families)], on, days, ())


def families_of_actor(actor: str) -> tuple[Family, ...]:
    """Families that a report relates to the actor, by name."""
    name = actor.casefold()
    return tuple(sorted((one for one in load_families().by_id.values()
                         if any(a.name.casefold() == name for a in one.actors)), key=lambda one: one.name.casefold()))


def _vectors(records: Sequence[Vector], on: date, days: int, techniques: Sequence[str]) -> Vectors:
    if days < 1:
        raise ValueError("days must be at least 1")
    since = on - timedelta(days=days)
    seen = [v for v in records if first_day(v.first_seen) <= on]
    recent = [v for v in seen if last_day(v.last_seen) >= since]
    older = [v for v in seen if last_day(v.last_seen) < since]
    return Vectors(on, since, _added(recent), _added(older), _undated(techniques))


def vectors_from(rows: Iterable[Mapping[str, Any]], origin: Path) -> tuple[Vector, ...]:
    """Records handed in as plain tables, checked like our own. Raises KnowledgeError naming `origin`."""
    return tuple(_vector(Record(origin, row, None)) for row in rows)


def load_vectors(path: Path = OWN) -> tuple[Vector, ...]:
    """The installed pack's, else our own, in the file's order. Raises KnowledgeError."""
    return part("vectors", vectors_of, lambda: _own(OWN)) if path == OWN else _own(path)


@cache
def _own(path: Path) -> tuple[Vector, ...]:
    return vectors_of(load_records(path, "vector"))


def vectors_of(records: Iterable[Record]) -> tuple[Vector, ...]:
    """These records, checked. Raises KnowledgeError."""
    return tuple(_vector(record) for record in records)


def _vector(record: Record) -> Vector:
    def maybe(key: str) -> str:
        return record.string(key) if record.has(key) else ""

    count = record.number("count")
    if not (1 <= count <= 10**9 and count.is_integer()):
        raise record.error("'count' must be a whole number from 1 to 1,000,000,000")
    one = Vector(
        maybe("family"), maybe("actor"), maybe("cve"), maybe("technique"), maybe("product"),
        record.string("first_seen"), record.string("last_seen"), int(count), record.string("source"),
        record.string("licence"), record.string("written_on"), record.string("status"))
    if not (one.family or one.actor) or not (one.cve or one.technique or one.product):
        raise record.error("a vector needs family or actor, and one of cve, technique and product")
    wrong = check_span(one.first_seen, one.last_seen) or check_span(one.written_on, one.written_on)
    if wrong is None and one.status != "unverified":
        wrong = check_span(one.status, one.status)
    if wrong is not None:
        raise record.error(wrong)
    record.finish()
    return one


def _added(records: Sequence[Vector]) -> tuple[Seen, ...]:
    same: dict[tuple[str, str, str], list[Vector]] = {}
    for one in records:
        same.setdefault((one.cve, one.technique, one.product), []).append(one)
    seen = [Seen(cve, technique, product, min((v.first_seen for v in all_of), key=first_day),
                 max((v.last_seen for v in all_of), key=last_day), sum(v.count for v in all_of),
                 tuple(sorted({v.source for v in all_of})), any(v.status == "unverified" for v in all_of))
            for (cve, technique, product), all_of in same.items()]
    return tuple(sorted(seen, key=lambda s: (-last_day(s.last_seen).toordinal(), -s.count, s.cve, s.product)))


def _undated(ids: Sequence[str]) -> tuple[Technique, ...]:
    try:
        catalogue = load_attack()
    except KnowledgeError:
        return ()  # the package is optional to a working answer; families.py goes on without it too
    return tuple(catalogue.techniques[one] for one in sorted(ids) if one in catalogue.techniques)

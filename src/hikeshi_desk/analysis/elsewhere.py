"""Is it elsewhere? In how many other cases of this desk the same family or the same addresses were seen.

Only buckets and months leave this module. The sentence for a reply gives numbers from five cases of three
organisations upwards; cases whose organisation nobody knows do not count as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis.models import Sign
from hikeshi_desk.analysis.signs import FREE_MAIL
from hikeshi_desk.cases.models import Case, State

FEWEST_CASES, FEWEST_ORGANISATIONS = 5, 3
_MOST = 20_000


@dataclass(frozen=True)
class Seen:
    """`bucket` is none, few, from5, from10 or from20; `first` and `last` are months (2026-10), "" for none.
    `may_tell` says whether the number may leave the desk."""

    bucket: str
    first: str
    last: str
    may_tell: bool

    def words(self, language: str | None = None) -> str:
        return text(f"analysis.bucket.{self.bucket}", language=language)

    @property
    def months(self) -> str:
        return self.first if self.first == self.last else f"{self.first} – {self.last}"


@dataclass(frozen=True)
class Elsewhere:
    family: Seen
    indicators: Seen


def elsewhere(case: Case, viewer: Viewer) -> Elsewhere:
    """Other cases that share a sign with this one; one statement."""
    own = visible(Sign, viewer).filter(case=case, kind__in=("family", "indicator")).values("key")
    rows = list(_others(visible(Sign, viewer), case).filter(key__in=own).values_list(
        "kind", "case_id", "case__opened_at", "case__organisation_id", "case__contact")[:_MOST])
    return Elsewhere(_seen(row[1:] for row in rows if row[0] == "family"),
                     _seen(row[1:] for row in rows if row[0] == "indicator"))


def _others(rows: QuerySet[Any], case: Case) -> QuerySet[Any]:
    """Not this case, not one merged into it or that it was merged into: those are the same incident."""
    same = Q(case=case) | Q(case__merged_into=case)
    if case.merged_into_id:
        same |= Q(case=case.merged_into_id) | Q(case__merged_into=case.merged_into_id)
    return rows.exclude(same).exclude(case__state=State.MERGED)


def _seen(rows: Iterable[tuple[Any, datetime, Any, str]]) -> Seen:
    cases = {row[0]: row for row in rows}
    months = sorted(f"{timezone.localtime(row[1]):%Y-%m}" for row in cases.values())
    asked = {organisation(row[2], row[3]) for row in cases.values()} - {""}
    may_tell = len(cases) >= FEWEST_CASES and len(asked) >= FEWEST_ORGANISATIONS
    return Seen(bucket(len(cases)), months[0] if months else "", months[-1] if months else "", may_tell)


def bucket(count: int) -> str:
    return ("none" if count == 0 else "few" if count < 5 else "from5" if count < 10 else
            "from10" if count < 20 else "from20")


def organisation(known: Any, contact: str) -> str:
    """Who asked, told apart: the organisation, else the domain it writes from; unknown is nobody."""
    if known:
        return str(known)
    _, at, domain = contact.strip().casefold().rpartition("@")
    return domain if at and domain not in FREE_MAIL else ""


def sentence(found: Elsewhere, language: str) -> str:
    """For a reply: numbers and months when they may leave, else that the desk can't say more. Never a name."""
    tellable = [(name, seen) for name, seen in (("family", found.family), ("indicators", found.indicators))
                if seen.may_tell]
    if not tellable:
        return text("analysis.elsewhere.no_more", language=language)
    return "\n".join(text(f"analysis.elsewhere.tell_{name}", language=language, count=seen.words(language),
                          months=seen.months) for name, seen in tellable)

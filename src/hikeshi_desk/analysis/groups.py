"""Cases that nobody could name, under provisional names by what they share; who sees that, sees only own cases.

A case is unattributed while its family is not sure and nobody confirmed an actor. The newest of them are compared
in a job; the names are kept for good. What is shared is worked out for each viewer from the cases he may see.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from hikeshi.knowledge.clusters import CaseFacts, cluster, is_common, load_common
from hikeshi.model.text import defang, plain
from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.analysis.models import Analysis, Group, Sign
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases.access import is_desk
from hikeshi_desk.cases.models import Case, State

KINDS = ("indicator", "technique", "tool")
_MOST_CASES, _MOST_SIGNS = 5_000, 4_000
_HOW_LONG = timedelta(days=3 * 366)
_LISTED = 8


@dataclass(frozen=True)
class Shared:
    """One thing that cases share; `kind` as in Sign, `count` of the cases that the viewer may see."""

    kind: str
    value: str
    count: int


@dataclass(frozen=True)
class InGroup:
    """A group as one viewer sees it: the other cases (id, number) he may open, and what they share with this one."""

    name: str
    cases: Sequence[tuple[UUID, str]]
    shared: Sequence[Shared]


def regroup_soon() -> None:
    from hikeshi_desk.analysis.tasks import regroup as job

    job.using(priority=-10).enqueue()


def regroup() -> int:
    """Compare the unattributed cases and write their groups' names; gives how many groups there are."""
    with transaction.atomic():
        named = {name: set() for name in Group.objects.select_for_update().values_list("name", flat=True)}
        held = dict(Analysis.objects.exclude(group="").values_list("case_id", "group"))
        for case_id, name in held.items():
            named.setdefault(name, set()).add(str(case_id))
        found = cluster(_facts(), named=named)
        now = {UUID(case): one.name for one in found for case in one.cases}
        for one in found:
            group, is_new = Group.objects.get_or_create(name=one.name)
            former = sorted({*group.formerly, *one.formerly})
            if former != group.formerly:
                group.formerly = former
                group.save(update_fields=["formerly"])
            if is_new:
                record("system", "analysis.grouped", f"group:{one.name}", cases=len(one.cases))
        for case_id in held.keys() | now.keys():
            if held.get(case_id, "") != now.get(case_id, ""):
                Analysis.objects.filter(case=case_id).update(group=now.get(case_id, ""))
    return len(found)


def _facts() -> list[CaseFacts]:
    """The newest unattributed cases that have an indicator."""
    def has(kind: str) -> Exists:
        return Exists(Sign.objects.filter(case=OuterRef("pk"), kind=kind))

    cases = Case.objects.filter(has("indicator"), ~has("family"), opened_at__gt=timezone.now() - _HOW_LONG).exclude(
        state=State.MERGED).exclude(analysis__confirmed__has_key="actor").order_by("-opened_at")
    opened = dict(cases.values_list("pk", "opened_at")[:_MOST_CASES])
    signs: dict[UUID, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for case_id, kind, key in Sign.objects.filter(case__in=list(opened), kind__in=KINDS).values_list(
            "case_id", "kind", "key"):
        signs[case_id][kind].add(_value(kind, key))
    return [CaseFacts(str(pk), at.year, frozenset(signs[pk]["technique"]), frozenset(signs[pk]["indicator"]),
                      frozenset(signs[pk]["tool"])) for pk, at in opened.items()]


def reads(case: Case, viewer: Viewer) -> QuerySet[Sign]:
    """Signs of the cases of this case's group that the viewer may see, its own among them."""
    group = Analysis.objects.filter(case=case).exclude(group="").values("group")
    mine = visible(Analysis, viewer).filter(group__in=group)
    return Sign.objects.filter(kind__in=KINDS, case__in=mine.values("case")).annotate(
        number=F("case__number"), name=F("case__analysis__group")).order_by("-case__opened_at", "pk")[:_MOST_SIGNS]


def build(case: Case, viewer: Viewer, rows: Sequence[Any]) -> InGroup | None:
    """The group, or None where the viewer may see no other case of it.

    A party is told of cases only that share something it may see itself: cases joined by way of a case it may not
    see would speak of that one. The name, a number in a row, is the desk's.
    """
    desk = is_desk(viewer)
    kinds = KINDS if desk else ("technique", "tool")
    own = {(row.kind, row.key) for row in rows if row.case_id == case.pk and row.kind in kinds}
    both: dict[tuple[str, str], set[UUID]] = defaultdict(set)
    for row in rows:
        if (row.kind, row.key) in own and not _says_nothing(row.kind, _value(row.kind, row.key)):
            both[row.kind, row.key].add(row.case_id)
    common = {sign: cases for sign, cases in both.items() if len(cases) > 1}
    shared = sorted((Shared(kind, _shown(kind, key), len(cases)) for (kind, key), cases in common.items()),
                    key=lambda one: (KINDS.index(one.kind), -one.count, one.value))
    alike = {case_id for cases in common.values() for case_id in cases}
    others = {row.case_id: row.number for row in rows if row.case_id != case.pk and (desk or row.case_id in alike)}
    return InGroup(rows[0].name if desk else "", list(others.items()), shared[:_LISTED]) if others else None


def _shown(kind: str, key: str) -> str:
    value = plain(_value(kind, key))
    return defang(value) if kind == "indicator" else value


def _says_nothing(kind: str, value: str) -> bool:
    return is_common(value) if kind == "indicator" else value in load_common()[kind]


def _value(kind: str, key: str) -> str:
    value = key.removeprefix(f"{kind}:")
    return value.upper() if kind == "technique" else value

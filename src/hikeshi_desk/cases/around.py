"""What stands beside a case's conversation (judgements, points, referrals, parties), read in one statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet, TextField, Value
from django.db.models.functions import Cast, Coalesce

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.cases.models import Case, OpinionPoint, Party, Referral, TriageDecision

_TRUE = frozenset({"1", "t", "true"})


@dataclass(frozen=True)
class Row:
    """One row of any of the four tables; `words` in the order of its table below."""

    key: str
    words: tuple[str, ...]
    at: datetime | None
    who: str

    def is_true(self, place: int) -> bool:
        return self.words[place] in _TRUE


# Table, its columns as texts (at most six), its time, its person.
_TABLES: tuple[tuple[str, type[Any], tuple[str, ...], str, str], ...] = (
    ("judgement", TriageDecision, ("verdict", "urgency", "urgency_rule", "rsit", "reason"), "at", "by__name"),
    ("point", OpinionPoint, ("position", "claim", "stance", "comment"), "at", ""),
    ("referral", Referral, ("kind", "name", "reason_code", "note", "accepted", "answer_note"), "at", "by__name"),
    ("party", Party, ("organisation__name", "sees_conversation", "sees_files", "sees_findings", "sees_indicators"),
     "added_at", ""),
)
_MOST = 6


def of(case: Case, viewer: Viewer) -> Mapping[str, list[Row]]:
    """The rows by table, each in its own order; only what the viewer may see."""
    first, *others = (_texts(visible(model, viewer).filter(case=case), *more) for model, more in _parts())
    found: dict[str, list[Row]] = defaultdict(list)
    for table, key, *words, at, who in first.union(*others, all=True):
        found[table].append(Row(key, tuple(words), at, who))
    found["judgement"].sort(key=lambda row: -int(row.key))
    found["point"].sort(key=lambda row: int(row.words[0]))
    found["referral"].sort(key=lambda row: int(row.key))
    found["party"].sort(key=lambda row: row.words[0])
    return found


def _parts() -> list[tuple[type[Any], tuple[str, tuple[str, ...], str, str]]]:
    return [(model, (name, columns, at, who)) for name, model, columns, at, who in _TABLES]


def _texts(rows: QuerySet[Any], name: str, columns: tuple[str, ...], at: str, who: str) -> QuerySet[Any, Any]:
    if name == "party":
        rows = rows.filter(removed_at=None)
    texts = {f"words_{place}": Coalesce(Cast(F(column), TextField()), Value("", TextField()))
             for place, column in enumerate(columns)}
    texts |= {f"words_{place}": Value("", TextField()) for place in range(len(columns), _MOST)}
    person = Cast(F(who), TextField()) if who else Value("", TextField())
    return rows.order_by().annotate(
        row_table=Value(name, TextField()), row_key=Cast("pk", TextField()), row_at=F(at), row_who=person, **texts
    ).values_list("row_table", "row_key", *sorted(texts), "row_at", "row_who")

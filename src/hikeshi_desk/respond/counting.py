"""What the marks add up to: by the library's own rule, kept beside the measures so that a page need not work it out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

from django.db.models import Count, Q

from hikeshi.respond import state
from hikeshi_desk.cases.models import Case
from hikeshi_desk.respond import kinds
from hikeshi_desk.respond.models import Mark, Measure


def in_force(marks: Iterable[Mark]) -> dict[Any, Mark]:
    """The mark in force of each measure (by its id); none where all were taken back."""
    rows = sorted(marks, key=lambda one: one.pk)
    told = state.State(Path(), [state.Mark(
        row.pk, row.at.astimezone(UTC).isoformat(), str(row.by_id or ""), str(row.measure_id), "", row.state,
        undoes=row.undoes_id) for row in rows])
    by_number = {row.pk: row for row in rows}
    return {row.measure_id: row for row in (by_number[mark.id] for mark in told.current().values())}


def settle(measures: Sequence[Measure]) -> None:
    """Writes the present state of these measures, after their marks changed."""
    now = in_force(Mark.objects.filter(measure__in=[one.pk for one in measures]))
    for one in measures:
        mark = now.get(one.pk)
        one.state, one.is_reported = (mark.state, mark.is_reported) if mark else ("open", False)
    Measure.objects.bulk_update(measures, ["state", "is_reported"], batch_size=200)


def counts(case: Case) -> dict[str, Any]:
    """How many measures of each control are in which state, withdrawn ones aside; one query."""
    rows = Measure.objects.filter(case=case, withdrawn_at=None).order_by().values("control", "state").annotate(
        n=Count("pk"), reported=Count("pk", filter=Q(is_reported=True)),
        asked=Count("pk", filter=Q(asked_at__isnull=False)))
    found: dict[str, Any] = defaultdict(dict)
    for row in rows:
        found[row["control"]][row["state"]] = row["n"]
    return {**found, "reported": sum(row["reported"] for row in rows), "asked": sum(row["asked"] for row in rows)}


def share(told: dict[str, Any], controls: Iterable[str]) -> tuple[int, int]:
    """(done, all) of these controls."""
    rows = [told.get(control, {}) for control in controls]
    done = sum(n for row in rows for name, n in row.items() if kinds.is_done(name))
    return done, sum(sum(row.values()) for row in rows)

"""Roster and calls are the desk's own affair; a person's ways are theirs and the leads'."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from hikeshi_desk.accounts.access import Viewer, register
from hikeshi_desk.cases.access import is_desk
from hikeshi_desk.oncall.models import Call, Notice, Shift, Way


def _desk(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows if is_desk(viewer) else rows.none()


def _ways(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    if not viewer.is_desk:
        return rows.none()
    return rows if viewer.is_lead else rows.filter(person=viewer.user)


def register_rules() -> None:
    for model in (Call, Notice, Shift):
        register(model, _desk)
    register(Way, _ways)

"""Who sees a case's analysis: the desk, and a party that may see its findings."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from hikeshi_desk.accounts.access import Viewer, register
from hikeshi_desk.accounts.models import Role
from hikeshi_desk.analysis.models import Analysis, Lesson, PackUse, Sign
from hikeshi_desk.cases.access import is_desk
from hikeshi_desk.cases.models import Party


def _analyses(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    if is_desk(viewer):
        return rows
    if not viewer.has(Role.READER, Role.PARTNER):
        return rows.none()
    return rows.filter(Exists(Party.objects.filter(
        case=OuterRef("case"), organisation__in=viewer.organisations, removed_at=None, sees_findings=True)))


def _signs(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Signs join cases of different askers: for the desk alone."""
    return rows if is_desk(viewer) else rows.none()


def _uses(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Who took which pack into use is the desk's own business."""
    return rows if is_desk(viewer) else rows.none()


def _lessons(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Outside the desk a lesson exists once it is released, and until it is withdrawn."""
    if is_desk(viewer):
        return rows
    if not viewer.has(Role.READER, Role.PARTNER):
        return rows.none()
    return rows.filter(state=Lesson.State.RELEASED)


def register_rules() -> None:
    register(Lesson, _lessons)
    register(Analysis, _analyses)
    register(PackUse, _uses)
    register(Sign, _signs)

"""A victim's defence is for the desk alone; the asker sees what was released, by way of their own conversation."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from hikeshi_desk.accounts.access import Viewer, register
from hikeshi_desk.cases.access import is_desk
from hikeshi_desk.respond.models import Decision, Mark, Measure, Response


def _desk_only(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows if is_desk(viewer) else rows.none()


def register_rules() -> None:
    for model in (Decision, Mark, Measure, Response):
        register(model, _desk_only)

"""Mail is the desk's own affair: handlers and leads see rows, nobody else any."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from hikeshi_desk.accounts.access import Viewer, register
from hikeshi_desk.mail.models import CorrespondentKey, ReceivedMail, SentMail


def _working(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows if viewer.is_desk else rows.none()


def register_rules() -> None:
    for model in (CorrespondentKey, ReceivedMail, SentMail):
        register(model, _working)

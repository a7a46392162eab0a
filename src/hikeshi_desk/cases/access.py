"""Who sees what of a case. Registered with accounts.access when the app is ready.

The desk (handler, lead, auditor, and readers that belong to it) sees every case. Anybody else sees a case only
while an organisation of theirs is a party of it, and of it only what that party may see; never a note, never
who asked, never what another party and the desk say to each other.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404

from hikeshi_desk.accounts.access import DESK_ROLES, Viewer, register, visible
from hikeshi_desk.accounts.models import Role
from hikeshi_desk.cases.models import (
    Attachment,
    Case,
    Clock,
    Message,
    OpinionPoint,
    Party,
    Referral,
    Task,
    TriageDecision,
    Vulnerability,
)

WORKING = (Role.HANDLER, Role.LEAD)
READING = (Role.HANDLER, Role.LEAD, Role.READER, Role.PARTNER, Role.AUDITOR)


def is_desk(viewer: Viewer) -> bool:
    """May see every case, notes included."""
    if viewer.user is None:
        return False
    if viewer.has(*DESK_ROLES):
        return True
    return viewer.has(Role.READER) and viewer.reads_desk


def _parties(viewer: Viewer, case: str, **scope: bool) -> Q:
    """Which cases the viewer's organisations are in: asked once for the viewer, not once for each case."""
    if not viewer.has(Role.READER, Role.PARTNER):
        return Q(pk__in=[])
    parties = Party.objects.filter(organisation__in=viewer.organisations, removed_at=None, **scope)
    return Q(**{f"{case}__in": parties.values("case")})


def readable_serials(viewer: Viewer) -> QuerySet[Any]:
    """Cases whose conversation an outside viewer may read: what search walks over."""
    return Case.objects.filter(_parties(viewer, "pk", sees_conversation=True)).values("serial")


def readable(viewer: Viewer, cases: Collection[Case]) -> set[UUID]:
    """Which of these cases' words the viewer may read: their titles are words of the asker."""
    ids = {case.pk for case in cases}
    if not ids or is_desk(viewer):
        return ids
    rows = Case.objects.filter(_parties(viewer, "pk", sees_conversation=True), pk__in=ids)
    return set(rows.values_list("pk", flat=True))


def _cases(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows if is_desk(viewer) else rows.filter(_parties(viewer, "pk"))


def _messages(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    if is_desk(viewer):
        return rows
    spoken = Q(kind__in=(Message.Kind.ASKER, Message.Kind.REPLY)) & _parties(
        viewer, "case", sees_conversation=True)
    lane = Q(kind__in=(Message.Kind.PARTY, Message.Kind.TO_PARTY), party__removed_at=None,
             party__organisation__in=viewer.organisations if viewer.has(Role.READER, Role.PARTNER) else [])
    return rows.filter(spoken | lane)


def party_of(case: Case, viewer: Viewer) -> Party | None:
    """The party through which an outside viewer is in the case; None for the desk and for anybody else."""
    if is_desk(viewer) or not viewer.has(Role.READER, Role.PARTNER):
        return None
    rows = Party.objects.filter(case=case, organisation__in=viewer.organisations, removed_at=None)
    return rows.select_related("organisation").order_by("pk").first()


def fetch_case(viewer: Viewer, **lookup: object) -> Case:
    """Like accounts.access.fetch, with what every page of a case shows."""
    related = ("owner", "team", "merged_into", "split_from", "organisation", "vulnerability__vendor__organisation")
    try:
        found: Case = visible(Case, viewer).select_related(*related).get(**lookup)
    except (Case.DoesNotExist, ValueError, ValidationError) as missing:
        raise Http404 from missing
    return found


def _attachments(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows if is_desk(viewer) else rows.filter(_parties(viewer, "case", sees_files=True))


def _desk_only(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows if is_desk(viewer) else rows.none()


def register_rules() -> None:
    register(Case, _cases)
    register(Message, _messages)
    register(Attachment, _attachments)
    for model in (Clock, OpinionPoint, Party, Referral, Task, TriageDecision, Vulnerability):
        register(model, _desk_only)

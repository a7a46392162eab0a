"""Who sees which people, organisations and acts; and what a session remembers of its beginning."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, register
from hikeshi_desk.accounts.models import Identity, Membership, Organisation, Passkey, Team, User
from hikeshi_desk.audit.models import Entry

Rows = QuerySet[Any]


def _users(viewer: Viewer, rows: Rows) -> Rows:
    """A lead sees everybody; the desk its colleagues; others themselves."""
    if viewer.user is None:
        return rows.none()
    if viewer.is_lead:
        return rows
    if viewer.is_desk:
        return rows.filter(Q(pk=viewer.user.pk) | Q(is_active=True, memberships__organisation__is_desk=True)).distinct()
    return rows.filter(pk=viewer.user.pk)


def _organisations(viewer: Viewer, rows: Rows) -> Rows:
    return rows if viewer.is_desk else rows.filter(pk__in=viewer.organisations)


def _memberships(viewer: Viewer, rows: Rows) -> Rows:
    if viewer.user is None:
        return rows.none()
    return rows if viewer.is_lead else rows.filter(user=viewer.user)


def _teams(viewer: Viewer, rows: Rows) -> Rows:
    return rows if viewer.is_desk else rows.none()


def _entries(viewer: Viewer, rows: Rows) -> Rows:
    return rows if viewer.may_audit else rows.none()


def _own(viewer: Viewer, rows: Rows) -> Rows:
    return rows.none() if viewer.user is None else rows.filter(user=viewer.user)


def _signed_in(sender: object, request: HttpRequest, **more: object) -> None:
    now = timezone.now().timestamp()
    request.session["signed_in_at"] = request.session["seen_at"] = now


def register_all() -> None:
    for model, rule in ((User, _users), (Organisation, _organisations), (Membership, _memberships),
                        (Team, _teams), (Entry, _entries), (Passkey, _own), (Identity, _own)):
        register(model, rule)
    user_logged_in.connect(_signed_in, dispatch_uid="hikeshi_desk.accounts.signed_in")

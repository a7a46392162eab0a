"""Links that work once: the desk's set-up, an invitation, a new password."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from hikeshi_desk.accounts.models import Membership, OneTimeLink, Role, User

Purpose = OneTimeLink.Purpose
GOOD_FOR = {Purpose.SETUP: timedelta(days=1), Purpose.INVITE: timedelta(days=7), Purpose.RESET: timedelta(days=1)}


def make_link(purpose: OneTimeLink.Purpose, user: User | None = None, *, good_for: timedelta | None = None) -> str:
    """The link's path, seen only now; earlier unused links of this purpose and person end."""
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        OneTimeLink.objects.filter(user=user, used_at=None).delete()
        OneTimeLink.objects.create(purpose=purpose, user=user, token=_digest(token),
                                   expires_at=timezone.now() + (good_for or GOOD_FOR[purpose]))
    return reverse("accounts:link", args=[token])


def find_link(token: str) -> OneTimeLink | None:
    """A link that still works; looking does not use it up."""
    link = OneTimeLink.objects.select_related("user").filter(
        token=_digest(token), used_at=None, expires_at__gt=timezone.now()).first()
    if link and link.purpose == Purpose.SETUP and has_lead():
        return None
    return None if link and link.user and not link.user.is_active else link


def use_link(link: OneTimeLink) -> bool:
    """True for exactly one caller; call it in the transaction of what the link gives."""
    return OneTimeLink.objects.filter(pk=link.pk, used_at=None, expires_at__gt=timezone.now()).update(
        used_at=timezone.now()) == 1


def has_lead() -> bool:
    """Is there anybody who can administer the desk?"""
    return Membership.objects.filter(role=Role.LEAD, organisation__is_desk=True, user__is_active=True).exists()


def setup_link() -> str | None:
    """The path of a fresh set-up link while no lead exists, else None."""
    return None if has_lead() else make_link(Purpose.SETUP)


def _digest(token: str) -> str:
    return salted_hmac("hikeshi_desk.accounts.links", token, algorithm="sha256").hexdigest()

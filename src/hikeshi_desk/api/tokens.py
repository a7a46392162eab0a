"""Tokens: made by a person for a program, shown once, dead with their person.

A token's viewer is its person's as it is at this moment, never more; the scopes only take away. A person who was
deactivated has no living token, also not after coming back.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac
from ninja.security import HttpBearer

from hikeshi_desk.accounts import totp
from hikeshi_desk.accounts.access import DESK_ROLES, NOBODY, Viewer
from hikeshi_desk.accounts.models import User
from hikeshi_desk.api.models import Token
from hikeshi_desk.api.problems import Problem
from hikeshi_desk.audit.log import record
from hikeshi_desk.audit.models import Entry

SCOPES = ("alerts:write", "consultations:write", "cases:read", "cases:write")
LONGEST = timedelta(days=366)
MOST = 20  # living tokens of one person
A_MINUTE = 600  # requests of one token, in one web process
ANONYMOUS_A_MINUTE = 60  # requests that open something, of everybody without a token together
WRONG_IN_TEN_MINUTES = 300
_PREFIX = "hikeshi_"


@dataclass(frozen=True)
class Caller:
    """Who asks: a token's person, or nobody in particular."""

    viewer: Viewer
    token: Token | None = None

    @property
    def user(self) -> User:
        assert self.viewer.user is not None
        return self.viewer.user


@transaction.atomic
def make(user: User, *, name: str, scopes: list[str], days: int) -> tuple[Token, str]:
    """A token and its secret, which nobody can read again."""
    secret = _PREFIX + secrets.token_urlsafe(32)
    now = timezone.now()
    token = Token.objects.create(user=user, name=name, digest=digest_of(secret), scopes=sorted(set(scopes)),
                                 created_at=now, expires_at=now + min(timedelta(days=days), LONGEST))
    record(str(user.pk), "token.made", f"token:{token.pk}", name=name, scopes=token.scopes, expires=token.expires_at)
    return token, secret


@transaction.atomic
def revoke(by: User, token: Token) -> None:
    if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        record(str(by.pk), "token.revoked", f"token:{token.pk}", name=token.name, owner=str(token.user_id))


def living(user: User) -> int:
    return Token.objects.filter(user=user, revoked_at=None, expires_at__gt=timezone.now()).count()


def visible_tokens(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    """One's own; a lead sees everybody's."""
    if viewer.user is None:
        return rows.none()
    return rows if viewer.is_lead else rows.filter(user=viewer.user)


def is_dead(token: Token) -> str:
    """Why a token opens nothing: revoked, expired, person; "" while it lives."""
    if token.revoked_at:
        return "revoked"
    if token.expires_at <= timezone.now():
        return "expired"
    gone = Entry.objects.filter(subject=f"user:{token.user_id}", act="person.deactivated", at__gte=token.created_at)
    if not token.user.is_active or gone.exists():
        return "person"
    return ""


def digest_of(secret: str) -> str:
    return salted_hmac("hikeshi_desk.api.token", secret, algorithm="sha256").hexdigest()


class Bearer(HttpBearer):
    """`Authorization: Bearer hikeshi_…` with this scope. No session opens the API, so no form can be made to."""

    openapi_name = "token"

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def __call__(self, request: HttpRequest) -> Caller:
        return self.authenticate(request, _given(request))

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        caller = caller_of(token)
        assert caller.token is not None
        if self.scope not in caller.token.scopes:
            raise Problem("scope", self.scope)
        return caller


class MaybeBearer(Bearer):
    """With a token or without one; a wrong one is still refused."""

    is_optional = True

    def __call__(self, request: HttpRequest) -> Caller:
        if "Authorization" in request.headers:
            return super().__call__(request)
        count("anonymous", ANONYMOUS_A_MINUTE, 60)
        return Caller(NOBODY)


def caller_of(secret: str) -> Caller:
    """The person behind a token, as they are now. Raises Problem: unauthorised, too_many."""
    token = Token.objects.filter(digest=digest_of(secret)).select_related("user").first() if secret else None
    if token is None or is_dead(token):
        # A right one can't be guessed; only wrong ones wait, so that nobody locks the others out.
        count("wrong tokens", WRONG_IN_TEN_MINUTES, 600)
        raise Problem("unauthorised", headers={"WWW-Authenticate": 'Bearer realm="hikeshi"'})
    count(f"token-{token.pk}", A_MINUTE, 60)
    viewer = Viewer.of(token.user)
    if settings.SECOND_FACTOR == "required" and viewer.roles & DESK_ROLES and not totp.has_second_factor(token.user):
        raise Problem("unauthorised", headers={"WWW-Authenticate": 'Bearer realm="hikeshi"'})
    today = timezone.localdate()
    if token.last_used_on != today:
        Token.objects.filter(pk=token.pk).update(last_used_on=today)
    return Caller(viewer, token)


def count(what: str, most: int, within_s: int) -> None:
    """One more of these; Problem("too_many") past `most`. Kept in this process's memory only."""
    now = time.monotonic()
    with _lock:
        began, so_far = _windows.get(what, (now, 0))
        if now - began >= within_s:
            began, so_far = now, 0
        _windows[what] = began, so_far + 1
    if so_far >= most:
        raise Problem("too_many", headers={"Retry-After": str(math.ceil(began + within_s - now))})


def forget_counts() -> None:
    with _lock:
        _windows.clear()


_lock = threading.Lock()
_windows: dict[str, tuple[float, int]] = {}  # since when, how many; as many entries as there are living tokens


def _given(request: HttpRequest) -> str:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip()[:200] if kind.lower() == "bearer" else ""

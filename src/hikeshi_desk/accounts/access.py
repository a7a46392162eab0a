"""The only way to an object: what a viewer may see, decided in one place for each model.

Views never query a model themselves. They ask `visible(model, viewer)` or `fetch(model, viewer, id=…)`,
and an object that may not be seen is exactly one that does not exist. A model without a registered rule
shows nothing to anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, wraps
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import logout
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from hikeshi_desk.accounts.models import Membership, Role, User

# These say something about the desk; held anywhere else they give nothing.
DESK_ROLES = frozenset({Role.HANDLER, Role.LEAD, Role.AUDITOR})
LONGEST = timedelta(hours=12)
IDLE = timedelta(hours=2)
_IDLE_STEP = timedelta(minutes=5)  # how exactly idleness is kept: one write in this time

Rule = Callable[["Viewer", "QuerySet[Any]"], "QuerySet[Any]"]
_rules: dict[type[Model], Rule] = {}


@dataclass(frozen=True)
class Viewer:
    """Who is looking. Nobody in particular has no user, no roles and no organisations."""

    user: User | None
    roles: frozenset[Role]
    organisations: frozenset[UUID]

    @classmethod
    def of(cls, user: Any) -> Viewer:
        """The viewer behind `request.user`; a person who was deactivated is nobody."""
        if not isinstance(user, User) or not user.is_active:
            return NOBODY
        held = list(Membership.objects.filter(user=user).values_list("role", "organisation_id",
                                                                     "organisation__is_desk"))
        roles = {Role(role) for role, _, is_desk in held if is_desk or role not in DESK_ROLES}
        made = cls(user=user, roles=frozenset(roles), organisations=frozenset(row[1] for row in held))
        made.__dict__["reads_desk"] = any(is_desk and role == Role.READER for role, _, is_desk in held)
        return made

    @cached_property
    def reads_desk(self) -> bool:
        """A reader of the desk itself, who sees every case; known from the start for whoever signed in."""
        return Membership.objects.filter(user=self.user, role=Role.READER, organisation__is_desk=True).exists()

    @cached_property
    def teams(self) -> frozenset[int]:
        return frozenset(self.user.teams.values_list("pk", flat=True)) if self.user else frozenset()

    def has(self, *roles: Role) -> bool:
        return not self.roles.isdisjoint(roles)

    @property
    def is_known(self) -> bool:
        return self.user is not None

    @property
    def is_lead(self) -> bool:
        return Role.LEAD in self.roles

    @property
    def is_desk(self) -> bool:
        """Works at the desk on cases: handler or lead."""
        return self.has(Role.HANDLER, Role.LEAD)

    @property
    def may_audit(self) -> bool:
        return self.has(Role.LEAD, Role.AUDITOR)


NOBODY = Viewer(user=None, roles=frozenset(), organisations=frozenset())


def register(model: type[Model], rule: Rule) -> None:
    """Say once, in the app's `ready()`, which rows of `model` a viewer may see."""
    if model in _rules:
        raise ImproperlyConfigured(f"{model.__name__} has a rule already")
    _rules[model] = rule


def visible(model: type[Model], viewer: Viewer) -> QuerySet[Any]:
    """Every row the viewer may see; none for a model nobody registered."""
    rows = model._default_manager.all()
    rule = _rules.get(model)
    return rule(viewer, rows) if rule else rows.none()


def fetch(model: type[Model], viewer: Viewer, **lookup: object) -> Any:
    """One visible object, or Http404: denied, missing and malformed look the same."""
    try:
        return visible(model, viewer).get(**lookup)
    except (model.DoesNotExist, ValueError, ValidationError) as missing:  # type: ignore[attr-defined]
        raise Http404 from missing


View = Callable[..., HttpResponse]


def viewer_of(request: HttpRequest) -> Viewer:
    """The request's viewer, worked out once."""
    known = getattr(request, "_viewer", None)
    if known is None:
        known = NOBODY if _is_over(request) else Viewer.of(request.user)
        request._viewer = known  # type: ignore[attr-defined]
    return known  # type: ignore[no-any-return]


def needs(*roles: Role, methods: Iterable[str] = ("GET", "POST")) -> Callable[[View], View]:
    """Only for people with one of `roles` (none given: anybody signed in) and only these methods (HEAD with GET).

    Nobody is sent to sign in; a person without the role sees what a page that does not exist looks like.
    The view finds its viewer as `request.viewer`.
    """
    def decorate(view: View) -> View:
        allowed = _with_head(methods)

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            viewer = viewer_of(request)
            if not viewer.is_known:
                return _to_sign_in(request)
            if roles and not viewer.has(*roles):
                raise Http404
            if request.method not in allowed:
                return HttpResponseNotAllowed(allowed)
            if settings.SECOND_FACTOR == "required" and not _has_second_factor(request, viewer):
                return redirect("accounts:second-factor")
            request.viewer = viewer  # type: ignore[attr-defined]
            return view(request, *args, **kwargs)

        guarded.needs, guarded.methods = frozenset(roles), allowed  # type: ignore[attr-defined]
        return guarded
    return decorate


def public(*, methods: Iterable[str] = ("GET",)) -> Callable[[View], View]:
    """For everybody, and said so on purpose: a view that declares nothing fails the tests."""
    def decorate(view: View) -> View:
        allowed = _with_head(methods)

        @wraps(view)
        def open_to_all(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method not in allowed:
                return HttpResponseNotAllowed(allowed)
            return view(request, *args, **kwargs)

        open_to_all.needs, open_to_all.methods = None, allowed  # type: ignore[attr-defined]
        return open_to_all
    return decorate


def without_second_factor(view: View) -> View:
    """The few pages that a person must reach to set a second factor up."""
    @wraps(view)
    def reachable(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        request._second_factor_later = True  # type: ignore[attr-defined]
        return view(request, *args, **kwargs)
    return reachable


def _has_second_factor(request: HttpRequest, viewer: Viewer) -> bool:
    if getattr(request, "_second_factor_later", False) or not viewer.roles & DESK_ROLES:
        return True
    return bool(request.session.get("second_factor"))


def _is_over(request: HttpRequest) -> bool:
    """Twelve hours after sign-in, or two without a visit, a session ends."""
    if not request.user.is_authenticated:
        return False
    now = timezone.now().timestamp()
    began, seen = request.session.get("signed_in_at", 0), request.session.get("seen_at", 0)
    # A clock set back must not make a session immortal.
    if not (-60 <= now - began <= LONGEST.total_seconds() and now - seen <= IDLE.total_seconds()):
        logout(request)
        return True
    if now - seen > _IDLE_STEP.total_seconds():
        request.session["seen_at"] = now
    return False


def _with_head(methods: Iterable[str]) -> tuple[str, ...]:
    given = set(methods)
    return tuple(sorted(given | {"HEAD"} if "GET" in given else given))


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    target = reverse("accounts:sign-in")
    # Only a page can be come back to, not the sending of a form.
    if request.method == "GET" and request.path != settings.LOGIN_REDIRECT_URL:
        return redirect(f"{target}?{urlencode({'next': request.get_full_path()})}")
    return redirect(target)

"""Pages for people: the tokens they made, a new one, and the description of the API."""

from __future__ import annotations

import json
import uuid
from functools import cache

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from hikeshi_desk.accounts import totp
from hikeshi_desk.accounts.access import fetch, needs, public, viewer_of, visible
from hikeshi_desk.accounts.forms import ConfirmForm
from hikeshi_desk.accounts.models import User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.accounts.views import confirm
from hikeshi_desk.api import tokens as made
from hikeshi_desk.api.forms import TokenForm
from hikeshi_desk.api.models import Token
from hikeshi_desk.api.problems import KINDS, Problem, answer

FRESH_S = 300
_CONFIRMED = "token_confirmed_at"


@needs(methods=("GET",))
def tokens(request: HttpRequest) -> HttpResponse:
    """One's own; for a lead everybody's."""
    viewer = viewer_of(request)
    rows = visible(Token, viewer).select_related("user")
    return render(request, "api/tokens.html", {"rows": [_row(row, viewer.user) for row in rows]})


def _row(token: Token, user: User | None) -> dict[str, object]:
    dead = made.is_dead(token)
    return {"token": token, "owner": token.user.name, "is_own": token.user == user,
            "scopes": [text(f"api.scope.{scope.replace(':', '_')}") for scope in token.scopes],
            "is_alive": not dead, "state": text(f"api.state.{dead or 'alive'}"),
            "expires": timezone.localtime(token.expires_at).date().isoformat(),
            "used": token.last_used_on.isoformat() if token.last_used_on else text("api.tokens.never")}


@needs()
def new(request: HttpRequest) -> HttpResponse:
    """First it is really the person, with their second factor; then name, scopes and time; then the token, once."""
    user = viewer_of(request).user
    assert user is not None
    if not _is_fresh(request):
        return _confirm(request, user)
    form = TokenForm(request.POST if "name" in request.POST else None)
    if request.method == "POST" and form.is_valid():
        if made.living(user) < made.MOST:
            token, secret = made.make(user, **form.cleaned_data)
            request.session.pop(_CONFIRMED, None)
            # Shown with this answer and never again; sending the form again asks for the person first.
            return render(request, "api/token_made.html", {"token": token, "secret": secret})
        form.add_error(None, text("api.refused.too_many", most=made.MOST))
    return render(request, "api/token_new.html", {"form": form})


def _confirm(request: HttpRequest, user: User) -> HttpResponse:
    # The password alone is not the second factor: who has one shows it.
    form = ConfirmForm(request.POST if request.method == "POST" else None,
                       has_password=user.has_usable_password() and not totp.has_second_factor(user),
                       has_app=totp.confirmed(user) is not None)
    if request.method == "POST" and "name" not in request.POST and confirm.is_confirmed(request, user, form):
        request.session[_CONFIRMED] = timezone.now().timestamp()
        return redirect("api:token-new")
    return confirm.page(request, user, form, title="api.new.title", button="accounts.button.confirm")


def _is_fresh(request: HttpRequest) -> bool:
    age_s = timezone.now().timestamp() - request.session.get(_CONFIRMED, 0)
    return 0 <= age_s <= FRESH_S


@needs(methods=("POST",))
def revoke(request: HttpRequest, token_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    token: Token = fetch(Token, viewer, pk=token_id)
    assert viewer.user is not None
    made.revoke(viewer.user, token)
    messages.success(request, text("api.done.revoked", name=token.name))
    return redirect("api:tokens")


@public(methods=("GET",))
def reference(request: HttpRequest) -> HttpResponse:
    """The description for people, made from the same document."""
    from hikeshi_desk.api.openapi import by_tag

    areas = [{"tag": tag, "title": text(f"api.tag.{tag}"), "operations": operations}
             for tag, operations in by_tag().items()]
    problems = [{"kind": kind, "status": status, "title": text(f"api.problem.{kind}.title"),
                 "next": text(f"api.problem.{kind}.next")} for kind, status in KINDS.items()]
    return render(request, "api/reference.html", {"areas": areas, "problems": problems})


@public(methods=("GET",))
def openapi(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_document(), content_type="application/json")


@csrf_exempt  # there is nothing to be forged
@public(methods=("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"))
def nothing(request: HttpRequest, rest: str) -> HttpResponse:
    """Every other address below the API's, in the API's own words."""
    return answer(Problem("not_found"))


@cache
def _document() -> bytes:
    from hikeshi_desk.api.openapi import document

    return json.dumps(document(), ensure_ascii=False, indent=1).encode()

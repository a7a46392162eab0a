"""Addresses under /api/v1/ (for programs) and /desk/tokens/ (for their people).

Ninja's views are wrapped so that each says, like every view of the desk, who it is for (`needs`) and which methods
it takes. "token": nobody's session opens it; a token with the right scope does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from ninja.operation import PathView

from hikeshi_desk.api import pages
from hikeshi_desk.api.problems import not_allowed
from hikeshi_desk.api.tokens import Bearer, MaybeBearer
from hikeshi_desk.api.views import api

TOKEN = "token"


def _route(place: str) -> str:
    """Ninja writes {uuidstr:id} where Django writes <uuid:id>."""
    return f"api/v1{place}".replace("{uuidstr:", "<uuid:").replace("}", ">")


def _declared(view: Callable[..., HttpResponse], operations: PathView) -> Callable[..., HttpResponse]:
    methods = {method for operation in operations.operations for method in operation.methods}
    allowed = tuple(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
    guards = [guard for operation in operations.operations for guard in operation.auth_callbacks]

    @wraps(view)
    def declared(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method not in allowed:
            return not_allowed(request, allowed)
        if request.method != "HEAD":
            return view(request, *args, **kwargs)
        request.method = "GET"
        try:
            return view(request, *args, **kwargs)
        finally:
            request.method = "HEAD"

    by_token = any(isinstance(guard, Bearer) and not isinstance(guard, MaybeBearer) for guard in guards)
    declared.needs, declared.methods = TOKEN if by_token else None, allowed  # type: ignore[attr-defined]
    return declared


app_name = "api"
urlpatterns = [
    path("api/v1/", pages.reference, name="reference"),
    path("api/v1/openapi.json", pages.openapi, name="openapi"),
    *(path(_route(place), _declared(operations.get_view(), operations), name=operations.url_name)
      for place, operations in api.operations()),
    path("api/v1/<path:rest>", pages.nothing, name="nothing"),
    path("desk/tokens/", pages.tokens, name="tokens"),
    path("desk/tokens/new/", pages.new, name="token-new"),
    path("desk/tokens/<uuid:token_id>/revoke/", pages.revoke, name="token-revoke"),
]

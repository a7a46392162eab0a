"""To the organisation's sign-in service and back. Every failure gives the same page."""

from __future__ import annotations

from django.conf import settings
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from hikeshi_desk.accounts import attempts, oidc
from hikeshi_desk.accounts.access import public, viewer_of
from hikeshi_desk.accounts.once import spend
from hikeshi_desk.accounts.views import sign_in
from hikeshi_desk.audit.log import record

WAIT_S = 600
_SALT = "hikeshi_desk.accounts.service"
_COOKIE = "__Host-service" if settings.HTTPS else "service"


@public(methods=("GET",))
def begin(request: HttpRequest) -> HttpResponse:
    """Stores nothing here: what is needed at the return waits in a signed cookie."""
    known = oidc.service()
    if known is None:
        raise Http404
    if viewer_of(request).is_known:
        return redirect(settings.LOGIN_REDIRECT_URL)
    try:
        address, held = oidc.begin(known, _back(request))
    except oidc.Refused:
        return sign_in.page(request, error="accounts.refused.service")
    response = redirect(address)
    # Lax: the return is a navigation from the service's site.
    response.set_cookie(_COOKIE, signing.dumps(held | {"next": sign_in.target_of(request)}, salt=_SALT),
                        max_age=WAIT_S, secure=settings.HTTPS, httponly=True, samesite="Lax")
    return response


@public(methods=("GET",))
def back(request: HttpRequest) -> HttpResponse:
    known = oidc.service()
    if known is None:
        raise Http404
    held = _held(request)
    # Whoever did not begin here changes nothing here, nor does a look at the headers.
    if held is None or request.method == "HEAD" or len(request.GET.urlencode()) > 8000:
        return sign_in.page(request, error="accounts.refused.service")
    try:
        if not attempts.may_call("service"):
            raise oidc.Refused("too_many")
        if not spend("service", held["state"], keep_s=2 * WAIT_S):
            raise oidc.Refused("replayed")
        arrived = oidc.finish(known, held, request.GET.dict(), _back(request))
    except oidc.Refused as refused:
        record("anonymous", "sign_in.failed", "", by="service", reason=refused.reason)
        response = sign_in.page(request, error="accounts.refused.service")
    else:
        target = sign_in.safe_target(held["next"])
        response = (sign_in.complete(request, arrived.user, "service", target) if arrived.has_second_factor
                    else sign_in.passed_first(request, arrived.user, target))
    response.delete_cookie(_COOKIE, samesite="Lax")
    return response


def _held(request: HttpRequest) -> dict[str, str] | None:
    try:
        return dict(signing.loads(request.COOKIES.get(_COOKIE, ""), salt=_SALT, max_age=WAIT_S))
    except (signing.BadSignature, ValueError, TypeError):
        return None


def _back(request: HttpRequest) -> str:
    scheme = "https" if settings.HTTPS or request.is_secure() else "http"
    return f"{scheme}://{request.get_host()}{reverse('accounts:service-back')}"

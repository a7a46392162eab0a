"""What somebody is still writing, kept so that no click loses it and so that nobody else can read it.

The words lie in the session encrypted with a key that only the writer's browser has (a cookie). They are
forgotten when the consultation is sent, when the writer says so, and two hours after the last step; without
the cookie they are noise from the first moment. Nothing of it reaches the spool, a case or a log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse

KEPT_S = 2 * 3600
_COOKIE = "__Host-draft" if settings.HTTPS else "draft"
_SLOT = "draft"


def read(request: HttpRequest, form: str) -> dict[str, str]:
    """The words of one form by field; empty when there are none, they are too old or the key is not here."""
    return _all(request).get(form, {})


def keep(request: HttpRequest, form: str, words: Mapping[str, Any]) -> str:
    """Keeps the words of one form and gives the key; the caller passes it to `hand_over`."""
    found = _all(request)
    found[form] = {name: str(value) for name, value in words.items() if value}
    given = request.COOKIES.get(_COOKIE, "")
    key = given if found and _cipher(given) else Fernet.generate_key().decode()
    request.session[_SLOT] = Fernet(key).encrypt(json.dumps(found).encode()).decode()
    shorten(request)
    request.COOKIES[_COOKIE] = key
    return key


def hand_over(response: HttpResponse, key: str) -> HttpResponse:
    response.set_cookie(_COOKIE, key, max_age=KEPT_S, path="/", secure=settings.HTTPS, httponly=True,
                        samesite="Strict")
    return response


def forget(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Both halves: what the desk has and what the browser has."""
    if _SLOT in request.session:
        del request.session[_SLOT]
    if _COOKIE in request.COOKIES:
        response.delete_cookie(_COOKIE, path="/", samesite="Strict")
    return response


def drop(request: HttpRequest, form: str) -> None:
    """Forgets one form's words, and everything when there are no others."""
    found = _all(request)
    if found.pop(form, None) is None:
        return
    if found:
        request.session[_SLOT] = Fernet(request.COOKIES[_COOKIE]).encrypt(json.dumps(found).encode()).decode()
    else:
        del request.session[_SLOT]


def shorten(request: HttpRequest) -> None:
    """The session of somebody who is not signed in ends two hours after its last step."""
    if "_auth_user_id" not in request.session:
        request.session.set_expiry(KEPT_S)


def remove_expired() -> None:
    """Sessions whose time is over leave the database; called every few minutes."""
    SessionStore.clear_expired()


def _all(request: HttpRequest) -> dict[str, dict[str, str]]:
    cipher, kept = _cipher(request.COOKIES.get(_COOKIE, "")), request.session.get(_SLOT, "")
    if cipher is None or not kept:
        return {}
    try:
        found = json.loads(cipher.decrypt(kept.encode(), ttl=KEPT_S))
    except (InvalidToken, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _cipher(key: str) -> Fernet | None:
    try:
        return Fernet(key)
    except ValueError:
        return None

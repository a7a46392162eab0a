"""Before an act that a thief of the session would like: it is really you."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from hikeshi_desk.accounts import attempts, passkeys, totp
from hikeshi_desk.accounts.forms import ConfirmForm
from hikeshi_desk.accounts.models import User
from hikeshi_desk.accounts.passwords import user_with
from hikeshi_desk.accounts.texts import text

FRESH_S = 300


def form_for(request: HttpRequest, user: User) -> ConfirmForm:
    return ConfirmForm(request.POST if request.method == "POST" else None, has_password=user.has_usable_password(),
                       has_app=totp.confirmed(user) is not None)


def is_confirmed(request: HttpRequest, user: User, form: ConfirmForm) -> bool:
    """Counted like a sign-in: a stolen session must not become a place to guess."""
    if not form.is_valid():
        return False
    given = form.cleaned_data
    if given.get("passkey"):
        right = passkeys.accept(request, "again", user, given["passkey"]) == user
    elif given.get("current"):
        right = attempts.may_try(request, user.email) and user_with(user.email, given["current"]) == user
    elif given.get("code"):
        right = attempts.may_try(request, user.email) and totp.accept(user, given["code"]) is not None
    else:
        right = False
    if right:
        attempts.succeeded(request, user)
    else:
        form.add_error(None, text("accounts.refused.confirm"))
    return right


def knows_password(request: HttpRequest, user: User, current: str) -> bool:
    right = attempts.may_try(request, user.email) and user_with(user.email, current) == user
    if right:
        attempts.succeeded(request, user)
    return right


def page(request: HttpRequest, user: User, form: ConfirmForm, *, title: str, button: str,
         what: str = "") -> HttpResponse:
    here = passkeys.site(request)
    return render(request, "accounts/confirm.html", {
        "form": form, "title": title, "button": button, "what": what,
        "by_passkey": bool(here and passkeys.of(user).filter(rp_id=here.rp_id).exists()),
        "by_typing": "current" in form.fields or "code" in form.fields})


def is_fresh(request: HttpRequest) -> bool:
    """Signed in within the last five minutes."""
    age_s = timezone.now().timestamp() - request.session.get("signed_in_at", 0)
    return 0 <= age_s <= FRESH_S


def lacks_factor(request: HttpRequest, user: User) -> bool:
    """A session from before the person had a second factor may not add another one."""
    return totp.has_second_factor(user) and not request.session.get("second_factor")



"""Passkeys: signing in with one, and one's own list of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from hikeshi_desk.accounts import passkeys as keys
from hikeshi_desk.accounts import people, totp
from hikeshi_desk.accounts.access import fetch, needs, public, viewer_of, visible, without_second_factor
from hikeshi_desk.accounts.forms import EmptyForm, NewPasskeyForm, PasskeyForm, PasskeyNameForm
from hikeshi_desk.accounts.models import Passkey, User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.accounts.views import confirm, sign_in
from hikeshi_desk.audit.log import record


@public(methods=("POST",))
def ask(request: HttpRequest, purpose: str) -> HttpResponse:
    """Options for the browser's passkey window, with the challenge kept in a cookie. Nothing is stored."""
    here = keys.site(request)
    if here is None or purpose not in keys.PURPOSES or not EmptyForm(request.POST).is_valid():
        raise Http404
    viewer, user = viewer_of(request), None
    if purpose == "second":
        user = sign_in.half_way_user(request)
    elif purpose != "alone":
        user = viewer.user
    if (user is None and purpose != "alone") or (purpose == "new" and not _may_add(request, viewer.user)):
        raise Http404
    options, state = keys.ask(here, purpose, user)
    response = JsonResponse(options)
    keys.keep(response, state)
    return response


@public(methods=("POST",))
def with_passkey(request: HttpRequest) -> HttpResponse:
    """A passkey alone: the device has checked who holds it."""
    if viewer_of(request).is_known:
        return redirect("/desk/")
    form = PasskeyForm(request.POST)
    user = keys.accept(request, "alone", None, form.cleaned_data["passkey"]) if form.is_valid() else None
    if user is None:
        record("anonymous", "sign_in.failed", "")
        return sign_in.page(request, error="accounts.refused.passkey")
    return sign_in.complete(request, user, "passkey")


@public(methods=("POST",))
def second(request: HttpRequest) -> HttpResponse:
    """A passkey after the password, instead of a code."""
    user = sign_in.half_way_user(request)
    if user is None:
        return redirect("accounts:sign-in")
    form = PasskeyForm(request.POST)
    if form.is_valid() and keys.accept(request, "second", user, form.cleaned_data["passkey"]):
        return sign_in.complete(request, user, "passkey")
    record("anonymous", "sign_in.failed", "")
    return sign_in.second_page(request, user, error="accounts.refused.passkey")


@without_second_factor
@needs(methods=("GET",))
def passkeys(request: HttpRequest) -> HttpResponse:
    rows = visible(Passkey, request.viewer)
    return render(request, "accounts/passkeys.html", {
        "passkeys": rows, "here": keys.site(request), "may_more": len(rows) < keys.MOST})


@without_second_factor
@needs()
def add(request: HttpRequest) -> HttpResponse:
    """Within five minutes of the sign-in: a stolen session must not get a key of its own."""
    user: User = request.viewer.user
    if not _may_add(request, user):
        return render(request, "accounts/passkey_add.html", {"too_late": True})
    form = NewPasskeyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        passkey = keys.add(request, user, **_given(form))
        if passkey is not None:
            return _added(request, user)
        form.add_error(None, text("accounts.refused.passkey_new"))
    return render(request, "accounts/passkey_add.html", {"form": form, "here": keys.site(request)})


@needs()
def rename(request: HttpRequest, passkey_id: UUID) -> HttpResponse:
    passkey = fetch(Passkey, request.viewer, pk=passkey_id)
    form = PasskeyNameForm(request.POST or None, initial={"name": passkey.name})
    if request.method == "POST" and form.is_valid():
        people.rename_passkey(request.viewer.user, passkey, form.cleaned_data["name"])
        messages.success(request, text("accounts.done.saved"))
        return redirect("accounts:passkeys")
    return render(request, "accounts/form.html", {"form": form, "title": "accounts.passkey.rename",
                                                  "button": "accounts.button.save"})


@needs()
def remove(request: HttpRequest, passkey_id: UUID) -> HttpResponse:
    """Against the password or another proof; other sessions end, since one may have begun with that key."""
    user: User = request.viewer.user
    passkey = fetch(Passkey, request.viewer, pk=passkey_id)
    form = confirm.form_for(request, user)
    if request.method == "POST" and confirm.is_confirmed(request, user, form):
        people.remove_passkey(user, passkey)
        update_session_auth_hash(request, user)
        if not totp.has_second_factor(user):
            request.session["second_factor"] = ""
        messages.success(request, text("accounts.done.passkey_removed"))
        return redirect("accounts:passkeys")
    return confirm.page(request, user, form, title="accounts.passkey.remove", button="accounts.button.remove",
                        what=passkey.name)


def _may_add(request: HttpRequest, user: User | None) -> bool:
    return user is not None and confirm.is_fresh(request) and not confirm.lacks_factor(request, user)


def _given(form: NewPasskeyForm) -> dict[str, Any]:
    return {"name": form.cleaned_data["name"], "answer": form.cleaned_data["passkey"]}


def _added(request: HttpRequest, user: User) -> HttpResponse:
    request.session["second_factor"] = request.session.get("second_factor") or "passkey"
    request.session.cycle_key()
    messages.success(request, text("accounts.done.passkey_added"))
    if totp.has_codes(user):
        return redirect("accounts:passkeys")
    # Shown with this answer and never again; sending the form again makes none.
    return render(request, "accounts/recovery_codes.html", {"codes": totp.new_recovery_codes(user)})

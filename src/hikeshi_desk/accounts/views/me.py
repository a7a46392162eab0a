"""One's own account: name, language, password, authenticator, sessions."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from hikeshi_desk.accounts import attempts, people, totp
from hikeshi_desk.accounts.access import needs, without_second_factor
from hikeshi_desk.accounts.forms import ChangePasswordForm, CodeForm, EmptyForm, ProfileForm
from hikeshi_desk.accounts.models import User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.accounts.views import confirm
from hikeshi_desk.audit.log import record


@needs()
def me(request: HttpRequest) -> HttpResponse:
    user: User = request.viewer.user
    form = ProfileForm(request.POST or None, initial={"name": user.name, "language": user.language, "zone": user.zone})
    if request.method == "POST" and form.is_valid():
        for name, value in form.cleaned_data.items():
            setattr(user, name, value)
        user.save(update_fields=list(form.cleaned_data))
        record(str(user.pk), "profile.changed", f"user:{user.pk}")
        messages.success(request, text("accounts.done.saved"))
        return redirect("accounts:me")
    return render(request, "accounts/me.html", {
        "form": form, "has_app": bool(totp.confirmed(user)), "has_codes": totp.has_second_factor(user),
        "has_password": user.has_usable_password()})


@needs()
def password(request: HttpRequest) -> HttpResponse:
    user: User = request.viewer.user
    form = ChangePasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if confirm.knows_password(request, user, form.cleaned_data["current"]):
            people.change_password(user, form.cleaned_data["password"])
            update_session_auth_hash(request, user)
            messages.success(request, text("accounts.done.password"))
            return redirect("accounts:me")
        form.add_error("current", text("accounts.refused.current"))
    return render(request, "accounts/form.html", {"form": form, "title": "accounts.me.password",
                                                  "button": "accounts.button.save"})


@without_second_factor
@needs()
def second_factor(request: HttpRequest) -> HttpResponse:
    """Begin (the first POST makes a secret), then confirm with the app's code."""
    user: User = request.viewer.user
    if totp.confirmed(user):
        return render(request, "accounts/second_factor.html", {"on": True})
    if confirm.lacks_factor(request, user):
        return redirect("accounts:sign-in")
    factor, form = totp.waiting(user), CodeForm(request.POST if "code" in request.POST else None)
    if request.method == "POST" and (factor is None or "code" not in request.POST):
        totp.begin(user)
        return redirect("accounts:second-factor")
    if request.method == "POST" and form.is_valid():
        codes = totp.confirm(user, form.cleaned_data["code"]) if attempts.may_try(request, user.email) else None
        if codes:
            attempts.succeeded(request, user)
            request.session["second_factor"] = "totp"
            request.session.cycle_key()
            record(str(user.pk), "second_factor.set_up", f"user:{user.pk}")
            # Shown with this answer and never again; sending the form again makes none.
            return render(request, "accounts/recovery_codes.html", {"codes": codes})
        form.add_error("code", text("accounts.refused.code"))
    return render(request, "accounts/second_factor.html", {
        "form": form if factor else None, "secret": totp.readable(factor) if factor else ""})


@without_second_factor
@needs(methods=("GET",))
def second_factor_picture(request: HttpRequest) -> HttpResponse:
    """The QR code while the app is being set up; afterwards there is none."""
    factor = totp.waiting(request.viewer.user)
    if factor is None:
        raise Http404
    return HttpResponse(totp.picture(factor, text("accounts.desk.name")), content_type="image/svg+xml")


@needs()
def second_factor_remove(request: HttpRequest) -> HttpResponse:
    user: User = request.viewer.user
    form = confirm.form_for(request, user)
    if request.method == "POST" and confirm.is_confirmed(request, user, form):
        people.remove_second_factor(user, user)
        update_session_auth_hash(request, user)
        request.session["second_factor"] = ""
        return redirect("accounts:second-factor")
    return confirm.page(request, user, form, title="accounts.me.second_factor_remove", button="accounts.button.remove")


@needs()
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """New codes against the password; the old ones stop."""
    user: User = request.viewer.user
    if not totp.has_second_factor(user):
        raise Http404
    form = confirm.form_for(request, user)
    if request.method == "POST" and confirm.is_confirmed(request, user, form):
        codes = totp.new_recovery_codes(user)
        record(str(user.pk), "second_factor.new_codes", f"user:{user.pk}")
        return render(request, "accounts/recovery_codes.html", {"codes": codes})
    return confirm.page(request, user, form, title="accounts.me.recovery_codes", button="accounts.button.make")


@needs(methods=("POST",))
def end_sessions(request: HttpRequest) -> HttpResponse:
    """Everywhere else; this browser stays signed in with a new id."""
    user: User = request.viewer.user
    if EmptyForm(request.POST).is_valid():
        people.end_sessions(user, user)
        update_session_auth_hash(request, user)
        messages.success(request, text("accounts.done.sessions"))
    return redirect("accounts:me")

"""Sign-in in one or two steps, sign-out, and the links that work once."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from hikeshi_desk.accounts import attempts, links, people, totp
from hikeshi_desk.accounts.access import needs, public, viewer_of, without_second_factor
from hikeshi_desk.accounts.forms import CodeForm, InvitedForm, NewPasswordForm, SetUpForm, SignInForm
from hikeshi_desk.accounts.models import OneTimeLink, User
from hikeshi_desk.accounts.passwords import user_with
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record

HALF_WAY_S = 300
_BACKEND = "django.contrib.auth.backends.ModelBackend"


@public(methods=("GET", "POST"))
def sign_in(request: HttpRequest) -> HttpResponse:
    """Name and password. Every failure gives the same answer: wrong, unknown, deactivated or waiting."""
    if viewer_of(request).is_known:
        return redirect(settings.LOGIN_REDIRECT_URL)
    form = SignInForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = _checked(request, form.cleaned_data["email"], form.cleaned_data["password"])
        if user is not None:
            return _half_way(request, user) if totp.confirmed(user) else _complete(request, user, "")
        form.add_error(None, text("accounts.refused.sign_in"))
    return render(request, "accounts/sign_in.html", {"form": form, "next": _target(request)})


@public(methods=("GET", "POST"))
def second_step(request: HttpRequest) -> HttpResponse:
    """The authenticator's or a recovery code, within five minutes of the password."""
    half = request.session.get("half_way")
    user = people.active_person(half["user"]) if half else None
    if user is None or not 0 <= timezone.now().timestamp() - half["at"] <= HALF_WAY_S:
        return redirect("accounts:sign-in")
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        method = totp.accept(user, form.cleaned_data["code"]) if attempts.may_try(request, user.email) else None
        if method:
            return _complete(request, user, method)
        record("anonymous", "sign_in.failed", "")
        form.add_error(None, text("accounts.refused.code"))
    return render(request, "accounts/second_step.html", {"form": form})


@without_second_factor
@needs(methods=("POST",))
def sign_out(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    record(str(viewer.user.pk), "sign_out", f"user:{viewer.user.pk}")  # type: ignore[union-attr]
    logout(request)
    return redirect("accounts:sign-in")


@public(methods=("GET", "POST"))
def one_time_link(request: HttpRequest, token: str) -> HttpResponse:
    """Looking shows the form; only sending it uses the link up."""
    link = links.find_link(token)
    if link is None:
        raise Http404
    kind = {"setup": SetUpForm, "invite": InvitedForm}.get(link.purpose, NewPasswordForm)
    form = kind(request.POST or None, initial={"name": link.user.name if link.user else ""})
    if request.method == "POST" and form.is_valid():
        given = {name: value for name, value in form.cleaned_data.items() if name != "again"}
        try:
            if link.purpose == OneTimeLink.Purpose.SETUP:
                people.make_first_lead(link, **given)
            else:
                people.choose_password(link, **given)
        except people.Refused as refused:
            form.add_error(None, text(refused.key))
        else:
            if request.user.is_authenticated:
                logout(request)
            return redirect("accounts:sign-in")
    return render(request, "accounts/link.html", {"form": form, "purpose": link.purpose,
                                                  "title": f"accounts.link.{link.purpose}"})


def _checked(request: HttpRequest, email: str, password: str) -> User | None:
    if not attempts.may_try(request, email):
        return None
    user = user_with(email, password)
    if user is None:
        record("anonymous", "sign_in.failed", "")  # no name: a password is typed into the wrong field now and then
    return user


def _half_way(request: HttpRequest, user: User) -> HttpResponse:
    target = _target(request)
    request.session.flush()
    request.session["half_way"] = {"user": str(user.pk), "at": timezone.now().timestamp(), "next": target}
    return redirect("accounts:second-step")


def _complete(request: HttpRequest, user: User, method: str) -> HttpResponse:
    target = (request.session.get("half_way") or {}).get("next") or _target(request)
    request.session.flush()  # nothing from before the sign-in is carried over, least of all its id
    login(request, user, backend=_BACKEND)
    request.session["second_factor"] = method
    attempts.succeeded(request, user)
    record(str(user.pk), "sign_in", f"user:{user.pk}", second_factor=method)
    response = redirect(target or settings.LOGIN_REDIRECT_URL)
    attempts.remember_device(request, response, user)
    response.set_cookie(settings.LANGUAGE_COOKIE_NAME, user.language, secure=settings.HTTPS, samesite="Lax")
    return response


def _target(request: HttpRequest) -> str:
    """Where to go afterwards: a page of this desk, or nowhere."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = target.startswith(settings.LOGIN_REDIRECT_URL) and url_has_allowed_host_and_scheme(target, None)
    return target if safe else ""

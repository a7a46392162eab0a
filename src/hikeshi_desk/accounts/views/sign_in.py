"""Sign-in in one or two steps, sign-out, and the links that work once."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from hikeshi_desk.accounts import attempts, links, oidc, passkeys, people, totp
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
            return passed_first(request, user)
        form.add_error(None, text("accounts.refused.sign_in"))
    return page(request, form)


def page(request: HttpRequest, form: SignInForm | None = None, *, error: str = "") -> HttpResponse:
    """Every way in: the password, a passkey, the organisation's own service."""
    return render(request, "accounts/sign_in.html", {
        "form": form or SignInForm(), "next": target_of(request), "error": error, "service": oidc.name(),
        "here": passkeys.site(request)})


@public(methods=("GET", "POST"))
def second_step(request: HttpRequest) -> HttpResponse:
    """The authenticator's or a recovery code, within five minutes of the password."""
    user = half_way_user(request)
    if user is None:
        return redirect("accounts:sign-in")
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        method = totp.accept(user, form.cleaned_data["code"]) if attempts.may_try(request, user.email) else None
        if method:
            return complete(request, user, method)
        record("anonymous", "sign_in.failed", "")
        form.add_error(None, text("accounts.refused.code"))
    return second_page(request, user, form)


def second_page(request: HttpRequest, user: User, form: CodeForm | None = None, *, error: str = "") -> HttpResponse:
    here = passkeys.site(request)
    return render(request, "accounts/second_step.html", {
        "form": form or CodeForm(), "error": error, "has_app": totp.confirmed(user) is not None,
        "by_passkey": bool(here and passkeys.of(user).filter(rp_id=here.rp_id).exists())})


def half_way_user(request: HttpRequest) -> User | None:
    """Whose password was right less than five minutes ago in this browser."""
    half = request.session.get("half_way")
    if not half or not 0 <= timezone.now().timestamp() - half["at"] <= HALF_WAY_S:
        return None
    return people.active_person(half["user"])


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


def passed_first(request: HttpRequest, user: User, target: str = "") -> HttpResponse:
    """After the password or the organisation's service: in, or on to the second step."""
    target = target or target_of(request)
    if not totp.has_second_factor(user):
        return complete(request, user, "", target)
    request.session.flush()
    request.session["half_way"] = {"user": str(user.pk), "at": timezone.now().timestamp(), "next": target}
    return redirect("accounts:second-step")


def complete(request: HttpRequest, user: User, method: str, target: str = "") -> HttpResponse:
    """Signed in; `method` is the second factor that was shown, if any."""
    target = target or (request.session.get("half_way") or {}).get("next") or target_of(request)
    request.session.flush()  # nothing from before the sign-in is carried over, least of all its id
    login(request, user, backend=_BACKEND)
    request.session["second_factor"] = method
    attempts.succeeded(request, user)
    record(str(user.pk), "sign_in", f"user:{user.pk}", second_factor=method)
    if not user.memberships.exists():  # came by the organisation's service; a lead gives roles
        target = reverse("accounts:me")
    response = redirect(target or settings.LOGIN_REDIRECT_URL)
    attempts.remember_device(request, response, user)
    response.set_cookie(settings.LANGUAGE_COOKIE_NAME, user.language, secure=settings.HTTPS, samesite="Lax")
    return response


def target_of(request: HttpRequest) -> str:
    """Where to go afterwards: a page of this desk, or nowhere."""
    return safe_target(request.POST.get("next") or request.GET.get("next") or "")


def safe_target(target: str) -> str:
    safe = target.startswith(settings.LOGIN_REDIRECT_URL) and url_has_allowed_host_and_scheme(target, None)
    return target if safe else ""

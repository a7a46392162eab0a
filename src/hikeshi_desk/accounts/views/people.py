"""People, organisations and the audit log, for leads (and the log for auditors)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from hikeshi_desk.accounts import oidc
from hikeshi_desk.accounts import people as acts
from hikeshi_desk.accounts.access import fetch, needs, visible
from hikeshi_desk.accounts.forms import EmptyForm, InviteForm, OrganisationForm, RoleForm
from hikeshi_desk.accounts.models import Membership, Organisation, Role, User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit import log
from hikeshi_desk.audit.models import Entry

PAGE = 100


@needs(Role.LEAD)
def people(request: HttpRequest) -> HttpResponse:
    """Everybody, and the invitation form; the link is shown once, with the answer to it."""
    organisations = visible(Organisation, request.viewer).order_by("-is_desk", "name")
    form = InviteForm(request.POST or None, organisations=organisations)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            invited, path = acts.invite(request.viewer.user, **(given | {"role": Role(given["role"])}))
        except acts.Refused as refused:
            form.add_error(None, text(refused.key))
        else:
            return _show_link(request, invited, path)
    rows = visible(User, request.viewer).select_related("second_factor").prefetch_related(
        "memberships__organisation", "passkeys", "identities")
    return render(request, "accounts/people.html", {
        "form": form, "people": [_row(user) for user in rows.order_by("-is_active", "name")]})


@needs(Role.LEAD, methods=("GET",))
def person(request: HttpRequest, user_id: UUID) -> HttpResponse:
    user = fetch(User, request.viewer, pk=user_id)
    return render(request, "accounts/person.html", {
        "person": _row(user), "role_form": RoleForm(organisations=visible(Organisation, request.viewer),
                                                    initial={"organisation": oidc.first_organisation()})})


@needs(Role.LEAD, methods=("POST",))
def person_role(request: HttpRequest, user_id: UUID) -> HttpResponse:
    user = fetch(User, request.viewer, pk=user_id)
    form = RoleForm(request.POST, organisations=visible(Organisation, request.viewer))
    if not form.is_valid():
        return render(request, "accounts/person.html", {"person": _row(user), "role_form": form})
    organisation, role = form.cleaned_data["organisation"], Role(form.cleaned_data["role"])
    return _done(request, user, lambda: acts.give_role(request.viewer.user, user, organisation, role))


@needs(Role.LEAD, methods=("POST",))
def person_role_remove(request: HttpRequest, user_id: UUID, membership_id: int) -> HttpResponse:
    membership = fetch(Membership, request.viewer, pk=membership_id, user_id=user_id)
    return _done(request, membership.user, lambda: acts.take_role(request.viewer.user, membership))


@needs(Role.LEAD, methods=("POST",))
def person_deactivate(request: HttpRequest, user_id: UUID) -> HttpResponse:
    user = fetch(User, request.viewer, pk=user_id)
    return _done(request, user, lambda: acts.deactivate(request.viewer.user, user))


@needs(Role.LEAD, methods=("POST",))
def person_reactivate(request: HttpRequest, user_id: UUID) -> HttpResponse:
    user = fetch(User, request.viewer, pk=user_id)
    return _done(request, user, lambda: acts.reactivate(request.viewer.user, user))


@needs(Role.LEAD, methods=("POST",))
def person_second_factor(request: HttpRequest, user_id: UUID) -> HttpResponse:
    user = fetch(User, request.viewer, pk=user_id)
    return _done(request, user, lambda: acts.remove_every_factor(request.viewer.user, user))


@needs(Role.LEAD, methods=("POST",))
def person_link(request: HttpRequest, user_id: UUID) -> HttpResponse:
    user = fetch(User, request.viewer, pk=user_id)
    if not EmptyForm(request.POST).is_valid():
        return redirect("accounts:person", user_id)
    try:
        return _show_link(request, user, acts.reset_link(request.viewer.user, user))
    except acts.Refused as refused:
        messages.error(request, text(refused.key))
        return redirect("accounts:person", user_id)


@needs(Role.LEAD)
def organisations(request: HttpRequest) -> HttpResponse:
    form = OrganisationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        acts.add_organisation(request.viewer.user, **form.cleaned_data)
        messages.success(request, text("accounts.done.saved"))
        return redirect("accounts:organisations")
    rows = [{"name": row.name, "name_en": row.name_en, "is_desk": row.is_desk,
             "kinds": [text(f"accounts.kind.{kind}") for kind in row.kinds]}
            for row in visible(Organisation, request.viewer).order_by("-is_desk", "name")]
    return render(request, "accounts/organisations.html", {"form": form, "organisations": rows})


@needs(Role.LEAD, Role.AUDITOR)
def audit(request: HttpRequest) -> HttpResponse:
    """The newest acts; sending the form checks the whole chain (which changes nothing)."""
    before = request.GET.get("before", "")
    rows = visible(Entry, request.viewer).order_by("-sequence")
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(sequence__lt=int(before))
    entries = list(rows[:PAGE])
    older = entries[-1].sequence if len(entries) == PAGE else None
    answer: dict[str, Any] = {"entries": _named(entries), "older": older}
    if request.method == "POST" and EmptyForm(request.POST).is_valid():
        number, digest = log.head()
        answer |= {"checked": True, "broken_at": log.verify(), "head_number": number, "head_digest": digest}
    return render(request, "accounts/audit.html", answer)


def _named(entries: list[Entry]) -> list[dict[str, object]]:
    """Rows with people's names; the log is about people, so its readers may know them."""
    ids = {part for entry in entries for part in (entry.actor, entry.subject.removeprefix("user:"))}
    names = acts.names_of(ids)
    return [{"entry": entry, "actor": names.get(entry.actor, entry.actor),
             "subject": names.get(entry.subject.removeprefix("user:"), entry.subject)} for entry in entries]


def _row(user: User) -> dict[str, object]:
    factor = getattr(user, "second_factor", None)
    return {
        "user": user, "has_second_factor": bool(factor and factor.confirmed_at) or bool(user.passkeys.all()),
        "is_waiting": not user.has_usable_password() and not user.identities.all(),
        "roles": [{"id": m.pk, "role": text(f"accounts.role.{m.role}"), "organisation": m.organisation.name}
                  for m in user.memberships.all()],
    }


def _done(request: HttpRequest, user: User, act: Callable[[], None]) -> HttpResponse:
    try:
        act()
        messages.success(request, text("accounts.done.saved"))
    except acts.Refused as refused:
        messages.error(request, text(refused.key))
    return redirect("accounts:person", user.pk)


def _show_link(request: HttpRequest, user: User, path: str) -> HttpResponse:
    return render(request, "accounts/link_made.html", {"person": user, "link": request.build_absolute_uri(path)})

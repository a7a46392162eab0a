"""Pages of the desk that belong to no single case: phone note, groups, routing table, breached promises."""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language

from hikeshi_desk.accounts.access import fetch, needs, viewer_of, visible
from hikeshi_desk.accounts.models import Role, Team, User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import breaches, choices, labels, phone, rules
from hikeshi_desk.cases.access import WORKING
from hikeshi_desk.cases.models import Case
from hikeshi_desk.cases.opening import clean
from hikeshi_desk.cases.views import _field, _user
from hikeshi_desk.intake.submit import NotAccepted

LEADING = (Role.LEAD,)
REVIEWING = (Role.HANDLER, Role.LEAD, Role.AUDITOR)
_CODE = "phone-code"
_CODE_S = 900
_KEY = re.compile(r"[0-9a-f-]{36}")


# ------------------------------------------------------------------ phone


@needs(*WORKING, methods=("GET", "POST"))
def phone_page(request: HttpRequest) -> HttpResponse:
    """What was said on the phone becomes a case at once; the code is shown once, to be read out."""
    viewer = viewer_of(request)
    if request.method == "GET" or request.method == "HEAD":
        now = timezone.localtime(timezone.now(), rules.calendar().zone)
        return _phone_form(request, {"called_at": f"{now:%Y-%m-%dT%H:%M}"}, {})
    told = {name: clean(_field(request, name)) for name in phone.FIELDS}
    note, problems = phone.checked(told)
    if note is None:
        return _phone_form(request, told, problems, status=422)
    key = _field(request, "key")
    try:
        case, code = phone.open_case(note, _user(viewer), key=key if _KEY.fullmatch(key) else str(uuid.uuid4()))
    except NotAccepted:
        return _phone_form(request, told, {"what": text("cases.phone.not_kept")}, status=507)
    answer = redirect(reverse("cases:phone-receipt", args=[case.pk]))
    # In the handler's own browser, for minutes: the code stands nowhere in the database.
    answer.set_signed_cookie(_CODE, f"{case.pk} {code}", salt=str(_user(viewer).pk), max_age=_CODE_S, httponly=True,
                             samesite="Strict", secure=settings.HTTPS, path=reverse("cases:phone"))
    return answer


def _phone_form(request: HttpRequest, told: dict[str, str], problems: dict[str, str],
                status: int = 200) -> HttpResponse:
    key = _field(request, "key")
    return render(request, "cases/phone.html", {
        "viewer": viewer_of(request), "told": told, "problems": problems,
        "key": key if _KEY.fullmatch(key) else str(uuid.uuid4()),
        "incidents": choices.incidents(told.get("incident", "")), "requests": choices.requests(told.get("request", "")),
        "asker_kinds": choices.asker_kinds(told.get("asker_kind", "")),
        "sources": choices.sources(told.get("detected_by", "outside_phone"))}, status=status)


@needs(*WORKING, methods=("GET",))
def phone_receipt(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """Once: the page takes the code away with it."""
    viewer = viewer_of(request)
    case: Case = fetch(Case, viewer, pk=case_id)
    kept = request.get_signed_cookie(_CODE, "", salt=str(_user(viewer).pk), max_age=_CODE_S)
    of, _, code = kept.partition(" ")
    answer = render(request, "cases/phone_receipt.html", {
        "viewer": viewer, "case": case, "groups": code.split("-") if of == str(case.pk) else [],
        "due": labels.moment(case.due_at)})
    if kept:
        answer.delete_cookie(_CODE, path=reverse("cases:phone"), samesite="Strict")
    answer["Cache-Control"] = "no-store"
    return answer


# ------------------------------------------------------------------ groups


@needs(*LEADING, methods=("GET",))
def groups_page(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    people = choices.offered(User)
    teams = []
    for team in visible(Team, viewer).prefetch_related("members").order_by("name"):
        held = {member.pk for member in team.members.all()}
        teams.append({"team": team, "people": [
            choices.Choice(str(user.pk), user.name, user.pk in held) for user in people]})
    return render(request, "cases/groups.html", {"viewer": viewer, "teams": teams, "defaults": DEFAULT_TEAMS})


DEFAULT_TEAMS = (("早期警戒", "Early warning", False), ("インシデントレスポンス", "Incident response", True),
                 ("政策担当", "Policy", False))


@needs(*LEADING, methods=("POST",))
def group_add(request: HttpRequest) -> HttpResponse:
    """A group by name, or the three that are offered while there is none."""
    viewer = viewer_of(request)
    if request.POST.get("defaults") == "1":
        if visible(Team, viewer).exists():
            return _groups(request, "cases.refused.groups_exist")
        with transaction.atomic():
            for name, english, is_on_call in DEFAULT_TEAMS:
                team, is_new = Team.objects.get_or_create(name=name, defaults={
                    "name_en": english, "is_on_call": is_on_call})
                if is_new:
                    _log(request, "group.added", team)
        return _groups(request)
    name = clean(_field(request, "name")).strip()[:100]
    if not name:
        return _groups(request, "cases.refused.group_name")
    try:
        with transaction.atomic():
            team = Team.objects.create(name=name, name_en=clean(_field(request, "name_en")).strip()[:100])
            _log(request, "group.added", team)
    except IntegrityError:
        return _groups(request, "cases.refused.group_twice")
    return _groups(request)


@needs(*LEADING, methods=("POST",))
def group_change(request: HttpRequest, team_id: int) -> HttpResponse:
    """Name, members and whether it is on call, all at once."""
    team: Team = fetch(Team, viewer_of(request), pk=team_id)
    name = clean(_field(request, "name")).strip()[:100]
    wanted = set(request.POST.getlist("members"))
    offered = {str(user.pk): user for user in choices.offered(User)}
    if not name:
        return _groups(request, "cases.refused.group_name")
    if not wanted <= set(offered):
        return _groups(request, "cases.refused.choice")
    try:
        with transaction.atomic():
            team = Team.objects.select_for_update().get(pk=team.pk)
            before = team.name
            team.name, team.name_en = name, clean(_field(request, "name_en")).strip()[:100]
            team.is_on_call = request.POST.get("is_on_call") == "1"
            team.save()
            team.members.set([offered[one] for one in sorted(wanted)])
            _log(request, "group.changed", team, before=before, members=sorted(wanted), is_on_call=team.is_on_call)
    except IntegrityError:
        return _groups(request, "cases.refused.group_twice")
    return _groups(request)


def _log(request: HttpRequest, act: str, team: Team, **detail: Any) -> None:
    record(str(_user(viewer_of(request)).pk), act, f"group:{team.pk}", name=team.name, **detail)


def _groups(request: HttpRequest, problem: str = "") -> HttpResponse:
    if problem:
        messages.error(request, text(problem))
    else:
        messages.success(request, text("cases.done.groups"))
    return redirect("cases:groups")


# ------------------------------------------------------------------ tables


@needs(*REVIEWING, methods=("GET",))
def routing_page(request: HttpRequest) -> HttpResponse:
    """Organisation type × incident → body, as it is used now, with what each body was called before."""
    today = timezone.localdate()
    rows = [{
        "body": rules.bodies()[route.body].name_on(today), "reason": route.label, "source": route.source,
        "checked": route.checked,
        "organisations": [_code("asker_kind", code) for code in route.organisations],
        "incidents": [_code("incident", code) for code in route.incidents],
        "known_as": [{"name": english if get_language() == "en" else japanese, "since": since}
                     for since, japanese, english in rules.bodies()[route.body].names],
    } for route in rules.routes()]
    kind, incident = request.GET.get("organisation", "")[:32], request.GET.get("incident", "")[:32]
    asked = rules.routes_for(kind, incident) if kind or incident else []
    return render(request, "cases/routing.html", {
        "viewer": viewer_of(request), "rows": rows, "is_own": rules.routing_path().name == "routing.toml",
        "asker_kinds": choices.asker_kinds(kind), "incidents": choices.incidents(incident), "is_asked": bool(asked),
        "answers": [{"body": rules.bodies()[route.body].name_on(today), "reason": route.label} for route in asked]})


def _code(area: str, code: str) -> str:
    return text("cases.routing.all") if code == "*" else labels.label(area, code)


@needs(*REVIEWING, methods=("GET",))
def breaches_page(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    return render(request, "cases/breaches.html", {
        "viewer": viewer, "list": breaches.build(viewer, request.GET.dict(), timezone.now())})

"""Pages and acts of a case's response. All of it is the desk's own: a party meets a page that does not exist."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, needs, viewer_of
from hikeshi_desk.accounts.models import Role, User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import typed
from hikeshi_desk.cases.access import WORKING, fetch_case, is_desk
from hikeshi_desk.cases.acting import Refused
from hikeshi_desk.cases.models import Case
from hikeshi_desk.respond import acts, kinds, lists, page, plans
from hikeshi_desk.respond import propose as proposing

_LOOKING = (Role.HANDLER, Role.LEAD, Role.AUDITOR, Role.READER)


@needs(*_LOOKING, methods=("GET",))
def overview(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer, case = _seen(request, case_id)
    again = typed.take(request, case)
    return render(request, "respond/overview.html", {
        "viewer": viewer, "case": case, "typed": again, "page": page.overview(case, viewer, again),
        "state_names": page.state_names(), "now": f"{timezone.localtime():%Y-%m-%dT%H:%M}"})


@needs(*_LOOKING, methods=("GET",))
def measures(request: HttpRequest, case_id: uuid.UUID, kind: str) -> HttpResponse:
    viewer, case = _seen(request, case_id)
    if kind not in kinds.KINDS:
        raise Http404
    again = typed.take(request, case)
    return render(request, "respond/measures.html", {
        "viewer": viewer, "case": case,
        "page": page.measures(case, viewer, kinds.KINDS[kind], request.GET.dict(), again)})


@needs(*_LOOKING, methods=("GET",))
def history(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer, case = _seen(request, case_id)
    return render(request, "respond/history.html", {
        "viewer": viewer, "case": case, "page": page.history(case, viewer, request.GET.dict()),
        "tabs": page.tabs(page.response_of(case, viewer), "history")})


@needs(*WORKING, methods=("GET",))
def plan_page(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer, case = _seen(request, case_id)
    row = page.response_of(case, viewer)
    form = plans.as_form(row.plan if row else {})
    form |= {name: values[0] for name, values in typed.take(request, case).get("set_plan", {}).items() if values}
    return render(request, "respond/plan.html", {"viewer": viewer, "case": case, "form": form,
                                                 "tabs": page.tabs(row, "plan")})


@needs(*WORKING, methods=("GET",))
def blocklist(request: HttpRequest, case_id: uuid.UUID, device: str) -> HttpResponse:
    """One device's list, or all of them, as a zip: only saved."""
    viewer, case = _seen(request, case_id)
    known = [one.id for one in lists.devices()]
    if device not in (*known, "all"):
        raise Http404
    asked = lists.wanted(case)
    at = timezone.now()
    found = [one for one in (lists.made(asked, name, at) for name in known if device in (name, "all")) if one]
    if not found:
        raise Http404
    if request.method == "GET" and viewer.user:
        record(str(viewer.user.pk), "case.take_block_list", f"case:{case.pk}", number=case.number, device=device,
               targets=len(asked.targets))
    answer = HttpResponse(lists.zipped(found, asked.held), content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="hikeshi-{timezone.localdate():%Y%m%d}-{device}.zip"'
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    answer["X-Content-Type-Options"], answer["Cache-Control"] = "nosniff", "no-store"
    return answer


# Acts. Each is its own address, takes a form, and leads back to the page it came from.

Act = Callable[[HttpRequest, User, Case], str | None]


def _acts(*roles: Role, back: str = "") -> Callable[[Act], Callable[..., HttpResponse]]:
    """A POST on a case: what was refused is said in words and stands in the form again; else what was done is said."""
    def decorate(act: Act) -> Callable[..., HttpResponse]:
        @needs(*(roles or WORKING), methods=("POST",))
        @wraps(act)
        def view(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
            viewer, case = _seen(request, case_id)
            assert viewer.user is not None
            where = back
            try:
                said = act(request, viewer.user, case)
            except Refused as refused:
                messages.error(request, text(refused.key))
                typed.keep(request, case, act.__name__)
            else:
                messages.success(request, said or text(f"respond.done.{act.__name__}"))
                where = ""
            return redirect(_where(request, case, where))
        return view
    return decorate


def _where(request: HttpRequest, case: Case, back: str) -> str:
    """The page the form stood on, where it says so; never an address of the form's own making."""
    if back:
        return reverse(back, args=[case.pk])
    kind = request.POST.get("back", "")
    if kind == "history":
        return reverse("respond:history", args=[case.pk])
    if kind not in kinds.KINDS:
        return reverse("respond:overview", args=[case.pk])
    show, number = request.POST.get("show", ""), request.POST.get("page", "")
    query = f"?show={show}" if show in page.SHOWS else "?show=standing"
    return reverse("respond:measures", args=[case.pk, kind]) + query + (
        f"&page={number}" if number.isascii() and number.isdigit() and len(number) < 6 else "")


@_acts()
def begin(request: HttpRequest, user: User, case: Case) -> None:
    acts.begin_response(case, user)
    _ask_for_proposals(case)


@_acts()
def propose(request: HttpRequest, user: User, case: Case) -> str | None:
    return None if _ask_for_proposals(case) else text("respond.done.nothing_new")


@_acts()
def mark(request: HttpRequest, user: User, case: Case) -> None:
    acts.mark_measures(case, user, ids=request.POST.getlist("ids"), controls=request.POST.getlist("controls"),
                       state=_field(request, "state"), note=_field(request, "note"),
                       evidence=_field(request, "evidence"), device=_field(request, "device"))


@_acts()
def take_back(request: HttpRequest, user: User, case: Case) -> None:
    acts.take_back_mark(case, user, mark=_field(request, "mark"), note=_field(request, "note"))


@_acts()
def add(request: HttpRequest, user: User, case: Case) -> None:
    kind, why = _field(request, "back"), _field(request, "why")
    if kind == "machines":
        acts.add_machine(case, user, host=_field(request, "host"), why=why)
    elif kind == "accounts":
        acts.add_account(case, user, account=_field(request, "account"), host=_field(request, "host"),
                         kind=_field(request, "kind"), why=why)
    elif kind == "protocols":
        acts.add_protocol(case, user, name=_field(request, "name"), why=why)
    elif kind == "blocks":
        acts.add_blocks(case, user, values=_field(request, "values"), why=why,
                        force=request.POST.get("force") == "1")
    else:
        raise Refused("respond.refused.choice")


@_acts()
def withdraw(request: HttpRequest, user: User, case: Case) -> None:
    acts.withdraw_measures(case, user, ids=request.POST.getlist("ids"), controls=request.POST.getlist("controls"),
                           why=_field(request, "note"))


@_acts()
def restore(request: HttpRequest, user: User, case: Case) -> None:
    acts.restore_measure(case, user, measure=_field(request, "measure"))


@_acts()
def ask(request: HttpRequest, user: User, case: Case) -> None:
    acts.ask_measures(case, user, ids=request.POST.getlist("ids"), controls=request.POST.getlist("controls"),
                      tell=request.POST.get("tell") == "1")


@_acts()
def unask(request: HttpRequest, user: User, case: Case) -> None:
    acts.unask_measures(case, user, ids=request.POST.getlist("ids"), controls=request.POST.getlist("controls"))


@_acts(back="respond:plan")
def set_plan(request: HttpRequest, user: User, case: Case) -> None:
    acts.set_plan(case, user, form=request.POST.dict())


@_acts()
def decide(request: HttpRequest, user: User, case: Case) -> None:
    acts.decide_cut_off(case, user, answer=_field(request, "answer"), role=_field(request, "role"),
                        name=_field(request, "name"), reason=_field(request, "reason"), at=_time(request, "at"))


@_acts(Role.LEAD)
def approve(request: HttpRequest, user: User, case: Case) -> None:
    acts.approve_cut_off(case, user, decision=_field(request, "decision"))


@_acts()
def withdraw_decision(request: HttpRequest, user: User, case: Case) -> None:
    acts.withdraw_cut_off(case, user, decision=_field(request, "decision"), why=_field(request, "why"))


def _ask_for_proposals(case: Case) -> bool:
    from hikeshi_desk.respond.tasks import propose as job

    if not proposing.waits(case.pk):
        return False
    job.enqueue(str(case.pk))
    return True


def _seen(request: HttpRequest, case_id: uuid.UUID) -> tuple[Viewer, Case]:
    viewer = viewer_of(request)
    case = fetch_case(viewer, pk=case_id)
    if not is_desk(viewer):
        raise Http404
    return viewer, case


def _field(request: HttpRequest, name: str) -> str:
    return request.POST.get(name, "")


def _time(request: HttpRequest, name: str) -> Any:
    try:
        at = datetime.fromisoformat(_field(request, name))
    except ValueError:
        return None
    try:
        return at if at.tzinfo else timezone.make_aware(at)
    except OverflowError:
        return None

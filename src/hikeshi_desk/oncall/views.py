"""The roster, one's own ways, "I take it", and the link of a mail."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, fetch, needs, public, viewer_of
from hikeshi_desk.accounts.models import Role, User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import labels
from hikeshi_desk.cases.access import WORKING
from hikeshi_desk.cases.models import Case
from hikeshi_desk.oncall import calls, notices, roster, shown, ways
from hikeshi_desk.oncall.forms import ShiftForm, WayForm
from hikeshi_desk.oncall.models import Call, Shift, Way
from hikeshi_desk.oncall.plan import load_plan


@needs(*WORKING, methods=("GET",))
def roster_page(request: HttpRequest) -> HttpResponse:
    return _roster(request)


def _roster(request: HttpRequest, **forms: Any) -> HttpResponse:
    viewer, plan, now = viewer_of(request), load_plan(), timezone.now()
    rows = roster.shifts()
    people = _callable_by(viewer)
    today = timezone.localtime(now, plan.zone).date()
    blank = {"first_day": today, "end_day": today, "begins": "09:00", "ends": "18:00"}
    return render(request, "oncall/roster.html", {
        "viewer": viewer, "zone": plan.zone.key, "minutes": plan.minutes, "is_on": calls.is_on(),
        "now_on": roster.on_call(now, plan.zone, rows), "days": shown.days(rows, now, plan),
        "open_from": shown.open_from(now, rows, plan), "shifts": shown.shift_rows(viewer, now, plan),
        "ways": shown.way_rows(viewer), "test": shown.last_test(viewer, _user(viewer)),
        "shift_form": ShiftForm(people=people, zone=plan.zone, initial=blank) if viewer.is_lead else None,
        "way_form": WayForm(people=people, initial={"person": str(_user(viewer).pk)}), **forms})


@needs(Role.LEAD, methods=("POST",))
def shift_add(request: HttpRequest) -> HttpResponse:
    viewer, plan = viewer_of(request), load_plan()
    form = ShiftForm(request.POST, people=roster.at_work(), zone=plan.zone)
    if not form.is_valid():
        return _roster(request, shift_form=form)
    with transaction.atomic():
        shift = Shift.objects.create(**form.cleaned_data)
        record(str(_user(viewer).pk), "oncall.shift_added", f"user:{shift.person_id}", shift=shift.pk,
               first_day=shift.first_day, begins=f"{shift.begins:%H:%M}", end_day=shift.end_day,
               ends=f"{shift.ends:%H:%M}", weekly=shift.weekly, place=shift.place)
    messages.success(request, text("oncall.done.shift_added"))
    return redirect("oncall:roster")


@needs(Role.LEAD, methods=("POST",))
def shift_end(request: HttpRequest, shift_id: UUID) -> HttpResponse:
    viewer = viewer_of(request)
    shift: Shift = fetch(Shift, viewer, pk=shift_id)
    with transaction.atomic():
        record(str(_user(viewer).pk), "oncall.shift_removed", f"user:{shift.person_id}", shift=shift.pk)
        shift.delete()
    messages.success(request, text("oncall.done.shift_removed"))
    return redirect("oncall:roster")


@needs(*WORKING, methods=("POST",))
def way_add(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    form = WayForm(request.POST, people=_callable_by(viewer))
    if form.is_valid():
        person = form.cleaned_data["person"]
        try:
            with transaction.atomic():
                way = ways.add(person, form.cleaned_data["kind"], form.cleaned_data["value"])
                record(str(_user(viewer).pk), "oncall.way_added", f"user:{person.pk}", kind=way.kind)
        except ways.Refused as refused:
            form.add_error("value", text(refused.key))
        else:
            messages.success(request, text("oncall.done.way_added"))
            return redirect("oncall:roster")
    return _roster(request, way_form=form)


@needs(*WORKING, methods=("POST",))
def way_remove(request: HttpRequest, way_id: UUID) -> HttpResponse:
    viewer = viewer_of(request)
    way: Way = fetch(Way, viewer, pk=way_id)
    with transaction.atomic():
        record(str(_user(viewer).pk), "oncall.way_removed", f"user:{way.person_id}", kind=way.kind)
        way.delete()
    messages.success(request, text("oncall.done.way_removed"))
    return redirect("oncall:roster")


@needs(*WORKING, methods=("POST",))
def test(request: HttpRequest) -> HttpResponse:
    """Call me now: what an urgent case would do, to the person who presses."""
    try:
        calls.test(_user(viewer_of(request)))
    except calls.Refused as refused:
        messages.error(request, text(refused.key))
    else:
        messages.success(request, text("oncall.done.test"))
    return redirect("oncall:roster")


@needs(*WORKING, methods=("POST",))
def take(request: HttpRequest, case_id: UUID) -> HttpResponse:
    viewer = viewer_of(request)
    case: Case = fetch(Case, viewer, pk=case_id)
    call: Call = fetch(Call, viewer, case=case)
    try:
        first = calls.take(call, _user(viewer))
    except calls.Refused as refused:
        messages.error(request, text(refused.key))
    else:
        if first:
            messages.success(request, text("oncall.done.taken"))
        else:
            messages.error(request, text("oncall.refused.taken"))
    return redirect("cases:case", case.pk)


@public(methods=("GET", "POST"))
def link(request: HttpRequest, token: str) -> HttpResponse:
    """From a mail, without signing in: looking changes nothing (mail servers look too), the button answers.

    It tells what the mail told, and nothing of the case.
    """
    notice = calls.find(token)
    if notice is None:
        raise Http404
    call, plan = notice.call, load_plan()
    outcome = ""
    if request.method == "POST":
        try:
            outcome = "yours" if calls.take(call, notice.person) else "taken"
        except calls.Refused:
            raise Http404 from None
    elif call.state == Call.State.TAKEN:
        outcome = "yours" if call.taken_by_id == notice.person_id else "taken"
    elif call.state == Call.State.OVER and call.case_id:
        outcome = "over"
    case = call.case
    answer = render(request, "oncall/link.html", {
        "case": case, "outcome": outcome, "person": notice.person.name,
        "kind": labels.label("incident", case.incident) if case else "",
        "due": notices.when(case.due_at, plan) if case else ""})
    answer["Cache-Control"] = "no-store"
    return answer


def _callable_by(viewer: Viewer) -> list[User]:
    """Whose ways this viewer may set: a lead everybody's, others their own."""
    people = roster.at_work()
    return people if viewer.is_lead else [person for person in people if person.pk == _user(viewer).pk]


def _user(viewer: Viewer) -> User:
    assert viewer.user is not None
    return viewer.user

"""Further pages of one case: split, words to and from parties, where it was sent, what kind it is."""

from __future__ import annotations

import uuid
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, fetch, needs, viewer_of, visible
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import acts, choices, labels, page, relaying, splitting, typed
from hikeshi_desk.cases.access import WORKING
from hikeshi_desk.cases.models import PAPS, TLPS, Attachment, Case, Message, Party
from hikeshi_desk.cases.views import _case, _field, _user, _uuid

ZONES = ("Asia/Tokyo", "UTC", "America/New_York", "America/Los_Angeles", "Europe/Berlin", "Europe/London",
         "Asia/Seoul", "Asia/Singapore", "Australia/Sydney")


@needs(*WORKING, methods=("GET",))
def split_page(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    case = _case(viewer, case_id)
    rows = [{"message": row, "at": labels.moment(row.at), "files": row.attachments.all(), "is_note": row.kind == "note"}
            for row in visible(Message, viewer).filter(case=case, kind__in=splitting.CHOSEN)
            .prefetch_related("attachments")]
    return render(request, "cases/split.html", {
        "viewer": viewer, "case": case, "rows": rows, "new_id": uuid.uuid4(),
        "incidents": choices.incidents(case.incident), "has_thread": bool(case.receipt)})


@needs(*WORKING, methods=("POST",))
def split(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    case = _case(viewer, case_id)
    for row_id in request.POST.getlist("messages"):
        fetch(Message, viewer, case=case, pk=row_id)
    for row_id in request.POST.getlist("files"):
        fetch(Attachment, viewer, case=case, pk=row_id)
    try:
        new = splitting.split(
            case, _user(viewer), new_id=_uuid(request, "new_id") or uuid.uuid4(), title=_field(request, "title"),
            incident=_field(request, "incident"), messages=request.POST.getlist("messages"),
            files=request.POST.getlist("files"), with_thread=request.POST.get("thread") == "new",
            reason=_field(request, "reason"))
    except acts.Refused as refused:
        messages.error(request, text(refused.key))
        return redirect(reverse("cases:split", args=[case.pk]))
    messages.success(request, text("cases.done.split", number=new.number))
    return redirect(reverse("cases:case", args=[new.pk]))


@needs(*WORKING, methods=("GET", "POST"))
def relay(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """Words to a party or the asker. What names another side is shown, with the text kept, and needs a reason."""
    viewer = viewer_of(request)
    case = _case(viewer, case_id)
    if request.method == "POST":
        return _relayed(request, viewer, case)
    source = request.GET.get("message", "")
    said = fetch(Message, viewer, case=case, pk=source) if source else None
    if said is not None and said.kind not in (Message.Kind.ASKER, Message.Kind.PARTY):
        said = None
    chosen = "asker" if said is not None and said.kind == Message.Kind.PARTY else request.GET.get("to", "")[:36]
    return _relay_page(request, viewer, case, to=chosen, body=said.body if said else "",
                       own=str(said.party_id) if said and said.party_id else "asker" if said else "")


def _relayed(request: HttpRequest, viewer: Viewer, case: Case) -> HttpResponse:
    body, wanted, override = (_field(request, name) for name in ("body", "to", "override"))
    to: Party | None = None
    try:
        if wanted != "asker":
            to = next((row for row in visible(Party, viewer).filter(case=case, removed_at=None)
                       if str(row.pk) == wanted), None)
            if to is None:
                raise acts.Refused("cases.refused.party_gone")
        relaying.relay(case, _user(viewer), to=to, body=body, override=override,
                       message_id=_uuid(request, "message_id"))
    except acts.Refused as refused:
        messages.error(request, text(refused.key))
        is_named = refused.key == "cases.refused.names_other_side"
        return _relay_page(request, viewer, case, to=wanted, body=body, status=422,
                           hits=relaying.hits(case, body, to) if is_named else [])
    messages.success(request, text("cases.done.relay"))
    return redirect(reverse("cases:case", args=[case.pk]))


def _relay_page(request: HttpRequest, viewer: Viewer, case: Case, *, to: str, body: str, own: str = "",
                hits: list[relaying.Hit] | None = None, status: int = 200) -> HttpResponse:
    sides = [side for side in choices.sides(case, viewer, to) if side.value != own]
    shown = [{"kind": text(f"cases.hit.{hit.kind}"), "words": hit.words} for hit in hits or []]
    return render(request, "cases/relay.html", {
        "viewer": viewer, "case": case, "sides": sides, "body": body, "hits": shown,
        "message_id": _uuid(request, "message_id") or uuid.uuid4()}, status=status)


@needs(*WORKING, methods=("GET",))
def refer_page(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """Escalate, route, and what came back."""
    viewer = viewer_of(request)
    case = _case(viewer, case_id)
    again = typed.take(request, case)
    routed, escalated = again.get("route"), again.get("escalate", {})
    bodies = choices.bodies(case)
    return render(request, "cases/refer.html", {
        "viewer": viewer, "case": case, "page": page.build(case, viewer), "typed": again,
        "people": typed.marked(choices.people(case), escalated, "person"),
        "teams": typed.marked(choices.teams(case), escalated, "team"),
        "outside": typed.marked(bodies, escalated, "body"), "bodies": typed.marked(bodies, routed, "body"),
        "reasons": typed.marked(choices.reasons(), routed, "reason"),
        "today": timezone.localdate()})


@needs(*WORKING, methods=("GET",))
def about_page(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    case = _case(viewer, case_id)
    row = getattr(case, "vulnerability", None)
    zone = row.zone if row else "Asia/Tokyo"
    return render(request, "cases/about.html", {
        "viewer": viewer, "case": case, "attacks": choices.attacks(case.attack), "flags": choices.flags(case),
        "sources": choices.sources(case.detected_by), "tlps": choices.markings(TLPS, case.tlp),
        "paps": choices.markings(PAPS, case.pap), "vulnerability": row,
        "is_vulnerability": row is not None or "vulnerability" in (case.incident, case.request),
        "embargo_at": _in_zone(row), "zones": choices.markings(tuple(dict.fromkeys((zone, *ZONES))), zone),
        "vendors": choices.vendors(case, viewer, row.vendor_id if row else None),
        "publications": choices.publications(row.publication if row else "")})


def _in_zone(row: Any) -> str:
    """As a form's own field writes it, in the zone it was agreed in."""
    return f"{row.embargo_at.astimezone(ZoneInfo(row.zone)):%Y-%m-%dT%H:%M}" if row and row.embargo_at else ""

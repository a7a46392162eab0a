"""Pages of the desk. Every object comes from accounts.access; every unsafe act is a POST that redirects."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import wraps
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, fetch, needs, viewer_of
from hikeshi_desk.accounts.models import Organisation, Role, Team, User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import (
    acts,
    choices,
    describing,
    download,
    endings,
    handing,
    labels,
    page,
    panels,
    queue,
    relaying,
    store,
    typed,
    undoing,
)
from hikeshi_desk.cases.access import READING, WORKING, fetch_case, is_desk, party_of
from hikeshi_desk.cases.models import Attachment, Case, Clock, OpinionPoint, Party, Referral, Task

log = logging.getLogger(__name__)
_SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'"
_LONGEST = 100_000
SCOPES = ("conversation", "files", "findings", "indicators")


@needs(*READING, methods=("GET",))
def queue_page(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    return render(request, "cases/queue.html", {"viewer": viewer, "queue": queue.build(viewer, request.GET.dict()),
                                                 "tools": _tools(viewer)})


def _tools(viewer: Viewer) -> list[tuple[str, str]]:
    """The desk's other pages, for those who may open them."""
    pages = [("phone", viewer.is_desk), ("breaches", viewer.is_desk or viewer.may_audit),
             ("routing", viewer.is_desk or viewer.may_audit), ("groups", viewer.is_lead)]
    return [(text(f"cases.{name}.title"), reverse(f"cases:{name}")) for name, may in pages if may]


@needs(*READING, methods=("GET",))
def case_page(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    case = _case(viewer, case_id)
    if not is_desk(viewer):
        return _party_page(request, viewer, case)
    template = request.GET.get("template", "")
    parts = choices.parts(case, viewer, template,
                          request.GET.getlist("part") if request.GET.get("chosen") == template else None)
    return render(request, "cases/case.html", {
        "viewer": viewer, "page": page.build(case, viewer),
        "tlp_class": page.colour(case.tlp), "pap_class": page.colour(case.pap),
        "templates": choices.replies(case, viewer, template), "template": template, "parts": parts,
        "draft": page.reply_draft(case, viewer, template, [part.value for part in parts if part.is_chosen]),
        "reply_id": uuid.uuid4(), "note_id": uuid.uuid4(),
        "main_panels": panels.filled(case, viewer, "main"), "side_panels": panels.filled(case, viewer, "side")})


def _party_page(request: HttpRequest, viewer: Viewer, case: Case) -> HttpResponse:
    """The case as one party sees it: number, state, when; and what it was granted."""
    party = party_of(case, viewer)
    return render(request, "cases/party.html", {
        "viewer": viewer, "page": page.build(case, viewer), "party": party,
        "due": labels.moment(case.due_at, utc_first=page.is_abroad(case)),
        "embargo": page.vendors_embargo(case, party, timezone.now()),
        "scopes": [(text(f"cases.scope.{scope}"), getattr(party, f"sees_{scope}", False)) for scope in SCOPES],
        "tlp_class": page.colour(case.tlp), "pap_class": page.colour(case.pap), "word_id": uuid.uuid4(),
        "main_panels": panels.filled(case, viewer, "main"),
        "side_panels": panels.filled(case, viewer, "side")})


@needs(Role.READER, Role.PARTNER, methods=("POST",))
def tell(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """A party writes to the desk."""
    viewer = viewer_of(request)
    case = _case(viewer, case_id)
    party = party_of(case, viewer)
    if party is None:
        raise Http404
    try:
        relaying.tell(party, _user(viewer), body=_field(request, "body"), message_id=_uuid(request, "message_id"))
    except acts.Refused as refused:
        messages.error(request, text(refused.key))
    else:
        messages.success(request, text("cases.done.tell"))
    return redirect(reverse("cases:case", args=[case.pk]))


@needs(*WORKING, methods=("GET",))
def triage_page(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    case = _case(viewer, case_id)
    return render(request, "cases/triage.html", {
        "viewer": viewer, "case": case, "verdicts": choices.verdicts(case), "rules": choices.urgency_rules(case),
        "classes": choices.classes(case), "judgements": page.judgements(case, viewer),
        "hint": case.facts.get("urgency_hint", ""),
        "hint_word": labels.label("urgency", str(case.facts.get("urgency_hint", "")))})


@needs(*WORKING, methods=("GET",))
def opinion_page(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    case = _case(viewer, case_id)
    return render(request, "cases/opinion.html", {
        "viewer": viewer, "case": case, "points": page.points(case, viewer), "stances": choices.stances(),
        "draft": acts.opinion_text(case, case.points.all()), "message_id": uuid.uuid4()})


@needs(*WORKING, methods=("GET",))
def people_page(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    case = _case(viewer, case_id)
    again = typed.take(request, case)
    people, teams = choices.people(case), choices.teams(case)
    given, hand, invited = again.get("assign"), again.get("hand_over", {}), again.get("invite")
    return render(request, "cases/people.html", {
        "viewer": viewer, "case": case, "typed": again,
        "people": typed.marked(people, given, "owner"), "teams": typed.marked(teams, given, "team"),
        "hand_people": typed.marked(people, hand, "owner"), "hand_teams": typed.marked(teams, hand, "team"),
        "organisations": typed.marked(choices.organisations(), invited, "organisation"),
        "scopes": typed.marked(choices.scopes(), invited, "scope"),
        "parties": choices.parties(case, viewer), "message_id": uuid.uuid4()})


@needs(*WORKING, methods=("GET",))
def end_page(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    case = _case(viewer, case_id)
    return render(request, "cases/end.html", {
        "viewer": viewer, "case": case, "reasons": choices.reasons(), "bodies": choices.bodies(case),
        "is_finished": choices.is_finished(case), "gaps": choices.gaps(case, timezone.now()),
        "follow_ups": choices.follow_ups(case, timezone.localdate()), "merged_into": case.merged_into})


@needs(*READING, methods=("GET",))
def attachment(request: HttpRequest, attachment_id: uuid.UUID) -> HttpResponse | StreamingHttpResponse:
    """The file in a zip with the customary password, never shown: only saved. Who took it is recorded."""
    viewer = viewer_of(request)
    row: Attachment = fetch(Attachment, viewer, pk=attachment_id)
    try:
        content = download.zipped(store.open_content(row.sha256), row.name)
        first = next(content)
    except OSError as error:
        raise Http404 from error
    except (store.Tampered, store.KeyMissing) as damaged:
        log.error("%s", damaged)
        record("system", "case.file_damaged", f"case:{row.case_id}", sha256=row.sha256)
        messages.error(request, text("cases.refused.file_damaged"))
        return redirect(reverse("cases:case", args=[row.case_id]))
    if request.method == "GET" and viewer.user:
        record(str(viewer.user.pk), "case.download", f"case:{row.case_id}", sha256=row.sha256, size=row.size)
    answer = StreamingHttpResponse(_continued(first, content), content_type="application/zip")
    # Written by hand: the name is a stranger's. ASCII fallback by hash, the real name only as RFC 5987.
    name = quote(f"{download.safe_name(row.name)}.zip", safe="")
    answer["Content-Disposition"] = f"attachment; filename=\"{row.sha256[:16]}.zip\"; filename*=UTF-8''{name}"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Content-Security-Policy"] = _SANDBOX
    answer["Cache-Control"] = "no-store"
    answer["Cross-Origin-Resource-Policy"] = "same-origin"
    return answer


def _continued(first: bytes, content: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from content


# Acts. Each is its own address, takes a form, and leads back to the page it came from.

Act = Callable[[HttpRequest, Viewer, Case], None]
_TYPED_AGAIN = ("cases:people", "cases:refer")  # pages that show what was typed into a refused form


def _acts(back: str = "cases:case") -> Callable[[Act], Callable[..., HttpResponse]]:
    """A POST on a case: what was refused is said in words, what was done is confirmed."""
    def decorate(act: Act) -> Callable[..., HttpResponse]:
        @needs(*WORKING, methods=("POST",))
        @wraps(act)
        def view(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
            viewer = viewer_of(request)
            case = _case(viewer, case_id)
            try:
                act(request, viewer, case)
            except acts.Refused as refused:
                messages.error(request, text(refused.key))
                if back in _TYPED_AGAIN:
                    typed.keep(request, case, act.__name__)
            else:
                messages.success(request, text(f"cases.done.{act.__name__}"))
                return redirect(reverse("cases:case", args=[case.pk]))
            return redirect(reverse(back, args=[case.pk]))
        return view
    return decorate


@_acts()
def reply(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    acts.reply(case, _user(viewer), body=_field(request, "body"), message_id=_uuid(request, "message_id"),
               wait=request.POST.get("wait") == "1", parts=request.POST.getlist("parts"))


@_acts()
def note(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    acts.note(case, _user(viewer), body=_field(request, "body"), message_id=_uuid(request, "message_id"))


@_acts("cases:triage")
def triage(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    acts.triage(case, _user(viewer), verdict=_field(request, "verdict"), reason=_field(request, "reason"),
                rule=_field(request, "rule"), rsit=_field(request, "rsit"))


@_acts("cases:people")
def assign(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    acts.assign(case, _user(viewer), owner=_chosen(User, request, "owner"), team=_chosen(Team, request, "team"),
                reason=_field(request, "reason"))


@_acts()
def take(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    acts.assign(case, _user(viewer), owner=_user(viewer), team=case.team)


@_acts()
def pause(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    acts.pause(case, _user(viewer), reason=_field(request, "reason"))


@_acts()
def resume(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    acts.resume(case, _user(viewer))


@_acts()
def breach(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    clock: Clock = fetch(Clock, viewer, case=case, pk=_field(request, "clock"))
    acts.breach(case, _user(viewer), clock=clock, reason=_field(request, "reason"))


@_acts()
def finish(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    task: Task = fetch(Task, viewer, case=case, pk=_field(request, "task"))
    acts.finish(case, _user(viewer), task=task, result=_field(request, "result"))


@_acts("cases:opinion")
def opine(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    point: OpinionPoint = fetch(OpinionPoint, viewer, case=case, pk=_field(request, "point"))
    acts.opine(case, _user(viewer), point=point, stance=_field(request, "stance"), comment=_field(request, "comment"))


@_acts("cases:end")
def decline(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    acts.decline(case, _user(viewer), reason_code=_field(request, "reason"), body=_field(request, "body"),
                 text=_field(request, "text"))


@_acts("cases:end")
def close(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    wanted: dict[str, date] = {}
    for name in request.POST.getlist("follow_up"):
        try:
            wanted[name[:48]] = date.fromisoformat(_field(request, f"day-{name}"))
        except ValueError:
            raise acts.Refused("cases.refused.follow_up") from None
    acts.close(case, _user(viewer), reason=_field(request, "reason"), follow_ups=wanted,
               excuses={gap: _field(request, f"excuse-{gap}") for gap in endings.GAPS})


@_acts("cases:end")
def unmerge(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    acts.unmerge(case, _user(viewer), reason=_field(request, "reason"))


@_acts()
def undo(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    asked = _field(request, "sequence")
    if not (asked.isascii() and asked.isdigit() and len(asked) < 16):
        raise acts.Refused("cases.refused.undo")
    undoing.undo(case, _user(viewer), sequence=int(asked))


@_acts("cases:opinion")
def send_opinion(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    acts.send_opinion(case, _user(viewer), message_id=_uuid(request, "message_id"),
                      wait=request.POST.get("wait") == "1")


@_acts("cases:people")
def hand_over(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    handing.hand_over(case, _user(viewer), owner=_chosen(User, request, "owner"),
                      team=_chosen(Team, request, "team"), state=_field(request, "state"),
                      next_step=_field(request, "next_step"), message_id=_uuid(request, "message_id"))


@_acts("cases:refer")
def escalate(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    handing.escalate(case, _user(viewer), team=_chosen(Team, request, "team"), person=_chosen(User, request, "person"),
                     body=_field(request, "body"), reason=_field(request, "reason"), tell=_told(request))


@_acts("cases:refer")
def route(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    handing.route(case, _user(viewer), body=_field(request, "body"), reason_code=_field(request, "reason"),
                  note=_field(request, "note"), tell=_told(request))


def _told(request: HttpRequest) -> str:
    """The words to the asker, only if they are to be told; told without words is a mistake, not silence."""
    if request.POST.get("tell") != "1":
        return ""
    return acts.said(_field(request, "text"), "cases.refused.empty")


@_acts("cases:refer")
def answer_referral(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    referral: Referral = fetch(Referral, viewer, case=case, pk=_field(request, "referral"))
    answer = _field(request, "answer")
    if answer not in ("accepted", "refused"):
        raise acts.Refused("cases.refused.choice")
    handing.answer_referral(case, _user(viewer), referral=referral, accepted=answer == "accepted",
                            note=_field(request, "note"))


@_acts("cases:about")
def describe(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    describing.describe(case, _user(viewer), attack=_field(request, "attack"), flags=request.POST.getlist("flags"),
                        detected_by=_field(request, "detected_by"), tlp=_field(request, "tlp"),
                        pap=_field(request, "pap"))


@_acts("cases:about")
def coordinate(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    zone = _field(request, "zone") or "Asia/Tokyo"
    wanted = _field(request, "vendor")
    vendor: Party | None = fetch(Party, viewer, case=case, pk=wanted) if wanted else None
    describing.coordinate(case, _user(viewer), product=_field(request, "product"), vendor=vendor, zone=zone,
                          embargo_at=_local(_field(request, "embargo_at"), zone),
                          publication=_field(request, "publication"))


def _local(written: str, zone: str) -> datetime | None:
    """A time as a form writes it, in that zone; None for none."""
    try:
        place = ZoneInfo(zone)
        return datetime.fromisoformat(written).replace(tzinfo=place) if written else None
    except (ValueError, OSError, KeyError):  # ZoneInfo raises each of them for a name that is none
        raise acts.Refused("cases.refused.time") from None


@_acts("cases:end")
def reopen(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    acts.reopen(case, _user(viewer), reason=_field(request, "reason"))


@_acts("cases:end")
def merge(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    try:
        into: Case = fetch(Case, viewer, number=_field(request, "into"))
    except Http404:
        raise acts.Refused("cases.refused.no_such_case") from None
    acts.merge(case, _user(viewer), into=into)


@_acts("cases:people")
def invite(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    organisation = _chosen(Organisation, request, "organisation")
    if organisation is None:
        raise acts.Refused("cases.refused.choice")
    acts.invite(case, _user(viewer), organisation=organisation, scope=request.POST.getlist("scope"))


@_acts("cases:people")
def uninvite(request: HttpRequest, viewer: Viewer, case: Case) -> None:
    party: Party = fetch(Party, viewer, case=case, pk=_field(request, "party"))
    acts.uninvite(case, _user(viewer), party=party)


def _case(viewer: Viewer, case_id: uuid.UUID) -> Case:
    return fetch_case(viewer, pk=case_id)


def _user(viewer: Viewer) -> User:
    assert viewer.user is not None
    return viewer.user


def _field(request: HttpRequest, name: str) -> str:
    return request.POST.get(name, "").replace("\0", "").replace("\r\n", "\n")[:_LONGEST]


def _uuid(request: HttpRequest, name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(_field(request, name))
    except ValueError:
        return None


def _chosen(model: type[Any], request: HttpRequest, name: str) -> Any:
    """One of what the page offered, or None for "nobody"."""
    wanted = _field(request, name)
    if not wanted:
        return None
    found = next((row for row in choices.offered(model) if str(row.pk) == wanted), None)
    if found is None:
        raise acts.Refused("cases.refused.choice")
    return found

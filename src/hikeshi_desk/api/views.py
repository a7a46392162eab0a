"""The operations. Each one reads its input model, asks accounts.access, calls the same acts as the pages do."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest
from django.utils import translation
from ninja import Header, NinjaAPI, Query, Status
from ninja.operation import Operation, PathView
from pydantic import AwareDatetime

from hikeshi_desk.accounts.access import fetch, visible
from hikeshi_desk.accounts.models import Membership, Team, User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.api import alerts, problems
from hikeshi_desk.api.problems import Problem
from hikeshi_desk.api.schemas import (
    AlertIn,
    AlertOut,
    AlertsIn,
    AlertsOut,
    AssignIn,
    CaseOut,
    CaseRow,
    CasesOut,
    ConsultationIn,
    ConsultationOut,
    EntryOut,
    FileOut,
    FirstSteps,
    FollowUpIn,
    Incident,
    MessageOut,
    MessagesOut,
    NoteIn,
    ProblemOut,
    Received,
    ReplyIn,
    StateIn,
    ThreadOut,
    UploadBegun,
    UploadIn,
    UploadOut,
    UploadUse,
)
from hikeshi_desk.api.tokens import Bearer, Caller, MaybeBearer
from hikeshi_desk.cases import acts, choices, search
from hikeshi_desk.cases.access import WORKING, is_desk, readable
from hikeshi_desk.cases.models import Attachment, Case, Message, Rank, State
from hikeshi_desk.consult import thread, throttle
from hikeshi_desk.consult.forms import new_key
from hikeshi_desk.consult.steps import first_steps
from hikeshi_desk.intake import parts
from hikeshi_desk.intake.models import Channel, Upload
from hikeshi_desk.intake.receipt import hmac_of
from hikeshi_desk.intake.submit import Accepted, IncomingFile, NotAccepted, Payload


class Api(NinjaAPI):
    """Ninja's, with short names of operations, and a way to its views for urls.py."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return str(operation.view_func.__name__)

    def operations(self) -> Iterator[tuple[str, PathView]]:
        for router in self._get_bound_routers():
            yield from router.path_operations.items()


api = Api(title="Hikeshi", version="1", urls_namespace="api-v1", docs_url=None, openapi_url=None)
problems.handle_all(api)

_Key = Header(None, alias="Idempotency-Key", min_length=16, max_length=200, pattern=r"^[!-~]+$",
              description="Sending the same again under the same key is sending it once.")
_Code = Header(..., alias="Receipt-Code", max_length=200, description="The receipt code of the consultation.")
_UploadKey = Header(..., alias="Upload-Key", max_length=200)


def _answers(*statuses: int, **good: Any) -> dict[Any, Any]:
    """Responses of an operation: the good one, and the problems it may end with."""
    found: dict[Any, Any] = {int(status[1:]): schema for status, schema in good.items()}
    return found | {frozenset({*statuses, 400, 413, 422, 429, 503}): ProblemOut}


# ------------------------------------------------------------------------------- consultations


@api.post("/consultations", auth=MaybeBearer("consultations:write"), tags=["consultations"], url_name="consultations",
          response=_answers(401, 403, 404, 409, 507, _201=ConsultationOut), summary="Ask the desk")
def consultations(request: HttpRequest, given: ConsultationIn, key: str | None = _Key) -> Status:
    """With a token the asker is its person's organisation, unless the consultation says otherwise."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    name, contact = given.asker_name, given.contact
    if caller.viewer.user is not None and not given.anonymous:
        name, contact = name or _organisation(caller.user), contact or caller.user.email
    if not given.anonymous and not contact.strip():
        what = text("api.contact")
        raise Problem("invalid", what, errors=[{"at": "body.given.contact", "what": what}])
    facts = {fact: value for fact, value in given.facts.dict().items() if value}
    payload = Payload(
        channel=_channel(request), language=given.language, what=given.what, request=given.request,
        incident=given.incident, asker_kind=given.asker_kind, anonymous=given.anonymous,
        asker_name="" if given.anonymous else name,
        contact="" if given.anonymous else contact, on_behalf=given.on_behalf, facts=facts,
        hypothesis=tuple(point.strip() for point in given.hypothesis if point.strip()))
    # Two senders who choose the same key must not be given each other's code.
    accepted = _send(payload, given.uploads, key and f"{caller.token.pk if caller.token else 'anonymous'} {key}")
    case = thread.find(hmac_of(accepted.receipt_code or ""))
    with translation.override(given.language):
        steps = first_steps(given.incident)
    return Status(201, ConsultationOut(
        receipt_code=accepted.receipt_code, received_at=accepted.received_at, answer_by=case.due_at if case else None,
        urgent=bool(case and case.rank == Rank.URGENT), duplicate=accepted.duplicate,
        first_steps=FirstSteps(steps=list(steps.steps), never=list(steps.never))))


@api.get("/thread", tags=["consultations"], url_name="thread", summary="Read the answers",
         response=_answers(404, _200=ThreadOut))
def read_thread(request: HttpRequest, code: str = _Code) -> ThreadOut:
    """The conversation of a receipt code, oldest first."""
    case = thread.find(_receipt(code))
    if case is None:
        return ThreadOut(state="new", answer_by=None, entries=[])
    rows = case.messages.filter(kind__in=(Message.Kind.ASKER, Message.Kind.REPLY)).order_by("at")
    return ThreadOut(state=case.state, answer_by=case.due_at, entries=[
        EntryOut(by="desk" if row.kind == Message.Kind.REPLY else "asker", at=row.at, text=row.body,
                 files=[_file(file) for file in row.attachments.all()])
        for row in rows.prefetch_related("attachments")])


@api.post("/thread", tags=["consultations"], url_name="thread", summary="Say more",
          response=_answers(404, 409, 507, _201=Received))
def follow_up(request: HttpRequest, given: FollowUpIn, code: str = _Code, key: str | None = _Key) -> Status:
    """A further word, with files if there are any."""
    receipt = _receipt(code)
    payload = Payload(channel=_channel(request), language=_language(), what=given.what, anonymous=True, thread=receipt)
    accepted = _send(payload, given.uploads, key and f"{receipt[:16]} {key}")
    return Status(201, Received(received_at=accepted.received_at, duplicate=accepted.duplicate))


def _receipt(code: str) -> str:
    """The HMAC of a code that exists. Wrong ones are counted just as on the page."""
    receipt = hmac_of(code)
    known = thread.exists(receipt)
    if not throttle.is_open(code) or (not known and throttle.is_busy()):
        raise Problem("too_many", headers={"Retry-After": str(throttle.WINDOW_S)})
    if not known:
        throttle.count_failure(code)
        raise Problem("not_found", text("api.no_such_code"))
    return receipt


def _send(payload: Payload, uploads: list[UploadUse], key: str | None) -> Accepted:
    rows = [parts.find(one.id, one.key) for one in uploads]
    if len({row.pk for row in rows}) < len(rows):
        raise Problem("used")
    files: tuple[IncomingFile, ...] = parts.as_files((row, one.name) for row, one in zip(rows, uploads, strict=True))
    try:
        accepted = thread.send(payload, files, key or new_key())
    except NotAccepted as error:
        if any(row.used_at for row in rows):
            raise Problem("used") from error
        raise
    parts.use(rows)
    return accepted


def _channel(request: HttpRequest) -> Channel:
    """Our own command says who it is; that decides nothing but the word beside the message."""
    is_command = request.headers.get("User-Agent", "").startswith("hikeshi-submit")
    return Channel.CLI if is_command else Channel.API


def _organisation(user: User) -> str:
    held = Membership.objects.filter(user=user).select_related("organisation").order_by("pk").first()
    return held.organisation.name if held else user.name


def _language() -> str:
    return "en" if (translation.get_language() or "ja").startswith("en") else "ja"


# ------------------------------------------------------------------------------- alerts


@api.post("/alerts", auth=Bearer("alerts:write"), tags=["alerts"], url_name="alerts", summary="Report an alert",
          response=_answers(401, 403, _201=AlertOut))
def alert(request: HttpRequest, given: AlertIn) -> Status:
    """Kept when this answers. The same `source` and `id` again is a duplicate, not a second alert."""
    return Status(201, _take(request, [given])[0])


@api.post("/alerts/batch", auth=Bearer("alerts:write"), tags=["alerts"], url_name="alerts-batch",
          summary="Report up to 500 alerts", response=_answers(401, 403, _201=AlertsOut))
def alerts_batch(request: HttpRequest, given: AlertsIn) -> Status:
    """All are kept, or none."""
    return Status(201, AlertsOut(alerts=_take(request, given.alerts)))


def _take(request: HttpRequest, given: list[AlertIn]) -> list[AlertOut]:
    caller: Caller = request.auth  # type: ignore[attr-defined]
    taken = alerts.take(caller.user, [
        alerts.Sent(source=one.source, id=_plain(one.id), at=one.time, severity=one.severity, text=_plain(one.text),
                    host=_plain(one.host), correlation=_plain(one.correlation), incident=one.incident,
                    indicators=tuple(map(_plain, one.indicators)))
        for one in given])
    return [AlertOut(id=one.id, duplicate=one.duplicate, case=one.group.case_id,
                     number=one.group.case.number if one.group.case else None, count=one.group.count) for one in taken]


def _plain(value: str) -> str:
    return value.replace("\0", "")


# ------------------------------------------------------------------------------- cases


@api.get("/cases", auth=Bearer("cases:read"), tags=["cases"], url_name="cases", summary="List cases",
         response=_answers(401, 403, _200=CasesOut))
def cases(request: HttpRequest, state: State | None = None, incident: Incident | None = None,
          owner: str | None = Query(None, max_length=254, description="An e-mail address, or \"me\"."),
          changed_since: AwareDatetime | None = None,
          q: str | None = Query(None, max_length=100, description="Words that must all occur; the newest 50."),
          page: int = Query(1, ge=1, le=10_000), size: int = Query(50, ge=1, le=100)) -> CasesOut:
    """The cases the token's person may see, last word first."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    rows = visible(Case, caller.viewer).select_related("owner").order_by("-last_word_at", "-serial")
    if q:
        rows = rows.filter(pk__in=[case.pk for case in search.find(_plain(q), caller.viewer)])
    if owner is not None:
        rows = rows.filter(owner=caller.user) if owner == "me" else rows.filter(
            owner__email=User.objects.normalise(_plain(owner)))
    wanted = Q(**{name: value for name, value in {"state": state, "incident": incident,
                                                  "last_word_at__gte": changed_since}.items() if value is not None})
    start = (page - 1) * size
    found = list(rows.filter(wanted)[start:start + size + 1])
    titled, desk = readable(caller.viewer, found[:size]), is_desk(caller.viewer)
    return CasesOut(cases=[CaseRow(**_row(case, titled=case.pk in titled, desk=desk)) for case in found[:size]],
                    page=page, next_page=page + 1 if len(found) > size and page < 10_000 else None)


@api.get("/cases/{uuid:case_id}", auth=Bearer("cases:read"), tags=["cases"], url_name="case", summary="One case",
         response=_answers(401, 403, 404, _200=CaseOut))
def case(request: HttpRequest, case_id: uuid.UUID) -> CaseOut:
    caller: Caller = request.auth  # type: ignore[attr-defined]
    return _case_out(caller, fetch(Case, caller.viewer, pk=case_id))


@api.get("/cases/{uuid:case_id}/messages", auth=Bearer("cases:read"), tags=["cases"], url_name="messages",
         summary="The conversation", response=_answers(401, 403, 404, _200=MessagesOut))
def messages(request: HttpRequest, case_id: uuid.UUID) -> MessagesOut:
    """With notes for the desk; without them for everybody else."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    found: Case = fetch(Case, caller.viewer, pk=case_id)
    files: dict[uuid.UUID, list[FileOut]] = {}
    for row in visible(Attachment, caller.viewer).filter(case=found).order_by("name"):
        files.setdefault(row.message_id, []).append(_file(row))
    desk = is_desk(caller.viewer)
    return MessagesOut(messages=[
        MessageOut(id=row.pk, kind=row.kind, at=row.at, text=row.body, files=files.get(row.pk, []),
                   author=row.author.name if row.author and desk else None)
        for row in visible(Message, caller.viewer).filter(case=found).select_related("author").order_by("at")])


@api.post("/cases/{uuid:case_id}/notes", auth=Bearer("cases:write"), tags=["cases"], url_name="notes",
          summary="Write a note", response=_answers(401, 403, 404, 409, _200=CaseOut))
def note(request: HttpRequest, case_id: uuid.UUID, given: NoteIn, key: str | None = _Key) -> CaseOut:
    """For the desk only; it never leaves it."""
    caller, found = _working(request, case_id)
    acts.note(found, caller.user, body=_plain(given.text), message_id=_message_id(caller, found, "note", key))
    return _case_out(caller, fetch(Case, caller.viewer, pk=case_id))


@api.post("/cases/{uuid:case_id}/replies", auth=Bearer("cases:write"), tags=["cases"], url_name="replies",
          summary="Answer the asker", response=_answers(401, 403, 404, 409, _200=CaseOut))
def reply(request: HttpRequest, case_id: uuid.UUID, given: ReplyIn, key: str | None = _Key) -> CaseOut:
    """The asker sees it; the promise is kept with it."""
    caller, found = _working(request, case_id)
    acts.reply(found, caller.user, body=_plain(given.text), wait=given.wait,
               message_id=_message_id(caller, found, "reply", key))
    return _case_out(caller, fetch(Case, caller.viewer, pk=case_id))


@api.put("/cases/{uuid:case_id}/owner", auth=Bearer("cases:write"), tags=["cases"], url_name="owner",
         summary="Give the case to somebody", response=_answers(401, 403, 404, 409, _200=CaseOut))
def assign(request: HttpRequest, case_id: uuid.UUID, given: AssignIn) -> CaseOut:
    caller, found = _working(request, case_id)
    owner = team = None
    if given.owner is not None:
        wanted = caller.user.email if given.owner == "me" else User.objects.normalise(_plain(given.owner))
        owner = next((person for person in choices.offered(User) if person.email == wanted), None)
        if owner is None:
            raise acts.Refused("cases.refused.owner")
    if given.team is not None:
        team = next((one for one in choices.offered(Team) if one.name == given.team), None)
        if team is None:
            raise acts.Refused("cases.refused.choice")
    acts.assign(found, caller.user, owner=owner, team=team, reason=_plain(given.reason))
    return _case_out(caller, fetch(Case, caller.viewer, pk=case_id))


@api.put("/cases/{uuid:case_id}/state", auth=Bearer("cases:write"), tags=["cases"], url_name="state",
         summary="Close or open again", response=_answers(401, 403, 404, 409, _200=CaseOut))
def state(request: HttpRequest, case_id: uuid.UUID, given: StateIn) -> CaseOut:
    caller, found = _working(request, case_id)
    act = acts.close if given.state == "closed" else acts.reopen
    act(found, caller.user, reason=_plain(given.reason))
    return _case_out(caller, fetch(Case, caller.viewer, pk=case_id))


def _working(request: HttpRequest, case_id: uuid.UUID) -> tuple[Caller, Case]:
    """Only handlers and leads act; for others there is no such place, just as on the pages."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    if not caller.viewer.has(*WORKING):
        raise Http404
    return caller, fetch(Case, caller.viewer, pk=case_id)


def _message_id(caller: Caller, found: Case, what: str, key: str | None) -> uuid.UUID | None:
    return uuid.uuid5(found.pk, f"{caller.user.pk} {what} {key}") if key else None


def _row(found: Case, *, titled: bool, desk: bool) -> dict[str, Any]:
    return {"id": found.pk, "number": found.number, "title": found.title if titled else None, "state": found.state,
            "phase": found.phase, "incident": found.incident, "urgency": found.urgency, "verdict": found.verdict,
            "opened_at": found.opened_at, "due_at": found.due_at if desk else None,
            "last_word_at": found.last_word_at, "last_word_by": found.last_word_by,
            "owner": found.owner.name if found.owner else None}


def _case_out(caller: Caller, found: Case) -> CaseOut:
    desk = is_desk(caller.viewer)
    return CaseOut(**_row(found, titled=bool(readable(caller.viewer, [found])), desk=desk), request=found.request,
                   tlp=found.tlp, team=found.team.name if found.team else None, closed_at=found.closed_at,
                   asker=found.asker_name if desk else None, contact=found.contact if desk else None,
                   facts={key: str(value) for key, value in found.facts.items()} if desk else None)


def _file(row: Attachment) -> FileOut:
    return FileOut(name=row.name, size=row.size, sha256=row.sha256)


# ------------------------------------------------------------------------------- uploads


@api.post("/uploads", auth=MaybeBearer("consultations:write"), tags=["uploads"], url_name="uploads",
          summary="Begin an upload", response=_answers(401, 403, 507, _201=UploadBegun))
def begin_upload(request: HttpRequest, given: UploadIn) -> Status:
    """A large file in parts, before the consultation or follow-up that names it."""
    row, key = parts.begin(given.size, given.sha256)
    return Status(201, UploadBegun(**_upload(row), key=key))


@api.get("/uploads/{uuid:upload_id}", tags=["uploads"], url_name="upload", summary="Where the upload stands",
         response=_answers(404, _200=UploadOut))
def read_upload(request: HttpRequest, upload_id: uuid.UUID, key: str = _UploadKey) -> UploadOut:
    """Bytes before `offset` are on the desk's disk; go on from there."""
    return UploadOut(**_upload(parts.find(upload_id, key)))


@api.patch("/uploads/{uuid:upload_id}", tags=["uploads"], url_name="upload", summary="Add a part",
           response=_answers(404, 409, 415, 507, _200=UploadOut),
           openapi_extra={"requestBody": {"required": True, "content": {
               "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}})
def append_upload(request: HttpRequest, upload_id: uuid.UUID, key: str = _UploadKey,
                  offset: int = Header(..., alias="Upload-Offset", ge=0, le=1 << 50)) -> UploadOut:
    """On the disk when this answers. If the line breaks in the middle, what came is kept: ask for the offset."""
    row = parts.find(upload_id, key)
    if request.content_type != "application/octet-stream":
        raise Problem("media_type")
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    parts.append(row, offset, length, request)
    return UploadOut(**_upload(row))


@api.post("/uploads/{uuid:upload_id}/finish", tags=["uploads"], url_name="upload-finish", summary="All parts are here",
          response=_answers(404, 409, _200=UploadOut))
def finish_upload(request: HttpRequest, upload_id: uuid.UUID, key: str = _UploadKey) -> UploadOut:
    """Compares size and SHA-256 with what was promised."""
    row = parts.find(upload_id, key)
    parts.finish(row)
    return UploadOut(**_upload(row))


@api.delete("/uploads/{uuid:upload_id}", tags=["uploads"], url_name="upload", summary="Give an upload up",
            response=_answers(404, _204=None))
def drop_upload(request: HttpRequest, upload_id: uuid.UUID, key: str = _UploadKey) -> Status:
    with transaction.atomic():
        parts.drop(parts.find(upload_id, key))
    return Status(204, None)


def _upload(row: Upload) -> dict[str, Any]:
    return {"id": row.pk, "size": row.size, "offset": row.offset, "finished": row.finished_at is not None,
            "part_bytes": parts.LONGEST_PART, "expires_at": row.touched_at + parts.KEPT}

"""Quarantine, keys of correspondents, and the desk's public key."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from hikeshi.evidence.mail_pgp import LARGEST_KEY
from hikeshi_desk.accounts.access import fetch, needs, public, viewer_of
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases.access import WORKING
from hikeshi_desk.cases.models import Case
from hikeshi_desk.mail import keys, receive, send, shown, store
from hikeshi_desk.mail.models import CorrespondentKey, ReceivedMail, SentMail
from hikeshi_desk.mail.post import is_plain_address

State = ReceivedMail.State


@public(methods=("GET",))
def public_key(request: HttpRequest) -> HttpResponse:
    """What a consultee encrypts for."""
    own = keys.own()
    if own is None:
        raise Http404
    answer = HttpResponse(own.armored, content_type="application/pgp-keys")
    answer["Content-Disposition"] = 'attachment; filename="pgp-key.asc"'
    return answer


@needs(*WORKING, methods=("GET",))
def quarantine(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    return render(request, "mail/quarantine.html", {"viewer": viewer, "rows": shown.apart(viewer)})


@needs(*WORKING, methods=("GET",))
def raw(request: HttpRequest, mail_id: UUID) -> HttpResponse | FileResponse:
    """The bytes as they came: only saved, never shown."""
    mail = _apart(request, mail_id)
    try:
        content = store.path_of(mail.sha256).open("rb")
    except OSError as error:
        raise Http404 from error
    if request.method == "GET":
        record(_by(request), "mail.raw_taken", f"mail:{mail.pk}", sha256=mail.sha256, size=mail.size)
    answer = FileResponse(content, as_attachment=True, filename=f"{mail.sha256[:16]}.eml.bin",
                          content_type="application/octet-stream")
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "no-store"
    return answer


@needs(*WORKING, methods=("POST",))
def open_case(request: HttpRequest, mail_id: UUID) -> HttpResponse:
    mail = _apart(request, mail_id)
    return _taken_in(request, receive.release(mail), "mail.taken_in")


@needs(*WORKING, methods=("POST",))
def attach(request: HttpRequest, mail_id: UUID) -> HttpResponse:
    """Into a case that this person may see, by its number."""
    mail = _apart(request, mail_id)
    try:
        case: Case = fetch(Case, viewer_of(request), number=request.POST.get("number", "").strip()[:32])
    except Http404:
        messages.error(request, text("mail.apart.no_such_case"))
        return redirect("mail:quarantine")
    if not case.receipt:
        messages.error(request, text("mail.apart.no_thread"))
        return redirect("mail:quarantine")
    return _taken_in(request, receive.release(mail, case), "mail.attached")


def _taken_in(request: HttpRequest, mail: ReceivedMail, act: str) -> HttpResponse:
    case = Case.objects.filter(messages__submission=mail.submission_id).first() if mail.submission_id else None
    record(_by(request), act, f"mail:{mail.pk}", case=str(case.pk) if case else "", sha256=mail.sha256)
    if case is None:
        messages.error(request, text("mail.apart.later"))
        return redirect("mail:quarantine")
    messages.success(request, text("mail.apart.taken_in", number=case.number))
    return redirect("cases:case", case.pk)


@needs(*WORKING, methods=("POST",))
def retry(request: HttpRequest, mail_id: UUID) -> HttpResponse:
    mail = receive.retry(_apart(request, mail_id))
    record(_by(request), "mail.retried", f"mail:{mail.pk}", state=mail.state)
    if mail.state == State.QUARANTINED:
        messages.error(request, text("mail.apart.still"))
    else:
        messages.success(request, text("mail.apart.read"))
    return redirect("mail:quarantine")


@needs(*WORKING, methods=("POST",))
def discard(request: HttpRequest, mail_id: UUID) -> HttpResponse:
    mail, reason = _apart(request, mail_id), request.POST.get("reason", "").strip()[:500]
    if not reason:
        messages.error(request, text("mail.apart.reason_missing"))
    else:
        receive.discard(mail, _by(request), reason)
        messages.success(request, text("mail.apart.discarded"))
    return redirect("mail:quarantine")


@needs(*WORKING, methods=("GET",))
def key_list(request: HttpRequest) -> HttpResponse:
    viewer, address = viewer_of(request), request.GET.get("address", "")[:320]
    return render(request, "mail/keys.html", {
        "viewer": viewer, "address": address, "rows": shown.key_rows(viewer, address), "own": keys.own()})


@needs(*WORKING, methods=("POST",))
def key_add(request: HttpRequest) -> HttpResponse:
    """A key that was handed over another way than by mail; read in a limited child like any stranger's bytes."""
    address = request.POST.get("address", "").strip()
    upload = request.FILES.get("key")
    if not is_plain_address(address) or upload is None or not 0 < (upload.size or 0) <= LARGEST_KEY:
        messages.error(request, text("mail.keys.not_read"))
        return redirect("mail:keys")
    found = receive.read_keys(upload.read())
    if not found:
        messages.error(request, text("mail.keys.not_read"))
        return redirect("mail:keys")
    user = viewer_of(request).user
    assert user is not None
    with transaction.atomic():
        for key in found:
            keys.add(address, key, user)
    messages.success(request, text("mail.keys.added"))
    return redirect("mail:keys")


@needs(*WORKING, methods=("POST",))
def key_confirm(request: HttpRequest, key_id: UUID) -> HttpResponse:
    if request.POST.get("compared") != "1":
        fetch(CorrespondentKey, viewer_of(request), pk=key_id)
        messages.error(request, text("mail.keys.compare_first"))
        return redirect("mail:keys")
    return _decided(request, key_id, confirmed=True)


@needs(*WORKING, methods=("POST",))
def key_remove(request: HttpRequest, key_id: UUID) -> HttpResponse:
    return _decided(request, key_id, confirmed=False)


def _decided(request: HttpRequest, key_id: UUID, *, confirmed: bool) -> HttpResponse:
    viewer = viewer_of(request)
    row: CorrespondentKey = fetch(CorrespondentKey, viewer, pk=key_id)
    assert viewer.user is not None
    keys.decide(row, viewer.user, confirmed=confirmed)
    if confirmed:
        send.seal_held(row.address)
    messages.success(request, text("mail.keys.confirmed" if confirmed else "mail.keys.removed"))
    return redirect("mail:keys")


@needs(*WORKING, methods=("POST",))
def in_clear(request: HttpRequest, sent_id: UUID) -> HttpResponse:
    sent: SentMail = fetch(SentMail, viewer_of(request), pk=sent_id)
    if sent.message is None:
        raise Http404
    if send.let_go(sent, _by(request)):
        messages.success(request, text("mail.panel.let_go_done"))
    return redirect("cases:case", sent.message.case_id)


def _apart(request: HttpRequest, mail_id: UUID) -> ReceivedMail:
    found: ReceivedMail = fetch(ReceivedMail, viewer_of(request), pk=mail_id, state=State.QUARANTINED)
    return found


def _by(request: HttpRequest) -> str:
    user = viewer_of(request).user
    assert user is not None
    return str(user.pk)

"""The public pages. Nobody signs in; a receipt code, typed into a form, opens one conversation.

The code is never in an address. After sending it waits a quarter of an hour in a cookie of the consultee's
own browser, so that the receipt page can be read again; the session only holds its HMAC.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from hikeshi.knowledge.checks import load_checks
from hikeshi.knowledge.glossary import load_glossary
from hikeshi_desk.accounts.access import public
from hikeshi_desk.accounts.errors import csrf_failed
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import labels, store
from hikeshi_desk.cases.download import safe_name
from hikeshi_desk.cases.first_steps import reader_language
from hikeshi_desk.consult import desk, draft, promise, steps, thread, throttle
from hikeshi_desk.consult.forms import Naming, Reply, new_key
from hikeshi_desk.consult.streams import STATUS, files_of, onward, problem_of, said, shown_again, streamed
from hikeshi_desk.consult.writing import RECEIPT_COOKIE
from hikeshi_desk.intake.receipt import hmac_of, normalise
from hikeshi_desk.intake.submit import NotAccepted, Payload
from hikeshi_desk.respond import asked

log = logging.getLogger(__name__)
THREAD_S = 2 * 3600
_DRAFT = "thread"
View = Callable[..., HttpResponse]


@public(methods=("GET",))
def landing(request: HttpRequest) -> HttpResponse:
    return render(request, "consult/landing.html", {"usual": promise.usual(), "pages_oncall": desk.pages_oncall()})


@public(methods=("GET",))
def privacy(request: HttpRequest) -> HttpResponse:
    """What happens with what is sent: the whole of it, in plain words."""
    return render(request, "consult/privacy.html")


@public(methods=("GET",))
def words(request: HttpRequest) -> HttpResponse:
    """Every term of the trade that these pages use, in one sentence each."""
    return render(request, "consult/words.html", {"terms": load_glossary().values()})


@public(methods=("GET",))
def checks(request: HttpRequest) -> HttpResponse:
    """Looking for an infection with the tools that come with Windows."""
    language = reader_language()
    told = [{"id": one.id, "title": getattr(one.title, language), "why": getattr(one.why, language),
             "commands": one.commands, "look_for": [getattr(line, language) for line in one.look_for],
             "techniques": ", ".join(one.techniques),
             "dated": text("consult.checks.unverified", written=one.written_on) if one.status == "unverified" else
                      text("consult.checks.verified", written=one.written_on, checked=one.status)}
            for one in load_checks().values()]
    return render(request, "consult/checks.html", {"checks": told, "contents": text("consult.checks.contents")})


@public(methods=("GET",))
def logo(request: HttpRequest) -> HttpResponse:
    """The operator's picture: PNG, JPEG or WebP from the data folder, read at start."""
    found = desk.logo()
    if found is None:
        raise Http404
    response = HttpResponse(found.content, content_type=found.kind)
    response["Cache-Control"] = "public, max-age=3600"
    return response


@public(methods=("GET",))
def receipt(request: HttpRequest) -> HttpResponse:
    """The code, the promise, the first steps. Only the browser that sent can open it, for a quarter of an hour."""
    code = request.COOKIES.get(RECEIPT_COOKIE, "")
    known = thread.kept(hmac_of(code)) if normalise(code) else None
    if known is None and not (normalise(code) and thread.exists(hmac_of(code))):
        return redirect("consult:code")
    incident = known.incident if known else "unknown"
    return render(request, "consult/receipt.html", {
        "code": code, "groups": code.split("-"), "known": known, "first": steps.first_steps(incident),
        "incident": labels.label("incident", incident),
        "is_information": bool(known) and known.request == "information"})


@public(methods=("GET", "POST"))
def code(request: HttpRequest) -> HttpResponse:
    """Where the code is typed in. A wrong one, an unknown one and none at all get the same answer."""
    has_draft = bool(draft.read(request, _DRAFT))
    if request.method != "POST":
        return render(request, "consult/code.html", {"has_draft": has_draft})
    given = request.POST.get("code", "")[:200]
    receipt_of = hmac_of(given)
    known = thread.exists(receipt_of)
    if not throttle.is_open(given) or (not known and throttle.is_busy()):
        return render(request, "consult/code.html", {"error": text("consult.code.later"), "has_draft": has_draft},
                      status=429)
    if not known:
        throttle.count_failure(given)
        return render(request, "consult/code.html", {"error": text("consult.code.unknown"), "has_draft": has_draft},
                      status=422)
    case = thread.find(receipt_of)
    request.session.cycle_key()
    request.session["thread"] = {"receipt": receipt_of, "until": timezone.now().timestamp() + THREAD_S,
                                 "read": thread.read_up_to(case) if case else ""}
    draft.shorten(request)
    thread.mark_read(receipt_of)
    return redirect("consult:thread")


def _has_read(request: HttpRequest, receipt_of: str) -> None:
    """Whoever acts on the page has seen what stands on it."""
    thread.mark_read(receipt_of)
    case = thread.find(receipt_of)
    request.session["thread"] = {**request.session["thread"], "read": thread.read_up_to(case) if case else ""}


def _held(request: HttpRequest) -> dict[str, Any] | None:
    """What the session knows of an opened conversation, for two hours after its code was typed in."""
    held = request.session.get("thread", {})
    left_s = held.get("until", 0) - timezone.now().timestamp()
    return held if 0 < left_s <= THREAD_S else None


def _with_thread(view: View) -> View:
    """Only with a code that was typed in; else the page that asks for it, with what was written kept."""
    @wraps(view)
    def opened(request: HttpRequest, **where: Any) -> HttpResponse:
        held = _held(request)
        if held:
            return view(request, held["receipt"], **where)
        if getattr(request, "form_problem", "") == "stale":
            return csrf_failed(request)
        response = onward(request, "consult:code")
        written = {name: request.POST.get(name, "").strip() for name in ("what", "contact", "asker_name")}
        if any(written.values()):
            draft.hand_over(response, draft.keep(request, _DRAFT, written))
        return response
    return opened


@public(methods=("GET",))
@_with_thread
def conversation(request: HttpRequest, receipt_of: str) -> HttpResponse:
    written = draft.read(request, _DRAFT)
    return _thread_page(request, receipt_of, Reply(initial=written), Naming(initial=written), 200)


def _thread_page(request: HttpRequest, receipt_of: str, reply: Reply, naming: Naming, status: int,
                 problems: tuple[str, ...] = ()) -> HttpResponse:
    case = thread.find(receipt_of)
    known = None if case else thread.kept(receipt_of)
    entries = thread.entries(case, (_held(request) or {}).get("read", "")) if case else []
    linked = [(name, str(error)) for form in (reply, naming) for name, errors in form.errors.items()
              for error in errors]
    return render(request, "consult/thread.html", {
        "case": case, "reply": reply, "naming": naming, "key": reply["key"].value() or new_key(),
        "entries": entries, "has_answer": any(entry.is_desk for entry in entries),
        "fresh": next((entry for entry in entries if entry.is_new), None),
        "is_over": bool(case and thread.is_over(case)),
        "promise": promise.of(case) if case else known and known.promise,
        "asked": asked.of(case) if case else None,
        "points": thread.points(case) if case else [], "declined": thread.declined(case) if case else None,
        "state": text(f"consult.state.{case.state}") if case else text("consult.state.new"),
        "what": reply["what"].value() or "", "contact": naming["contact"].value() or "",
        "asker_name": naming["asker_name"].value() or "", "errors": linked, "problems": problems,
        "had_files": bool(request.FILES) if request.method == "POST" else False,
        "naming_open": bool(naming.errors or naming["contact"].value()),
    }, status=status)


def _follow_up(request: HttpRequest, receipt_of: str, form: Reply | Naming, payload: Payload | None, done: str,
               page: Callable[[tuple[str, ...], int], HttpResponse]) -> HttpResponse:
    """A further word is kept, or the page says why not with everything that was written."""
    problem = problem_of(request)
    if problem:
        return shown_again(request, [said(problem)], STATUS[problem], lambda: page((said(problem),), STATUS[problem]))
    if payload is None:
        errors = [str(error) for errors in form.errors.values() for error in errors]
        return shown_again(request, errors, 422, lambda: page((), 422))
    try:
        thread.send(payload, files_of(request), form.cleaned_data["key"])
    except NotAccepted:
        return shown_again(request, [said("disk")], 507, lambda: page((said("disk"),), 507))
    _has_read(request, receipt_of)
    draft.drop(request, _DRAFT)
    messages.success(request, text(done))
    return onward(request, "consult:thread")


def _switched(request: HttpRequest) -> HttpResponse | None:
    """Another language, with what was written so far."""
    language = request.POST.get("language", "")
    if language not in dict(settings.LANGUAGES) or problem_of(request):
        return None
    written = {name: request.POST.get(name, "") for name in ("what", "contact", "asker_name")}
    response = draft.hand_over(redirect("consult:thread"), draft.keep(request, _DRAFT, written))
    response.set_cookie(settings.LANGUAGE_COOKIE_NAME, language, secure=settings.HTTPS, samesite="Lax")
    return response


@public(methods=("POST",))
@streamed
@_with_thread
def answer(request: HttpRequest, receipt_of: str) -> HttpResponse:
    """A further word, files, or both."""
    form = Reply(request.POST)
    payload = form.payload(receipt_of, with_files=bool(files_of(request))) if form.is_valid() else None
    return _switched(request) or _follow_up(
        request, receipt_of, form, payload, "consult.thread.received",
        lambda problems, status: _thread_page(request, receipt_of, form, Naming(), status, problems))


@public(methods=("POST",))
@streamed
@_with_thread
def name(request: HttpRequest, receipt_of: str) -> HttpResponse:
    """Who asked anonymously says later who they are."""
    form = Naming(request.POST)
    payload = form.payload(receipt_of) if form.is_valid() else None
    return _follow_up(
        request, receipt_of, form, payload, "consult.thread.name_received",
        lambda problems, status: _thread_page(request, receipt_of, Reply(), form, status, problems))


@public(methods=("POST",))
@_with_thread
def close(request: HttpRequest, receipt_of: str) -> HttpResponse:
    if thread.close(receipt_of):
        messages.success(request, text("consult.thread.is_closed"))
    _has_read(request, receipt_of)
    return redirect("consult:thread")


@public(methods=("POST",))
@_with_thread
def report(request: HttpRequest, receipt_of: str) -> HttpResponse:
    """Measures that the desk asked for are done, says the asker."""
    new = asked.report(receipt_of, request.POST.getlist("ids"), request.POST.get("note", ""))
    if new:
        messages.success(request, text("respond.asked.received"))
    else:
        messages.warning(request, text("respond.asked.nothing"))
    _has_read(request, receipt_of)
    return onward(request, "consult:thread")


@public(methods=("GET",))
@_with_thread
def file(request: HttpRequest, receipt_of: str, file_id: uuid.UUID) -> HttpResponse:
    """A file of the desk's answer, only to be saved."""
    row = thread.answer_file(receipt_of, file_id)
    if row is None:
        raise Http404
    try:
        content = store.open_content(row.sha256)
    except (OSError, store.Tampered, store.KeyMissing) as error:
        log.error("a file of an answer can't be read: %s", error)
        raise Http404 from error
    if request.method == "GET":
        record("consultee", "case.download", f"case:{row.case_id}", sha256=row.sha256, size=row.size)
    response = FileResponse(content, content_type="application/octet-stream")
    response["Content-Disposition"] = (f"attachment; filename=\"{row.sha256[:16]}.bin\"; "
                                       f"filename*=UTF-8''{quote(safe_name(row.name), safe='')}")
    response["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    return response


@public(methods=("POST",))
def leave(request: HttpRequest) -> HttpResponse:
    """Nobody after them at this browser sees the conversation."""
    held = _held(request)
    if held:
        thread.mark_read(held["receipt"])
    request.session.pop("thread", None)
    request.session.cycle_key()
    response = draft.forget(request, redirect("consult:landing"))
    response.delete_cookie(RECEIPT_COOKIE, path=reverse("consult:receipt"), samesite="Strict")
    return response

"""The public pages. Nobody signs in; a receipt code, typed into a form, opens one conversation.

The code is never in an address. After sending it waits a quarter of an hour in a cookie of the consultee's
own browser, so that the receipt page can be read again; the session only holds its HMAC.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from hikeshi_desk.accounts.access import public
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.consult import thread, throttle
from hikeshi_desk.consult.desk import desk
from hikeshi_desk.consult.forms import Consultation, Naming, Reply, new_key
from hikeshi_desk.intake.receipt import hmac_of, normalise
from hikeshi_desk.intake.submit import Accepted, IncomingFile, NotAccepted, Payload, submit
from hikeshi_desk.intake.upload import SpoolUploadHandler, most_bytes, taken_from

RECEIPT_S = 900
THREAD_S = 2 * 3600
_COOKIE = "__Secure-receipt" if settings.HTTPS else "receipt"
_OPENING = 1 << 20  # the other fields of a form that carries files
View = Callable[..., HttpResponse]


def _streamed(view: View) -> View:
    """Files go to the spool while they arrive; a body that is too large is refused before it is read."""
    protected = csrf_protect(view)

    @csrf_exempt  # checked inside: the check reads the body, and the handler must be in place before
    @wraps(view)
    def streaming(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if int(request.META.get("CONTENT_LENGTH") or 0) > most_bytes() + _OPENING:
            return _refused(request, "too_large", 413)
        handler = SpoolUploadHandler(request)
        request.upload_handlers = [handler]
        request.spool_handler = handler  # type: ignore[attr-defined]
        return protected(request, *args, **kwargs)
    return streaming


def _refused(request: HttpRequest, problem: str, status: int) -> HttpResponse:
    what = text(f"consult.upload.{problem}", most=f"{most_bytes() / (1 << 30):g} GiB") \
        if problem == "too_large" else text(f"consult.upload.{problem}")
    if _by_script(request):
        return JsonResponse({"errors": [what]}, status=status)
    return render(request, "consult/refused.html", {"what": what, "desk": desk()}, status=status)


def _by_script(request: HttpRequest) -> bool:
    return request.headers.get("X-Requested-With") == "upload"


def _send(request: HttpRequest, payload: Payload, key: str) -> Accepted | HttpResponse:
    """Kept and opened, or the page that says why not."""
    problem = request.spool_handler.problem  # type: ignore[attr-defined]
    if problem:
        return _refused(request, problem, 507 if problem == "disk" else 413)
    try:
        accepted = submit(payload, _files(request), idempotency_key=key)
    except NotAccepted:
        return _refused(request, "disk", 507)
    thread.open_now(accepted)
    return accepted


def _files(request: HttpRequest) -> tuple[IncomingFile, ...]:
    return taken_from(request.FILES.getlist("files"))


def _next(request: HttpRequest, name: str) -> HttpResponse:
    address = reverse(name)
    return JsonResponse({"next": address}) if _by_script(request) else redirect(address)


def _invalid(request: HttpRequest, form: Any, page: Callable[[], HttpResponse]) -> HttpResponse:
    if _by_script(request):
        return JsonResponse({"errors": [error for errors in form.errors.values() for error in errors]}, status=422)
    return page()


@public(methods=("GET",))
def landing(request: HttpRequest) -> HttpResponse:
    return render(request, "consult/landing.html", {"desk": desk()})


@public(methods=("GET", "POST"))
@_streamed
def consult(request: HttpRequest) -> HttpResponse:
    """The form. Sent twice it is one consultation with one code."""
    if request.method != "POST":
        return _form_page(request, Consultation(initial={"key": new_key()}), 200)
    form = Consultation(request.POST)
    if not form.is_valid() and not request.spool_handler.problem:  # type: ignore[attr-defined]
        return _invalid(request, form, lambda: _form_page(request, form, 422))
    if not form.is_valid():
        return _refused(request, request.spool_handler.problem, 413)  # type: ignore[attr-defined]
    sent = _send(request, form.payload(), form.cleaned_data["key"])
    if isinstance(sent, HttpResponse):
        return sent
    response = _next(request, "consult:receipt")
    response.set_cookie(_COOKIE, sent.receipt_code or "", max_age=RECEIPT_S, path=reverse("consult:receipt"),
                        secure=settings.HTTPS, httponly=True, samesite="Strict")
    return response


def _form_page(request: HttpRequest, form: Consultation, status: int) -> HttpResponse:
    had_files = bool(request.FILES) if request.method == "POST" else False
    values = {name: form[name].value() or "" for name in form.fields}
    return render(request, "consult/form.html", {
        "form": form, "values": values, "desk": desk(), "had_files": had_files, "key": values["key"] or new_key(),
        "picks": {name: form.fields[name].options(values[name])
                  for name in ("incident", "asker_kind", "request")},
        "opens_who": any(values[name] for name in ("asker_kind", "asker_name", "on_behalf", "request")),
        "opens_facts": any(values[name] for name in ("noticed_at", "affected", "ongoing", "done_so_far",
                                                     "other_bodies")),
        "opens_opinion": bool(values["hypothesis"]),
    }, status=status)


@public(methods=("GET",))
def receipt(request: HttpRequest) -> HttpResponse:
    """The code, the promise, the first steps. Only the browser that sent can open it, for a quarter of an hour."""
    code = request.COOKIES.get(_COOKIE, "")
    known = thread.kept(hmac_of(code)) if normalise(code) else None
    if known is None and not (normalise(code) and thread.exists(hmac_of(code))):
        return redirect("consult:code")
    incident = known.incident if known else "unknown"
    return render(request, "consult/receipt.html", {
        "code": code, "groups": code.split("-"), "known": known, "advice": _shown(incident),
        "incident": text(f"consult.incident.{incident}"), "desk": desk()})


def _shown(incident: str) -> list[dict[str, Any]]:
    language = "en" if (get_language() or "ja").startswith("en") else "ja"
    return [{"title": getattr(one.title, language), "summary": getattr(one.summary, language),
             "steps": [getattr(step, language) for step in one.steps],
             "never": [getattr(step, language) for step in one.not_to_do], "written_on": one.written_on}
            for one in thread.advice(incident)]


@public(methods=("GET", "POST"))
def code(request: HttpRequest) -> HttpResponse:
    """Where the code is typed in. A wrong one, an unknown one and none at all get the same answer."""
    if request.method != "POST":
        return render(request, "consult/code.html", {"desk": desk()})
    given = request.POST.get("code", "")[:200]
    receipt_of = hmac_of(given)
    known = thread.exists(receipt_of)
    if not throttle.is_open(given) or (not known and throttle.is_busy()):
        return render(request, "consult/code.html", {"desk": desk(), "error": text("consult.code.later")}, status=429)
    if not known:
        throttle.count_failure(given)
        return render(request, "consult/code.html", {"desk": desk(), "error": text("consult.code.unknown")},
                      status=422)
    request.session.cycle_key()
    request.session["thread"] = {"receipt": receipt_of, "until": timezone.now().timestamp() + THREAD_S}
    return redirect("consult:thread")


def _with_thread(view: View) -> View:
    """Only with a code that was typed in less than two hours ago; else the page that asks for it."""
    @wraps(view)
    def opened(request: HttpRequest) -> HttpResponse:
        held = request.session.get("thread", {})
        left_s = held.get("until", 0) - timezone.now().timestamp()
        if not 0 < left_s <= THREAD_S:
            return _next(request, "consult:code")
        return view(request, held["receipt"])
    return opened


@public(methods=("GET",))
@_with_thread
def conversation(request: HttpRequest, receipt_of: str) -> HttpResponse:
    return _thread_page(request, receipt_of, Reply(), Naming(), 200)


def _thread_page(request: HttpRequest, receipt_of: str, reply: Reply, naming: Naming, status: int) -> HttpResponse:
    case = thread.find(receipt_of)
    entries = thread.entries(case) if case else []
    return render(request, "consult/thread.html", {
        "case": case, "desk": desk(), "reply": reply, "naming": naming, "key": new_key(),
        "entries": entries, "has_answer": any(entry.is_desk for entry in entries),
        "is_over": bool(case and thread.is_over(case)),
        "promised": thread.promised(case) if case else None,
        "state": text(f"consult.state.{case.state}") if case else text("consult.state.new"),
        "what": reply["what"].value() or "", "contact": naming["contact"].value() or "",
        "asker_name": naming["asker_name"].value() or "",
    }, status=status)


@public(methods=("POST",))
@_streamed
@_with_thread
def answer(request: HttpRequest, receipt_of: str) -> HttpResponse:
    """A further word, files, or both."""
    form = Reply(request.POST)
    payload = form.payload(receipt_of, with_files=bool(_files(request))) if form.is_valid() else None
    problem = request.spool_handler.problem  # type: ignore[attr-defined]
    if payload is None and not problem:
        return _invalid(request, form, lambda: _thread_page(request, receipt_of, form, Naming(), 422))
    if payload is None:
        return _refused(request, problem, 413)
    sent = _send(request, payload, form.cleaned_data["key"])
    if isinstance(sent, HttpResponse):
        return sent
    messages.success(request, text("consult.thread.received"))
    return _next(request, "consult:thread")


@public(methods=("POST",))
@_streamed
@_with_thread
def name(request: HttpRequest, receipt_of: str) -> HttpResponse:
    """Who asked anonymously says later who they are."""
    form = Naming(request.POST)
    if not form.is_valid():
        return _invalid(request, form, lambda: _thread_page(request, receipt_of, Reply(), form, 422))
    sent = _send(request, form.payload(receipt_of), form.cleaned_data["key"])
    if isinstance(sent, HttpResponse):
        return sent
    messages.success(request, text("consult.thread.name_received"))
    return _next(request, "consult:thread")


@public(methods=("POST",))
@_with_thread
def close(request: HttpRequest, receipt_of: str) -> HttpResponse:
    if thread.close(receipt_of):
        messages.success(request, text("consult.thread.is_closed"))
    return redirect("consult:thread")


@public(methods=("POST",))
def leave(request: HttpRequest) -> HttpResponse:
    """Nobody after them at this browser sees the conversation."""
    request.session.pop("thread", None)
    request.session.cycle_key()
    response = redirect("consult:landing")
    response.delete_cookie(_COOKIE, path=reverse("consult:receipt"), samesite="Strict")
    return response

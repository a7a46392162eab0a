"""Writing a consultation: the short form on one page and the guided way in steps. Nothing typed is lost.

Every step is a POST that redirects, so that the browser's Back works; the words wait in the draft (draft.py)
and, should that be gone, in the page itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from hikeshi_desk.accounts.access import public
from hikeshi_desk.consult import draft, guide, thread
from hikeshi_desk.consult.forms import INCIDENTS, Consultation, new_key
from hikeshi_desk.consult.streams import STATUS, files_of, onward, problem_of, said, shown_again, streamed
from hikeshi_desk.intake.submit import NotAccepted

RECEIPT_S = 900
RECEIPT_COOKIE = "__Secure-receipt" if settings.HTTPS else "receipt"
_DRAFT = "consultation"
_WHO = ("asker_kind", "asker_name", "on_behalf", "request")
_FACTS = ("noticed_at", "machines", "affected", "ongoing", "extension", "note_text", "done_so_far", "other_bodies")
# Asked for on the guided way only; once answered there they are shown here too.
_RARE = ("detected_by", "seen", "product", "vendor", "publication", "sample_origin")


@public(methods=("GET", "POST"))
@streamed
def short(request: HttpRequest) -> HttpResponse:
    """The form on one page. Sent twice it is one consultation with one code."""
    if request.method != "POST":
        words = draft.read(request, _DRAFT)
        kind = request.GET.get("kind", "")
        first = {"incident": kind} if kind in INCIDENTS else {}
        return _short_page(request, Consultation(initial={"key": new_key(), **first, **words}), [], 200)
    words = draft.read(request, _DRAFT)
    form = Consultation({**words, **_posted(request, tuple(Consultation.base_fields))})
    problem = problem_of(request)
    if problem:
        return shown_again(request, [said(problem)], STATUS[problem],
                           lambda: _short_page(request, form, [said(problem)], STATUS[problem], keep_errors=False))
    elsewhere = _elsewhere(request, form.words(), "consult:form", "consult:guided-what")
    if elsewhere:
        return elsewhere
    if not form.is_valid():
        errors = [str(error) for errors in form.errors.values() for error in errors]
        return shown_again(request, errors, 422, lambda: _short_page(request, form, [], 422))
    return _send(request, form, lambda: _short_page(request, form, [said("disk")], 507))


def _short_page(request: HttpRequest, form: Consultation, problems: list[str], status: int, *,
                keep_errors: bool = True) -> HttpResponse:
    words = form.words()
    if form.is_bound and not keep_errors:
        form = Consultation(initial=words)
    facts = (*_FACTS, *(name for name in _RARE if words[name]))
    return render(request, "consult/form.html", {
        "form": form, "words": words, "key": words["key"] or new_key(), "problems": problems,
        "errors": _linked(form), "had_files": bool(request.method == "POST" and (request.FILES or problems)),
        "first": guide.questions(form, ("what", "incident"), folded=True),
        "contact": guide.questions(form, ("contact",))[0], "anonymous": guide.questions(form, ("anonymous",))[0],
        "who": guide.questions(form, _WHO, folded=True), "opens_who": any(words[name] for name in _WHO),
        "facts": guide.questions(form, facts, folded=True), "opens_facts": any(words[name] for name in facts),
        "opinion": guide.questions(form, ("hypothesis",)), "opens_opinion": bool(words["hypothesis"]),
        "has_draft": bool(draft.read(request, _DRAFT)),
    }, status=status)


def _linked(form: Consultation) -> list[tuple[str, str]]:
    """Every error with the field it leads to."""
    return [(name, str(error)) for name, errors in form.errors.items() for error in errors]


def guided(step: str) -> Callable[..., HttpResponse]:
    """The page of one step."""
    @public(methods=("GET", "POST"))
    @streamed
    def page(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return _guided_get(request, step)
        return _guided_post(request, step)
    return page


def _guided_get(request: HttpRequest, step: str) -> HttpResponse:
    words = draft.read(request, _DRAFT)
    order = guide.steps(words)
    reached = guide.first_open(words)
    if step not in order or order.index(step) > order.index(reached):
        return redirect(f"consult:guided-{reached}")
    return _guided_page(request, step, words, Consultation(initial=words), [], 200)


def _guided_post(request: HttpRequest, step: str) -> HttpResponse:
    # What the page itself carried stands in only where the draft is gone.
    carried = _posted(request, tuple(Consultation.base_fields))
    words: dict[str, Any] = {**carried, **draft.read(request, _DRAFT)}
    names = guide.fields_of(step, words)
    words.update({name: carried.get(name, "") for name in names})
    words["key"] = words.get("key") or new_key()
    problem = problem_of(request)
    if problem:
        return shown_again(request, [said(problem)], STATUS[problem], lambda: _guided_page(
            request, step, words, Consultation(initial=words), [said(problem)], STATUS[problem]))
    order = guide.steps(words)
    before = order[max(order.index(step) - 1, 0)] if step in order else "what"
    elsewhere = _elsewhere(request, words, f"consult:guided-{step}", "consult:form", back=f"consult:guided-{before}")
    if elsewhere:
        return elsewhere
    if step == "send":
        form = Consultation(words)
        if form.is_valid():
            return _send(request, form, lambda: _guided_page(request, step, words, Consultation(initial=words),
                                                             [said("disk")], 507))
        return draft.hand_over(onward(request, f"consult:guided-{guide.first_open(words)}"),
                               draft.keep(request, _DRAFT, words))
    key = draft.keep(request, _DRAFT, words)
    form = Consultation(words).only(names)
    if not form.is_valid():
        return draft.hand_over(_guided_page(request, step, words, form, [], 422), key)
    order = guide.steps(words)
    after = order[order.index(step) + 1] if step in order else guide.first_open(words)
    return draft.hand_over(redirect(f"consult:guided-{after}"), key)


def _guided_page(request: HttpRequest, step: str, words: Mapping[str, Any], form: Consultation, problems: list[str],
                 status: int) -> HttpResponse:
    order = guide.steps(words)
    names = guide.fields_of(step, words)
    found = guide.questions(form, names)
    single = [one for one in found if one.name not in ("contact", "anonymous")]
    return render(request, "consult/guided.html", {
        "step": step, "title": f"consult.guide.{step}.title", "lead": f"consult.guide.{step}.lead",
        "number": order.index(step) + 1 if step in order else 1, "count": len(order), "is_first": step == order[0],
        "questions": single, "contact": next((one for one in found if one.name == "contact"), None),
        "anonymous": next((one for one in found if one.name == "anonymous"), None),
        "errors": _linked(form), "problems": problems, "key": words.get("key", ""),
        "had_files": bool(step == "send" and problems),
        "carried": [(name, value) for name, value in words.items() if value and name not in (*names, "key")],
        "given": guide.summary(words) if step == "send" else [],
    }, status=status)


def _posted(request: HttpRequest, names: tuple[str, ...]) -> dict[str, str]:
    """What the form brought; a box that is not ticked brings nothing and is empty."""
    return {name: request.POST.get(name, "") for name in names if name in request.POST or name == "anonymous"}


def _elsewhere(request: HttpRequest, words: Mapping[str, Any], here: str, other: str, *, back: str = "") -> (
        HttpResponse | None):
    """The buttons beside "send": another language, the other way of asking, a step back, forgetting."""
    go, language = request.POST.get("go", ""), request.POST.get("language", "")
    if go == "forget":
        return draft.forget(request, redirect("consult:landing"))
    if language in dict(settings.LANGUAGES):
        response = redirect(here)
        response.set_cookie(settings.LANGUAGE_COOKIE_NAME, language, secure=settings.HTTPS, samesite="Lax")
    elif go in ("other", "back"):
        response = redirect(other if go == "other" else back or here)
    elif go.startswith("to-") and go[3:] in guide.STEPS:
        response = redirect(f"consult:guided-{go[3:]}")
    else:
        return None
    return draft.hand_over(response, draft.keep(request, _DRAFT, words))


def _send(request: HttpRequest, form: Consultation, full: Callable[[], HttpResponse]) -> HttpResponse:
    """Kept and opened, with the receipt; `full` is the page that says why not."""
    try:
        accepted = thread.send(form.payload(), files_of(request), form.cleaned_data["key"])
    except NotAccepted:
        return shown_again(request, [said("disk")], 507, full)
    response = draft.forget(request, onward(request, "consult:receipt"))
    response.set_cookie(RECEIPT_COOKIE, accepted.receipt_code or "", max_age=RECEIPT_S, path=reverse("consult:receipt"),
                        secure=settings.HTTPS, httponly=True, samesite="Strict")
    return response

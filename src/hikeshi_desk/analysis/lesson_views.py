"""Pages of the lessons: the list, one lesson, writing and changing a draft, release and withdrawal."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, fetch, needs, viewer_of
from hikeshi_desk.accounts.models import Role, User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis import lessons as stock
from hikeshi_desk.analysis.attribution import KINDS, Refused
from hikeshi_desk.analysis.models import Analysis, Lesson
from hikeshi_desk.analysis.shown import answer_for, language
from hikeshi_desk.analysis.timeline_page import page_number
from hikeshi_desk.cases import clocks, labels
from hikeshi_desk.cases.access import READING, WORKING, is_desk
from hikeshi_desk.cases.models import Case

PAGE = 30
_FIELDS = ("title", "body", "title_en", "body_en", "family", "way")


@dataclass(frozen=True)
class LessonRow:
    """A lesson as a page shows it: in the reader's language where there is one, else in Japanese. `month` is all that
    people outside the desk learn of when."""

    id: uuid.UUID
    title: str
    body: str
    language: str
    family: str
    way: str
    month: str
    state: str
    state_words: str
    at: labels.Moment | None
    case_number: str
    case_id: uuid.UUID | None


def row_of(lesson: Lesson, *, desk: bool) -> LessonRow:
    english = language() == "en" and bool(lesson.body_en)
    at = lesson.released_at or lesson.written_at
    local = timezone.localtime(at)
    return LessonRow(
        lesson.pk, lesson.title_en if english else lesson.title, lesson.body_en if english else lesson.body,
        "en" if english else "ja", lesson.family, text(f"knowledge.way.{lesson.way}") if lesson.way in KINDS else "",
        text("lessons.month", year=local.year, month=f"{local.month:02d}"), lesson.state,
        text(f"lessons.state.{lesson.state}"), labels.moment(at) if desk else None,
        lesson.case.number if desk else "", lesson.case_id if desk else None)


@needs(*READING, methods=("GET",))
def lessons(request: HttpRequest) -> HttpResponse:
    viewer = viewer_of(request)
    desk = is_desk(viewer)
    asked = {name: request.GET.get(name, "")[:200] for name in ("q", "family", "way", "state")}
    found = stock.listed(viewer, words=asked["q"], family=asked["family"], way=asked["way"],
                         state=asked["state"] if desk else "")
    number, in_all = page_number(request.GET.get("page", "")), found.count()
    number = min(number, max(1, -(-in_all // PAGE)))
    shown = found.select_related("case")[(number - 1) * PAGE:number * PAGE]

    def address(page: int) -> str:
        query = QueryDict(mutable=True)
        query.update({**{name: value for name, value in asked.items() if value}, "page": str(page)})
        return "?" + query.urlencode()

    return render(request, "analysis/lessons.html", {
        "viewer": viewer, "is_desk": desk, "rows": [row_of(one, desk=desk) for one in shown], "found": in_all,
        "asked": asked, "is_filtered": any(asked.values()), "families": stock.families(viewer), "ways": _ways(),
        "states": [(value, text(f"lessons.state.{value}")) for value in Lesson.State.values] if desk else [],
        "previous": address(number - 1) if number > 1 else "",
        "following": address(number + 1) if number * PAGE < in_all else ""})


@needs(*READING, methods=("GET",))
def one(request: HttpRequest, lesson_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    lesson = _lesson(viewer, lesson_id)
    return render(request, "analysis/lesson.html", {
        "viewer": viewer, "lesson": lesson, "row": row_of(lesson, desk=is_desk(viewer)), "is_desk": is_desk(viewer),
        "can_change": viewer.is_desk and lesson.state == Lesson.State.DRAFT,
        "can_release": viewer.is_lead and lesson.state == Lesson.State.DRAFT,
        "can_withdraw": viewer.is_lead and lesson.state != Lesson.State.WITHDRAWN,
        "withdrawn_at": labels.moment(lesson.withdrawn_at)})


@needs(*WORKING, methods=("GET", "POST"))
def write(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    case: Case = fetch(Case, viewer, pk=case_id)
    if request.method == "GET":
        return _form(request, viewer, case, _proposed(case, viewer))
    return _saved(request, viewer, case, None)


@needs(*WORKING, methods=("GET", "POST"))
def change(request: HttpRequest, lesson_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    lesson = _lesson(viewer, lesson_id)
    if lesson.state != Lesson.State.DRAFT:
        raise Http404
    if request.method == "GET":
        return _form(request, viewer, lesson.case, {name: getattr(lesson, name) for name in _FIELDS}, lesson)
    return _saved(request, viewer, lesson.case, lesson)


@needs(Role.LEAD, methods=("GET", "POST"))
def release(request: HttpRequest, lesson_id: uuid.UUID) -> HttpResponse:
    """What names the victim is shown before anything leaves the desk."""
    viewer = viewer_of(request)
    lesson = _lesson(viewer, lesson_id)
    if lesson.state != Lesson.State.DRAFT:
        raise Http404
    problem = ""
    if request.method == "POST":
        try:
            stock.release(lesson, _user(viewer), request.POST.get("override", ""), read=request.POST.get("read", ""))
        except Refused as refused:
            problem = text(refused.key)
            lesson = _lesson(viewer, lesson_id)  # as it is now: this is what is read next
        else:
            messages.success(request, text("lessons.said.released"))
            return redirect(reverse("analysis:lesson", args=[lesson.pk]))
    hits = [{"kind": text(f"lessons.hit.{hit.kind}"), "words": hit.words} for hit in stock.named(lesson)]
    return render(request, "analysis/lesson_release.html", {
        "viewer": viewer, "lesson": lesson, "row": row_of(lesson, desk=True), "hits": hits, "problem": problem,
        "version": stock.version(lesson), "is_open": lesson.case.state not in clocks.FINISHED,
        "override": request.POST.get("override", "")},
        status=422 if problem else 200)


@needs(Role.LEAD, methods=("POST",))
def withdraw(request: HttpRequest, lesson_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    lesson = _lesson(viewer, lesson_id)
    try:
        stock.withdraw(lesson, _user(viewer), request.POST.get("reason", ""))
    except Refused as refused:
        messages.error(request, text(refused.key))
    else:
        messages.success(request, text("lessons.said.withdrawn"))
    return redirect(reverse("analysis:lesson", args=[lesson.pk]))


def _saved(request: HttpRequest, viewer: Viewer, case: Case, lesson: Lesson | None) -> HttpResponse:
    try:
        row = stock.save(case, _user(viewer), request.POST.dict(), lesson)
    except Refused as refused:
        typed = {name: request.POST.get(name, "") for name in _FIELDS}
        return _form(request, viewer, case, typed, lesson, problem=text(refused.key))
    messages.success(request, text("lessons.said.saved"))
    return redirect(reverse("analysis:lesson", args=[row.pk]))


def _form(request: HttpRequest, viewer: Viewer, case: Case, typed: dict[str, Any], lesson: Lesson | None = None, *,
          problem: str = "") -> HttpResponse:
    return render(request, "analysis/lesson_form.html", {
        "viewer": viewer, "case": case, "lesson": lesson, "typed": typed, "ways": _ways(), "problem": problem},
        status=422 if problem else 200)


def _proposed(case: Case, viewer: Viewer) -> dict[str, Any]:
    """Family and way in as the case knows them; the words are a person's."""
    row = Analysis.objects.filter(case=case).first()
    if row is None:
        return {}
    answer = answer_for(row, viewer)
    found = next((entry.get("kind") for entry in row.summary.get("entry", [])), "")
    way = (row.confirmed.get("way") or {}).get("kind") or found
    return {"family": answer.get("family") or "" if answer.get("verdict") == "identified" else "", "way": way}


def _ways() -> list[tuple[str, str]]:
    return [(kind, text(f"knowledge.way.{kind}")) for kind in KINDS]


def _lesson(viewer: Viewer, lesson_id: uuid.UUID) -> Lesson:
    found: Lesson = fetch(Lesson, viewer, pk=lesson_id)
    return found


def _user(viewer: Viewer) -> User:
    assert viewer.user is not None
    return viewer.user

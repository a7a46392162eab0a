"""Pages and acts of the analysis. A result holds strangers' words: it is shown in a sandbox, or only saved."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from django.contrib import messages
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from hikeshi.errors import HikeshiError
from hikeshi_desk.accounts.access import fetch, needs, viewer_of
from hikeshi_desk.accounts.models import User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis import attribution, change, findings, folder, panel, pasted, service, shown, signs
from hikeshi_desk.analysis.models import Analysis
from hikeshi_desk.analysis.words import identify_pasted
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import acts
from hikeshi_desk.cases.access import READING, WORKING
from hikeshi_desk.cases.models import Case

# The report is our own page without script, but full of strangers' words: no script, no origin, no address, no form.
_REPORT = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_CLOSED = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_LONGEST = 100_000


@needs(*READING, methods=("GET",))
def findings_page(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    viewer = viewer_of(request)
    row = row_with_result(request, case_id)
    return render(request, "analysis/findings.html", {
        "viewer": viewer, "case": row.case, "page": findings.build(row, request.GET.dict())})


@needs(*READING, methods=("GET",))
def report(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    answer = _file(request, case_id, "out/report.html", "text/html; charset=utf-8")
    answer["Content-Security-Policy"] = f"{_REPORT}; frame-ancestors 'none'"
    return answer


@needs(*READING, methods=("GET",))
def spread(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    answer = _file(request, case_id, f"spread.{shown.language()}.svg", "image/svg+xml", is_read=False)
    answer["Content-Security-Policy"] = _CLOSED
    return answer


@needs(*READING, methods=("GET",))
def report_pdf(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    return _saved(_file(request, case_id, "out/report.pdf", "application/pdf"), "pdf")


@needs(*READING, methods=("GET",))
def findings_file(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    return _saved(_file(request, case_id, "out/findings.jsonl", "application/octet-stream"), "jsonl")


def row_with_result(request: HttpRequest, case_id: uuid.UUID) -> Analysis:
    """The analysis behind a page, with a result; else there is no such page."""
    viewer = viewer_of(request)
    case: Case = fetch(Case, viewer, pk=case_id)
    row: Analysis = fetch(Analysis, viewer, case=case)
    if row.result is None:
        raise Http404
    row.case = case
    return row


def _file(request: HttpRequest, case_id: uuid.UUID, name: str, kind: str, *, is_read: bool = True) -> FileResponse:
    row = row_with_result(request, case_id)
    assert row.result is not None
    try:
        content = (folder.of(row.result) / Path(name)).open("rb")
    except FileNotFoundError as error:
        raise Http404 from error
    viewer = viewer_of(request)
    if is_read and request.method == "GET" and viewer.user:
        record(str(viewer.user.pk), "analysis.read", f"case:{row.case_id}", file=Path(name).name)
    answer = FileResponse(content, content_type=kind)
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "no-store"
    answer["Cross-Origin-Resource-Policy"] = "same-origin"
    return answer


def _saved(answer: FileResponse, ending: str) -> FileResponse:
    """Only saved, never shown; our own name, nothing of the sender's."""
    answer["Content-Disposition"] = f'attachment; filename="hikeshi-{timezone.localdate():%Y%m%d}.{ending}"'
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    return answer


# Acts

@needs(*WORKING, methods=("POST",))
def again(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    case, user = _case(request, case_id)
    if service.enqueue(case.pk, by=str(user.pk)):
        messages.success(request, text("analysis.said.again"))
    else:
        messages.error(request, text("analysis.said.nothing"))
    return _back(case)


@needs(*WORKING, methods=("POST",))
def confirm(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """The changed answer is accepted; asked for with the time it names, so that a newer one is not accepted unread."""
    case, user = _case(request, case_id)
    with transaction.atomic():
        row = service.row_of(Case.objects.select_for_update().get(pk=case.pk))
        is_pasted = request.POST.get("of") == "pasted"
        told = change.of_pasted(row) if is_pasted else row.change
        if told and told.get("at") == request.POST.get("at"):
            if is_pasted:
                row.asked = {**{key: value for key, value in row.asked.items() if key != "next"},
                             "answer": row.asked["next"]["answer"]}
                signs.add(case, signs.of_answer(row.asked["answer"]))
            else:
                row.change = {}
            row.changed_at = row.changed_at if row.change or "next" in row.asked else None
            row.save(update_fields=["change", "asked", "changed_at"])
            acts.note(case, user, body=change.note(told))
            record(str(user.pk), "analysis.confirmed", f"case:{case.pk}", number=case.number,
                   before=change.answer_words(told["before"]), after=change.answer_words(told["after"]),
                   added=told.get("added", 0), pack=told.get("by", {}).get("pack", "")[:16])
            messages.success(request, text("analysis.said.confirmed"))
        elif told:
            messages.error(request, text("analysis.said.newer"))
    return _back(case)


@needs(*WORKING, methods=("POST",))
def ask(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """A pasted note, or a name: the answer at once, kept as a note of the case."""
    case, user = _case(request, case_id)
    whole = _text(request.POST.get("given", ""))
    given = whole[:_LONGEST]
    if not given:
        messages.error(request, text("analysis.said.empty"))
        return _back(case, "#analysis-asked")
    try:
        answer = identify_pasted(given, pasted.LABEL)
    except HikeshiError:
        messages.error(request, text("analysis.said.not_now"))
        return _back(case, "#analysis-asked")
    if len(whole) > _LONGEST:
        messages.warning(request, text("analysis.said.cut", read=f"{_LONGEST:,}", given=f"{len(whole):,}"))
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=case.pk)
        row = pasted.keep(case, given, answer)
        acts.note(case, user, body=_note(given, row, answer))
        record(str(user.pk), "analysis.asked", f"case:{case.pk}", number=case.number,
               verdict=answer["verdict"], family=answer["family"] or "", pack=answer["by"]["pack"][:16])
    return _back(case, "#analysis-asked")


@needs(*WORKING, methods=("POST",))
def actor(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """A person stands for who it was."""
    case, user = _case(request, case_id)
    return _attributed(request, case, lambda: attribution.confirm_actor(case, user, request.POST.dict()))


@needs(*WORKING, methods=("POST",))
def way(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    """A person stands for how they got in."""
    case, user = _case(request, case_id)
    return _attributed(request, case, lambda: attribution.confirm_way(case, user, request.POST.dict()))


@needs(*WORKING, methods=("POST",))
def withdraw(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    case, user = _case(request, case_id)
    if attribution.withdraw(case, user, request.POST.get("what", "")):
        messages.success(request, text("knowledge.confirm.withdrawn"))
    return _back(case, "#analysis-confirmed")


def _attributed(request: HttpRequest, case: Case, act: Callable[[], None]) -> HttpResponse:
    try:
        act()
    except attribution.Refused as refused:
        messages.error(request, text(refused.key))
    else:
        messages.success(request, text("knowledge.confirm.done"))
    return _back(case, "#analysis-confirmed")


def _text(given: str) -> str:
    return given.replace("\0", "").replace("\r\n", "\n").strip()


def _note(given: str, row: Analysis, answer: dict[str, object]) -> str:
    """What was asked and answered, as the case keeps it."""
    family = panel.family_of(answer)
    lines = [text("analysis.note.title"), family.headline]
    for one in family.rows:
        lines += [f"{one.name} {one.sure}", *(f"  - {reason}" for reason in one.reasons)]
    lines += [f"  - {note}" for note in family.notes]
    if answer["verdict"] != "not_ransomware":
        steps, _, _ = shown.steps_of(shown.advice_of(row, answer, "ransomware"), shown.language())
        lines += [text("analysis.note.steps"), *(f"{n}. {step}" for n, step in enumerate(steps[:panel.FIRST_STEPS], 1))]
    return "\n".join([*lines, change.by_words(answer["by"]), "", text("analysis.note.given"), given])


def _case(request: HttpRequest, case_id: uuid.UUID) -> tuple[Case, User]:
    viewer = viewer_of(request)
    case: Case = fetch(Case, viewer, pk=case_id)
    assert viewer.user is not None
    return case, viewer.user


def _back(case: Case, anchor: str = "#analysis") -> HttpResponse:
    return redirect(reverse("cases:case", args=[case.pk]) + anchor)

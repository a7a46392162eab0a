"""The timeline of a case's analysis: rows, one record, logons, values, and files for other tools."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone

from hikeshi.timeline import export
from hikeshi_desk.accounts.access import needs, viewer_of
from hikeshi_desk.analysis import folder, timeline_page
from hikeshi_desk.analysis.models import Analysis
from hikeshi_desk.analysis.shown import language
from hikeshi_desk.analysis.timeline_store import Kept
from hikeshi_desk.analysis.views import row_with_result
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases.access import READING

_FILES = {"csv": ("text/csv; charset=utf-8", "csv"), "jsonl": ("application/x-ndjson", "jsonl"),
          "timesketch": ("application/x-ndjson", "timesketch.jsonl")}


@needs(*READING, methods=("GET",))
def timeline(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    row = row_with_result(request, case_id)
    with _kept(row) as kept:
        page = timeline_page.build(kept, request.GET.dict())
    return render(request, "analysis/timeline.html", {
        "viewer": viewer_of(request), "case": row.case, "page": page, "tab": "timeline"})


@needs(*READING, methods=("GET",))
def one(request: HttpRequest, case_id: uuid.UUID, number: int) -> HttpResponse:
    row = row_with_result(request, case_id)
    with _kept(row) as kept:
        page = timeline_page.record_page(kept, number) if number < 1 << 31 else None
    if page is None:
        raise Http404
    return render(request, "analysis/timeline_record.html", {
        "viewer": viewer_of(request), "case": row.case, "page": page})


@needs(*READING, methods=("GET",))
def logons(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    row = row_with_result(request, case_id)
    with _kept(row) as kept:
        page = timeline_page.logons_page(kept, request.GET.dict())
    return render(request, "analysis/timeline_logons.html", {
        "viewer": viewer_of(request), "case": row.case, "page": page, "tab": "logons"})


@needs(*READING, methods=("GET",))
def values(request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
    row = row_with_result(request, case_id)
    with _kept(row) as kept:
        kinds = timeline_page.values_page(kept)
    return render(request, "analysis/timeline_values.html", {
        "viewer": viewer_of(request), "case": row.case, "kinds": kinds, "tab": "values"})


@needs(*READING, methods=("GET",))
def saved(request: HttpRequest, case_id: uuid.UUID, form: str) -> HttpResponse | StreamingHttpResponse:
    """The rows under the page's filters as a file."""
    row, viewer = row_with_result(request, case_id), viewer_of(request)
    if form not in _FILES:
        raise Http404
    kept = _kept(row)
    asked, _ = timeline_page.asked_of(request.GET.dict())
    kind, ending = _FILES[form]
    if viewer.user:
        record(str(viewer.user.pk), "analysis.read", f"case:{row.case_id}", file=f"timeline.{ending}")

    spoken = language()  # of the request: the lines are written after it

    def lines() -> Iterator[bytes]:
        with kept:
            rows = kept.whole(asked)
            yield from (export.as_csv(rows) if form == "csv" else export.as_jsonl(rows) if form == "jsonl"
                        else export.as_timesketch(rows, language=spoken))

    answer = StreamingHttpResponse(lines(), content_type=kind)
    answer["Content-Disposition"] = f'attachment; filename="hikeshi-{timezone.localdate():%Y%m%d}-timeline.{ending}"'
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    answer["X-Content-Type-Options"], answer["Cache-Control"] = "nosniff", "no-store"
    return answer


def _kept(row: Analysis) -> Kept:
    assert row.result is not None
    try:
        return Kept(folder.of(row.result))
    except FileNotFoundError as error:
        raise Http404 from error

"""Errors of the API as problem details (RFC 9457): what was wrong, and in `next` what to do about it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import acts
from hikeshi_desk.intake import parts
from hikeshi_desk.intake.limits import limits
from hikeshi_desk.intake.submit import NotAccepted

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
# Every kind with its status; title and next step are texts (texts/api.toml, problem.<kind>).
KINDS = {
    "invalid": 422, "malformed": 400, "unauthorised": 401, "scope": 403, "not_found": 404, "method": 405,
    "offset": 409, "busy": 409, "used": 409, "short": 409, "refused": 409, "too_large": 413, "media_type": 415,
    "hash": 422, "part": 422, "too_many": 429, "uploads_full": 503, "fault": 500, "later": 503, "disk": 507,
}
_UPLOADS = {"too_large": "too_large", "too_many": "uploads_full", "disk": "disk", "unknown": "not_found",
            "offset": "offset", "part": "part", "busy": "busy", "short": "short", "hash": "hash", "used": "used"}


class Problem(Exception):
    """An answer that is no success; `more` are further members, `headers` further headers."""

    def __init__(self, kind: str, detail: str = "", *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(kind)
        self.kind, self.detail, self.headers, self.more = kind, detail, dict(headers or {}), more


def answer(problem: Problem) -> HttpResponse:
    kind = problem.kind
    content = {"type": f"/api/v1/#{kind}", "title": text(f"api.problem.{kind}.title"), "status": KINDS[kind],
               "next": text(f"api.problem.{kind}.next"), **problem.more}
    if problem.detail:
        content["detail"] = problem.detail
    response = HttpResponse(json.dumps(content, ensure_ascii=False), status=KINDS[kind], content_type=MEDIA_TYPE)
    for name, value in problem.headers.items():
        response[name] = value
    return response


def handle_all(api: NinjaAPI) -> None:
    """Every exception of a view becomes a problem; ours and the unknown one too."""

    def on(kind: type[Exception], make: Any) -> None:
        api.add_exception_handler(kind, lambda request, error: answer(make(error)))

    on(Problem, lambda error: error)
    on(ValidationError, _invalid)
    on(Http404, lambda error: Problem("not_found"))
    on(HttpError, _http)
    on(acts.Refused, lambda error: Problem("refused", text(error.key)))
    on(parts.Refused, _upload)
    on(NotAccepted, lambda error: Problem("disk"))
    on(RequestDataTooBig, lambda error: Problem("too_large", text("api.too_large.json")))
    on(SuspiciousOperation, lambda error: Problem("malformed"))
    on(UnreadablePostError, lambda error: Problem("malformed"))
    on(OperationalError, _database)
    on(Exception, _fault)


def _invalid(error: ValidationError) -> Problem:
    found = [{"at": ".".join(str(step) for step in one["loc"][:8])[:200], "what": str(one["msg"])[:200]}
             for one in error.errors[:20]]
    return Problem("invalid", "; ".join(f"{one['at']}: {one['what']}" for one in found[:3]), errors=found)


def _http(error: HttpError) -> Problem:
    by_status = {400: "malformed", 401: "unauthorised", 403: "scope", 404: "not_found", 429: "too_many"}
    return Problem(by_status.get(error.status_code, "malformed"))


def _upload(error: parts.Refused) -> Problem:
    detail = text("api.too_large.upload", most=f"{limits().largest_upload_gib:g} GiB") \
        if error.reason == "too_large" else ""
    headers = {"Retry-After": "60"} if error.reason == "too_many" else {}
    return Problem(_UPLOADS[error.reason], detail, headers=headers, offset=error.offset)


def _database(error: OperationalError) -> Problem:
    log.error("the database did not answer: %s", error)
    return Problem("later", headers={"Retry-After": "10"})


def _fault(error: Exception) -> Problem:
    log.exception("a fault of ours", exc_info=error)
    return Problem("fault")


def not_allowed(request: HttpRequest, methods: tuple[str, ...]) -> HttpResponse:
    return answer(Problem("method", headers={"Allow": ", ".join(methods)}))

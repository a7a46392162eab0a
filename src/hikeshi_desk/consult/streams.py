"""Forms that carry files: streamed to the spool, and never a reason to lose the words beside them.

What went wrong on the way in (`problem_of`) does not end the request: the view gets the words and shows them
again with the reason. "stale": the form's token is not this browser's; "too_large", "too_many", "disk".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.files.uploadhandler import StopUpload
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from hikeshi_desk.accounts.texts import text
from hikeshi_desk.intake.submit import IncomingFile
from hikeshi_desk.intake.upload import SpoolUploadHandler, most_bytes, taken_from

STATUS = {"stale": 403, "too_large": 413, "too_many": 413, "disk": 507}
_OPENING = 1 << 20  # the other fields of a form that carries files
View = Callable[..., HttpResponse]


class _NoFiles(SpoolUploadHandler):
    """For a body that is said to be too large: the words before the first file are read, nothing behind them."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        self.problem = "too_large"
        raise StopUpload(connection_reset=True)


class _TokenCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        return HttpResponse(status=403)


def streamed(view: View) -> View:
    """Files go to the spool while they arrive; the form's token is checked after its fields were read."""
    check = _TokenCheck(lambda request: HttpResponse())

    @csrf_exempt  # checked inside: the check reads the body, and the handler must be in place before
    @wraps(view)
    def streaming(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        too_large = not length.isdecimal() or int(length) > most_bytes() + _OPENING
        handler = (_NoFiles if too_large else SpoolUploadHandler)(request)
        request.upload_handlers = [handler]
        try:
            request.POST  # noqa: B018  the body is read here, and only here may it break off
        except UnreadablePostError:
            return HttpResponse(status=400)  # nobody is left to read it
        refused = check.process_view(request, lambda request: None, (), {})
        request.form_problem = "stale" if refused else handler.problem  # type: ignore[attr-defined]
        return view(request, *args, **kwargs)
    return streaming


def problem_of(request: HttpRequest) -> str:
    return str(request.form_problem)  # type: ignore[attr-defined]


def said(problem: str) -> str:
    """The problem in words."""
    if problem == "too_large":
        return text("consult.upload.too_large", most=f"{most_bytes() / (1 << 30):g} GiB")
    return text(f"consult.upload.{problem}")


def files_of(request: HttpRequest) -> tuple[IncomingFile, ...]:
    return taken_from(request.FILES.getlist("files"))


def by_script(request: HttpRequest) -> bool:
    return request.headers.get("X-Requested-With") == "upload"


def onward(request: HttpRequest, name: str) -> HttpResponse:
    """The next page, as a redirect or as an address for the script."""
    address = reverse(name)
    return JsonResponse({"next": address}) if by_script(request) else redirect(address)


def shown_again(request: HttpRequest, errors: list[str], status: int, page: Callable[[], HttpResponse]) -> HttpResponse:
    """The same page with its words and the reasons; for the script the reasons alone."""
    return JsonResponse({"errors": errors}, status=status) if by_script(request) else page()

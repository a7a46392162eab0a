"""Error pages: both languages at once, the same bytes every time, and nothing about why."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from hikeshi_desk import config
from hikeshi_desk.accounts.texts import text


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page("bad_request", 400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page("forbidden", 403)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _page("form_expired", 403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page("not_found", 404)


def server_error(request: HttpRequest) -> HttpResponse:
    return _page("server_error", 500)


def _page(name: str, status: int) -> HttpResponse:
    # Without the request: no form token, no name of the viewer, no language makes two answers differ.
    return HttpResponse(render_to_string("accounts/error.html", {
        "title": f"accounts.error.{name}.title", "next": f"accounts.error.{name}.next",
        "name": config.table("name").get("ja") or text("accounts.desk.name", language="ja"),
        "phone": config.table("emergency").get("phone", "")}), status=status)

"""Into the demo's desk without a password, by a link that works once."""

from __future__ import annotations

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from hikeshi_desk.accounts.access import public
from hikeshi_desk.accounts.links import find_link, use_link
from hikeshi_desk.accounts.views.sign_in import complete


@public(methods=("GET", "POST"))
def enter(request: HttpRequest, token: str) -> HttpResponse:
    """Looking shows whose link it is; the button uses it up."""
    link = find_link(token)
    if link is None or link.user is None:
        raise Http404
    if request.method == "POST":
        with transaction.atomic():
            if not use_link(link):
                raise Http404
            return complete(request, link.user, "")
    answer = render(request, "worked/enter.html", {"person": link.user.name})
    answer["Cache-Control"] = "no-store"
    return answer

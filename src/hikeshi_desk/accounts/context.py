"""What every template knows: `viewer`, worked out only when a page asks for it."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from hikeshi_desk.accounts.access import viewer_of


def viewer(request: HttpRequest) -> dict[str, object]:
    return {"viewer": SimpleLazyObject(lambda: viewer_of(request))}

"""What the queue's head knows: urgent cases for which nobody could be reached. Asked only where it is shown."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from hikeshi_desk.accounts.access import viewer_of
from hikeshi_desk.oncall.shown import alarms


def unreached(request: HttpRequest) -> dict[str, object]:
    return {"unreached": SimpleLazyObject(lambda: alarms(viewer_of(request)))}

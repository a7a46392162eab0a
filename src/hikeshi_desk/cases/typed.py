"""What somebody typed into a form that was refused: it stands there again when its page is shown next, once.

Kept in the session of whoever typed it, for the one case, as {field: values}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from django.http import HttpRequest

from hikeshi_desk.cases.choices import Choice
from hikeshi_desk.cases.models import Case

_LONGEST = 100_000
_MOST = 20  # values of one field
_OF_THE_FORM = ("csrfmiddlewaretoken", "message_id")
Fields = Mapping[str, Sequence[str]]


def keep(request: HttpRequest, case: Case, act: str) -> None:
    request.session["typed"] = {"case": str(case.pk), "act": act, "fields": {
        name: [value[:_LONGEST] for value in values[:_MOST]]
        for name, values in request.POST.lists() if name not in _OF_THE_FORM}}


def take(request: HttpRequest, case: Case) -> dict[str, Fields]:
    """The fields of the refused act under its name; empty when none was refused."""
    kept = request.session.get("typed")
    if not kept or kept["case"] != str(case.pk):
        return {}
    del request.session["typed"]
    return {kept["act"]: kept["fields"]}


def marked(offered: Sequence[Choice], fields: Fields | None, name: str) -> list[Choice]:
    """The choices as they were made; untouched where nothing was refused."""
    if fields is None:
        return list(offered)
    return [replace(one, is_chosen=one.value in fields.get(name, ())) for one in offered]

"""What every template knows: `desk` (how the desk introduces itself) and `glossary` (terms met on this page)."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from hikeshi_desk.consult.desk import desk
from hikeshi_desk.consult.glossary import Met


def this_desk(request: HttpRequest) -> dict[str, object]:
    return {"desk": SimpleLazyObject(desk), "glossary": Met()}

"""How a person is reached: kept sealed, shown shortened."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from hikeshi_desk import egress
from hikeshi_desk.accounts.models import User
from hikeshi_desk.accounts.sealed import seal, unsealed
from hikeshi_desk.mail.post import is_plain_address
from hikeshi_desk.oncall.models import Way

MOST = 5  # of one person


class Refused(ValueError):
    """`key` is the text that says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def add(person: User, kind: str, value: str) -> Way:
    """Raises Refused for what could never reach anybody."""
    value = value.strip()
    if person.ways.count() >= MOST:
        raise Refused("oncall.refused.too_many")
    if kind == Way.Kind.MAIL:
        try:
            validate_email(value)
        except ValidationError:
            raise Refused("oncall.refused.mail") from None
        if len(value) > 254 or not is_plain_address(value):
            raise Refused("oncall.refused.mail")
    elif kind == Way.Kind.WEBHOOK:
        if not egress.may_call(value):
            raise Refused("oncall.refused.webhook")
    else:
        raise Refused("oncall.refused.way")
    return Way.objects.create(person=person, kind=kind, value=seal(value))


def value_of(way: Way) -> str:
    """The address or URL; "" where the desk's key is another one now."""
    return unsealed(way.value) or ""


def short(way: Way) -> str:
    """What a page may show: of a webhook only whose it is."""
    value = value_of(way)
    if way.kind == Way.Kind.MAIL or not value:
        return value
    parts = urlsplit(value)
    return f"{parts.scheme}://{parts.netloc}/…"

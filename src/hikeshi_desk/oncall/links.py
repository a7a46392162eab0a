"""The links of calls by mail: made from the desk's key, the same however often a mail is built; known by a digest."""

from __future__ import annotations

import base64

from django.utils.crypto import salted_hmac

from hikeshi_desk.oncall.models import Notice


def token_of(notice: Notice) -> str:
    made = salted_hmac("hikeshi_desk.oncall.link", str(notice.pk), algorithm="sha256").digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def digest(token: str) -> str:
    return salted_hmac("hikeshi_desk.oncall.token", token, algorithm="sha256").hexdigest()

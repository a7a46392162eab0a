"""Small secrets in the database: encrypted with the desk's key."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.utils.crypto import salted_hmac


def seal(words: str) -> str:
    return _cipher().encrypt(words.encode()).decode()


def unsealed(sealed: str) -> str | None:
    """None when it was sealed with another key."""
    try:
        return _cipher().decrypt(sealed.encode()).decode()
    except (InvalidToken, ValueError):
        return None


def _cipher() -> Fernet:
    key = salted_hmac("hikeshi_desk.accounts.sealed", "key", secret=settings.SECRET_KEY, algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(key))

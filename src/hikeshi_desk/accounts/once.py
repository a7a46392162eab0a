"""What may be used once: two requests with the same challenge or state can't both win."""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from hikeshi_desk.accounts.models import Spent


def spend(kind: str, value: str, *, keep_s: int) -> bool:
    """True for exactly one caller; `keep_s` is longer than the value could be good for."""
    now = timezone.now()
    digest = salted_hmac("hikeshi_desk.accounts.once", f"{kind}:{value}", algorithm="sha256").hexdigest()
    # A clock that was set forward and back must not make an old value good again: what is old is judged late.
    Spent.objects.filter(until__lt=now - timedelta(days=1)).delete()
    try:
        with transaction.atomic():
            Spent.objects.create(digest=digest, until=now + timedelta(seconds=keep_s))
    except IntegrityError:
        return False
    return True

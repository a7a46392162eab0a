"""Guessing is slowed down for every factor: by account, by known device, and for all accounts together.

An attempt is counted before it is checked, so that guesses at the same time count too; only a complete
sign-in clears the count. Names that do not exist are counted like those that do. A browser that signed in
before has a count of its own: a stranger who tries somebody's name does not lock them out of it.
Keys are HMACs; no name and no network address is kept.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import get_random_string, salted_hmac

from hikeshi_desk.accounts.models import Attempts, User, UserManager

PER_ACCOUNT = 5  # attempts before the first wait; then each further one waits twice as long
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(days=1)
# All unknown browsers together: enough for a desk on its first morning, too few to try many names.
TOGETHER, TOGETHER_WITHIN = 200, timedelta(minutes=10)
DEVICE_COOKIE = "__Host-device" if settings.HTTPS else "device"
DEVICE_AGE = timedelta(days=180)
_SALT = "hikeshi_desk.accounts.attempts"


def may_try(request: HttpRequest, name: str) -> bool:
    """Count one attempt for this name; False when it has to wait (then check nothing)."""
    device = _device(request, name)
    with transaction.atomic():
        if device is None and not _count_together():
            return False
        return _count(_key(f"device:{device}" if device else f"account:{UserManager.normalise(name)}"))


def succeeded(request: HttpRequest, user: User) -> None:
    """A complete sign-in: this person's counts begin again."""
    device = _device(request, user.email)
    Attempts.objects.filter(pk__in=[_key(f"account:{user.email}"), _key(f"device:{device}")]).delete()


def remember_device(request: HttpRequest, response: HttpResponse, user: User) -> None:
    """Give the browser a signed mark for this account; it opens nothing by itself."""
    device = _device(request, user.email) or get_random_string(22)
    response.set_cookie(DEVICE_COOKIE, signing.dumps([str(user.pk), device], salt=_SALT),
                        max_age=int(DEVICE_AGE.total_seconds()), secure=settings.HTTPS, httponly=True,
                        samesite="Strict")


def may_call(what: str) -> bool:
    """A budget of its own for calls that anybody can cause."""
    return within(f"call {what}", TOGETHER, TOGETHER_WITHIN)


def within(what: str, most: int, window: timedelta) -> bool:
    """Count one of at most `most` in a window; False when they are used up."""
    with transaction.atomic():
        return _count_window(_key(what), most, window)


def _device(request: HttpRequest, name: str) -> str | None:
    try:
        owner, device = signing.loads(request.COOKIES.get(DEVICE_COOKIE, ""), salt=_SALT, max_age=DEVICE_AGE)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    canonical = UserManager.normalise(name)
    return str(device) if User.objects.filter(pk=owner, email=canonical).exists() else None


def _count(key: str) -> bool:
    now = timezone.now()
    row = _row(key, now)
    if row.blocked_until and _still(row.blocked_until, now):
        return False
    if now - row.last_at > FORGOTTEN_AFTER:
        row.count = 0
    row.count, row.last_at = row.count + 1, now
    over = row.count - PER_ACCOUNT
    row.blocked_until = now + min(FIRST_WAIT * 2 ** min(over, 10), LONGEST_WAIT) if over >= 0 else None
    row.save()
    return True


def _count_together() -> bool:
    return _count_window(_key("together"), TOGETHER, TOGETHER_WITHIN)


def _count_window(key: str, most: int, window: timedelta) -> bool:
    now = timezone.now()
    row = _row(key, now)
    if now - row.last_at > window or now < row.last_at - LONGEST_WAIT:
        row.count, row.last_at = 0, now  # last_at is the window's beginning here
        # Once a window: counts that no longer matter go, so that tried names do not fill the table.
        Attempts.objects.filter(last_at__lt=now - 2 * FORGOTTEN_AFTER).delete()
    if row.count >= most:
        return False
    row.count += 1
    row.save()
    return True


def _row(key: str, now: datetime) -> Attempts:
    Attempts.objects.get_or_create(pk=key, defaults={"last_at": now})
    return Attempts.objects.select_for_update().get(pk=key)


def _still(until: datetime, now: datetime) -> bool:
    # A clock that was set back far must not lock somebody out for days.
    return now < until <= now + LONGEST_WAIT * 2


def _key(text: str) -> str:
    return salted_hmac(_SALT, text, algorithm="sha256").hexdigest()

"""Checking a password costs the same for everybody: known, unknown, invited or deactivated."""

from __future__ import annotations

import threading
from functools import cache

from django.contrib.auth.hashers import check_password, is_password_usable, make_password
from django.utils.crypto import get_random_string

from hikeshi_desk.accounts.models import User, UserManager

LONGEST = 1000  # signs; far above any passphrase, far below what slows the hash
# Argon2 takes 100 MB each time: a flood of attempts waits here instead of filling the memory.
_turns = threading.BoundedSemaphore(2)


def user_with(email: str, password: str) -> User | None:
    """The active person with this name and password, always after exactly one hash."""
    user = User.objects.filter(email=UserManager.normalise(email)).first()
    usable = user is not None and is_password_usable(user.password)
    with _turns:
        right = check_password(password, user.password if user and usable else _nobodys())
    return user if right and user and usable and user.is_active else None


@cache
def _nobodys() -> str:
    return make_password(get_random_string(32))

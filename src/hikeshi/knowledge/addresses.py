"""Find the addresses by which extortionists are reached: onion hosts, e-mail, Tox, Telegram, Session.

Only exact, ASCII-bounded forms; lower case. Text is expected refanged. These patterns are linear:
each repeats one character class of bounded length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple


class Address(NamedTuple):
    """`kind`: onion, email, tox, telegram, session; `start` and `end` are offsets in the text."""

    kind: str
    value: str
    start: int
    end: int


ONION = re.compile(r"(?<![a-z0-9])([a-z2-7]{56}|[a-z2-7]{16})\.onion(?![a-z0-9])", re.I | re.A)
EMAIL = re.compile(
    r"(?<![A-Za-z0-9])([A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24})"
    r"(?![A-Za-z0-9-])",
    re.A,
)
TOX = re.compile(r"(?<![0-9A-Fa-f])([0-9A-Fa-f]{76})(?![0-9A-Fa-f])", re.A)
SESSION = re.compile(r"(?<![0-9A-Fa-f])(05[0-9A-Fa-f]{64})(?![0-9A-Fa-f])", re.A)
TELEGRAM = re.compile(
    r"(?:t\.me/|telegram\.me/|telegram(?: id)?\s{0,3}[:=]\s{0,3}@)([A-Za-z][A-Za-z0-9_]{4,31})(?![A-Za-z0-9_])",
    re.I | re.A,
)

# Words of a path under t.me that are not a person or a channel.
_NOT_A_HANDLE = frozenset({"joinchat", "share", "addstickers", "proxy", "socks"})


def is_redacted(host: str) -> bool:
    """The label holds a run of one letter, as reports write it to hide an address ("xxxxxxxx")."""
    label = host.split(".")[0]
    run = longest = 1
    for before, after in pairwise(label):
        run = run + 1 if before == after else 1
        longest = max(longest, run)
    return longest >= 5


def find_addresses(text: str) -> Iterator[Address]:
    """Every address in the text. Redacted onion hosts are left out: they would match each other."""
    for found in ONION.finditer(text):
        if not is_redacted(found[1]):
            yield Address("onion", found[1].lower() + ".onion", found.start(1), found.end())
    for kind, pattern in (("email", EMAIL), ("tox", TOX), ("session", SESSION), ("telegram", TELEGRAM)):
        for found in pattern.finditer(text):
            value = found[1].lower()
            if kind == "telegram" and value in _NOT_A_HANDLE:
                continue
            yield Address(kind, value, found.start(1), found.end(1))

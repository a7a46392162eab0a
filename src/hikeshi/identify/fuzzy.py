"""Addresses damaged on their way (scanned, typed off a screen, broken over lines), led back to known ones.

An onion name has 56 random signs: one that agrees with a known name in all but a few can be nothing
else. E-mail addresses are compared with look-alike signs folded together. Work is bounded: at most
`_MOST` suspects a text, and a suspect is compared only with names that share a piece with it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from hikeshi.knowledge.addresses import Address, is_redacted
from hikeshi.knowledge.families import Families

_MOST = 20
_PIECE = 6
_LONGEST_ERROR = 9
_ONION = re.compile(r"[.,·]?\s{0,2}[o0]n[il1]?[il1]?[o0]n\b", re.I)
# Signs that base32 does not have, as a scanner or a tired reader writes them.
_BASE32 = str.maketrans("0189", "olbg")
_LOOKALIKE = str.maketrans("015|!€$", "olsllcs")
_EMAILISH = re.compile(r"[A-Za-z0-9._%+€$|!-]{3,40}\s?[@©®]\s?[A-Za-z0-9.,-]{4,40}", re.A)


def damaged_addresses(text: str, exact: Sequence[Address], families: Families) -> Iterator[tuple[Address, str, float]]:
    """(what stands there, the known value, how much of it agrees from 0 to 1)."""
    taken = {address.start for address in exact if families.facts(address.kind, address.value)}
    for count, (start, end) in enumerate(_onion_like(text)):
        if count >= _MOST:
            break
        if any(start - 4 <= place <= end for place in taken):
            continue
        written = re.sub(r"[^a-z0-9]", "", text[start:end].lower()).translate(_BASE32)[-60:]
        known, share = _nearest(written, families)
        if known:
            yield Address("onion", written, start, end), known, share
    skeletons = _email_skeletons(families)
    for count, found in enumerate(_EMAILISH.finditer(text)):
        if count >= _MOST * 5:
            break
        written = re.sub(r"\s", "", found[0]).replace("©", "@").replace("®", "@").replace(",", ".").lower().strip(".-")
        known = skeletons.get(_skeleton(written), "")
        if known and known != written:
            yield Address("email", written, found.start(), found.end()), known, 1.0


def _onion_like(text: str) -> Iterator[tuple[int, int]]:
    for found in _ONION.finditer(text):
        window = text[max(0, found.start() - 80) : found.start()]
        label = re.search(r"[a-z0-9](?:[a-z0-9]|\s(?=[a-z0-9]{5})){40,75}$", window, re.I | re.A)
        if label:
            yield found.start() - (len(window) - label.start()), found.start()


def _nearest(written: str, families: Families) -> tuple[str, float]:
    """The known v3 host within a few edits of `written`, or "" ."""
    if len(written) < 48 or is_redacted(written):
        return "", 0.0
    index, hosts = _pieces(families)
    votes = Counter(
        number for at in range(len(written) - _PIECE + 1) for number in index.get(written[at : at + _PIECE], ())
    )
    for number, shared in votes.most_common(3):
        if shared < 4:
            break
        distance = _distance(written[-57:], hosts[number], _LONGEST_ERROR)
        if distance is not None:
            return hosts[number] + ".onion", 1 - distance / 80
    return "", 0.0


@lru_cache(maxsize=2)
def _pieces(families: Families) -> tuple[dict[str, list[int]], list[str]]:
    hosts = [host[:-6] for host in families.values("onion") if len(host) == 62]
    index: dict[str, list[int]] = {}
    for number, host in enumerate(hosts):
        for at in range(len(host) - _PIECE + 1):
            index.setdefault(host[at : at + _PIECE], []).append(number)
    return index, hosts


@lru_cache(maxsize=2)
def _email_skeletons(families: Families) -> dict[str, str]:
    skeletons: dict[str, str] = {}
    for email in families.values("email"):
        # Two known addresses that look alike can't be told apart: neither is used.
        shape = _skeleton(email)
        skeletons[shape] = "" if shape in skeletons else email
    return skeletons


def _skeleton(email: str) -> str:
    return email.translate(_LOOKALIKE).replace("rn", "m").replace("i", "l").replace("vv", "w")


def _distance(one: str, other: str, most: int) -> int | None:
    """Edits between two strings, or None when more than `most` (band of 2·most+1 cells a row)."""
    if abs(len(one) - len(other)) > most:
        return None
    far = most + 1
    previous = {column: column for column in range(min(len(other), most) + 1)}
    for row in range(1, len(one) + 1):
        current: dict[int, int] = {}
        for column in range(max(0, row - most), min(len(other), row + most) + 1):
            if column == 0:
                current[column] = row
                continue
            current[column] = min(
                previous.get(column, far) + 1,
                current.get(column - 1, far) + 1,
                previous.get(column - 1, far) + (one[row - 1] != other[column - 1]),
            )
        previous = current
        if min(previous.values()) > most:
            return None
    total = previous.get(len(other), far)
    return total if total <= most else None

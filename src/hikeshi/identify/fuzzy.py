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
_LONG_RUN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9](?:[A-Za-z0-9]|[\s.,|!$€](?=[A-Za-z0-9]{4})){44,80}", re.A)
_SUFFIX = re.compile(r"[o0]n[il1]{0,2}[o0]n?$")
# Signs that base32 does not have, as a scanner or a tired reader writes them.
_BASE32 = str.maketrans("0189", "olbg")
_LOOKALIKE = str.maketrans("015|!€$", "olsllcs")
# Either side may be torn by one blank: "de crypt@mail.example", "decrypt@ma il.example".
_EMAILISH = re.compile(
    r"([A-Za-z0-9._%+€$|!-]{1,20} )?"
    r"([A-Za-z0-9._%+€$|!-]{2,40}\s?[@©®]\s?[A-Za-z0-9.,-]{2,40})( [A-Za-z0-9.,-]{1,20})?", re.A)
# The old kind of hidden service, 16 signs, before what is left of its suffix.
_OLD_ONION = re.compile(r"(?<![A-Za-z0-9])([A-Za-z0-9]{14,18})\s?[.,]\s?[o0]\s?n", re.A | re.I)
_OLD_ERRORS = 2


def damaged_addresses(text: str, exact: Sequence[Address], families: Families) -> Iterator[tuple[Address, str, float]]:
    """(what stands there, the known value, how much of it agrees from 0 to 1)."""
    taken = {address.start for address in exact if families.facts(address.kind, address.value)}
    for count, (start, end) in enumerate(_onion_like(text)):
        if count >= _MOST:
            break
        if any(start - 4 <= place <= end for place in taken):
            continue
        written = _SUFFIX.sub("", re.sub(r"[^a-z0-9]", "", text[start:end].lower())).translate(_BASE32)
        known, share = _nearest(written, families)
        if known:
            yield Address("onion", written, start, end), known, share
    for count, found in enumerate(_OLD_ONION.finditer(text)):
        if count >= _MOST:
            break
        written = found[1].lower().translate(_BASE32)
        known = _nearest_old(written, families) if found.start() not in taken else ""
        if known:
            yield Address("onion", written, found.start(), found.end(1)), known, 0.97
    whole = {address.value for address in exact}
    for count, found in enumerate(_EMAILISH.finditer(text)):
        if count >= _MOST * 5:
            break
        for before, after in (("", ""), ("", found[3] or ""), (found[1] or "", "")):
            written = re.sub(r"\s", "", before + found[2] + after)
            written = written.replace("©", "@").replace("®", "@").replace(",", ".").lower().strip(".-")
            known, share = _known_email(written, families) if written not in whole else ("", 0.0)
            if known:
                yield Address("email", written, found.start(), found.end()), known, share
                break


def _known_email(written: str, families: Families) -> tuple[str, float]:
    """The known address that was meant, and how sure that is; "" where nothing is near."""
    known = written if families.facts("email", written) else _email_skeletons(families).get(_skeleton(written), "")
    return (known, 1.0) if known else _nearest_email(_skeleton(written), families)


def _onion_like(text: str) -> Iterator[tuple[int, int]]:
    """Long runs of letters and digits, a stray blank or sign within: the suffix may be damaged too."""
    for found in _LONG_RUN.finditer(text):
        yield found.start(), found.end()


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
        distance = _nearest_part(written, hosts[number])
        if distance is not None:
            return hosts[number] + ".onion", 1 - distance / 250  # nothing else has so many of its signs
    return "", 0.0


def _nearest_old(written: str, families: Families) -> str:
    """The one known v2 host within two edits; ids of 16 random signs are never that near by chance."""
    near = [host for host in _old_hosts(families) if _distance(written, host[:16], _OLD_ERRORS) is not None]
    return near[0] if len(near) == 1 else ""


@lru_cache(maxsize=2)
def _old_hosts(families: Families) -> list[str]:
    return [host for host in families.values("onion") if len(host) == 22]


def _nearest_part(written: str, host: str) -> int | None:
    """Edits between the host and the part of `written` that lies along it; what stands around is not the host's."""
    at = next(at for at in range(len(written) - _PIECE + 1) if written[at : at + _PIECE] in host)
    begin = max(0, at - host.index(written[at : at + _PIECE]))
    distances = [_distance(written[begin + shift : begin + shift + len(host) + longer], host, _LONGEST_ERROR)
                 for shift in (-1, 0, 1) if begin + shift >= 0 for longer in (-1, 0, 1)]
    return min((one for one in distances if one is not None), default=None)


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


def _nearest_email(shape: str, families: Families) -> tuple[str, float]:
    """The one known address within an edit or two of these signs. Two as near say nothing; a digit that
    differs is no misreading: decrypt1@ and decrypt2@ are two people."""
    index, shapes = _email_pieces(families)
    votes = Counter(number for at in range(len(shape) - 3) for number in index.get(shape[at : at + 4], ()))
    near: list[tuple[int, str]] = []
    for number, shared in votes.most_common(5):
        if shared < len(shape) // 2:
            break
        distance = _distance(shape, shapes[number][0], 2)
        if distance is not None and distance * 8 <= len(shape):
            near.append((distance, shapes[number][1]))
    if len(near) != 1 or _digits(near[0][1]) != _digits(shape):
        return "", 0.0
    return near[0][1], 1 - 0.1 * near[0][0]


def _digits(email: str) -> str:
    return "".join(sign for sign in _skeleton(email) if sign.isdigit())


@lru_cache(maxsize=2)
def _email_pieces(families: Families) -> tuple[dict[str, list[int]], list[tuple[str, str]]]:
    shapes = [(shape, email) for shape, email in _email_skeletons(families).items() if email and len(shape) >= 14]
    index: dict[str, list[int]] = {}
    for number, (shape, _) in enumerate(shapes):
        for at in range(len(shape) - 3):
            index.setdefault(shape[at : at + 4], []).append(number)
    return index, shapes


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

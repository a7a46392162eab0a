"""The log of acts: written with what it records, and checked as one chain.

Every row's digest covers the row and the digest before it. A changed, removed, added or moved row breaks
the chain at that place. Rows cut off at the end leave a whole chain: `head()` is what to keep elsewhere
(print it, mail it, have it time-stamped) and to give to `verify(anchor=…)` later.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from hikeshi_desk.audit.models import Entry

FIRST = "0" * 64


def record(actor: str, act: str, subject: str, **detail: object) -> Entry:
    """Append one act inside the caller's transaction: it stands exactly when the act itself does.

    `actor` is a user's id, "consultee" or "system". Never put an address, a code or a password into `detail`.
    """
    with transaction.atomic():
        _wait_for_turn()
        last = Entry.objects.order_by("-sequence").values_list("sequence", "digest").first()
        sequence, previous = (last[0] + 1, last[1]) if last else (1, FIRST)
        entry = Entry(sequence=sequence, at=timezone.now(), actor=_value(str(actor)), act=_value(act),
                      subject=_value(str(subject)), detail=_plain(detail), previous=previous)
        entry.digest = digest(entry)
        entry.save(force_insert=True)
        return entry


def verify(*, anchor: tuple[int, str] | None = None) -> int | None:
    """The first sequence number that does not hold, or None when every row does.

    With `anchor` (an earlier `head()`) a chain that was cut behind it, or rewritten, is found as well.
    """
    expected, previous = 1, FIRST
    rows = Entry.objects.order_by("sequence", "pk")
    for entry in rows.iterator(chunk_size=2000):
        if entry.sequence != expected or entry.previous != previous or entry.digest != digest(entry):
            return expected
        if anchor and entry.sequence == anchor[0] and entry.digest != anchor[1]:
            return expected
        expected, previous = expected + 1, entry.digest
    return expected if anchor and anchor[0] >= expected else None


def head() -> tuple[int, str]:
    """Number and digest of the newest row; (0, zeros) for an empty log."""
    last = Entry.objects.order_by("-sequence").values_list("sequence", "digest").first()
    return last or (0, FIRST)


def head_line() -> dict[str, object]:
    """The head to keep elsewhere: number, digest, and when its row was written (UTC)."""
    number, newest = head()
    at = Entry.objects.filter(sequence=number).values_list("at", flat=True).first()
    return {"sequence": number, "digest": newest, "at": at.astimezone(UTC).isoformat(timespec="seconds") if at else ""}


def lines() -> Iterator[bytes]:
    """The whole log as JSON Lines, one row each, in the bytes that tools/verify_audit.py expects."""
    for entry in Entry.objects.order_by("sequence", "pk").iterator(chunk_size=2000):
        yield _line(_content(entry) | {"digest": entry.digest}) + b"\n"


def digest(entry: Entry) -> str:
    """SHA-256 over the previous digest and the row, as JSON with sorted keys."""
    return hashlib.sha256(_line(_content(entry))).hexdigest()


def _content(entry: Entry) -> dict[str, Any]:
    return {"sequence": entry.sequence, "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
               "actor": entry.actor, "act": entry.act, "subject": entry.subject, "detail": entry.detail,
               "previous": entry.previous}


def _line(content: dict[str, Any]) -> bytes:
    line = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return line.encode("utf-8", "surrogatepass")


def _wait_for_turn() -> None:
    """One writer at a time. SQLite's immediate transactions are that already; PostgreSQL takes a lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [0x48494B45])


def _plain(detail: dict[str, object]) -> dict[str, Any]:
    """What a database gives back is what was hashed: only JSON's own kinds, no NUL, no lone surrogate."""
    return {key: _value(value) for key, value in detail.items()}


def _value(value: object) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return repr(value)  # a database may spell a number differently
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "\\0")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [_value(item) for item in value]
        return items if isinstance(value, list | tuple) else sorted(items, key=str)
    raise TypeError(f"an act's detail holds plain values, not {type(value).__name__}")

"""The one way in: web, mail, API and command all call `submit`.

On the disk first, then in the database, then the answer. Whatever `submit` has returned for is never lost;
the same thing sent again under the same key is one submission.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from hikeshi_desk.intake import parts, spool
from hikeshi_desk.intake.models import Channel, Submission
from hikeshi_desk.intake.receipt import code_for, hmac_of
from hikeshi_desk.intake.spool import Envelope, IncomingFile, NotAccepted, Payload
from hikeshi_desk.intake.steps import reached

__all__ = ["Accepted", "IncomingFile", "NotAccepted", "Payload", "replay", "submit"]

log = logging.getLogger(__name__)
_SHORTEST_KEY = 16


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is kept. `receipt_code` is None for a follow-up: the thread has its code already."""

    submission_id: uuid.UUID
    received_at: datetime
    receipt_code: str | None
    duplicate: bool


def submit(payload: Payload, files: Sequence[IncomingFile] = (), *, idempotency_key: str) -> Accepted:
    """Keeps what was sent and says so.

    The same key with the same content is one submission and names the same code again; the same key with
    another content is another submission, because nothing that was said may be dropped. Files are moved
    out of SPOOL/incoming. A database that doesn't answer does not stop it: `replay` makes the row later.
    Raises NotAccepted when the disk did not take it, ValueError for a key under 16 signs or an unknown channel.
    """
    if len(idempotency_key) < _SHORTEST_KEY:
        raise ValueError(f"an idempotency key has at least {_SHORTEST_KEY} signs")
    if payload.channel not in Channel.values:
        raise ValueError(f"unknown channel '{payload.channel}'")
    digest = spool.digest_of(payload, files)
    own_key = f"{idempotency_key}\0{digest}"
    code = None if payload.thread else code_for(own_key)
    # Only a hash of the key is kept: the key leads to the code.
    key = hashlib.sha256(own_key.encode("utf-8", "surrogatepass")).hexdigest()
    known = _known(key)
    if known is not None:
        return Accepted(known.pk, known.received_at, code, duplicate=True)
    envelope = Envelope(uuid.uuid4(), timezone.now(), key, payload.thread or hmac_of(code or ""), digest,
                        sum(file.size for file in files) + len(payload.what.encode("utf-8", "surrogatepass")))
    spool.write(envelope, payload, files)
    try:
        row, is_new = _row(envelope, payload.channel)
    except OperationalError:
        log.exception("submission %s is in the spool; the database did not take its row yet", envelope.submission)
        return Accepted(envelope.submission, envelope.received_at, code, duplicate=False)
    reached("row_written")
    return Accepted(row.pk, row.received_at, code, duplicate=not is_new)


def replay() -> int:
    """Makes the rows of spool folders that have none, gives how many. Called at every start; safe at any time."""
    made = 0
    known = set(Submission.objects.values_list("pk", flat=True))
    for one in spool.folders():
        if one in known:
            continue
        try:
            envelope = spool.envelope_of(one)
            payload, _ = spool.read(one)
        except spool.Damaged:
            log.exception("a spool folder can't be read; it stays where it is")
            continue
        made += _row(envelope, payload.channel)[1]
    spool.sweep()
    parts.sweep()
    return made


def _known(key: str) -> Submission | None:
    try:
        return Submission.objects.filter(idempotency_key=key).first()
    except OperationalError:
        return None  # the row decides later; the spool takes it now


def _row(envelope: Envelope, channel: str) -> tuple[Submission, bool]:
    """The submission's row, and whether it is this one's: of two of the same key the first stays."""
    row = Submission(pk=envelope.submission, idempotency_key=envelope.key, channel=channel,
                     received_at=envelope.received_at, sha256=envelope.sha256, size=envelope.size,
                     receipt=envelope.receipt)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        first = Submission.objects.get(idempotency_key=envelope.key)
        if first.pk != row.pk:
            shutil.rmtree(spool.folder_of(row.pk), ignore_errors=True)
            return first, False
        return first, True  # a replay beside us was quicker
    return row, True

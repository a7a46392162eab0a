"""What other parts of the desk may listen to. Each is sent after its transaction is committed, with `case_id`.

A listener that fails is logged and harms nobody: the case is kept already. What must not be lost is found
again by the listener's own query, not by the signal (a stop between commit and signal is possible).
"""

from __future__ import annotations

import logging
from functools import partial
from uuid import UUID

from django.db import transaction
from django.dispatch import Signal

log = logging.getLogger(__name__)

case_opened = Signal()  # a new case; its files are in the content store, or follow (case_filed)
case_heard = Signal()  # the asker wrote again, perhaps with files
case_filed = Signal()  # large files that came behind their words are in the content store
case_urgent = Signal()  # opened as urgent, or judged so
case_answered = Signal()  # a reply of the desk
case_analysed = Signal()  # its analysis has a new result


def after_commit(signal: Signal, case_id: UUID) -> None:
    """Send once what was written is there for everybody; called inside the transaction."""
    transaction.on_commit(partial(_send, signal, case_id))


def _send(signal: Signal, case_id: UUID) -> None:
    for receiver, answer in signal.send_robust(sender=None, case_id=case_id):
        if isinstance(answer, Exception):
            log.error("a listener failed: %s: %s: %s", getattr(receiver, "__qualname__", receiver),
                      type(answer).__name__, answer)

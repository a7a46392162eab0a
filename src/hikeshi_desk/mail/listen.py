"""SMTP and LMTP on this machine: a mail server hands mail over and hears 250 only when it is kept.

Only loopback, only to the desk's own address (a plus part is allowed). 250 means: raw bytes synced,
and, unless the mail waits for a later try, submitted. 451 means: not kept, the server keeps it.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.db import close_old_connections, connections

from hikeshi_desk.mail.post import Post
from hikeshi_desk.mail.receive import receive

log = logging.getLogger(__name__)
# aiosmtpd writes every address it hears at INFO: who writes to the desk belongs in no log.
logging.getLogger("mail.log").setLevel(logging.WARNING)
_LARGEST = 100 * 2**20
_LONGEST_LINE = 2**20  # mail servers hand over what they got; RFC 5321's 1,000 is for the open Internet
_MOST_RECIPIENTS = 20


class _Door:
    """What aiosmtpd asks: may this recipient, and: here is the mail."""

    def __init__(self, post: Post, source: str) -> None:
        self._post, self._source = post, source
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix=f"mail-{source}")

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str,  # noqa: N802
                          options: list[str]) -> str:
        if len(envelope.rcpt_tos) >= _MOST_RECIPIENTS:
            return "452 too many recipients"
        if not self._post.is_ours(address):
            return "550 no such address here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content
        if not isinstance(content, bytes):
            return "554 no content"
        status = await asyncio.get_running_loop().run_in_executor(
            self._pool, self._receive, content, envelope.mail_from or "", list(envelope.rcpt_tos))
        # LMTP wants one answer for each recipient.
        return "\r\n".join([status] * (len(envelope.rcpt_tos) if self._source == "lmtp" else 1))

    def _receive(self, content: bytes, sender: str, recipients: list[str]) -> str:
        close_old_connections()
        try:
            receive([content], source=self._source, envelope_from=sender, envelope_to=recipients)
            return "250 kept"
        except Exception:  # the edge of the stage: the sender must hear that it still has the mail
            log.exception("a mail could not be kept; its server was told so")
            return "451 not kept, try again later"
        finally:
            close_old_connections()

    def close(self) -> None:
        self._pool.submit(connections.close_all).result()
        self._pool.shutdown()


class _Smtp(SMTP):
    line_length_limit = _LONGEST_LINE


class _Lmtp(LMTP):
    line_length_limit = _LONGEST_LINE


class Listener(Controller):
    """A listener in a thread of its own: start(), stop()."""

    def __init__(self, post: Post, address: tuple[str, int], source: str) -> None:
        self._door = _Door(post, source)
        self._protocol = _Lmtp if source == "lmtp" else _Smtp
        super().__init__(self._door, hostname=address[0], port=address[1])

    def factory(self) -> SMTP:
        return self._protocol(self._door, data_size_limit=_LARGEST, enable_SMTPUTF8=True, ident="desk",
                              hostname="desk", timeout=120)

    def stop(self, no_assert: bool = False) -> None:
        super().stop(no_assert=no_assert)
        self._door.close()


def listeners(post: Post) -> list[Listener]:
    """Those that are configured, not yet started."""
    asked: list[tuple[Any, str]] = [(post.listen, "smtp"), (post.lmtp, "lmtp")]
    return [Listener(post, address, source) for address, source in asked if address is not None]

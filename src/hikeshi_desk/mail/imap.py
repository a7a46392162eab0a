"""Mail fetched from an IMAP folder: each is kept here before it is marked or deleted there.

The folder's UIDVALIDITY and the highest handled UID are remembered (models.Mailbox), so nothing is
fetched twice; if that memory is lost, the bytes' hash still makes it one mail. Raw bytes are
fetched in pieces; no part of a mail is parsed in this process.
"""

from __future__ import annotations

import imaplib
import logging
import re
import ssl
from collections.abc import Iterator

from django.utils import timezone
from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError

from hikeshi.evidence.mail_text import one_line
from hikeshi_desk.mail.models import Mailbox
from hikeshi_desk.mail.post import Post, Server
from hikeshi_desk.mail.receive import receive

log = logging.getLogger(__name__)
_PIECE = 4 * 2**20
_TIMEOUT_S = 60


def poll(post: Post) -> int:
    """Fetch what is new; gives how many mails. Server trouble is noted in the mailbox's row, not raised."""
    if post.imap is None:
        return 0
    server = post.imap
    state, _ = Mailbox.objects.get_or_create(name=f"{server.user}@{server.host}:{server.port}/{server.folder}")
    count, state.problem = 0, ""
    try:
        for uid in _fetch_new(server, state, delete=post.imap_after == "delete"):
            state.last_uid = max(state.last_uid, uid)
            state.save(update_fields=["last_uid", "uid_validity"])
            count += 1
    except (OSError, imaplib.IMAP4.error, ImapToolsError) as error:
        state.problem = one_line(f"{type(error).__name__}: {error}")[:500]
        log.warning("mail could not be fetched: %s", type(error).__name__)
    state.polled_at = timezone.now()
    state.save(update_fields=["polled_at", "problem"])
    return count


def _fetch_new(server: Server, state: Mailbox, *, delete: bool) -> Iterator[int]:
    """UIDs of mails as they are kept; the mark on the server is set only then."""
    with _connect(server).login(server.user, server.password, initial_folder=server.folder) as box:
        validity = int(box.folder.status(server.folder, ["UIDVALIDITY"])["UIDVALIDITY"])
        if validity != state.uid_validity:  # the server's numbers began anew
            state.uid_validity, state.last_uid = validity, 0
        for uid in sorted(int(u) for u in box.uids(f"UID {state.last_uid + 1}:*")):
            if uid <= state.last_uid:  # "n:*" always names the last mail, even below n
                continue
            receive(_pieces(box, uid), source="imap")
            _mark(box, uid, delete=delete)
            yield uid


def _connect(server: Server) -> BaseMailBox:
    match server.security:
        case "tls":
            return MailBox(server.host, server.port, timeout=_TIMEOUT_S, ssl_context=ssl.create_default_context())
        case "starttls":
            return MailBoxStartTls(server.host, server.port, timeout=_TIMEOUT_S,
                                   ssl_context=ssl.create_default_context())
    return MailBoxUnencrypted(server.host, server.port, timeout=_TIMEOUT_S)


def _pieces(box: BaseMailBox, uid: int) -> Iterator[bytes]:
    """The raw mail, a few megabytes at a time, and exactly as many bytes as the server says it has."""
    size = _size(box, uid)
    at = 0
    while at < size:
        status, answer = box.client.uid("FETCH", str(uid), f"(BODY.PEEK[]<{at}.{_PIECE}>)")
        piece = next((part[1] for part in answer if isinstance(part, tuple)), b"") if status == "OK" else b""
        if not piece:
            raise OSError(f"the server gave {at:,} of {size:,} bytes of a mail")
        at += len(piece)
        yield piece


def _size(box: BaseMailBox, uid: int) -> int:
    status, answer = box.client.uid("FETCH", str(uid), "(RFC822.SIZE)")
    for part in answer if status == "OK" else ():
        text = part[0] if isinstance(part, tuple) else part
        if text and (found := re.search(rb"RFC822\.SIZE (\d{1,12})", text)):
            return int(found[1])
    raise OSError("the server does not say how large a mail is")


def _mark(box: BaseMailBox, uid: int, *, delete: bool) -> None:
    box.client.uid("STORE", str(uid), "+FLAGS", r"(\Deleted \Seen)" if delete else r"(\Seen)")
    if delete:
        status, _ = box.client.uid("EXPUNGE", str(uid)) if "UIDPLUS" in box.client.capabilities else ("NO", None)
        if status != "OK":
            box.client.expunge()

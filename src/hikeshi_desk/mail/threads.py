"""Which thread a mail continues: told only by what a stranger can't guess.

That is the token in the plus address we wrote from, or a message id of ours (it holds 128 random
bits). A case number, a subject, a sender's address lead nowhere.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Iterable

from django.conf import settings

from hikeshi_desk.mail.models import MailThread, SentMail
from hikeshi_desk.mail.post import Post

_TOKEN = re.compile(r"[a-z2-7]{26,32}")


def new_thread(seed: str, *, address: str, subject: str, language: str) -> MailThread:
    """The thread that the mail with this hash begins; the same one, however often it is asked for."""
    key = _derive("mail-thread-key", seed)
    thread = MailThread.objects.filter(key=key).first()
    if thread is None:
        ident = uuid.uuid4()
        thread = MailThread.objects.create(id=ident, key=key, token_hmac=_hmac_of(_token(ident)), address=address[:320],
                                           subject=subject, language=language)
    return thread


def token_of(thread: MailThread) -> str:
    """Made again from the thread's id and the desk's secret whenever a mail is written."""
    return _token(thread.id)


def plus_address(post: Post, thread: MailThread) -> str:
    local, _, domain = post.address.rpartition("@")
    return f"{local}+{token_of(thread)}@{domain}"


def new_message_id(post: Post) -> str:
    return f"<{secrets.token_hex(16)}@{post.domain}>"


def find_thread(post: Post, addresses: Iterable[str], ids: Iterable[str]) -> MailThread | None:
    """By token first, then by the newest of our message ids it names."""
    hashes = [_hmac_of(found) for address in addresses if post.is_ours(address)
              if (found := address.rpartition("@")[0].partition("+")[2].lower()) and _TOKEN.fullmatch(found)]
    if hashes and (thread := MailThread.objects.filter(token_hmac__in=hashes[:50]).first()):
        return thread
    named = [i for i in ids if len(i) <= 255][-100:]
    sent = SentMail.objects.filter(mail_id__in=named).select_related("thread").order_by("-created_at").first()
    return sent.thread if sent else None


def _token(ident: uuid.UUID) -> str:
    digest = hmac.digest(_key("mail-token"), ident.bytes, "sha256")
    return base64.b32encode(digest[:20]).decode("ascii").lower()


def _hmac_of(token: str) -> str:
    return _derive("mail-token-lookup", token)


def _derive(purpose: str, value: str) -> str:
    return hmac.new(_key(purpose), value.encode("utf-8"), hashlib.sha256).hexdigest()


def _key(purpose: str) -> bytes:
    return hashlib.sha256(f"hikeshi:{purpose}:{settings.SECRET_KEY}".encode()).digest()

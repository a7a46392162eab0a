"""Which thread a mail continues: told only by what a stranger can't guess.

That is the token in the plus address we wrote from, or a message id of ours (it holds 128 random
bits). A case number, a subject, a sender's address lead nowhere.

A thread also has a receipt code like one that began in the browser: made from the first mail's hash and the desk's
secret, stored nowhere, told to the sender's address only.
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

from hikeshi_desk.intake.receipt import code_for, hmac_of
from hikeshi_desk.mail.models import MailThread, SentMail
from hikeshi_desk.mail.post import Post

_TOKEN = re.compile(r"[a-z2-7]{26,32}")
_CODE = re.compile(r"\b[0-9A-Z]{4}(?:-[0-9A-Z]{4}){6}\b")


def new_thread(seed: str, *, address: str, subject: str, language: str) -> MailThread:
    """The thread that the mail with this hash begins; the same one, however often it is asked for."""
    key = hmac_of(_code(seed))
    thread = MailThread.objects.filter(key=key).first()
    if thread is None:
        ident = uuid.uuid4()
        thread = MailThread.objects.create(id=ident, key=key, token_hmac=_hmac_of(_token(ident)), address=address[:320],
                                           subject=subject, language=language)
    return thread


def code_of(thread: MailThread, seed: str) -> str:
    """The receipt code of the thread that the mail with this hash began; "" if it began another way."""
    code = _code(seed)
    return code if hmac.compare_digest(hmac_of(code), thread.key) else ""


def without_code(words: str, thread: MailThread, instead: str) -> str:
    """The words without this thread's own code, which a quoted acknowledgement brings along: it is the asker's."""
    return _CODE.sub(lambda found: instead if hmac_of(found[0]) == thread.key else found[0], words)


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


def _code(seed: str) -> str:
    return code_for(f"mail thread\0{seed}")


def _token(ident: uuid.UUID) -> str:
    digest = hmac.digest(_key("mail-token"), ident.bytes, "sha256")
    return base64.b32encode(digest[:20]).decode("ascii").lower()


def _hmac_of(token: str) -> str:
    return _derive("mail-token-lookup", token)


def _derive(purpose: str, value: str) -> str:
    return hmac.new(_key(purpose), value.encode("utf-8"), hashlib.sha256).hexdigest()


def _key(purpose: str) -> bytes:
    return hashlib.sha256(f"hikeshi:{purpose}:{settings.SECRET_KEY}".encode()).digest()

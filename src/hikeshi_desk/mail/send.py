"""Mail of the desk: written into the database first, then sent, with the same message id however often.

Messages are built by the header API of the standard library, from values without control signs;
no header is ever put together as a string. What is sent automatically: one acknowledgement for a
new consultation, at most one per address in 24 hours, none to a machine (RFC 3834).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import smtplib
import ssl
from datetime import datetime, timedelta
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from hikeshi.evidence.mail_text import one_line
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases.first_steps import short_steps
from hikeshi_desk.cases.models import Case, Message, State
from hikeshi_desk.mail import keys, seal, threads, undelivered
from hikeshi_desk.mail.models import MailThread, ReceivedMail, SentMail
from hikeshi_desk.mail.post import Post, Server, is_plain_address, load_post

log = logging.getLogger(__name__)
_JST = ZoneInfo("Asia/Tokyo")
_DAYS_JA = "月火水木金土日"
_MOST_TRIES = 12
_TRIES_FOR_GOOD = 3  # a server that says no for ever is asked again twice: greylisting and mistakes happen
_POLICY = policy.SMTP.clone(max_line_length=76)
_CODE = "{code}"  # where the receipt code goes when a mail is built: it is stored nowhere
_TELL_CLOSED = timedelta(hours=24)
_MOST_REFERENCES = 10


# -------------------------------------------------------------------------------- writing


def acknowledge(received: ReceivedMail, thread: MailThread, case: Case | None, post: Post) -> SentMail | None:
    """The one automatic answer to a new consultation, or None where none may be given.

    It repeats nothing of what was asked: the sender's address may be forged. With the receipt code the asker may go on
    in the browser; it opens this one conversation. Who wrote encrypted gets none, because it goes in the clear.
    """
    if not post.address or not is_plain_address(received.sender) or post.is_ours(received.sender):
        return None
    now = timezone.now()
    known = SentMail.objects.filter(kind=SentMail.Kind.ACKNOWLEDGEMENT)
    if known.filter(recipient_key=recipient_key(received.sender), created_at__gt=now - timedelta(hours=24)).exists():
        return None
    if known.filter(created_at__gt=now - timedelta(hours=1)).count() >= post.automatic_per_hour:
        _warn_once_an_hour(now, post.automatic_per_hour)
        return None
    language = thread.language
    promise = (text("mail.ack.by", language=language, time=_clock(case.due_at, language)) if case and case.due_at
               else text("mail.ack.soon", language=language))
    return _write(SentMail.Kind.ACKNOWLEDGEMENT, thread, post, received.sender,
                  subject=text("mail.ack.subject", language=language),
                  body=text("mail.ack.body", language=language, promise=promise,
                            first=_first(case.incident if case else "", language),
                            browser=_browser(received, thread, post)) + _key_line(language),
                  in_reply_to=received.message_id, answers=received)


def _first(incident: str, language: str) -> str:
    language = "en" if language == "en" else "ja"
    steps, never = short_steps(incident, language)
    mark = "- " if language == "en" else "・"
    parts = [("mail.ack.first", steps), ("mail.ack.never", never)]
    return "\n".join(text(key, language=language, steps="\n".join(f"{mark}{line}" for line in lines))
                     for key, lines in parts if lines)


def _browser(received: ReceivedMail, thread: MailThread, post: Post) -> str:
    if received.pgp.get("encrypted") or not threads.code_of(thread, received.sha256):
        return ""
    where = f"{post.site}/code/" if post.site else text("mail.ack.code_page", language=thread.language)
    return text("mail.ack.browser", language=thread.language, where=where, code=_CODE)


def _key_line(language: str) -> str:
    own = keys.own()
    return "\n" + text("mail.ack.key", language=language, fingerprint=own.grouped) if own else ""


_warned_at: datetime | None = None


def _warn_once_an_hour(now: datetime, most: int) -> None:
    global _warned_at
    if _warned_at is None or now - _warned_at > timedelta(hours=1):
        _warned_at = now
        log.warning("%d acknowledgements in an hour: no further ones are sent for now", most)


def queue_replies() -> int:
    """Write a mail for every reply of the desk in a case that lives by mail; gives how many are new."""
    post = load_post()
    if not post.address:
        return 0
    keys = dict(MailThread.objects.values_list("key", "pk"))
    waiting = Message.objects.filter(kind=Message.Kind.REPLY, sent_mail=None,
                                     case__receipt__in=MailThread.objects.values("key"))
    count = 0
    for message in waiting.select_related("case").order_by("at"):
        thread = MailThread.objects.get(pk=keys[message.case.receipt])
        if not is_plain_address(thread.address):
            continue
        last = thread.received.exclude(message_id="").order_by("-received_at").first()
        with transaction.atomic():
            held = is_in_clear(thread)
            _write(SentMail.Kind.REPLY, thread, post, thread.address, subject=_reply_subject(thread.subject),
                   body=message.body, in_reply_to=last.message_id if last else "", message=message, held=held)
            if held:
                record("mail", "mail.reply_held", f"case:{message.case_id}", message=str(message.pk))
            record("mail", "mail.reply_written", f"case:{message.case_id}", message=str(message.pk))
        count += 1
    return count


def queue_closings() -> int:
    """Tell who asked by mail that the case was closed, once for each end; gives how many are new."""
    post, now = load_post(), timezone.now()
    if not post.address:
        return 0
    ended = Case.objects.filter(state=State.CLOSED, closed_at__gt=now - _TELL_CLOSED,
                                receipt__in=MailThread.objects.values("key"))
    count = 0
    for case in ended:
        thread = MailThread.objects.get(key=case.receipt)
        key = hashlib.sha256(f"closed\0{case.pk}\0{case.closed_at}".encode()).hexdigest()
        if not is_plain_address(thread.address) or SentMail.objects.filter(notice_key=key).exists():
            continue
        last = thread.received.exclude(message_id="").order_by("-received_at").first()
        subject = (text("mail.closed.subject", language=thread.language) if is_in_clear(thread)
                   else _reply_subject(thread.subject))
        with transaction.atomic():
            _write(SentMail.Kind.NOTICE, thread, post, thread.address, subject=subject,
                   body=text("mail.closed.body", language=thread.language),
                   in_reply_to=last.message_id if last else "", notice_key=key)
            record("mail", "mail.closing_written", f"case:{case.pk}", number=case.number)
        count += 1
    return count


def is_in_clear(thread: MailThread) -> bool:
    """They wrote encrypted, and an answer now would not be."""
    wrote = thread.received.filter(state=ReceivedMail.State.OPENED).order_by("-received_at").first()
    return wrote is not None and wrote.pgp.get("encrypted") == "pgp" and keys.key_for(thread.address) is None


class TooMany(RuntimeError):
    """This address had its share of notices for now."""


_NOTICES_AN_HOUR = 60


def send_notice(to: str, subject: str, body: str, key: str) -> SentMail | None:
    """A short mail of the desk itself, written down before it is sent, one however often it is asked for with `key`.

    None: nothing can be sent because the desk has no mail server. Raises ValueError for what is no plain address and
    TooMany beyond 60 an hour to one address. It goes out with the next round of sending (every few seconds), signed
    if the desk has a key; its words are forgotten then.
    """
    post = load_post()
    if not post.address or post.smtp is None:
        return None
    if not is_plain_address(to):
        raise ValueError("not one plain address")
    digest = hashlib.sha256(key.encode()).hexdigest()
    known = SentMail.objects.filter(notice_key=digest).first()
    if known is not None:
        return known
    now = timezone.now()
    if SentMail.objects.filter(kind=SentMail.Kind.NOTICE, recipient_key=recipient_key(to),
                               created_at__gt=now - timedelta(hours=1)).count() >= _NOTICES_AN_HOUR:
        raise TooMany(f"more than {_NOTICES_AN_HOUR} notices an hour to one address")
    made, _ = SentMail.objects.get_or_create(notice_key=digest, defaults={
        "kind": SentMail.Kind.NOTICE, "mail_id": threads.new_message_id(post), "recipient": to,
        "recipient_key": recipient_key(to), "subject": one_line(subject)[:200], "body": body, "created_at": now,
        "next_try_at": now})
    return made


def _write(kind: str, thread: MailThread, post: Post, recipient: str, *, subject: str, body: str, in_reply_to: str,
           answers: ReceivedMail | None = None, message: Message | None = None, held: bool = False,
           notice_key: str | None = None) -> SentMail:
    now = timezone.now()
    return SentMail.objects.create(
        kind=kind, thread=thread, mail_id=threads.new_message_id(post), recipient=recipient,
        recipient_key=recipient_key(recipient), subject=one_line(subject)[:200], body=body,
        in_reply_to=in_reply_to if _is_plain_id(in_reply_to) else "", answers=answers, message=message, held=held,
        created_at=now, next_try_at=now, notice_key=notice_key)


def recipient_key(address: str) -> str:
    """One spelling of an address: a plus part and capitals make no new person."""
    local, _, domain = address.strip().casefold().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def _reply_subject(subject: str) -> str:
    return subject if subject[:3].casefold() == "re:" else f"Re: {subject}".strip()


def _is_plain_id(value: str) -> bool:
    return len(value) <= 250 and value.isascii() and value.isprintable() and (value[:1], value[-1:]) == ("<", ">")


def _clock(when: datetime, language: str) -> str:
    local = when.astimezone(_JST)
    if language == "en":
        return f"{local:%Y-%m-%d %H:%M} JST"
    return f"{local.year}年{local.month}月{local.day}日（{_DAYS_JA[local.weekday()]}）{local:%H:%M}（日本時間）"


# -------------------------------------------------------------------------------- sending


def build(sent: SentMail, post: Post) -> EmailMessage:
    """The mail as it goes out. Raises ValueError rather than send a header with a line end.

    Signed where the desk has a key, encrypted where a person confirmed the correspondent's: then the subject says
    nothing outside. Raises keys.Locked or seal.NotSealed rather than send what should have been closed in the clear.
    """
    out = EmailMessage(policy=_POLICY)
    out["From"] = Address(post.name, addr_spec=post.address)
    out["To"] = Address(addr_spec=sent.recipient)
    if sent.thread is not None:
        out["Reply-To"] = Address(post.name, addr_spec=threads.plus_address(post, sent.thread))
    is_automatic = sent.kind == SentMail.Kind.ACKNOWLEDGEMENT
    key = keys.key_for(sent.recipient) if sent.thread is not None and not is_automatic else None
    language = sent.thread.language if sent.thread is not None else "ja"
    out["Subject"] = text("mail.pgp.subject", language=language) if key else sent.subject
    out["Date"] = sent.created_at
    out["Message-ID"] = sent.mail_id
    if sent.in_reply_to:
        out["In-Reply-To"] = sent.in_reply_to
        out["References"] = _references(sent)
    out["X-Loop"] = post.address
    if is_automatic:
        out["Auto-Submitted"] = "auto-replied"
        out["X-Auto-Response-Suppress"] = "All"
    elif sent.kind == SentMail.Kind.NOTICE:
        out["Auto-Submitted"] = "auto-generated"
    body = _with_code(sent)
    signer = keys.signer()
    if signer is not None or key is not None:
        sent.sealed_for = key.fingerprint if key else ""
        return seal.closed(out, body, subject=sent.subject, signer=signer,
                           recipient=key.armored.encode("ascii") if key else None)
    out.set_content(body, cte="base64" if not body.isascii() else None)
    return out


def _references(sent: SentMail) -> str:
    """The conversation up to the mail that is answered, oldest first, that one last (RFC 5322, 3.6.4)."""
    if sent.thread is None:
        return sent.in_reply_to
    known = [*sent.thread.received.filter(received_at__lte=sent.created_at).values_list("received_at", "message_id"),
             *sent.thread.sent.filter(created_at__lt=sent.created_at).exclude(sent_at=None).values_list(
                 "created_at", "mail_id")]
    ids = [one for _, one in sorted(known) if _is_plain_id(one)]
    before = ids[:ids.index(sent.in_reply_to)] if sent.in_reply_to in ids else []
    return " ".join([*before[:1], *before[1:][-_MOST_REFERENCES:], sent.in_reply_to])


def _with_code(sent: SentMail) -> str:
    """The words as they go out. Raises ValueError if the desk's secret is another one since they were written."""
    if sent.kind != SentMail.Kind.ACKNOWLEDGEMENT or _CODE not in sent.body:
        return sent.body
    known = sent.thread is not None and sent.answers is not None
    code = threads.code_of(sent.thread, sent.answers.sha256) if known else ""  # type: ignore[arg-type,union-attr]
    if not code:
        raise ValueError("the receipt code can't be told any more")
    return sent.body.replace(_CODE, code)


def send_waiting() -> tuple[int, int]:
    """Send what is written and due; (sent, failed). A failure is noted and tried again later, 12 times."""
    post = load_post()
    if post.smtp is None or not post.address:
        return 0, 0
    due = list(SentMail.objects.filter(sent_at=None, next_try_at__lte=timezone.now(), tries__lt=_MOST_TRIES,
                                        held=False, failed_at=None)
               .select_related("thread", "message", "answers")[:200])
    if not due:
        return 0, 0
    done = failed = 0
    try:
        with connect(post.smtp) as server:
            for sent in due:
                ok = _send_one(server, sent, post)
                done, failed = done + ok, failed + (not ok)
    except (OSError, smtplib.SMTPException) as error:  # no server: every mail keeps its turn
        log.warning("the mail server can't be reached: %s", type(error).__name__)
        for sent in due:
            if sent.sent_at is None and not sent.problem:
                _failed(sent, error)
                failed += 1
    return done, failed


def connect(server: Server) -> smtplib.SMTP:
    """An open, logged-in connection. Raises OSError or SMTPException."""
    out: smtplib.SMTP
    if server.security == "tls":
        out = smtplib.SMTP_SSL(server.host, server.port, timeout=30, context=ssl.create_default_context())
    else:
        out = smtplib.SMTP(server.host, server.port, timeout=30)
    try:
        if server.security == "starttls":
            out.starttls(context=ssl.create_default_context())
        if server.user:
            out.login(server.user, server.password)
    except BaseException:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            out.close()
        raise
    return out


def _send_one(server: smtplib.SMTP, sent: SentMail, post: Post) -> bool:
    # An automatic mail has no return path: nobody's machine may answer it (RFC 3834, 3.3).
    envelope = "" if sent.kind == SentMail.Kind.ACKNOWLEDGEMENT else post.address
    if sent.kind == SentMail.Kind.REPLY and sent.thread is not None and _must_wait(sent):
        return False
    try:
        # As bytes: what is signed must not be wrapped anew on its way.
        server.sendmail(envelope, [sent.recipient], build(sent, post).as_bytes())
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused, ValueError) as error:
        _failed(sent, error)
        return False
    sent.sent_at, sent.tries, sent.problem = timezone.now(), sent.tries + 1, ""
    if sent.kind == SentMail.Kind.NOTICE:
        sent.body = ""  # it may hold a one-time link
    sent.save(update_fields=["sent_at", "tries", "problem", "sealed_for", "body"])
    return True


def send_now_or_later(to: str, subject: str, body: str) -> None:
    """What accounts hand over: words to a person's own address. Raises RuntimeError where no mail is set up."""
    if send_notice(to, subject, body, secrets.token_hex(16)) is None:
        raise RuntimeError("no mail server is set up")


def seal_held(address: str) -> int:
    """A key was confirmed: what was held for want of it goes out now, encrypted."""
    return SentMail.objects.filter(recipient__iexact=address, held=True, sent_at=None).update(
        held=False, next_try_at=timezone.now())


def let_go(sent: SentMail, by: str) -> bool:
    """A person has read the warning and says: in the clear all the same. False if it was not held any more."""
    with transaction.atomic():
        done = SentMail.objects.filter(pk=sent.pk, held=True, sent_at=None).update(
            held=False, sealed_for=CLEAR, next_try_at=timezone.now())
        if done:
            record(by, "mail.sent_in_clear", f"case:{sent.message.case_id}" if sent.message else f"sentmail:{sent.pk}")
    return bool(done)


CLEAR = "clear"  # in sealed_for before sending: somebody decided so


def _must_wait(sent: SentMail) -> bool:
    """The key may have been removed since this was written: then it is held as if written now."""
    assert sent.thread is not None
    if sent.sealed_for == CLEAR or not is_in_clear(sent.thread):
        return False
    SentMail.objects.filter(pk=sent.pk).update(held=True)
    return True


def _failed(sent: SentMail, error: Exception) -> None:
    sent.tries += 1
    sent.problem = one_line(f"{type(error).__name__}: {error}")[:500]
    sent.next_try_at = timezone.now() + timedelta(minutes=min(2 ** sent.tries, 360))
    sent.save(update_fields=["tries", "problem", "next_try_at"])
    if sent.tries >= (_TRIES_FOR_GOOD if _is_for_good(error) else _MOST_TRIES):
        undelivered.give_up(sent, sent.problem)


def _is_for_good(error: Exception) -> bool:
    """The server says no for ever to this address (5xx); any other trouble may pass."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(500 <= code < 600 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and 500 <= error.smtp_code < 600

"""From a raw mail to a submission: kept first, then opened in a limited child, then judged.

keep()     the bytes are on the disk and have a row: the channel may say thank you
handle()   person's mail → submit() and its case; automatic, duplicate, quarantined → said so
resume()   at start: whatever was kept and not handled, also files whose row was never written

Every step may be repeated: the raw bytes' hash is the key of all that follows.
"""

from __future__ import annotations

import atexit
import dataclasses
import hashlib
import logging
import shutil
import tempfile
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from hikeshi.errors import HikeshiError
from hikeshi.evidence import mail_pgp
from hikeshi.evidence.mail import Mail
from hikeshi.evidence.mail_pgp import FoundKey
from hikeshi.evidence.mail_reader import MailReader
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases.models import Case, Message
from hikeshi_desk.cases.opening import URGENT_INCIDENTS, open_submission
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.submit import IncomingFile, Payload, submit
from hikeshi_desk.mail import keys, send, store, threads, undelivered
from hikeshi_desk.mail.guess import Guess, guess
from hikeshi_desk.mail.models import MailThread, ReceivedMail
from hikeshi_desk.mail.post import Post, is_plain_address, load_post

log = logging.getLogger(__name__)
State = ReceivedMail.State
_MOST_HOPS = 50
_one_at_a_time = threading.RLock()
_reader: MailReader | None = None


def receive(chunks: Iterable[bytes], *, source: str, envelope_from: str | None = None,
            envelope_to: Sequence[str] = ()) -> ReceivedMail:
    """Keep and handle one mail. Raises OSError if it can't be kept: then nothing may be acknowledged.

    A fault while handling is logged and leaves the mail kept; `resume` takes it up again.
    """
    received = keep(chunks, source=source, envelope_from=envelope_from, envelope_to=envelope_to)
    try:
        return handle(received)
    except Exception:  # the edge of the stage: the bytes are safe, the next mail must come in
        log.exception("mail %s is kept but could not be handled yet", received.sha256)
        return received


def keep(chunks: Iterable[bytes], *, source: str, envelope_from: str | None = None,
         envelope_to: Sequence[str] = ()) -> ReceivedMail:
    """The row of a mail whose bytes are on the disk. The same bytes again are the same row."""
    raw = store.keep(chunks)
    received, _ = ReceivedMail.objects.get_or_create(sha256=raw.sha256, defaults={
        "size": raw.size, "received_at": timezone.now(), "source": source,
        "null_envelope": envelope_from is not None and not envelope_from.strip("<> "),
        "envelope_to": [address[:320] for address in envelope_to][:100]})
    return received


def resume() -> int:
    """Handle what a stop left behind; gives how many mails. Call at start, before the channels open."""
    for path in store.all_kept():
        ReceivedMail.objects.get_or_create(sha256=path.stem, defaults={
            "size": path.stat().st_size, "received_at": timezone.now(), "source": "resumed"})
    count = 0
    for received in ReceivedMail.objects.filter(state=State.KEPT):
        try:
            handle(received)
            count += 1
        except Exception:  # as in receive()
            log.exception("mail %s is kept but could not be handled yet", received.sha256)
    return count


def handle(received: ReceivedMail) -> ReceivedMail:
    """Open, judge and pass on one kept mail; one that was handled before is given back as it is."""
    with _one_at_a_time:
        received.refresh_from_db()
        if received.state != State.KEPT:
            return received
        try:
            mail, folder = _open(received)
        except HikeshiError as error:
            return _quarantine(received, error)
        try:
            return _judge(received, mail, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def release(received: ReceivedMail, into: Case | None = None) -> ReceivedMail:
    """Take in a quarantined mail after a person has looked: with the raw mail, unread by us, as a new case or `into`
    one that is there."""
    with _one_at_a_time:
        received.refresh_from_db()
        if received.state != State.QUARANTINED:
            return received
        folder = _work() / f"released-{received.sha256}"
        folder.mkdir(parents=True, exist_ok=True)
        language = "en" if into and into.language == "en" else "ja"
        try:
            reason = received.reason_en if language == "en" else received.reason_ja
            what = text("mail.unread", language=language, reason=reason)
            accepted = submit(Payload(**_payload(what=what, language=language, thread=into.receipt if into else "")),
                              [_original(received, folder)], idempotency_key=received.sha256)
            return _opened(received, accepted.submission_id, None, post=load_post(), answer=False)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def retry(received: ReceivedMail) -> ReceivedMail:
    """Read a quarantined mail again: the reader may have learned, or the machine was busy then."""
    with _one_at_a_time:
        received.refresh_from_db()
        if received.state != State.QUARANTINED:
            return received
        received.state, received.reason_ja, received.reason_en = State.KEPT, "", ""
        received.save(update_fields=["state", "reason_ja", "reason_en"])
        return handle(received)


def discard(received: ReceivedMail, by: str, reason: str) -> ReceivedMail:
    """Out of the list, with the reason; the raw mail stays where it is."""
    with _one_at_a_time, transaction.atomic():
        received = ReceivedMail.objects.select_for_update().get(pk=received.pk)
        if received.state == State.QUARANTINED:
            received.state = State.DISCARDED
            received.save(update_fields=["state"])
            record(by, "mail.discarded", f"mail:{received.pk}", reason=reason[:500], sha256=received.sha256)
        return received


# -------------------------------------------------------------------------------- judging


def _judge(received: ReceivedMail, mail: Mail, folder: Path) -> ReceivedMail:
    post = load_post()
    received.message_id, received.digest = mail.message_id[:998], mail.digest
    received.sender, received.subject = mail.sender[:320], mail.subject[:998]
    received.thread = threads.find_thread(post, [*mail.to, *received.envelope_to],
                                          [*mail.references, *mail.in_reply_to])
    received.pgp = _pgp(mail)
    received.sender_matches = received.thread is None or _one_spelling(received.thread.address) == _one_spelling(
        mail.sender)
    if automatic := _automatic(received, mail, post):
        _tell_case(received, mail)
        return _settle(received, State.AUTOMATIC, *automatic)
    if mail.message_id and _came_before(received):
        return _settle(received, State.DUPLICATE, "同じ内容のメールを受け付けています。",
                       "The same mail was received before.")
    return _pass_on(received, mail, folder, post)


def _automatic(received: ReceivedMail, mail: Mail, post: Post) -> tuple[str, str] | None:
    """Why no person wrote this, in both languages; None if one may have (RFC 3834)."""
    if mail.automatic or received.null_envelope:
        sign = mail.why or "MAIL FROM:<>"
        return f"自動送信のメールです（{sign}）。", f"Sent by a machine ({sign})."
    if post.address and (post.is_ours(mail.sender) or any(post.is_ours(mark) for mark in mail.loop_marks)):
        return "この窓口から出たメールが戻りました。", "A mail of this desk has come back."
    if mail.suspected and received.thread is not None:  # an out-of-office answer to us, without its proper header
        return "件名が自動応答のものです。", "The subject is that of an automatic answer."
    if mail.hops > _MOST_HOPS:
        return f"{mail.hops} 台のサーバーを経ています（循環）。", f"It passed {mail.hops} servers: a loop."
    return None


def _tell_case(received: ReceivedMail, mail: Mail) -> None:
    """A machine's word about mail of ours stands in the case; it opens nothing and owes nobody an answer."""
    if mail.automatic == "bounce":
        undelivered.bounced(received, mail)
    elif received.thread is not None and (mail.automatic or mail.suspected) and not received.null_envelope:
        undelivered.machine_said(received, received.thread, mail)


def _came_before(received: ReceivedMail) -> bool:
    return ReceivedMail.objects.filter(digest=received.digest, state=State.OPENED).exclude(pk=received.pk).exists()


def _pass_on(received: ReceivedMail, mail: Mail, folder: Path, post: Post) -> ReceivedMail:
    is_new = received.thread is None
    language = _language(mail.subject + mail.text)
    found = guess(mail.subject, mail.text, [file.name for file in mail.files], is_bulk=mail.bulk) if is_new else None
    received.guess = {"kind": found.kind, "signs": list(found.signs)} if found else {}
    thread = received.thread or threads.new_thread(received.sha256, address=mail.sender, subject=mail.subject[:998],
                                                   language=language)
    payload = Payload(**_payload(
        what=_words(mail, received, thread), language=thread.language, thread=thread.key, incident=_urgent(found),
        # Whoever joins a thread later must not become the address that answers go to.
        asker_name=mail.sender_name if is_new else "", contact=mail.sender if is_new else "",
        mail={"message_id": mail.message_id, "in_reply_to": " ".join(mail.in_reply_to),
              "references": " ".join(mail.references), "subject": mail.subject, "from": mail.sender}))
    files = [_original(received, folder), *(IncomingFile(file.name, folder / file.file, file.sha256, file.size)
                                            for file in mail.files)]
    accepted = submit(payload, files, idempotency_key=received.sha256)
    answer = is_new and not (mail.bulk or mail.suspected or mail.null_return_path)
    keys.propose(received, mail.keys)
    return _opened(received, accepted.submission_id, thread, post=post, answer=answer)


def _urgent(found: Guess | None) -> str:
    """Only ransomware is taken at its word; any other guess is for the handler to judge."""
    return found.kind if found and found.kind in URGENT_INCIDENTS else ""


def _pgp(mail: Mail) -> dict[str, object]:
    """What the case page says about encryption and signature; empty where there is neither."""
    told, signature = mail.pgp, mail.pgp.signature
    if not (mail.encrypted or signature.state):
        return {}
    return {"encrypted": mail.encrypted, "decrypted": told.is_decrypted, "signature": signature.state,
            "key": signature.key, "problem_ja": told.problem.ja if told.problem else "",
            "problem_en": told.problem.en if told.problem else ""}


def _opened(received: ReceivedMail, submission_id: object, thread: MailThread | None, *, post: Post,
            answer: bool) -> ReceivedMail:
    submission = Submission.objects.get(pk=submission_id)
    message = _open_case(submission)
    with transaction.atomic():
        received.submission, received.thread, received.state = submission, thread, State.OPENED
        received.save()
        if answer and thread is not None:
            send.acknowledge(received, thread, message.case if message else None, post)
        record("mail", "mail.opened", f"mail:{received.pk}", submission=str(submission.pk))
    return received


def _open_case(submission: Submission) -> Message | None:
    """None if it can't be opened now: the submission waits, and is opened again at every start."""
    try:
        return open_submission(submission)
    except Exception:  # the edge of the stage: what was submitted is safe
        log.exception("submission %s waits to be opened", submission.pk)
        return None


def _settle(received: ReceivedMail, state: str, ja: str, en: str) -> ReceivedMail:
    received.state, received.reason_ja, received.reason_en = state, ja[:500], en[:500]
    with transaction.atomic():
        received.save()
        record("mail", f"mail.{state}", f"mail:{received.pk}", reason=received.reason_en)
    return received


def _quarantine(received: ReceivedMail, error: HikeshiError) -> ReceivedMail:
    return _settle(received, State.QUARANTINED, f"安全に開けないため、隔離しました（{error.what}）。",
                   f"Set apart because it can't be opened safely: {error.what}.")


# ---------------------------------------------------------------------------------- parts


def _payload(*, what: str, language: str, thread: str = "", asker_name: str = "", contact: str = "", incident: str = "",
             mail: dict[str, str] | None = None) -> dict[str, object]:
    return {"channel": "mail", "language": language, "what": what, "request": "other", "incident": incident,
            "asker_kind": "", "asker_name": asker_name, "contact": contact, "anonymous": False, "on_behalf": "",
            "facts": {}, "hypothesis": (), "thread": thread, "mail": mail or {}}


def _words(mail: Mail, received: ReceivedMail, thread: MailThread) -> str:
    """What the asker wrote; below it, apart, what the reader of the mail has to know."""
    language = thread.language
    notes = [problem.en if language == "en" else problem.ja for problem in mail.problems]
    if not received.sender_matches:
        notes.append(text("mail.other_sender", language=language, sender=mail.sender or "?"))
    if mail.encrypted and not mail.pgp.is_decrypted:
        notes.append(text("mail.encrypted", language=language))
    if told := mail.pgp.problem:
        notes.append(told.en if language == "en" else told.ja)
    body = mail.text.strip() or text("mail.no_text", language=language)
    body = threads.without_code(body, thread, text("mail.code_taken_out", language=language))
    if not notes:
        return body
    return "\n".join([body, "", f"-- {text('mail.notes', language=language)} --", *notes])


def _language(words: str) -> str:
    sample = words[:20_000]
    japanese = sum("\u3040" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff" or "\uff61" <= c <= "\uff9f" for c in sample)
    return "ja" if japanese * 50 >= len(sample) or not any(c.isalpha() for c in sample) else "en"


def _one_spelling(address: str) -> str:
    return send.recipient_key(address) if is_plain_address(address) else address.strip().casefold()


def _original(received: ReceivedMail, folder: Path) -> IncomingFile:
    copy = folder / "original.eml"
    shutil.copyfile(store.path_of(received.sha256), copy)
    return IncomingFile("original.eml", copy, received.sha256, received.size)


def _open(received: ReceivedMail) -> tuple[Mail, Path]:
    global _reader
    path = store.path_of(received.sha256)
    if _reader is None:
        work = _work()
        work.mkdir(parents=True, exist_ok=True)
        _reader = MailReader(store.root(), work)
        atexit.register(_reader.close)
    if _hash_of(path) != received.sha256:
        raise HikeshiError("the kept bytes are not those that came", hint="compare with a backup of the mail store")
    mail, folder = _reader.read(path)
    if mail.encrypted != "pgp" and not mail.pgp.signature.state:
        return mail, folder
    return _with_keys(_reader, path, mail, folder)


def read_keys(data: bytes) -> tuple[FoundKey, ...]:
    """Public keys in a file that somebody brought, read in a limited child; none if it holds no such thing."""
    work = _work()
    work.mkdir(parents=True, exist_ok=True)
    # A mail of one part: the child that opens strangers' bytes knows mails.
    handle, name = tempfile.mkstemp(prefix="key-", dir=work)
    try:
        with open(handle, "wb") as out:
            out.write(b"Content-Type: application/pgp-keys\n\n" + data)
        with MailReader(work, work) as reader:
            mail, folder = reader.read(Path(name))
            shutil.rmtree(folder, ignore_errors=True)
        return mail.keys
    except HikeshiError:
        return ()
    finally:
        Path(name).unlink(missing_ok=True)


def _with_keys(reader: MailReader, path: Path, mail: Mail, folder: Path) -> tuple[Mail, Path]:
    """The same mail read once more with the desk's key; where that fails, it stays closed and the reason is told."""
    try:
        opened = reader.read(path, keys.ring({keys.one_spelling(mail.sender)}))
    except HikeshiError as error:
        why = mail_pgp.TOO_LARGE if mail.encrypted else mail_pgp.DAMAGED
        log.warning("mail %s could not be decrypted: %s", path.stem, error.what)
        return dataclasses.replace(mail, pgp=dataclasses.replace(mail.pgp, problem=why)), folder
    shutil.rmtree(folder, ignore_errors=True)
    return opened


def _work() -> Path:
    return Path(settings.SPOOL) / "incoming" / "mail"


def _hash_of(path: Path) -> str:
    with open(path, "rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()

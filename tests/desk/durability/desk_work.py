"""What the kill and the power-cut tests do to a desk, and how they compare it with what was acknowledged.

Work is numbered. The same number is the same consultation, so that one under way can be sent again, as a browser
or a mail server does. An acknowledgement is one line: "web <number> <submission> <code>", "mail <number> <sha256>" or, for what only the database keeps,
"reply <number> <message>".
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from hikeshi_desk.accounts.models import Membership, Organisation, Role, User
from hikeshi_desk.audit.log import verify
from hikeshi_desk.cases import acts, opening, store
from hikeshi_desk.cases.models import Attachment, Case, Message
from hikeshi_desk.cases.opening import begin, clear_opened, file_large, open_submission, open_waiting
from hikeshi_desk.intake import spool
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.receipt import hmac_of
from hikeshi_desk.intake.submit import IncomingFile, Payload, replay, submit
from hikeshi_desk.mail import receive
from hikeshi_desk.mail import store as mail_store
from hikeshi_desk.mail.models import ReceivedMail, SentMail

DESK_TOML = '[mail]\naddress = "desk@desk.example"\nautomatic_per_hour = 1000000\n'
FILES = 2
opening.AT_ONCE = 18_000  # one in three is large: its files follow its words


def content_of(number: int, part: int) -> bytes:
    return f"file {part} of {number} ".encode() * (1500 if number % 3 == 0 else 500)


def web(number: int) -> str:
    """Acknowledged when submit() returns; opened by `finish`."""
    files = []
    for part in range(FILES):
        content = content_of(number, part)
        path = spool.incoming() / f"{os.getpid()}-{number}-{part}-{time.monotonic_ns()}"
        path.write_bytes(content)
        files.append(IncomingFile(f"証拠{part}.log", path, hashlib.sha256(content).hexdigest(), len(content)))
    accepted = submit(Payload(channel="web", what=f"no. {number}", request="first_steps"), files,
                      idempotency_key=f"key-of-number-{number:06d}")
    return f"web {number} {accepted.submission_id} {accepted.receipt_code}"


def raw_mail(number: int) -> bytes:
    return (f"From: asker{number}@victim.example\r\nTo: desk@desk.example\r\nSubject: no. {number}\r\n"
            f"Message-ID: <{number}@victim.example>\r\nDate: Mon, 02 Nov 2026 09:00:00 +0900\r\n\r\n"
            f"no. {number}\r\n").encode()


def mail(number: int) -> str:
    """Acknowledged when keep() returns, which is when a mail server is told so."""
    return f"mail {number} {receive.keep([raw_mail(number)], source='lmtp').sha256}"


def finish(acknowledgement: str) -> Case:
    """What follows once it was said to be kept: the case."""
    kind, _, key, *_ = acknowledgement.split()
    if kind == "web":
        begin(Submission.objects.get(pk=key))
        return open_submission(Submission.objects.get(pk=key)).case  # of a large one the files, as the intake child does
    received = receive.handle(ReceivedMail.objects.get(sha256=key))
    return Message.objects.get(submission=received.submission).case


def make_handler() -> None:
    user = User.objects.create_user("handler@desk.example", None, name="佐藤")
    desk = Organisation.objects.create(name="窓口", is_desk=True)
    Membership.objects.create(user=user, organisation=desk, role=Role.HANDLER)


def reply(number: int, case: Case) -> str:
    """The handler's answer: no spool stands behind it, only the commit."""
    message = uuid.uuid4()
    acts.reply(case, User.objects.get(), body=f"answer to {number}", message_id=message, wait=False)
    return f"reply {number} {message}"


def recover() -> float:
    """What a start does before the first visitor; gives the seconds it took."""
    began = time.monotonic()
    store.prepare()
    mail_store.clear_unfinished()
    replay()
    open_waiting()
    file_large(stuck=True)
    clear_opened()
    receive.resume()
    return time.monotonic() - began


def check(acknowledged: Iterable[str]) -> dict[str, object]:
    """After recover(): what is missing, doubled, changed or half there. All lists are empty on a sound desk."""
    lines = [line.split() for line in acknowledged]
    webs = {(key, code): number for kind, number, key, *rest in lines if kind == "web" for code in rest}
    mails = {key: number for kind, number, key, *_ in lines if kind == "mail"}
    rows = {str(row.pk): row for row in Submission.objects.all()}
    received = {row.sha256: row for row in ReceivedMail.objects.all()}
    lost = [f"web {number}" for (key, code), number in webs.items()
            if key not in rows or rows[key].receipt != hmac_of(code)]
    lost += [f"mail {number}" for sha256, number in mails.items()
             if sha256 not in received or not _same(mail_store.path_of(sha256), sha256)]
    written = {str(pk) for pk in Message.objects.filter(kind=Message.Kind.REPLY).values_list("pk", flat=True)}
    replies = {line[2]: line[1] for line in lines if line[0] == "reply"}
    lost += [f"reply {number}" for key, number in replies.items() if key not in written]
    said = Counter(message.body.split("\n")[0] for message in Message.objects.filter(kind=Message.Kind.ASKER))
    unopened = [line[1] for line in lines if said[f"no. {line[1]}"] == 0]
    answered = Counter(SentMail.objects.values_list("recipient", flat=True))
    return {
        "acknowledged": len(lines), "web": len(webs), "mail": len(mails), "replies": len(replies),
        "lost": lost, "unopened": unopened,
        "doubled": [words for words, count in said.items() if count > 1],
        "answered twice": [address for address, count in answered.items() if count > 1],
        "half there": _half_there(), "unequal": sorted({str(one) for one in spool.folders()} ^ set(rows)),
        "cases": Case.objects.count(), "audit breaks at": verify(),
        # .new-… was never acknowledged and goes after two days.
        "left behind": [str(path) for path in Path(settings.SPOOL).glob("[!.]*/files/*")],
    }


def _half_there() -> list[str]:
    """Every file that a case shows is there, whole, and belongs to a message that has all of its files."""
    wrong = []
    per_message: Counter[object] = Counter()
    for row in Attachment.objects.select_related("message"):
        per_message[row.message_id] += 1
        try:
            with store.open_content(row.sha256) as stream:
                content = stream.read()
            number = row.message.body.removeprefix("no. ").split("\n")[0]
            wanted = ([raw_mail(int(number))] if row.message.channel == "mail"
                      else [content_of(int(number), part) for part in range(FILES)])
            if content not in wanted or len(content) != row.size:
                wrong.append(f"{row.name} of {row.message.body}: other content")
        except (OSError, ValueError) as error:
            wrong.append(f"{row.name} of {row.message.body}: {error}")
    return wrong + [f"{message.body} has {per_message[message.pk]} files"
                    for message in Message.objects.filter(kind=Message.Kind.ASKER)
                    if per_message[message.pk] != (1 if message.channel == "mail" else FILES)]


def _same(path: Path, sha256: str) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256

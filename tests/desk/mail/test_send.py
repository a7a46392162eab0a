"""What goes out has exactly the headers and recipients meant for it, once, through a real SMTP server."""

from __future__ import annotations

import email
import socket
from datetime import timedelta
from email.header import decode_header, make_header

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from hikeshi_desk import config
from hikeshi_desk.cases.models import Case, Message
from hikeshi_desk.mail import threads
from hikeshi_desk.mail.models import MailThread, SentMail
from hikeshi_desk.mail.post import load_post
from hikeshi_desk.mail.receive import receive
from hikeshi_desk.mail.send import build, queue_replies, send_waiting

pytestmark = pytest.mark.django_db


class _Kept(Sink):
    def __init__(self):
        self.mails, self.refuse = [], False

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.refuse:
            return "550 no"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return "250 OK"


@pytest.fixture
def outside(monkeypatch):
    """A mail server of the outside world."""
    kept = _Kept()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    monkeypatch.setenv("HIKESHI_SMTP", f"smtp+plain://127.0.0.1:{port}")
    yield kept
    server.stop()


def _headers(mail) -> dict[str, str]:
    return {name: str(make_header(decode_header(value))) for name, value in mail.items()}


def test_an_acknowledgement_arrives_once_and_cannot_be_answered_by_a_machine(outside, a_mail):
    receive([a_mail()], source="pipe")
    assert send_waiting() == (1, 0) and send_waiting() == (0, 0)
    (sender, recipients, mail), = outside.mails
    sent, headers = SentMail.objects.get(), _headers(outside.mails[0][2])
    assert sender in (None, "", "<>") and recipients == ["hanako@example.jp"]
    assert headers["Auto-Submitted"] == "auto-replied" and headers["X-Loop"] == "desk@example.org"
    assert headers["Message-ID"] == sent.mail_id and headers["In-Reply-To"] == "<first@example.jp>"
    assert headers["Reply-To"].endswith(f"<{threads.plus_address(load_post(), sent.thread)}>")
    code = threads.code_of(sent.thread, sent.answers.sha256)
    assert mail.get_payload(decode=True).decode() == sent.body.replace("{code}", code).replace("\n", "\r\n")
    assert sent.sent_at is not None


def test_two_desks_do_not_talk_to_each_other_for_ever(outside, a_mail):
    receive([a_mail()], source="pipe")
    send_waiting()
    ours = outside.mails[0][2]
    del ours["X-Loop"]
    assert receive([ours.as_bytes()], source="pipe").state == "automatic"
    assert SentMail.objects.count() == 1 and Case.objects.count() == 1


INJECTIONS = ["=?utf-8?B?YQ0KQmNjOiBldmlsQGV4YW1wbGUuY29t?=", "a =?utf-8?Q?=0ABcc:_evil@example.com?=", "a\\r\\nBcc: evil@example.com",
              "=?utf-8?Q?=E2=80=A8Bcc:_evil@example.com?=", "x" * 900, "=?utf-8?B?" + "8J+YgA" * 60 + "?=", "'\"<>(),;:"]


@pytest.mark.parametrize("field", ["Subject", "From", "Message-ID", "Reply-To"])
@pytest.mark.parametrize("value", INJECTIONS)
def test_nothing_in_a_mail_adds_a_header_or_a_recipient_to_ours(outside, field, value):
    lines = {"From": "hanako@example.jp", "Subject": "x", "Message-ID": "<a@example.jp>",
             field: f'"{value}" <hanako@example.jp>' if field == "From" else value}
    receive(["".join(f"{k}: {v}\n" for k, v in lines.items()).encode() + b"\nx"], source="pipe")
    case = Case.objects.get()
    Message.objects.create(case=case, kind=Message.Kind.REPLY, body="回答\nBcc: evil@example.com", at=timezone.now())
    queue_replies()
    send_waiting()
    assert len(outside.mails) == SentMail.objects.count()
    for _, recipients, mail in outside.mails:
        assert recipients == ["hanako@example.jp"]
        assert {n.lower() for n in mail.keys()} <= {  # noqa: SIM118
            "from", "to", "reply-to", "subject", "date", "message-id", "in-reply-to", "references", "x-loop", "auto-submitted",
            "x-auto-response-suppress", "content-type", "content-transfer-encoding", "mime-version"}
        assert len(mail.keys()) == len({n.lower() for n in mail.keys()})  # noqa: SIM118


@pytest.mark.parametrize("sender", ["a@b@c", "hanako@example.jp, evil@example.com", "\"a b\"@example.jp",
                                    "あ@example.jp", "x" * 300 + "@example.jp", "no-address", "desk+x@example.org"])
def test_an_address_that_is_not_one_plain_address_is_not_written_to(outside, sender):
    receive([f"From: <{sender}>\nSubject: x\nMessage-ID: <a@example.jp>\n\nx".encode()], source="pipe")
    send_waiting()
    assert outside.mails == []


def test_a_reply_goes_out_as_mail_once_and_notes_never(outside, a_mail):
    receive([a_mail(Subject="相談です")], source="pipe")
    case = Case.objects.get()
    for kind, body in [(Message.Kind.REPLY, "まず切り離してください。"), (Message.Kind.NOTE, "内部メモ"), (Message.Kind.SYSTEM, "記録")]:
        Message.objects.create(case=case, kind=kind, body=body, at=timezone.now())
    assert queue_replies() == 1 and queue_replies() == 0
    send_waiting()
    sender, recipients, mail = outside.mails[-1]
    assert (sender, recipients, len(outside.mails)) == ("desk@example.org", ["hanako@example.jp"], 2)
    assert _headers(mail)["Subject"] == "Re: 相談です" and "Auto-Submitted" not in mail
    assert mail.get_payload(decode=True).decode().strip() == "まず切り離してください。"
    answer = a_mail(Message_ID="<third@example.jp>", In_Reply_To=mail["Message-ID"], body="切り離しました。")
    receive([answer], source="pipe")
    assert Case.objects.count() == 1 and case.messages.order_by("-at").first().body == "切り離しました。"


def test_a_case_from_the_web_gets_no_mail(outside):
    now = timezone.now()
    case = Case.objects.create(number="2026-000001", serial=2026000001, order_at=now, title="x", request="other", contact="a@example.jp", receipt="f" * 64,
                               opened_at=now, last_word_at=now)
    Message.objects.create(case=case, kind=Message.Kind.REPLY, body="回答", at=now)
    assert queue_replies() == 0


def test_a_refused_or_unreachable_server_is_tried_again_with_the_same_id(outside, a_mail, monkeypatch):
    receive([a_mail()], source="pipe")
    outside.refuse = True
    assert send_waiting() == (0, 1)
    sent = SentMail.objects.get()
    first_id = sent.mail_id
    assert sent.tries == 1 and sent.problem and send_waiting() == (0, 0), "not again at once"
    outside.refuse = False
    SentMail.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    assert send_waiting() == (1, 0)
    assert outside.mails[0][2]["Message-ID"] == first_id
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HIKESHI_SMTP", f"smtp+plain://127.0.0.1:{closed.getsockname()[1]}")
        SentMail.objects.update(sent_at=None, next_try_at=timezone.now() - timedelta(seconds=1))
        assert send_waiting() == (0, 1)


def test_without_an_address_or_server_nothing_is_lost(a_mail, monkeypatch):
    monkeypatch.delenv("HIKESHI_MAIL_ADDRESS")
    assert receive([a_mail()], source="pipe").state == "opened"
    assert send_waiting() == (0, 0) and queue_replies() == 0 and not SentMail.objects.exists()


def test_a_header_with_a_line_end_is_refused_even_if_it_reached_the_row(a_mail):
    thread = MailThread.objects.create(key="k", token_hmac="t")
    sent = SentMail(kind="reply", thread=thread, mail_id="<a@example.org>", recipient="a@example.jp", subject="a\r\nBcc: x@y.jp",
                    body="x", created_at=timezone.now())
    with pytest.raises(ValueError):
        build(sent, load_post())


@pytest.mark.parametrize(("name", "value"), [
    ("HIKESHI_SMTP", "smtp+plain://mail.example.org"), ("HIKESHI_SMTP", "http://localhost"), ("HIKESHI_IMAP", "imap+plain://192.0.2.1/INBOX"),
    ("HIKESHI_SMTP_LISTEN", "0.0.0.0:25"), ("HIKESHI_LMTP_LISTEN", "24"), ("HIKESHI_MAIL_ADDRESS", "desk"),
    ("HIKESHI_MAIL_ADDRESS", "a@b.jp\nBcc: c@d.jp")])
def test_a_dangerous_or_wrong_setting_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured):
        load_post()


def test_a_setting_is_read_from_the_file_and_passwords_are_not_shown(tmp_path):
    (tmp_path / "desk.toml").write_text('[mail]\naddress = "a@example.org"\nsmtp = "smtp://u:se%2Fcret@mail.example.org"\nevery_s = 5\n')
    post = load_post(tmp_path / "desk.toml")
    assert post.smtp.password == "se/cret" and post.smtp.port == 587 and post.every_s == 5 and "se/cret" not in repr(post)
    config.load.cache_clear()
    (tmp_path / "desk.toml").write_text("[mail]\nadress = 'x'\n")
    with pytest.raises(ImproperlyConfigured):
        load_post(tmp_path / "desk.toml")



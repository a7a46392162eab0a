"""Mail that did not arrive stands in its case and lies on somebody's desk; machines' answers move nothing."""

from __future__ import annotations

import pytest
from django.utils import timezone

from hikeshi_desk.cases.models import Case, Message, State
from hikeshi_desk.mail import send
from hikeshi_desk.mail.models import SentMail
from hikeshi_desk.mail.receive import receive

pytestmark = pytest.mark.django_db


def _dsn(message_id: str, action: str = "failed") -> bytes:
    return f"""From: MAILER-DAEMON@example.jp
To: desk@example.org
Subject: Undelivered Mail Returned to Sender
Message-ID: <dsn-{action}@example.jp>
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

sorry
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.jp

Final-Recipient: rfc822; hanako@example.jp
Action: {action}
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such
 user here

--b
Content-Type: text/rfc822-headers

Message-ID: {message_id}
Subject: Re: x
--b--
""".encode()


@pytest.fixture
def answered(a_mail) -> SentMail:
    receive([a_mail()], source="pipe")
    case = Case.objects.get()
    case.clocks.update(stopped_at=timezone.now())
    Case.objects.update(state=State.WAITING, owner=None)
    Message.objects.create(case=case, kind=Message.Kind.REPLY, body="回答", at=timezone.now())
    send.queue_replies()
    return SentMail.objects.get(kind="reply")


def _system() -> list[str]:
    return [m.body for m in Message.objects.filter(kind=Message.Kind.SYSTEM)]


def test_a_bounce_of_our_reply_is_told_once_and_to_be_done(answered):
    assert receive([_dsn(answered.mail_id)], source="pipe").state == "automatic"
    receive([_dsn(answered.mail_id) + b"\n"], source="pipe")
    case, told = Case.objects.get(), _system()
    assert len(told) == 1 and "hanako@example.jp" in told[0] and "5.1.1 no such user here" in told[0] and "アドレスが使われていません" in told[0]
    task = case.tasks.get(kind="mail_undelivered")
    assert case.state == State.OPEN and task.due_at <= timezone.now() and case.task_due_at == task.due_at
    assert not case.clocks.filter(stopped_at=None).exists(), "no new promise"


@pytest.mark.parametrize("dsn", [lambda s: _dsn(s.mail_id, "delayed"), lambda s: _dsn("<0123456789abcdef@example.org>")], ids=["delayed", "not ours"])
def test_a_delay_or_a_strangers_report_moves_nothing(answered, dsn):
    receive([dsn(answered)], source="pipe")
    assert Case.objects.get().state == State.WAITING and not _system()


@pytest.mark.parametrize("headers", [{"Auto_Submitted": "auto-replied"}, {"Subject": "不在通知"}], ids=["header", "subject"])
def test_a_vacation_answer_is_read_in_the_case_and_starts_no_clock(answered, a_mail, headers):
    receive([a_mail(Message_ID="<v@example.jp>", In_Reply_To=answered.mail_id, body="休暇中です。", **headers)], source="pipe")
    case = Case.objects.get()
    assert case.state == State.WAITING and not case.clocks.filter(stopped_at=None).exists() and "休暇中です。" in _system()[0]


def test_after_the_last_try_it_is_told_like_a_bounce(answered):
    for _ in range(12):
        answered.refresh_from_db()
        send._failed(answered, OSError("no route"))
    assert len(_system()) == 1 and "no route" in _system()[0] and Case.objects.get().state == State.OPEN


def test_a_notice_is_one_however_often_and_has_a_limit(monkeypatch):
    monkeypatch.setenv("HIKESHI_SMTP", "smtp+plain://127.0.0.1:9")
    first = send.send_notice("a@example.jp", "急ぎ\r\nBcc: x@y.jp", "本文", "key")
    assert send.send_notice("a@example.jp", "x", "y", "key").pk == first.pk and "\n" not in first.subject
    with pytest.raises(ValueError):
        send.send_notice("a@b, c@d", "x", "y", "other")
    for number in range(59):
        send.send_notice("a@example.jp", "x", "y", f"n{number}")
    with pytest.raises(send.TooMany):
        send.send_notice("a@example.jp", "x", "y", "one more")
    monkeypatch.delenv("HIKESHI_SMTP")
    assert send.send_notice("a@example.jp", "x", "y", "later") is None

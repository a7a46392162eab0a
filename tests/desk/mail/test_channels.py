"""Real SMTP, LMTP and IMAP on loopback: 250, or a mark at the server, only when the mail is kept."""

from __future__ import annotations

import smtplib
import socket
import time
from contextlib import closing

import pytest

from dovecot import dovecot, free_port, signed_in
from hikeshi_desk.cases.models import Case
from hikeshi_desk.mail import store
from hikeshi_desk.mail.imap import poll
from hikeshi_desk.mail.listen import Listener
from hikeshi_desk.mail.models import Mailbox, ReceivedMail
from hikeshi_desk.mail.post import load_post
from hikeshi_desk.mail.service import MailService

pytestmark = pytest.mark.django_db(transaction=True)


# --------------------------------------------------------------------------------- SMTP, LMTP


@pytest.fixture(params=["smtp", "lmtp"])
def door(request):
    port = free_port()
    listener = Listener(load_post(), ("127.0.0.1", port), request.param)
    listener.start()
    client = (smtplib.SMTP if request.param == "smtp" else smtplib.LMTP)("127.0.0.1", port)
    yield client
    client.close()
    listener.stop()


def test_a_mail_that_got_250_is_kept_and_opened(door, a_mail):
    data = a_mail().replace(b"\n", b"\r\n")
    assert door.sendmail("hanako@example.jp", ["desk@example.org"], data) == {}
    received = ReceivedMail.objects.get()
    assert store.path_of(received.sha256).read_bytes() == data
    assert received.state == "opened" and Case.objects.count() == 1
    assert received.envelope_to == ["desk@example.org"] and not received.null_envelope


def test_only_the_desks_own_address_is_served(door, a_mail):
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        door.sendmail("hanako@example.jp", ["other@example.org"], a_mail())
    assert door.sendmail("hanako@example.jp", ["desk+token@example.org"], a_mail()) == {}


def test_a_bounce_has_no_sender_and_opens_nothing(door, a_mail):
    door.sendmail("", ["desk@example.org"], a_mail())
    assert ReceivedMail.objects.get().state == "automatic" and not Case.objects.exists()


def test_a_mail_that_cannot_be_kept_gets_451(door, a_mail, monkeypatch):
    monkeypatch.setattr(store, "keep", lambda chunks: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(smtplib.SMTPDataError) as caught:
        door.sendmail("hanako@example.jp", ["desk@example.org"], a_mail())
    assert caught.value.smtp_code == 451 and not ReceivedMail.objects.exists()


def test_dots_long_lines_and_bytes_above_127_arrive_unchanged(door, a_mail):
    data = b"From: a@example.jp\r\nSubject: raw \x93\xfa\x96{\r\n\r\n.\r\n..\r\n" + b"x" * 5000 + b"\r\n\x93\xfa\r\n"
    door.sendmail("a@example.jp", ["desk@example.org"], data)
    received = ReceivedMail.objects.get()
    assert store.path_of(received.sha256).read_bytes() == data and received.subject == "raw 日本"


def test_a_connection_cut_inside_a_mail_leaves_nothing(door, a_mail):
    door.ehlo_or_helo_if_needed() if isinstance(door, smtplib.SMTP) and not isinstance(door, smtplib.LMTP) else door.ehlo()
    door.mail("a@example.jp")
    door.rcpt("desk@example.org")
    door.putcmd("data")
    door.getreply()
    door.sock.sendall(b"Subject: half\r\n")
    door.close()
    time.sleep(0.3)
    assert not ReceivedMail.objects.exists()


def test_each_lmtp_recipient_gets_an_answer(a_mail):
    port = free_port()
    listener = Listener(load_post(), ("127.0.0.1", port), "lmtp")
    listener.start()
    try:
        with socket.create_connection(("127.0.0.1", port)) as raw, closing(raw.makefile("rwb")) as talk:
            def say(line: bytes) -> bytes:
                talk.write(line + b"\r\n")
                talk.flush()
                while (answer := talk.readline())[3:4] == b"-":
                    continue
                return answer
            talk.readline()
            say(b"LHLO x")
            say(b"MAIL FROM:<a@example.jp>")
            say(b"RCPT TO:<desk@example.org>")
            say(b"RCPT TO:<desk+x@example.org>")
            say(b"DATA")
            answers = [say(b"Subject: x\r\n\r\nx\r\n."), talk.readline()]
        assert [a[:3] for a in answers] == [b"250", b"250"] and ReceivedMail.objects.count() == 1
    finally:
        listener.stop()


def test_the_running_desk_takes_in_answers_and_stops(a_mail, monkeypatch):
    port = free_port()
    monkeypatch.setenv("HIKESHI_SMTP_LISTEN", f"127.0.0.1:{port}")
    store.keep([a_mail(Message_ID="<before@example.jp>", body="前の停止の前に届いた")])
    service = MailService()
    service.start()
    try:
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.sendmail("hanako@example.jp", ["desk@example.org"], a_mail())
    finally:
        service.stop()
    assert Case.objects.count() == 2


# --------------------------------------------------------------------------------------- IMAP


@pytest.fixture
def imap(monkeypatch):
    """One folder of mail at a real server."""
    with dovecot("desk") as port:
        monkeypatch.setenv("HIKESHI_IMAP", f"imap+plain://desk:secret@127.0.0.1:{port}/INBOX")
        client = signed_in(port, "desk")
        yield client
        client.logout()


def _put(client, data: bytes) -> None:
    client.append("INBOX", None, None, data)


def _flags(client) -> list[bytes]:
    client.noop()
    return [line for line in client.uid("FETCH", "1:*", "(FLAGS)")[1] if line]


def test_new_mail_is_fetched_whole_and_then_marked(imap, a_mail):
    mails = [a_mail(Message_ID=f"<m{n}@example.jp>", body=f"相談 {n}\n").replace(b"\n", b"\r\n") for n in range(3)]
    for data in mails:
        _put(imap, data)
    assert poll(load_post()) == 3 and poll(load_post()) == 0
    assert Case.objects.count() == 3 and all(b"\\Seen" in line for line in _flags(imap))
    assert sorted(store.path_of(r.sha256).read_bytes() for r in ReceivedMail.objects.all()) == sorted(mails)
    _put(imap, a_mail(Message_ID="<m9@example.jp>", body="もう一通\n").replace(b"\n", b"\r\n"))
    assert poll(load_post()) == 1 and Case.objects.count() == 4


def test_a_mail_that_is_not_kept_stays_as_it_was_at_the_server(imap, a_mail, monkeypatch):
    _put(imap, a_mail().replace(b"\n", b"\r\n"))
    with monkeypatch.context() as patch:
        patch.setattr(store, "keep", lambda chunks: (_ for _ in ()).throw(OSError("full")))
        assert poll(load_post()) == 0
    assert b"\\Seen" not in _flags(imap)[0] and "full" in Mailbox.objects.get().problem
    assert poll(load_post()) == 1 and Case.objects.count() == 1 and Mailbox.objects.get().problem == ""


def test_deleting_is_only_done_when_asked_and_after_keeping(imap, a_mail, monkeypatch):
    import dataclasses

    _put(imap, a_mail().replace(b"\n", b"\r\n"))
    assert poll(dataclasses.replace(load_post(), imap_after="delete")) == 1
    assert _flags(imap) == [] and Case.objects.count() == 1


def test_lost_memory_of_the_folder_doubles_nothing(imap, a_mail):
    _put(imap, a_mail().replace(b"\n", b"\r\n"))
    poll(load_post())
    Mailbox.objects.update(uid_validity=1, last_uid=99)
    assert poll(load_post()) == 1 and ReceivedMail.objects.count() == 1 and Case.objects.count() == 1


def test_a_large_mail_comes_in_pieces(imap, a_mail, monkeypatch):
    monkeypatch.setattr("hikeshi_desk.mail.imap._PIECE", 1000)
    data = a_mail(body="長い本文。\n" * 3000).replace(b"\n", b"\r\n")
    _put(imap, data)
    assert poll(load_post()) == 1
    assert store.path_of(ReceivedMail.objects.get().sha256).read_bytes() == data


def test_a_server_that_is_away_or_refuses_is_noted(imap, monkeypatch):
    monkeypatch.setenv("HIKESHI_IMAP", f"imap+plain://desk:wrong@127.0.0.1:{free_port()}/INBOX")
    assert poll(load_post()) == 0 and Mailbox.objects.get().problem

"""A mail is kept before it is opened, becomes one submission, and joins a thread only by what can't be guessed."""

from __future__ import annotations

import hashlib
import io
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from hikeshi_desk.audit.log import verify
from hikeshi_desk.cases.models import Attachment, Case, Message
from hikeshi_desk.mail import receive as receiving
from hikeshi_desk.mail import store, threads
from hikeshi_desk.mail.models import MailThread, ReceivedMail, SentMail
from hikeshi_desk.mail.post import load_post
from hikeshi_desk.mail.receive import receive, release, resume

pytestmark = pytest.mark.django_db
SHARED = Path(__file__).parents[3].parent / "shared"
State = ReceivedMail.State


def _take(data: bytes, **envelope) -> ReceivedMail:
    return receive([data], source="pipe", **envelope)


def test_a_mail_becomes_a_case_with_its_words_files_and_original(a_mail):
    data = a_mail()
    received = _take(data)
    case = Case.objects.get()
    message = case.messages.get()
    assert received.state == State.OPENED and message.body == "端末が暗号化されました。" and case.title == "相談"
    assert case.contact == "hanako@example.jp" and case.asker_name == "Hanako" and case.language == "ja"
    assert message.mail_id == "<first@example.jp>" and case.receipt == received.thread.key
    assert [(a.name, a.sha256) for a in Attachment.objects.all()] == [("original.eml", hashlib.sha256(data).hexdigest())]
    assert store.path_of(received.sha256).read_bytes() == data
    assert verify() is None


def test_the_acknowledgement_promises_a_time_and_repeats_nothing(a_mail):
    received = _take(a_mail(Subject="秘密の件名", body="秘密の本文"))
    sent = SentMail.objects.get()
    due = Case.objects.get().due_at.astimezone(timezone.get_default_timezone())
    assert sent.recipient == "hanako@example.jp" and sent.answers == received and f"{due.month}月{due.day}日" in sent.body
    assert "秘密" not in sent.subject + sent.body and sent.in_reply_to == "<first@example.jp>"


def test_an_english_mail_is_answered_in_english(a_mail):
    _take(a_mail(Subject="help", body="Our file server shows a ransom note."))
    assert SentMail.objects.get().subject == "We have received your message"


# ----------------------------------------------------------------------------------- threads


def _second(a_mail, **headers) -> ReceivedMail:
    _take(a_mail())
    ours = SentMail.objects.get()
    values = {name: value(ours) if callable(value) else value for name, value in headers.items()}
    return _take(a_mail(body="続きです。", **{"Message_ID": "<second@example.jp>", **values}))


@pytest.mark.parametrize("headers", [
    {"In_Reply_To": lambda ours: ours.mail_id},
    {"References": lambda ours: f"<other@example.com> {ours.mail_id} <more@example.com>"},
    {"To": lambda ours: threads.plus_address(load_post(), ours.thread)},
    {"To": lambda ours: threads.plus_address(load_post(), ours.thread).upper()},
], ids=["in-reply-to", "references", "token", "token in capitals"])
def test_an_answer_to_us_continues_its_case(a_mail, headers):
    received = _second(a_mail, **headers)
    assert received.state == State.OPENED and Case.objects.count() == 1
    assert [m.body for m in Message.objects.order_by("at")] == ["端末が暗号化されました。", "続きです。"]
    assert SentMail.objects.count() == 1, "a follow-up is not acknowledged again"


@pytest.mark.parametrize("headers", [
    {"Subject": lambda ours: f"Re: [{Case.objects.get().number}] 相談"},
    {"In_Reply_To": "<first@example.jp>"},
    {"References": lambda ours: f"<{Case.objects.get().pk}@example.org>"},
    {"In_Reply_To": lambda ours: "<" + "0" * 32 + "@example.org>"},
    {"To": lambda ours: f"desk+{Case.objects.get().number}@example.org"},
    {"To": lambda ours: threads.plus_address(load_post(), ours.thread).replace("example.org", "evil.example")},
    {"To": lambda ours: "desk+" + threads.token_of(ours.thread)[:-1] + "2@example.org"
        if not threads.token_of(ours.thread).endswith("2") else "desk+" + "a" * 32 + "@example.org"},
    {"Subject": "Re: 相談"},
], ids=["number", "their own id", "case id", "guessed id", "number as token", "foreign domain", "almost the token", "subject"])
def test_what_can_be_guessed_leads_to_no_case(a_mail, headers):
    _second(a_mail, **headers)
    assert Case.objects.count() == 2


def test_another_sender_in_a_thread_is_named_and_gets_no_answers(a_mail):
    received = _second(a_mail, In_Reply_To=lambda ours: ours.mail_id, From="evil@example.com")
    case = Case.objects.get()
    assert not received.sender_matches and case.contact == "hanako@example.jp" and case.asker_name == "Hanako"
    assert "evil@example.com" in Message.objects.order_by("at").last().body
    assert received.thread.address == "hanako@example.jp"


def test_the_token_is_not_in_the_database(a_mail):
    _take(a_mail())
    thread = MailThread.objects.get()
    assert len(threads.token_of(thread)) == 32
    assert threads.token_of(thread) not in str(list(MailThread.objects.values_list()))


# ---------------------------------------------------------------------- machines, loops, copies


@pytest.mark.parametrize(("headers", "envelope"), [
    ({"Auto_Submitted": "auto-replied"}, {}), ({"Return_Path": "<>"}, {}), ({}, {"envelope_from": "<>"}),
    ({}, {"envelope_from": ""}), ({"X_Loop": "desk@example.org"}, {}), ({"From": "desk@example.org"}, {}),
    ({"From": "Desk <desk+abc@EXAMPLE.org>"}, {}), ({"X_Failed_Recipients": "a@example.jp"}, {}),
])
def test_mail_of_machines_opens_no_case_and_is_never_answered(a_mail, headers, envelope):
    received = _take(a_mail(**headers), **envelope)
    assert received.state == State.AUTOMATIC and received.reason_ja and received.reason_en
    assert not Case.objects.exists() and not SentMail.objects.exists()
    assert store.path_of(received.sha256).exists()


@pytest.mark.parametrize("headers", [{"Precedence": "bulk"}, {"List_Id": "<l.example.jp>"}, {"Subject": "自動返信: 相談"}])
def test_lists_and_suspects_are_read_but_not_answered(a_mail, headers):
    assert _take(a_mail(**headers)).state == State.OPENED
    assert Case.objects.count() == 1 and not SentMail.objects.exists()


def test_a_machines_answer_to_us_is_counted_with_its_thread(a_mail):
    received = _second(a_mail, In_Reply_To=lambda ours: ours.mail_id, Auto_Submitted="auto-replied")
    assert received.state == State.AUTOMATIC and received.thread == MailThread.objects.get()
    assert [m.kind for m in Message.objects.order_by("at")] == ["asker", "system"]


def test_one_sender_hears_automatically_once_in_24_hours(a_mail):
    for number, sender in enumerate(["hanako@example.jp", "Hanako@Example.jp", "hanako+x@example.jp", "taro@example.jp"]):
        _take(a_mail(From=sender, Message_ID=f"<m{number}@example.jp>", body=f"相談 {number}"))
    assert Case.objects.count() == 4
    assert sorted(SentMail.objects.values_list("recipient", flat=True)) == ["hanako@example.jp", "taro@example.jp"]
    SentMail.objects.update(created_at=timezone.now() - timedelta(hours=25))
    _take(a_mail(Message_ID="<later@example.jp>", body="翌日"))
    assert SentMail.objects.filter(recipient="hanako@example.jp").count() == 2


def test_ten_thousand_senders_do_not_get_ten_thousand_mails(a_mail, monkeypatch):
    monkeypatch.setattr("hikeshi_desk.mail.receive.load_post", lambda: __import__("dataclasses").replace(
        load_post(), automatic_per_hour=3))
    for number in range(6):
        _take(a_mail(From=f"a{number}@example.jp", Message_ID=f"<m{number}@example.jp>", body=str(number)))
    assert Case.objects.count() == 6 and SentMail.objects.count() == 3


def test_the_same_mail_again_is_one_case(a_mail):
    data = a_mail()
    first = _take(data)
    assert _take(data).pk == first.pk
    by_another_way = _take(b"Received: from elsewhere\nDelivered-To: desk@example.org\n" + data)
    assert by_another_way.state == State.DUPLICATE and Case.objects.count() == 1
    other_words = _take(a_mail(body="別の本文"))
    assert other_words.state == State.OPENED and Case.objects.count() == 2, "the same Message-ID with other words"


# ------------------------------------------------------------------------- hostile and broken


def test_a_bomb_is_set_apart_with_its_reason_and_its_bytes(a_mail):
    data = b"From: a@example.jp\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n\n" * 1000
    received = _take(data)
    assert received.state == State.QUARANTINED and "200" in received.reason_en and "隔離" in received.reason_ja
    assert not Case.objects.exists() and store.path_of(received.sha256).read_bytes() == data
    assert release(received).state == State.OPENED
    assert release(received).state == State.OPENED and Case.objects.count() == 1
    assert Attachment.objects.get().sha256 == received.sha256 and not SentMail.objects.exists()


def test_a_header_injection_stays_one_line(a_mail):
    received = _take(b"From: a@example.jp\nSubject: =?utf-8?B?YQ0KQmNjOiBldmlsQGV4YW1wbGUuY29t?=\n"
                     b"Message-ID: <a@example.jp>\n\nx")
    assert received.subject == "a Bcc: evil@example.com" and Case.objects.get().title == "a Bcc: evil@example.com"


@pytest.mark.any_database
def test_all_hostile_mails_are_kept_whole_and_opened_or_set_apart():
    corpus = SHARED / "data" / "hostile" / "mail"
    if not corpus.exists():
        pytest.skip("shared data not beside the checkout")
    states: dict[str, int] = {}
    seen = set()
    for path in sorted(p for p in corpus.rglob("*") if p.is_file()):
        data = path.read_bytes()
        received = _take(data)
        assert store.path_of(received.sha256).read_bytes() == data, path
        assert received.state != State.KEPT, path
        if received.sha256 not in seen:
            states[received.state] = states.get(received.state, 0) + 1
        seen.add(received.sha256)
    assert sum(states.values()) == len(seen) == ReceivedMail.objects.count()
    assert Case.objects.count() == states[State.OPENED]
    print(states, len(seen))


# ------------------------------------------------------------------------------- stops and starts


@pytest.mark.parametrize("step", ["_open", "_judge", "submit", "_open_case", "_opened", "_settle"])
def test_a_stop_at_any_step_loses_and_doubles_nothing(a_mail, monkeypatch, step):
    class PowerCut(BaseException):
        pass

    def cut(*args, **more):
        raise PowerCut
    data = a_mail(Auto_Submitted="auto-replied") if step == "_settle" else a_mail()
    with monkeypatch.context() as patch:
        patch.setattr(receiving, step, cut)
        with pytest.raises(PowerCut):
            _take(data)
    assert ReceivedMail.objects.get().state == State.KEPT
    assert resume() == 1 and resume() == 0
    assert Case.objects.count() == SentMail.objects.count() == (0 if step == "_settle" else 1)
    assert _take(data).state in (State.OPENED, State.AUTOMATIC) and ReceivedMail.objects.count() == 1


def test_bytes_without_a_row_are_found_at_the_start(a_mail):
    store.keep([a_mail()])
    assert resume() == 1 and Case.objects.count() == 1


def test_a_mail_that_cannot_be_kept_is_not_acknowledged(a_mail, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        _take(a_mail())
    monkeypatch.undo()
    assert not ReceivedMail.objects.exists() and not list(store.all_kept()) and not list(store.root().glob(".new-*"))


def test_changed_bytes_are_noticed(a_mail, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(receiving, "handle", lambda received: received)
        received = _take(a_mail())
    store.path_of(received.sha256).write_bytes(b"Subject: other\n\n")
    assert receiving.handle(received).state == State.QUARANTINED


# ----------------------------------------------------------------------------------- piped mail


def _piped(monkeypatch, data: bytes, *arguments: str) -> str:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    out = io.StringIO()
    call_command("receive_mail", *arguments, stdout=out)
    return out.getvalue()


def test_a_piped_mail_is_taken_in(a_mail, monkeypatch):
    assert _piped(monkeypatch, a_mail()).startswith("opened ")
    assert _piped(monkeypatch, a_mail(body="x"), "--from", "<>").startswith("automatic ")


def test_a_piped_mail_that_cannot_be_kept_goes_back(a_mail, monkeypatch):
    monkeypatch.setattr("hikeshi_desk.mail.store.keep", lambda chunks: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(CommandError) as caught:
        _piped(monkeypatch, a_mail())
    assert caught.value.returncode == 75

"""How an asker by mail goes on: first steps, the receipt code in the browser, and the word that a case was closed."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from hikeshi.errors import UsageError
from hikeshi_desk.cases.models import Case, Message, State
from hikeshi_desk.intake.receipt import hmac_of
from hikeshi_desk.mail import keys, threads
from hikeshi_desk.mail.models import SentMail
from hikeshi_desk.mail.post import load_post
from hikeshi_desk.mail.receive import receive
from hikeshi_desk.mail.send import acknowledge, build, queue_closings
from serving import Served

pytestmark = pytest.mark.django_db
RANSOM = "画面に「Your files have been encrypted」と出て、ファイルサーバが暗号化されました。\n"


def _words(sent: SentMail) -> str:
    return build(sent, load_post()).get_content()


def _code(sent: SentMail) -> str:
    return threads.code_of(sent.thread, sent.answers.sha256)


def _closed(**fields) -> Case:
    case = Case.objects.get()
    Case.objects.filter(pk=case.pk).update(**{"state": State.CLOSED, "closed_at": timezone.now(), **fields})
    return case


def test_ransomware_is_told_its_own_first_steps_and_other_mail_the_general_ones(a_mail):
    receive([a_mail(body=RANSOM)], source="pipe")
    receive([a_mail(body="印刷ができません。\n", From="jiro@example.jp", Message_ID="<other@example.jp>")], source="pipe")
    ransom, other = SentMail.objects.order_by("created_at")
    assert "バックアップをネットワークから切り離します" in ransom.body and "しないでください" in ransom.body
    assert "バックアップ" not in other.body and "・" in other.body


def test_the_code_opens_that_conversation_in_the_browser_and_is_stored_nowhere(a_mail, client, monkeypatch):
    monkeypatch.setenv("HIKESHI_MAIL_SITE", "https://desk.example.jp/")
    receive([a_mail(body="秘密の相談")], source="pipe")
    receive([a_mail(body="別の相談", From="jiro@example.jp", Message_ID="<other@example.jp>")], source="pipe")
    sent, other = SentMail.objects.order_by("created_at")
    words, code = _words(sent), _code(sent)
    assert code in words and "https://desk.example.jp/code/" in words and _code(other) not in words
    assert code not in sent.body + sent.subject + build(sent, load_post()).as_string().partition("\n\n")[0]
    assert hmac_of(code) == sent.thread.key and threads.code_of(sent.thread, other.answers.sha256) == ""
    assert client.post("/code/", {"code": code}).url == "/thread/"
    page = client.get("/thread/").content.decode()
    assert "秘密の相談" in page and "別の相談" not in page


def test_a_quoted_code_does_not_reach_the_people_of_the_desk(a_mail):
    receive([a_mail()], source="pipe")
    sent = SentMail.objects.get()
    quoted = "".join(f"> {line}\n" for line in _words(sent).splitlines())
    near = "AAAA-BBBB-CCCC-DDDD-EEEE-FFFF-GGGG"
    receive([a_mail(body=f"続きです。\n{quoted}{near}\n", Message_ID="<second@example.jp>", In_Reply_To=sent.mail_id)],
            source="pipe")
    body = Message.objects.order_by("at").last().body
    assert "続きです" in body and _code(sent) not in body and "（受付コード）" in body and near in body


def test_who_wrote_encrypted_gets_no_code_in_the_clear(a_mail):
    received = receive([a_mail()], source="pipe")
    thread, post = received.thread, load_post()
    SentMail.objects.all().delete()
    received.pgp = {"encrypted": "pgp"}
    assert "{code}" not in acknowledge(received, thread, Case.objects.get(), post).body


@pytest.mark.parametrize("site", ["http://desk.example.jp", "https://desk.example.jp/x", "https://u@desk.example.jp",
                                  "desk.example.jp", "https://desk.example.jp/?a", "https://a\nBcc: b", "javascript:x"])
def test_a_site_that_is_no_plain_https_address_is_refused(site, monkeypatch):
    monkeypatch.setenv("HIKESHI_MAIL_SITE", site)
    with pytest.raises(ImproperlyConfigured):
        load_post()


def test_the_end_is_told_once_in_the_thread_and_again_after_the_next_end(a_mail):
    receive([a_mail(Subject="相談の件名")], source="pipe")
    assert queue_closings() == 0
    _closed(close_reason="内部の理由")
    assert (queue_closings(), queue_closings()) == (1, 0)
    told = SentMail.objects.get(kind=SentMail.Kind.NOTICE)
    mail = build(told, load_post())
    assert mail["In-Reply-To"] == mail["References"] == "<first@example.jp>" and mail["Subject"] == "Re: 相談の件名"
    assert mail["Auto-Submitted"] == "auto-generated" and "内部の理由" not in mail.get_content()
    receive([a_mail(body="まだあります", Message_ID="<more@example.jp>", In_Reply_To=told.mail_id)], source="pipe")
    assert Case.objects.get().state == State.OPEN and queue_closings() == 0
    _closed()
    assert queue_closings() == 1


def test_an_end_of_long_ago_and_an_end_by_refusal_are_not_told(a_mail):
    receive([a_mail()], source="pipe")
    _closed(closed_at=timezone.now() - timedelta(days=2))
    assert queue_closings() == 0
    _closed(state=State.DECLINED)  # the refusal itself was a reply
    assert queue_closings() == 0


def test_the_end_of_an_encrypted_conversation_says_nothing_in_its_subject(a_mail):
    received = receive([a_mail(Subject="秘密の件名")], source="pipe")
    received.pgp = {"encrypted": "pgp"}
    received.save()
    _closed()
    assert queue_closings() == 1
    assert "秘密" not in build(SentMail.objects.get(kind=SentMail.Kind.NOTICE), load_post()).as_string()


def test_references_name_the_conversation_with_the_answered_mail_last(a_mail):
    receive([a_mail()], source="pipe")
    acknowledgement = SentMail.objects.get()
    SentMail.objects.update(sent_at=timezone.now())
    receive([a_mail(body="二通目", Message_ID="<second@example.jp>", In_Reply_To=acknowledgement.mail_id)], source="pipe")
    _closed()
    queue_closings()
    mail = build(SentMail.objects.get(kind=SentMail.Kind.NOTICE), load_post())
    assert mail["References"].split() == ["<first@example.jp>", acknowledgement.mail_id, "<second@example.jp>"]


def test_a_key_that_cannot_be_opened_stops_the_start_with_the_next_step(monkeypatch):
    folder = Path(settings.DATA) / "mail"
    try:
        keys.check()  # no key at all is no fault
        monkeypatch.setenv(keys.PASSPHRASE, "a long passphrase")
        keys.create(load_post())
        keys.check()
        monkeypatch.setenv(keys.PASSPHRASE, "")
        with pytest.raises(UsageError, match="no passphrase") as missing:
            keys.check()
        assert keys.PASSPHRASE in missing.value.hint
        monkeypatch.setenv(keys.PASSPHRASE, "wrong")
        with pytest.raises(UsageError, match="can't be opened with"):
            keys.check()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_desk_whose_key_is_locked_says_so_and_does_not_open(monkeypatch, tmp_path):
    monkeypatch.setenv(keys.PASSPHRASE, "a long passphrase")
    try:
        keys.create(load_post())
        shutil.move(Path(settings.DATA) / "mail", tmp_path / "data" / "mail")
    finally:
        shutil.rmtree(Path(settings.DATA) / "mail", ignore_errors=True)
    desk = Served(tmp_path, HIKESHI_MAIL_ADDRESS="desk@example.org", HIKESHI_SMTP="smtp+plain://127.0.0.1:9")
    try:
        assert desk.process.wait(90) != 0
    finally:
        desk.stop()
    assert "no passphrase was given" in desk.text and keys.PASSPHRASE in desk.text and "key.asc" in desk.text
    assert "The desk is open" not in desk.text and "Traceback" not in desk.text

"""What the consultee sees behind the code: promise, pause, answers, second opinion, refusal, the desk's files."""

from __future__ import annotations

import hashlib
import re

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone, translation

from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import clocks, store
from hikeshi_desk.cases.models import Attachment, Case, Message, OpinionPoint, Referral, State
from hikeshi_desk.consult.glossary import Met
from hikeshi_desk.consult.models import LastRead

pytestmark = pytest.mark.django_db(transaction=True)
ASKED = {"what": "開けません", "incident": "malware", "anonymous": "1"}


@pytest.fixture(autouse=True)
def own_folders(tmp_path, settings):
    settings.SPOOL, settings.EVIDENCE = tmp_path / "spool", tmp_path / "evidence"
    settings.DATA = tmp_path
    cache.clear()


def opened(**more: str) -> tuple[Client, str]:
    """A browser with the conversation open, and its code."""
    browser = Client()
    browser.post("/consult/", {**ASKED, **more})
    code = re.search(r'id="copy" value="([^"]+)"', browser.get("/receipt/").content.decode())[1]
    assert browser.post("/code/", {"code": code})["Location"] == "/thread/"
    return browser, code


def page_of(browser: Client) -> str:
    return re.sub(r"<[^>]+>", "", browser.get("/thread/").content.decode())


def answered(case: Case, body: str) -> Message:
    return Message.objects.create(case=case, kind="reply", body=body, at=timezone.now())


def said(key: str, **values: object) -> str:
    return text(key, language="ja", **values)


def test_the_promise_is_said_in_words_and_a_pause_with_its_reason():
    browser, _ = opened()
    case = Case.objects.get()
    local = timezone.localtime(case.due_at)
    assert f"{local.month}月{local.day}日" in page_of(browser)
    assert said("consult.promise.business_days", number=3) in page_of(browser)
    clocks.pause(case.clocks.get(), "追加の資料を待っています", timezone.now())
    page = page_of(browser)
    assert said("consult.thread.paused") in page and "追加の資料を待っています" in page
    clocks.resume(case.clocks.get(), timezone.now())
    assert said("consult.thread.paused") not in page_of(browser)


def test_a_broken_promise_is_admitted():
    browser, _ = opened()
    Case.objects.get().clocks.update(due_at=timezone.now() - timezone.timedelta(minutes=1))
    assert said("consult.thread.over") in page_of(browser)


def test_an_answer_is_new_until_its_reader_acts_or_comes_again():
    browser, code = opened()
    case = Case.objects.get()
    assert said("consult.thread.new") not in page_of(browser)
    answered(case, "一つめの回答")
    assert page_of(browser).count(said("consult.thread.new")) >= 1
    assert LastRead.objects.count() == 0, "looking alone changes nothing"
    again = Client()
    again.post("/code/", {"code": code})
    assert said("consult.thread.new") in page_of(again)
    assert LastRead.objects.get().message.body == "一つめの回答"
    third = Client()
    third.post("/code/", {"code": code})
    assert said("consult.thread.new") not in page_of(third)
    answered(case, "二つめの回答")
    assert said("consult.thread.new") in page_of(third)
    third.post("/thread/reply/", {"what": "ありがとうございます"})
    assert said("consult.thread.new") not in page_of(third)


def test_a_second_opinion_is_shown_point_by_point():
    browser, _ = opened(request="second_opinion", hypothesis="VPNから入られた\n情報は出ていない")
    case = Case.objects.get()
    page = page_of(browser)
    assert page.count(said("consult.stance.open")) == 2
    OpinionPoint.objects.filter(case=case, position=0).update(stance="agree", comment="記録があります")
    page = page_of(browser)
    assert page.index("VPNから入られた") < page.index(said("consult.stance.agree")) < page.index("情報は出ていない")
    assert "記録があります" in page and page.count(said("consult.stance.open")) == 1


def test_a_refusal_names_its_reason_and_the_other_body(django_user_model):
    browser, _ = opened(incident="data_leak")
    case = Case.objects.get()
    by = django_user_model.objects.create(email="h@example.jp", name="担当")
    Referral.objects.create(case=case, kind="decline", body="ppc", reason_code="other_body_in_charge", at=timezone.now(), by=by)
    assert "個人情報保護委員会" not in page_of(browser), "not before the case has ended so"
    Case.objects.update(state=State.DECLINED)
    page = page_of(browser)
    assert "個人情報保護委員会" in page and "別の機関の担当である" in page


def test_only_files_of_the_desk_in_this_conversation_can_be_fetched(tmp_path):
    browser, _ = opened()
    other, _ = opened(what="別の相談")
    case, foreign = Case.objects.get(messages__body="開けません"), Case.objects.get(messages__body="別の相談")
    content = b"%PDF report"
    source = tmp_path / "report"
    source.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    store.keep(source, sha256, len(content))

    def attach(to: Case, kind: str) -> Attachment:
        message = Message.objects.create(case=to, kind=kind, body="資料", at=timezone.now())
        return Attachment.objects.create(case=to, message=message, name='報告 "1".pdf', sha256=sha256, size=len(content))

    mine = attach(case, "reply")
    answer = browser.get(f"/thread/file/{mine.pk}/")
    assert b"".join(answer.streaming_content) == content
    assert answer["Content-Disposition"].startswith("attachment;")
    assert "sandbox" in answer["Content-Security-Policy"] and answer["Content-Type"] == "application/octet-stream"
    assert f"/thread/file/{mine.pk}/" in browser.get("/thread/").content.decode()
    for hidden in (attach(case, "note"), attach(case, "asker"), attach(foreign, "reply")):
        assert browser.get(f"/thread/file/{hidden.pk}/").status_code == 404
    assert other.get(f"/thread/file/{mine.pk}/").status_code == 404
    assert Client().get(f"/thread/file/{mine.pk}/")["Location"] == "/code/"


@pytest.mark.parametrize("copied", [
    lambda code: code.lower(), lambda code: code.replace("-", ""), lambda code: code.replace("-", " "),
    lambda code: "".join(chr(ord(sign) + 0xFEE0) for sign in code), lambda code: code.replace("0", "O").replace("1", "l"),
    lambda code: code.replace("1", "I").replace("0", "o"), lambda code: f"  {code}\t", lambda code: code.replace("-", "ー")])
def test_a_code_opens_however_it_was_copied(copied):
    _, code = opened()
    assert Client().post("/code/", {"code": copied(code)})["Location"] == "/thread/"
    near_miss = ("2" if code[0] != "2" else "3") + code[1:]
    assert Client().post("/code/", {"code": copied(near_miss)}).status_code == 422


def test_words_survive_a_session_that_ended_while_they_were_written():
    browser, code = opened()
    browser.cookies["session"] = ""
    response = browser.post("/thread/reply/", {"what": "長い返信"})
    assert response["Location"] == "/code/"
    assert said("consult.code.written") in browser.get("/code/").content.decode()
    browser.post("/code/", {"code": code})
    assert "長い返信" in browser.get("/thread/").content.decode()
    assert Message.objects.count() == 1
    browser.post("/thread/reply/", {"what": "長い返信"})
    assert Message.objects.count() == 2
    assert 'rows="5">\n</textarea>' in browser.get("/thread/").content.decode()


def test_terms_of_the_trade_are_explained_once_and_nothing_is_let_through():
    with translation.override("ja"):
        met = Met()
        marked = met.mark("VPNとランサムウェア<script>とVPN、MYVPN2")
    assert marked.count("<button") == 2
    assert "<script>" not in marked and "&lt;script&gt;" in marked
    assert [one for one, _, _ in met.items()] == ["vpn", "ransomware"]
    assert met.mark("VPN") == "VPN", "explained already on this page"
    with translation.override("en"):
        assert "<button" in Met().mark("Our VPN is down")
        assert "<button" not in Met().mark("Our vpns are down")

"""The consulting side: form, receipt, conversation; nobody signs in and nothing leaks."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from hikeshi_desk.accounts.texts import load_texts, text
from hikeshi_desk.cases.models import Attachment, Case, Message, State
from hikeshi_desk.consult import throttle
from hikeshi_desk.intake import spool
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.receipt import hmac_of, new_code
from hikeshi_desk.intake.submit import NotAccepted

pytestmark = pytest.mark.django_db(transaction=True)
ASKED = {"what": "朝からファイルが開けません", "incident": "ransomware", "anonymous": "1", "key": "k" * 43}


@pytest.fixture(autouse=True)
def own_folders(tmp_path, settings):
    settings.SPOOL, settings.EVIDENCE = tmp_path / "spool", tmp_path / "evidence"
    cache.clear()


@pytest.fixture
def browser():
    return Client(enforce_csrf_checks=False)


def ask(browser: Client, **more: object) -> str:
    """Sends the form and gives the code that the receipt page shows."""
    response = browser.post("/consult/", {**ASKED, **more})
    assert response.status_code == 302, response.content.decode()
    assert response["Location"] == "/receipt/"
    return code_on(browser.get("/receipt/").content.decode())


def code_on(page: str) -> str:
    shown = re.search(r'class="receipt-code"[^>]*>(.*?)</p>', page)
    assert shown
    return re.sub(r"<[^>]*>", "", shown[1])


def entered(browser: Client, code: str) -> str:
    response = browser.post("/code/", {"code": code}, follow=True)
    assert response.redirect_chain == [("/thread/", 302)]
    return response.content.decode()


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("path", ["/", "/consult/", "/code/"])
def test_every_public_page_opens_in_both_languages_and_changes_nothing(browser, path, language):
    browser.cookies["django_language"] = language
    response = browser.get(path)
    assert response.status_code == 200
    assert f'<html lang="{language}">' in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert Submission.objects.count() == 0


def test_the_form_has_three_required_questions_and_needs_no_script(browser):
    page = browser.get("/consult/").content.decode()
    assert page.count('class="must"') == 3
    assert page.count(" required") <= 3
    assert 'method="post" enctype="multipart/form-data"' in page
    assert not re.search(r"<script(?![^>]*src=)|\son[a-z]+=|style=", page)


def test_a_consultation_becomes_a_case_and_a_code_that_opens_it(browser):
    code = ask(browser)
    case = Case.objects.get()
    assert (case.incident, case.is_anonymous, case.request) == ("ransomware", True, "first_steps")
    assert case.receipt == hmac_of(code)
    page = entered(Client(), code.lower().replace("-", " "))
    assert case.number in page
    assert "朝からファイルが開けません" in page


def test_the_receipt_shows_the_promise_and_the_first_steps_of_the_kind(browser):
    browser.post("/consult/", ASKED)
    page = browser.get("/receipt/").content.decode()
    case = Case.objects.get()
    local = timezone.localtime(case.due_at)
    assert f"{local.month}月{local.day}日" in page
    assert f"{local.hour}時{local.minute:02d}分（日本時間）" in page
    assert "LANケーブルを抜き" in page
    assert "ランサムウェア: 最初の1時間" in page
    assert text("consult.receipt.urgent", language="ja") in page


def test_another_kind_gets_other_steps_and_is_not_called_urgent(browser):
    browser.post("/consult/", {**ASKED, "incident": "data_leak"})
    page = browser.get("/receipt/").content.decode()
    assert "情報の持ち出し" in page
    assert "ランサムウェア: 最初の1時間" not in page
    assert text("consult.receipt.urgent", language="ja") not in page


def test_sent_twice_it_is_one_case_with_one_code(browser):
    first = ask(browser)
    assert ask(browser) == first
    assert Case.objects.count() == 1
    assert ask(browser, what="別の相談です") != first
    assert Case.objects.count() == 2


@pytest.mark.parametrize(("missing", "key"), [
    ({"what": "  "}, "empty"), ({"incident": ""}, "choose"), ({"incident": "meteor"}, "choice"),
    ({"anonymous": ""}, "contact"), ({"what": "あ" * 100_001}, "long")])
def test_what_is_missing_is_said_and_the_words_stay(browser, missing, key):
    response = browser.post("/consult/", {**ASKED, "noticed_at": "昨日の夜", **missing})
    page = response.content.decode()
    assert response.status_code == 422
    assert load_texts()[f"consult.error.{key}"]["ja"].split("{")[0] in page
    assert "昨日の夜" in page
    assert "<details open>" in page
    assert Submission.objects.count() == 0


def test_who_asks_anonymously_leaves_no_name_anywhere(browser):
    ask(browser, asker_name="山田商事", contact="yamada@example.jp")
    rows = json.dumps([list(model.objects.values()) for model in (Case, Message, Submission)], default=str,
                      ensure_ascii=False)
    payload = (spool.folder_of(Submission.objects.get().pk) / "payload.json").read_bytes().decode("unicode_escape")
    for kept in (rows, payload):
        assert "山田" not in kept
        assert "yamada" not in kept


def test_address_and_browser_of_the_consultee_are_kept_nowhere(tmp_path):
    marked = Client(REMOTE_ADDR="203.0.113.77", HTTP_USER_AGENT="MarkedBrowser/9", HTTP_X_FORWARDED_FOR="203.0.113.78")
    entered(marked, ask(marked, files=SimpleUploadedFile("a.log", b"x")))
    from django.apps import apps
    from django.contrib.sessions.models import Session

    everything = json.dumps([list(model.objects.values()) for model in apps.get_models()], default=str)
    everything += json.dumps([session.get_decoded() for session in Session.objects.all()])
    everything += "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    for mark in ("203.0.113", "MarkedBrowser"):
        assert mark not in everything


def test_the_long_form_arrives_whole(browser):
    ask(browser, asker_kind="first_responder", on_behalf="製造業の顧客", request="second_opinion", affected="ファイルサーバ2台",
        hypothesis="VPNから入られた\n\n 情報も出た \n", done_so_far="切り離した")
    case = Case.objects.get()
    assert (case.asker_kind, case.on_behalf, case.request) == ("first_responder", "製造業の顧客", "second_opinion")
    assert case.facts == {"affected": "ファイルサーバ2台", "done_so_far": "切り離した"}
    assert [point.claim for point in case.points.all()] == ["VPNから入られた", "情報も出た"]


def test_files_arrive_with_their_names_as_data_and_nothing_stays_behind(browser):
    content = bytes(range(256)) * 9000
    ask(browser, files=[SimpleUploadedFile("脅迫文 <b>.txt", content), SimpleUploadedFile("empty.log", b"")])
    kept = {file.name: file for file in Attachment.objects.all()}
    assert set(kept) == {"脅迫文 <b>.txt", "empty.log"}
    assert kept["脅迫文 <b>.txt"].sha256 == hashlib.sha256(content).hexdigest()
    assert list(spool.incoming().iterdir()) == []


def test_files_of_a_form_that_is_not_taken_are_removed(browser):
    browser.post("/consult/", {**ASKED, "what": "", "files": SimpleUploadedFile("a.log", b"x" * 5000)})
    assert list(spool.incoming().iterdir()) == []


def test_too_much_is_refused_before_it_is_read_and_nothing_is_kept(browser, settings):
    settings.UPLOAD_BYTES = 1000
    response = browser.post("/consult/", {**ASKED, "files": SimpleUploadedFile("a.log", b"x" * 2_000_000)})
    assert response.status_code == 413
    assert "朝からファイルが開けません" in response.content.decode()
    response = browser.post("/consult/", {**ASKED, "files": SimpleUploadedFile("a.log", b"x" * 1001)})
    assert response.status_code == 413
    assert Submission.objects.count() == 0
    assert list(spool.incoming().iterdir()) == []
    assert browser.post("/consult/", {**ASKED, "files": SimpleUploadedFile("a.log", b"x" * 1000)}).status_code == 302


def test_twenty_files_are_taken_and_one_more_is_not(browser):
    files = [SimpleUploadedFile(f"{number}.log", b"x") for number in range(21)]
    assert browser.post("/consult/", {**ASKED, "files": files}).status_code == 413
    assert Submission.objects.count() == 0
    assert list(spool.incoming().iterdir()) == []
    assert browser.post("/consult/", {**ASKED, "files": files[:20]}).status_code == 302


@pytest.mark.parametrize("where", ["submit", "open"])
def test_a_full_disk_is_said_and_gives_no_code(browser, monkeypatch, where):
    def full(*args, **kwargs):
        raise NotAccepted("full") if where == "submit" else OSError(28, "No space left on device")

    monkeypatch.setattr("hikeshi_desk.consult.thread.submit" if where == "submit" else
                        "hikeshi_desk.intake.upload.incoming", full)
    response = browser.post("/consult/", {**ASKED, "files": SimpleUploadedFile("a.log", b"x")})
    assert response.status_code == 507
    assert "receipt" not in response.cookies
    assert Submission.objects.count() == 0


def test_a_case_that_cannot_be_opened_now_is_still_received(browser, monkeypatch):
    def broken(submission):
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr("hikeshi_desk.consult.thread.begin", broken)
        code = ask(browser)
    assert Case.objects.count() == 0
    waiting = entered(Client(), code)
    assert text("consult.thread.waiting", language="ja") in waiting and text("consult.thread.due", language="ja") in waiting
    from hikeshi_desk.cases.opening import open_waiting

    assert open_waiting() == 1
    assert Case.objects.get().number in entered(Client(), code)


def test_the_script_gets_the_next_address_or_the_errors(browser):
    by_script = {"HTTP_X_REQUESTED_WITH": "upload"}
    assert browser.post("/consult/", ASKED, **by_script).json() == {"next": "/receipt/"}
    refused = browser.post("/consult/", {**ASKED, "what": ""}, **by_script)
    assert (refused.status_code, refused.json()) == (422, {"errors": [text("consult.error.empty", language="ja")]})


def test_a_form_without_its_token_is_refused_and_its_files_are_removed():
    stranger = Client(enforce_csrf_checks=True)
    response = stranger.post("/consult/", {**ASKED, "files": SimpleUploadedFile("a.log", b"x" * 5000)})
    assert response.status_code == 403
    assert Submission.objects.count() == 0
    assert list(spool.incoming().iterdir()) == []


def test_the_receipt_page_without_its_cookie_or_with_a_foreign_one_shows_nothing(browser):
    ask(browser)
    for value in ("", new_code(), "<script>"):
        other = Client()
        other.cookies["receipt"] = value
        assert other.get("/receipt/").headers["Location"] == "/code/"


def test_the_code_stands_in_no_address_and_in_no_session(browser):
    code = ask(browser)
    entered(browser, code)
    from django.contrib.sessions.models import Session

    kept = json.dumps([session.get_decoded() for session in Session.objects.all()])
    assert hmac_of(code) in kept
    assert code not in kept
    assert browser.get("/code/", {"code": code}).status_code == 200
    assert Client().get("/thread/", {"code": code}).headers["Location"] == "/code/"


def test_wrong_unknown_and_empty_codes_get_the_same_answer():
    answers = set()
    for code in ("", "ABCD", new_code(), "x" * 5000, "' or 1=1"):
        response = Client().post("/code/", {"code": code})
        page = re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "", response.content.decode())
        answers.add((response.status_code, page))
    assert len(answers) == 1


def test_a_first_group_tried_too_often_waits_and_others_do_not(browser):
    code, other = ask(browser), ask(Client(), key="o" * 43)
    for _ in range(throttle.MOST_OF_PREFIX):
        assert Client().post("/code/", {"code": code[:4] + new_code()[4:]}).status_code == 422
    assert Client().post("/code/", {"code": code}).status_code == 429
    assert Client().post("/code/", {"code": other}).status_code == 302
    cache.clear()
    assert Client().post("/code/", {"code": code}).status_code == 302


def test_past_the_common_limit_wrong_codes_wait_and_right_ones_open(browser, monkeypatch):
    code = ask(browser)
    monkeypatch.setattr(throttle, "MOST_OF_ALL", 3)
    answers = [Client().post("/code/", {"code": new_code()}).status_code for _ in range(5)]
    assert answers == [422, 422, 422, 429, 429]
    assert Client().post("/code/", {"code": code}).status_code == 302


def test_answers_are_read_and_notes_never(browser):
    code = ask(browser)
    case, at = Case.objects.get(), timezone.now()
    for kind, body in (("reply", "まず切り離してください"), ("note", "内部: 要確認"), ("system", "担当が替わりました")):
        Message.objects.create(case=case, kind=kind, body=body, at=at)
    page = entered(browser, code)
    assert "まず切り離してください" in page
    assert "要確認" not in page
    assert "担当が替わりました" not in page


def test_a_reply_and_files_join_the_thread_once(browser):
    entered(browser, ask(browser))
    for _ in range(2):
        sent = browser.post("/thread/reply/", {"what": "ログです", "key": "r" * 43, "files": SimpleUploadedFile("b.log", b"y")})
        assert sent.headers["Location"] == "/thread/"
    case = Case.objects.get()
    assert [message.body for message in case.messages.order_by("at")] == ["朝からファイルが開けません", "ログです"]
    assert case.is_anonymous
    assert [file.name for file in case.attachments.all()] == ["b.log"]
    page = browser.get("/thread/").content.decode()
    assert "b.log" in page


def test_an_empty_reply_is_refused_but_a_file_alone_is_enough(browser):
    entered(browser, ask(browser))
    assert browser.post("/thread/reply/", {"what": " "}).status_code == 422
    assert browser.post("/thread/reply/", {"what": "", "files": SimpleUploadedFile("b.log", b"y")}).status_code == 302
    assert Message.objects.count() == 2


def test_an_anonymous_asker_gives_a_name_later(browser):
    entered(browser, ask(browser))
    assert browser.post("/thread/name/", {"asker_name": "山田"}).status_code == 422
    assert browser.post("/thread/name/", {"asker_name": "山田", "contact": "y@example.jp"}).status_code == 302
    case = Case.objects.get()
    assert (case.is_anonymous, case.asker_name, case.contact) == (False, "山田", "y@example.jp")


def test_the_asker_closes_and_a_later_word_opens_again(browser):
    entered(browser, ask(browser))
    browser.post("/thread/close/")
    case = Case.objects.get()
    assert (case.state, case.due_at) == (State.CLOSED, None)
    assert case.closed_at
    browser.post("/thread/close/")
    browser.post("/thread/reply/", {"what": "また起きました"})
    case.refresh_from_db()
    assert case.state != State.CLOSED
    assert case.due_at


@pytest.mark.parametrize("path", ["/thread/", "/thread/reply/", "/thread/name/", "/thread/close/"])
def test_without_a_code_the_conversation_is_closed(browser, path):
    ask(browser)
    send = browser.get if path == "/thread/" else browser.post
    assert send(path).headers["Location"] == "/code/"
    assert Message.objects.count() == 1
    assert Case.objects.get().state == State.NEW


def test_one_code_opens_one_conversation_only(browser):
    ask(browser, what="甲の秘密")
    page = entered(Client(), ask(Client(), what="乙の相談", key="b" * 43))
    assert "乙の相談" in page
    assert "甲の秘密" not in page


def test_leaving_closes_the_conversation_and_the_receipt(browser):
    entered(browser, ask(browser))
    browser.post("/leave/")
    assert browser.get("/thread/").headers["Location"] == "/code/"
    assert browser.get("/receipt/").headers["Location"] == "/code/"


def test_the_conversation_closes_by_itself(browser, monkeypatch):
    entered(browser, ask(browser))
    session = browser.session
    session["thread"] = {**session["thread"], "until": timezone.now().timestamp() - 1}
    session.save()
    assert browser.get("/thread/").headers["Location"] == "/code/"


def test_what_was_written_is_shown_as_text(browser):
    hostile = "<script>alert(1)</script>{{7*7}}{% now %}"
    page = entered(browser, ask(browser, what=hostile, files=SimpleUploadedFile("<img src=x onerror=alert(1)>.log", b"x")))
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7*7}}{% now %}" in page


@pytest.mark.parametrize(("method", "path"), [
    ("post", "/"), ("put", "/consult/"), ("delete", "/code/"), ("post", "/receipt/"), ("post", "/thread/"),
    ("get", "/thread/reply/"), ("get", "/thread/name/"), ("get", "/thread/close/"), ("get", "/leave/")])
def test_other_methods_are_not_allowed(browser, method, path):
    assert getattr(browser, method)(path).status_code == 405


def test_large_files_are_said_to_be_filed_until_they_are(browser, monkeypatch):
    from hikeshi_desk.cases import opening

    monkeypatch.setattr(opening, "AT_ONCE", 2000)
    code = ask(browser, files=SimpleUploadedFile("disk.img", b"x" * 5000))
    page = entered(Client(), code)
    assert Case.objects.get().number in page and text("consult.thread.filing", language="ja") in page
    assert opening.file_large() == 1
    page = entered(Client(), code)
    assert text("consult.thread.filing", language="ja") not in page and "disk.img" in page

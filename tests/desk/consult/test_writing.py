"""The short form, the guided way and the draft between them: nothing typed is lost, nothing is kept too long."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from hikeshi_desk.accounts.texts import load_texts, text
from hikeshi_desk.cases.first_steps import MOST_STEPS, first_steps
from hikeshi_desk.cases.models import Case
from hikeshi_desk.consult import draft, guide
from hikeshi_desk.consult.forms import INCIDENTS, REQUESTS, Consultation
from hikeshi_desk.intake.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "人に知られたくない書きかけ"


@pytest.fixture(autouse=True)
def own_folders(tmp_path, settings):
    settings.SPOOL, settings.EVIDENCE = tmp_path / "spool", tmp_path / "evidence"
    cache.clear()


@pytest.fixture
def browser():
    return Client()


def step(browser: Client, name: str, **fields: str) -> str:
    """Sends one step and gives the address of the next."""
    response = browser.post(f"/consult/guided/{name}/", fields)
    assert response.status_code == 302, response.content.decode()
    return response["Location"]


def test_the_steps_lead_to_one_consultation_with_every_answer(browser):
    assert step(browser, "what", what="止まりました", incident="malware") == "/consult/guided/request/"
    assert step(browser, "request", request="second_opinion") == "/consult/guided/more/"
    assert step(browser, "more", hypothesis="メールから\n\nVPNから") == "/consult/guided/who/"
    assert step(browser, "who", asker_kind="first_responder", on_behalf="製造業の顧客", anonymous="1") == "/consult/guided/facts/"
    assert step(browser, "facts", machines="3台", extension=".locked", note_text="Your files", detected_by="edr") == "/consult/guided/send/"
    page = browser.get("/consult/guided/send/").content.decode()
    for word in ("止まりました", "製造業の顧客", ".locked", "Your files"):
        assert word in page
    assert step(browser, "send") == "/receipt/"
    case = Case.objects.get()
    assert (case.incident, case.request, case.asker_kind, case.on_behalf) == (
        "malware", "second_opinion", "first_responder", "製造業の顧客")
    assert [point.claim for point in case.points.all()] == ["メールから", "VPNから"]
    assert {"machines", "extension", "note_text"} <= set(case.facts)
    assert case.detected_by == "edr"


@pytest.mark.parametrize(("request_", "has_more"), [(one, one in guide.MORE) for one in ("", *REQUESTS)])
def test_more_is_asked_only_where_there_is_more_to_ask(browser, request_, has_more):
    step(browser, "what", what="x", incident="unknown")
    assert step(browser, "request", request=request_) == f"/consult/guided/{'more' if has_more else 'who'}/"


def test_a_step_ahead_of_the_answers_leads_back_to_the_first_that_is_open(browser):
    for name in guide.STEPS[1:]:
        assert browser.get(f"/consult/guided/{name}/")["Location"] == "/consult/guided/what/"
    step(browser, "what", what="x", incident="unknown")
    assert browser.get("/consult/guided/send/")["Location"] == "/consult/guided/who/"
    assert browser.get("/consult/guided/request/").status_code == 200


def test_a_mistake_keeps_the_words_and_says_where(browser):
    response = browser.post("/consult/guided/what/", {"what": SECRET, "incident": ""})
    page = response.content.decode()
    assert response.status_code == 422
    assert 'href="#incident"' in page
    assert SECRET in page
    assert SECRET in browser.get("/consult/guided/what/").content.decode()
    assert Submission.objects.count() == 0


def test_words_go_from_one_form_to_the_other_and_back(browser):
    response = browser.post("/consult/", {"what": SECRET, "affected": "サーバ", "go": "other"})
    assert response["Location"] == "/consult/guided/what/"
    assert SECRET in browser.get("/consult/guided/what/").content.decode()
    step(browser, "what", what=SECRET, incident="fraud", go="other")
    page = browser.get("/consult/").content.decode()
    assert SECRET in page and "サーバ" in page
    assert '<option value="fraud" selected>' in page


@pytest.mark.parametrize("path", ["/consult/", "/consult/guided/what/"])
def test_another_language_keeps_what_was_typed(browser, path):
    response = browser.post(path, {"what": SECRET, "language": "en"})
    assert response["Location"] == path
    page = browser.get(path).content.decode()
    assert '<html lang="en">' in page and SECRET in page
    assert browser.post(path, {"what": SECRET, "language": "tlh"}).status_code == 422


def test_a_draft_is_noise_to_the_desk(browser, tmp_path, settings):
    step(browser, "what", what=SECRET, incident="fraud")
    kept = json.dumps([session.get_decoded() for session in Session.objects.all()])
    assert "draft" in kept
    assert SECRET not in kept and json.dumps(SECRET)[1:-1] not in kept and "fraud" not in kept
    key = browser.cookies["draft"].value
    assert key not in kept
    assert browser.cookies["draft"]["httponly"] and browser.cookies["draft"]["max-age"] == draft.KEPT_S
    del browser.cookies["draft"]
    assert SECRET not in browser.get("/consult/guided/what/").content.decode()


def test_a_draft_of_somebody_else_can_t_be_opened(browser):
    step(browser, "what", what=SECRET, incident="fraud")
    other = Client()
    step(other, "what", what="ほかの人", incident="spam")
    other.cookies["draft"] = browser.cookies["draft"].value
    page = other.get("/consult/guided/what/").content.decode()
    assert SECRET not in page and "ほかの人" not in page


@pytest.mark.parametrize("how", ["send", "forget", "leave"])
def test_a_draft_is_gone_when_it_is_sent_erased_or_left(browser, how):
    step(browser, "what", what=SECRET, incident="fraud")
    if how == "send":
        for name, fields in (("request", {}), ("who", {"anonymous": "1"}), ("facts", {}), ("send", {})):
            step(browser, name, **fields)
    elif how == "forget":
        assert step(browser, "what", go="forget") == "/"
    else:
        browser.post("/leave/")
    assert "draft" not in json.dumps([session.get_decoded() for session in Session.objects.all()])
    assert not browser.cookies["draft"].value
    assert SECRET not in browser.get("/consult/guided/what/").content.decode()


def test_a_draft_ends_after_two_hours_and_its_session_leaves_the_database(browser, monkeypatch):
    step(browser, "what", what=SECRET, incident="fraud")
    session = Session.objects.get()
    assert 0 < (session.expire_date - timezone.now()).total_seconds() <= draft.KEPT_S
    draft.remove_expired()
    assert Session.objects.count() == 1
    Session.objects.update(expire_date=timezone.now() - timezone.timedelta(seconds=1))
    draft.remove_expired()
    assert Session.objects.count() == 0


def test_without_its_draft_a_step_still_has_what_the_page_carried(browser):
    step(browser, "what", what=SECRET, incident="fraud")
    page = browser.get("/consult/guided/request/").content.decode()
    assert f'name="what" value="{SECRET}"' in page
    browser.cookies.clear()
    response = browser.post("/consult/guided/request/", {"what": SECRET, "incident": "fraud", "request": "other"})
    assert response["Location"] == "/consult/guided/who/"
    assert SECRET in browser.get("/consult/guided/what/").content.decode()


@pytest.mark.parametrize("path", ["/consult/", "/consult/guided/what/"])
def test_an_outdated_form_comes_back_with_its_words_and_a_good_token(path):
    stranger = Client(enforce_csrf_checks=True)
    fields = {"what": SECRET, "incident": "fraud", "anonymous": "1", "csrfmiddlewaretoken": "x" * 64}
    response = stranger.post(path, {**fields, "files": SimpleUploadedFile("a.log", b"x")})
    page = response.content.decode()
    assert response.status_code == 403
    assert SECRET in page and text("consult.upload.stale", language="ja") in page
    assert Submission.objects.count() == 0
    token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    assert stranger.post(path, {**fields, "csrfmiddlewaretoken": token}).status_code == 302


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("incident", INCIDENTS)
def test_every_kind_has_first_steps_that_fit_a_screen(incident, language):
    from django.utils import translation

    with translation.override(language):
        found = first_steps(incident)
    assert 1 <= len(found.steps) <= MOST_STEPS
    most = 50 if language == "ja" else 95
    assert max(map(len, found.steps)) <= most, max(found.steps, key=len)


def test_an_unknown_kind_gets_the_steps_for_the_unknown():
    assert first_steps("meteor") == first_steps("unknown") != first_steps("ransomware")


def test_every_question_and_choice_has_its_words():
    known, form = load_texts(), Consultation()
    for name in [name for name in form.fields if name != "key"]:
        assert f"consult.form.{name}" in known
    for names in guide.FIELDS.values():
        assert guide.questions(form, names) is not None
    for step_ in guide.STEPS:
        assert f"consult.guide.{step_}.title" in known and f"consult.guide.{step_}.lead" in known


def test_a_form_with_a_wrong_length_says_so_and_keeps_the_rest(browser):
    response = browser.post("/consult/", {"what": SECRET, "incident": "fraud", "anonymous": "1", "noticed_at": "x" * 501})
    assert response.status_code == 422
    assert SECRET in response.content.decode()


# What everybody knows who has used a computer, and names of our own pages.
EVERYDAY = """LAN Wi-Fi ZIP locked xlsx アクセス アクセスログ アプリ アルファベット ウイルス カード ケーブル コード サイバー
    サインアウト サインイン ログイン スマートフォン サービス セキュリティ ディスク データ データベース ネットワーク ハイフン バックアップ パスワード パソコン ブラウザ ページ メモリ
    メール メールアドレス リンク ファイル サーバ サイト コピー オン ロック Windows ログオン"""


def test_every_term_of_the_trade_on_these_pages_has_its_entry():
    from hikeshi.knowledge.glossary import load_glossary
    from hikeshi_desk.cases.first_steps import _load

    told = [entry["ja"] for key, entry in load_texts().items() if key.startswith("consult.")]
    told += [line["ja"] for record in _load().values() for line in (*record["steps"], *record["never"])]
    found = {word for one in told for word in re.findall(r"[A-Za-z][A-Za-z0-9-]+|[ァ-ヴー]{3,}", re.sub(r"\{\w+\}", "", one))}
    names = [one.term.ja for one in load_glossary().values()]
    assert "VPN" in found and "プロキシ" in found
    assert sorted(word for word in found - set(EVERYDAY.split()) if not any(word in name for name in names)) == []


def test_who_only_informs_is_thanked_and_promised_no_answer(browser):
    browser.post("/consult/", {"what": "不審なメールが出回っています", "incident": "information", "anonymous": "1",
                               "request": "information"})
    page = browser.get("/receipt/").content.decode()
    assert text("consult.receipt.due_information", language="ja") in page
    assert text("consult.receipt.due", language="ja") not in page
    assert "情報をありがとうございます" in page

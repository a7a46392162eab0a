"""A pasted note shows family, actors, ways in and what to do, at once; whatever is pasted gets a sensible answer."""

from __future__ import annotations

import threading

import pytest

from hikeshi.errors import ChildTimeout
from hikeshi.identify import Input
from hikeshi_desk.analysis import pasted, warm
from hikeshi_desk.analysis.models import Analysis
from hikeshi_desk.analysis.words import identify_pasted
from hikeshi_desk.cases.models import Message

pytestmark = pytest.mark.django_db
_NOTES = {
    "ja": "あなたの会社のネットワークに侵入し、すべてのファイルを暗号化しました。重要なデータも盗みました。復号するには身代金をビットコインで支払って"
          "ください。期限までに連絡がなければデータを公開します。連絡先: {}",
    "zh": "您的所有文件已被加密,您的数据已被窃取。要恢复文件,您必须支付比特币赎金。请不要使用第三方软件解密。如果不付款,我们将公开您的数据。联系我们: {}",
    "ru": "Все ваши файлы зашифрованы, ваши данные украдены. Чтобы восстановить файлы, вы должны заплатить выкуп в биткоинах. "
          "Не пытайтесь расшифровать файлы самостоятельно. Если вы не заплатите, мы опубликуем ваши данные. Свяжитесь с нами: {}",
    "de": "Alle Ihre Dateien wurden verschlüsselt und Ihre Daten gestohlen. Um Ihre Dateien wiederherzustellen, müssen Sie "
          "Lösegeld in Bitcoin zahlen. Versuchen Sie nicht, die Dateien selbst zu entschlüsseln. Wenn Sie nicht zahlen, "
          "veröffentlichen wir Ihre Daten. Kontakt: {}",
}
_MEDUSA = "http://medusakxxtp3uo7vusntvubnytaph4d3amxivbggl3hnhpk2nmus34yd.onion/"


def asked(client, case, given: str) -> str:
    answer = client.post(f"/desk/case/{case.pk}/analysis/ask/", {"given": given})
    assert answer.status_code == 302
    page = client.get(f"/desk/case/{case.pk}/").content.decode()
    return page.split('id="analysis-asked"')[1].split("</section>")[0]


def test_a_note_shows_family_actors_ways_and_first_steps(handler, consult):
    note = _NOTES["de"].format("http://akiral2iz6a7qgd3ayp3l6yub7xx2uep76idk3u2kollpj5z3z636bad.onion/")
    part = asked(handler, consult(), note)
    for words in ("Akira と見られます", "使うと報告されている攻撃者", "確度", "最近の侵入の手口", "過去90日の新しいデータはありません",
                  "最初にすること", "ネットワークから切り離", "組み込みの知識"):
        assert words in part, words


@pytest.mark.parametrize("language", sorted(_NOTES))
def test_notes_in_other_languages_are_named_by_their_address_and_else_unknown(handler, consult, language):
    assert "Medusa と見られます" in asked(handler, consult(), _NOTES[language].format(_MEDUSA))
    part = asked(handler, consult(), _NOTES[language].format("newgang@example.org"))
    assert "種別はわかりません" in part or "断定できません" in part
    assert "最初にすること" in part  # never without anything to do


def test_a_very_long_paste_is_cut_and_says_so(handler, consult):
    case = consult()
    given = _NOTES["de"].format(_MEDUSA) + "\n" + "Lorem ipsum dolor sit amet. " * 190_000
    assert len(given) > 5_000_000
    answer = handler.post(f"/desk/case/{case.pk}/analysis/ask/", {"given": given}, follow=True)
    page = answer.content.decode()
    assert "先頭の 100,000 文字だけを調べました" in page
    assert len(Message.objects.get(case=case, kind=Message.Kind.NOTE).body) < 110_000


@pytest.mark.parametrize("given", ["\x01\x02\x03\x7f" * 3000, "MZ\x90\x03\x00" + "\ufffd" * 4000, "\u202e" * 300, "PK\x03\x04 " * 900])
def test_binary_junk_is_no_ransomware_and_no_error(handler, consult, given):
    assert "ランサムウェアの跡は見つかっていません" in asked(handler, consult(), given)


def test_nothing_pasted_asks_for_something(handler, consult):
    case = consult()
    page = handler.post(f"/desk/case/{case.pk}/analysis/ask/", {"given": " \0 "}, follow=True).content.decode()
    assert "脅迫文、ファイル名、または拡張子を入れてください" in page
    assert not Analysis.objects.filter(case=case).exclude(asked={}).exists()


# The child that is kept

@pytest.fixture
def cold():
    warm.stop()
    yield
    warm.stop()


def answer(given: str = _MEDUSA) -> str:
    looked = warm.look([Input("x", text=_NOTES["de"].format(given))])
    return looked[0][0].answer.family or ""


def test_one_child_answers_one_question_after_the_other(cold):
    assert answer() == "Medusa"
    first = warm._kept
    assert answer("newgang@example.org") == "" and answer() == "Medusa"
    assert warm._kept is first and not first.is_over


def test_newer_knowledge_gets_a_new_child(cold, monkeypatch):
    assert answer() == "Medusa"
    first = warm._kept
    monkeypatch.setattr(warm, "installed_id", lambda: "newer")
    assert answer() == "Medusa"
    assert warm._kept is not first


def test_a_child_that_goes_is_followed_by_another(cold, monkeypatch):
    monkeypatch.setattr(warm, "MOST", 2)
    first = warm._ready()
    assert [answer() for _ in range(6)] == ["Medusa"] * 6
    assert first.is_over
    monkeypatch.setattr(warm, "IDLE_S", 0.05)
    warm.stop()
    second = warm._ready()
    second._thread.join(30)
    assert second.is_over and answer() == "Medusa"


def test_questions_at_once_all_get_their_own_answer(cold):
    found: dict[int, str] = {}

    def one(number: int) -> None:
        found[number] = answer(_MEDUSA if number % 2 else "newgang@example.org")
    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: "Medusa" if number % 2 else "" for number in range(6)}


def test_a_killed_child_is_told_as_an_error_and_the_next_question_is_answered(cold, handler, consult, monkeypatch):
    assert answer() == "Medusa"
    monkeypatch.setattr(warm._kept, "ask", lambda _: failed())
    case = consult()
    page = handler.post(f"/desk/case/{case.pk}/analysis/ask/", {"given": "READ_ME_x.txt"}, follow=True).content.decode()
    assert "いまは調べられません" in page
    warm.stop()
    assert identify_pasted(_NOTES["ja"].format(_MEDUSA), pasted.LABEL)["family"] == "Medusa"


def failed():
    from concurrent.futures import Future

    told = Future()
    told.set_exception(ChildTimeout("too long"))
    return told

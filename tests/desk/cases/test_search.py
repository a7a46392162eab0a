"""Search: Japanese words of two signs, every viewer only what they may see."""

from __future__ import annotations

import pytest

from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.accounts.models import Role
from hikeshi_desk.cases import acts, search

pytestmark = pytest.mark.django_db


@pytest.fixture
def found(handler):
    return lambda query, user=None: [case.title for case in search.find(query, Viewer.of(user or handler))]


@pytest.mark.parametrize("query", ["感染", "ウイルス", "ｳｲﾙｽ", "VPN", "vpn", "ＶＰＮ", "経由", "感染 VPN", "感染　vpn"])
def test_words_of_two_signs_are_found_in_any_width_and_case(consult, found, query) -> None:
    consult("社内ＰＣがウイルス感染した。VPN経由か")
    consult("迷惑メールの相談")
    assert found(query) == ["社内ＰＣがウイルス感染した。VPN経由か"]


@pytest.mark.parametrize("query", ["染感", "感染 迷惑", "ウイルメール", "XVPN", "感", "", "   "])
def test_near_misses_are_not_found(consult, found, query) -> None:
    consult("社内PCがウイルス感染した。VPN経由か")
    consult("迷惑メールの相談")
    assert found(query) == []


def test_pairs_that_only_stand_apart_are_no_hit(consult, found) -> None:
    consult("abx xbc")  # has ab? bx, xb, bc: "xbx" has all its pairs here but is not here
    assert found("bxbc") == [] and found("abx") == ["abx xbc"]


def test_a_word_broken_by_a_line_end_is_found_and_a_space_still_separates(consult, found) -> None:
    consult("件名\nサーバーが暗号\n化されました 東京 大阪")
    assert found("暗号化") == ["件名"] and found("東京大阪") == []


def test_the_newest_come_first_and_are_limited(consult, found, monkeypatch) -> None:
    for number in range(5):
        consult(f"感染の相談{number}")
    monkeypatch.setattr(search, "MOST", 3)
    assert found("感染") == ["感染の相談4", "感染の相談3", "感染の相談2"]
    assert found("感染 相談") == ["感染の相談4", "感染の相談3", "感染の相談2"]


def test_notes_replies_reasons_names_files_and_numbers_are_found(consult, handler, found, incoming_file) -> None:
    case = consult("件名", [incoming_file("脅迫文.txt", b"x")], anonymous=False, asker_name="被害工業",
                   contact="yamada@example.jp", facts={"ext": ".lockedup"}, request="second_opinion",
                   hypothesis=("横展開の仮説",))
    acts.note(case, handler, body="内緒話のメモ")
    acts.reply(case, handler, body="助言の本文")
    acts.triage(case, handler, verdict="true", reason="判断の根拠")
    acts.opine(case, handler, point=case.points.get(), stance="agree", comment="記録と一致")
    for query in ("内緒話", "助言", "判断の根拠", "被害工業", "yamada@example.jp", "脅迫文", ".lockedup", "横展開",
                  "記録と一致", case.number):
        assert found(query) == ["件名"], query


def test_a_partner_finds_only_the_conversation_of_its_own_cases(consult, handler, found, partner_of) -> None:
    mine, other, bare = (consult(f"{name}の件 共通語") for name in ("甲", "乙", "丙"))
    for case in (mine, other, bare):
        acts.note(case, handler, body="内緒話のメモ")
    partner = partner_of(mine, sees_conversation=True)
    from hikeshi_desk.cases.models import Party

    Party.objects.create(case=bare, organisation=partner.memberships.get().organisation)
    assert found("共通語", partner) == ["甲の件 共通語"]
    assert found("内緒", partner) == []  # one pair: nothing is checked against the text afterwards
    assert found("内緒話", partner) == [] and found("内緒話 共通語", partner) == []
    assert len(found("内緒話")) == 3


def test_nobody_in_particular_finds_nothing(consult, member, found) -> None:
    consult("感染の相談")
    assert found("感染", member(Role.PARTNER, desk=False)) == []


def test_the_search_costs_the_same_however_many_cases_there_are(consult, handler, django_assert_max_num_queries) -> None:
    for number in range(30):
        consult(f"感染の相談{number}")
    with django_assert_max_num_queries(7):
        assert len(search.find("感染の相談", Viewer.of(handler))) == 30

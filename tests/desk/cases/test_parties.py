"""Further parties: each its own lane, and nobody learns who the other side is."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.accounts.models import Role
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import relaying, search
from hikeshi_desk.cases.models import Case, Message
from hikeshi_desk.consult import thread as asker_s

pytestmark = pytest.mark.django_db


def url(name: str, case: Case) -> str:
    return reverse(f"cases:{name}", args=[case.pk])


@pytest.fixture
def victim(consult):
    return consult("サーバーが暗号化された", anonymous=False, asker_name="株式会社被害工業",
                   contact="yamada@mail.higai.example.jp", on_behalf="火消商店",
                   facts={"call_back_number": "03-1234-5678"})


def party_of(case: Case, user):
    return case.parties.get(organisation=user.memberships.get().organisation)


def test_a_party_sees_number_state_and_due_and_only_what_it_was_granted(victim, partner_of, sign_in) -> None:
    bare, full = partner_of(victim), partner_of(victim, sees_conversation=True)
    page = sign_in(bare).get(url("case", victim)).content.decode()
    assert victim.number in page and "受付" in page and f"{victim.due_at:%Y-%m}" in page
    assert "暗号化" not in page and page.count("見えません") >= 4 and "do/reply" not in page
    page = sign_in(full).get(url("case", victim)).content.decode()
    assert "サーバーが暗号化された" in page and "被害工業" not in page and "higai" not in page


def test_what_a_party_writes_is_read_by_the_desk_alone(victim, partner_of, sign_in, handler) -> None:
    one, other = partner_of(victim, sees_conversation=True), partner_of(victim, sees_conversation=True)
    client = sign_in(one)
    client.post(url("do-tell", victim), {"body": "検体を見ました", "message_id": str(uuid.uuid4())})
    assert "検体を見ました" in client.get(url("case", victim)).content.decode()
    assert "検体を見ました" in sign_in(handler).get(url("case", victim)).content.decode()
    assert "検体を見ました" not in sign_in(other).get(url("case", victim)).content.decode()
    assert "検体を見ました" not in str(asker_s.entries(victim, None))
    assert search.find("検体を見ました", Viewer.of(other)) == [] and search.find("検体を見ました", Viewer.of(handler))
    victim.refresh_from_db()
    assert victim.last_word_by == "party" and victim.tasks.get(kind="party_word").due_at


def test_a_double_click_of_a_party_is_one_word_and_empty_is_none(victim, partner_of, sign_in) -> None:
    client, token = sign_in(partner_of(victim)), str(uuid.uuid4())
    for _ in range(2):
        client.post(url("do-tell", victim), {"body": "一度だけ", "message_id": token})
    client.post(url("do-tell", victim), {"body": "  "})
    assert victim.messages.filter(kind="party").count() == 1
    assert victim.tasks.filter(kind="party_word").count() == 1


def test_a_party_removed_mid_way_writes_and_reads_nothing_more(victim, partner_of, sign_in, handler) -> None:
    partner = partner_of(victim, sees_conversation=True)
    client = sign_in(partner)
    assert client.get(url("case", victim)).status_code == 200
    party = party_of(victim, partner)
    sign_in(handler).post(url("do-uninvite", victim), {"party": str(party.pk)})
    assert client.post(url("do-tell", victim), {"body": "まだいます"}).status_code == 404
    with pytest.raises(relaying.Refused):  # the form was read before, the lock comes after
        relaying.tell(party, partner, body="まだいます")
    answer = sign_in(handler).post(url("relay", victim), {"to": str(party.pk), "body": "こんにちは"})
    assert answer.status_code == 422 and not victim.messages.filter(kind__in=("party", "to_party")).exists()


@pytest.mark.parametrize("role", [Role.READER, Role.HANDLER, Role.AUDITOR])
def test_who_belongs_to_the_desk_does_not_write_as_a_party(victim, member, sign_in, role) -> None:
    assert sign_in(member(role)).post(url("do-tell", victim), {"body": "x"}).status_code == 404
    assert not victim.messages.filter(kind="party").exists()


def test_a_party_of_another_case_is_nobody_here(victim, consult, partner_of, sign_in, handler) -> None:
    other = consult("別の相談")
    partner = partner_of(other)
    assert sign_in(partner).post(url("do-tell", victim), {"body": "x"}).status_code == 404
    answer = sign_in(handler).post(url("relay", victim), {"to": str(party_of(other, partner).pk), "body": "x"})
    assert answer.status_code == 422 and not Message.objects.filter(kind="to_party").exists()
    assert sign_in(handler).get(url("relay", victim) + f"?message={other.messages.get().pk}").status_code == 404


@pytest.mark.parametrize(("text", "kind"), [
    ("株式会社被害工業の件です", "organisation"), ("被 害 工 業からの話", "organisation"), ("被害\u200b工業", "organisation"),
    ("yamada@mail.higai.example.jp へ", "mail"), ("ＹＡＭＡＤＡ＠ＭＡＩＬ．ＨＩＧＡＩ．ＥＸＡＭＰＬＥ．ＪＰ", "mail"),
    ("www.mail.higai[.]example[.]jp に接続", "domain"), ("電話は０３（１２３４）５６７８", "phone"),
    ("+81 3 1234 5678", "phone"), ("火消商店のサーバー", "organisation")])
def test_words_that_name_the_asker_are_found_before_a_party_reads_them(
        victim, partner_of, sign_in, handler, text, kind) -> None:
    partner = partner_of(victim)
    party = party_of(victim, partner)
    assert kind in {hit.kind for hit in relaying.hits(victim, text, party)}
    answer = sign_in(handler).post(url("relay", victim), {"to": str(party.pk), "body": text})
    assert answer.status_code == 422 and text in answer.content.decode()
    assert not victim.messages.filter(kind="to_party").exists()


@pytest.mark.parametrize("text", ["工業用の機器です", "被害の状況を教えてください", "03-1234-5679 ではない番号", "5678 番ポート",
                                  "yamada という語だけ", "other.example.jp に接続", "火消し"])
def test_near_misses_are_told_without_asking(victim, partner_of, sign_in, handler, text) -> None:
    partner = partner_of(victim)
    party = party_of(victim, partner)
    assert relaying.hits(victim, text, party) == []
    sign_in(handler).post(url("relay", victim), {"to": str(party.pk), "body": text})
    assert victim.messages.get(kind="to_party").body == text
    assert text in sign_in(partner).get(url("case", victim)).content.decode()


def test_the_asker_is_not_told_who_the_party_is_and_still_waits_for_an_answer(
        victim, partner_of, sign_in, handler) -> None:
    partner = partner_of(victim)
    name = partner.memberships.get().organisation.name
    client = sign_in(handler)
    assert client.post(url("relay", victim), {"to": "asker", "body": f"{name}によると"}).status_code == 422
    assert client.post(url("relay", victim), {"to": "asker", "body": f"{partner.email} より"}).status_code == 422
    client.post(url("relay", victim), {"to": "asker", "body": "専門家によると既知の手口です"})
    assert "既知の手口" in str(asker_s.entries(victim, None)) and victim.clocks.get().stopped_at is None


def test_a_reason_lets_it_pass_and_the_log_keeps_the_reason_not_the_words(victim, partner_of, sign_in, handler) -> None:
    party = party_of(victim, partner_of(victim))
    sign_in(handler).post(url("relay", victim), {"to": str(party.pk), "body": "被害工業の件", "override": "同意を得た"})
    entry = Entry.objects.get(act="case.relay")
    assert victim.messages.filter(kind="to_party").exists() and entry.detail["override"] == "同意を得た"
    assert "被害工業" not in str(entry.detail)


def test_one_party_is_not_named_to_another_and_does_not_read_its_lane(victim, partner_of, sign_in, handler) -> None:
    one, other = partner_of(victim), partner_of(victim)
    name = one.memberships.get().organisation.name
    party = party_of(victim, other)
    assert "organisation" in {hit.kind for hit in relaying.hits(victim, f"{name}が調べました", party)}
    assert relaying.hits(victim, f"{other.memberships.get().organisation.name} 様", party) == []
    sign_in(handler).post(url("relay", victim), {"to": str(party.pk), "body": "あなただけに"})
    assert "あなただけに" not in sign_in(one).get(url("case", victim)).content.decode()


def test_a_relayed_word_answers_the_party_s_task_only(victim, partner_of, sign_in, handler) -> None:
    partner = partner_of(victim)
    relaying.tell(party_of(victim, partner), partner, body="質問です")
    sign_in(handler).post(url("relay", victim), {"to": str(party_of(victim, partner).pk), "body": "答えです"})
    assert victim.tasks.get(kind="party_word").done_at and not victim.tasks.get(kind="answer").done_at


def test_the_party_s_page_stays_within_its_statements(victim, partner_of, sign_in) -> None:
    client = sign_in(partner_of(victim, sees_conversation=True, sees_files=True))
    with CaptureQueriesContext(connection) as seen:
        client.get(url("case", victim))
    assert sum('FROM "cases_' in query["sql"] for query in seen) <= 9

"""Lessons of finished cases: who writes, releases and reads them, and that no name of the victim goes out unnoticed."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse

from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.accounts.models import User
from hikeshi_desk.analysis.lessons import reads, version
from hikeshi_desk.analysis.models import Analysis, Lesson, Sign, State
from hikeshi_desk.analysis.signs import key_of
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.models import Party
from hikeshi_desk.cases.models import State as CaseState

pytestmark = pytest.mark.django_db
PLAIN = "VPN装置の更新が遅れていた。多要素認証があれば防げた。攻撃元は 203.0.113.77 だった。"


@pytest.fixture
def lead(member, sign_in):
    return sign_in(member("lead", name="責任者"))


@pytest.fixture
def named_case(consult):
    """A case of a known asker with machines and accounts in its analysis."""
    case = consult()
    case.asker_name, case.on_behalf = "山田 太郎", "株式会社楓商事"
    case.contact = "yamada@kaede-shoji.example.jp 03-1234-5678"
    case.state = CaseState.CLOSED
    case.save()
    Analysis.objects.create(case=case, state=State.DONE, result=uuid.uuid4(), summary={
        "hosts": [{"name": "FS01.kaede.example"}], "accounts": [{"name": "KAEDE\\adm-sato"}, {"name": "Administrator"}],
        "evidence": {"verdict": "identified", "family": "Medusa"}, "entry": [{"kind": "vpn_credential"}]})
    return case


def written(client, case, **fields) -> Lesson:
    answer = client.post(reverse("analysis:lesson-write", args=[case.pk]),
                         {"title": "更新の遅れ", "body": PLAIN, "family": "Medusa", "way": "vpn_credential", **fields})
    assert answer.status_code == 302, answer.content.decode()[:2000]
    return Lesson.objects.get(pk=answer["Location"].strip("/").split("/")[-1])


def release(client, lesson, **fields):
    """As somebody who has just read it."""
    given = {"read": version(Lesson.objects.get(pk=lesson.pk)), **fields}
    return client.post(reverse("analysis:lesson-release", args=[lesson.pk]), given)


def reader_of(member, sign_in):
    """Somebody outside the desk who reads its knowledge."""
    return sign_in(member("reader", desk=False, name="閲覧"))


def test_a_lesson_goes_from_draft_to_released_to_withdrawn(handler, lead, named_case, partner_of, consult):
    lesson = written(handler, named_case)
    outside = partner_of(consult("別の件"))
    page, stock = reverse("analysis:lesson", args=[lesson.pk]), reverse("analysis:lessons")
    assert outside.get(page).status_code == 404 and "更新の遅れ" not in outside.get(stock).content.decode()
    assert release(lead, lesson).status_code == 302
    seen = outside.get(page).content.decode()
    assert "多要素認証" in seen and named_case.number not in seen and str(named_case.pk) not in seen and "山田" not in seen
    row = Lesson.objects.get()
    assert f"{row.released_at:%Y}" in seen and f"{row.released_at:%Y-%m-%d}" not in seen
    assert "更新の遅れ" in outside.get(stock).content.decode()
    lead.post(reverse("analysis:lesson-withdraw", args=[lesson.pk]), {"reason": "古くなった"})
    assert outside.get(page).status_code == 404 and "更新の遅れ" not in outside.get(stock).content.decode()
    assert "古くなった" in handler.get(page).content.decode()
    assert list(Entry.objects.filter(act__startswith="lesson.").order_by("sequence").values_list("act", flat=True)) == [
        "lesson.written", "lesson.released", "lesson.withdrawn"]


@pytest.mark.parametrize("told", [
    "楓商事では更新が遅れた", "楓 商 事 では", "株式会社楓商事", "山田さんが気づいた", "太郎さんが", "ヤマ yamada@kaede-shoji.example.jp", "kaede-shoji[.]example[.]jp",
    "ｋａｅｄｅ－ｓｈｏｊｉ．ｅｘａｍｐｌｅ．ｊｐ", "ＦＳ０１が暗号化", "fs01 が", "adm-sato で入られた", "ADM\u200b-SATO", "kaede.example の", "10.20.1.11 から",
    "１０.２０.１.１１", "10[.]20[.]1[.]11", "fd00::1 から", "suzuki@other.example に", "0３-1234-5678 に電話", "山\u00ad田"])
def test_what_names_the_victim_stops_the_release(handler, lead, named_case, told):
    lesson = written(handler, named_case, body=f"{PLAIN}\n{told}")
    answer = release(lead, lesson)
    assert answer.status_code == 422 and Lesson.objects.get().state == "draft"
    assert "被害者が分かるかもしれない" in answer.content.decode()


@pytest.mark.parametrize("told", [
    "203.0.113.77 から", "攻撃者の 198.51.100.4 へ", "Administrator で入られた", "田んぼの山", "2026-10-09 09:00-18:00 に", "バージョン 10.2.1",
    "mimikatz と PsExec", "127.0.0.1", "FS1 型番", "https://www.example.com/ の手引き", "8.8.8.8", "12:34:56 に"])
def test_what_names_nobody_goes_out(handler, lead, named_case, told):
    assert release(lead, written(handler, named_case, body=f"{PLAIN}\n{told}")).status_code == 302
    assert Lesson.objects.get().override == ""


def test_names_in_the_title_and_the_english_count_too(handler, lead, named_case):
    for fields in ({"title": "楓商事の件"}, {"title_en": "Taro", "body_en": "about ＹＡＭＡＤＡ@kaede-shoji.example.jp"}):
        assert release(lead, written(handler, named_case, **fields)).status_code == 422


def test_parties_are_named_as_well(handler, lead, named_case, member):
    user = member("partner", desk=False, name="緑川")
    Party.objects.create(case=named_case, organisation=user.memberships.get().organisation)
    assert release(lead, written(handler, named_case, body="連携先緑川が調べた")).status_code == 422


def test_an_override_needs_words_and_is_recorded_without_the_name(handler, lead, named_case):
    lesson = written(handler, named_case, body="楓商事という名の攻撃者")
    assert release(lead, lesson, override="  ").status_code == 422
    assert release(lead, lesson, override="攻撃者の自称で、被害者ではない").status_code == 302
    entry = Entry.objects.get(act="lesson.released")
    assert entry.detail["kinds"] == ["organisation"] and "楓商事" not in str(entry.detail)
    assert "自称" in handler.get(reverse("analysis:lesson", args=[lesson.pk])).content.decode()


def test_only_leads_release_and_withdraw_and_only_the_desk_writes(handler, lead, named_case, partner_of):
    lesson = written(handler, named_case)
    party = partner_of(named_case, sees_findings=True, sees_conversation=True)
    for client in (handler, party):
        assert release(client, lesson).status_code == 404
        assert client.post(reverse("analysis:lesson-withdraw", args=[lesson.pk]), {"reason": "x"}).status_code == 404
    assert party.get(reverse("analysis:lesson-write", args=[named_case.pk])).status_code == 404
    assert party.get(reverse("analysis:lesson-change", args=[lesson.pk])).status_code == 404
    assert Lesson.objects.get().state == "draft"


def test_a_released_lesson_is_not_changed_any_more(handler, lead, named_case):
    lesson = written(handler, named_case)
    change = reverse("analysis:lesson-change", args=[lesson.pk])
    assert handler.post(change, {"title": "別の題", "body": PLAIN}).status_code == 302
    assert release(lead, lesson).status_code == 302
    assert handler.get(change).status_code == 404 == handler.post(change, {"title": "x", "body": "山田"}).status_code
    assert release(lead, lesson).status_code == 404
    assert Lesson.objects.get().title == "別の題"


@pytest.mark.parametrize("fields", [{"title": " "}, {"body": "\u200b"}, {"title_en": "only"}, {"body_en": "only"}])
def test_half_a_lesson_is_refused_with_the_words_kept(handler, named_case, fields):
    given = {"title": "題です", "body": "本文です", **fields}
    answer = handler.post(reverse("analysis:lesson-write", args=[named_case.pk]), given)
    assert answer.status_code == 422 and not Lesson.objects.exists()
    assert all(value.strip(" \u200b") in answer.content.decode() for value in given.values())


def test_strangers_signs_stay_words_and_length_has_an_end(handler, named_case):
    lesson = written(handler, named_case, title="<script>x</script>" + "長" * 500, body="<img src=x onerror=1>\x00\u202e" + "あ" * 50_000,
                     way="'; DROP TABLE", family="<b>" * 200)
    assert len(lesson.title) == 200 and len(lesson.body) == 20_000 and lesson.way == "" and "\x00" not in lesson.body
    for path in (reverse("analysis:lesson", args=[lesson.pk]), reverse("analysis:lessons")):
        page = handler.get(path).content.decode()
        assert "<script>x" not in page and "<img src=x" not in page and "\u202e" not in page


def test_the_list_is_searched_filtered_and_leafed_through(handler, lead, named_case):
    for number in range(35):
        assert release(lead, written(handler, named_case, title=f"教訓{number:02d}", family="Akira" if number % 5 == 0 else "Medusa",
                                     way="mail_attachment" if number % 7 == 0 else "vpn_credential")).status_code == 302
    stock = reverse("analysis:lessons")

    def shown(**asked) -> int:
        return handler.get(stock, asked).content.decode().count("/desk/knowledge/lesson/")
    assert shown() == 30 and shown(page="2") == 5 == shown(way="mail_attachment") and shown(family="Akira") == 7
    assert shown(q="教訓０３") == 1 and shown(q="教訓 34 多要素") == 1 and shown(q="ありません%") == 0 and shown(state="draft") == 0
    assert shown(page="999") == 5 and shown(way="'") == 30


def test_a_new_case_of_the_family_leads_to_the_lesson_and_another_does_not(handler, lead, named_case, consult):
    lesson = written(handler, named_case)
    new, other = consult("新しい件"), consult("別の件")
    for case, family in ((new, "medusa"), (other, "Akira")):
        Analysis.objects.create(case=case, state=State.DONE, result=uuid.uuid4(), summary={
            "evidence": {"verdict": "identified", "family": family}})
        Sign.objects.create(case=case, kind="family", key=key_of("family", family))
    link = reverse("analysis:lesson", args=[lesson.pk])
    assert link not in handler.get(f"/desk/case/{new.pk}/").content.decode()  # a draft is nobody's help
    assert release(lead, lesson).status_code == 302
    assert link in handler.get(f"/desk/case/{new.pk}/").content.decode()
    assert link not in handler.get(f"/desk/case/{other.pk}/").content.decode()


def test_the_form_knows_family_and_way_of_the_case(handler, named_case):
    page = handler.get(reverse("analysis:lesson-write", args=[named_case.pk])).content.decode()
    assert 'value="Medusa"' in page and '<option value="vpn_credential" selected>' in page


@pytest.mark.parametrize(("asker", "told"), [
    ("山田太郎", "担当の山田さんが"), ("山田太郎", "太郎が気づいた"), ("林 太郎", "林さんが気づいた"), ("ヤマダ タロウ", "やまださんは"),
    ("ヤマダ タロウ", "ﾔﾏﾀﾞが"), ("やまだ たろう", "ヤマダが"), ("Taro Mori", "ＭＯＲＩが"), ("Taro Mori", "MoriPC で"), ("Taro Mori", "m o r i と"),
    ("あさひな", "これはアサヒナの"), ("佐々木一郎", "佐々木が"), ("Kaede Foods", "kaedefoodsのサーバー")])
def test_half_of_a_name_and_other_letters_are_the_name(handler, lead, named_case, asker, told):
    named_case.asker_name = asker
    named_case.save()
    assert release(lead, written(handler, named_case, body=f"{PLAIN}\n{told}")).status_code == 422


@pytest.mark.parametrize(("asker", "told"), [
    ("Taro Mori", "memory と memories を見た"), ("林 太郎", "森林の会社"), ("まり", "決まりが止まり、つまり失敗"), ("マリ", "マリン用の装置"),
    ("Ann Grant", "rights were granted"), ("東京大学", "東京の大学と学会"), ("かな", "確かなこと"), ("ABC01", "ABC012 と XABC01")])
def test_a_name_within_an_ordinary_word_is_no_name(handler, lead, named_case, asker, told):
    named_case.asker_name = asker
    named_case.save()
    assert release(lead, written(handler, named_case, body=f"{PLAIN}\n{told}")).status_code == 302


@pytest.mark.parametrize("told", [
    "yamada の端末", "KAEDE のサーバー", "kaede-shoji で", "Fs02 から", "FS03 へ", "198.51.100.200 が", "dc9.corp.local に", "suzuki(at)other(.)example"])
def test_what_the_mail_and_the_findings_tell_of_the_victim_counts(handler, lead, named_case, told):
    row = Analysis.objects.get(case=named_case)
    row.summary["hosts"].append({"name": "198.51.100.200"})
    row.summary |= {"top": [{"hosts": ["FS02", "203.0.113.77"], "accounts": []}], "spread": [{"destination": "FS03"}]}
    row.save()
    assert release(lead, written(handler, named_case, body=f"{PLAIN}\n{told}")).status_code == 422


def test_the_family_s_field_goes_out_too_and_is_looked_at(handler, lead, named_case):
    assert release(lead, written(handler, named_case, family="楓商事の暗号化")).status_code == 422


def test_while_the_case_goes_on_nothing_is_released(handler, lead, named_case):
    named_case.state = CaseState.OPEN
    named_case.save()
    lesson = written(handler, named_case)
    answer = release(lead, lesson)
    assert answer.status_code == 422 and "事案が終わってから" in answer.content.decode()
    assert Lesson.objects.get().state == "draft"


@pytest.mark.parametrize("read", ["", "x", "2020-01-01T00:00:00+00:00"])
def test_only_words_that_the_lead_has_read_are_released(handler, lead, named_case, read):
    lesson = written(handler, named_case)
    read = read or version(lesson)
    handler.post(reverse("analysis:lesson-change", args=[lesson.pk]), {"title": "別の題", "body": PLAIN})
    answer = release(lead, lesson, read=read)
    assert answer.status_code == 422 and "別の題" in answer.content.decode() and Lesson.objects.get().state == "draft"
    assert version(Lesson.objects.get()) in answer.content.decode()
    assert release(lead, lesson).status_code == 302


def test_outside_the_desk_a_draft_and_a_withdrawn_one_are_like_none(handler, lead, named_case, member, sign_in):
    reader, lesson = reader_of(member, sign_in), written(handler, named_case)
    none = reader.get(reverse("analysis:lesson", args=[uuid.uuid4()]))

    def is_like_none() -> bool:
        told = reader.get(reverse("analysis:lesson", args=[lesson.pk]))
        stock = reader.get(reverse("analysis:lessons"), {"q": "更新"}).content.decode()
        return (told.status_code, told.content) == (none.status_code, none.content) and "Medusa" not in stock
    assert none.status_code == 404 and is_like_none()
    release(lead, lesson)
    assert not is_like_none()
    lead.post(reverse("analysis:lesson-withdraw", args=[lesson.pk]), {"reason": "  "})
    assert not is_like_none()  # without a reason nothing is withdrawn
    lead.post(reverse("analysis:lesson-withdraw", args=[lesson.pk]), {"reason": "古い"})
    assert is_like_none()


def test_readers_see_a_month_and_neither_day_nor_case_nor_people(handler, lead, named_case, member, sign_in):
    lesson = written(handler, named_case)
    release(lead, lesson)
    at = Lesson.objects.get().released_at
    for path in (reverse("analysis:lesson", args=[lesson.pk]), reverse("analysis:lessons")):
        page = reader_of(member, sign_in).get(path).content.decode()
        assert "更新の遅れ" in page and not any(word in page for word in (
            named_case.number, str(named_case.pk), "責任者", "佐藤", f"{at:%Y-%m-%d}", f"{at:%Y/%m/%d}"))


def test_a_new_case_with_the_same_way_in_leads_to_the_lesson(handler, lead, named_case, consult):
    lesson = written(handler, named_case, family="")
    assert release(lead, lesson).status_code == 302
    link = reverse("analysis:lesson", args=[lesson.pk])
    likely, confirmed, near = consult("推定"), consult("確認"), consult("別")
    Analysis.objects.create(case=likely, state=State.DONE, result=uuid.uuid4(), summary={
        "entry": [{"kind": "vpn_credential"}, {"kind": "exposed_rdp"}]})
    Analysis.objects.create(case=near, state=State.DONE, result=uuid.uuid4(), summary={
        "entry": [{"kind": "exposed_rdp"}, {"kind": "vpn_credential"}]})
    Sign.objects.create(case=confirmed, kind="way", key="way:vpn_credential|CVE-2024-40766|")
    Sign.objects.create(case=near, kind="way", key="way:vpn|vpn_credential|")
    desk = Viewer.of(User.objects.get(name="佐藤"))
    for case, count in ((likely, 1), (confirmed, 1), (near, 0), (named_case, 0)):  # not its own
        assert len(reads(case, desk)) == count
    assert link in handler.get(f"/desk/case/{confirmed.pk}/").content.decode()

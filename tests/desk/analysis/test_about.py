"""Actors and ways in on the case page, what people confirm there, and what of it counts as the desk's own data."""

from __future__ import annotations

import pytest

from hikeshi.report.words import Words
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis import about, attribution, service
from hikeshi_desk.analysis.models import Analysis, Sign, State
from hikeshi_desk.analysis.signs import key_of
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.models import Message

pytestmark = pytest.mark.django_db
WAY = "way:vulnerability|CVE-2026-11111|Example VPN"


@pytest.fixture
def of_family(consult):
    """A case of a family, with a way in that a person confirmed."""
    def make(family: str = "Akira", way: str = WAY, contact: str = "", **fields):
        case = consult("x", anonymous=not contact, contact=contact, **fields)
        Analysis.objects.create(case=case, state=State.DONE, result=case.pk, finished_at=case.opened_at, summary={
            "evidence": {"verdict": "identified", "family": family, "candidates": [], "records": []}, "counts": {}})
        Sign.objects.create(case=case, kind="family", key=key_of("family", family))
        if way:
            Sign.objects.create(case=case, kind="way", key=way)
        return case
    return make


def page_of(client, case) -> str:
    return client.get(f"/desk/case/{case.pk}/").content.decode()


def test_the_kinds_are_those_the_library_tells_apart():
    from hikeshi.trace.entry import TECHNIQUES

    told_apart = set(TECHNIQUES) - {"unknown"}  # nobody confirms that
    assert told_apart < set(attribution.KINDS)
    for kind in told_apart:
        for language in ("ja", "en"):
            assert text(f"knowledge.way.{kind}", language=language) == Words(language).of("kind", kind)


def test_the_case_page_names_actors_with_confidence_and_source_and_says_where_data_is_missing(of_family, handler):
    page = page_of(handler, of_family(way=""))
    for words in ("攻撃者と侵入の手口: Akira", "使うと報告されている攻撃者", "確度 中", "MITRE ATT&amp;CK", "最近の侵入の手口（過去 90 日）",
                  "過去90日の新しいデータはありません", "CVE-2024-40766", "公開機器の脆弱性の悪用 (T1190)", "種別がわかっても、誰の仕業かはわかりません"):
        assert words in page, words
    english = handler
    english.post("/language/", {"language": "en"})
    assert "No recent data (last 90 days)" in page_of(english, of_family(way=""))


def test_candidates_are_told_of_too_and_an_unknown_family_is_no_empty_page(of_family, handler):
    case = of_family(way="")
    row = case.analysis
    row.summary["evidence"] |= {"verdict": "candidates", "family": None, "candidates": [
        {"family": name, "score": 0.4, "reasons": [], "records": []} for name in ("Akira", "LockBit", "Nobody knows")]}
    row.save()
    page = page_of(handler, case)
    for words in ("攻撃者と侵入の手口: Akira", "攻撃者と侵入の手口: LockBit", "使う攻撃者の報告は、この知識にはありません"):
        assert words in page, words
    row.summary["evidence"] |= {"verdict": "unknown", "candidates": []}
    row.save()
    page = page_of(handler, case)
    assert "攻撃者と侵入の手口: " not in page and "最初にすること" in page


@pytest.mark.parametrize(("cases", "shown"), [(2, False), (3, True)])
def test_own_cases_count_from_three_for_the_desk(of_family, handler, cases, shown):
    for number in range(cases):
        of_family(contact=f"p@org{number}.example.jp", asker_name="CANARY")
    case = of_family(way="")
    page = page_of(handler, case)
    assert ("CVE-2026-11111 Example VPN" in page) is shown
    assert "CANARY" not in page.split('id="analysis"')[1].split('id="analysis-asked"')[0]
    if shown:
        assert "5件未満" in page.split('findings ways"')[1].split("</table>")[0]
        assert "窓口の中だけ" in page and "この窓口の相談で確認した手口です" in page


def test_others_are_told_from_five_cases_of_three_organisations(of_family):
    for number in range(5):
        of_family(contact=f"p{number}@org{number % 2}.example.jp")
    rows = list(about.of_family("Akira"))
    assert len(rows) == 5
    assert about.own_ways(rows, 90, for_desk=False) == []  # two organisations
    assert len(about.own_ways(rows, 90, for_desk=True)) == 1
    of_family(contact="p@org3.example.jp")
    (row,) = about.own_ways(list(about.of_family("Akira")), 90, for_desk=False)
    assert row.count == "5〜9件" and row.note == ""


def test_old_cases_other_families_and_merged_ones_do_not_count(of_family):
    from datetime import timedelta

    old, merged = of_family(), of_family()
    old.opened_at -= timedelta(days=91)
    old.save()
    merged.state = "merged"
    merged.save()
    of_family("LockBit")
    assert list(about.of_family("Akira")) == []


def test_a_person_confirms_actor_and_way_and_withdraws_them(of_family, handler, partner_of):
    case = of_family(way="")
    base = f"/desk/case/{case.pk}/analysis/"
    handler.post(f"{base}actor/", {"actor": "Akira", "sure": "low", "reason": "同じ連絡先"})
    handler.post(f"{base}way/", {"kind": "vulnerability", "cve": "cve-2026-11111", "product": "Example|VPN\n<b>", "reason": "ログ"})
    page = page_of(handler, case)
    for words in ("Akira (確度 低)", "脆弱性の悪用: CVE-2026-11111 Example/VPN &lt;b&gt;", "佐藤、根拠: 同じ連絡先"):
        assert words in page, words
    assert Sign.objects.get(case=case, kind="way").key == "way:vulnerability|CVE-2026-11111|Example/VPN <b>"
    assert Message.objects.filter(case=case, kind=Message.Kind.NOTE).count() == 2
    # A party sees what is confirmed, not by whom or why, and can't act.
    client = partner_of(case, sees_findings=True)
    page = page_of(client, case)
    assert "脆弱性の悪用" in page and "佐藤" not in page and "同じ連絡先" not in page
    for act in ("actor", "way", "withdraw"):
        assert client.post(f"{base}{act}/", {"what": "way"}).status_code == 404
    handler.post(f"{base}withdraw/", {"what": "way"})
    handler.post(f"{base}withdraw/", {"what": "way"})
    assert not Sign.objects.filter(case=case, kind="way").exists()
    acts = [act for act in Entry.objects.order_by("sequence").values_list("act", flat=True) if act.startswith("analysis.")]
    assert acts == ["analysis.actor_confirmed", "analysis.way_confirmed", "analysis.way_withdrawn"]


@pytest.mark.parametrize(("act", "given"), [
    ("actor", {"actor": "", "other": "  ", "sure": "low", "reason": "x"}), ("actor", {"actor": "A", "sure": "sure", "reason": "x"}),
    ("actor", {"actor": "A", "sure": "low", "reason": " "}), ("way", {"kind": "magic", "reason": "x"}),
    ("way", {"kind": "supplier", "cve": "CVE-1", "reason": "x"}), ("way", {"kind": "supplier", "reason": ""}),
    ("withdraw", {"what": "everything"}), ("withdraw", {}),
])
def test_half_a_confirmation_is_none(of_family, handler, act, given):
    case = of_family(way="")
    assert handler.post(f"/desk/case/{case.pk}/analysis/{act}/", given).status_code == 302
    assert Analysis.objects.get(case=case).confirmed == {}
    assert not Entry.objects.filter(act__contains="confirmed").exists()


def test_a_confirmed_way_outlives_the_next_analysis(consult, handler, note):
    case = consult(note)
    service.analyse_now(case.pk)
    handler.post(f"/desk/case/{case.pk}/analysis/way/", {"kind": "supplier", "reason": "x"})
    service.analyse_now(case.pk)
    assert Sign.objects.filter(case=case, kind="way", key="way:supplier||").exists()
    assert Sign.objects.filter(case=case, kind="family").exists()


def test_a_reply_tells_the_ways_in_the_askers_language_and_own_cases_only_where_they_may_leave(of_family, handler):
    for number in range(3):
        of_family(contact=f"p@org{number}.example.jp")
    case = of_family(way="", language="en")

    def draft() -> str:
        page = handler.get(f"/desk/case/{case.pk}/?template=ways").content.decode()
        return page.split('id="reply-body"')[1].split("</textarea>")[0]
    told = draft()
    assert "no recent data for the last 90 days" in told and "CVE-2026-11111" not in told
    for number in range(2):
        of_family(contact=f"p@other{number}.example.jp")
    told = draft()
    assert "Vulnerability exploited: CVE-2026-11111 Example VPN" in told and "5 to 9" in told
    assert "org0" not in told and not any("\u3040" <= sign <= "\u30ff" for sign in told)


def test_an_actors_page_counts_the_cases_in_which_a_person_confirmed_the_actor(of_family, handler, member, sign_in):
    for number in range(3):
        case = of_family(contact=f"p@org{number}.example.jp", family="LockBit")
        Sign.objects.create(case=case, kind="actor", key=key_of("actor", "Akira"))
    assert "CVE-2026-11111" in handler.get("/desk/knowledge/actor/Akira/").content.decode()
    partner = sign_in(member("partner", desk=False, name="FR"))
    assert "CVE-2026-11111" not in partner.get("/desk/knowledge/actor/Akira/").content.decode()
    assert "CVE-2026-11111" not in handler.get("/desk/knowledge/family/akira/").content.decode()

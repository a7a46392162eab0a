"""The report: what it says, in both languages, from a case written here."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser

import pytest

from hikeshi.knowledge.advice import sections_for
from hikeshi.knowledge.vectors import actors_of, recent_vectors
from hikeshi.model.case import (
    C2,
    Account,
    BlockEntry,
    Candidate,
    Case,
    EntryCandidate,
    Exfiltration,
    Host,
    Identification,
    Isolate,
    LogGap,
    NotRead,
    Persistence,
    Remark,
    Spread,
    Story,
    TimelineEntry,
)  # fmt: skip
from hikeshi.model.evidence import EvidenceItem, RecordRef
from hikeshi.model.finding import Finding
from hikeshi.model.text import Text
from hikeshi.report import Activity, ReportInput, write_report
from hikeshi.report.html import render_html
from hikeshi.report.spread import draw_spread
from hikeshi.report.view import build_view
from hikeshi.report.words import Words, all_words

SHA = "ab" * 32
START = datetime(2026, 10, 5, 16, 20, tzinfo=UTC)


def ref(record: int) -> RecordRef:
    return RecordRef("DC01/Security.evtx", SHA, record_id=record)


def iso(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def text(word: str) -> Text:
    return Text(f"{word}のため", f"because of {word}")


def host(name: str, n: int) -> Host:
    return Host(confidence="high", records=(ref(n),), name=name, addresses=("10.1.0.5",), first=iso(n),
                last=iso(n + 9), reasons=(text("ログオン"),))


def worked_case(hosts: int = 6) -> Case:
    names = ["RDS01", "DC01", "FS01", "FS02", "SQL01", *(f"PC{n:03}" for n in range(hosts))][:max(hosts, 2)]
    steps = tuple(Spread(confidence=("high", "medium", "low")[n % 3], records=(ref(n),), time=iso(30 + n * 3),
                         source=names[0], destination=name, account="adm-kato", method="psexec_service",
                         technique="T1569.002") for n, name in enumerate(names[1:]))
    story = Story(
        entry_candidates=(EntryCandidate(
            confidence="high", records=(RecordRef("firewall/fortigate.log", SHA, line=12),), rank=1, time=iso(0),
            kind="vpn_credential", technique="T1133", source="203.0.113.45", account="t.mori", host="RDS01",
            reasons=(text("失敗の直後の成功"),)),),
        compromised_hosts=tuple(host(n, i) for i, n in enumerate(names)),
        encrypted_hosts=tuple(host(n, i) for i, n in enumerate(names[1:3])),
        compromised_accounts=(Account(confidence="high", records=(ref(3),), name="t.mori", kind="vpn"),),
        accounts_to_reset=(Account(confidence="medium", records=(ref(4),), name="krbtgt", kind="service"),),
        c2=(C2(confidence="high", records=(ref(5),), value="c2.example", type="domain", known=True, first=iso(1),
               last=iso(50), clients=("10.1.0.5",)),),
        spread=steps,
        exfiltration=(Exfiltration(confidence="medium", records=(ref(9),), kind="proxy_upload", source="FS01",
                                   destination="198.51.100.7", bytes=8_123_456_789, first=iso(60), last=iso(90)),),
        persistence=(Persistence(confidence="high", records=(ref(8),), host="FS01", kind="remote_tool", name="AnyDesk",
                                 path="C:\\ProgramData\\AnyDesk.exe", time=iso(40)),),
        log_gaps=(LogGap(confidence="high", records=(ref(7),), host="FS01", log="Security", kind="cleared",
                         first=iso(80), last=None),),
        timeline=(TimelineEntry(time=iso(0), ja="VPNに入られました。", en="They entered through the VPN.",
                                confidence="high", records=(ref(1),)),),
        block_list=(BlockEntry(confidence="high", value="c2.example", type="domain", where=("proxy", "dns")),),
        isolate=(Isolate(confidence="high", name="FS01", reason=text("暗号化")),),
        explained=(Remark(confidence="high", subject="JUMP01", reason=text("日常の管理作業")),),
    )
    return Case(
        Identification(confidence="high", verdict="identified", family="Akira",
                       candidates=(Candidate(confidence="high", records=(RecordRef("FS01/akira_readme.txt", SHA, line=3),),
                                             family="Akira", score=0.97, reasons=(text("拡張子"),)),)),
        story, (NotRead(confidence="high", path="broken.evtx", reason=Text("空のファイルです。", "The file is empty.")),))


def report_input(case: Case | None = None, **changes: object) -> ReportInput:
    finding = Finding("f1", "detection", "high", Text("影のコピーの削除", "Shadow copies deleted"), iso(70), (ref(70),),
                      text("コマンド"), Text("バックアップを確認します。", "Check the backups."), hosts=("FS01",), count=4)
    base = ReportInput(
        case=case or worked_case(), findings=(finding,),
        items=(EvidenceItem("DC01/Security.evtx", SHA, 1_068_000, format="evtx", zone="UTC", records=12_345, rejected=2),),
        activity=(Activity("DC01 Security", {494_000: 5, 494_001: 9, 494_020: 3}, iso(0), iso(99)),),
        generated_at=datetime(2026, 10, 6, tzinfo=UTC), versions={"hikeshi": "0.1.0"},
        first_steps=(Text("機器をネットワークから切り離します。", "Take the hosts off the network."), text("証拠")),
        not_to_do=(Text("電源を切りません。", "Do not switch off."),), rules=Text("70本", "70 rules"))
    return replace(base, **changes)  # type: ignore[arg-type]


def visible(view_html: str, language: str) -> str:
    part = view_html.split(f'<div class="{language}" lang="{language}">')[1].split("<footer")[0]
    return re.sub(r"<[^>]+>", " ", part.split('<div class="en" lang="en">')[0] if language == "ja" else part)


class Structure(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.external: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [v for k, v in attrs if k == "id" and v]
        for key in ("href", "src", "xlink:href"):
            target = values.get(key)
            if target and target.startswith("#"):
                self.links.append(target[1:])
            elif target:
                self.external.append(target)


def test_the_first_screen_answers_the_five_questions_in_both_languages():
    page = write_report(report_input())["report.html"].decode()
    ja, en = visible(page, "ja"), visible(page, "en")
    for words in ("Akira の可能性が高い", "機器をネットワークから切り離します。", "VPNの認証情報の悪用", "203.0.113.45",
                  "6 台が侵害され、うち 2 台が暗号化", "t.mori", "1 件のファイルを読めず、2 件の記録"):
        assert words in ja
    for words in ("Very likely Akira", "Take the hosts off the network.", "VPN credential abused",
                  "6 hosts compromised, of which encrypted: 2 hosts", "Not readable: 1 file. Damaged: 2 records."):
        assert words in en


def test_the_page_needs_no_script_and_no_other_file():
    page = write_report(report_input())["report.html"].decode()
    seen = Structure()
    seen.feed(page)
    assert "script" not in seen.tags and not seen.external
    assert not re.search(r"\son\w+=", page)


def test_every_citation_leads_to_its_record():
    page = write_report(report_input())["report.html"].decode()
    seen = Structure()
    seen.feed(page)
    assert seen.links and set(seen.links) <= set(seen.ids)
    assert len(seen.ids) == len(set(seen.ids))


def test_it_says_unknown_instead_of_guessing():
    empty = Case(Identification(confidence="low", verdict="unknown"))
    page = write_report(report_input(empty, findings=(), items=(), activity=(), first_steps=()))["report.html"].decode()
    ja = visible(page, "ja")
    assert "ランサムウェアの痕跡は見つかっていません" in ja
    assert "わかりません。渡されたログに入口を示す記録がありません。" in ja
    assert "イベントは1件も読み取れませんでした。" in ja


def test_an_encrypted_host_without_a_name_is_unknown_and_not_harmless():
    case = Case(Identification(confidence="low", verdict="unknown"), Story(encrypted_hosts=(host("FS01", 1),)))
    assert build_view(report_input(case), "en").answers[0].answer == "Unknown"


def test_text_from_evidence_stays_text():
    nasty = '<img src=x onerror=alert(1)>\x1b[31m\u202e"\'&'
    case = worked_case()
    story = replace(case.story, compromised_hosts=(replace(case.story.compromised_hosts[0], name=nasty),),
                    spread=(replace(case.story.spread[0], destination=nasty, account=nasty),))
    views = tuple(build_view(report_input(replace(case, story=story)), lang) for lang in ("ja", "en"))
    page = render_html(views)  # type: ignore[arg-type]
    seen = Structure()
    seen.feed(page)
    assert "img" not in seen.tags and "\x1b" not in page and "\u202e" not in page
    assert "\\u202e" in page


def test_addresses_of_the_attacker_can_not_be_opened_by_a_slip():
    page = write_report(report_input())["report.html"].decode()
    assert "c2[.]example" in page and "c2.example" not in page


def test_the_same_input_gives_the_same_bytes():
    assert write_report(report_input()) == write_report(report_input())


def test_a_spread_beyond_thirty_hosts_is_grouped():
    svg = draw_spread(worked_case(60).story, Words("en"), UTC)
    assert "RDS01" in svg and "+5" in svg and svg.count("<text") < 120


def test_a_spread_of_twelve_hosts_shows_each():
    svg = draw_spread(worked_case(12).story, Words("en"), UTC)
    assert all(name in svg for name in ("DC01", "FS01", "PC006")) and "+" not in svg


def test_every_word_has_both_languages_and_is_used_with_the_same_values():
    for key, word in all_words().items():
        assert set(re.findall(r"{(\w+)}", word.ja)) == set(re.findall(r"{(\w+)}", word.en)), key


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="pdftotext is not installed (poppler-utils)")
def test_the_pdf_holds_the_answers_as_text(tmp_path):
    pdf = tmp_path / "report.pdf"
    pdf.write_bytes(write_report(report_input())["report.pdf"])
    said = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    assert "Akira の可能性が高い" in said and "Very likely Akira" in said and "TLP:AMBER" in said


def known() -> dict[str, object]:
    return {"advice": sections_for("akira", "ransomware"), "actors": actors_of("blackcat"),
            "vectors": recent_vectors("clop", date(2026, 10, 6))}


def test_advice_actors_and_ways_in_are_told_with_their_marks():
    html = render_html((build_view(report_input(**known()), "ja"), build_view(report_input(**known()), "en")))
    japanese, english = visible(html, "ja"), visible(html, "en")
    assert "Duties to report (Japan) (unverified)" in english and "届出と連絡（日本） (未確認)" in japanese
    assert "Announced: Avast (2023-06)" in english and "Nothing is recommended here" in english
    assert "Scattered Spider" in english and "does not say that they are behind this case" in english
    assert "No recent data (last 90 days)" in english and "過去90日の新しいデータはありません" in japanese
    assert english.index("Older records") < english.index("CVE-2023-34362") < english.index("Techniques in ATT&amp;CK (undated)")


def test_without_a_named_family_nobody_is_named():
    view = build_view(report_input(advice=sections_for(None, "unknown")), "en")
    assert "who" not in {section.id for section in view.sections}
    assert "advice" in {section.id for section in view.sections}
    assert "who" not in {section.id for section in build_view(report_input(), "en").sections}


@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_term_is_explained_where_it_is_met_first_and_in_a_list(language):
    view = build_view(report_input(**known()), language)
    page = Structure()
    html = render_html((view, view))
    page.feed(html)
    cells = [c for a in view.answers for c in a.details] + [
        c for s in view.sections for b in s.blocks for row in (b.items, *b.rows) for c in row]
    marked = [one for cell in cells for _, _, one in cell.terms]
    assert "krbtgt" in marked and len(marked) == len(set(marked))
    assert [one for one, _, _ in view.words] == marked
    rows = next(s for s in view.sections if s.id == "words").blocks[0].rows
    assert [(row[0].text, row[1].text) for row in rows] == [(term, meaning) for _, term, meaning in view.words]
    for one in marked:
        assert f'popovertarget="{language}-t-{one}"' in html and f'id="{language}-t-{one}"' in html
    assert "<script" not in html


def test_names_and_records_are_not_taken_for_terms():
    view = build_view(report_input(unknowns=(Text("記録なし", "no record"),), not_to_do=(), first_steps=(text("x"),)), "en")
    mono = [c for a in view.answers for c in a.details if c.mono]
    assert mono and all(not c.terms for c in mono)


def test_a_hostile_text_with_a_term_stays_text():
    evil = Text('VPN<script>alert(1)</script>"VPN', 'VPN<script>alert(1)</script>"VPN')
    view = build_view(report_input(not_to_do=(evil,)), "en")
    html = render_html((view, view))
    assert "<script" not in html and "VPN</button>&lt;script&gt;" in html


def first_answers(entry: EntryCandidate | None, hosts: int, encrypted: int, language: str) -> str:
    case = worked_case()
    told = replace(case.story, encrypted_hosts=case.story.encrypted_hosts[:encrypted],
                   compromised_hosts=case.story.compromised_hosts[:hosts], spread=case.story.spread[:1],
                   entry_candidates=(entry,) if entry else ())
    view = build_view(report_input(replace(case, story=told)), language)
    return " | ".join([a.answer for a in view.answers] + [c.text for a in view.answers for c in a.details])


def test_nothing_is_counted_that_is_not_there():
    japanese, english = first_answers(None, 1, 0, "ja"), first_answers(None, 1, 0, "en")
    assert "1 台が侵害されています。暗号化された機器は見つかっていません" in japanese and "0 台" not in japanese
    assert "1 host compromised; none found encrypted" in english and "1 hosts" not in english
    assert "1 host, 1 account" in english and "One move, " in english
    assert "うち 1 台が暗号化" in first_answers(None, 4, 1, "ja") and "encrypted: 1 host |" in first_answers(None, 4, 1, "en")


@pytest.mark.parametrize(("changes", "ja", "en"), [
    ({"kind": "mail_attachment", "source": None, "account": "y.mori", "host": "PC01"},
     "メールの添付ファイル: y.mori が PC01 で開きました", "Mail attachment: opened by y.mori on PC01"),
    ({"kind": "web_shell", "account": None, "host": "WEB01"}, "Webシェル: 203.0.113.45 から WEB01 へ",
     "Web shell: from 203.0.113.45 to WEB01"),
    ({"kind": "mail_attachment", "source": None, "account": None, "host": None}, "メールの添付ファイル |", "Mail attachment |")])
def test_of_the_way_in_only_the_known_is_told(changes, ja, en):
    entry = replace(worked_case().story.entry_candidates[0], **changes)
    japanese, english = first_answers(entry, 3, 0, "ja"), first_answers(entry, 3, 0, "en")
    assert ja in japanese and en in english and "不明" not in japanese and "unknown" not in english


def test_an_empty_section_says_what_it_means():
    case = worked_case()
    bare = replace(case, identification=replace(case.identification, candidates=()))
    told = visible(render_html((build_view(report_input(bare), "ja"), build_view(report_input(bare), "en"))), "en")
    assert "No candidate." in told and "Of machines and times without logs nothing can be said" in told


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="pdftotext is not installed (poppler-utils)")
def test_the_english_pages_have_an_english_head_and_only_long_names_may_break(tmp_path):
    pdf = tmp_path / "report.pdf"
    long = "a" * 64
    pdf.write_bytes(write_report(report_input(unknowns=(Text(f"この操作をした端末を、同じ時刻の前後の記録から、すべて探して順番に並べてください。{long}",
                                                             f"Look for it. {long}"),)))["report.pdf"])
    said = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True).stdout
    pages = said.split("\f")
    assert "First-response report" in pages[-2].splitlines()[0] and "初動分析レポート" in pages[0].splitlines()[0]
    assert not re.search("[ぁ-ん一-龥]\u200b", said) and "aaaaaaaa\u200baaaaaaaa" in said


def test_what_the_machine_wrote_is_told_in_the_reader_s_language():
    item = EvidenceItem("a.evtx", SHA, 9, format="evtx", records=1, problems=("records without a readable time (7)", "odd thing (2)"))
    html = render_html((build_view(report_input(items=(item,)), "ja"), build_view(report_input(items=(item,)), "en")))
    japanese, english = visible(html, "ja"), visible(html, "en")
    assert "一部: 時刻を読めない記録 (7); odd thing (2)" in japanese and "records without a readable time (7)" in english
    assert "12 行目" in japanese and "記録 3" in japanese and "line 12" in english and "record 3" in english


def test_short_values_are_kept_whole_on_paper_and_sentences_share_the_rest():
    tables = {s.id: b for s in build_view(report_input(), "en").sections for b in s.blocks if b.kind == "table"}
    columns = dict(zip(tables["hosts"].columns, tables["hosts"].widths, strict=True))
    assert columns["Host"] == columns["Confidence"] == 0 < columns["From – until"]
    assert all(any(table.widths) for table in tables.values())

"""Who sees what of an analysis, what the pages send, and what a handler can do there."""

from __future__ import annotations

import pytest

from hikeshi_desk.analysis import folder, service
from hikeshi_desk.analysis.models import Analysis, State
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.models import Message

pytestmark = pytest.mark.django_db
LOG = b"2026-10-09T01:02:03+09:00 host sshd[1]: Failed password for root from 203.0.113.7 port 4242 ssh2\n"
RESULTS = ("findings/", "findings.jsonl", "report/", "report.pdf", "spread.svg")


def page_of(client, case) -> str:
    return client.get(f"/desk/case/{case.pk}/").content.decode()


def results_of(client, case) -> list[int]:
    return [client.get(f"/desk/case/{case.pk}/analysis/{name}").status_code for name in RESULTS]


def test_the_desk_sees_it_all(handler, analysed):
    case = analysed()
    page = page_of(handler, case)
    for words in ("Medusa と見られます", "最初にすること", "侵入経路の候補", "VPNの認証情報の悪用", "わかっていないこと", "読めなかったもの",
                  "壊れた.zip", "CANARY 資料.zip!/FS01/", "ほかでも起きているか", "検出をすべて見る"):
        assert words in page, words
    assert results_of(handler, case) == [200] * 5


def test_a_party_that_sees_findings_sees_them_and_nothing_of_words_or_other_cases(partner_of, analysed, note):
    case = analysed()
    row = case.analysis
    row.summary["words"] = {"verdict": "identified", "family": "OTHERFAMILY", "advice_ids": [], "candidates": [],
                            "actors": [], "records": []}
    row.asked = {"given": "PASTED", "at": "2026-10-01T00:00:00+00:00", "answer": row.summary["words"]}
    row.change = {"at": "2026-10-01T00:00:00+00:00", "before": {"verdict": "unknown"}, "after": {"verdict": "unknown"}}
    row.save()
    client = partner_of(case, sees_findings=True)
    page = page_of(client, case)
    assert "Medusa と見られます" in page and "検出をすべて見る" in page
    for words in ("OTHERFAMILY", "PASTED", "ほかでも起きているか", "答えが変わりました", "analysis/ask/", "analysis/again/",
                  "template=analysis"):
        assert words not in page, words
    # Even where only the words name a family.
    row.summary["evidence"] |= {"verdict": "unknown", "family": None, "candidates": []}
    row.save()
    page = page_of(client, case)
    assert "OTHERFAMILY" not in page and "種別はわかりません" in page
    assert results_of(client, case) == [200] * 5
    for act in ("again", "ask", "confirm"):
        assert client.post(f"/desk/case/{case.pk}/analysis/{act}/", {"given": "x"}).status_code == 404
    assert "していただきたいこと" not in client.get(f"/desk/case/{case.pk}/?template=analysis").content.decode()


@pytest.mark.parametrize("scope", [{}, {"sees_conversation": True, "sees_files": True, "sees_indicators": True}])
def test_other_parties_see_what_does_not_exist(partner_of, analysed, scope):
    case = analysed()
    client = partner_of(case, **scope)
    page = page_of(client, case)
    assert "Medusa" not in page and "資料の解析" not in page
    missing = client.get("/no/such/page/")
    for name in RESULTS:
        answer = client.get(f"/desk/case/{case.pk}/analysis/{name}")
        assert (answer.status_code, answer.content) == (404, missing.content)


def test_a_party_of_another_case_and_one_that_left_see_nothing(partner_of, analysed):
    from hikeshi_desk.cases.models import Party

    case, other = analysed(), analysed("別の相談")
    client = partner_of(other, sees_findings=True)
    assert results_of(client, case) == [404] * 5
    left = partner_of(case, sees_findings=True)
    Party.objects.filter(case=case).update(removed_at=case.opened_at)
    assert results_of(left, case) == [404] * 5


def test_words_alone_are_nothing_for_a_party(partner_of, consult, note, handler):
    case = consult(note)
    service.analyse_now(case.pk)
    assert "Medusa と見られます" in page_of(handler, case)
    assert "Medusa" not in page_of(partner_of(case, sees_findings=True), case)


def test_the_report_runs_no_script_and_has_no_origin(handler, analysed):
    answer = handler.get(f"/desk/case/{analysed().pk}/analysis/report/")
    policy = answer["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "allow-" not in policy and "script-src" not in policy
    assert answer["X-Frame-Options"] == "DENY" and answer["Cache-Control"] == "no-store"
    picture = handler.get(f"/desk/case/{analysed().pk}/analysis/spread.svg")
    assert picture["Content-Type"] == "image/svg+xml"
    assert picture["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


def test_the_panel_takes_two_statements_however_much_was_found(handler, analysed, consult, django_assert_max_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def statements(case) -> list[str]:
        page_of(handler, case)
        with CaptureQueriesContext(connection, ) as seen:
            page_of(handler, case)
        return [one["sql"] for one in seen.captured_queries if "analysis_" in one["sql"]]

    many = analysed()
    for number in range(7):
        analysed(f"ほか {number}")
    assert len(statements(many)) == 2
    assert len(statements(consult())) == 1


def test_findings_are_filtered_counted_and_leafed_through(handler, analysed):
    case = analysed()
    base = f"/desk/case/{case.pk}/analysis/findings/"
    rows = [dict(row) for row in __import__("hikeshi_desk.analysis.run", fromlist=["read_rows"]).read_rows(
        case.analysis.result)]
    critical = [row for row in rows if row["level"] == "critical"]
    assert critical
    page = handler.get(base + "?level=critical").content.decode()
    assert f"{len(critical)} 件中" in page and f"重大 ({len(critical)})" in page
    host = next(row["hosts"][0] for row in critical if row["hosts"])
    both = [row for row in critical if host in row["hosts"]]
    assert f"{len(both)} 件中" in handler.get(base, {"level": "critical", "host": host}).content.decode()
    assert "この絞り込みにあたる検出はありません" in handler.get(base + "?host=nobody").content.decode()
    folder.write(folder.of(case.analysis.result) / folder.PAGE, folder.lines((rows * 60)[:120]))
    second = handler.get(base + "?page=2").content.decode()
    assert "51〜100 件目" in second and 'rel="prev"' in second and 'rel="next"' in second
    for odd in ("0", "-1", "x", "9" * 30, "٣", "999"):
        assert handler.get(base, {"page": odd}).status_code == 200
    assert handler.get(base + "?level=%00&host=<b>x").status_code == 200


def test_names_from_evidence_are_shown_harmless(handler, analysed):
    case = analysed()
    row = case.analysis
    row.summary["top"][0]["records"][0]["path"] = "<script>alert(1)</script>\u202egpj.exe"
    row.save()
    page = page_of(handler, case)
    assert "<script>alert(1)" not in page and "\u202e" not in page


@pytest.mark.parametrize(("given", "verdict"), [
    ("NOTE", "Medusa と見られます"), (".lockbit", "LockBit と見られます"), ("!!!READ_ME_MEDUSA!!!.txt", "Medusa と見られます"),
    ("会議の資料を送ります。よろしくお願いします。", "ランサムウェアの跡は見つかっていません"), ("invoice.pdf", "ランサムウェアの跡は見つかっていません"),
])
def test_a_pasted_note_or_name_is_answered_at_once_and_kept(handler, consult, note, given, verdict):
    case = consult()
    given = note if given == "NOTE" else given
    answer = handler.post(f"/desk/case/{case.pk}/analysis/ask/", {"given": given})
    assert answer.status_code == 302
    kept = Message.objects.get(case=case, kind=Message.Kind.NOTE)
    assert verdict in kept.body and given.strip() in kept.body
    assert verdict in page_of(handler, case)
    assert Entry.objects.filter(act="analysis.asked").count() == 1
    assert case.analysis.state == State.IDLE  # no job


@pytest.mark.parametrize("given", ["", "   ", "\0", "\r\n"])
def test_nothing_pasted_is_nothing_asked(handler, consult, given):
    case = consult()
    assert handler.post(f"/desk/case/{case.pk}/analysis/ask/", {"given": given}).status_code == 302
    assert not Message.objects.filter(case=case, kind=Message.Kind.NOTE).exists()


def test_odd_pasted_text_harms_nobody(handler, consult):
    case = consult()
    for given in ("a\0b", "\u202e" * 500, "(" * 90_000, ".txt " * 20_000, "ransom " + "!" * 80_000, "𠮷" * 1000, "\ud83d"):
        sent = given.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        assert handler.post(f"/desk/case/{case.pk}/analysis/ask/", {"given": sent}).status_code == 302


def test_run_again_is_logged_and_needs_something_to_look_at(handler, analysed, consult):
    case = analysed()
    handler.post(f"/desk/case/{case.pk}/analysis/again/")
    assert Analysis.objects.get(case=case).state == State.WAITING
    assert Entry.objects.filter(act="analysis.again").count() == 1
    empty = consult("複合機が動きません")
    handler.post(f"/desk/case/{empty.pk}/analysis/again/")
    assert not Analysis.objects.filter(case=empty).exclude(state=State.IDLE).exists()


def test_the_draft_tells_what_was_found_and_what_to_do_in_the_asker_s_language(handler, analysed):
    japanese, english = analysed(), analysed("Files can't be opened", language="en")
    page = handler.get(f"/desk/case/{japanese.pk}/?template=analysis").content.decode()
    draft = page.split('id="reply-body"')[1].split("</textarea>")[0]
    for words in ("ご相談者 様", "「Medusa」というランサムウェア", "■ 最初の1時間", "ネットワークから切り離します", "■ してはいけないこと"):
        assert words in draft, draft
    page = handler.get(f"/desk/case/{english.pk}/?template=analysis").content.decode()
    draft = page.split('id="reply-body"')[1].split("</textarea>")[0]
    assert "ransomware “Medusa”" in draft and "■" not in draft
    assert not any("\u3040" <= sign <= "\u30ff" for sign in draft)


def test_without_a_result_no_draft_is_offered(handler, consult):
    case = consult()
    page = handler.get(f"/desk/case/{case.pk}/?template=analysis").content.decode()
    assert '<option value="analysis"' not in page
    assert page.split('id="reply-body"')[1].split("</textarea>")[0].endswith("required>")


def test_empty_panels_say_what_will_appear(handler, consult):
    page = page_of(handler, consult())
    assert "資料が届くと、ここに解析の結果が出ます" in page and "analysis/ask/" in page

"""The timeline's pages: filters, one record, logons, values, files; who sees them; what strangers' words can do there."""

from __future__ import annotations

import csv
import io
import json
import sqlite3

import pytest

from hikeshi_desk.analysis import folder, timeline_store
from hikeshi_desk.analysis.models import Analysis
from hikeshi_desk.analysis.timeline_store import Asked, Kept

pytestmark = pytest.mark.django_db
PAGES = ("timeline/", "timeline/1/", "timeline/logons/", "timeline/values/", "timeline.csv", "timeline.jsonl",
         "timeline.timesketch")


def get(client, case, name="timeline/", **asked):
    return client.get(f"/desk/case/{case.pk}/analysis/{name}", asked)


def place_of(case):
    return folder.of(Analysis.objects.get(case=case).result)


def numbers(page: str) -> list[int]:
    return [int(part.split("/")[0]) for part in page.split("/analysis/timeline/")[1:] if part[0].isdigit()]


def test_rows_stand_in_time_order_with_their_words_and_records(handler, analysed):
    case = analysed()
    page = get(handler, case).content.decode()
    shown = numbers(page)
    assert shown == sorted(shown) and len(shown) > 20
    for words in ("横展開", "FS01.kaede.example", "vssadmin", "CANARY 資料.zip!/FS01/", "次に探す値"):
        assert words in page, words
    assert f'href="/desk/case/{case.pk}/analysis/timeline/"' in handler.get(f"/desk/case/{case.pk}/").content.decode()


@pytest.mark.parametrize(("asked", "where"), [
    ({"level": "critical"}, "level = 'critical'"), ({"host": "FS01.kaede.example"}, "host = 'FS01.kaede.example'"),
    ({"tactic": "impact"}, "tactics LIKE '% impact %'"), ({"q": "VSSADMIN delete"}, "said LIKE '%vssadmin%' AND said LIKE '%delete%'"),
    ({"from": "2026-10-09T02:00"}, "at >= 1791478800000000"), ({"to": "2026-10-09T02:00"}, "at < 1791478800000000"),
    ({"account": "adm-sato", "level": "high"}, "account = 'adm-sato' AND level = 'high'"),
])
def test_filters_show_exactly_what_fits(handler, analysed, asked, where):
    case = analysed()
    with sqlite3.connect(place_of(case) / timeline_store.NAME) as base:
        wanted = [n for n, in base.execute(f"SELECT id FROM row WHERE {where} ORDER BY id")]
        in_all = base.execute("SELECT count(*) FROM row").fetchone()[0]
    assert 0 < len(wanted) < in_all
    found, page = [], 1
    while True:
        shown = get(handler, case, page=str(page), **asked).content.decode()
        found += numbers(shown)
        if 'rel="next"' not in shown:
            break
        page += 1
    assert found == wanted
    saved = [json.loads(line) for line in b"".join(get(handler, case, "timeline.jsonl", **asked).streaming_content).splitlines()]
    assert len(saved) == len(wanted)


@pytest.mark.parametrize("asked", [
    {"level": "grave' OR 1=1 --"}, {"host": "' OR '1'='1"}, {"q": "%"}, {"page": "999999"}, {"page": "-1"}, {"from": "2026-13-45"},
    {"from": "0001-01-01", "to": "9999-12-31T23:59"}, {"q": "x" * 5000}, {"tactic": "\x00"}, {"to": "<script>"}])
def test_odd_questions_get_an_answer(handler, analysed, asked):
    answer = get(handler, analysed(), **asked)
    assert answer.status_code == 200 and b"<script>" not in answer.content
    if asked.get("from") == "2026-13-45":
        assert "時刻が読めません" in answer.content.decode()
    if "OR" in str(asked.get("host")):
        assert "この条件に合う記録はありません" in answer.content.decode()


def test_a_record_shows_all_it_holds_and_leads_to_those_that_share_it(handler, analysed):
    case = analysed()
    with Kept(place_of(case)) as kept:
        number = next(one["id"] for one in kept.rows(Asked(words=("vssadmin",))))
    page = get(handler, case, f"timeline/{number}/").content.decode()
    assert "process.command_line" in page and "winlog.record_id" in page and "host.name" in page
    assert f"/analysis/timeline/{number + 1}/" in page and "?q=" in page and "from=2026-10-09T" in page
    assert get(handler, case, "timeline/0/").status_code == 404 == get(handler, case, "timeline/99999999999/").status_code


def test_logons_and_values_have_their_pages(handler, analysed):
    case = analysed()
    logons = get(handler, case, "timeline/logons/", order="failures").content.decode()
    assert "t.mori" in logons and "203.0.113.77" in logons and "VPN" in logons
    assert get(handler, case, "timeline/logons/", order="'; DROP TABLE row", page="7").status_code == 200
    assert "203.0.113.77" in get(handler, case, "timeline/values/").content.decode()


def test_files_for_other_tools_hold_the_rows(handler, analysed):
    from hikeshi_desk.audit.models import Entry

    case = analysed()
    with Kept(place_of(case)) as kept:
        in_all = kept.count(Asked())
        timeless = sum(1 for one in kept.rows(Asked()) if one["at"] is None)
    answer = get(handler, case, "timeline.csv")
    table = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert len(table) == in_all + 1 and "attachment" in answer["Content-Disposition"]
    sketch = b"".join(get(handler, case, "timeline.timesketch").streaming_content).splitlines()
    assert len(sketch) == in_all - timeless and all(json.loads(line)["datetime"] for line in sketch)
    assert get(handler, case, "timeline.exe").status_code == 404
    assert Entry.objects.filter(act="analysis.read", subject=f"case:{case.pk}").count() == 2


def test_only_who_sees_findings_sees_the_timeline(analysed, consult, partner_of, handler):
    case = analysed()
    assert [get(partner_of(case, sees_findings=True), case, name).status_code for name in PAGES] == [200] * len(PAGES)
    assert [get(partner_of(case), case, name).status_code for name in PAGES] == [404] * len(PAGES)
    assert [get(partner_of(consult(), sees_findings=True), case, name).status_code for name in PAGES] == [404] * len(PAGES)
    assert [get(handler, consult(), name).status_code for name in PAGES] == [404] * len(PAGES)


def test_a_result_from_before_has_no_timeline_and_no_link(handler, analysed):
    case = analysed()
    (place_of(case) / timeline_store.NAME).unlink()
    row = Analysis.objects.get(case=case)
    row.summary.pop("has_timeline")
    row.save()
    assert get(handler, case).status_code == 404
    assert "analysis/timeline" not in handler.get(f"/desk/case/{case.pk}/").content.decode()


def test_a_result_that_can_not_be_read_leaves_no_half_timeline(tmp_path):
    (tmp_path / "out" / "events").mkdir(parents=True)
    (tmp_path / "out" / "findings.jsonl").write_text("{")
    assert not timeline_store.keep(tmp_path / "out", tmp_path, str)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_strangers_words_stay_words(tmp_path, handler, analysed):
    case = analysed()
    bad = "<img src=x onerror=1>\x1b[31m\u202e"
    tree = {"id": "x", "kind": "identification", "severity": "high", "title": {"ja": "題 <b>", "en": "title <b>"}, "when": None,
            "hosts": ["<b>host"], "records": [{"path": "<b>path"}]}
    out = tmp_path / "bad" / "out"
    (out / "events").mkdir(parents=True)
    (out / "findings.jsonl").write_text(json.dumps(tree).replace("title <b>", json.dumps(bad)[1:-1]))
    place = place_of(case)
    assert timeline_store.keep(out, place, lambda path: path)
    for name in ("timeline/", "timeline/1/"):
        page = get(handler, case, name, HTTP_ACCEPT_LANGUAGE="en").content.decode()
        assert "<img src=x" not in page and "<b>host" not in page and "\x1b" not in page and "\u202e" not in page

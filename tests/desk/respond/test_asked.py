"""What the asker is asked for: seen when it was released, reported once, never verified by a report."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.acting import Refused
from hikeshi_desk.respond import acts, asked
from hikeshi_desk.respond.models import Mark, Measure, Response

pytestmark = pytest.mark.django_db


@pytest.fixture
def released(begun, sato):
    """A case with two machines and a destination; one machine is asked for."""
    case = begun()
    for host in ("WS01", "WS02"):
        acts.add_machine(case, sato, host=host)
    acts.add_blocks(case, sato, values="198.51.100.77", why="EDR")
    ws = Measure.objects.get(case=case, subject="WS01")
    acts.ask_measures(case, sato, ids=[str(ws.pk)])
    ws.refresh_from_db()
    return case, ws


def page(browser) -> str:
    return browser.get("/thread/").content.decode()


def send(browser, *ids, note=""):
    return browser.post("/thread/report/", {"ids": [str(one) for one in ids], "note": note}, follow=True).content.decode()


def test_the_asker_sees_what_was_released_and_nothing_else(released, asker):
    case, ws = released
    shown = page(asker(case))
    assert "お願いしている対応" in shown and "WS01" in shown and str(ws.pk) in shown
    assert "WS02" not in shown and "198.51.100" not in shown and "198[.]51" not in shown
    assert "1件" in shown  # told in the conversation too
    assert ws.state == "requested"


def test_without_a_release_there_is_no_such_part(begun, asker):
    assert "お願いしている対応" not in page(asker(begun()))


def test_a_report_is_applied_and_never_verified(released, asker):
    case, ws = released
    assert "知らせを受け取りました" in send(asker(case), ws.pk, note="線を抜きました")
    ws.refresh_from_db()
    assert (ws.state, ws.is_reported) == ("applied", True)
    told = ws.marks.last()
    assert told.by is None and told.is_reported and told.note == "線を抜きました"
    assert Response.objects.get(case=case).counts["reported"] == 1
    case.refresh_from_db()
    assert case.last_word_by == "asker"
    assert Entry.objects.filter(actor="consultee", act="case.report_measures", subject=f"case:{case.pk}").count() == 1


def test_a_report_starts_the_promise_again(released, asker):
    case, ws = released
    case.clocks.update(stopped_at=case.opened_at)
    send(asker(case), ws.pk)
    assert case.clocks.filter(stopped_at=None).exists()


@pytest.mark.parametrize("extra", [{"state": "verified"}, {"state": "verified", "evidence": "x"}, {"is_reported": ""}])
def test_a_form_of_their_own_making_can_not_verify(released, asker, extra):
    case, ws = released
    asker(case).post("/thread/report/", {"ids": [str(ws.pk)], **extra})
    ws.refresh_from_db()
    assert (ws.state, ws.is_reported) == ("applied", True)


def test_what_was_verified_or_reported_is_not_reported_again(released, asker, sato):
    case, ws = released
    browser = asker(case)
    send(browser, ws.pk)
    assert "もう報告済み" in send(browser, ws.pk)
    acts.mark_measures(case, sato, ids=[str(ws.pk)], state="verified", evidence="ポートが閉じている")
    send(browser, ws.pk)
    ws.refresh_from_db()
    assert ws.state == "verified" and not ws.is_reported and ws.marks.filter(is_reported=True).count() == 1


def test_what_does_not_hold_is_said_and_can_be_reported_once_more(released, asker, sato):
    case, ws = released
    browser = asker(case)
    send(browser, ws.pk)
    acts.mark_measures(case, sato, ids=[str(ws.pk)], state="failed", note="まだ通信しています")
    shown = page(browser)
    assert "まだ止まっていません" in shown and "まだ通信しています" in shown
    send(browser, ws.pk)
    ws.refresh_from_db()
    assert (ws.state, ws.is_reported) == ("applied", True)


@pytest.mark.parametrize("which", ["not asked", "withdrawn", "a step", "another case's", "none", "rubbish", "no longer asked"])
def test_what_was_not_asked_for_can_not_be_reported(released, begun, asker, sato, which):
    case, ws = released
    other = begun()
    if which == "another case's":
        acts.add_machine(other, sato, host="SECRET")
        theirs = Measure.objects.get(case=other, subject="SECRET")
        acts.ask_measures(other, sato, ids=[str(theirs.pk)])
    if which == "withdrawn":
        acts.withdraw_measures(case, sato, ids=[str(ws.pk)], why="x")
    if which == "no longer asked":
        acts.unask_measures(case, sato, ids=[str(ws.pk)])
    wanted = {"not asked": lambda: Measure.objects.get(case=case, subject="WS02").pk, "withdrawn": lambda: ws.pk,
              "a step": lambda: Measure.objects.get(case=case, subject="decide").pk, "another case's": lambda: theirs.pk,
              "none": uuid.uuid4, "rubbish": lambda: "<script>", "no longer asked": lambda: ws.pk}[which]()
    before = Mark.objects.count()
    shown = send(asker(case), wanted)
    assert Mark.objects.count() == before and "知らせを受け取りました" not in shown
    if which in ("withdrawn", "no longer asked"):
        assert f'value="{ws.pk}"' not in shown


def test_without_the_code_nobody_reports(released):
    _case, ws = released
    answer = Client().post("/thread/report/", {"ids": [str(ws.pk)]})
    assert answer.status_code == 302 and answer.url == "/code/"
    assert not Mark.objects.filter(is_reported=True).exists()
    assert asked.report("", [str(ws.pk)], "") == 0  # a case without a receipt is nobody's


def test_a_case_without_a_thread_asks_nobody(begun, sato):
    case = begun()
    case.receipt = ""
    case.save()
    acts.add_machine(case, sato, host="WS01")
    with pytest.raises(Refused, match="no_thread"):
        acts.ask_measures(case, sato, ids=[str(Measure.objects.get(subject="WS01").pk)])


def test_a_long_list_comes_in_parts(begun, sato, asker):
    case = begun()
    acts.add_blocks(case, sato, values="\n".join(f"198.51.100.{n}" for n in range(1, 61)), why="x")
    acts.ask_measures(case, sato, ids=(), controls=("firewall", "proxy"))
    browser = asker(case)
    shown = page(browser)
    assert shown.count('name="ids"') == asked.MOST and "このほかに20件" in shown
    assert "198[.]51[.]100[.]1" in shown and "198.51.100.1" not in shown
    send(browser, *[part.split('"')[0] for part in shown.split('name="ids" value="')[1:]])
    assert page(browser).count('name="ids"') == 20


def test_strangers_words_stay_words(begun, sato, asker):
    case = begun()
    acts.add_machine(case, sato, host="<img src=x onerror=1>\x1b[31m")
    one = Measure.objects.get(case=case, control="isolation")
    acts.ask_measures(case, sato, ids=[str(one.pk)])
    browser = asker(case)
    send(browser, one.pk, note="<script>alert(1)</script>\0")
    shown = page(browser)
    assert "<img src=x" not in shown and "\x1b" not in shown
    assert one.marks.last().note == "<script>alert(1)</script>"


def test_the_words_are_english_for_who_reads_english(released, asker):
    browser = asker(released[0])
    browser.cookies["django_language"] = "en"
    assert "What we ask you to do" in page(browser)

"""The course of a case: urgency and its tasks, opinion, kind and sharing, closing, breaches, undoing."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from hikeshi_desk.accounts.models import Role
from hikeshi_desk.audit.log import verify
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import acts, endings, rules
from hikeshi_desk.cases.models import Case, Flag, Phase, State, Task
from hikeshi_desk.consult import thread as asker_s

pytestmark = pytest.mark.django_db
WHOLE = "■ 調査結果\nVPNから入られました。\n\n■ 対策の助言\nパスワードを変えてください。"


def url(name: str, case: Case) -> str:
    return reverse(f"cases:{name}", args=[case.pk])


def do(client, case: Case, act: str, **fields):
    return client.post(url(f"do-{act}", case), fields, follow=True)


def newest(case: Case) -> int:
    return Entry.objects.filter(subject=f"case:{case.pk}").order_by("-sequence").first().sequence


# ---------------------------------------------------------------- urgency


@pytest.mark.parametrize(("rule", "urgency"), [
    ("outward_service", "high"), ("ransomware_traffic", "high"), ("bulk_spam", "low"), ("known_malware_removed", "low"),
    ("contained", "normal"), ("ransomware_running", "high"), ("suspicion_only", "normal")])  # near the four examples
def test_the_rules_hold_the_four_examples_and_what_is_near_them(rule, urgency) -> None:
    assert rules.urgency_rules()[rule].urgency == urgency


def test_high_leads_into_the_response_low_takes_the_short_path_and_back(consult, handler) -> None:
    case = consult(incident="malware")
    case = acts.triage(case, handler, verdict="true", reason="駆除できる", rule="known_malware_removed")
    assert case.phase == Phase.REPORTING and case.tasks.get(kind="analyse_evidence").is_skipped
    assert case.tasks.filter(kind="standard_advice", done_at=None).exists()
    case = acts.triage(case, handler, verdict="true", reason="広がっている", rule="outward_service")
    analyse = case.tasks.get(kind="analyse_evidence")
    assert case.phase == Phase.RESPONSE and analyse.done_at is None and not analyse.is_skipped
    assert {"preserve", "contain", "scope", "notices"} <= set(case.tasks.filter(done_at=None).values_list("kind", flat=True))
    assert case.tasks.get(kind="standard_advice").is_skipped
    assert [row.reason for row in case.triage.all()] == ["広がっている", "駆除できる"]


def test_a_task_that_somebody_finished_is_not_opened_again(consult, handler) -> None:
    case = consult(incident="malware")
    acts.finish(case, handler, task=case.tasks.get(kind="analyse_evidence"), result="調べた")
    acts.triage(case, handler, verdict="true", reason="低", rule="bulk_spam")
    acts.triage(case, handler, verdict="true", reason="高", rule="outward_service")
    assert case.tasks.get(kind="analyse_evidence").result == "調べた"


# ---------------------------------------------------------------- closing


@pytest.mark.parametrize(("body", "parts"), [
    (WHOLE, {"findings", "advice"}), ("Findings\nVPN.\n\nAdvice\nChange it.", {"findings", "advice"}),
    ("■ 調査結果\n\n\n■ 対策の助言\n\n\n■ まだ分からないこと\n経路", set()),
    ("Findings\n\nAdvice\n\nWhat we don't know yet\nThe way in", set()),
    ("調査結果をお待ちください。対策も考えます。", set()), ("■ 調査結果\n・\n■ 対策の助言\nあり", {"advice"}), ("", set())])
def test_a_part_is_there_when_something_stands_below_its_heading(body, parts) -> None:
    assert endings.parts_in(body) == parts


def test_a_case_closes_without_a_word_when_nothing_is_missing(consult, handler, sign_in) -> None:
    case, client = consult(), sign_in(handler)
    acts.reply(case, handler, body=WHOLE)
    for task in case.tasks.filter(done_at=None):
        acts.finish(case, handler, task=task)
    assert "そろっています" in client.get(url("end", case)).content.decode()
    do(client, case, "close")
    case.refresh_from_db()
    assert case.state == State.CLOSED and case.phase == Phase.PREVENTION


def test_the_page_says_what_is_missing_and_each_needs_its_reason(consult, handler, sign_in, long_ago) -> None:
    case, client = consult(), sign_in(handler)
    long_ago(case)
    acts.reply(case, handler, body="とりあえずの返事")
    page = client.get(url("end", case)).content.decode()
    for words in ("調査結果", "対策の助言", "終わっていない作業", "守れなかった期限の理由", "セキュリティの事案かどうか"):
        assert words in page
    excuses = {"excuse-findings": "記録なし", "excuse-advice": "助言不要", "excuse-tasks": "不要になった"}
    assert "守れなかった期限に理由がありません" in do(client, case, "close", **excuses).content.decode()
    do(client, case, "close", **excuses, **{"excuse-breach": "人手不足"})
    case.refresh_from_db()
    assert case.state == State.CLOSED
    assert Entry.objects.get(act="case.close").detail["missing"] == {
        "findings": "記録なし", "advice": "助言不要", "tasks": "不要になった", "breach": "人手不足"}


@pytest.mark.parametrize("excuse", ["", "   ", "\u3000"])
def test_an_empty_reason_is_none(consult, handler, sign_in, excuse) -> None:
    case = consult()
    do(sign_in(handler), case, "close", reason=excuse, **{f"excuse-{gap}": excuse for gap in endings.GAPS})
    case.refresh_from_db()
    assert case.state != State.CLOSED


def test_ticked_parts_count_but_not_invented_ones(consult, handler, sign_in) -> None:
    case, client = consult(), sign_in(handler)
    client.post(url("do-reply", case), {"body": "短い答え", "parts": ["findings", "invented"]})
    assert case.messages.get(kind="reply").parts == ["findings"]
    case.refresh_from_db()
    assert "advice" in endings.missing(case, timezone.now()) and "findings" not in endings.missing(case, timezone.now())


def test_what_is_asked_again_after_the_end_comes_back_on_its_day(consult, handler, sign_in) -> None:
    case, client = consult("閉じた件"), sign_in(handler)
    day = timezone.localdate() + timedelta(days=30)
    do(client, case, "close", reason="完了", follow_up="measures_in_place", **{"day-measures_in_place": day.isoformat()})
    case.refresh_from_db()
    task = case.tasks.get(kind="measures_in_place")
    assert case.state == State.CLOSED and timezone.localtime(task.due_at).date() == day
    assert "閉じた件" not in client.get("/desk/").content.decode()
    past = timezone.now() - timedelta(hours=1)
    Task.objects.filter(pk=task.pk).update(due_at=past)
    Case.objects.filter(pk=case.pk).update(task_due_at=past)
    assert "閉じた件" in client.get("/desk/").content.decode()
    assert "閉じた件" not in client.get("/desk/?view=open").content.decode()
    do(client, case, "finish", task=str(task.pk), result="実施済み")
    case.refresh_from_db()
    assert "閉じた件" not in client.get("/desk/").content.decode() and case.state == State.CLOSED


@pytest.mark.parametrize("fields", [
    {"follow_up": "invented", "day-invented": "2099-01-01"}, {"follow_up": "come_back", "day-come_back": "2020-01-01"},
    {"follow_up": "come_back", "day-come_back": "soon"}, {"follow_up": "come_back"}])
def test_a_follow_up_needs_a_day_to_come(consult, handler, sign_in, fields) -> None:
    case = consult()
    assert "明日以降" in do(sign_in(handler), case, "close", reason="x", **fields).content.decode()
    case.refresh_from_db()
    assert case.state != State.CLOSED


# ---------------------------------------------------------------- opinion, kind, vulnerability, abroad


@pytest.mark.parametrize(("language", "words"), [("ja", ("同意", "根拠が不足", "未回答")),
                                                 ("en", ("Agree", "Evidence missing", "Open"))])
def test_the_stances_go_to_the_asker_in_their_language_once(consult, handler, sign_in, language, words) -> None:
    case = consult(request="second_opinion", hypothesis=("VPN", "内部犯", "USB"), language=language)
    client, token = sign_in(handler), str(uuid.uuid4())
    assert "少なくとも一点" in do(client, case, "send_opinion", message_id=token).content.decode()
    first, second, _ = case.points.all()
    acts.opine(case, handler, point=first, stance="agree", comment="記録が一致")
    acts.opine(case, handler, point=second, stance="missing", comment="勤怠の記録")
    for _ in range(2):
        do(client, case, "send_opinion", message_id=token)
    reply = case.messages.get(kind="reply").body
    for word in (*words, "VPN", "内部犯", "USB", "記録が一致", "勤怠の記録", case.number):
        assert word in reply
    assert asker_s.entries(case, None)[-1].body == reply


def test_kind_flags_source_and_sharing_are_told_and_logged(consult, handler, sign_in) -> None:
    case, client = consult(), sign_in(handler)
    told = {"attack": "disruption", "flags": list(Flag.values), "detected_by": "edr",
            "tlp": "TLP:AMBER+STRICT", "pap": "PAP:RED"}
    for _ in range(2):
        do(client, case, "describe", **told)
    page = client.get(url("case", case)).content.decode()
    for words in ("システムダウンによる営業妨害", "国家の支援の疑い", "ゼロデイ", "攻撃元を特定できない", "EDR",
                  "TLP:AMBER+STRICT", "PAP:RED"):
        assert words in page
    assert Entry.objects.filter(act="case.describe").count() == 1 and verify() is None


@pytest.mark.parametrize("wrong", [{"tlp": "TLP:WHITE"}, {"pap": "PAP:BLUE"}, {"flags": ["zero_day", "x"]},
                                   {"attack": "ransomware"}, {"detected_by": "staff"}])
def test_marks_outside_the_lists_are_refused(consult, handler, sign_in, wrong) -> None:
    case = consult()
    do(sign_in(handler), case, "describe", **{"attack": "", "detected_by": "", "tlp": "TLP:RED", "pap": "PAP:RED",
                                              **wrong})
    case.refresh_from_db()
    assert case.tlp == "TLP:AMBER" and case.flags == []


@pytest.mark.parametrize(("days", "words"), [(6.9, "公開まで"), (7.1, ""), (-1, "公開日時を過ぎました")])
def test_the_embargo_stands_on_top_and_warns_seven_days_before(consult, handler, sign_in, partner_of, days, words) -> None:
    case, client = consult(request="vulnerability", incident="vulnerability"), sign_in(handler)
    vendor = partner_of(case)
    at = timezone.now() + timedelta(days=days)
    do(client, case, "coordinate", product="例示ルーター", vendor=str(case.parties.get().pk), zone="UTC",
       embargo_at=f"{at:%Y-%m-%dT%H:%M}", publication="agreed")
    page = client.get(url("case", case)).content.decode()
    assert f"{at:%Y-%m-%d %H:%M} UTC" in page and "合意済み" in page and "例示ルーター" in page
    assert (words in page) if words else ("公開まで" not in page and "過ぎました" not in page)
    seen = sign_in(vendor).get(url("case", case)).content.decode()
    assert "例示ルーター" in seen and case.number in seen  # the vendor; other parties: test_typed.py


@pytest.mark.parametrize("wrong", [{"zone": "Mars/Base"}, {"zone": "../../etc/passwd"}, {"embargo_at": "soon"},
                                   {"publication": "x"}, {"vendor": "x"}])
def test_a_wrong_embargo_changes_nothing(consult, handler, sign_in, partner_of, wrong) -> None:
    case, other = consult(), consult()
    partner_of(other)
    client = sign_in(handler)
    do(client, case, "coordinate", **{"product": "p", "zone": "UTC", "embargo_at": "", "publication": "", **wrong})
    do(client, case, "coordinate", product="p", zone="UTC", vendor=str(other.parties.get().pk))
    case.refresh_from_db()
    assert not hasattr(case, "vulnerability")


def test_a_case_from_abroad_tells_utc_first_and_has_english_templates(consult, handler, sign_in) -> None:
    client = sign_in(handler)
    abroad, here = consult(asker_kind="foreign_csirt"), consult()
    page = client.get(url("case", abroad) + "?template=received").content.decode()
    assert f"{abroad.opened_at:%Y-%m-%d %H:%M} UTC" in page and "Dear Sir or Madam" in page
    page = client.get(url("case", here) + "?template=received").content.decode()
    assert " UTC (" not in page and "Dear" not in page


# ---------------------------------------------------------------- breaches


def test_breached_promises_are_listed_by_month_with_and_without_reason(consult, handler, sign_in, long_ago) -> None:
    late, told, kept, client = consult("遅れた件"), consult("理由のある件"), consult("守った件"), sign_in(handler)
    for case in (late, told):
        long_ago(case)
    acts.reply(kept, handler, body="答え")
    acts.breach(told, handler, clock=told.clocks.get(), reason="人手不足")
    page = client.get("/desk/breaches/").content.decode()
    assert "遅れた件" in page and "人手不足" in page and "守った件" not in page
    without = client.get("/desk/breaches/?reason=without").content.decode()
    assert "遅れた件" in without and "理由のある件" not in without
    month = f"{timezone.localtime(told.clocks.get().due_at):%Y-%m}"
    assert "遅れた件" in client.get(f"/desk/breaches/?month={month}").content.decode()
    assert "守れなかった期限はありません" in client.get("/desk/breaches/?month=2020-01").content.decode()


@pytest.mark.parametrize("asked", ["?month=9999-99", "?month=%00", "?page=-1", "?page=99999", "?reason=x", "?month=２０２６-11"])
def test_a_strange_address_still_gives_the_list(consult, handler, sign_in, asked) -> None:
    assert sign_in(handler).get("/desk/breaches/" + asked).status_code == 200


# ---------------------------------------------------------------- undo


def test_the_last_act_is_offered_and_undone_once(consult, handler, sign_in, long_ago) -> None:
    case, client = consult(), sign_in(handler)
    do(client, case, "take")
    assert "取り消す" in client.get(url("case", case)).content.decode()
    sequence = str(newest(case))
    do(client, case, "undo", sequence=sequence)
    case.refresh_from_db()
    assert case.owner is None and Entry.objects.filter(act="case.undo").count() == 1
    assert "もう取り消せません" in do(client, case, "undo", sequence=sequence).content.decode()
    assert verify() is None


def test_pause_finish_and_merge_are_undone_as_if_never_done(consult, handler, sign_in) -> None:
    case, other, client = consult(), consult(), sign_in(handler)
    due = case.due_at
    do(client, case, "pause", reason="待つ")
    do(client, case, "undo", sequence=str(newest(case)))
    clock = case.clocks.get()
    assert (clock.paused_at, clock.due_at) == (None, due)
    task = case.tasks.get(kind="triage")
    do(client, case, "finish", task=str(task.pk), result="済んだ")
    do(client, case, "undo", sequence=str(newest(case)))
    task.refresh_from_db()
    assert (task.done_at, task.result) == (None, "")
    acts.reply(case, handler, body="答え", wait=True)
    do(client, case, "merge", into=other.number)
    do(client, case, "undo", sequence=str(newest(case)))
    case.refresh_from_db()
    assert (case.state, case.merged_into) == (State.WAITING, None)


def test_what_somebody_did_after_it_or_another_s_act_is_not_undone(consult, handler, member, sign_in) -> None:
    case, client, colleague = consult(), sign_in(handler), sign_in(member(Role.HANDLER, name="鈴木"))
    do(client, case, "take")
    taken = newest(case)
    assert "もう取り消せません" in do(colleague, case, "undo", sequence=str(taken)).content.decode()
    do(colleague, case, "take")
    do(client, case, "undo", sequence=str(taken))
    case.refresh_from_db()
    assert case.owner.name == "鈴木"
    for sequence in ("", "-1", "x", "9" * 40, str(taken + 999)):
        do(client, case, "undo", sequence=sequence)
    assert not Entry.objects.filter(act="case.undo").exists()


def test_an_older_act_of_one_s_own_is_not_undone_in_place_of_the_newest(consult, handler, sign_in) -> None:
    case, client = consult(), sign_in(handler)
    do(client, case, "take")
    taken = newest(case)
    do(client, case, "pause", reason="待つ")
    assert "もう取り消せません" in do(client, case, "undo", sequence=str(taken)).content.decode()
    case.refresh_from_db()
    assert case.owner == handler and case.clocks.get().paused_at


def test_a_reply_is_never_undone_and_neither_is_an_old_act(consult, handler, sign_in, monkeypatch) -> None:
    from hikeshi_desk.cases import undoing

    case, client = consult(), sign_in(handler)
    do(client, case, "reply", body="読まれた")
    assert "取り消す" not in client.get(url("case", case)).content.decode()
    do(client, case, "undo", sequence=str(newest(case)))
    assert case.messages.filter(kind="reply").exists()
    do(client, case, "take")
    monkeypatch.setattr(undoing, "WITHIN", timedelta(0))
    do(client, case, "undo", sequence=str(newest(case)))
    case.refresh_from_db()
    assert case.owner == handler


@pytest.mark.parametrize("view", ["next", "open", "mine", "handed", "team", "unowned", "urgent", "today", "over", "tasks",
                                  "waiting", "finished"])
def test_each_view_counts_what_it_shows_and_says_when_empty(consult, handler, sign_in, view, long_ago) -> None:
    client = sign_in(handler)
    empty = client.get(f"/desk/?view={view}").content.decode()
    assert 'class="empty"' in empty
    consult("一", incident="ransomware")
    acts.assign(consult("二"), handler, owner=handler, team=None)
    acts.reply(consult("三"), handler, body="x", wait=True)
    long_ago(consult("四"))
    acts.close(consult("五"), handler, reason="x")
    page = client.get(f"/desk/?view={view}").content.decode()
    shown = page.count('<th scope="row">')
    current = page.split('class="filters"')[1].split('aria-current="page"')[1].split("</a>")[0]
    if view == "finished":  # grows for ever: not counted, but shown
        assert shown == 1 and "<b>" not in current and "None" not in current
    else:
        assert int(current.split("<b>")[1].split("</b>")[0]) == shown

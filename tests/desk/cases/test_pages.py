"""Queue and case page: what each person sees, in how many statements, and what they may do."""

from __future__ import annotations

import io
import uuid

import pytest
import pyzipper
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from hikeshi_desk.accounts.models import Role, Team
from hikeshi_desk.audit.log import verify
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.models import Case, Message, State

pytestmark = pytest.mark.django_db
QUEUE = "/desk/"
PAGES = ("about", "case", "end", "opinion", "people", "refer", "relay", "split", "triage")
ACTS = ("answer_referral", "assign", "breach", "close", "coordinate", "decline", "describe", "escalate", "finish",
        "hand_over", "invite", "merge", "note", "opine", "pause", "reopen", "reply", "resume", "route", "send_opinion",
        "split", "take", "triage", "undo", "uninvite", "unmerge")


def url(name: str, case: Case) -> str:
    return reverse(f"cases:{name}", args=[case.pk])


def do(client, case: Case, act: str, **fields):
    return client.post(url(f"do-{act}", case), fields, follow=True)


def statements(client, address: str) -> int:
    """What these pages ask themselves; the panels that other apps bring are counted by those."""
    with CaptureQueriesContext(connection, ) as seen:
        assert client.get(address).status_code == 200
    asked = [query["sql"] for query in seen
             if not query["sql"].startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT"))]
    return sum(any(f'FROM "{app}_' in sql for app in ("cases", "accounts", "audit", "django")) or "FROM" not in sql
               for sql in asked if not any(f'FROM "{app}_' in sql for app in ("oncall", "analysis", "api")))


def test_the_queue_puts_the_urgent_first_then_what_is_due_soonest(consult, handler, sign_in, long_ago) -> None:
    consult("ふつうの相談")
    consult("期限切れの相談")
    long_ago(Case.objects.get(title="期限切れの相談"))
    consult("暗号化された", incident="ransomware")
    page = sign_in(handler).get(QUEUE).content.decode()
    assert page.index("暗号化された") < page.index("期限切れの相談") < page.index("ふつうの相談")
    assert "超過" in page and "次に答える <b>3</b>" in page and "期限超過 <b>1</b>" in page


def test_the_queue_takes_at_most_twelve_statements_however_many_cases(consult, handler, sign_in) -> None:
    client = sign_in(handler)
    consult()
    few = statements(client, QUEUE)
    for _ in range(15):
        consult(incident="ransomware")
    assert statements(client, QUEUE) == few <= 12


def test_the_case_page_takes_at_most_fourteen_statements_however_long_the_talk(
        consult, thread, handler, sign_in, incoming_file) -> None:
    client = sign_in(handler)
    case = consult(request="second_opinion", hypothesis=("侵入経路はVPN",))
    few = statements(client, url("case", case))
    for number in range(8):
        consult(f"続き{number}", [incoming_file(f"{number}.log", bytes([number]))], thread=thread(case))
        do(client, case, "note", body=f"メモ{number}")
    do(client, case, "triage", verdict="true", reason="確かめた", rule="outward_service")
    assert statements(client, url("case", case)) == few <= 14


@pytest.mark.parametrize("name", PAGES)
def test_somebody_not_signed_in_is_sent_to_sign_in_and_sees_nothing(consult, client, name) -> None:
    answer = client.get(url(name, consult("秘密の件名")))
    assert answer.status_code == 302 and "sign-in" in answer["Location"]


@pytest.mark.parametrize("name", PAGES)
def test_a_foreign_case_looks_exactly_like_one_that_does_not_exist(consult, member, sign_in, name) -> None:
    client = sign_in(member(Role.PARTNER, desk=False))
    denied = client.get(url(name, consult("秘密の件名")))
    missing = client.get(reverse(f"cases:{name}", args=[uuid.uuid4()]))
    assert denied.status_code == missing.status_code == 404 and denied.content == missing.content


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("role", [Role.READER, Role.AUDITOR, Role.PARTNER])
def test_who_only_reads_can_not_act(consult, member, sign_in, act, role) -> None:
    case = consult()
    before = Entry.objects.count()
    client = sign_in(member(role, desk=role != Role.PARTNER))
    assert client.post(url(f"do-{act}", case), {"body": "x", "reason": "x"}).status_code == 404
    assert Entry.objects.count() == before and Message.objects.count() == 1


@pytest.mark.parametrize("act", ACTS)
def test_an_act_is_never_a_get(consult, handler, sign_in, act) -> None:
    assert sign_in(handler).get(url(f"do-{act}", consult())).status_code == 405


@pytest.mark.parametrize("role", [Role.READER, Role.AUDITOR])
def test_readers_of_the_desk_see_notes_but_no_forms(consult, handler, member, sign_in, role) -> None:
    case = consult("本文です")
    do(sign_in(handler), case, "note", body="内部の話")
    page = sign_in(member(role)).get(url("case", case)).content.decode()
    assert "内部の話" in page and "do/reply" not in page


def test_a_partner_sees_the_conversation_it_was_given_and_never_note_asker_or_file(
        consult, handler, sign_in, partner_of, incoming_file) -> None:
    case = consult("秘密の件名", [incoming_file("秘密.log", b"x")], anonymous=False, asker_name="被害工業",
                   contact="victim@example.jp", facts={"host": "秘密ホスト"})
    client = sign_in(handler)
    do(client, case, "note", body="内部の話")
    do(client, case, "reply", body="こちらの回答")
    seen = sign_in(partner_of(case, sees_conversation=True)).get(url("case", case)).content.decode()
    assert "秘密の件名" in seen and "こちらの回答" in seen
    for hidden in ("内部の話", "被害工業", "victim@example.jp", "秘密.log", "秘密ホスト", "佐藤"):
        assert hidden not in seen
    bare = sign_in(partner_of(case)).get(url("case", case)).content.decode()
    assert case.number in bare and "秘密" not in bare and "こちらの回答" not in bare


def test_a_party_that_was_removed_sees_nothing_any_more(consult, handler, sign_in, partner_of) -> None:
    case = consult("秘密の件名")
    partner = sign_in(partner_of(case, sees_conversation=True))
    assert "秘密の件名" in partner.get(QUEUE).content.decode()
    do(sign_in(handler), case, "uninvite", party=str(case.parties.get().pk))
    assert partner.get(url("case", case)).status_code == 404
    assert "秘密の件名" not in partner.get(QUEUE).content.decode()


def test_a_reply_stops_the_promise_and_a_note_does_not(consult, handler, sign_in) -> None:
    case = consult()
    client = sign_in(handler)
    do(client, case, "note", body="まだ調べています")
    assert case.clocks.get().stopped_at is None
    do(client, case, "reply", body="調査結果と助言です", wait="1")
    case.refresh_from_db()
    assert case.clocks.get().stopped_at and case.answered_at and case.state == State.WAITING
    assert case.messages.get(kind="reply").author_role == "handler"
    assert verify() is None


def test_sending_the_same_reply_twice_sends_it_once(consult, handler, sign_in) -> None:
    case, client, token = consult(), sign_in(handler), str(uuid.uuid4())
    for _ in range(2):
        do(client, case, "reply", body="回答", message_id=token)
    assert case.messages.filter(kind="reply").count() == 1
    assert Entry.objects.filter(act="case.reply").count() == 1


def test_the_verdict_needs_its_reason_and_urgency_needs_an_incident(consult, handler, sign_in) -> None:
    case, client = consult(incident="malware"), sign_in(handler)
    assert "理由を書いてください" in do(client, case, "triage", verdict="true", reason=" ").content.decode()
    refused = do(client, case, "triage", verdict="failure", reason="電源の故障", rule="outward_service")
    assert "緊急度の根拠を付けられません" in refused.content.decode() and not case.triage.exists()
    do(client, case, "triage", verdict="true", reason="外向けサーバーの侵害", rule="outward_service",
       rsit="intrusions/system-compromise")
    do(client, case, "triage", verdict="false_positive", reason="誤検知と分かった")
    case.refresh_from_db()
    assert [row.verdict for row in case.triage.all()] == ["false_positive", "true"]
    assert (case.verdict, case.urgency) == ("false_positive", "low")


@pytest.mark.parametrize(("rule", "urgency"), [
    ("outward_service", "high"), ("ransomware_traffic", "high"), ("bulk_spam", "low"), ("known_malware_removed", "low")])
def test_the_four_examples_decide_urgency_and_what_follows(consult, handler, sign_in, rule, urgency) -> None:
    case = consult()
    do(sign_in(handler), case, "triage", verdict="true", reason="根拠", rule=rule)
    case.refresh_from_db()
    assert case.urgency == urgency and case.rank == (0 if urgency == "high" else 1)
    assert case.tasks.filter(kind="contain").exists() == (urgency == "high")
    assert (case.clocks.get(stopped_at=None).unit == "hours") == (urgency == "high")


def test_a_case_is_handed_over_with_who_had_it_before(consult, handler, member, sign_in) -> None:
    case, client = consult(), sign_in(handler)
    team = Team.objects.create(name="インシデントレスポンスグループ")
    do(client, case, "take")
    do(client, case, "assign", owner=str(member(Role.LEAD, name="鈴木").pk), team=str(team.pk), reason="夜勤に交代")
    detail = Entry.objects.filter(act="case.assign").last().detail
    assert detail["from"]["owner"] == str(handler.pk) and detail["owner"] == "鈴木" and detail["reason"] == "夜勤に交代"
    outsider = member(Role.PARTNER, desk=False)
    assert "選び直して" in do(client, case, "assign", owner=str(outsider.pk)).content.decode()


def test_the_clock_stands_still_with_a_reason_and_goes_on(consult, handler, sign_in) -> None:
    case, client = consult(), sign_in(handler)
    due = case.due_at
    assert "理由を書いてください" in do(client, case, "pause", reason="").content.decode()
    assert "資料待ち" in do(client, case, "pause", reason="資料待ち").content.decode()
    case.refresh_from_db()
    assert case.rank == 2
    do(client, case, "resume")
    case.refresh_from_db()
    assert case.rank == 1 and case.due_at == due


def test_only_a_promise_that_ran_out_takes_a_reason_for_it(consult, handler, sign_in, long_ago) -> None:
    case, client = consult(), sign_in(handler)
    clock = case.clocks.get()
    do(client, case, "breach", clock=str(clock.pk), reason="早すぎる言い訳")
    clock.refresh_from_db()
    assert clock.breach_reason == ""
    long_ago(case)
    do(client, case, "breach", clock=str(clock.pk), reason="人手が足りなかった")
    clock.refresh_from_db()
    assert clock.breach_reason == "人手が足りなかった"


def test_an_unanswered_case_closes_only_with_a_reason(consult, handler, sign_in) -> None:
    case, client = consult(), sign_in(handler)
    assert "まだ回答していません" in do(client, case, "close").content.decode()
    do(client, case, "close", reason="いたずら")
    case.refresh_from_db()
    assert case.state == State.CLOSED and case.rank == 9 and case.close_reason == "いたずら"
    assert "do/take" in client.get(url("case", case)).content.decode()


def test_declining_tells_the_asker_and_names_a_body_by_its_name_of_today(consult, handler, sign_in) -> None:
    case, client = consult(asker_kind="authority", incident="ddos"), sign_in(handler)
    offered = client.get(url("end", case)).content.decode()
    assert "国家サイバー統括室" in offered and "NISC" not in offered
    assert offered.index("JPCERT/CC") < offered.index("J-CSIP")
    do(client, case, "decline", reason="other_body_in_charge", body="nco", text="統括室にご相談ください")
    case.refresh_from_db()
    assert case.state == State.DECLINED and case.messages.filter(kind="reply").exists()
    assert case.referrals.get().body == "nco"


def test_merging_points_from_one_to_the_other_and_never_in_a_circle(consult, handler, sign_in) -> None:
    first, second, client = consult("一"), consult("二"), sign_in(handler)
    assert "先に相談者に回答" in do(client, second, "merge", into=first.number).content.decode()
    for case in (first, second):
        do(client, case, "reply", body="同じ事案です")
    do(client, second, "merge", into=first.number)
    second.refresh_from_db()
    assert second.merged_into == first and second.state == State.MERGED
    assert "統合できません" in do(client, first, "merge", into=second.number).content.decode()
    assert "見つかりません" in do(client, first, "merge", into="2020-000001").content.decode()


def test_a_second_opinion_answers_point_by_point(consult, handler, sign_in) -> None:
    case = consult(request="second_opinion", hypothesis=("VPNから侵入", "内部犯"))
    client = sign_in(handler)
    first, second = case.points.all()
    do(client, case, "opine", point=str(first.pk), stance="agree", comment="認証記録が一致")
    assert case.tasks.get(kind="second_opinion").done_at is None
    do(client, case, "opine", point=str(second.pk), stance="missing", comment="社内の記録がない")
    assert case.tasks.get(kind="second_opinion").done_at
    other = consult(request="second_opinion", hypothesis=("別件",)).points.get()
    assert do(client, case, "opine", point=str(other.pk), stance="agree", comment="x").status_code == 404


def test_an_attachment_is_only_ever_saved_never_shown(consult, handler, sign_in, incoming_file, partner_of) -> None:
    case = consult(files=[incoming_file("悪い\u202etxt.html", b"<script>alert(1)</script>")])
    address = reverse("cases:attachment", args=[case.attachments.get().pk])
    answer = sign_in(handler).get(address)
    with pyzipper.AESZipFile(io.BytesIO(b"".join(answer))) as archive:
        archive.setpassword(b"infected")
        assert [(one.filename, archive.read(one)) for one in archive.infolist()] == [
            ("悪いtxt.html", b"<script>alert(1)</script>")]
    assert answer["Content-Type"] == "application/zip" and answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"].startswith("attachment;") and "%E2%80%AE" not in answer["Content-Disposition"]
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert Entry.objects.filter(act="case.download").count() == 1
    assert sign_in(partner_of(case, sees_conversation=True)).get(address).status_code == 404
    assert sign_in(partner_of(case, sees_files=True)).get(address).status_code == 200


def test_a_stranger_s_words_are_text_everywhere(consult, handler, sign_in, incoming_file) -> None:
    bad = "<img src=x onerror=alert(1)>"
    case = consult(bad, [incoming_file(bad, b"x")], anonymous=False, asker_name=bad, facts={bad: bad},
                   request="second_opinion", hypothesis=(bad,), on_behalf=bad)
    client = sign_in(handler)
    for address in (QUEUE, *(url(name, case) for name in PAGES)):
        assert "<img" not in client.get(address).content.decode()


def test_pages_speak_english_too(consult, handler, sign_in) -> None:
    case, client = consult(request="second_opinion", hypothesis=("VPN",)), sign_in(handler)
    client.cookies["django_language"] = "en"
    for address in (QUEUE, *(url(name, case) for name in PAGES)):
        assert client.get(address).status_code == 200
    assert "To answer next" in client.get(QUEUE).content.decode()


@pytest.mark.parametrize("asked", ["?view=x&page=-1", "?page=99999999999", "?kind=%00", "?q=%00%00", "?page=²",
                                   "?view=mine&kind=none", "?view=finished", "?view=team", "?q=a"])
def test_a_strange_address_still_gives_a_queue(consult, handler, sign_in, asked) -> None:
    consult()
    assert sign_in(handler).get(QUEUE + asked).status_code == 200


def test_a_template_fills_its_four_fields_and_runs_nothing(consult, handler, sign_in) -> None:
    case = consult("{number} {% x %} {{y}}", anonymous=False, asker_name="{due}{{7*7}}")
    page = sign_in(handler).get(url("case", case) + "?template=received").content.decode()
    assert f"ご相談（{case.number}）" in page and "{due}{{7*7}} 様" in page and "49" not in page.split("様")[0][-20:]


def test_a_search_takes_at_most_twelve_statements(consult, handler, sign_in) -> None:
    for _ in range(3):
        consult("VPN装置から社内に侵入された")
    assert statements(sign_in(handler), QUEUE + "?q=VPN装置から社内") <= 12


@pytest.mark.parametrize("role", [Role.READER, Role.AUDITOR, Role.LEAD])
def test_pages_cost_no_more_for_those_who_read(consult, member, sign_in, role) -> None:
    client, case = sign_in(member(role)), consult()
    assert statements(client, QUEUE) <= 12 and statements(client, url("case", case)) <= 14


def test_pages_cost_no_more_for_a_partner(consult, sign_in, partner_of) -> None:
    case = consult()
    client = sign_in(partner_of(case, sees_conversation=True, sees_files=True))
    assert statements(client, QUEUE) <= 12 and statements(client, url("case", case)) <= 14


def test_what_the_form_asked_for_is_shown_by_its_name(consult, handler, sign_in) -> None:
    case = consult(facts={"noticed_at": "昨夜", "unknown_key": "値"})
    page = sign_in(handler).get(url("case", case)).content.decode()
    assert "気づいた時刻" in page and "昨夜" in page and "unknown_key" in page

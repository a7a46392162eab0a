"""Hand-over, escalation, referral, the routing table and the groups."""

from __future__ import annotations

import shutil
import uuid
from datetime import date
from pathlib import Path

import pytest
from django.urls import reverse

from hikeshi.errors import KnowledgeError
from hikeshi_desk.accounts.models import Role, Team
from hikeshi_desk.audit.log import verify
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import acts, rules
from hikeshi_desk.cases.models import Case

pytestmark = pytest.mark.django_db
HANDED = "/desk/?view=handed"


def url(name: str, case: Case) -> str:
    return reverse(f"cases:{name}", args=[case.pk])


def do(client, case: Case, act: str, **fields):
    return client.post(url(f"do-{act}", case), fields, follow=True)


@pytest.fixture
def team(db):
    return Team.objects.create(name="インシデントレスポンス")


def test_a_hand_over_to_a_group_is_seen_by_its_members_until_one_takes_it(
        consult, handler, member, sign_in, team) -> None:
    case, colleague, outsider = consult("引き継ぐ件"), member(Role.HANDLER, name="鈴木"), member(Role.HANDLER, name="高橋")
    team.members.add(colleague)
    do(sign_in(handler), case, "hand_over", team=str(team.pk), state="隔離は済んだ", next_step="ログの取得")
    client = sign_in(colleague)
    assert "引き継ぐ件" in client.get(HANDED).content.decode()
    assert "引き継ぐ件" not in sign_in(outsider).get(HANDED).content.decode()
    stream = client.get(url("case", case)).content.decode()
    assert "隔離は済んだ" in stream and "ログの取得" in stream
    do(client, case, "take")
    assert "引き継ぐ件" not in client.get(HANDED).content.decode()
    assert Entry.objects.get(act="case.hand_over").detail["team"] == team.name and verify() is None


@pytest.mark.parametrize(("missing", "words"), [
    ({"state": " "}, "いまの状況"), ({"next_step": ""}, "次に行うこと"), ({"owner": "", "team": ""}, "引き継ぐ人か"),
    ({"team": "999999"}, "選び直して"), ({"owner": "'"}, "選び直して")])
def test_a_hand_over_without_note_or_receiver_is_refused(consult, handler, sign_in, team, missing, words) -> None:
    case = consult()
    answer = do(sign_in(handler), case, "hand_over", **{"team": str(team.pk), "state": "x", "next_step": "y", **missing})
    assert words in answer.content.decode() and not case.messages.filter(kind="note").exists()
    case.refresh_from_db()
    assert case.handed_at is None and case.team is None


def test_a_hand_over_is_not_to_outsiders_and_happens_once(consult, handler, member, sign_in, team) -> None:
    case, client, token = consult(), sign_in(handler), str(uuid.uuid4())
    outsider = member(Role.PARTNER, desk=False)
    assert "選び直して" in do(client, case, "hand_over", owner=str(outsider.pk), state="x",
                              next_step="y").content.decode()
    for _ in range(2):
        do(client, case, "hand_over", team=str(team.pk), state="x", next_step="y", message_id=token)
    assert case.messages.filter(kind="note").count() == 1


def test_escalation_goes_inside_or_outside_and_never_both(consult, handler, member, sign_in, team) -> None:
    case, client, lead = consult(), sign_in(handler), member(Role.LEAD, name="責任者")
    for fields in ({}, {"team": str(team.pk), "body": "police"}, {"body": "invented"}):
        do(client, case, "escalate", reason="手に負えない", **fields)
        assert not case.referrals.exists()
    do(client, case, "escalate", person=str(lead.pk), reason="判断が要る")
    case.refresh_from_db()
    assert case.owner == lead and case.handed_at and not case.messages.filter(kind="reply").exists()
    do(client, case, "escalate", body="police", reason="犯罪の疑い")
    assert [row.name for row in case.referrals.order_by("pk")] == ["責任者", "都道府県警察 サイバー犯罪相談窓口"]


def test_the_asker_is_told_of_a_referral_only_in_written_words(consult, handler, sign_in) -> None:
    case, client = consult(incident="ransomware"), sign_in(handler)
    assert "本文を書いて" in do(client, case, "route", body="police", reason="other_body_in_charge", tell="1",
                                text=" ").content.decode()
    assert not case.referrals.exists()
    do(client, case, "route", body="police", reason="other_body_in_charge", text="書いたが知らせない")
    assert not case.messages.filter(kind="reply").exists() and case.referrals.get().is_asker_told is False
    do(client, case, "route", body="ppc", reason="other_body_in_charge", tell="1", text="委員会にも届け出ましょう")
    assert case.messages.get(kind="reply").body == "委員会にも届け出ましょう"


def test_the_other_body_s_answer_is_recorded_and_may_change(consult, handler, sign_in) -> None:
    case, other, client = consult(), consult(), sign_in(handler)
    do(client, case, "route", body="ipa", reason="other_body_in_charge", note="概要を渡した")
    assert "返事待ち" in do(client, case, "route", body="ipa", reason="other_body_in_charge").content.decode()
    row = case.referrals.get()
    assert do(client, other, "answer_referral", referral=str(row.pk), answer="accepted").status_code == 404
    assert "選び直して" in do(client, case, "answer_referral", referral=str(row.pk), answer="maybe").content.decode()
    assert case.tasks.get(kind="referral_answer").done_at is None
    for answer in ("refused", "accepted", "accepted"):
        do(client, case, "answer_referral", referral=str(row.pk), answer=answer, note="電話で")
    row.refresh_from_db()
    assert row.accepted and case.tasks.get(kind="referral_answer").done_at
    assert Entry.objects.filter(act="case.answer_referral").count() == 2
    page = client.get(url("case", case)).content.decode()
    assert "引き受けた" in page and "概要を渡した" in page


def test_a_finished_case_is_not_referred(consult, handler, sign_in) -> None:
    case, client = consult(), sign_in(handler)
    acts.close(case, handler, reason="いたずら")
    for act, fields in (("route", {"reason": "duplicate"}), ("escalate", {"reason": "x"})):
        assert "終了しています" in do(client, case, act, body="ipa", **fields).content.decode()
    assert not case.referrals.exists()


@pytest.mark.parametrize(("body", "day", "name"), [
    ("nco", date(2025, 6, 30), "内閣サイバーセキュリティセンター（NISC）"), ("nco", date(2025, 7, 1), "国家サイバー統括室（NCO）"),
    ("ipa", date(2025, 3, 31), "IPA 情報セキュリティ安心相談窓口・標的型サイバー攻撃特別相談窓口"),
    ("ipa", date(2025, 4, 1), "IPA 企業組織向けサイバーセキュリティ相談窓口")])
def test_a_body_is_called_what_it_was_called_that_day(body, day, name) -> None:
    assert rules.bodies()[body].name_on(day, "ja") == name


@pytest.mark.parametrize(("kind", "incident", "first"), [
    ("authority", "targeted", "j_csip"), ("victim", "targeted", "ipa"), ("victim", "vulnerability", "jpcert"),
    ("victim", "data_leak", "ppc"), ("authority", "other", "nco"), ("victim", "other", "first_responder")])
def test_the_table_leads_from_asker_and_incident_to_a_body(kind, incident, first) -> None:
    assert rules.routes_for(kind, incident)[0].body == first


def test_the_table_is_shown_with_reason_source_and_date(handler, sign_in) -> None:
    client = sign_in(handler)
    page = client.get("/desk/routing/?organisation=victim&incident=targeted").content.decode()
    assert "2025-07-01" in page and "ipa.go.jp/security/support/soudan.html" in page and "2026-11-22" in page
    assert "企業・組織の相談と標的型攻撃の調査" in page and "未確認" in page


def test_the_operator_s_table_replaces_ours(settings, tmp_path, handler, sign_in) -> None:
    settings.DATA = tmp_path
    shutil.copy(Path(rules.DATA) / "bodies.toml", tmp_path / "routing.toml")
    own = tmp_path / "routing.toml"
    own.write_text(own.read_text(encoding="utf-8").replace("犯罪の被害は、", "県警が一番です。"), encoding="utf-8")
    page = sign_in(handler).get("/desk/routing/").content.decode()
    assert "県警が一番です。" in page and "運用者の routing.toml" in page


@pytest.mark.parametrize("damage", [
    "body = ", '[[route]]\nbody = "nobody"\norganisations = ["*"]\nincidents = ["*"]\nja = "x"\nen = "x"\nsource = ""\n'
               'checked = ""', '[[body]]\nid = "x"\nnames = []', '[[body]]\nid = "x"\nnames = [{ from = "soon" }]',
    '[[body]]\nid = "x"\nname = "y"', "\udcff"])
def test_a_mistake_in_the_operator_s_table_is_said_at_start(tmp_path, damage) -> None:
    path = tmp_path / "routing.toml"
    path.write_bytes(damage.encode("utf-8", "surrogateescape"))
    with pytest.raises(KnowledgeError):
        rules.routing(path)


def test_a_lead_makes_renames_and_staffs_groups(member, sign_in, handler) -> None:
    client = sign_in(member(Role.LEAD, name="責任者"))
    assert "早期警戒" in client.get("/desk/groups/").content.decode() and not Team.objects.exists()
    for _ in range(2):
        client.post("/desk/groups/add/", {"defaults": "1"})
    assert [row.name for row in Team.objects.order_by("pk")] == ["早期警戒", "インシデントレスポンス", "政策担当"]
    team = Team.objects.get(name="政策担当")
    client.post(f"/desk/groups/{team.pk}/", {"name": "政策", "members": [str(handler.pk)], "is_on_call": "1"})
    team.refresh_from_db()
    assert (team.name, team.is_on_call, list(team.members.all())) == ("政策", True, [handler])
    answer = client.post(f"/desk/groups/{team.pk}/", {"name": "早期警戒"}, follow=True).content.decode()
    assert "同じ名前のグループ" in answer and Team.objects.filter(name="早期警戒").count() == 1
    assert Entry.objects.filter(act="group.changed").count() == 1


def test_groups_take_only_people_of_the_desk_and_only_leads_make_them(member, sign_in, handler, team) -> None:
    outsider = member(Role.PARTNER, desk=False)
    client = sign_in(member(Role.LEAD))
    for members in ([str(outsider.pk)], ["x"], [str(uuid.uuid4())]):
        client.post(f"/desk/groups/{team.pk}/", {"name": "x", "members": members})
    team.refresh_from_db()
    assert team.name == "インシデントレスポンス" and not team.members.exists()
    assert sign_in(handler).post("/desk/groups/add/", {"name": "x"}).status_code == 404
    assert "名前を書いて" in client.post("/desk/groups/add/", {"name": "  "}, follow=True).content.decode()

"""Asking the desk from a program: like the web form, with a code instead of a page."""

from __future__ import annotations

import pytest

from hikeshi_desk.cases import acts
from hikeshi_desk.cases.models import Case
from hikeshi_desk.intake.models import Submission

SAID = {"what": "ファイルが開けません", "incident": "ransomware", "anonymous": True}
KEY = "a-key-of-this-test-0001"


def test_a_consultation_gets_its_code_its_time_and_its_first_steps(anonymous):
    answer = anonymous("POST", "/consultations", SAID | {"contact": "me@example.jp", "asker_name": "山田"})
    told = answer.json()
    assert answer.status_code == 201, told
    assert len(told["receipt_code"]) == 34 and told["urgent"] and told["first_steps"]["steps"]
    case = Case.objects.get()
    assert case.due_at.isoformat().replace("+00:00", "Z")[:19] == told["answer_by"][:19]
    assert case.is_anonymous and not case.contact and not case.asker_name
    assert Submission.objects.get().channel == "api"


def test_sent_twice_under_one_key_it_is_one_with_one_code(anonymous):
    first = anonymous("POST", "/consultations", SAID, Idempotency_Key=KEY).json()
    again = anonymous("POST", "/consultations", SAID, Idempotency_Key=KEY).json()
    other = anonymous("POST", "/consultations", SAID | {"what": "別のこと"}, Idempotency_Key=KEY).json()
    assert again["duplicate"] and again["receipt_code"] == first["receipt_code"]
    assert not other["duplicate"] and other["receipt_code"] != first["receipt_code"]
    assert Case.objects.count() == 2


def test_the_same_key_of_another_sender_gives_nobody_elses_code(anonymous, caller):
    said = SAID | {"anonymous": False, "contact": "a@example.jp", "asker_name": "A"}
    first = anonymous("POST", "/consultations", said, Idempotency_Key=KEY).json()
    other = caller()("POST", "/consultations", said, Idempotency_Key=KEY).json()
    assert not other["duplicate"] and other["receipt_code"] != first["receipt_code"]


@pytest.mark.parametrize("change", [
    {"what": "  "}, {"what": None}, {"incident": "fire"}, {"state": "closed"}, {"anonymous": False}, {"what": "a" * 100_001},
    {"facts": {"noticed_at": "x", "owner": "me"}}, {"hypothesis": ["a"] * 21}, {"anonymous": "yes"}, {"channel": "web"},
    {"what": "\ud800"}])
def test_what_is_not_in_the_model_is_refused_and_named(anonymous, change):
    answer = anonymous("POST", "/consultations", SAID | change)
    told = answer.json()
    assert answer.status_code == 422 and answer["Content-Type"] == "application/problem+json"
    assert told["next"] and told["errors"][0]["at"].startswith("body.given") and told["status"] == 422
    assert not Submission.objects.exists()


def test_the_code_reads_the_thread_and_says_more(anonymous, caller):
    code = anonymous("POST", "/consultations", SAID).json()["receipt_code"]
    assert anonymous("POST", "/thread", {"what": "追加です\0"}, Receipt_Code=code.lower()).status_code == 201
    case = Case.objects.get()
    handler = caller()
    acts.note(case, handler.user, body="INTERNAL")
    acts.reply(case, handler.user, body="回答です")
    told = anonymous("GET", "/thread", Receipt_Code=code).json()
    assert [entry["by"] for entry in told["entries"]] == ["asker", "asker", "desk"]
    assert told["entries"][2]["text"] == "回答です" and "INTERNAL" not in str(told) and told["state"] == "open"


def test_a_wrong_code_is_no_thread_and_soon_waits(anonymous):
    wrong = "ABCD-" * 6 + "ABCD"
    assert anonymous("GET", "/thread").status_code == 422
    for _ in range(10):
        answer = anonymous("GET", "/thread", Receipt_Code=wrong)
        assert answer.status_code == 404
    answer = anonymous("GET", "/thread", Receipt_Code=wrong)
    assert answer.status_code == 429 and int(answer["Retry-After"]) > 0
    assert anonymous("GET", f"/thread?code={wrong}&Receipt-Code={wrong}").status_code == 422  # never in an address


def test_a_consultation_with_a_token_is_the_organisation_s(caller):
    partner = caller("partner")
    assert partner("POST", "/consultations", {"what": "不審な通信"}).status_code == 201
    case = Case.objects.get()
    assert case.asker_name == "他組織" and case.contact == partner.user.email
    assert partner("GET", f"/cases/{case.pk}").status_code == 404  # asking makes nobody a party


def test_a_full_disk_is_said_and_nothing_is_acknowledged(anonymous, monkeypatch):
    from hikeshi_desk.intake import spool

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "_fill", full)
    answer = anonymous("POST", "/consultations", SAID)
    assert answer.status_code == 507 and "receipt_code" not in answer.json() and answer.json()["next"]


def test_too_many_without_a_token_wait(anonymous, monkeypatch):
    from hikeshi_desk.api import tokens

    monkeypatch.setattr(tokens, "ANONYMOUS_A_MINUTE", 2)
    assert [anonymous("POST", "/consultations", {}).status_code for _ in range(3)] == [422, 422, 429]

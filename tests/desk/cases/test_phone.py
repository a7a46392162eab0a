"""A phone note: through the one door, a case at once, the code read out once, the call-back in the queue."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from hikeshi_desk.accounts.models import Role
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.models import Case, Source, Task
from hikeshi_desk.consult import thread as asker_s
from hikeshi_desk.intake import receipt
from hikeshi_desk.intake.models import Submission

pytestmark = pytest.mark.django_db
PHONE = "/desk/phone/"


def told(**more) -> dict[str, str]:
    return {"what": "不審な通信の警告が出ています", "caller": "山田", "organisation": "被害工業", "called_at": "2026-11-22T14:30",
            "number": "03-1234-5678", "call_back_at": "2026-11-22T16:00", "incident": "malware",
            "request": "first_steps", "detected_by": "utm", "asker_kind": "victim", "urgency_hint": "high",
            "language": "ja", "key": str(uuid.uuid4()), **more}


def test_a_call_becomes_a_case_and_the_code_opens_the_asker_s_thread(handler, sign_in) -> None:
    client = sign_in(handler)
    answer = client.post(PHONE, told())
    case = Case.objects.get()
    assert answer.status_code == 302 and answer["Location"] == reverse("cases:phone-receipt", args=[case.pk])
    page = client.get(answer["Location"]).content.decode()
    groups = [part.split("</span>")[0] for part in page.split('receipt-code">')[1].split("</p>")[0].split("<span>")[1:]]
    assert len(groups) == 7 and asker_s.find(receipt.hmac_of("-".join(groups))) == case
    assert (case.asker_name, case.contact, case.detected_by) == ("被害工業 山田", "03-1234-5678", "utm")
    assert Submission.objects.get().channel == "phone" and case.messages.get().channel == "phone"
    assert case.urgency == ""  # an impression judges nothing
    assert Entry.objects.filter(act="case.phone_note", actor=str(handler.pk)).count() == 1
    seen = client.get(reverse("cases:case", args=[case.pk])).content.decode()
    assert "UTM" in seen and "山田" in seen and "電話での緊急度の印象" in seen


def test_the_code_is_shown_once_and_stands_nowhere(handler, sign_in) -> None:
    client = sign_in(handler)
    address = client.post(PHONE, told())["Location"]
    assert "receipt-code" in client.get(address).content.decode()
    again = client.get(address).content.decode()
    assert "receipt-code" not in again and "一度だけ" in again


def test_the_code_is_not_for_another_case_or_person(handler, member, sign_in, consult) -> None:
    client, other = sign_in(handler), consult()
    address = client.post(PHONE, told())["Location"]
    cookie = client.cookies["phone-code"].value
    colleague = sign_in(member(Role.HANDLER))
    colleague.cookies["phone-code"] = cookie
    assert "receipt-code" not in colleague.get(address).content.decode()
    assert "receipt-code" not in client.get(reverse("cases:phone-receipt", args=[other.pk])).content.decode()


def test_a_double_click_is_one_case_with_the_same_code(handler, sign_in) -> None:
    client, same = sign_in(handler), told()
    codes = [client.get(client.post(PHONE, same)["Location"]).content.decode().split("receipt-code")[1][:200]
             for _ in range(2)]
    assert codes[0] == codes[1] and Case.objects.count() == 1 and Task.objects.filter(kind="call_back").count() == 1
    assert Entry.objects.filter(act="case.phone_note").count() == 1


def test_the_call_back_comes_up_when_its_time_is_there(handler, sign_in, consult) -> None:
    now = timezone.localtime()
    client = sign_in(handler)
    later, earlier = now + timedelta(minutes=1), now - timedelta(minutes=5)
    client.post(PHONE, told(what="先に電話", call_back_at=f"{earlier:%Y-%m-%dT%H:%M}"))
    client.post(PHONE, told(what="明日の電話", call_back_at=f"{later + timedelta(days=1):%Y-%m-%dT%H:%M}"))
    consult("ふつうの相談")
    page = client.get("/desk/").content.decode()
    assert page.index("先に電話") < page.index("明日の電話") and page.index("先に電話") < page.index("ふつうの相談")
    tasks = client.get("/desk/?view=tasks").content.decode()
    assert "先に電話" in tasks and "明日の電話" not in tasks and "作業の時刻です" in tasks
    case = Case.objects.get(title="先に電話")
    client.post(reverse("cases:do-finish", args=[case.pk]), {"task": str(case.tasks.get(kind="call_back").pk)})
    assert "先に電話" not in client.get("/desk/?view=tasks").content.decode()


def test_a_due_call_back_lifts_a_case_that_waits_for_its_asker(handler, sign_in) -> None:
    client = sign_in(handler)
    client.post(PHONE, told(what="待っている件"))
    case = Case.objects.get()
    client.post(reverse("cases:do-reply", args=[case.pk]), {"body": "答え", "wait": "1"})
    case.tasks.filter(kind="call_back").update(due_at=timezone.now() + timedelta(hours=30))
    client.post(reverse("cases:do-note", args=[case.pk]), {"body": "時刻を変えた"})
    assert "待っている件" not in client.get("/desk/").content.decode()
    case.tasks.filter(kind="call_back").update(due_at=timezone.now() - timedelta(minutes=1))
    client.post(reverse("cases:do-note", args=[case.pk]), {"body": "時刻を戻した"})
    assert "待っている件" in client.get("/desk/").content.decode()


@pytest.mark.parametrize("source", [code for code in Source.values if code])
def test_every_source_of_detection_can_be_chosen(handler, sign_in, source) -> None:
    client = sign_in(handler)
    assert f'value="{source}"' in client.get(PHONE).content.decode()
    client.post(PHONE, told(detected_by=source))
    assert Case.objects.get().detected_by == source


@pytest.mark.parametrize("wrong", [
    {"what": " "}, {"called_at": "きのう"}, {"called_at": ""}, {"call_back_at": "25:99"}, {"number": ""},
    {"incident": "invented"}, {"detected_by": "<b>"}, {"urgency_hint": "extreme"}, {"language": "xx"},
    {"caller": "長" * 201}, {"what": "長" * 100_001}])
def test_a_wrong_note_keeps_what_was_written_and_opens_nothing(handler, sign_in, wrong) -> None:
    answer = sign_in(handler).post(PHONE, told(**wrong))
    if wrong.get("what", "").startswith("長"):  # cut at the form's own bound, as everywhere on the desk
        assert answer.status_code == 302
        return
    assert answer.status_code == 422 and not Submission.objects.exists()
    assert ("山田" in answer.content.decode()) == ("caller" not in wrong)


def test_an_anonymous_caller_leaves_no_name_but_may_be_called_back(handler, sign_in) -> None:
    sign_in(handler).post(PHONE, told(anonymous="1"))
    case = Case.objects.get()
    assert (case.asker_name, case.contact, case.is_anonymous) == ("", "", True)
    assert case.tasks.get(kind="call_back").due_at and case.facts["call_back_number"] == "03-1234-5678"


def test_a_web_form_can_not_order_a_call_back(consult) -> None:
    case = consult(facts={"call_back_at": "2026-11-22T16:00+09:00", "detected_by": "staff"})
    assert not case.tasks.filter(kind="call_back").exists() and case.detected_by == ""


def test_a_stop_between_keeping_and_opening_loses_no_call_back(handler, monkeypatch) -> None:
    from hikeshi_desk.cases import opening, phone

    monkeypatch.setattr(phone, "open_submission", lambda row: 1 / 0)
    note, _ = phone.checked({**dict.fromkeys(phone.FIELDS, ""), **told()})
    with pytest.raises(ZeroDivisionError):
        phone.open_case(note, handler, key=str(uuid.uuid4()))
    assert opening.open_waiting() == 1 and Task.objects.get(kind="call_back").due_at

"""Alerts of machines: every one kept, the same one once, what belongs together one case."""

from __future__ import annotations

import pytest
from django.test import Client

from hikeshi_desk.api import alerts
from hikeshi_desk.api.models import Alert, AlertGroup
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import acts, signals
from hikeshi_desk.cases.models import Case, Message, Rank


def alert(number: int = 1, **more: object) -> dict[str, object]:
    return {"source": "edr", "id": f"EDR-{number}", "time": "2026-11-20T10:00:00+09:00", "severity": "high",
            "text": "PowerShellから外部への通信", "host": "WS-14"} | more


@pytest.mark.parametrize("source", alerts.SOURCES)
def test_an_alert_of_each_source_becomes_a_case(caller, source):
    answer = caller("partner")("POST", "/alerts", alert(source=source, indicators=["203.0.113.5", "evil.example"]))
    told = answer.json()
    assert answer.status_code == 201, told
    case = Case.objects.get(pk=told["case"])
    assert case.number == told["number"] and not told["duplicate"] and told["count"] == 1
    body = Message.objects.get(case=case).body
    assert "PowerShell" in body and "WS-14" in body and "203.0.113.5, evil.example" in body
    assert Message.objects.get().channel == "api"


def test_the_same_alert_twice_is_one(caller):
    send = caller()
    send("POST", "/alerts", alert())
    told = send("POST", "/alerts", alert(text="別の文面")).json()
    assert told["duplicate"] and told["count"] == 1 and Alert.objects.count() == 1 and Case.objects.count() == 1


def test_the_same_number_from_another_source_or_sender_is_another_alert(caller):
    one, other = caller(), caller()
    one("POST", "/alerts", alert())
    assert not one("POST", "/alerts", alert(source="utm")).json()["duplicate"]
    assert not other("POST", "/alerts", alert()).json()["duplicate"]
    assert Case.objects.count() == 3  # a sender's alert never joins another sender's case


def test_alerts_that_belong_together_join_one_case_until_it_is_finished(caller):
    send = caller()
    first = send("POST", "/alerts", alert(1)).json()
    second = send("POST", "/alerts", alert(2, severity="critical")).json()
    apart = send("POST", "/alerts", alert(3, host="WS-15")).json()
    assert second["case"] == first["case"] and second["count"] == 2 and apart["case"] != first["case"]
    assert AlertGroup.objects.get(case=first["case"]).severity == "critical"
    acts.close(Case.objects.get(pk=first["case"]), send.user, reason="誤検知")
    after = send("POST", "/alerts", alert(4)).json()
    assert after["case"] not in (first["case"], apart["case"]) and after["count"] == 1
    assert send("POST", "/alerts", alert(1)).json()["case"] == first["case"]  # known, though its case is closed


def test_a_correlation_key_joins_what_looks_different_and_parts_what_looks_alike(caller):
    send = caller()
    one = send("POST", "/alerts", alert(1, correlation="campaign-7", host="A")).json()
    two = send("POST", "/alerts", alert(2, correlation="campaign-7", host="B", text="別")).json()
    three = send("POST", "/alerts", alert(3, correlation="campaign-8", host="A")).json()
    assert one["case"] == two["case"] != three["case"]


def test_a_flood_of_ten_thousand_is_one_case_with_a_count(caller):
    send = caller()
    for start in range(0, 10_000, 500):
        answer = send("POST", "/alerts/batch", {"alerts": [alert(start + number) for number in range(500)]})
        assert answer.status_code == 201
    assert answer.json()["alerts"][-1]["count"] == 10_000
    assert Case.objects.count() == 1 and Alert.objects.count() == 10_000 and Message.objects.count() == 1
    case = Case.objects.get()
    client = Client()
    client.force_login(send.user)
    page = client.get(f"/desk/case/{case.pk}/").content.decode()
    assert "10,000" in page and page.count("EDR-") < 60


def test_a_batch_with_one_wrong_alert_is_kept_not_at_all(caller):
    send = caller()
    answer = send("POST", "/alerts/batch", {"alerts": [alert(1), alert(2, time="2026-11-20T10:00:00")]})
    assert answer.status_code == 422 and not Alert.objects.exists()
    twice = send("POST", "/alerts/batch", {"alerts": [alert(1), alert(1)]}).json()["alerts"]
    assert [one["duplicate"] for one in twice] == [False, True] and Alert.objects.count() == 1


@pytest.fixture
def called(monkeypatch):
    """The cases that on-call was told of."""
    told = []

    def note(case_id, **_):
        told.append(str(case_id))

    signals.case_urgent.connect(note)
    yield told
    signals.case_urgent.disconnect(note)


@pytest.mark.parametrize(("severity", "is_urgent"), [
    ("critical", True), ("high", True), ("medium", False), ("low", False), ("info", False)])
def test_a_grave_alert_is_urgent_and_calls_and_a_medium_one_waits(
        caller, called, severity, is_urgent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        told = caller()("POST", "/alerts", alert(severity=severity)).json()
    case = Case.objects.get()
    assert called == ([told["case"]] if is_urgent else [])
    assert (case.rank == Rank.URGENT, case.urgency) == (is_urgent, "high" if is_urgent else "")
    assert case.clocks.get(stopped_at=None).unit == ("hours" if is_urgent else "business_days")
    assert Entry.objects.filter(act="case.made_urgent").count() == is_urgent


def test_it_becomes_urgent_when_a_worse_one_joins_and_calls_once(
        caller, called, django_capture_on_commit_callbacks):
    send = caller()
    with django_capture_on_commit_callbacks(execute=True):
        told = [send("POST", "/alerts", alert(number, severity=severity)).json()["case"]
                for number, severity in enumerate(("medium", "critical", "high"))]
    assert len(set(told)) == 1 and called == [told[0]]


def test_what_a_person_judged_stays_so(caller, called, django_capture_on_commit_callbacks):
    send = caller()
    send("POST", "/alerts", alert(1, severity="medium"))
    acts.triage(Case.objects.get(), send.user, verdict="true", reason="試験です", rule="bulk_spam")
    with django_capture_on_commit_callbacks(execute=True):
        send("POST", "/alerts", alert(2, severity="critical"))
    assert called == [] and Case.objects.get().urgency == "low"


def test_a_stop_before_the_group_had_its_case_calls_later(caller, called, monkeypatch, django_capture_on_commit_callbacks):
    with monkeypatch.context() as patch, django_capture_on_commit_callbacks(execute=True):
        patch.setattr(alerts, "make_urgent", lambda *_: 1 / 0)
        assert caller()("POST", "/alerts", alert()).json()["case"] is None
    with django_capture_on_commit_callbacks(execute=True):
        assert alerts.open_waiting() == 1
    assert called == [str(Case.objects.get().pk)] and AlertGroup.objects.get().case == Case.objects.get()


def test_an_alert_whose_case_could_not_be_opened_is_kept_and_opened_later(caller, monkeypatch):
    def broken(*_, **__):
        raise OSError(28, "No space left on device")

    send = caller()
    with monkeypatch.context() as patch:
        patch.setattr(alerts, "submit", broken)
        told = send("POST", "/alerts", alert(1)).json()
    assert told["case"] is None and Alert.objects.count() == 1 and not Case.objects.exists()
    assert alerts.open_waiting() == 1 and alerts.open_waiting() == 0
    assert send("POST", "/alerts", alert(2)).json()["case"] == str(Case.objects.get().pk)


def test_a_stop_between_case_and_group_makes_no_second_case(caller):
    send = caller()
    send("POST", "/alerts", alert(1))
    AlertGroup.objects.update(case=None)  # as if the process had ended before it was written
    assert alerts.open_waiting() == 1
    assert Case.objects.count() == 1 and AlertGroup.objects.get().case == Case.objects.get()


@pytest.mark.parametrize("change", [{"source": "toaster"}, {"severity": "urgent"}, {"time": "yesterday"}, {"id": ""},
                                    {"text": " "}, {"case": "x"}, {"indicators": "1.2.3.4"}, {"time": "2026-11-20T10:00:00"}])
def test_an_alert_out_of_shape_is_refused(caller, change):
    assert caller()("POST", "/alerts", alert(**change)).status_code == 422
    assert not Alert.objects.exists()


def test_without_the_scope_no_alert_comes_in(caller, anonymous):
    assert anonymous("POST", "/alerts", alert()).status_code == 401
    refused = caller(scopes=["cases:read"])("POST", "/alerts", alert())
    assert refused.status_code == 403 and refused.json()["detail"] == "alerts:write"
    assert not Alert.objects.exists()


def test_a_partner_does_not_see_the_alerts_of_a_case(caller, make_person):
    told = caller("partner")("POST", "/alerts", alert()).json()
    outsider = make_person("partner")
    client = Client()
    client.force_login(outsider)
    assert client.get(f"/desk/case/{told['case']}/").status_code == 404

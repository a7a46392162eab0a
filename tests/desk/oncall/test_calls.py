"""An urgent case calls one person after the other until somebody has it."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote, unquote

import pytest
from django.utils import timezone

from hikeshi_desk.accounts.models import Role
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import acts
from hikeshi_desk.cases.models import Case
from hikeshi_desk.oncall import calls, notices, ways
from hikeshi_desk.oncall.models import Call, Notice, Shift

pytestmark = pytest.mark.django_db
ON = '[oncall]\nminutes = 10\naddress = "https://desk.example.jp"\n'


@pytest.fixture
def chat(hook, told):
    """Gives people a team chat of their own; desk.toml allows it."""
    told(f'{ON}[egress]\nprivate = ["{hook.url}"]\n')

    def join(person):
        ways.add(person, "webhook", f"{hook.url}/hooks/{quote(person.name)}")
        return person
    return join


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def called(hook) -> list[str]:
    return [unquote(path).rsplit("/", 1)[1] for path, _, _ in hook.told]


def acts_of(case: Case) -> list[str]:
    return list(Entry.objects.filter(subject=f"case:{case.pk}", act__startswith="oncall").order_by("sequence")
                .values_list("act", flat=True))


def test_one_after_the_other_then_the_leads_then_nobody(member, always, chat, hook, urgent):
    first, second = chat(member("一")), chat(member("二"))
    chat(member("長", Role.LEAD))
    always(first), always(second, 2)
    chat(member("非番"))
    case = urgent()
    now = timezone.now()
    calls.tend(now)
    assert called(hook) == ["一"]
    calls.tend(now + minutes(9.9))
    assert called(hook) == ["一"]
    calls.tend(now + minutes(10))
    assert called(hook) == ["一", "二"]
    calls.tend(now + minutes(20))
    assert called(hook) == ["一", "二", "長"]
    assert Call.objects.get().nobody_at is None
    calls.tend(now + minutes(30))
    assert called(hook) == ["一", "二", "長"] and Call.objects.get().nobody_at
    calls.tend(now + minutes(59))
    assert len(hook.told) == 3
    calls.tend(now + minutes(60))  # it begins anew rather than fall asleep
    assert called(hook) == ["一", "二", "長", "一"]
    assert acts_of(case) == ["oncall.began", *["oncall.called"] * 3, "oncall.nobody", "oncall.called"]


def test_a_message_says_number_kind_and_due_and_nothing_of_the_victim(member, always, chat, hook, urgent):
    always(chat(member("一", language="en")))
    case = urgent(on_behalf="CANARY-CLIENT")
    calls.tend()
    ((_, told, raw),) = hook.told
    assert set(told) == {"text", "number", "kind", "due", "link"}
    assert told["number"] == case.number and told["kind"] == "Ransomware" and told["due"] == case.due_at.isoformat()
    assert told["link"] == f"https://desk.example.jp/desk/case/{case.pk}/"
    assert "CANARY" not in raw and "canary" not in raw
    calls.tend()
    assert len(hook.told) == 1


def test_the_signal_is_only_quicker(member, always, chat, hook, urgent, django_capture_on_commit_callbacks):
    always(chat(member("一")))
    with django_capture_on_commit_callbacks(execute=True):
        heard = urgent()
    assert Call.objects.get().case == heard
    urgent()  # nobody heard of this one
    calm = urgent(incident="phishing")
    assert Call.objects.count() == 1
    calls.tend()
    assert Call.objects.count() == 2 == len(hook.told)
    assert not Call.objects.filter(case=calm).exists()
    acts.triage(calm, member("判定"), verdict="true", reason="急ぐ", rule=next(iter(_rules())))
    calls.tend()
    assert Call.objects.filter(case=calm).exists() and len(hook.told) == 3


def _rules():
    from hikeshi_desk.cases import rules

    return {name: rule for name, rule in rules.urgency_rules().items() if rule.urgency == "high"}


def test_nobody_is_called_by_a_desk_without_a_roster(member, urgent):
    member("長", Role.LEAD)
    urgent()
    calls.tend()
    assert not Call.objects.exists()


def test_without_anybody_on_call_the_leads_are_called_at_once(member, chat, hook, urgent):
    chat(member("長", Role.LEAD)), chat(member("長2", Role.LEAD)), chat(member("担当"))
    urgent()
    calls.tend()
    assert sorted(called(hook)) == ["長", "長2"]


def test_somebody_who_can_t_be_reached_costs_no_time(member, always, chat, hook, urgent):
    always(member("道なし")), always(chat(member("二")), 2)  # no mail is set up, and the first has no chat
    urgent()
    calls.tend()
    assert called(hook) == ["二"]
    failed = Notice.objects.get(person__name="道なし")
    assert (failed.state, failed.problem) == ("failed", "oncall.problem.no_mail")


def test_a_deactivated_person_is_not_called(member, always, chat, hook, urgent):
    gone, here = chat(member("退職")), chat(member("二"))
    always(gone), always(here, 2)
    gone.is_active = False
    gone.save()
    urgent()
    calls.tend()
    assert called(hook) == ["二"]


def test_a_person_deactivated_between_writing_and_sending_is_not_called(member, always, chat, hook, urgent):
    gone, here = chat(member("退職")), chat(member("二"))
    always(gone), always(here, 2)
    hook.status = 500
    urgent()
    now = timezone.now()
    calls.tend(now)
    assert called(hook) == ["退職"]
    gone.is_active = False
    gone.save()
    hook.status = 200
    calls.tend(now + minutes(2))
    assert called(hook) == ["退職", "二"]


def test_a_service_that_fails_is_tried_again_with_growing_pauses(member, always, chat, hook, urgent):
    always(chat(member("一")))
    hook.status = 503
    case = urgent()
    now = timezone.now()
    calls.tend(now)
    for pause in notices.PAUSES_S[:3]:
        calls.tend(now + timedelta(seconds=pause - 1))
        before = len(hook.told)
        calls.tend(now := now + timedelta(seconds=pause))
        assert len(hook.told) == before + 1
    hook.status = 204
    calls.tend(now + timedelta(seconds=notices.PAUSES_S[3]))
    notice = Notice.objects.get(person__name="一", kind="webhook")
    assert (notice.state, notice.problem, notice.tries) == ("sent", "", 5)
    assert case.call.nobody_at is None


def test_a_forbidden_address_is_said_and_not_called(member, always, chat, hook, urgent, told):
    always(chat(member("一")))
    told(ON)
    urgent()
    calls.tend()
    assert not hook.told
    assert set(Notice.objects.values_list("problem", flat=True)) == {"egress.refused.not_named", "oncall.problem.no_mail"}
    assert Call.objects.get().nobody_at


def test_taking_stops_the_call_and_gives_the_case(member, always, chat, hook, urgent):
    first, second = chat(member("一")), chat(member("二"))
    always(first), always(second, 2)
    case = urgent()
    now = timezone.now()
    calls.tend(now)
    assert calls.take(case.call, second)
    assert not calls.take(case.call, first) and calls.take(case.call, second)
    case.refresh_from_db()
    assert case.owner == second and case.call.__class__.objects.get().state == "taken"
    calls.tend(now + minutes(60))
    assert called(hook) == ["一"]
    assert acts_of(case).count("oncall.taken") == 1


@pytest.mark.parametrize("ending", ["assigned", "answered", "closed", "not urgent"])
def test_what_is_settled_otherwise_calls_nobody_any_more(member, always, chat, hook, urgent, ending):
    always(chat(member("一"))), always(chat(member("二")), 2)
    worker = member("担当")
    case = urgent()
    now = timezone.now()
    calls.tend(now)
    {"assigned": lambda: acts.assign(case, worker, owner=worker, team=None),
     "answered": lambda: acts.reply(case, worker, body="お答えします"),
     "closed": lambda: acts.close(case, worker, reason="重複"),
     "not urgent": lambda: acts.triage(case, worker, verdict="failure", reason="故障") and acts.pause(case, worker, reason="x"),
     }[ending]()
    calls.tend(now + minutes(30))
    assert called(hook) == ["一"]
    call = Call.objects.get()
    assert call.state == ("taken" if ending == "assigned" else "over") and call.nobody_at is None


def test_whoever_judges_it_urgent_and_has_it_is_not_woken(member, always, chat, hook, urgent, told):
    always(chat(member("一")))
    worker = member("担当")
    case = urgent(incident="phishing")
    acts.assign(case, worker, owner=worker, team=None)
    acts.triage(case, worker, verdict="true", reason="広がっている", rule=next(iter(_rules())))
    calls.tend()
    assert not hook.told


def test_a_partner_can_t_take(member, always, chat, urgent):
    always(chat(member("一")))
    case = urgent()
    calls.tend()
    with pytest.raises(calls.Refused):
        calls.take(case.call, member("社外", Role.PARTNER, desk=False))
    case.refresh_from_db()
    assert case.owner is None


def test_a_test_call_goes_to_one_person_and_no_further(member, always, chat, hook):
    me, other = chat(member("私")), chat(member("二"))
    always(other)
    calls.test(me)
    with pytest.raises(calls.Refused):
        calls.test(me)
    now = timezone.now()
    calls.tend(now)
    calls.tend(now + minutes(60))
    assert called(hook) == ["私"]
    assert hook.told[0][1]["number"] == "" and "試し" in hook.told[0][1]["text"]


def test_a_webhook_is_kept_sealed_and_shown_short(member, chat, hook):
    person = chat(member("一"))
    way = person.ways.get()
    assert "hooks" not in way.value and ways.short(way) == f"{hook.url}/…"
    for kind, value in (("webhook", "https://elsewhere.example/x"), ("webhook", f"{hook.url.upper()}x/"), ("fax", "1"),
                        ("mail", "no address"), ("mail", "a@b.example\nBcc: c@d.example"), ("mail", "")):
        with pytest.raises(ways.Refused):
            ways.add(person, kind, value)
    assert Shift.objects.count() == 0

"""The roster's page, the panel of a case, the queue's red line, and the link of a mail, with a real mail server."""

from __future__ import annotations

import email
import re
import socket
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hikeshi_desk.accounts.models import Role
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.models import Case
from hikeshi_desk.mail.send import send_waiting
from hikeshi_desk.oncall import calls
from hikeshi_desk.oncall.models import Call, Notice, Shift, Way

pytestmark = pytest.mark.django_db
ROSTER = reverse("oncall:roster")
SHIFT = {"shift-first_day": "2026-11-23", "shift-begins": "09:00", "shift-end_day": "2026-11-23", "shift-ends": "18:00",
         "shift-place": "1"}


class _Kept(Sink):
    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content)
        self.mails.append((envelope.rcpt_tos, message, message.get_payload(decode=True).decode()))
        return "250 OK"


@pytest.fixture
def outside(monkeypatch, told):
    kept = _Kept()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    monkeypatch.setenv("HIKESHI_SMTP", f"smtp+plain://127.0.0.1:{port}")
    monkeypatch.setenv("HIKESHI_MAIL_ADDRESS", "desk@example.org")
    told('[oncall]\naddress = "https://desk.example.jp"\n')
    yield kept
    server.stop()


def links_in(body: str) -> list[str]:
    return re.findall(r"https://desk\.example\.jp(/desk/on-call/link/[\w-]+/)", body)


def test_a_mail_arrives_once_says_no_more_than_it_must_and_its_link_answers(outside, member, always, urgent):
    first, second = member("一"), member("二", language="en")
    always(first), always(second, 2)
    case, now = urgent(), timezone.now()
    calls.tend(now)
    calls.tend(now)
    send_waiting()
    calls.tend(now + timedelta(seconds=16))
    send_waiting()
    ((recipients, message, body),) = outside.mails
    assert recipients == [first.email] and case.number in body
    assert not re.search("canary", message.as_string() + body, re.IGNORECASE)
    notice = Notice.objects.get()
    assert (notice.state, notice.problem) == ("sent", "")

    (path,) = links_in(body)
    browser = Client(enforce_csrf_checks=True)
    for _ in range(2):  # a mail server looks at links too
        shown = browser.get(path)
        assert shown.status_code == 200 and case.number in shown.content.decode() and "CANARY" not in shown.content.decode()
    assert Call.objects.get().state == "calling" and shown["Cache-Control"] == "no-store"
    assert browser.post(path).status_code == 403  # without the form's token
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', shown.content.decode())[1]
    assert "あなたが担当者です" in browser.post(path, {"csrfmiddlewaretoken": token}).content.decode()
    case.refresh_from_db()
    assert case.owner == first
    assert "_auth_user_id" not in browser.session  # it answers the call and opens nothing
    calls.tend(now + timedelta(hours=1))
    send_waiting()
    assert len(outside.mails) == 1


def test_the_second_to_answer_is_told_so(outside, member, always, urgent):
    first, second = member("一"), member("二", language="en")
    always(first), always(second, 2)
    case, now = urgent(), timezone.now()
    calls.tend(now)
    calls.tend(now + timedelta(minutes=10))
    send_waiting()
    one, two = (links_in(body)[0] for _, _, body in outside.mails)
    assert "[Urgent]" in str(email.header.make_header(email.header.decode_header(outside.mails[1][1]["Subject"])))
    Client().post(two)
    assert "ほかの人がもう引き受けています" in Client().post(one).content.decode()
    case.refresh_from_db()
    assert case.owner == second


@pytest.mark.parametrize("spoilt", ["too old", "left", "changed", "no longer at the desk"])
def test_a_link_that_is_not_good_is_no_page(outside, member, always, urgent, spoilt):
    person = member("一")
    always(person)
    case = urgent()
    calls.tend()
    send_waiting()
    (path,) = links_in(outside.mails[0][2])
    if spoilt == "too old":
        Notice.objects.update(made_at=timezone.now() - timedelta(hours=25))
    elif spoilt == "left":
        person.is_active = False
        person.save()
    elif spoilt == "changed":
        path = path[:-3] + ("A/" if path[-3] != "A" else "B/")
    else:
        person.memberships.all().delete()
    for method in ("get", "post"):
        assert getattr(Client(), method)(path).status_code == 404
    case.refresh_from_db()
    assert case.owner is None and Call.objects.get().state == "calling"


def test_a_mail_server_that_is_away_leaves_a_word_and_another_try(member, always, urgent, monkeypatch, told):
    told("[oncall]\n")
    monkeypatch.setenv("HIKESHI_SMTP", "smtp+plain://127.0.0.1:9")
    monkeypatch.setenv("HIKESHI_MAIL_ADDRESS", "desk@example.org")
    always(member("一"))
    urgent()
    now = timezone.now()
    calls.tend(now)
    assert Notice.objects.get().problem == "oncall.problem.on_its_way"
    send_waiting()
    calls.tend(now + timedelta(seconds=16))
    notice = Notice.objects.get()
    assert (notice.state, notice.problem) == ("waiting", "oncall.problem.mail")


def test_the_panel_shows_who_was_called_and_its_button_takes(member, always, urgent, sign_in, told):
    told("[oncall]\n")
    always(member("一"))
    me = sign_in(member("私"))
    case = urgent()
    calls.tend()  # no mail is set up: nobody can be reached
    page = me.get(reverse("cases:case", args=[case.pk])).content.decode()
    assert "誰にも連絡がついていません" in page and "送信用のメールが設定されていません" in page and "私が引き受ける" in page
    queue = me.get(reverse("cases:queue")).content.decode()
    assert "誰にも連絡がついていません" in queue and f"{reverse('cases:case', args=[case.pk])}#oncall" in queue
    assert me.post(reverse("oncall:take", args=[case.pk])).status_code == 302
    page = me.get(reverse("cases:case", args=[case.pk])).content.decode()
    assert "私 さんが引き受けました" in page and "誰にも連絡がついていません" not in page
    assert "誰にも連絡がついていません" not in me.get(reverse("cases:queue")).content.decode()
    assert Case.objects.get(pk=case.pk).owner.name == "私"


def test_a_partner_sees_nothing_of_it(member, always, urgent, sign_in, told):
    from hikeshi_desk.cases.models import Party

    told("[oncall]\n")
    always(member("一"))
    case = urgent()
    calls.tend()
    partner = member("社外", Role.PARTNER, desk=False)
    Party.objects.create(case=case, organisation=partner.memberships.get().organisation, sees_conversation=True)
    client = sign_in(partner)
    for path in (reverse("cases:case", args=[case.pk]), reverse("cases:queue")):
        page = client.get(path).content.decode()
        assert "緊急の呼び出し" not in page and "誰にも連絡" not in page
    assert client.post(reverse("oncall:take", args=[case.pk])).status_code == 404


def test_a_lead_adds_and_removes_shifts_and_the_gaps_are_shown(member, sign_in):
    lead, worker = member("長", Role.LEAD), member("佐藤")
    client = sign_in(lead)
    assert "呼び出しは止まっています" in client.get(ROSTER).content.decode()
    today = timezone.localdate()
    answer = client.post(reverse("oncall:shift-add"), SHIFT | {
        "shift-person": str(worker.pk), "shift-first_day": str(today - timedelta(days=7)),
        "shift-end_day": str(today - timedelta(days=5)), "shift-weekly": "on"})
    assert answer.status_code == 302
    page = client.get(ROSTER).content.decode()
    assert page.count('class="gap"') >= 8 and "当番のいない時間があります" in page and "毎週" in page
    assert page.count("<tr><th scope=\"row\">") >= 14
    shift = Shift.objects.get()
    assert client.post(reverse("oncall:shift-end", args=[shift.pk])).status_code == 302
    assert not Shift.objects.exists()
    assert list(Entry.objects.filter(act__startswith="oncall.shift").order_by("sequence").values_list("act", flat=True)) == [
        "oncall.shift_added", "oncall.shift_removed"]


@pytest.mark.parametrize("wrong", [
    {"shift-ends": "09:00"}, {"shift-end_day": "2026-11-22"}, {"shift-end_day": "2027-01-23"},
    {"shift-end_day": "2026-12-01", "shift-weekly": "on"}, {"shift-place": "9"}, {"shift-person": "nobody"},
    {"shift-first_day": "0001-01-01", "shift-end_day": "0001-01-01"}, {"shift-first_day": "9999-12-31", "shift-end_day": "9999-12-31"},
    {"shift-weekly": "on", "shift-last_day": "2026-11-01"}, {"shift-extra": "1"}, {"shift-begins": "25:00"}])
def test_a_shift_that_can_t_be_is_said_and_not_kept(member, sign_in, wrong):
    worker = member("佐藤")
    answer = sign_in(member("長", Role.LEAD)).post(reverse("oncall:shift-add"), SHIFT | {"shift-person": str(worker.pk)} | wrong)
    assert answer.status_code == 200 and "errorlist" in answer.content.decode()
    assert not Shift.objects.exists()


def test_a_shift_of_somebody_outside_can_t_be_made(member, sign_in):
    partner = member("社外", Role.PARTNER, desk=False)
    sign_in(member("長", Role.LEAD)).post(reverse("oncall:shift-add"), SHIFT | {"shift-person": str(partner.pk)})
    assert not Shift.objects.exists()


def test_ways_are_one_s_own_and_the_leads(member, sign_in, hook, told):
    told(f'[egress]\nprivate = ["{hook.url}"]\n')
    me, other, lead = member("私"), member("他"), member("長", Role.LEAD)
    client = sign_in(me)

    def add(by, person):
        return by.post(reverse("oncall:way-add"), {"way-person": str(person.pk), "way-kind": "webhook",
                                                   "way-value": f"{hook.url}/hooks/T0PSECRET"})

    assert add(client, me).status_code == 302
    assert add(client, other).status_code == 200 and not other.ways.exists()
    assert add(sign_in(lead), other).status_code == 302 and other.ways.exists()
    for viewer in (me, lead):
        assert "T0PSECRET" not in sign_in(viewer).get(ROSTER).content.decode()
    assert "T0PSECRET" not in str(list(Entry.objects.values())) + str(list(Way.objects.values()))
    assert "他</th>" not in client.get(ROSTER).content.decode()
    theirs = other.ways.get()
    assert client.post(reverse("oncall:way-remove", args=[theirs.pk])).status_code == 404
    assert client.post(reverse("oncall:way-remove", args=[me.ways.get().pk])).status_code == 302
    assert not me.ways.exists() and other.ways.exists()


def test_call_me_now_shows_how_it_went(member, sign_in, hook, told):
    told(f'[egress]\nprivate = ["{hook.url}"]\n')
    me = member("私")
    client = sign_in(me)
    client.post(reverse("oncall:way-add"), {"way-person": str(me.pk), "way-kind": "webhook", "way-value": f"{hook.url}/me"})
    client.post(reverse("oncall:test"))
    calls.tend()
    page = client.get(ROSTER).content.decode()
    assert len(hook.told) == 1 and "送信済み" in page and "送信用のメールが設定されていません" in page
    client.post(reverse("oncall:test"))
    assert Call.objects.count() == 1


@pytest.mark.parametrize("toml", ["minutes = 0", "minutes = 'x'", "minutes = true", "zone = 'Asia/Nowhere'", "phon = '1'",
                                  "address = 'desk.example.jp'", "address = 'https://a@b/'", "address = 'https://desk/x'"])
def test_a_table_that_says_something_else_stops_the_start(told, toml):
    from django.core.exceptions import ImproperlyConfigured

    from hikeshi_desk.oncall.plan import load_plan

    told(f"[oncall]\n{toml}\n")
    with pytest.raises(ImproperlyConfigured, match="oncall"):
        load_plan()

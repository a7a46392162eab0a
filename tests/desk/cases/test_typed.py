"""What was typed into a form that was refused stands there again, once, for whoever typed it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from hikeshi_desk.accounts.models import Organisation, Role, Team
from hikeshi_desk.cases.models import Party, Referral, Vulnerability

pytestmark = pytest.mark.django_db
LONG = "隔離は済んだ\n<b>\"次\" & 'その次'</b>"
SHOWN = "隔離は済んだ\n&lt;b&gt;&quot;次&quot; &amp; &#x27;その次&#x27;&lt;/b&gt;"


@pytest.fixture
def do(consult, handler, sign_in):
    case, client = consult(), sign_in(handler)

    def post(act: str, **fields) -> str:
        return client.post(reverse(f"cases:do-{act}", args=[case.pk]), fields, follow=True).content.decode()
    post.case, post.client = case, client
    post.get = lambda page, of=None: client.get(reverse(f"cases:{page}", args=[(of or case).pk])).content.decode()
    return post


def test_a_refused_hand_over_keeps_words_and_choice_for_one_showing(do, handler):
    team = Team.objects.create(name="政策")
    page = do("hand_over", team=str(team.pk), owner=str(handler.pk), state=LONG, next_step=" ")
    assert SHOWN in page
    chosen = re.findall(r'<option value="([^"]+)" selected', page.split('id="hand-owner"')[1].split("</form>")[0])
    assert chosen == [str(handler.pk), str(team.pk)]
    assert SHOWN not in do.get("people")


def test_nobody_else_and_no_other_case_shows_it(do, consult, member, sign_in):
    do.client.post(reverse("cases:do-hand_over", args=[do.case.pk]), {"state": LONG, "next_step": ""})
    other = consult("別件")
    assert SHOWN not in do.get("people", other)
    colleague = sign_in(member(Role.HANDLER, name="鈴木"))
    assert SHOWN not in colleague.get(reverse("cases:people", args=[do.case.pk])).content.decode()
    assert SHOWN in do.get("people")


def test_what_was_done_is_not_typed_again(do, handler):
    do("hand_over", owner=str(handler.pk), state="済んだこと", next_step="次にすること")
    page = do.get("people")
    assert "済んだこと" not in page and "次にすること" not in page


def test_refused_routes_escalations_and_answers_keep_theirs(do):
    page = do("route", body="jpcert", reason="nothing", note=LONG, tell="1", text="ほかの窓口へ")
    first, second = page.split('id="escalate-reason"')[0], page.split('id="escalate-reason"')[1]
    assert SHOWN in first and SHOWN not in second and "ほかの窓口へ" in first
    assert 'value="jpcert" required checked' in first and 'name="tell" value="1" checked' in first
    page = do("escalate", reason=LONG, body="", text="上へ上げます")  # to nobody
    assert SHOWN in page and "上へ上げます" in page and 'name="tell" value="1" checked' not in page
    page = do("escalate", reason=LONG, body="jpcert", team="999")
    assert re.search(r'<option value="jpcert" selected', page.split('id="body"')[1])
    do("escalate", reason="上へ", body="jpcert")
    page = do("answer_referral", referral=str(Referral.objects.get().pk), answer="maybe", note="返事は来た")
    assert "返事は来た" in page and "<details open>" in page


def test_a_refused_invitation_keeps_its_scope(do):
    page = do("invite", organisation="999999", scope=["files", "findings"])
    assert re.findall(r'name="scope" value="(\w+)" checked', page) == ["files", "findings"]


def test_the_vendor_sees_the_embargo_and_another_party_does_not(consult, member, sign_in):
    case = consult(incident="vulnerability", request="vulnerability")
    parties = []
    for name in ("開発元", "別の組織"):
        person = member(Role.PARTNER, desk=False, name=name)
        parties.append((person, Party.objects.create(case=case, organisation=Organisation.objects.get(name=f"連携先{name}"))))
    (vendor, of_vendor), (other, _) = parties
    row = Vulnerability.objects.create(case=case, vendor=of_vendor, product="VPN 1.2", zone="Asia/Tokyo",
                                       embargo_at=datetime(2031, 3, 1, 1, 0, tzinfo=UTC))
    address = reverse("cases:case", args=[case.pk])
    page = sign_in(vendor).get(address).content.decode()
    assert "2031-03-01 10:00 Asia/Tokyo" in page and "2031-03-01T01:00Z" in page and 'sign high' not in page
    hidden = sign_in(other).get(address).content.decode()
    assert "2031" not in hidden and "VPN 1.2" not in hidden and 'class="embargo"' not in hidden
    row.embargo_at = timezone.now() + timedelta(days=3)
    row.save()
    assert "sign high" in sign_in(vendor).get(address).content.decode()

"""Cases nobody could name: one provisional name by what they share, and no word of a case that one may not see."""

from __future__ import annotations

import pytest

from hikeshi.model.text import defang
from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.analysis import groups
from hikeshi_desk.analysis.models import Analysis, Group, Sign, State
from hikeshi_desk.analysis.signs import key_of
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.models import Party

pytestmark = pytest.mark.django_db
ONE, TWO, THREE = "45.33.32.156", "evil-panel.example.net", "qs7hd62kfmpzo4yl.onion"
RARE = "T1562.009"


@pytest.fixture
def seen(consult):
    """A case with these signs, and a result that a party may be shown."""
    def make(*values: str, techniques=(RARE,), family: str = "", **fields):
        case = consult("ファイルが暗号化されました", **fields)
        keys = [("indicator", value) for value in values] + [("technique", t) for t in techniques]
        keys += [("family", family)] if family else []
        Analysis.objects.update_or_create(case=case, defaults={"state": State.DONE, "summary": {
            "evidence": {"verdict": "unknown", "family": None, "candidates": [], "records": []}, "counts": {"given": 1}},
            "result": case.pk, "finished_at": case.opened_at})
        Sign.objects.bulk_create([Sign(case=case, kind=kind, key=key_of(kind, value)) for kind, value in keys])
        return case
    return make


def names() -> list[str]:
    return list(Analysis.objects.exclude(group="").order_by("case__opened_at", "pk").values_list("group", flat=True))


def page_of(client, case) -> str:
    return client.get(f"/desk/case/{case.pk}/").content.decode()


def test_cases_that_share_rare_signs_get_one_name_and_the_case_page_says_what(seen, handler):
    first, second, other = seen(ONE, TWO), seen(ONE, TWO), seen("203.0.113.9")
    assert groups.regroup() == 1
    (name, again) = names()
    assert name == again and name.startswith("UNK-")
    page = page_of(handler, first)
    for words in (name, "ほかの相談 1 件と共通点", defang(ONE), defang(TWO), RARE, second.number):
        assert words in page, words
    assert other.number not in page.split("仮の名前")[1].split("</section>")[0]
    assert "仮のグループ" not in page_of(handler, other)
    assert Entry.objects.filter(act="analysis.grouped").count() == 1
    assert groups.regroup() == 1 and Entry.objects.filter(act="analysis.grouped").count() == 1  # the same, told once


@pytest.mark.parametrize("two", [
    ((ONE,), ("T1059",)),  # one address, and what everybody does
    (("192.168.0.5", "8.8.8.8"), (RARE,)),  # everybody's addresses
    ((), (RARE, "T1505.003")),  # a way of working alone
])
def test_what_is_common_joins_nobody(seen, two):
    values, techniques = two
    for _ in range(2):
        seen(*values, techniques=techniques)
    assert groups.regroup() == 0 and names() == []


def test_a_name_goes_when_a_person_names_the_actor_and_is_never_given_again(seen, handler):
    first, second = seen(ONE, TWO), seen(ONE, TWO)
    groups.regroup()
    name = names()[0]
    handler.post(f"/desk/case/{first.pk}/analysis/actor/", {"other": "Some Actor", "sure": "medium", "reason": "x"})
    groups.regroup()
    assert names() == []
    seen(THREE, "bad.example.org"), seen(THREE, "bad.example.org")
    groups.regroup()
    assert set(names()) == {name[:-3] + "002"} and Group.objects.count() == 2
    handler.post(f"/desk/case/{first.pk}/analysis/withdraw/", {"what": "actor"})
    groups.regroup()
    assert Analysis.objects.get(case=second).group != name  # the number is never given twice


def test_a_case_with_a_family_is_in_no_group(seen):
    seen(ONE, TWO, family="Medusa"), seen(ONE, TWO)
    assert groups.regroup() == 0


def test_a_party_learns_of_cases_it_may_see_and_of_nothing_else(seen, member, sign_in):
    first, second, third = seen(ONE, TWO), seen(ONE, TWO), seen(ONE, TWO)
    groups.regroup()
    user = member("partner", desk=False, name="外")
    organisation, client = user.memberships.get().organisation, sign_in(user)
    Party.objects.create(case=first, organisation=organisation, sees_findings=True)
    page = page_of(client, first)
    assert "共通点" not in page and "UNK-" not in page  # of the others it may see none
    Party.objects.create(case=second, organisation=organisation, sees_findings=True)
    page = page_of(client, first)
    assert "ほかの相談 1 件と共通点" in page and second.number in page and RARE in page
    for words in (third.number, "UNK-", ONE, TWO, defang(ONE), defang(TWO), "3 件に共通"):
        assert words not in page, words


def test_two_cases_joined_by_one_that_a_party_may_not_see_are_not_joined_for_it(seen, member):
    first = seen(ONE, TWO, techniques=())
    between = seen(ONE, TWO, THREE, "bad.example.org", techniques=())
    last = seen(THREE, "bad.example.org", techniques=())
    assert groups.regroup() == 1 and len(names()) == 3
    user = member("partner", desk=False, name="外")
    for case in (first, last):
        Party.objects.create(case=case, organisation=user.memberships.get().organisation, sees_findings=True)
    viewer = Viewer.of(user)
    assert groups.build(first, viewer, list(groups.reads(first, viewer))) is None
    desk = Viewer.of(member("handler"))
    assert {n for _, n in groups.build(first, desk, list(groups.reads(first, desk))).cases} == {between.number, last.number}


def test_addresses_of_a_pasted_note_join_cases_and_the_askers_own_do_not(consult, handler):
    note = ("ALL YOUR FILES HAVE BEEN ENCRYPTED and your data was stolen. To get them back you must pay in bitcoin. Do not "
            "use recovery software. Write to newgang77@onionmail.example and other77@onionmail.example or we publish your "
            "data. Our reply reaches {} as well.")
    cases = [consult("止まりました", contact=f"it@victim{n}.example.jp", anonymous=False) for n in range(2)]
    for n, case in enumerate(cases):
        handler.post(f"/desk/case/{case.pk}/analysis/ask/", {"given": note.format(f"it@victim{n}.example.jp")})
    kept = set(Sign.objects.filter(kind="indicator").values_list("key", flat=True))
    assert kept == {"indicator:newgang77@onionmail.example", "indicator:other77@onionmail.example"}
    assert groups.regroup() == 1
    assert "ほかの相談 1 件と共通点" in page_of(handler, cases[0])

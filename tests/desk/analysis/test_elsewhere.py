"""Is it elsewhere? Buckets for the desk, numbers outside only from five cases of three organisations."""

from __future__ import annotations

import pytest

from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.analysis.elsewhere import bucket, elsewhere, sentence
from hikeshi_desk.analysis.models import Analysis, Sign, State
from hikeshi_desk.analysis.signs import is_foreign, key_of

pytestmark = pytest.mark.django_db
FAMILY = key_of("family", "Medusa")


@pytest.fixture
def seen(consult):
    """A case with signs, asked from that address."""
    def make(contact="", *, keys=((FAMILY, "family"),), what="サーバーが動きません", **fields):
        case = consult(what, anonymous=not contact, contact=contact, **fields)
        Sign.objects.bulk_create([Sign(case=case, kind=kind, key=key) for key, kind in keys])
        return case
    return make


@pytest.fixture
def desk(member):
    return Viewer.of(member("handler"))


@pytest.mark.parametrize(("count", "name"), [(0, "none"), (1, "few"), (4, "few"), (5, "from5"), (9, "from5"),
                                             (10, "from10"), (19, "from10"), (20, "from20"), (5000, "from20")])
def test_counts_are_ranges(count, name):
    assert bucket(count) == name


def test_five_cases_of_three_organisations_may_be_told(seen, desk):
    case = seen()
    for number in range(5):
        seen(f"p{number}@org{number % 3}.example.jp", what="SECRET")
    found = elsewhere(case, desk).family
    assert (found.bucket, found.may_tell) == ("from5", True)
    told = sentence(elsewhere(case, desk), "ja")
    assert "5〜9件" in told and "SECRET" not in told


@pytest.mark.parametrize("contacts", [
    [f"p{n}@org{n}.example.jp" for n in range(4)],  # too few cases
    [f"p{n}@org{n % 2}.example.jp" for n in range(8)],  # two organisations
    [""] * 8,  # nobody knows who
    [f"p{n}@gmail.com" for n in range(8)],  # a mail service is no organisation
])
def test_less_than_that_is_never_a_number(seen, desk, contacts):
    case = seen()
    others = [seen(contact, asker_name="CANARY", what=f"CANARY {n}") for n, contact in enumerate(contacts)]
    found = elsewhere(case, desk)
    assert found.family.bucket in ("few", "from5") and not found.family.may_tell
    for language in ("ja", "en"):
        told = sentence(found, language)
        assert not any(sign.isdigit() for sign in told)
        assert all(other.number not in told for other in others) and "CANARY" not in told


def test_the_sentence_is_the_same_whether_others_exist_or_not(seen, desk):
    case = seen()
    alone = sentence(elsewhere(case, desk), "ja")
    for number in range(4):
        seen(f"p{number}@org{number}.example.jp")
    assert sentence(elsewhere(case, desk), "ja") == alone


def test_the_same_incident_is_not_another_case(seen, desk):
    case = seen()
    other = seen("a@b.example.jp")
    other.merged_into, other.state = case, "merged"
    other.save()
    assert elsewhere(case, desk).family.bucket == "none"
    assert elsewhere(other, desk).family.bucket == "none"


def test_two_reports_of_one_incident_count_once(seen, desk):
    case = seen()
    others = [seen(f"p{n}@org{n}.example.jp") for n in range(5)]
    assert elsewhere(case, desk).family.bucket == "from5"
    others[0].merged_into, others[0].state = others[1], "merged"
    others[0].save()
    assert elsewhere(case, desk).family.bucket == "few"


def test_another_family_and_inside_addresses_join_nothing(seen, desk):
    case = seen(keys=((FAMILY, "family"), (key_of("indicator", "203.0.113.7"), "indicator")))
    seen("a@b.example.jp", keys=((key_of("family", "Akira"), "family"),))
    found = elsewhere(case, desk)
    assert (found.family.bucket, found.indicators.bucket) == ("none", "none")
    seen("a@b.example.jp", keys=((key_of("indicator", "203.0.113.7"), "indicator"),))
    assert elsewhere(case, desk).indicators.bucket == "few"


@pytest.mark.parametrize(("value", "foreign"), [
    ("203.0.113.7", True), ("8.8.8.8", True), ("192.168.1.5", False), ("10.1.2.3", False), ("172.31.0.1", False),
    ("172.32.0.1", True), ("100.64.3.2", False), ("127.0.0.1", False), ("169.254.1.1", False), ("fe80::1", False),
    ("fd00::5", False), ("2001:db8::1", True), ("evil.example", True), ("http://evil.example/a", True), ("FS01", False),
    ("fs01.corp", False), ("server.local", False), ("", False), ("-", False), ("http://10.0.0.1/x", False)])
def test_only_addresses_of_outside_are_signs(value, foreign):
    assert is_foreign(value) is foreign


def test_a_party_gets_no_count_and_no_row(seen, member):
    from hikeshi_desk.accounts.access import visible
    from hikeshi_desk.cases.models import Party

    case, other = seen("a@one.example.jp"), seen("b@two.example.jp")
    user = member("partner", desk=False, name="甲")
    Party.objects.create(case=case, organisation=user.memberships.get().organisation, sees_findings=True,
                         sees_indicators=True, sees_conversation=True)
    viewer = Viewer.of(user)
    assert not visible(Sign, viewer).exists()
    assert elsewhere(case, viewer).family.bucket == "none"
    Analysis.objects.create(case=other, state=State.DONE)
    assert not visible(Analysis, viewer).exists()


def test_the_page_of_a_party_does_not_change_with_other_cases(seen, partner_of):
    case = seen()
    client = partner_of(case, sees_findings=True, sees_conversation=True)
    before = client.get(f"/desk/case/{case.pk}/").content
    for number in range(6):
        seen(f"p{number}@org{number}.example.jp")
    after = client.get(f"/desk/case/{case.pk}/").content
    import re

    chance = rb'name="(csrfmiddlewaretoken|message_id)" value="[^"]+"'
    assert re.sub(chance, b"", before) == re.sub(chance, b"", after)

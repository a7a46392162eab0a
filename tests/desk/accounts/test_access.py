"""Nothing is seen that no rule shows, and denied is missing."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404

from hikeshi_desk.accounts.access import NOBODY, Viewer, fetch, register, visible
from hikeshi_desk.accounts.models import Membership, OneTimeLink, Organisation, Role, Team, User
from hikeshi_desk.audit.log import record
from hikeshi_desk.audit.models import Entry

pytestmark = pytest.mark.django_db


def _person(role: Role | None, organisation: Organisation | None = None, **fields) -> User:
    user = User.objects.create_user(f"{uuid.uuid4().hex}@example.jp", "correct horse battery", name="名前", **fields)
    if role:
        Membership.objects.create(user=user, role=role, organisation=organisation or Organisation.objects.create(
            name="窓口", is_desk=role in (Role.HANDLER, Role.LEAD, Role.AUDITOR)))
    return user


def test_nobody_sees_anything():
    _person(Role.LEAD)
    record("system", "x", "y")
    for model in (User, Organisation, Membership, Team, Entry, OneTimeLink):
        assert visible(model, NOBODY).count() == 0


def test_a_desk_role_in_another_organisation_gives_nothing():
    partner = Organisation.objects.create(name="他組織")
    for role in (Role.LEAD, Role.HANDLER, Role.AUDITOR):
        assert Viewer.of(_person(role, partner)).roles == frozenset()
    assert Viewer.of(_person(Role.PARTNER, partner)).roles == {Role.PARTNER}
    assert Viewer.of(_person(Role.LEAD)).is_lead


def test_who_was_deactivated_or_is_not_signed_in_is_nobody():
    assert Viewer.of(_person(Role.LEAD, is_active=False)) == NOBODY
    assert Viewer.of(AnonymousUser()) == NOBODY
    assert Viewer.of(None) == NOBODY


def test_denied_missing_and_malformed_look_the_same():
    partner, lead = _person(Role.PARTNER), _person(Role.LEAD)
    viewer = Viewer.of(partner)
    answers = set()
    for lookup in ({"pk": lead.pk}, {"pk": uuid.uuid4()}, {"pk": "no id"}, {"pk": "\0"}):
        with pytest.raises(Http404) as caught:
            fetch(User, viewer, **lookup)
        answers.add(str(caught.value))
    assert answers == {""}
    assert fetch(User, viewer, pk=partner.pk) == partner
    assert fetch(User, Viewer.of(lead), pk=partner.pk) == partner


def test_colleagues_see_each_other_and_partners_only_themselves():
    desk = Organisation.objects.create(name="窓口", is_desk=True)
    one, two, partner = _person(Role.HANDLER, desk), _person(Role.HANDLER, desk), _person(Role.PARTNER)
    Membership.objects.create(user=one, organisation=desk, role=Role.AUDITOR)
    assert set(visible(User, Viewer.of(two))) == {one, two}
    assert visible(User, Viewer.of(two)).count() == 2
    assert set(visible(User, Viewer.of(partner))) == {partner}
    assert set(visible(Organisation, Viewer.of(partner))) == {partner.memberships.get().organisation}
    assert set(visible(Membership, Viewer.of(two))) == set(two.memberships.all())


def test_the_log_is_for_leads_and_auditors():
    record("system", "x", "y")
    seen = {role: visible(Entry, Viewer.of(_person(role))).exists() for role in Role}
    assert seen == {Role.LEAD: True, Role.AUDITOR: True, Role.HANDLER: False, Role.READER: False, Role.PARTNER: False}


def test_a_model_has_one_rule_and_without_one_shows_nothing():
    with pytest.raises(ImproperlyConfigured):
        register(User, lambda viewer, rows: rows)
    OneTimeLink.objects.create(purpose="setup", token="x", expires_at="2030-01-01T00:00Z")
    assert visible(OneTimeLink, Viewer.of(_person(Role.LEAD))).count() == 0


def test_a_viewer_costs_one_query_and_teams_one_more(django_assert_num_queries):
    user = _person(Role.HANDLER)
    team = Team.objects.create(name="早期警戒")
    team.members.add(user)
    with django_assert_num_queries(1):
        viewer = Viewer.of(user)
        assert viewer.is_desk and not viewer.is_lead and not viewer.may_audit
    with django_assert_num_queries(1):
        assert viewer.teams == viewer.teams == {team.pk}

"""People of a desk and of another organisation."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # this file is read before Django's apps are loaded
    from hikeshi_desk.accounts.models import Organisation, Role, User

PASSWORD = "a long enough passphrase"
DESK_ROLES = ("handler", "lead", "auditor")


@pytest.fixture(scope="session")
def hashed_password() -> str:
    from django.contrib.auth.hashers import make_password

    return make_password(PASSWORD)


@pytest.fixture
def the_desk(db) -> Organisation:
    from hikeshi_desk.accounts.models import Organisation

    return Organisation.objects.create(name="窓口", is_desk=True)


@pytest.fixture
def other_organisation(db) -> Organisation:
    from hikeshi_desk.accounts.models import Organisation

    return Organisation.objects.create(name="他組織")


@pytest.fixture
def make_person(the_desk, other_organisation, hashed_password) -> Callable[..., User]:
    from hikeshi_desk.accounts.models import Membership, User

    def make(role: Role | str | None = "handler", organisation: Organisation | None = None, **fields) -> User:
        fields = {"email": f"{uuid.uuid4().hex[:12]}@example.jp", "name": "山田", "password": hashed_password} | fields
        user = User.objects.create(**fields)
        if role:
            home = organisation or (the_desk if role in DESK_ROLES else other_organisation)
            Membership.objects.create(user=user, organisation=home, role=role)
        return user
    return make

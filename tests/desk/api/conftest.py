"""People, their tokens and a client that shows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django.test import Client

ALL = ["alerts:write", "consultations:write", "cases:read", "cases:write"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path, settings):
    from django.core.cache import cache

    from hikeshi_desk.api import tokens

    settings.SPOOL, settings.EVIDENCE = tmp_path / "spool", tmp_path / "evidence"
    cache.clear()
    tokens.forget_counts()
    return tmp_path


@pytest.fixture
def the_desk(db):
    from hikeshi_desk.accounts.models import Organisation

    return Organisation.objects.create(name="窓口", is_desk=True)


@pytest.fixture
def other_organisation(db):
    from hikeshi_desk.accounts.models import Organisation

    return Organisation.objects.create(name="他組織")


@pytest.fixture
def make_person(the_desk, other_organisation) -> Callable[..., Any]:
    from hikeshi_desk.accounts.models import Membership, User

    numbers = iter(range(1000))

    def make(role: str | None = "handler", **fields: Any) -> Any:
        user = User.objects.create(**({"email": f"p{next(numbers)}@example.jp", "name": "山田"} | fields))
        if role:
            home = the_desk if role in ("handler", "lead", "auditor") else other_organisation
            Membership.objects.create(user=user, organisation=home, role=role)
        return user
    return make


class Caller:
    """The test client as a program uses the API."""

    def __init__(self, secret: str = "") -> None:
        from django.test import Client

        self.client: Client = Client()
        self.client.raise_request_exception = False
        self.headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(method, f"/api/v1{path}", data, content_type="application/json",
                                   headers=self.headers | named)


@pytest.fixture
def caller(make_person) -> Callable[..., Caller]:
    from hikeshi_desk.api import tokens

    def make(role: str | None = "handler", scopes: list[str] | None = None, user: Any = None) -> Caller:
        person = user or make_person(role)
        token, secret = tokens.make(person, name="test", scopes=ALL if scopes is None else scopes, days=30)
        made = Caller(secret)
        made.user, made.token = person, token
        return made
    return make


@pytest.fixture
def anonymous(db) -> Caller:
    return Caller()

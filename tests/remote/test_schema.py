"""The API as its document says: schemathesis against the served desk, bounded and the same each run."""

from __future__ import annotations

import json
import re
import urllib.request

import pytest

schemathesis = pytest.importorskip("schemathesis")
from hypothesis import HealthCheck, Phase, settings  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402

TOKEN = """
from hikeshi_desk.accounts.models import Membership, Organisation, User
from hikeshi_desk.api import tokens
home, _ = Organisation.objects.get_or_create(name="窓口", is_desk=True)
user, _ = User.objects.get_or_create(email="schema@example.jp", defaults={"name": "試験"})
Membership.objects.get_or_create(user=user, organisation=home, role="lead")
told = tokens.make(user, name="schema", scopes=list(tokens.SCOPES), days=1)[1]
"""


@pytest.fixture(scope="module")
def token(served) -> str:
    return served.shell(TOKEN)


@pytest.fixture(scope="module")
def document(served) -> dict:
    return json.loads(served.get("/api/v1/openapi.json")[1])


def test_the_document_is_openapi_3_1_and_names_every_route(document):
    from django.urls import get_resolver

    assert document["openapi"] == "3.1.0"
    routes = {f"/{pattern.pattern}" for resolver in get_resolver().url_patterns if getattr(resolver, "app_name", "") == "api"
              for pattern in resolver.url_patterns if pattern.name not in ("reference", "openapi", "nothing")
              and str(pattern.pattern).startswith("api/")}
    assert {re.sub(r"<\w+:(\w+)>", r"{\1}", route) for route in routes} == set(document["paths"])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            problems = [answer for status, answer in operation["responses"].items() if int(status) >= 400]
            assert problems and all(set(answer["content"]) == {"application/problem+json"} for answer in problems), (method, path)


def test_nothing_foreign_is_loaded_by_the_page(served):
    page = served.get("/api/v1/")[1].decode()
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page) and "<script" not in page
    assert "Idempotency-Key" in page and "/api/v1/alerts/batch" in page


@pytest.mark.parametrize("path", ["/api/v1/consultations", "/api/v1/thread", "/api/v1/alerts", "/api/v1/alerts/batch", "/api/v1/cases",
                                  "/api/v1/cases/{case_id}", "/api/v1/cases/{case_id}/messages", "/api/v1/cases/{case_id}/notes",
                                  "/api/v1/cases/{case_id}/replies", "/api/v1/cases/{case_id}/owner",
                                  "/api/v1/cases/{case_id}/state", "/api/v1/uploads", "/api/v1/uploads/{upload_id}",
                                  "/api/v1/uploads/{upload_id}/finish"])
def test_what_it_answers_is_what_the_document_says(served, document, token, path):
    schema = schemathesis.openapi.from_dict(document)
    for method in document["paths"][path]:
        operation = schema[path][method.upper()]

        @settings(max_examples=15, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
                  suppress_health_check=list(HealthCheck))
        @_given(operation)
        def ask(case):
            answer = case.call(base_url=served.url, headers={"Authorization": f"Bearer {token}"})
            case.validate_response(answer, checks=_checks())

        ask()


def _given(operation):
    from hypothesis import given

    return given(operation.as_strategy())


def _checks():
    from schemathesis.specs.openapi import checks

    return [not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
            checks.response_schema_conformance]


def test_broken_bodies_are_problems_with_a_next_step(served, token):
    for content in (b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"a":' * 5000, b"null", b'{"what": "\\ud800"}', b"1e999"):
        request = urllib.request.Request(f"{served.url}/api/v1/alerts", data=content, method="POST",
                                         headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(request, timeout=20)
        assert told.value.code in (400, 422) and json.loads(told.value.read())["next"], content[:20]

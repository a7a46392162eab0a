"""Every route, every method, every role: what may happen stands in one table.

The routes come from the resolver. A route or method that the table does not name fails, as does a view that
does not say who it is for. Denied is, byte for byte, what a page that does not exist looks like.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from hikeshi_desk.accounts.models import (
    Attempts,
    Membership,
    OneTimeLink,
    Organisation,
    RecoveryCode,
    Role,
    SecondFactor,
    User,
)
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.models import Case, Message, Party

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
SIGN_IN = "/desk/account/sign-in/"
EVERYBODY, SIGNED_IN, TOKEN = "everybody", "signed in", "token"  # a token's right is tested with the API
LEAD, LOG = frozenset({Role.LEAD}), frozenset({Role.LEAD, Role.AUDITOR})
WORKING, READING = frozenset({Role.HANDLER, Role.LEAD}), frozenset(Role)
PAGE, FORM, ACT = {"GET", "HEAD"}, {"GET", "HEAD", "POST"}, {"POST"}

# Route: (who, methods). SIGNED_IN includes people without any role.
TABLE: dict[str, tuple[object, set[str]]] = {
    "language": (EVERYBODY, ACT),
    "accounts:sign-in": (EVERYBODY, FORM), "accounts:second-step": (EVERYBODY, FORM), "accounts:link": (EVERYBODY, FORM),
    "accounts:me": (SIGNED_IN, FORM), "accounts:password": (SIGNED_IN, FORM), "accounts:sign-out": (SIGNED_IN, ACT),
    "accounts:second-factor": (SIGNED_IN, FORM), "accounts:second-factor-picture": (SIGNED_IN, PAGE),
    "accounts:second-factor-remove": (SIGNED_IN, FORM), "accounts:recovery-codes": (SIGNED_IN, FORM),
    "accounts:end-sessions": (SIGNED_IN, ACT), "accounts:forgotten": (EVERYBODY, FORM),
    "accounts:service": (EVERYBODY, PAGE), "accounts:service-back": (EVERYBODY, PAGE),
    "accounts:sign-in-passkey": (EVERYBODY, ACT), "accounts:second-step-passkey": (EVERYBODY, ACT),
    "accounts:passkey-ask": (EVERYBODY, ACT), "accounts:passkeys": (SIGNED_IN, PAGE),
    "accounts:passkey-add": (SIGNED_IN, FORM), "accounts:passkey": (SIGNED_IN, FORM),
    "accounts:passkey-remove": (SIGNED_IN, FORM),
    "accounts:audit": (LOG, FORM), "accounts:organisations": (LEAD, FORM), "accounts:people": (LEAD, FORM),
    "accounts:person": (LEAD, PAGE), "accounts:person-role": (LEAD, ACT), "accounts:person-role-remove": (LEAD, ACT),
    "accounts:person-deactivate": (LEAD, ACT), "accounts:person-reactivate": (LEAD, ACT),
    "accounts:person-link": (LEAD, ACT), "accounts:person-second-factor": (LEAD, ACT),
    "cases:queue": (READING, PAGE), "cases:case": (READING, PAGE), "cases:attachment": (READING, PAGE),
    "cases:end": (WORKING, PAGE), "cases:opinion": (WORKING, PAGE), "cases:people": (WORKING, PAGE),
    "cases:triage": (WORKING, PAGE),
    "cases:about": (WORKING, PAGE), "cases:refer": (WORKING, PAGE), "cases:relay": (WORKING, FORM),
    "cases:split": (WORKING, PAGE), "cases:phone": (WORKING, FORM), "cases:phone-receipt": (WORKING, PAGE),
    "cases:breaches": (WORKING | LOG, PAGE), "cases:routing": (WORKING | LOG, PAGE),
    "cases:groups": (LEAD, PAGE), "cases:group-add": (LEAD, ACT), "cases:group-change": (LEAD, ACT),
    "cases:do-tell": (frozenset({Role.PARTNER, Role.READER}), ACT),
    **{f"cases:do-{act}": (WORKING, ACT) for act in (
        "answer_referral", "assign", "breach", "close", "coordinate", "decline", "describe", "escalate", "finish",
        "hand_over", "invite", "merge", "note", "opine", "pause", "reopen", "reply", "resume", "route", "send_opinion",
        "split", "take", "triage", "undo", "uninvite", "unmerge")},
    **{f"analysis:{page}": (READING, PAGE) for page in (
        "findings", "findings-file", "report", "report-pdf", "spread", "timeline", "timeline-record", "logons", "values",
        "timeline-file")},
    **{f"analysis:{act}": (WORKING, ACT) for act in ("again", "ask", "confirm", "actor", "way", "withdraw")},
    **{f"analysis:{page}": (READING, PAGE) for page in (
        "knowledge", "families", "family", "known-actor", "changed", "pack-file", "key-file")},
    **{f"analysis:{page}": (READING, PAGE) for page in ("lessons", "lesson")},
    "analysis:lesson-write": (WORKING, FORM), "analysis:lesson-change": (WORKING, FORM),
    "analysis:lesson-release": (LEAD, FORM), "analysis:lesson-withdraw": (LEAD, ACT),
    "analysis:pack-waiting": (LEAD, PAGE),
    **{f"analysis:{act}": (LEAD, ACT) for act in (
        "pack-bring", "pack-use", "pack-drop", "pack-undo", "key-trust", "key-distrust")},
    **{f"respond:{page}": (WORKING | {Role.AUDITOR, Role.READER}, PAGE) for page in ("overview", "measures", "history")},
    **{f"respond:{page}": (WORKING, PAGE) for page in ("plan", "blocklist")}, "respond:do-approve": (LEAD, ACT),
    **{f"respond:do-{act}": (WORKING, ACT) for act in (
        "begin", "propose", "mark", "take_back", "add", "withdraw", "restore", "ask", "unask", "set_plan", "decide",
        "withdraw_decision")},
    "consult:report": (EVERYBODY, ACT),
    "mail:public-key": (EVERYBODY, PAGE),
    **{f"mail:{page}": (WORKING, PAGE) for page in ("quarantine", "raw", "keys")},
    **{f"mail:{act}": (WORKING, ACT) for act in (
        "open", "attach", "retry", "discard", "key-add", "key-confirm", "key-remove", "in-clear")},
    "oncall:roster": (WORKING, PAGE), "oncall:shift-add": (LEAD, ACT), "oncall:shift-end": (LEAD, ACT),
    "oncall:way-add": (WORKING, ACT), "oncall:way-remove": (WORKING, ACT), "oncall:test": (WORKING, ACT),
    "oncall:take": (WORKING, ACT), "oncall:link": (EVERYBODY, FORM),
    "consult:landing": (EVERYBODY, PAGE), "consult:code": (EVERYBODY, FORM), "consult:form": (EVERYBODY, FORM),
    "consult:leave": (EVERYBODY, ACT), "consult:receipt": (EVERYBODY, PAGE), "consult:thread": (EVERYBODY, PAGE),
    "consult:privacy": (EVERYBODY, PAGE), "consult:words": (EVERYBODY, PAGE), "consult:checks": (EVERYBODY, PAGE), "consult:logo": (EVERYBODY, PAGE),
    **{f"consult:guided-{step}": (EVERYBODY, FORM) for step in ("what", "request", "more", "who", "facts", "send")},
    "consult:file": (EVERYBODY, PAGE),
    "api:reference": (EVERYBODY, PAGE), "api:openapi": (EVERYBODY, PAGE),
    "api:nothing": (EVERYBODY, set(METHODS)), "api:consultations": (EVERYBODY, ACT), "api:thread": (EVERYBODY, FORM),
    "api:uploads": (EVERYBODY, ACT), "api:upload": (EVERYBODY, PAGE | {"PATCH", "DELETE"}),
    "api:upload-finish": (EVERYBODY, ACT), "api:alerts": (TOKEN, ACT), "api:alerts-batch": (TOKEN, ACT),
    "api:cases": (TOKEN, PAGE), "api:case": (TOKEN, PAGE), "api:messages": (TOKEN, PAGE), "api:notes": (TOKEN, ACT),
    "api:replies": (TOKEN, ACT), "api:owner": (TOKEN, {"PUT"}), "api:state": (TOKEN, {"PUT"}),
    "api:tokens": (SIGNED_IN, PAGE), "api:token-new": (SIGNED_IN, FORM), "api:token-revoke": (SIGNED_IN, ACT),
    "consult:close": (EVERYBODY, ACT), "consult:name": (EVERYBODY, ACT), "consult:reply": (EVERYBODY, ACT),
}


def _routes(resolver: URLResolver | None = None, space: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from _routes(entry, f"{space}{entry.namespace}:" if entry.namespace else space)
        else:
            yield f"{space}{entry.name}", entry


ROUTES = dict(_routes())
OBJECTS = [name for name, entry in ROUTES.items() if entry.pattern.converters]
_STAND_IN = {"UUIDConverter": lambda: uuid.uuid4(), "IntConverter": lambda: 987654, "StringConverter": lambda: "x" * 43,
             "SlugConverter": lambda: "x", "PathConverter": lambda: "x"}


def _path(name: str, **known: object) -> str:
    kinds = ROUTES[name].pattern.converters
    return reverse(name, kwargs={key: known.get(key) or _STAND_IN[type(kind).__name__]() for key, kind in kinds.items()})


def _bytes(response) -> tuple[object, ...]:
    return response.status_code, response.content, tuple(sorted(response.headers.items())), tuple(response.cookies)


def _client(user: User | None) -> Client:
    client = Client()
    client.raise_request_exception = False
    if user:
        user.refresh_from_db()
        client.force_login(user)
    return client


def test_every_route_is_in_the_table_and_nothing_else():
    assert set(ROUTES) == set(TABLE)


def test_every_view_says_who_it_is_for_just_as_the_table_does():
    for name, entry in ROUTES.items():
        view, (who, methods) = entry.callback, TABLE[name]
        assert hasattr(view, "needs"), f"{name} declares nobody"
        declared = EVERYBODY if view.needs is None else (view.needs or SIGNED_IN)
        assert declared == who, name
        assert set(view.methods) == methods, name


@pytest.mark.django_db
@pytest.mark.parametrize("role", [None, *Role, "without a role", "lead of another organisation", "deactivated lead"])
def test_each_role_meets_what_the_table_says(make_person, other_organisation, role):
    makers = {None: lambda: None, "without a role": lambda: make_person(None),
              "lead of another organisation": lambda: make_person(Role.LEAD, other_organisation),
              "deactivated lead": lambda: make_person(Role.LEAD, is_active=False)}
    user = makers.get(role, lambda: make_person(role))()
    held = {role} if isinstance(role, Role) else set()
    is_known = user is not None and user.is_active
    make_person(Role.LEAD)
    client = _client(user)
    for name, (who, methods) in TABLE.items():
        for method in METHODS:
            path = _path(name)
            if method == "PUT":
                client = _client(user)  # the POST before may have ended the session
            answer = client.generic(method, path)
            where = f"{role} {method} {name}: {answer.status_code}"
            assert answer.status_code < 500, where
            if who == TOKEN:  # no session opens these, whoever's it is
                assert answer.status_code == (401 if method in methods else 405), where
            elif who != EVERYBODY and not is_known:
                assert answer.status_code == 302 and answer.url.split("?")[0] == SIGN_IN, where
            elif who not in (EVERYBODY, SIGNED_IN) and not held & who:
                assert answer.status_code == 404, where
                if method != "HEAD":
                    assert answer.content == client.generic(method, "/no/such/page/").content, where
            elif method not in methods:
                assert answer.status_code == 405, where
            else:
                assert answer.status_code != 405, where
                assert not (answer.status_code == 302 and who != EVERYBODY and answer.url.startswith(SIGN_IN)
                            and name != "accounts:sign-out"), where


@pytest.fixture
def anothers(make_person, the_desk) -> dict[str, object]:
    """Objects which nobody outside the desk has anything to do with."""
    victim = Organisation.objects.create(name="CANARY 被害組織")
    person = make_person(Role.LEAD, name="CANARY")
    now = timezone.now()
    case = Case.objects.create(number="2026-000001", serial=1, title="CANARY", request="other", opened_at=now, order_at=now,
                               last_word_at=now)
    Message.objects.create(case=case, kind="note", body="CANARY", at=now)
    Party.objects.create(case=case, organisation=victim)
    return {"user_id": person.pk, "membership_id": person.memberships.get().pk, "case_id": case.pk}


@pytest.mark.django_db
@pytest.mark.parametrize("role", [None, Role.PARTNER, Role.READER, "without a role", "lead of another organisation"])
def test_an_object_of_others_is_one_that_does_not_exist(make_person, other_organisation, anothers, role):
    makers = {None: lambda: None, "without a role": lambda: make_person(None),
              "lead of another organisation": lambda: make_person(Role.LEAD, other_organisation)}
    client = _client(makers.get(role, lambda: make_person(role))())
    counts = _world()
    assert OBJECTS
    for name in OBJECTS:
        for method in METHODS:
            real = client.generic(method, _path(name, **anothers))
            missing = client.generic(method, _path(name))
            if real.status_code == 302:  # to sign-in: the address asked for is part of the answer
                assert missing.status_code == 302 and real.url.split("?")[0] == missing.url.split("?")[0]
                continue
            assert _bytes(real) == _bytes(missing), f"{role} {method} {name}"
            assert real.status_code in ((401, 404, 405, 422) if name.startswith("api:") else (404, 405))
            assert b"CANARY" not in real.content
    assert _world() == counts


@pytest.mark.django_db
def test_looking_changes_nothing(make_person, anothers):
    for role in (None, *Role):
        user = make_person(role) if role else None
        client = _client(user)
        before = _world()
        for name, (_, methods) in TABLE.items():
            for method in methods & PAGE:
                client.generic(method, _path(name, **anothers))
        assert _world() == before, role


@pytest.mark.django_db
def test_every_unsafe_route_wants_the_form_s_token(make_person, anothers):
    user = make_person(Role.LEAD)
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    before = _world()
    for name in TABLE:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = client.generic(method, _path(name, **anothers))
            # A view that streams a body checks the token itself, after it has read the fields.
            # The API knows no session that could be misused: it refuses what lacks a token or isn't in its model.
            refused = (400, 403, 404, 405, 411, *((401, 422) if name.startswith("api:") else ()))
            assert answer.status_code in refused, f"{method} {name}: {answer.status_code}"
    assert _world() == before


def _world() -> list[object]:
    """Everything but sessions."""
    models = (User, Membership, Organisation, OneTimeLink, SecondFactor, RecoveryCode, Attempts, Entry, Case, Message,
              Party)
    return [sorted(map(str, model.objects.values())) for model in models]

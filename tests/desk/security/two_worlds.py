"""Two organisations at one desk: case A is full of canaries, and everybody here must not know that it exists."""

from __future__ import annotations

import hashlib
import itertools
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import IntegrityError, connection, models, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from hikeshi_desk.accounts.models import Membership, Organisation, Role, User
from hikeshi_desk.api import tokens
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases.models import Case, Party
from hikeshi_desk.cases.opening import open_submission
from hikeshi_desk.intake import spool
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.submit import IncomingFile, Payload, submit

WORD = "CANARY"
OURS = "hikeshi_desk."
_numbers = itertools.count(1)
EVERYTHING = {"sees_conversation": True, "sees_files": True, "sees_findings": True, "sees_indicators": True}


def canary(what: str) -> str:
    return f"{WORD}{next(_numbers):04d}{what}"


@pytest.fixture(autouse=True)
def still(settings, tmp_path, monkeypatch):
    """Own folders, and a clock that stands: two worlds differ by what is in them alone."""
    settings.SPOOL, settings.EVIDENCE, settings.DATA = tmp_path / "spool", tmp_path / "evidence", tmp_path
    settings.SECOND_FACTOR = "optional"
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    fresh_counts()
    return now


def fresh_counts() -> None:
    cache.clear()
    tokens.forget_counts()


def routes(resolver: URLResolver | None = None, space: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from routes(entry, f"{space}{entry.namespace}:" if entry.namespace else space)
        else:
            yield f"{space}{entry.name}", entry


ROUTES = dict(routes())


@dataclass
class Visitor:
    """Somebody with a browser or a program; every request begins from the same cookies."""

    name: str
    client: Client
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, data: Any = None, **more: Any) -> Any:
        fresh_counts()
        client = Client(raise_request_exception=False, headers=self.headers)
        for name, cookie in self.client.cookies.items():
            client.cookies[name] = cookie.value
        send = getattr(client, method.lower(), None)
        return send(path, data, **more) if send else client.generic(method, path)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    session = client.session
    now = timezone.now().timestamp()
    session.update({"signed_in_at": now, "seen_at": now, "second_factor": "totp"})
    session.save()
    return client


@dataclass
class World:
    desk: Organisation
    lead: User
    handler: User
    b_case: Case
    b_code: str
    removed: Organisation
    visitors: list[Visitor]


def send_in(what: str, files: dict[str, bytes], **said: Any) -> tuple[Case, str]:
    incoming = []
    for name, content in files.items():
        path = spool.incoming() / f"upload-{next(_numbers)}"
        path.write_bytes(content)
        incoming.append(IncomingFile(name=name, path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content)))
    payload = Payload(channel="web", what=what, **{"request": "first_steps", **said})
    accepted = submit(payload, incoming, idempotency_key=f"a-test-key-long-enough-{next(_numbers)}")
    return open_submission(Submission.objects.get(pk=accepted.submission_id)).case, accepted.receipt_code


def person(role: Role | None, organisation: Organisation | None, **more: Any) -> User:
    user = User.objects.create_user(f"u{next(_numbers)}@example.jp", None, name=f"人{next(_numbers)}", **more)
    if role:
        Membership.objects.create(user=user, organisation=organisation, role=role)
    return user


@pytest.fixture
def world(db) -> World:
    """The desk, organisation B with a case of its own, and everybody who must not see case A."""
    desk = Organisation.objects.create(name="窓口", is_desk=True)
    b, removed = Organisation.objects.create(name="連携先B"), Organisation.objects.create(name="元の連携先")
    lead, handler = person(Role.LEAD, desk), person(Role.HANDLER, desk)
    b_case, b_code = send_in("Bの相談", {"b.txt": b"b"}, asker_name="Bの人")
    granted = {name: True for name in EVERYTHING if any(f.name == name for f in Party._meta.fields)}
    Party.objects.create(case=b_case, organisation=b, **granted)
    consultee = Client()
    consultee.post(reverse("consult:code"), {"code": b_code})
    partner = person(Role.PARTNER, b)
    _, secret = tokens.make(partner, name="program", scopes=["alerts:write", "consultations:write", "cases:read", "cases:write"], days=30)
    visitors = [
        Visitor("nobody", Client()),
        Visitor("partner of another case", signed_in(partner)),
        Visitor("reader of another organisation", signed_in(person(Role.READER, b))),
        Visitor("removed party", signed_in(person(Role.PARTNER, removed))),
        Visitor("auditor of another organisation", signed_in(person(Role.AUDITOR, b))),
        Visitor("lead of another organisation", signed_in(person(Role.LEAD, b))),
        Visitor("without a role", signed_in(person(None, None))),
        Visitor("deactivated lead", signed_in(person(Role.LEAD, desk))),
        Visitor("another consultee", consultee),
        Visitor("program of the partner", Client(), {"Authorization": f"Bearer {secret}"}),
    ]
    visitors[9].ask("GET", "/api/v1/cases")  # the day of a token's last use is written once a day
    User.objects.filter(pk=visitors[7].client.session["_auth_user_id"]).update(is_active=False)
    return World(desk, lead, handler, b_case, b_code, removed, visitors)


@dataclass
class Secret:
    """Case A: its rows, their ids, and every canary in them."""

    case: Case
    code: str
    ids: dict[str, list[Any]]
    rows: dict[type[models.Model], list[Any]]

    def now(self) -> dict[str, Any]:
        return {str(model): list(model.objects.filter(pk__in=pks).order_by("pk").values()) for model, pks in self.rows.items()}

    @property
    def marks(self) -> list[str]:
        """What no answer may hold, canaries aside: ids of A's rows, its number and its receipt."""
        return [str(pk) for pks in self.rows.values() for pk in pks if isinstance(pk, uuid.UUID)] + [self.case.number, self.code]


def make_secret(world: World, *, overwritten: bool = True) -> Secret:
    """Case A by the desk's own ways; then every free text of every row overwritten, and a row of every kind there is.

    What is overwritten hides best, and is no case that the desk itself could still show.
    """
    victim = Organisation.objects.create(name=canary("org"), name_en=canary("org"))
    case, code = send_in(canary("what"), {f"{canary('file')}.txt": canary("content").encode()}, asker_name=canary("asker"),
                         contact=f"{canary('mail')}@example.jp", on_behalf=canary("behalf"), facts={"affected": canary("facts")},
                         hypothesis=(canary("guess"),))
    Party.objects.create(case=case, organisation=victim, **{name: True for name in EVERYTHING if hasattr(Party, name)})
    record(str(world.handler.pk), "case.noted", f"case:{case.pk}", note=canary("audit"))
    desk = Visitor("handler", signed_in(world.handler))
    granted = {name.removeprefix("sees_"): "1" for name in EVERYTHING} | dict.fromkeys(EVERYTHING, "1")
    desk.ask("POST", reverse("cases:do-invite", args=[case.pk]), {"organisation": world.removed.pk, **granted})
    for act, said in (("note", "body"), ("reply", "body"), ("triage", "reason"), ("pause", "reason")):
        desk.ask("POST", reverse(f"cases:do-{act}", args=[case.pk]), {
            said: canary(act), "message_id": str(uuid.uuid4()), "verdict": "true_positive", "rule": ""})
    for party in Party.objects.filter(case=case, organisation=world.removed):
        desk.ask("POST", reverse("cases:do-uninvite", args=[case.pk]), {"party": party.pk, "organisation": world.removed.pk})
    rows = _fill(case, world) if overwritten else {Case: [case.pk], Party: list(case.parties.values_list("pk", flat=True))}
    case.refresh_from_db()
    return Secret(case, code, {model.__name__: pks for model, pks in rows.items()}, rows)


def _fill(case: Case, world: World) -> dict[type[models.Model], list[Any]]:
    """One row at least of every model that hangs on the case, directly or not, and canaries in every free text."""
    found: dict[type[models.Model], list[Any]] = {Case: [case.pk]}
    ours = [model for model in apps.get_models() if model.__module__.startswith(OURS)]
    for _ in range(3):
        for model in ours:
            keys = [f for f in model._meta.concrete_fields if f.is_relation and f.related_model in found and f.related_model is not model]
            if not keys or model is Case:
                continue
            pks = {pk for key in keys for pk in model.objects.filter(**{f"{key.name}__in": found[key.related_model]}).values_list("pk", flat=True)}
            if not pks:
                pks = _make(model, found, world)
            if pks:
                found[model] = sorted(pks, key=str)
    for model, pks in found.items():
        for row in model.objects.filter(pk__in=pks):
            words = {f.name: canary(f.name)[:f.max_length or 60] for f in model._meta.concrete_fields if _is_free(f)}
            if words:
                model.objects.filter(pk=row.pk).update(**words)
    return found


def _is_free(f: models.Field) -> bool:
    return (isinstance(f, models.TextField) or (isinstance(f, models.CharField) and (f.max_length or 0) >= 100)) \
        and not f.choices and not f.unique and not f.is_relation and f.name not in ("mail_id", "receipt")


def _make(model: type[models.Model], found: dict[type[models.Model], list[Any]], world: World) -> set[Any]:
    given: dict[str, Any] = {}
    for f in model._meta.concrete_fields:
        if f.primary_key:
            continue
        if f.is_relation:
            related = f.related_model
            if related in found:
                given[f.attname] = found[related][0]
            elif not f.null:
                given[f.attname] = world.lead.pk if related is User else getattr(related.objects.order_by("pk").first(), "pk", None)
        elif f.choices:
            given[f.name] = f.choices[0][0]
        elif isinstance(f, models.CharField | models.TextField):
            given[f.name] = canary(f.name)[:f.max_length or 60]
        elif f.has_default() or f.null:
            continue
        elif isinstance(f, models.DateTimeField):
            given[f.name] = timezone.now()
        elif isinstance(f, models.DateField):
            given[f.name] = timezone.now().date()
        elif isinstance(f, models.IntegerField):
            given[f.name] = 1
    try:
        with transaction.atomic():
            return {model.objects.create(**given).pk}
    except (IntegrityError, ValueError):
        return set()


def bare(answer: Any, *, without: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """An answer without what is new each time: form tokens, fresh keys of forms, cookie values."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    body = re.sub(rb'<input type="hidden"[^>]*>', b"<hidden>", body)
    body = re.sub(rb'"challenge": ?"[\w-]+"', b"<challenge>", body)
    headers = sorted((name, value) for name, value in answer.headers.items())
    text = re.sub(rb"[?&]q=[^\"&]*", b"", body)
    return answer.status_code, text, headers, sorted(answer.cookies)


def raw(answer: Any) -> str:
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return body.decode("utf-8", "replace") + str(answer.headers) + str({name: cookie.value for name, cookie in answer.cookies.items()})


def everything(*but: str) -> str:
    """One digest over every table; sessions aside, which a browser's first form may begin."""
    digest = hashlib.sha256()
    with connection.cursor() as cursor:
        for name in sorted(connection.introspection.table_names(cursor)):
            if name in ("django_session", "sqlite_sequence", *but):
                continue
            cursor.execute(f'SELECT * FROM "{name}"')
            digest.update(f"{name}{sorted(map(repr, cursor.fetchall()))}".encode("utf-8", "replace"))
    return digest.hexdigest()


def paths(name: str, entry: URLPattern, pools: dict[str, list[Any]]) -> list[str]:
    """Addresses of a route with every fitting id of the pools."""
    choices = []
    for key, kind in entry.pattern.converters.items():
        kind_name = type(kind).__name__
        if key == "case_id":
            choices.append(pools["case"])
        elif kind_name.startswith("UUID"):
            choices.append(pools["uuid"])
        elif kind_name == "IntConverter":
            choices.append(pools["int"])
        else:
            choices.append(["alone", WORD])
    keys = list(entry.pattern.converters)
    return [reverse(name, kwargs=dict(zip(keys, found, strict=True))) for found in itertools.product(*choices)][:12]



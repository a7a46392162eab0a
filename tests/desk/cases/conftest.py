"""A desk with people, a partner and cases that came in through submit()."""

from __future__ import annotations

import hashlib
import itertools
from datetime import timedelta

import django
import pytest

django.setup()  # pytest reads this file before tests/conftest.py is asked to

from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from hikeshi_desk.accounts.models import Membership, Organisation, Role, User  # noqa: E402
from hikeshi_desk.cases.models import Case, Party  # noqa: E402
from hikeshi_desk.cases.opening import open_submission  # noqa: E402
from hikeshi_desk.intake import receipt, spool  # noqa: E402
from hikeshi_desk.intake.models import Submission  # noqa: E402
from hikeshi_desk.intake.submit import IncomingFile, Payload, submit  # noqa: E402

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.SPOOL, settings.EVIDENCE = tmp_path / "spool", tmp_path / "evidence"
    settings.SECOND_FACTOR = "optional"


@pytest.fixture
def incoming_file():
    def make(name: str, content: bytes) -> IncomingFile:
        path = spool.incoming() / f"upload-{next(_numbers)}"
        path.write_bytes(content)
        return IncomingFile(name=name, path=path, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    return make


@pytest.fixture
def consult():
    """Send something in and have its case opened; gives the case, with the receipt code as `.code`."""
    def send(what: str = "サーバーが動きません", files=(), *, key: str = "", **fields) -> Case:
        payload = Payload(channel="web", what=what, **{"request": "first_steps", "anonymous": True, **fields})
        accepted = submit(payload, files, idempotency_key=key or f"a-test-key-long-enough-{next(_numbers)}")
        case = open_submission(Submission.objects.get(pk=accepted.submission_id)).case
        case.code = accepted.receipt_code
        return case
    return send


@pytest.fixture
def thread():
    return lambda case: receipt.hmac_of(case.code)


@pytest.fixture
def member(db):
    def make(role: Role, *, desk: bool = True, name: str = "") -> User:
        organisation, _ = Organisation.objects.get_or_create(name="窓口" if desk else f"連携先{name}", is_desk=desk)
        user = User.objects.create_user(f"{role}-{next(_numbers)}@example.jp", None, name=name or f"{role}の人")
        Membership.objects.create(user=user, organisation=organisation, role=role)
        return user
    return make


@pytest.fixture
def handler(member):
    return member(Role.HANDLER, name="佐藤")


@pytest.fixture
def sign_in(client):
    """A client that is signed in as that person, as the sign-in page leaves it."""
    def enter(user: User) -> Client:
        fresh = Client()
        fresh.force_login(user)
        session = fresh.session
        now = timezone.now().timestamp()
        session.update({"signed_in_at": now, "seen_at": now, "second_factor": True})
        session.save()
        return fresh
    return enter


@pytest.fixture
def partner_of(member):
    """A partner whose organisation is a party of the case, with what it may see."""
    def make(case: Case, **scope: bool) -> User:
        user = member(Role.PARTNER, desk=False, name=f"{next(_numbers)}")
        Party.objects.create(case=case, organisation=user.memberships.get().organisation, **scope)
        return user
    return make


@pytest.fixture
def long_ago():
    """Moves a case's running clock into the past."""
    def move(case: Case, hours: int = 2) -> None:
        from hikeshi_desk.cases import clocks

        case.clocks.filter(stopped_at=None).update(due_at=timezone.now() - timedelta(hours=hours))
        case.refresh_from_db()
        clocks.settle(case)
        case.save()
    return move

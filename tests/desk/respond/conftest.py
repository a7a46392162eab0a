"""A desk with people, a partner and cases; results of an analysis small enough to be read here."""

from __future__ import annotations

import itertools
import json
import uuid

import django
import pytest

django.setup()  # pytest reads this file before tests/conftest.py is asked to

from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from hikeshi_desk.accounts.models import Membership, Organisation, Role, User  # noqa: E402
from hikeshi_desk.cases.models import Case, Party  # noqa: E402
from hikeshi_desk.cases.opening import open_submission  # noqa: E402
from hikeshi_desk.intake.models import Submission  # noqa: E402
from hikeshi_desk.intake.submit import Payload, submit  # noqa: E402
from hikeshi_desk.respond.models import Measure  # noqa: E402

_numbers = itertools.count()
C2 = ("198.51.100.77", "evil.duckdns.org")


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path):
    settings.DATA, settings.SPOOL, settings.EVIDENCE = tmp_path, tmp_path / "spool", tmp_path / "evidence"
    settings.SECOND_FACTOR = "optional"


@pytest.fixture
def consult(db):
    """A consultation, opened; gives the case, with the receipt code as `.code`."""
    def send(what: str = "サーバーが動きません", **fields) -> Case:
        payload = Payload(channel="web", what=what, **{"request": "first_steps", "anonymous": True, **fields})
        accepted = submit(payload, (), idempotency_key=f"a-test-key-long-enough-{next(_numbers)}")
        case = open_submission(Submission.objects.get(pk=accepted.submission_id)).case
        case.code = accepted.receipt_code
        return case
    return send


@pytest.fixture
def member(db):
    def make(role: Role, *, desk: bool = True, name: str = "") -> User:
        organisation, _ = Organisation.objects.get_or_create(name="窓口" if desk else f"連携先{name}", is_desk=desk)
        user = User.objects.create_user(f"{role}-{next(_numbers)}@example.jp", None, name=name or f"{role}の人")
        Membership.objects.create(user=user, organisation=organisation, role=role)
        return user
    return make


@pytest.fixture
def sign_in():
    def enter(user: User) -> Client:
        client = Client()
        client.force_login(user)
        session, now = client.session, timezone.now().timestamp()
        session.update({"signed_in_at": now, "seen_at": now, "second_factor": True})
        session.save()
        return client
    return enter


@pytest.fixture
def sato(member):
    return member(Role.HANDLER, name="佐藤")


@pytest.fixture
def handler(sato, sign_in):
    return sign_in(sato)


@pytest.fixture
def partner_of(member, sign_in):
    """A client of somebody whose organisation is a party of the case and sees all a party may see."""
    def make(case: Case, role: Role = Role.PARTNER) -> Client:
        user = member(role, desk=False, name=f"{next(_numbers)}")
        Party.objects.create(case=case, organisation=user.memberships.get().organisation, sees_conversation=True,
                             sees_files=True, sees_findings=True, sees_indicators=True)
        return sign_in(user)
    return make


@pytest.fixture
def asker():
    """The browser of the one who asked: the code is typed in."""
    def enter(case: Case) -> Client:
        client = Client()
        assert client.post("/code/", {"code": case.code}).status_code == 302
        return client
    return enter


@pytest.fixture
def begun(consult, sato):
    """A case whose response has begun, with a plan that names who decides."""
    def make(**fields) -> Case:
        from hikeshi_desk.respond import acts

        case = consult(**fields)
        acts.begin_response(case, sato)
        acts.set_plan(case, sato, form={"decider": "CISO", "deputies": "情報システム部長", "criteria": "個人情報が出た",
                                        "contacts": "対策本部, 090-0000-0000", "own_domains": "corp.example",
                                        "never_block": "bank.example"})
        return case
    return make


@pytest.fixture
def analysed(consult):
    """A case with an analysis; `parts` replace those of its case.json. Gives the case; `again` makes a newer result."""
    def make(case: Case | None = None, **parts) -> Case:
        from hikeshi_desk.analysis import folder
        from hikeshi_desk.analysis.models import Analysis, State

        case = case or consult(incident="ransomware")
        run = uuid.uuid4()
        out = folder.of(run) / "out"
        out.mkdir(parents=True)
        told = CASE | parts
        (out / "case.json").write_text(json.dumps(told))
        Analysis.objects.update_or_create(case=case, defaults={
            "state": State.DONE, "result": run, "summary": {"counts": {"given": 1}}, "finished_at": timezone.now()})
        return case
    return make


def _seen(number: int, **more: object) -> dict[str, object]:
    return {"first": "2026-10-09T01:00:00.000Z", "last": f"2026-10-09T0{number}:00:00.000Z", "confidence": "high",
            "records": [{"path": "a.zip!/Security.evtx", "record_id": number}], **more}


CASE = {
    "identification": {"family": None},
    "compromised_hosts": [_seen(2, name="WS01", addresses=["10.0.0.5"]), _seen(3, name="FS01", addresses=["10.0.0.9"])],
    "encrypted_hosts": [_seen(3, name="FS01", addresses=["10.0.0.9"])],
    "c2": [_seen(4, value="198.51.100.77", type="ipv4", known=False, clients=["WS01"])],
    "block_list": [_seen(4, value="evil.duckdns.org", type="domain"), _seen(4, value="1.1.1.1", type="ipv4")],
    "exfiltration": [],
    "accounts": [_seen(2, name="t.mori", hosts=["WS01"])],
}


def one(case: Case, control: str, subject: str) -> Measure:
    return Measure.objects.get(case=case, control=control, subject=subject)



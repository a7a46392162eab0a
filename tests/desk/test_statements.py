"""Twelve SQL statements are enough for any page that is opened all day: queue, case and search, all panels filled."""

from __future__ import annotations

import uuid
from datetime import timedelta

import django
import pytest

django.setup()

from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.utils import timezone  # noqa: E402

from hikeshi_desk.accounts.models import Membership, Organisation, Role, Team, User  # noqa: E402
from hikeshi_desk.analysis.models import Analysis, Sign  # noqa: E402
from hikeshi_desk.analysis.models import State as Analysed  # noqa: E402
from hikeshi_desk.api.models import Alert, AlertGroup  # noqa: E402
from hikeshi_desk.cases import clocks, panels, search  # noqa: E402
from hikeshi_desk.cases.models import (  # noqa: E402
    Attachment,
    Case,
    Clock,
    Message,
    OpinionPoint,
    Party,
    Referral,
    State,
    Task,
    TriageDecision,
    Vulnerability,
)
from hikeshi_desk.mail.models import CorrespondentKey, MailThread, ReceivedMail, SentMail  # noqa: E402
from hikeshi_desk.oncall.models import Call, Notice, Way  # noqa: E402
from hikeshi_desk.respond import propose  # noqa: E402

pytestmark = pytest.mark.django_db
MOST = 12
HASH = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def one_factor(settings):
    settings.SECOND_FACTOR = "optional"


@pytest.fixture
def person():
    """Somebody of that organisation with a role, and their client."""
    def make(organisation: Organisation, *roles: Role) -> tuple[User, Client]:
        user = User.objects.create_user(f"{uuid.uuid4().hex}@example.jp", None, name="佐藤")
        for role in roles:
            Membership.objects.create(user=user, organisation=organisation, role=role)
        client = Client()
        client.force_login(user)
        session, now = client.session, timezone.now().timestamp()
        session.update({"signed_in_at": now, "seen_at": now, "second_factor": True})
        session.save()
        return user, client
    return make


@pytest.fixture
def home():
    return Organisation.objects.create(name="窓口", is_desk=True)


@pytest.fixture
def outside():
    return Organisation.objects.create(name="連携先")


def make_case(serial: int, user: User, outside: Organisation, **fields: object) -> Case:
    """A case with everything a case can have, in every app."""
    now = timezone.now()
    other, _ = Case.objects.get_or_create(serial=1, defaults={
        "number": "2026-000001", "title": "もとの件", "request": "other", "opened_at": now, "order_at": now,
        "last_word_at": now})
    case = Case.objects.create(
        number=f"2026-{serial:06d}", serial=2026000000 + serial, title=f"暗号化された件{serial}", request="other",
        incident="ransomware", receipt=f"{serial:064x}", opened_at=now, order_at=now, last_word_at=now, owner=user,
        team=Team.objects.get_or_create(name="早期警戒")[0], organisation=outside, split_from=other, state=State.OPEN,
        handed_at=now, **fields)
    Case.objects.create(number=f"2027-{serial:06d}", serial=2027000000 + serial, title="分けた件", request="other",
                        opened_at=now, order_at=now, last_word_at=now, split_from=case)
    party = Party.objects.create(case=case, organisation=outside, sees_conversation=True, sees_files=True,
                                 sees_findings=True, sees_indicators=True)
    Vulnerability.objects.create(case=case, product="x", vendor=party, embargo_at=now)
    said = {kind: Message.objects.create(case=case, kind=kind, body="暗号化された。 二つの言葉", at=now, author=user,
                                         party=party if "party" in kind else None) for kind in Message.Kind.values}
    for number in range(3):
        Attachment.objects.create(case=case, message=said["asker"], name=f"{number}.log", sha256=HASH, size=1)
        Task.objects.create(case=case, kind="identify_ransomware", title="x", due_at=now + timedelta(minutes=number))
        OpinionPoint.objects.create(case=case, position=number, claim="x")
    TriageDecision.objects.create(case=case, verdict="true", reason="x", urgency="high", by=user, at=now)
    Referral.objects.create(case=case, kind="route", body="x", reason_code="x", at=now, by=user)
    Clock.objects.create(case=case, rule="urgent_answer", amount=1, unit="hours", started_at=now, due_at=now)
    clocks.settle(case)
    case.save()
    search.index(case, [case.title, case.number, "暗号化された。 二つの言葉"], internal=False)
    _panels(case, user)
    return case


def _panels(case: Case, user: User) -> None:
    now = timezone.now()
    Analysis.objects.create(case=case, state=Analysed.DONE, result=uuid.uuid4(), finished_at=now, summary={
        "evidence": {"verdict": "identified", "family": "Medusa"}, "counts": {"given": 1}})
    Sign.objects.create(case=case, kind="family", key="family:Medusa")
    propose.begun(case, user)
    call = Call.objects.create(case=case, began_at=now, next_at=now, nobody_at=now, taken_by=user)
    for number in range(3):
        way = Way.objects.create(person=user, kind="mail", value="x")
        Notice.objects.create(call=call, person=user, way=way, kind="mail", key=f"{case.pk}-{number}", made_at=now,
                              next_try_at=now)
    for number in range(2):
        group = AlertGroup.objects.create(key=f"{case.pk}{number}"[:64], source="utm", user=user, case=case, count=1,
                                          severity="high", first_at=now, last_at=now)
        Alert.objects.create(group=group, key=f"{case.pk}-{number}", vendor_id="1", at=now, received_at=now,
                             severity="high", text="x")
    thread = MailThread.objects.create(key=case.receipt, token_hmac=f"t{case.receipt[1:]}", address="a@example.jp")
    for number in range(2):
        received = ReceivedMail.objects.create(
            sha256=f"{number}{case.receipt[1:]}", size=1, received_at=now + timedelta(seconds=number), source="smtp",
            state=ReceivedMail.State.OPENED, thread=thread, pgp={"encrypted": "pgp", "decrypted": True},
            guess={"kind": "ransomware", "signs": ["x"]})
    for state in ("proposed", "confirmed"):
        CorrespondentKey.objects.get_or_create(address="a@example.jp", fingerprint=state, state=state, defaults={
            "armored": "x", "created_at": now, "decided_at": now})
    for kind in ("note", "reply"):
        SentMail.objects.create(kind="reply", thread=thread, mail_id=f"{kind}{case.pk}", recipient="a@example.jp",
                                recipient_key="a@example.jp", subject="x", body="x", answers=None, created_at=now,
                                message=Message.objects.get(case=case, kind=kind), next_try_at=now,
                                held=kind == "reply", problem="x" if kind == "note" else "")
    ReceivedMail.objects.create(sha256=f"f{case.receipt[1:]}", size=1, received_at=now, source="smtp",
                                state=ReceivedMail.State.QUARANTINED)
    assert received.thread == thread


def asked(client: Client, address: str) -> list[str]:
    """The statements of one page; a page seen before has filled what is kept for good."""
    client.get(address)
    with CaptureQueriesContext(connection) as seen:
        assert client.get(address).status_code == 200
    return [query["sql"] for query in seen]


def told(statements: list[str]) -> str:
    return "\n".join(f"{number} {one[:40]} … {one[one.find(' FROM '):][:200]}" for number, one in enumerate(statements, 1))


ADDRESSES = ("/desk/", "/desk/?view=open", "/desk/?view=today", "/desk/?view=finished", "/desk/?view=mine&kind=ransomware",
             "/desk/?q=暗号", "/desk/?q=暗号化された 二つの言葉", "/desk/?q=2026-0000")


@pytest.mark.parametrize("who", ["handler", "lead", "auditor", "partner", "reader"])
@pytest.mark.parametrize("address", [*ADDRESSES, "case"])
def test_a_page_asks_at_most_twelve_times(who, address, person, home, outside) -> None:
    user, _ = person(home, Role.HANDLER)
    for serial in range(10, 14):
        case = make_case(serial, user, outside)
    # A finished case whose task fell due comes back into the queue: a second walk.
    back = make_case(20, user, outside)
    Case.objects.filter(pk=back.pk).update(state=State.CLOSED, rank=9, task_due_at=timezone.now() - timedelta(hours=1))
    _, client = person(outside if who in ("partner", "reader") else home, Role(who))
    found = asked(client, f"/desk/case/{case.pk}/" if address == "case" else address)
    assert len(found) <= MOST, told(found)


def test_the_case_that_is_counted_has_every_panel(person, home, outside) -> None:
    """Else the count above says nothing: a new panel must be filled here as well."""
    user, client = person(home, Role.HANDLER)
    case = make_case(10, user, outside)
    answer = client.get(f"/desk/case/{case.pk}/")
    shown = {panel.name for place in ("main", "side") for panel in answer.context[f"{place}_panels"]}
    assert shown == set(panels._panels)

"""A generated desk of any size, for benchmarks, reports and trying out. Same seed, same desk.

People get no password: nobody can sign in until one is set. Cases are written as rows, not sent through
submit(), so they have no submission and no files. The times end at `until`.
"""

from __future__ import annotations

import random
import tomllib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from hikeshi.errors import UsageError
from hikeshi.respond import clock as respond
from hikeshi_desk.accounts.models import Membership, Organisation, OrganisationKind, Role, Team, User
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import rules, search
from hikeshi_desk.cases.clocks import FINISHED
from hikeshi_desk.cases.models import (
    Case,
    Clock,
    Message,
    Phase,
    Rank,
    SearchGram,
    State,
    Task,
    TriageDecision,
    Urgency,
    Verdict,
)
from hikeshi_desk.cases.opening import number_of
from hikeshi_desk.intake.models import Channel

_BATCH = 2000
_WORDS: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


@dataclass
class _Batch:
    """Rows that wait to be written together, parents before children."""

    cases: list[Case] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    clocks: list[Clock] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    decisions: list[TriageDecision] = field(default_factory=list)
    grams: set[tuple[str, bool, int]] = field(default_factory=set)

    def index(self, case: Case, text: str, *, internal: bool) -> None:
        serial = case.serial
        self.grams.update((gram, internal, serial) for gram in _pairs(text))

    def write(self) -> None:
        Case.objects.bulk_create(self.cases, batch_size=500)
        Message.objects.bulk_create(self.messages, batch_size=500)
        Clock.objects.bulk_create(self.clocks, batch_size=500)
        Task.objects.bulk_create(self.tasks, batch_size=500)
        TriageDecision.objects.bulk_create(self.decisions, batch_size=500)
        _write_grams(sorted(self.grams))


def _write_grams(rows: Sequence[tuple[str, bool, int]]) -> None:
    """A hundred and fifty a case: as rows of a statement, not as objects."""
    table = connection.ops.quote_name(SearchGram._meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} (gram, internal, serial) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            cursor.executemany(f"INSERT INTO {table} (gram, internal, serial) VALUES (%s, %s, %s)", rows)


@lru_cache(maxsize=2000)
def _pairs(text: str) -> frozenset[str]:
    """The same few sentences come again and again."""
    return frozenset(search.pairs(text))


@dataclass(frozen=True)
class _Desk:
    people: Sequence[User]
    teams: Sequence[Team]
    organisations: Sequence[Organisation]


def seed(cases: int, years: int, number: int, *, until: datetime | None = None,
         on_progress: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Fills an empty desk with that many cases over that many years; gives how many are still open.

    Raises UsageError if the desk has cases already: a seeded desk is never mixed with a real one.
    """
    if Case.objects.exists():
        raise UsageError("this desk has cases already", hint="give a new folder: --data DIR")
    until = until or timezone.now()
    chance = random.Random(number)
    with transaction.atomic():
        desk = _people(chance)
        record("system", "desk.seeded", "desk", cases=cases, years=years, seed=number)
    moments = sorted(until - timedelta(seconds=chance.random() * years * 365 * 86_400) for _ in range(cases))
    serials: dict[int, Iterator[int]] = {}
    unfinished = 0
    for start in range(0, cases, _BATCH):
        batch = _Batch()
        for at in moments[start:start + _BATCH]:
            year = timezone.localtime(at, rules.calendar().zone).year
            serial = year * 1_000_000 + next(serials.setdefault(year, count(1)))
            unfinished += _case(batch, chance, desk, serial, at, until).state not in FINISHED
        with transaction.atomic():
            batch.write()
        on_progress(min(start + _BATCH, cases), cases)
    return unfinished


def _id(chance: random.Random) -> uuid.UUID:
    return uuid.UUID(int=chance.getrandbits(128), version=4)


def _people(chance: random.Random) -> _Desk:
    home = Organisation.objects.create(id=_id(chance), name="相談窓口（生成）", is_desk=True,
                                       kinds=[OrganisationKind.COORDINATOR])
    teams = [Team.objects.create(name=name, name_en=english, is_on_call=on_call) for name, english, on_call in (
        ("早期警戒グループ", "Early warning", False), ("インシデントレスポンスグループ", "Incident response", True),
        ("政策担当", "Policy", False))]
    people = []
    for number, surname in enumerate(_WORDS["surnames"]):
        user = User.objects.create_user(f"person{number}@desk.example", None, id=_id(chance), name=surname)
        Membership.objects.create(user=user, organisation=home, role=Role.HANDLER if number else Role.LEAD)
        teams[number % len(teams)].members.add(user)
        people.append(user)
    kinds = list(OrganisationKind.values)
    organisations = [
        Organisation.objects.create(id=_id(chance), name=f"例示工業{number:02d}", kinds=[kinds[number % len(kinds)]])
        for number in range(30)]
    return _Desk(people, teams, organisations)


def _case(batch: _Batch, chance: random.Random, desk: _Desk, serial: int, at: datetime, until: datetime) -> Case:
    event = chance.choices(_WORDS["event"], [one["weight"] for one in _WORDS["event"]])[0]
    kind = event["kind"]
    what = f"{chance.choice(_WORDS['places'])}の{chance.choice(_WORDS['things'])}{event['says']}"
    body = "\n".join([what + "。", *chance.sample(_WORDS["more"], chance.randint(1, 4))])
    organisation = chance.choice(desk.organisations) if chance.random() < 0.6 else None
    request = "vulnerability" if kind == "vulnerability" else chance.choice(("first_steps", "elsewhere", "beyond_us"))
    case = Case(
        id=_id(chance), number=number_of(serial), serial=serial, title=what[:120], request=request, incident=kind,
        asker_kind=organisation.kinds[0] if organisation else "", asker_name=organisation.name if organisation else "",
        contact=f"contact{serial % 977}@victim.example" if organisation else "", is_anonymous=organisation is None,
        facts={"ext": f".x{serial % 97}"} if kind == "ransomware" else {}, organisation=organisation, opened_at=at,
        last_word_at=at, order_at=at)
    batch.cases.append(case)
    rule = rules.first_clock(kind, request)
    promise = respond.due(at, rule.amount, rule.unit, rules.calendar())
    clock = Clock(case=case, rule=rule.id, amount=rule.amount, unit=rule.unit, started_at=at, due_at=promise.due_at)
    batch.clocks.append(clock)
    _say(batch, chance, case, Message.Kind.ASKER, body, at)
    _answer(batch, chance, desk, case, clock, until)
    _settle(case, clock, chance, until)
    batch.tasks += [Task(case=case, kind=task.id, title=task.ja, position=position,
                         done_at=case.answered_at if case.state in FINISHED else None)
                    for position, task in enumerate(rules.first_tasks(kind, request))]
    return case


def _answer(batch: _Batch, chance: random.Random, desk: _Desk, case: Case, clock: Clock, until: datetime) -> None:
    """Most are judged and answered within the promise, some late, the newest not yet."""
    share = chance.uniform(0.1, 0.95) if chance.random() < 0.93 else chance.uniform(1, 2)
    span = (clock.due_at - case.opened_at) * share
    answered = case.opened_at + span
    if answered > until:
        case.urgency = Urgency.HIGH if case.incident == "ransomware" else Urgency.UNJUDGED
        return
    handler = chance.choice(desk.people)
    rule = chance.choice([rule for rule in rules.urgency_rules().values() if case.incident in rule.suggest]
                         or list(rules.urgency_rules().values()))
    verdict = chance.choices(Verdict.values[1:], (80, 6, 9, 5))[0]
    is_incident = verdict in (Verdict.TRUE, Verdict.UNDETERMINED)
    case.verdict, case.urgency = verdict, rule.urgency if is_incident else Urgency.LOW
    case.rsit, case.phase = chance.choice(list(rules.rsit())), Phase.RESPONSE
    case.owner, case.team = handler, chance.choice(desk.teams)
    case.answered_at = clock.stopped_at = case.last_word_at = answered
    if answered > clock.due_at:
        clock.breach_reason = "資料の到着を待っていたため"
    case.last_word_by, case.state = "desk", State.OPEN
    middle = case.opened_at + span / 2
    batch.decisions.append(TriageDecision(
        case=case, verdict=verdict, reason="記録と聞き取りの内容から", urgency=case.urgency,
        urgency_rule=rule.id if is_incident else "", rsit=case.rsit, by=handler, at=middle))
    if chance.random() < 0.4:
        _say(batch, chance, case, Message.Kind.NOTE, chance.choice(_WORDS["notes"]), middle, handler)
    _say(batch, chance, case, Message.Kind.REPLY, chance.choice(_WORDS["answers"]), answered, handler)


def _say(batch: _Batch, chance: random.Random, case: Case, kind: str, body: str, at: datetime,
         author: User | None = None) -> None:
    channel = "" if author else chance.choice((Channel.WEB, Channel.MAIL))
    batch.messages.append(Message(id=_id(chance), case=case, kind=kind, body=body, at=at, author=author,
                                  author_role=Role.HANDLER if author else "", channel=channel))
    batch.index(case, body, internal=kind == Message.Kind.NOTE)
    if kind == Message.Kind.ASKER:
        batch.index(case, f"{case.title}\n{case.number}", internal=False)
        batch.index(case, f"{case.asker_name} {case.contact} {' '.join(case.facts.values())}", internal=True)


def _settle(case: Case, clock: Clock, chance: random.Random, until: datetime) -> None:
    """State and place in the queue: what was answered weeks ago is closed, nearly always."""
    if case.answered_at is None:
        case.due_at = case.order_at = clock.due_at
        urgent = case.urgency == Urgency.HIGH or clock.unit == "hours"
        case.rank = Rank.URGENT if urgent else Rank.OWED
        return
    if case.answered_at < until - timedelta(days=21) and chance.random() < 0.985:
        case.state, case.rank, case.phase = State.CLOSED, Rank.FINISHED, Phase.PREVENTION
        case.closed_at = case.answered_at + timedelta(days=7)
    else:
        case.state, case.rank = State.WAITING, Rank.NOT_OWED
    case.order_at = case.last_word_at

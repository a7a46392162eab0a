"""Calling people for an urgent case until somebody has it.

The signal only makes it quick: `tend` finds every urgent case again by itself. Steps are rows with a due time,
taken under a lock, so that two nodes at once call once. A message says number, kind and due time: never who asks
nor what they wrote. Quiet hours do not exist here.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from hikeshi_desk.accounts.models import User
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import acts
from hikeshi_desk.cases.models import Case, Rank, TriageDecision, Urgency
from hikeshi_desk.oncall import links, notices, roster
from hikeshi_desk.oncall.models import Call, Notice, Shift, Way
from hikeshi_desk.oncall.plan import load_plan

log = logging.getLogger(__name__)
AGAIN = timedelta(minutes=30)  # after everybody was called in vain, it begins anew
LINK_GOOD_FOR = timedelta(hours=24)
TEST_EVERY = timedelta(minutes=1)
_MOST_STEPS = 50  # of one look: people without any way are passed over at once


class Refused(ValueError):
    """`key` is the text that says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def is_on() -> bool:
    """Does this desk call anybody? It does once desk.toml or the roster says so."""
    return load_plan().is_told or Shift.objects.exists()


def heard(sender: object, case_id: UUID, **_: object) -> None:
    """A case became urgent."""
    if is_on():
        _begin(case_id, timezone.now())


def tend(now: datetime | None = None) -> None:
    """One look at everything: new urgent cases, whose turn it is, what waits to be sent."""
    if is_on():
        for case_id in _uncalled():
            _begin(case_id, now or timezone.now())
    at = now or timezone.now()
    due = Call.objects.filter(state=Call.State.CALLING, case__isnull=False).filter(
        Q(next_at__lte=at) | ~Q(case__rank=Rank.URGENT) | Q(case__owner__isnull=False))
    for call_id in list(due.values_list("pk", flat=True)):
        _advance(call_id, at)
    if notices.send_due(at):  # somebody can't be reached at all: the next need not wait
        for call_id in list(due.filter(next_at__lte=at).values_list("pk", flat=True)):
            _advance(call_id, at)
        notices.send_due(at)


def _uncalled() -> list[UUID]:
    rows = Case.objects.filter(call=None, rank=Rank.URGENT, urgency=Urgency.HIGH).order_by("opened_at")
    return list(rows.values_list("pk", flat=True)[:200])


def _begin(case_id: UUID, now: datetime) -> None:
    """One call a case, however often it is asked for."""
    try:
        with transaction.atomic():
            case = Case.objects.select_for_update().get(pk=case_id)
            if case.rank != Rank.URGENT or case.urgency != Urgency.HIGH or Call.objects.filter(case=case).exists():
                return
            judged = TriageDecision.objects.filter(case=case).first()
            if case.owner_id and judged and judged.by_id == case.owner_id:
                # Whoever judged it urgent has it in hand: kept as taken, so that it is not asked for again.
                Call.objects.create(case=case, began_at=now, state=Call.State.TAKEN, taken_by=case.owner, taken_at=now)
                return
            Call.objects.create(case=case, began_at=now, next_at=now, owner_before=case.owner_id)
            record("system", "oncall.began", f"case:{case.pk}", number=case.number)
    except IntegrityError:  # another process began it at the same moment
        log.info("the call for case %s began elsewhere", case_id)
    except DatabaseError:
        log.exception("the call for case %s waits for the next look", case_id)


def _advance(call_id: UUID, now: datetime) -> None:
    """The next person's turn, under the call's lock; whoever comes second finds it done."""
    with transaction.atomic():
        call = Call.objects.select_for_update().get(pk=call_id)
        if call.state != Call.State.CALLING or _ends(call, now) or call.next_at is None or call.next_at > now:
            return
        for _ in range(_MOST_STEPS):
            people = _next_people(call, now)
            if not people:
                _nobody(call, now)
                break
            made = [notice for person in people for notice in _notify(call, person, now)]
            if any(notice.state == Notice.State.WAITING for notice in made):
                call.next_at = now + timedelta(minutes=load_plan().minutes)
                break
        call.save()


def _ends(call: Call, now: datetime) -> bool:
    """Answered, no longer urgent, or somebody has taken the case by itself."""
    case = call.case
    assert case is not None
    if case.rank != Rank.URGENT:
        call.state, call.next_at = Call.State.OVER, None
    elif case.owner and case.owner_id != call.owner_before and case.owner.is_active:
        call.state, call.next_at, call.taken_by, call.taken_at = Call.State.TAKEN, None, case.owner, now
    else:
        return False
    call.save()
    return True


def _next_people(call: Call, now: datetime) -> list[User]:
    """One of the roster after the other, then the leads together; nobody twice in a round."""
    called = set(Notice.objects.filter(call=call, round=call.round).values_list("person", flat=True))
    for person in roster.on_call(now, load_plan().zone):
        if person.pk not in called:
            return [person]
    return [person for person in roster.leads() if person.pk not in called]


def _notify(call: Call, person: User, now: datetime) -> list[Notice]:
    """A message by each way the person has; the address they sign in with where they named none for mail."""
    ways: list[Way | None] = list(person.ways.all())
    if not any(way and way.kind == Way.Kind.MAIL for way in ways):
        ways.insert(0, None)
    made = []
    for way in ways:
        key = f"oncall:{call.pk}:{call.round}:{person.pk}:{way.pk if way else 'own'}"
        notice = Notice(call=call, person=person, way=way, kind=way.kind if way else Way.Kind.MAIL, round=call.round,
                        key=key, made_at=now, next_try_at=now, problem=notices.impossible(way))
        if notice.kind == Way.Kind.MAIL:
            notice.token = links.digest(links.token_of(notice))
        notice.state = Notice.State.FAILED if notice.problem else Notice.State.WAITING
        notice.save(force_insert=True)
        made.append(notice)
    record("system", "oncall.called", call.subject, person=person.pk, round=call.round,
           ways=[notice.kind for notice in made])
    return made


def _nobody(call: Call, now: datetime) -> None:
    if call.nobody_at is None:
        call.nobody_at = now
        record("system", "oncall.nobody", call.subject)
        log.error("nobody could be reached for an urgent case (call %s)", call.pk)
    call.round += 1
    call.next_at = now + AGAIN


# -------------------------------------------------------------------------------- answers


def take(call: Call, person: User) -> bool:
    """This person has it: the calling ends and the case is theirs. False if somebody was first."""
    if not roster.works(person):
        raise Refused("oncall.refused.not_here")
    with transaction.atomic():
        locked = Call.objects.select_for_update().get(pk=call.pk)
        if locked.state == Call.State.TAKEN or (locked.state == Call.State.OVER and locked.case_id):
            return locked.taken_by_id == person.pk
        locked.state, locked.taken_by, locked.taken_at = Call.State.TAKEN, person, timezone.now()
        locked.next_at = None
        locked.save()
        # What was not sent yet need not wake anybody.
        Notice.objects.filter(call=locked, state=Notice.State.WAITING).update(
            state=Notice.State.STOPPED)
        record(str(person.pk), "oncall.taken", locked.subject)
        if locked.case is not None and locked.case.owner_id != person.pk:
            acts.assign(locked.case, person, owner=person, team=locked.case.team, reason="oncall")
    return True


def test(person: User) -> Call:
    """A call without a case to this person alone, by every way they have."""
    now = timezone.now()
    with transaction.atomic():
        User.objects.select_for_update().get(pk=person.pk)
        if Call.objects.filter(case=None, asked_by=person, began_at__gt=now - TEST_EVERY).exists():
            raise Refused("oncall.refused.test_too_soon")
        call = Call.objects.create(asked_by=person, began_at=now, state=Call.State.OVER)
        record(str(person.pk), "oncall.tested", call.subject)
        _notify(call, person, now)
    return call


def find(token: str) -> Notice | None:
    """The message a link came with, while it is good: a day, and as long as its person works here."""
    notice = Notice.objects.select_related("call__case", "person").filter(
        token=links.digest(token), made_at__gt=timezone.now() - LINK_GOOD_FOR).first()
    return notice if notice and roster.works(notice.person) else None


"""When a case is analysed: asked for by what comes in, by people, by newer knowledge; done by one job at a time.

enqueue → job (tasks.py) → `work`. A job that is killed is started again; after three starts without an end it is
parked with a reason, until somebody says "try again" or further files come.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from hikeshi_desk.analysis import folder
from hikeshi_desk.analysis.knowledge import knowledge_version, options
from hikeshi_desk.analysis.models import Analysis, Pasted, State
from hikeshi_desk.analysis.words import worth_a_look
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks
from hikeshi_desk.cases.models import Attachment, Case, Message

log = logging.getLogger(__name__)
MOST_STARTS = 3
_MOST_AT_ONCE = 50  # cases a round may add to the queue
_LATELY = timedelta(days=7)
_LATER = -10  # the priority of what nobody waits for
_LOST_AFTER = timedelta(minutes=30)


def heard(sender: object, case_id: UUID, **_: object) -> None:
    """A new case, or a further word of its asker."""
    enqueue(case_id)


def enqueue(case_id: UUID, *, by: str = "", priority: int = 0) -> bool:
    """Ask for one analysis; False where there is nothing to look at. Asking ten times is asking once.

    `by` is the person who pressed "run again", for the audit log.
    """
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=case_id)
        if not has_something(case):
            # Looked at: the next round need not read its words again.
            Analysis.objects.filter(case=case).update(files=0, words=len(words_of(case)))
            return False
        row = row_of(case)
        if by:
            record(by, "analysis.again", f"case:{case.pk}", number=case.number)
        if row.state == State.RUNNING:
            row.again = True
        elif row.state != State.WAITING:
            row.state, row.attempts, row.problem, row.again = State.WAITING, 0, "", False
            put(row, priority)
        row.save()
    return True


def put(row: Analysis, priority: int = 0) -> None:
    """A job on the database, in the same transaction as the row that waits for it."""
    from hikeshi_desk.analysis.tasks import analyse

    row.wanted_at = timezone.now()
    analyse.using(priority=priority).enqueue(str(row.case_id))


def analyse_now(case_id: UUID) -> Analysis:
    """The same work without a queue; gives the row as it is afterwards."""
    from hikeshi_desk.analysis.run import work

    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=case_id)
        row = row_of(case)
        if not has_something(case):
            return row
        row.state, row.attempts, row.problem, row.again = State.WAITING, 0, "", False
        row.wanted_at = timezone.now()
        row.save()
    work(case_id)
    row.refresh_from_db()
    return row


def row_of(case: Case) -> Analysis:
    """The case's row, locked; made when it has none."""
    row, _ = Analysis.objects.get_or_create(case=case)
    return Analysis.objects.select_for_update().get(pk=row.pk)


def has_something(case: Case) -> bool:
    """Files, ransomware as the kind of incident, or words that speak of it."""
    if case.incident == "ransomware" or case.attachments.exists():
        return True
    return worth_a_look([*map(str, case.facts.values()), *words_of(case)])


def words_of(case: Case) -> list[str]:
    return list(case.messages.filter(kind=Message.Kind.ASKER).order_by("at").values_list("body", flat=True))


def take_up() -> int:
    """Ask again for what a lost signal or a killed process left; gives how many. Safe at any time."""
    taken = [enqueue(case_id) for case_id in _unheard()]
    taken += [_start_again(row_id) for row_id in _stuck()]
    folder.sweep({str(one) for pair in Analysis.objects.values_list("run", "result") for one in pair if one})
    return sum(taken)


def _unheard() -> list[UUID]:
    """Open cases whose files or words are not those of their last analysis and that wait for none, newest first."""
    def count(rows: QuerySet[Any]) -> Coalesce:
        counted = rows.filter(case=OuterRef("pk")).order_by().values("case").annotate(n=Count("pk")).values("n")
        return Coalesce(Subquery(counted, output_field=IntegerField()), Value(0))

    asker = Message.objects.filter(kind=Message.Kind.ASKER)
    rows = Case.objects.annotate(files_now=count(Attachment.objects.all()), words_now=count(asker))
    lately = Q(incident="ransomware", opened_at__gt=timezone.now() - _LATELY)
    new = Q(analysis=None) & (Q(files_now__gt=0) | lately)
    idle = Q(analysis__state__in=(State.IDLE, State.DONE, State.FAILED)) & (
        ~Q(files_now=F("analysis__files")) | ~Q(words_now=F("analysis__words")))
    open_cases = rows.exclude(state__in=clocks.FINISHED)
    return list(open_cases.filter(new | idle).order_by("-opened_at").values_list("pk", flat=True)[:_MOST_AT_ONCE])


def _stuck() -> list[UUID]:
    """Running without a process, or waiting so long that its job may be gone."""
    found = []
    for pk, case_id in Analysis.objects.filter(state=State.RUNNING).values_list("pk", "case_id"):
        with folder.only_one(case_id) as free:
            if free:
                found.append(pk)
    late = Analysis.objects.filter(state=State.WAITING, wanted_at__lt=timezone.now() - _LOST_AFTER)
    return found + list(late.values_list("pk", flat=True))


def _start_again(row_id: UUID) -> bool:
    """A second job for the same row harms nobody: the later one finds nothing to do. The starts stay counted."""
    with transaction.atomic():
        row = Analysis.objects.select_for_update().get(pk=row_id)
        if row.state not in (State.RUNNING, State.WAITING):
            return False
        row.state = State.WAITING
        put(row)
        row.save()
    return True


def refresh_stale() -> int:
    """Ask again for what was answered with other knowledge, the newest first; gives how many. Finished cases only
    where the operator's file says so."""
    waiting = Analysis.objects.filter(state=State.WAITING).count()
    stale = _looked_at(Analysis.objects.filter(state=State.DONE)).exclude(knowledge=knowledge_version())
    wanted = stale.order_by("-finished_at").values_list("case_id", flat=True)[:max(0, _MOST_AT_ONCE - waiting)]
    if stale_pasted().exists():
        from hikeshi_desk.analysis.tasks import look_again

        look_again.using(priority=_LATER).enqueue()
    asked = {case_id: enqueue(case_id, priority=_LATER) for case_id in list(wanted)}
    # Nothing is left to look at: such cases must not stand before the others for ever.
    Analysis.objects.filter(case__in=[case_id for case_id, is_asked in asked.items() if not is_asked]).update(
        knowledge=knowledge_version())
    return sum(asked.values())


def stale_pasted() -> QuerySet[Any]:
    """Quick looks that other knowledge answered."""
    return _looked_at(Pasted.objects.exclude(knowledge=knowledge_version()))


def _looked_at(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Of the cases that newer knowledge is asked about."""
    return rows if options().recheck_finished else rows.exclude(case__state__in=clocks.FINISHED)

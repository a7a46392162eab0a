"""Measures out of a case's analysis: machines in the order of isolation, what to block where, accounts per machine.

Computed by hikeshi.triage.contain in a job, from the folder of the result. What nobody has touched follows a newer
analysis; what carries a mark, was asked for or entered by hand stays. Doing it twice is doing it once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from hikeshi.errors import HikeshiError
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text, plain
from hikeshi.triage.contain import Containment, contain
from hikeshi_desk.analysis import folder
from hikeshi_desk.analysis.models import Analysis
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases.models import Case
from hikeshi_desk.respond import counting, kinds
from hikeshi_desk.respond.models import Measure, Response

log = logging.getLogger(__name__)
LONGEST = 2_000  # characters of a subject
_RECORDS, _REASONS = 3, 6


def heard(sender: object, case_id: UUID, **_: object) -> None:
    """A case has a new result: where it rests on evidence, its proposals are made in a job."""
    from hikeshi_desk.respond.tasks import propose

    if waits(case_id):
        propose.enqueue(str(case_id))


def waits(case_id: UUID) -> bool:
    """Whether there is a result that nobody made proposals of."""
    result = result_of(case_id)
    return result is not None and not Response.objects.filter(case=case_id, result=result).exists()


def result_of(case_id: UUID) -> UUID | None:
    """The newest result that rests on evidence; one from words alone has no machines."""
    row = Analysis.objects.filter(case=case_id).only("result", "summary").first()
    return row.result if row and row.summary.get("counts", {}).get("given") else None


def propose(case_id: UUID) -> int:
    """Fills the case's measures from its analysis; gives how many are new."""
    result = result_of(case_id)
    if result is None:
        return 0
    from hikeshi_desk.respond import plans

    known = Response.objects.filter(case=case_id).only("plan").first()
    told: Containment | None
    try:
        told = contain([folder.of(result) / "out"], plan=plans.read(known.plan if known else {}))
    except (HikeshiError, OSError) as error:
        log.warning("no proposals for case %s: %s", case_id, error)
        told = None
    wanted = measures(told) if told else []
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=case_id)
        if result_of(case_id) != result:
            return 0  # a newer one is there already, and has its own job
        row = begun(case)
        row.result, row.is_unreadable = result, told is None
        new = 0
        if told:
            new = _fill(case, wanted[:kinds.MOST])
            row.cut_off = [_both(reason) for reason in told.propose_cut_off]
            row.held = [{"value": _cut(held.target.value), "type": held.target.type,
                         "reasons": [_both(reason) for reason in held.reasons]}
                        for held in told.blocks.sorted.held[:kinds.MOST]]
            row.left_out = max(0, len(wanted) - kinds.MOST)
        row.counts = counting.counts(case)
        row.save()
        record("system", "case.propose_measures", f"case:{case.pk}", number=case.number, new=new, of=len(wanted))
    return new


def begun(case: Case, by: Any = None) -> Response:
    """The case's response, with the measures that every response has; called on the locked case."""
    row, is_new = Response.objects.get_or_create(case=case, defaults={"begun_at": timezone.now(), "begun_by": by})
    if is_new:
        fixed = kinds.fixed_measures()
        for one in fixed:
            one.case = case
        Measure.objects.bulk_create(fixed, ignore_conflicts=True)
        row.counts = counting.counts(case)
        row.save(update_fields=["counts"])
    return row


def measures(told: Containment) -> list[Measure]:
    """All that the analysis asks for, most urgent first, without a case."""
    out = [_measure("isolation", one.host, {
        "cause": one.cause, "addresses": [_cut(a) for a in one.addresses[:8]], "sure": one.confidence,
        "reasons": _texts(one.reasons), "last": one.last, "records": _records(one.records)}) for one in told.isolation]
    for target in told.blocks.sorted.block:
        reasons = [*target.reasons, *told.blocks.sorted.cautions.get(target.value, ())]
        out += [_measure(control, target.value, {
            "type": target.type, "sure": target.confidence, "reasons": _texts(reasons),
            "records": _records(target.records)}) for control in target.where if len(target.value) <= LONGEST]
    for reset in sorted(told.accounts, key=lambda one: (one.order, one.host, one.account)):
        name = f"{reset.account}@{reset.host}" if reset.host else reset.account
        out.append(_measure("reset", name, {
            "account": _cut(reset.account), "host": _cut(reset.host), "kind": reset.kind, "last": reset.last,
            "reasons": _texts(reset.reasons), "records": _records(reset.records)}))
    for number, one in enumerate(out, 1):
        one.position, one.origin = number, Measure.Origin.ANALYSIS
    return list({one.key: one for one in reversed(out)}.values())[::-1]


def _fill(case: Case, wanted: Sequence[Measure]) -> int:
    """New ones come in, untouched ones are renewed, untouched ones that the newer analysis no longer names go."""
    known = {one.key: one for one in Measure.objects.filter(case=case)}
    touched = set(Measure.objects.filter(case=case, marks__isnull=False).values_list("key", flat=True))
    names = {one.key for one in wanted}
    gone = [one.pk for key, one in known.items() if one.origin == Measure.Origin.ANALYSIS and key not in names
            and key not in touched and one.asked_at is None and one.withdrawn_at is None]
    Measure.objects.filter(pk__in=gone).delete()
    renewed, new = [], []
    for one in wanted:
        before = known.get(one.key)
        if before is None:
            one.case = case
            new.append(one)
        elif before.origin == Measure.Origin.ANALYSIS:
            before.told, before.position = one.told, one.position
            renewed.append(before)
        elif not before.told.get("reasons"):
            before.told = {**one.told, **before.told}  # entered by hand before; now the evidence says why
            renewed.append(before)
    Measure.objects.bulk_update(renewed, ["told", "position"], batch_size=200)
    Measure.objects.bulk_create(new, batch_size=200)
    return len(new)


def _measure(control: str, subject: str, told: Mapping[str, Any]) -> Measure:
    name = _cut(subject)
    return Measure(control=control, subject=name, key=kinds.key_of(control, name), told=dict(told))


def _cut(value: object) -> str:
    """Strangers' words, fit for a row: no NUL, no lone surrogate, not endless."""
    return plain(value)[:LONGEST]


def _both(text: Text) -> dict[str, str]:
    return {"ja": _cut(text.ja), "en": _cut(text.en)}


def _texts(reasons: Iterable[Text]) -> list[dict[str, str]]:
    return [_both(reason) for reason in dict.fromkeys(reasons)][:_REASONS]


def _records(records: Sequence[RecordRef]) -> list[dict[str, Any]]:
    return [{"path": _cut(one.path), "record_id": one.record_id, "line": one.line} for one in records[:_RECORDS]]

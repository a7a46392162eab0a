"""Alerts of machines: kept one by one, shown as one case for each thing that goes on.

An alert is in the database, and with that on the disk, before it is acknowledged. The same one twice is one. Alerts
of one sender and source that belong together (their `correlation`, else the host and the first line) form a group;
a group is one case for as long as that case is not finished. The worst severity in it may make that case urgent
(urgency.toml), whenever it comes, unless a person has judged the case.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.models import User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.api.models import Alert, AlertGroup
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks, rules
from hikeshi_desk.cases.labels import moment
from hikeshi_desk.cases.models import Case
from hikeshi_desk.cases.opening import clean, make_urgent, open_submission
from hikeshi_desk.cases.together import rows
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.submit import Payload, submit

log = logging.getLogger(__name__)
SOURCES = ("utm", "firewall", "epp", "edr", "siem", "other")
SEVERITIES = ("info", "low", "medium", "high", "critical")
_SHOWN = 20  # newest ones in the case
_TRIES = 5


@dataclass(frozen=True)
class Sent:
    """An alert as its machine sent it; `at` has a zone."""

    source: str
    id: str
    at: datetime
    severity: str
    text: str
    host: str = ""
    correlation: str = ""
    incident: str = "unknown"
    indicators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taken:
    """What became of one alert."""

    id: str
    duplicate: bool
    group: AlertGroup


def take(user: User, sent: Sequence[Sent]) -> list[Taken]:
    """Keeps all of them, or none: then sending them again is safe. Cases are opened afterwards."""
    for tried in range(_TRIES):
        try:
            with transaction.atomic():
                taken = _keep(user, sent)
            break
        except IntegrityError:  # two requests began the same group, or brought the same alert, at the same moment
            if tried == _TRIES - 1:
                raise
    for group in {one.group.pk: one.group for one in taken}.values():
        if group.case_id is None:
            _open_now(group)
    return taken


def open_waiting() -> int:
    """Opens the cases of groups that a stop left without one; gives how many. Called at start and every two minutes."""
    return sum(_open_now(group) for group in AlertGroup.objects.filter(case=None))


def panel(case: Case, viewer: Viewer) -> Mapping[str, Any] | None:
    """What the case page shows: how many, since when, the newest ones."""
    groups, newest = (rows(case, viewer, name, query) for name, query in reads(case, viewer).items())
    if not groups:
        return None
    return {
        "count": f"{sum(group.count for group in groups):,}",
        "first": moment(min(group.first_at for group in groups)),
        "last": moment(max(group.last_at for group in groups)),
        "source": text(f"api.source.{groups[0].source}"),
        "severity": text(f"api.severity.{worst(group.severity for group in groups)}"),
        "rows": [{"at": moment(row.at), "severity": text(f"api.severity.{row.severity}"), "host": row.host,
                  "text": row.text.splitlines()[0][:200] if row.text else "", "vendor_id": row.vendor_id}
                 for row in newest]}


def reads(case: Case, viewer: Viewer) -> dict[str, QuerySet[Any]]:
    groups = visible(AlertGroup, viewer).filter(case=case)
    return {"api.groups": groups, "api.alerts": Alert.objects.filter(group__in=groups).order_by("-at")[:_SHOWN]}


def visible_groups(viewer: Viewer, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Alerts are words of the asker: with them stand addresses and hosts. The desk's only."""
    from hikeshi_desk.cases.access import is_desk

    return rows if is_desk(viewer) else rows.none()


def worst(severities: Any) -> str:
    return max(severities, key=SEVERITIES.index)


def _keep(user: User, sent: Sequence[Sent]) -> list[Taken]:
    now = timezone.now()
    keys = [_hash(str(user.pk), one.source, one.id) for one in sent]
    known = {row.key: row for row in Alert.objects.filter(key__in=keys).select_related("group")}
    taken: list[Taken] = []
    groups: dict[str, AlertGroup] = {}
    rows: dict[str, Alert] = {}
    for key, one in zip(keys, sent, strict=True):
        before = rows.get(key) or known.get(key)
        if before is not None:
            taken.append(Taken(one.id, True, before.group))
            continue
        together = _hash(str(user.pk), one.source, one.correlation or f"{one.host}\0{one.text.split(chr(10))[0]}")
        group = groups.get(together)
        if group is None:
            group = groups[together] = _group(user, together, one)
        group.count += 1
        group.severity = worst((group.severity, one.severity))
        group.first_at, group.last_at = min(group.first_at, one.at), max(group.last_at, one.at)
        rows[key] = Alert(group=group, key=key, vendor_id=one.id, at=one.at, received_at=now, severity=one.severity,
                          host=one.host, text=clean(one.text), indicators=list(one.indicators))
        taken.append(Taken(one.id, False, group))
    for group in groups.values():
        group.save()
        if group.case is not None:
            _hasten(group, group.case)
    Alert.objects.bulk_create(rows.values(), batch_size=200)
    return taken


def _group(user: User, key: str, first: Sent) -> AlertGroup:
    """The open group of this key, its row held; a new one when there is none or its case is finished."""
    group = AlertGroup.objects.select_for_update(of=("self",)).select_related("case").filter(
        key=key, is_open=True).first()
    if group is not None and group.case is not None and group.case.state in clocks.FINISHED:
        AlertGroup.objects.filter(pk=group.pk).update(is_open=None)
        group = None
    if group is None:
        opening = {"text": clean(first.text), "host": first.host, "severity": first.severity,
                   "at": first.at.isoformat(), "id": first.id, "incident": first.incident,
                   "indicators": list(first.indicators)}
        group = AlertGroup.objects.create(key=key, source=first.source, user=user, opening=opening,
                                          severity=first.severity, first_at=first.at, last_at=first.at)
    return group


def _open_now(group: AlertGroup) -> bool:
    """The group's case. The alerts are kept already: whatever fails here is done again later."""
    try:
        accepted = submit(_payload(group), idempotency_key=f"alert group {group.pk}")
        message = open_submission(Submission.objects.get(pk=accepted.submission_id))
        with transaction.atomic():
            if AlertGroup.objects.filter(pk=group.pk, case=None).update(case=message.case):
                group.refresh_from_db(fields=["severity"])
                _hasten(group, message.case)
                record(str(group.user_id), "alerts.opened", f"alerts:{group.pk}", number=message.case.number)
        group.case = message.case
    except Exception:  # the edge of the stage: what was acknowledged is safe in its rows
        log.exception("alert group %s waits to be opened", group.pk)
        return False
    return True


def _hasten(group: AlertGroup, case: Case) -> None:
    """Within the transaction that says so: a stop between the two would leave it unsaid."""
    if group.severity in rules.urgent_severities():
        make_urgent(case, str(group.user_id), f"alert {group.severity}")


def _payload(group: AlertGroup) -> Payload:
    """The same for the same group, whenever it is made."""
    first, user = group.opening, group.user
    organisation = user.memberships.select_related("organisation").order_by("pk").first()
    lines = [("host", first["host"]), ("severity", text(f"api.severity.{first['severity']}", language="ja")),
             ("time", first["at"]), ("id", first["id"]), ("indicators", ", ".join(first["indicators"]))]
    told = "\n".join(f"{text(f'api.alert.{name}', language='ja')}: {value}" for name, value in lines if value)
    source = text(f"api.source.{group.source}", language="ja")
    return Payload(channel="api", language="ja", what=f"[{source}] {first['text']}\n\n{told}", request="other",
                   incident=first["incident"], asker_name=organisation.organisation.name if organisation else user.name,
                   contact=user.email)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


"""What the desk's forms offer, with the current choice marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.models import Organisation, OrganisationKind, Role, Team, User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import clocks, drafts, endings, labels, rules
from hikeshi_desk.cases.models import Attack, Case, Flag, OpinionPoint, Party, Source, Verdict, Vulnerability

INCIDENTS = ("ransomware", "targeted", "unauthorised_access", "malware", "web_compromise", "data_leak", "phishing",
             "fraud", "lost_device", "supply_chain", "ddos", "spam", "system_down", "vulnerability", "information",
             "other", "unknown")
REQUESTS = ("first_steps", "elsewhere", "beyond_us", "second_opinion", "sample_analysis", "vulnerability",
            "information", "other")
_SCOPES = ("conversation", "files", "findings", "indicators")


@dataclass(frozen=True)
class Choice:
    value: str
    label: str
    is_chosen: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Invited:
    party: Party
    name: str
    sees: str


def verdicts(case: Case) -> list[Choice]:
    return [Choice(code, labels.label("verdict", code), code == case.verdict) for code in Verdict.values if code]


def urgency_rules(case: Case) -> list[Choice]:
    """Rules made for this kind of incident first; the others follow in the data's order."""
    ordered = sorted(rules.urgency_rules().values(), key=lambda rule: case.incident not in rule.suggest)
    return [Choice(rule.id, rule.label, False, labels.label("urgency", rule.urgency)) for rule in ordered]


def classes(case: Case) -> list[Choice]:
    """Classes that go with the kind of incident first, the likeliest of them chosen until somebody chose."""
    likely = rules.likely_classes(case.incident)
    chosen = case.rsit or next(iter(likely), "")
    place = {one: n for n, one in enumerate(likely)}
    ordered = sorted(rules.rsit().values(), key=lambda kind: place.get(kind.id, len(place)))
    return [Choice(kind.id, kind.label, kind.id == chosen) for kind in ordered]


def stances() -> list[Choice]:
    return [Choice(code, labels.label("stance", code)) for code in OpinionPoint.Stance.values if code]


def replies(case: Case, viewer: Viewer, chosen: str) -> list[Choice]:
    """What other apps can write about this case first, then the desk's own templates."""
    return [*(Choice(draft.name, text(draft.label), draft.name == chosen) for draft in drafts.offered(case, viewer)),
            *(Choice(reply.id, reply.label, reply.id == chosen) for reply in rules.replies().values())]


def parts(case: Case, viewer: Viewer, template: str, ticked: Sequence[str] | None) -> list[Choice]:
    """What may be left out of the chosen draft; the usual ones are ticked until somebody chose."""
    return [Choice(part.id, part.title, part.is_usual if ticked is None else part.id in ticked)
            for part in drafts.parts(case, viewer, template)]


def reasons() -> list[Choice]:
    return [Choice(reason.id, reason.label) for reason in rules.reasons().values()]


def bodies(case: Case) -> list[Choice]:
    """Bodies that would take such a case first, with why; names as they are today."""
    today = timezone.localdate()
    routes = rules.routes_for(case.asker_kind, case.incident)
    fitting = {route.body: route.label for route in reversed(routes)}
    ordered = list(dict.fromkeys(route.body for route in routes))
    ordered += [body for body in rules.bodies() if body not in ordered]
    return [Choice(body, rules.bodies()[body].name_on(today), False, fitting.get(body, "")) for body in ordered]


def offered(model: type[Any]) -> Sequence[Any]:
    """Whom and what a case may be given to: people working here, the desk's groups, other organisations."""
    if model is User:
        return list(User.objects.filter(is_active=True, memberships__organisation__is_desk=True,
                                        memberships__role__in=(Role.HANDLER, Role.LEAD)).distinct().order_by("name"))
    if model is Team:
        return list(Team.objects.order_by("name"))
    assert model is Organisation
    return list(Organisation.objects.filter(is_desk=False).order_by("name"))


def people(case: Case) -> list[Choice]:
    return [Choice(str(user.pk), user.name, user.pk == case.owner_id) for user in offered(User)]


def teams(case: Case) -> list[Choice]:
    return [Choice(str(team.pk), team.name, team.pk == case.team_id) for team in offered(Team)]


def organisations() -> list[Choice]:
    return [Choice(str(organisation.pk), organisation.name) for organisation in offered(Organisation)]


def scopes() -> list[Choice]:
    return [Choice(scope, text(f"cases.scope.{scope}")) for scope in _SCOPES]


def parties(case: Case, viewer: Viewer) -> list[Invited]:
    rows = visible(Party, viewer).filter(case=case, removed_at=None).select_related("organisation")
    return [Invited(party, party.organisation.name, ", ".join(
        text(f"cases.scope.{scope}") for scope in _SCOPES if getattr(party, f"sees_{scope}")) or "—")
        for party in rows]


def is_finished(case: Case) -> bool:
    return case.state in clocks.FINISHED


def incidents(chosen: str) -> list[Choice]:
    return [Choice(code, labels.label("incident", code), code == chosen) for code in INCIDENTS]


def requests(chosen: str) -> list[Choice]:
    return [Choice(code, labels.label("request", code), code == chosen) for code in REQUESTS]


def asker_kinds(chosen: str) -> list[Choice]:
    return [Choice(code, labels.label("asker_kind", code), code == chosen) for code in OrganisationKind.values]


def sources(chosen: str) -> list[Choice]:
    return [Choice(code, labels.label("source", code), code == chosen) for code in Source.values]


def attacks(chosen: str) -> list[Choice]:
    return [Choice(code, labels.label("attack", code), code == chosen) for code in Attack.values]


def flags(case: Case) -> list[Choice]:
    return [Choice(code, labels.label("flag", code), code in case.flags) for code in Flag.values]


def markings(codes: Sequence[str], chosen: str) -> list[Choice]:
    return [Choice(code, code, code == chosen) for code in codes]


def publications(chosen: str) -> list[Choice]:
    codes = Vulnerability.Publication.values
    return [Choice(code, labels.label("publication", code), code == chosen) for code in codes]


def sides(case: Case, viewer: Viewer, chosen: str) -> list[Choice]:
    """Whom the desk may write to in a case: the asker, and every party that is in it."""
    asker = Choice("asker", text("cases.relay.asker"), chosen == "asker")
    rows = visible(Party, viewer).filter(case=case, removed_at=None).select_related("organisation")
    return [asker, *(Choice(str(row.pk), row.organisation.name, chosen == str(row.pk)) for row in rows)]


def vendors(case: Case, viewer: Viewer, chosen: int | None) -> list[Choice]:
    return [Choice(str(one.party.pk), one.name, one.party.pk == chosen) for one in parties(case, viewer)]


@dataclass(frozen=True)
class Proposed:
    """Something asked again after the end; `day` is the date it is proposed for."""

    value: str
    label: str
    day: str
    is_chosen: bool


def follow_ups(case: Case, today: date) -> list[Proposed]:
    return [Proposed(rule.id, rule.label, (today + timedelta(days=rule.days)).isoformat(),
                     case.verdict in rule.verdicts) for rule in rules.follow_ups().values()]


@dataclass(frozen=True)
class Gap:
    name: str
    words: str
    detail: str


def gaps(case: Case, now: datetime) -> list[Gap]:
    """What is missing before the end, in words."""
    found = []
    for name in endings.missing(case, now):
        detail = ""
        if name == "tasks":
            detail = text("cases.list_comma").join(
                rules.task_label(task.kind) or task.title for task in endings.open_tasks(case))
        found.append(Gap(name, text(f"cases.gap.{name}"), detail))
    return found

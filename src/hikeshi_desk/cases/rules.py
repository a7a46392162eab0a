"""What the desk decides by: clocks, urgency rules, classes, other bodies, reasons, tasks, reply templates.

All of it is data (data/*.toml), checked when first read. A record has a `ja` and an `en`; `label` gives the
reader's. Raises KnowledgeError naming the file and the record.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from django.conf import settings
from django.utils.translation import get_language

from hikeshi.errors import KnowledgeError, Location
from hikeshi.respond.clock import Calendar, closures_from

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Named:
    id: str
    ja: str
    en: str

    @property
    def label(self) -> str:
        return self.en if _language() == "en" else self.ja


@dataclass(frozen=True)
class ClockRule(Named):
    amount: int
    unit: Literal["business_days", "hours"]
    incidents: tuple[str, ...]
    requests: tuple[str, ...]


@dataclass(frozen=True)
class UrgencyRule(Named):
    urgency: str
    suggest: tuple[str, ...]


@dataclass(frozen=True)
class TaskRule(Named):
    incidents: tuple[str, ...]
    requests: tuple[str, ...]


@dataclass(frozen=True)
class FollowingTask(Named):
    urgency: tuple[str, ...]


@dataclass(frozen=True)
class FollowUp(Named):
    """Asked again so many days after the end."""

    days: int
    verdicts: tuple[str, ...]


@dataclass(frozen=True)
class ReplyTemplate(Named):
    text_ja: str
    text_en: str

    def filled(self, language: str, values: Mapping[str, str]) -> str:
        """The text with its four fields; a brace in a value stays a brace."""
        parts = (self.text_en if language == "en" else self.text_ja).strip().split("{")
        out = [parts[0]]
        for part in parts[1:]:
            name, closed, rest = part.partition("}")
            out.append(values[name] + rest if closed and name in values else "{" + part)
        return "".join(out)


@dataclass(frozen=True)
class Body:
    """Another body, with its names as they were."""

    id: str
    names: tuple[tuple[date, str, str], ...]  # (from, ja, en), oldest first

    def name_on(self, day: date, language: str | None = None) -> str:
        """Its name on that day; before its first name, that one."""
        known = [name for name in self.names if name[0] <= day] or [self.names[0]]
        return known[-1][2 if (language or _language()) == "en" else 1]


@dataclass(frozen=True)
class Route:
    body: str
    organisations: tuple[str, ...]
    incidents: tuple[str, ...]
    ja: str
    en: str
    source: str
    checked: date | None

    @property
    def label(self) -> str:
        return self.en if _language() == "en" else self.ja

    def fits(self, organisation: str, incident: str) -> bool:
        return _fits(self.organisations, organisation) and _fits(self.incidents, incident)


def _language() -> str:
    return (get_language() or "ja").split("-")[0]


def _fits(wanted: tuple[str, ...], value: str) -> bool:
    return "*" in wanted or value in wanted


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise KnowledgeError(f"can't read the desk's data: {error}", source=Location(path.name)) from error


def _records(name: str, key: str, *fields: str) -> list[dict[str, Any]]:
    return _checked(DATA / name, key, *fields)


def _checked(path: Path, key: str, *fields: str) -> list[dict[str, Any]]:
    """The tables of that name, each with exactly these fields; lists become tuples."""
    found = []
    for record in _read(path).get(key, []):
        if not isinstance(record, dict) or set(record) != set(fields):
            named = (record.get("id") or record.get("body") or record) if isinstance(record, dict) else record
            raise KnowledgeError(f"record {named} needs exactly {', '.join(fields)}", source=Location(path.name))
        found.append({field: tuple(value) if isinstance(value, list) else value for field, value in record.items()})
    names = [record["id"] for record in found if "id" in record]
    if len(names) != len(set(names)):
        raise KnowledgeError("an id is used twice", source=Location(path.name))
    return found


@cache
def calendar() -> Calendar:
    data = _read(DATA / "clocks.toml")
    return Calendar(closures=closures_from(data["closures"]), closes=time.fromisoformat(data["closes"]))


@cache
def clocks() -> dict[str, ClockRule]:
    records = _records("clocks.toml", "clock", "id", "amount", "unit", "incidents", "requests", "ja", "en")
    if any(record["unit"] not in ("business_days", "hours") for record in records):
        raise KnowledgeError("a clock's unit is business_days or hours", source=Location("clocks.toml"))
    return {record["id"]: ClockRule(**record) for record in records}


def first_clock(incident: str, request: str) -> ClockRule:
    """The promise a new consultation gets; ransomware has its own."""
    for rule in clocks().values():
        if incident in rule.incidents or request in rule.requests:
            return rule
    return next(rule for rule in clocks().values() if "*" in rule.incidents or "*" in rule.requests)


@cache
def urgency_rules() -> dict[str, UrgencyRule]:
    records = _records("urgency.toml", "rule", "id", "urgency", "suggest", "ja", "en")
    if any(record["urgency"] not in ("high", "normal", "low") for record in records):
        raise KnowledgeError("urgency is high, normal or low", source=Location("urgency.toml"))
    return {record["id"]: UrgencyRule(**record) for record in records}


@cache
def urgent_severities() -> frozenset[str]:
    """The severities of a machine's alert that make its case urgent before anybody has judged it."""
    return frozenset(record["severity"] for record in _records("urgency.toml", "alert", "severity", "urgency")
                     if record["urgency"] == "high")


@cache
def rsit() -> dict[str, Named]:
    return {record["id"]: Named(**record) for record in _records("rsit.toml", "type", "id", "ja", "en")}


def likely_classes(incident: str) -> tuple[str, ...]:
    """Classes of the taxonomy that go with a kind of the form, the likeliest first; nothing for the vague kinds."""
    return _likely_classes().get(incident, ())


@cache
def _likely_classes() -> dict[str, tuple[str, ...]]:
    found = {record["incident"]: record["types"] for record in _records("rsit.toml", "likely", "incident", "types")}
    if wrong := sorted({one for types in found.values() for one in types} - set(rsit())):
        raise KnowledgeError(f"unknown class '{wrong[0]}'", source=Location("rsit.toml"))
    return found


@cache
def reasons() -> dict[str, Named]:
    return {record["id"]: Named(**record) for record in _records("reasons.toml", "reason", "id", "ja", "en")}


def routing_path() -> Path:
    """The operator's table where there is one, else ours: theirs replaces all of it."""
    own = Path(settings.DATA) / "routing.toml"
    return own if own.exists() else DATA / "bodies.toml"


def bodies() -> dict[str, Body]:
    return routing(routing_path())[0]


def routes() -> tuple[Route, ...]:
    """The whole table, in its order: the first that fits is offered first."""
    return routing(routing_path())[1]


@cache
def routing(path: Path) -> tuple[dict[str, Body], tuple[Route, ...]]:
    """Bodies and routes of one file, checked; read once, so a change counts from the next start."""
    found = {}
    for record in _checked(path, "body", "id", "names"):
        try:
            names = sorted((date.fromisoformat(name["from"]), str(name["ja"]), str(name["en"]))
                           for name in record["names"])
        except (KeyError, TypeError, ValueError) as error:
            raise KnowledgeError(f"body {record['id']}: each name has from (a date), ja and en",
                                 source=Location(path.name)) from error
        if not names:
            raise KnowledgeError(f"body {record['id']} has no name", source=Location(path.name))
        found[str(record["id"])[:64]] = Body(record["id"], tuple(names))
    table = []
    for record in _checked(path, "route", "body", "organisations", "incidents", "ja", "en", "source", "checked"):
        if record["body"] not in found:
            raise KnowledgeError(f"a route leads to an unknown body: {record['body']}", source=Location(path.name))
        if not all(isinstance(record[name], tuple) and record[name] for name in ("organisations", "incidents")):
            raise KnowledgeError(f"route to {record['body']}: organisations and incidents are lists",
                                 source=Location(path.name))
        try:
            checked = date.fromisoformat(record["checked"]) if record["checked"] else None
        except (TypeError, ValueError) as error:
            raise KnowledgeError(f"route to {record['body']}: checked is a date like \"2026-11-22\" or \"\"",
                                 source=Location(path.name)) from error
        table.append(Route(**{**record, "checked": checked}))
    return found, tuple(table)


def routes_for(organisation: str, incident: str) -> list[Route]:
    """Bodies that would take such a case, best first."""
    return [route for route in routes() if route.fits(organisation, incident)]


@cache
def _tasks() -> tuple[TaskRule, ...]:
    return tuple(TaskRule(id=record.pop("kind"), **record) for record in
                 _records("tasks.toml", "task", "kind", "incidents", "requests", "ja", "en"))


def tasks() -> dict[str, TaskRule]:
    return {rule.id: rule for rule in _tasks()}


def first_tasks(incident: str, request: str) -> list[TaskRule]:
    """Tasks of a new case in the order of the data: with ransomware its identification comes first."""
    return [rule for rule in _tasks() if _fits(rule.incidents, incident) or _fits(rule.requests, request)]


@cache
def _following_tasks() -> tuple[FollowingTask, ...]:
    return tuple(FollowingTask(id=record.pop("kind"), **record) for record in
                 _records("tasks.toml", "after", "kind", "urgency", "ja", "en"))


def tasks_after(urgency: str) -> list[FollowingTask]:
    """What judging the urgency adds to the list."""
    return [rule for rule in _following_tasks() if urgency in rule.urgency]


@cache
def _skipped() -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((record["urgency"], record["tasks"]) for record in _records("tasks.toml", "short", "urgency", "tasks"))


def tasks_skipped(urgency: str) -> list[str]:
    """What this urgency makes needless: the short path."""
    return [task for wanted, tasks in _skipped() if wanted == urgency for task in tasks]


@cache
def follow_ups() -> dict[str, FollowUp]:
    """What is asked again after the end, by kind of task."""
    return {rule.id: rule for rule in (FollowUp(id=record.pop("kind"), **record) for record in
            _records("tasks.toml", "follow_up", "kind", "days", "verdicts", "ja", "en"))}


@cache
def other_tasks() -> dict[str, Named]:
    """Tasks that an act of the desk makes."""
    return {rule.id: rule for rule in (Named(id=record.pop("kind"), **record) for record in
            _records("tasks.toml", "other", "kind", "ja", "en"))}


def task_label(kind: str) -> str:
    """The name of any kind of task, "" for one nobody knows."""
    known = (tasks().get(kind) or follow_ups().get(kind) or other_tasks().get(kind)
             or next((rule for rule in _following_tasks() if rule.id == kind), None))
    return known.label if known else ""


@cache
def replies() -> dict[str, ReplyTemplate]:
    records = _records("replies.toml", "reply", "id", "ja", "en", "text_ja", "text_en")
    return {record["id"]: ReplyTemplate(**cast("dict[str, str]", record)) for record in records}

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

    @property
    def label(self) -> str:
        return self.en if _language() == "en" else self.ja

    def fits(self, organisation: str, incident: str) -> bool:
        return _fits(self.organisations, organisation) and _fits(self.incidents, incident)


def _language() -> str:
    return (get_language() or "ja").split("-")[0]


def _fits(wanted: tuple[str, ...], value: str) -> bool:
    return "*" in wanted or value in wanted


def _read(name: str) -> dict[str, Any]:
    try:
        return tomllib.loads((DATA / name).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise KnowledgeError(f"can't read the desk's data: {error}", source=Location(name)) from error


def _records(name: str, key: str, *fields: str) -> list[dict[str, Any]]:
    """The tables of that name, each with exactly these fields; lists become tuples."""
    found = []
    for record in _read(name).get(key, []):
        if set(record) != set(fields):
            raise KnowledgeError(f"record {record.get('id') or record.get('body') or record} needs exactly "
                                 f"{', '.join(fields)}", source=Location(name))
        found.append({field: tuple(value) if isinstance(value, list) else value for field, value in record.items()})
    names = [record["id"] for record in found if "id" in record]
    if len(names) != len(set(names)):
        raise KnowledgeError("an id is used twice", source=Location(name))
    return found


@cache
def calendar() -> Calendar:
    data = _read("clocks.toml")
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
def rsit() -> dict[str, Named]:
    return {record["id"]: Named(**record) for record in _records("rsit.toml", "type", "id", "ja", "en")}


@cache
def reasons() -> dict[str, Named]:
    return {record["id"]: Named(**record) for record in _records("reasons.toml", "reason", "id", "ja", "en")}


@cache
def bodies() -> dict[str, Body]:
    found = {}
    for record in _records("bodies.toml", "body", "id", "names"):
        names = sorted((date.fromisoformat(name["from"]), name["ja"], name["en"]) for name in record["names"])
        if not names:
            raise KnowledgeError(f"body {record['id']} has no name", source=Location("bodies.toml"))
        found[record["id"]] = Body(record["id"], tuple(names))
    return found


@cache
def _routes() -> tuple[Route, ...]:
    routes = tuple(Route(**record) for record in
                   _records("bodies.toml", "route", "body", "organisations", "incidents", "ja", "en"))
    unknown = {route.body for route in routes} - set(bodies())
    if unknown:
        raise KnowledgeError(f"a route leads to an unknown body: {', '.join(sorted(unknown))}",
                             source=Location("bodies.toml"))
    return routes


def routes_for(organisation: str, incident: str) -> list[Route]:
    """Bodies that would take such a case, best first."""
    return [route for route in _routes() if route.fits(organisation, incident)]


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
def replies() -> dict[str, ReplyTemplate]:
    records = _records("replies.toml", "reply", "id", "ja", "en", "text_ja", "text_en")
    return {record["id"]: ReplyTemplate(**cast("dict[str, str]", record)) for record in records}

"""What to do first, as dated records in both languages (data/advice/*.toml).

General practice written by us; family records hold only general, dated facts. Nothing here says that
a decryptor works: where one may exist, the advice is to check. A record's `verified_on` is a date, or
"unverified" where nobody compared it with a primary source.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from hikeshi.knowledge.installed import part
from hikeshi.knowledge.load import DATA, Record, load_records
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text

KINDS = ("ransomware", "exfiltration", "web_shell", "unknown")
OWN = DATA / "advice"
_CONFIDENCES: tuple[Confidence, ...] = ("high", "medium", "low")


@dataclass(frozen=True, slots=True)
class Advice:
    """`steps` are in order of urgency, one instruction each; `facts` are what is generally reported of a
    family. `version` grows with every change; `written_on` is ISO 8601; `family` is an id or None."""

    id: str
    kind: str
    family: str | None
    version: int
    written_on: str
    verified_on: str
    confidence: Confidence
    source: str
    title: Text
    summary: Text
    steps: tuple[Text, ...]
    not_to_do: tuple[Text, ...]
    facts: tuple[Text, ...]


def advice_for(family: str | None, kind: str) -> tuple[Advice, ...]:
    """Advice for an incident of this kind, general first, then the family's; never empty.

    An unknown `kind` gets the general record for the unknown."""
    records = load_advice()
    general = tuple(a for a in records if a.family is None and a.kind == kind)
    if not general:
        general = tuple(a for a in records if a.family is None and a.kind == "unknown")
    return general + tuple(a for a in records if a.family is not None and a.family == family and a.kind == kind)


def advice_by_id(one: str) -> Advice | None:
    return next((advice for advice in load_advice() if advice.id == one), None)


def load_advice(folder: Path = OWN) -> tuple[Advice, ...]:
    """Every record, by id: the installed pack's, else our own. Raises KnowledgeError for a malformed one or a
    double id."""
    return part("advice", advice_of, lambda: _own(OWN)) if folder == OWN else _own(folder)


@cache
def _own(folder: Path) -> tuple[Advice, ...]:
    return advice_of(record for path in sorted(folder.glob("*.toml")) for record in load_records(path, "advice"))


def advice_of(records: Iterable[Record]) -> tuple[Advice, ...]:
    """These records, checked, by id. Raises KnowledgeError."""
    found: dict[str, Advice] = {}
    for record in records:
        advice = _advice(record)
        if advice.id in found:
            raise record.error(f"the id '{advice.id}' is used twice")
        found[advice.id] = advice
    return tuple(found[one] for one in sorted(found))


def _advice(record: Record) -> Advice:
    kind = record.string("kind")
    if kind not in KINDS:
        raise record.error(f"unknown kind '{kind}'", hint=f"one of {', '.join(KINDS)}")
    confidence = next((c for c in _CONFIDENCES if c == record.string("confidence")), None)
    if confidence is None:
        raise record.error("'confidence' must be high, medium or low")
    family = record.string("family") if record.has("family") else None
    steps = record.texts("steps")
    if family is None and not (steps and record.has("not_to_do")):
        raise record.error("a general record needs steps and not_to_do")
    written_on, verified_on = record.string("written_on"), record.string("verified_on")
    for value in (written_on, *([] if verified_on == "unverified" else [verified_on])):
        _check_date(record, value)
    advice = Advice(
        id=record.string("id"),
        kind=kind,
        family=family,
        version=int(record.number("version")),
        written_on=written_on,
        verified_on=verified_on,
        confidence=confidence,
        source=record.string("source"),
        title=record.text("title"),
        summary=record.text("summary"),
        steps=steps,
        not_to_do=record.texts("not_to_do"),
        facts=record.texts("facts"),
    )
    record.finish()
    return advice


def _check_date(record: Record, value: str) -> None:
    try:
        date.fromisoformat(value)
    except ValueError as error:
        raise record.error(f"'{value}' is not a date like 2026-11-22") from error

"""What to do first, for each kind of the form (data/first_steps.toml): on the receipt, and in a mail's answer."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.utils.translation import get_language

from hikeshi.errors import KnowledgeError, Location
from hikeshi.knowledge.advice import Advice, advice_for

_PATH = Path(__file__).parent / "data" / "first_steps.toml"
MOST_STEPS = 6  # what fits on one screen of a phone


@dataclass(frozen=True)
class FirstSteps:
    """In the reader's language; `more` is the longer advice, None where there is none."""

    steps: tuple[str, ...]
    never: tuple[str, ...]
    more: MoreAdvice | None


@dataclass(frozen=True)
class MoreAdvice:
    title: str
    steps: tuple[str, ...]
    never: tuple[str, ...]
    written_on: str


def first_steps(incident: str) -> FirstSteps:
    """The steps of a kind; for a kind that is not on the form those for "unknown"."""
    language, record = reader_language(), _record(incident)
    return FirstSteps(*short_steps(incident, language),
                      _more(advice_for(None, record["more"])[0], language) if record["more"] else None)


def reader_language() -> str:
    """ "ja" or "en", as the page is being shown."""
    return "en" if (get_language() or "ja").startswith("en") else "ja"


def short_steps(incident: str, language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to do and what never, in "ja" or "en", without the longer advice."""
    record = _record(incident)
    return tuple(step[language] for step in record["steps"]), tuple(step[language] for step in record["never"])


def _record(incident: str) -> dict[str, list[dict[str, str]]]:
    return _load().get(incident) or _load()["unknown"]


def _more(advice: Advice, language: str) -> MoreAdvice:
    return MoreAdvice(getattr(advice.title, language), tuple(getattr(step, language) for step in advice.steps),
                      tuple(getattr(step, language) for step in advice.not_to_do), advice.written_on)


@cache
def _load(path: Path = _PATH) -> dict[str, dict[str, list[dict[str, str]]]]:
    """Record by kind. Raises KnowledgeError for a wrong record or a kind that stands twice."""
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    for record in tomllib.loads(path.read_text(encoding="utf-8"))["kind"]:
        lines = [*record.get("steps", []), *record.get("never", [])]
        good = set(record) == {"incidents", "more", "steps", "never"} and 0 < len(record["steps"]) <= MOST_STEPS
        if not good or any(set(line) != {"ja", "en"} for line in lines):
            raise KnowledgeError(f"record {record.get('incidents')} has incidents, more, 1 to {MOST_STEPS} steps and "
                                 "never, each line in ja and en", source=Location(path.name))
        for incident in record["incidents"]:
            if incident in found:
                raise KnowledgeError(f"the kind '{incident}' stands twice", source=Location(path.name))
            found[incident] = record
    return found

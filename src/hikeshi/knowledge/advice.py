"""What to do first, as dated records in both languages (data/advice/*.toml), in sections (data/sections.toml).

General practice written by us and reviewed statement by statement (docs/advice-review.md); family records hold only
general, dated facts. Nothing here says that a decryptor works: where one was announced, the advice is to check. A
record's `verified_on` is a date, or "unverified" where nobody compared it with a primary source.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from hikeshi.knowledge.decryptors import Decryptor, decryptors_for, load_decryptors
from hikeshi.knowledge.installed import part
from hikeshi.knowledge.load import DATA, Record, load_records
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text

KINDS = ("ransomware", "exfiltration", "targeted_mail", "web_shell", "mail_compromise", "malware", "ddos",
         "unauthorised_access", "lost_device", "vulnerability", "supply_chain", "unknown")
# In the order in which they are shown; sections.toml has their titles.
SECTIONS = ("steps", "not_to_do", "evidence", "decryptor", "theft", "negotiation", "recovery", "duties", "prevention",
            "facts")
# What a kind without its own takes from "unknown".
_GENERIC = frozenset({"evidence", "recovery", "duties", "prevention"})
OWN = DATA / "advice"
_CONFIDENCES: tuple[Confidence, ...] = ("high", "medium", "low")


@dataclass(frozen=True, slots=True)
class Advice:
    """`steps` are in order of urgency, one instruction each; `facts` are what is generally reported of a
    family. `version` grows with every change; dates are ISO 8601; `family` is an id or None; `incidents` are kinds
    of the desk's form; `more` holds the further sections by id."""

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
    reviewed_on: str = ""
    incidents: tuple[str, ...] = ()
    more: tuple[tuple[str, tuple[Text, ...]], ...] = ()

    def section(self, one: str) -> tuple[Text, ...]:
        """The lines of a section; empty where the record has none."""
        if one in ("steps", "not_to_do", "facts"):
            return {"steps": self.steps, "not_to_do": self.not_to_do, "facts": self.facts}[one]
        return dict(self.more).get(one, ())


@dataclass(frozen=True, slots=True)
class AdviceSection:
    """One screen of advice; `unverified` says that a line rests on what nobody checked; `written_on` is the newest
    date of the records it comes from (ISO 8601)."""

    id: str
    title: Text
    lines: tuple[Text, ...]
    unverified: bool
    written_on: str = ""


def advice_for(family: str | None, kind: str) -> tuple[Advice, ...]:
    """Advice for an incident of this kind, general first, then the family's; never empty.

    An unknown `kind` gets the general record for the unknown."""
    records = load_advice()
    general = tuple(a for a in records if a.family is None and a.kind == kind)
    if not general:
        general = tuple(a for a in records if a.family is None and a.kind == "unknown")
    return general + tuple(a for a in records if a.family is not None and a.family == family and a.kind == kind)


def sections_for(family: str | None, kind: str) -> tuple[AdviceSection, ...]:
    """All that is advised for a kind and a family, in the order of SECTIONS; empty sections are left out."""
    records = advice_for(family, kind)
    fallback = advice_for(None, "unknown")[0]
    found = []
    for one, title in section_titles().items():
        said = [record for record in records if record.section(one)]
        if not said and one in _GENERIC:
            said = [fallback]
        lines = dict.fromkeys(line for record in said for line in record.section(one))
        if one == "decryptor" and kind == "ransomware" and family is not None:
            lines = dict.fromkeys((*decryptor_lines(family), *lines))
        if lines:
            found.append(AdviceSection(one, title, tuple(lines), _is_unverified(one, said),
                                       max((record.written_on for record in said), default="")))
    return tuple(found)


def _is_unverified(one: str, said: Sequence[Advice]) -> bool:
    """General practice needs no source; announcements, duties and what is said of one family do."""
    return one in ("decryptor", "duties", "facts") or (one == "theft" and any(
        record.family is not None and record.verified_on == "unverified" for record in said))


def decryptor_lines(family: str) -> tuple[Text, ...]:
    """What was announced for a family, with its limits and status; one dated line that says so where nothing was."""
    return tuple(_announced(one) for one in decryptors_for(family)) or (_no_tool(),)


def _announced(one: Decryptor) -> Text:
    checked = one.status != "unverified"
    return Text(
        f"公表されたもの: {one.by.ja}（{one.announced}）。対象: {one.covers.ja}。{one.limits.ja}"
        f"（{f'{one.status}に確認' if checked else f'{one.written_on}に記録、未確認'}）",
        f"Announced: {one.by.en} ({one.announced}). Covers {one.covers.en}. {one.limits.en} "
        f"({f'checked {one.status}' if checked else f'noted {one.written_on}, unverified'})")


def _no_tool() -> Text:
    """Dated, because a tool may be announced on the day after."""
    day = max((one.written_on for one in load_decryptors()), default="")
    return Text(f"この種類に公表された復号ツールは、手元の記録（{day}まで）にありません。公的な案内で確かめます。",
                f"Our records (up to {day}) hold no announced decryptor for this family: check official guidance.")


def kind_of(incident: str) -> str:
    """The kind of advice for a kind of the desk's form; "unknown" for any other word."""
    return next((a.kind for a in load_advice() if a.family is None and incident in a.incidents), "unknown")


def advice_by_id(one: str) -> Advice | None:
    return next((advice for advice in load_advice() if advice.id == one), None)


@cache
def section_titles(path: Path = DATA / "sections.toml") -> dict[str, Text]:
    """Titles by section, in the order shown. Raises KnowledgeError."""
    found: dict[str, Text] = {}
    for record in load_records(path, "section"):
        one = record.string("id")
        if one not in SECTIONS or one in found:
            raise record.error(f"unknown or double section '{one}'", hint=f"one of {', '.join(SECTIONS)}")
        found[one] = record.text("title")
        record.finish()
    return found


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
        if twice := {i for a in found.values() for i in a.incidents} & set(advice.incidents):
            raise record.error(f"the incident '{min(twice)}' is used twice")
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
    reviewed_on = record.string("reviewed_on") if record.has("reviewed_on") else ""
    for value in (written_on, *filter(None, [reviewed_on]), *([] if verified_on == "unverified" else [verified_on])):
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
        reviewed_on=reviewed_on,
        incidents=record.strings("incidents"),
        more=tuple((one, lines) for one in SECTIONS if one not in ("steps", "not_to_do", "facts")
                   and (lines := record.texts(one))),
    )
    record.finish()
    return advice


def _check_date(record: Record, value: str) -> None:
    try:
        date.fromisoformat(value)
    except ValueError as error:
        raise record.error(f"'{value}' is not a date like 2026-11-22") from error

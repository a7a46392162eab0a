"""Is this text a ransom note at all? Asked before any family is named.

News, advice, manuals and logs name families too. A note speaks to its victim: something is lost,
something is offered, contact or payment is demanded. Signs are data (knowledge/data/signs.toml).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from hikeshi.identify.text import NoteText
from hikeshi.knowledge.load import DATA, load_records
from hikeshi.model.text import Text

# Notes are short. Of a long text the beginning tells what it is.
_LOOKED_AT = 48 * 1024
_NOTE_SCORE = 5.0
_MAYBE_SCORE = 2.5
_CUT_SCORE = 3.5
_REPORTS = {"reporting", "advising", "manual"}
_STAMPED = re.compile(
    r"^\W{0,3}(?:\d\d?:\d\d\b|\d{4}[-/.]\d\d?[-/.]\d\d?|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d|"
    r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3} |\d\d:\d\d:\d\d|\d{10}[. ])",
    re.M | re.A,
)


@dataclass(frozen=True, slots=True)
class Sign:
    id: str
    weight: float
    each: bool
    name: Text
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """`verdict` is note, maybe or other; `signs` are those for it, `against` those against it."""

    verdict: str
    score: float
    signs: tuple[Text, ...]
    against: tuple[Text, ...]
    is_tabular: bool = False


@cache
def load_signs() -> tuple[Sign, ...]:
    signs = []
    for record in load_records(DATA / "signs.toml", "sign"):
        signs.append(
            Sign(
                record.string("id"),
                record.number("weight"),
                record.flag("each", False),
                record.text("name"),
                tuple(_folded(phrase).strip() for phrase in record.strings("phrases")),
            )
        )
        record.finish()
    return tuple(signs)


def judge(note: NoteText, *, addresses: Collection[str]) -> Gate:
    """The gate's answer for one text. `addresses`: the kinds of address it holds (onion, email, tox, …)."""
    if is_tabular(note.text[:_LOOKED_AT]):
        return Gate("other", 0.0, (), (Text("ログや表の形をしている", "has the shape of a log or a table"),), True)
    text = re.sub(r"[ \t]{2,}", "  ", note.text)[:_LOOKED_AT]
    folded = f" {_folded(text)} "
    score = 0.0
    ids: set[str] = set()
    found: list[Text] = []
    against: list[Text] = []
    for sign in load_signs():
        hits = sum(1 for phrase in sign.phrases if _holds(folded, phrase))
        if not hits:
            continue
        score += sign.weight * (min(hits, 4) if sign.each else 1)
        (found if sign.weight > 0 else against).append(sign.name)
        ids.add(sign.id)
    if addresses:
        score += 1.0
        found.append(Text("連絡先が書かれている", "gives an address to write to"))
        ids.add("contact")
    # A long text must say proportionally more: somewhere in 40 KB of anything stands "contact us".
    score -= max(0.0, (len(folded) - 8_000) / 8_000)
    return Gate(_verdict(score, ids, addresses), round(score, 2), tuple(found), tuple(against))


def _verdict(score: float, ids: set[str], addresses: Collection[str]) -> str:
    """A note tells of a loss or offers a cure, says how to reach the writer, and presses. Terse notes
    of a name and hidden-service addresses only may be one."""
    hidden = bool({"onion", "tox", "session"} & set(addresses))
    harm = bool({"loss", "offer"} & ids)
    presses = hidden or bool({"demand", "threat", "warning", "proof"} & ids)
    if harm and "contact" in ids and presses and score >= _NOTE_SCORE:
        return "note"
    if score >= _MAYBE_SCORE and "contact" in ids and (harm or hidden):
        return "maybe"
    if "loss" in ids and "addressee" in ids and score >= _MAYBE_SCORE:
        return "maybe"
    # Cut off before its contact, or with the contact misread: the writer still speaks as who did it, and presses.
    presses = bool({"demand", "threat", "warning"} & ids)
    return "maybe" if harm and presses and "we" in ids and score >= _CUT_SCORE and not _REPORTS & ids else "other"


def _folded(text: str) -> str:
    return re.sub(r"[^\w]+|_+", " ", text.casefold())


def _holds(folded: str, phrase: str) -> bool:
    if not phrase.isascii():
        return phrase in folded
    # From the start of a word; stems ("decrypt") also match their longer forms, short words only themselves.
    return (f" {phrase}" if len(phrase) > 4 else f" {phrase} ") in folded


def is_tabular(text: str) -> bool:
    """Most lines begin with a time or address, or have the same number of fields: a log or a table."""
    # Pictures made of signs have columns too; a table's fields hold words or numbers.
    lines = [line for line in text.splitlines() if sum(c.isalnum() for c in line) > len(line.strip()) * 0.4]
    if len(lines) < 5:
        return False
    if len(_STAMPED.findall(text)) > len(lines) * 0.4:
        return True
    for separator in ",;\t|":
        # A table has the same number of fields in every line; sentences with commas don't.
        fields, count = Counter(line.strip(" |").count(separator) for line in lines).most_common(1)[0]
        if fields >= (3 if separator == "," else 2) and count > len(lines) * 0.7:
            return True
    return False

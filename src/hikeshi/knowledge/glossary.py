"""Terms that pages and reports use, each explained in a sentence or two (data/glossary.toml), and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hikeshi.knowledge.load import DATA, load_records
from hikeshi.model.text import Text


@dataclass(frozen=True, slots=True)
class Term:
    """`id` is stable; `term` is how each language writes it; `meaning` is one plain sentence."""

    id: str
    term: Text
    meaning: Text


@cache
def load_glossary(path: Path = DATA / "glossary.toml") -> dict[str, Term]:
    """Terms by id, in the file's (alphabetical) order. Raises KnowledgeError."""
    terms: dict[str, Term] = {}
    for record in load_records(path, "term"):
        one = Term(record.string("id"), record.text("term"), record.text("meaning"))
        if one.id in terms:
            raise record.error(f"the id '{one.id}' is used twice")
        record.finish()
        terms[one.id] = one
    return terms


# Words of everybody: explaining them would only be in the way.
_PLAIN = frozenset({"evidence", "timeline", "recovery", "family", "technique", "confidence", "advisory", "staging",
                    "indicator", "isolation", "actor", "containment"})
_BRACKETS = re.compile(r"[（(）)]")


def terms_in(text: str, language: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and id of each term in a text of "ja" or "en", from left to right; everybody's words are left out."""
    pattern, known = _pattern(language)
    for found in pattern.finditer(text):
        yield found.start(), found.end(), known[found[0].casefold()]


@cache
def _pattern(language: str) -> tuple[re.Pattern[str], dict[str, str]]:
    """All names of all terms, the longest first, and which term each is of."""
    known: dict[str, str] = {}
    for one in load_glossary().values():
        if one.id in _PLAIN:
            continue
        for name in _BRACKETS.split(getattr(one.term, language)):
            if len(name.strip()) > 1:
                known.setdefault(name.strip().casefold(), one.id)
    names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
    # Latin names only as whole words; Japanese has none to be whole.
    return re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])", re.IGNORECASE), known

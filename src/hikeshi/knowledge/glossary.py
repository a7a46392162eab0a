"""Terms that reports use, each explained in one sentence, Japanese and English (data/glossary.toml)."""

from __future__ import annotations

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

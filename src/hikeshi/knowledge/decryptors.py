"""Decryption tools that were announced, with what they cover and their limits (data/decryptors.toml).

A record says that something was announced; whether it works in a case is for specialists to find out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hikeshi.knowledge.dates import check_span
from hikeshi.knowledge.load import DATA, load_records
from hikeshi.model.text import Text


@dataclass(frozen=True, slots=True)
class Decryptor:
    """`family` is an id; `announced` a month (2024-02) or a day; `status` a date of checking or "unverified"."""

    family: str
    offered_by: str
    announced: str
    covers: Text
    limits: Text
    source: str
    licence: str
    written_on: str
    status: str


def decryptors_for(family: str | None) -> tuple[Decryptor, ...]:
    return tuple(one for one in load_decryptors() if one.family == family)


@cache
def load_decryptors(path: Path = DATA / "decryptors.toml") -> tuple[Decryptor, ...]:
    """In the file's order. Raises KnowledgeError."""
    found = []
    for record in load_records(path, "decryptor"):
        one = Decryptor(
            record.string("family"), record.string("offered_by"), record.string("announced"), record.text("covers"),
            record.text("limits"), record.string("source"), record.string("licence"), record.string("written_on"),
            record.string("status"))
        for value in (one.announced, one.written_on, *([] if one.status == "unverified" else [one.status])):
            if (wrong := check_span(value, value)) is not None:
                raise record.error(wrong)
        record.finish()
        found.append(one)
    return tuple(found)

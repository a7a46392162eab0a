"""Decryption tools that were announced, with what they cover and their limits (data/decryptors.toml).

A record says that something was announced; whether it works in a case is for specialists to find out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hikeshi.knowledge.dates import check_span
from hikeshi.knowledge.installed import part
from hikeshi.knowledge.load import DATA, Record, load_records
from hikeshi.model.text import Text

OWN = DATA / "decryptors.toml"


@dataclass(frozen=True, slots=True)
class Decryptor:
    """`family` is an id; `announced` a month (2024-02) or a day; `status` a date of checking or "unverified";
    `offered_by` one name, or "Japanese / English"."""

    family: str
    offered_by: str
    announced: str
    covers: Text
    limits: Text
    source: str
    licence: str
    written_on: str
    status: str

    @property
    def by(self) -> Text:
        """Who offers it, in both languages."""
        ja, _, en = self.offered_by.partition(" / ")
        return Text(ja, en or ja)


def decryptors_for(family: str | None) -> tuple[Decryptor, ...]:
    return tuple(one for one in load_decryptors() if one.family == family)


def load_decryptors(path: Path = OWN) -> tuple[Decryptor, ...]:
    """The installed pack's, else our own, in the file's order. Raises KnowledgeError."""
    return part("decryptors", decryptors_of, lambda: _own(OWN)) if path == OWN else _own(path)


@cache
def _own(path: Path) -> tuple[Decryptor, ...]:
    return decryptors_of(load_records(path, "decryptor"))


def decryptors_of(records: Iterable[Record]) -> tuple[Decryptor, ...]:
    """These records, checked. Raises KnowledgeError."""
    found = []
    for record in records:
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

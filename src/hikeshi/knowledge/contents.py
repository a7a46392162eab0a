"""What gathered files may hold, guessed from names. Data: data/contents.toml, ours and dated.

A guess only orders the questions a responder asks; nothing is judged by it alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hikeshi.knowledge.dates import check_span
from hikeshi.knowledge.load import DATA, load_records
from hikeshi.model.text import Text

_PARTS = re.compile(r"[^a-z0-9_]+")
_LONGEST, _MOST = 4_096, 100_000  # of one name in characters, of all in names


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of content; `words` are whole parts of a name, `inside` stand anywhere in it, `endings` end it."""

    id: str
    says: Text
    words: frozenset[str]
    inside: tuple[str, ...]
    endings: frozenset[str]


@cache
def load_contents(path: Path = DATA / "contents.toml") -> tuple[Kind, ...]:
    """All kinds in the file's order. Raises KnowledgeError."""
    found: dict[str, Kind] = {}
    for record in load_records(path, "kind"):
        words = [unicodedata.normalize("NFKC", word).casefold() for word in record.strings("words")]
        one = Kind(record.string("id"), record.text("says"), frozenset(w for w in words if w.isascii()),
                   tuple(w for w in words if not w.isascii()),
                   frozenset(e.casefold() for e in record.strings("endings")))
        written = record.string("written_on")
        if (wrong := check_span(written, written)) is not None:
            raise record.error(wrong)
        if one.id in found or not words:
            raise record.error(f"'{one.id}' stands twice, or has no words")
        record.finish()
        found[one.id] = one
    return tuple(found.values())


def guess(names: Iterable[str]) -> tuple[Kind, ...]:
    """The kinds that names of folders and files speak of, the most often named first.

    Looks at the first hundred thousand names, and at the first 4,096 characters of each.
    """
    counts = dict.fromkeys(load_contents(), 0)
    for number, name in enumerate(names):
        if number == _MOST:
            break
        text = unicodedata.normalize("NFKC", name[:_LONGEST]).casefold()
        parts = frozenset(_PARTS.split(text))
        parts |= {piece for part in parts for piece in part.split("_")}
        ending = text.rstrip("\"'*").rpartition(".")[2]
        for kind in counts:
            if ending in kind.endings or parts & kind.words or any(word in text for word in kind.inside):
                counts[kind] += 1
    return tuple(sorted((kind for kind, count in counts.items() if count), key=lambda k: -counts[k]))

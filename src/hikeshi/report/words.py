"""The fixed words of the report in one language."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

from hikeshi.errors import KnowledgeError, Location
from hikeshi.model.text import Text

Language = Literal["ja", "en"]


@cache
def all_words() -> dict[str, Text]:
    """Every entry of words.toml; raises KnowledgeError where a language is missing."""
    name = "report/words.toml"
    table = tomllib.loads((files("hikeshi") / "report" / "words.toml").read_text("utf-8"))
    for key, entry in table.items():
        if set(entry) != {"ja", "en"} or not all(entry.values()):
            raise KnowledgeError(f"'{key}' needs both ja and en", source=Location(name))
    return {key: Text(entry["ja"], entry["en"]) for key, entry in table.items()}


@cache
def _problems() -> tuple[tuple[re.Pattern[str], Text], ...]:
    """Readers' sentences, {name} standing for any words, and how they read in both languages."""
    out = []
    for key, entry in all_words().items():
        if key.startswith("problem_"):
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.{1,200}?)", re.escape(key.removeprefix("problem_")))
            out.append((re.compile(pattern, re.DOTALL), entry))
    return tuple(out)


class Words:
    """`w("key", name=value)` gives the word; an unknown kind or method is shown as it is."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language

    def __call__(self, key: str, **values: object) -> str:
        return str(getattr(all_words()[key], self.language)).format(**values)

    def count(self, thing: str, number: int) -> str:
        """A number with its noun: 9 台, 1 host, 9 hosts."""
        return self(f"count_{thing}" if number != 1 else f"count_{thing}_one", count=f"{number:,}")

    def of(self, group: str, value: str) -> str:
        entry = all_words().get(f"{group}_{value}") or all_words().get(value)
        return str(getattr(entry, self.language)) if entry else value

    def problem(self, sentence: str) -> str:
        """What a reader says of damage; sentences without an entry stay as they are."""
        for pattern, entry in _problems():
            if match := pattern.fullmatch(sentence):
                told = str(getattr(entry, self.language))
                return re.sub(r"\{(\w+)\}", lambda m: match[m[1]], told)
        return sentence

    def text(self, text: Text) -> str:
        return str(getattr(text, self.language))

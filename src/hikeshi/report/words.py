"""The fixed words of the report in one language."""

from __future__ import annotations

import re
import tomllib
from datetime import datetime, tzinfo
from functools import cache
from importlib.resources import files
from typing import Literal

from hikeshi.errors import KnowledgeError, Location
from hikeshi.model.text import Text

Language = Literal["ja", "en"]
# A moment inside a sentence of the story: always UTC, and says so.
_MOMENT = re.compile(
    r"(?<![0-9A-Za-z])(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(?:Z| UTC)(?![0-9A-Za-z])", re.ASCII)


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
    """`w("key", name=value)` gives the word; an unknown kind or method is shown as it is.

    `zone` is the reader's: moments in sentences are told in it; without one they stay in UTC."""

    def __init__(self, language: Language, zone: tzinfo | None = None) -> None:
        self.language: Language = language
        self._zone = zone

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
        said = str(getattr(text, self.language))
        return _MOMENT.sub(self._moment, said) if self._zone is not None else said

    def _moment(self, found: re.Match[str]) -> str:
        try:
            time = datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00").astimezone(self._zone)
        except (ValueError, OverflowError):
            return found[0]
        return f"{time:%Y-%m-%d %H:%M %Z}"

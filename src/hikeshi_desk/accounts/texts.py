"""Every text of the desk in Japanese and English, by key.

`texts/<area>.toml` holds tables with `ja` and `en`; the key is the area and the table's name with dots
(`accounts.sign_in.title`). `{name}` marks a place for a value. There is no falling back: a key that does
not exist, a language that is missing and a value without a place are all errors.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import lazy
from django.utils.translation import get_language

FOLDER = Path(__file__).parent.parent / "texts"
LANGUAGES = ("ja", "en")
_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")  # our own short texts, never a foreign pattern


def text(key: str, *, language: str | None = None, **values: object) -> str:
    """The text in the reader's language, plain (templates escape it). KeyError without the key or a value."""
    wanted = (language or get_language() or "ja").split("-")[0]
    entry = load_texts()[key]
    template = entry[wanted if wanted in LANGUAGES else "ja"]
    places = set(_PLACE.findall(template))
    if places != set(values):
        raise KeyError(f"text '{key}' has places {sorted(places)}, got values {sorted(values)}")
    return _PLACE.sub(lambda match: str(values[match[1]]), template)


@cache
def load_texts(folder: Path = FOLDER) -> Mapping[str, Mapping[str, str]]:
    """Key to language to text, checked: both languages, same places, nothing empty."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*.toml")):
        for key, entry in _entries(path.stem, tomllib.loads(path.read_text(encoding="utf-8"))):
            found[key] = _checked(key, entry)
    return found


def _entries(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in table.items():
        key = f"{prefix}.{name}"
        if not isinstance(value, dict):
            raise ImproperlyConfigured(f"text '{key}' is a table with ja and en")
        if value and all(isinstance(part, dict) for part in value.values()):
            yield from _entries(key, value)
        else:
            yield key, value


def _checked(key: str, entry: Mapping[str, Any]) -> dict[str, str]:
    if set(entry) != set(LANGUAGES) or not all(isinstance(t, str) and t.strip() for t in entry.values()):
        raise ImproperlyConfigured(f"text '{key}' needs exactly ja and en, neither empty")
    if set(_PLACE.findall(entry["ja"])) != set(_PLACE.findall(entry["en"])):
        raise ImproperlyConfigured(f"text '{key}' has different places in ja and en")
    return dict(entry)


lazy_text = lazy(text, str)

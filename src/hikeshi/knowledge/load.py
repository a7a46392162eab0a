"""Read a knowledge file (TOML) with every mistake located: file, line, key.

Each accessor of `Record` returns a value of the type its name says, or raises KnowledgeError with
the file and the line of the record's header. Nothing is guessed: an unknown key is an error too,
so that a misspelt one is not silently ignored.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hikeshi.errors import KnowledgeError, Location
from hikeshi.model.text import Text

DATA = Path(__file__).parent / "data"

# Far above any file of ours: a knowledge file that large is a mistake or an attack.
MAX_BYTES = 32 * 1024 * 1024


class Record:
    """One table of a knowledge file; accessors check the type and remember which keys were used."""

    def __init__(self, path: Path, table: Mapping[str, Any], line: int | None) -> None:
        self.path = path
        self.line = line
        self._table = table
        self._used: set[str] = set()

    def error(self, what: str, *, hint: str | None = None) -> KnowledgeError:
        return KnowledgeError(what, source=Location(str(self.path), line=self.line), hint=hint)

    def has(self, key: str) -> bool:
        return key in self._table

    def string(self, key: str, default: str | None = None) -> str:
        value = self._value(key, str, default)
        if value == "" and default is None:
            raise self.error(f"'{key}' is empty")
        return str(value)

    def number(self, key: str, default: float | None = None) -> float:
        value = self._value(key, int | float, default)
        if isinstance(value, bool):
            raise self.error(f"'{key}' must be a number, not true or false")
        try:
            return float(value)
        except OverflowError as error:
            raise self.error(f"'{key}' is too large") from error

    def flag(self, key: str, default: bool) -> bool:
        return bool(self._value(key, bool, default))

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings; empty when the key is absent."""
        value = self._value(key, list, [])
        for item in value:
            if not isinstance(item, str) or not item:
                raise self.error(f"'{key}' must hold non-empty strings, found {item!r}")
        return tuple(value)

    def text(self, key: str) -> Text:
        """A sentence in both languages: { ja = "…", en = "…" }."""
        return self._text(key, self._value(key, dict, None))

    def texts(self, key: str) -> tuple[Text, ...]:
        return tuple(self._text(key, item) for item in self._value(key, list, []))

    def records(self, key: str) -> tuple[Record, ...]:
        """The tables of [[key]] inside this record."""
        value = self._value(key, list, [])
        if not all(isinstance(item, dict) for item in value):
            raise self.error(f"'{key}' must be a list of tables")
        return tuple(Record(self.path, item, self.line) for item in value)

    def finish(self) -> None:
        """Raise KnowledgeError when the record has a key that nobody asked for."""
        unknown = sorted(set(self._table) - self._used)
        if unknown:
            raise self.error(f"unknown key '{unknown[0]}'", hint=f"known here: {', '.join(sorted(self._used))}")

    def _value(self, key: str, kind: Any, default: Any) -> Any:
        self._used.add(key)
        if key not in self._table:
            if default is None:
                raise self.error(f"'{key}' is missing")
            return default
        value = self._table[key]
        if not isinstance(value, kind):
            raise self.error(f"'{key}' has the wrong type: {type(value).__name__}")
        return value

    def _text(self, key: str, value: object) -> Text:
        if not isinstance(value, dict) or set(value) != {"ja", "en"}:
            raise self.error(f"'{key}' needs exactly ja and en")
        ja, en = value["ja"], value["en"]
        if not (isinstance(ja, str) and isinstance(en, str) and ja.strip() and en.strip()):
            raise self.error(f"'{key}' has an empty or non-text ja or en")
        return Text(ja, en)


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """The parsed file and its text. Raises KnowledgeError naming the line of a syntax error."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise KnowledgeError(
            f"the knowledge file can't be read: {error.strerror}",
            source=Location(str(path)),
            hint="reinstall hikeshi, or import the pack again",
        ) from error
    if len(raw) > MAX_BYTES:
        raise KnowledgeError("the knowledge file is too large", source=Location(str(path)))
    try:
        text = raw.decode("utf-8")
        return tomllib.loads(text), text
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise KnowledgeError("the knowledge file is not UTF-8", source=Location(str(path), line=line)) from error
    except tomllib.TOMLDecodeError as error:
        raise KnowledgeError(
            f"not valid TOML: {error}", source=Location(str(path), line=_line_in(str(error)))
        ) from error


def load_records(path: Path, name: str) -> Iterator[Record]:
    """Every [[name]] of the file, in order. Any other top-level key is an error."""
    table, text = read_toml(path)
    other = sorted(set(table) - {name})
    if other:
        raise KnowledgeError(
            f"unknown top-level key '{other[0]}'",
            source=Location(str(path), line=_line_of(text, other[0])),
            hint=f"this file holds [[{name}]] only",
        )
    items = table.get(name, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise KnowledgeError(f"[[{name}]] must be a list of tables", source=Location(str(path)))
    headers = [number for number, line in enumerate(text.splitlines(), 1) if line.strip() == f"[[{name}]]"]
    for position, item in enumerate(items):
        yield Record(path, item, headers[position] if position < len(headers) else None)


def _line_in(message: str) -> int | None:
    _, _, tail = message.partition("at line ")
    digits = tail.split(",")[0].strip()
    return int(digits) if digits.isdigit() else None


def _line_of(text: str, key: str) -> int | None:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip().strip("[]").split("=")[0].strip() == key:
            return number
    return None

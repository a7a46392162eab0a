"""A folder somebody fetched: its files within bounds, where it is from, and what of it could not be used."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from hikeshi.errors import InputError, LimitExceeded, Location
from hikeshi.knowledge.pack import PackSource

MAX_FILE = 32 << 20
MAX_FILES = 20_000
_SHOWN = 50
_LICENCES = (("CC0 1.0", "CC0-1.0"), ("Apache License", "Apache-2.0"), ("MIT License", "MIT"),
             ("GNU GENERAL PUBLIC LICENSE", "GPL"), ("BSD 3-Clause", "BSD-3-Clause"), ("BSD 2-Clause", "BSD-2-Clause"),
             ("Creative Commons Attribution 4.0", "CC-BY-4.0"))
_SAID = ("id", "name", "licence", "version", "date", "url")


@dataclass(frozen=True, slots=True)
class Origin:
    """A path to import and what the person says of it: `date` is ISO 8601 or "unknown"."""

    path: Path
    date: str = "unknown"


@dataclass(slots=True)
class Imported:
    """What was read: `records` without their envelopes; `broken` are places and reasons, the first of `count`."""

    source: PackSource
    records: list[dict[str, Any]] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    count_broken: int = 0

    def reject(self, place: str, why: str) -> None:
        self.count_broken += 1
        if len(self.broken) < _SHOWN:
            self.broken.append((place, why))


def describe(origin: Origin, one: str, name: str, *, content: str) -> PackSource:
    """Where a folder is from: its SOURCE.toml (id, name, licence, version, date, url; all optional), else its
    LICENSE file and the date that was said. `content`: a hash of what was read, the version where none is given."""
    said: Mapping[str, Any] = {}
    note = (origin.path if origin.path.is_dir() else origin.path.parent) / "SOURCE.toml"
    if origin.path.is_dir() and note.is_file():
        try:
            said = tomllib.loads(read_bytes(note, 64 << 10).decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise InputError("SOURCE.toml is no TOML", source=Location(str(note))) from error
        for key, value in said.items():
            if key not in _SAID or not isinstance(value, str | date) or len(str(value)) > 300:
                raise InputError(f"SOURCE.toml: {str(key)[:40]!r} is unknown or no short text",
                                 source=Location(str(note)), hint=f"known: {', '.join(_SAID)}")
    told = str(said.get("date", origin.date))
    if told != "unknown":
        check_date(told, str(note if "date" in said else origin.path))
    key = str(said.get("id", one))
    if not re.fullmatch(r"[a-z0-9-]{1,40}", key, re.A):
        raise InputError("SOURCE.toml: an id is small letters, digits and hyphens", source=Location(str(note)))
    return PackSource(key, str(said.get("name", name)), str(said.get("licence") or _licence(origin.path)),
                      str(said.get("version") or f"content {content[:12]}"), told, str(said.get("url", "")))


def check_date(value: str, place: str) -> str:
    """The same date. Raises InputError for another form than 2026-11-22."""
    try:
        if len(value) == 10:
            return date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise InputError(f"{value[:40]!r} is not a date like 2026-11-22", source=Location(place))


def files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Regular files with these endings, by name; links and hidden folders are left out. Raises InputError."""
    found: list[Path] = []
    if not folder.is_dir():
        raise InputError("there is no such folder", source=Location(str(folder)))
    for name_of_place, folders, names in os.walk(folder):  # Path.walk is Python 3.12's
        place = Path(name_of_place)
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        found += [place / name for name in names
                  if name.lower().endswith(endings) and not (place / name).is_symlink() and (place / name).is_file()]
        if len(found) > MAX_FILES:
            raise LimitExceeded(f"the folder holds more than {MAX_FILES:,} files", source=Location(str(folder)))
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def read_bytes(path: Path, most: int = MAX_FILE) -> bytes:
    """A file within bounds. Raises InputError."""
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InputError(f"the file can't be read: {error.strerror}", source=Location(str(path))) from error
    if len(content) > most:
        raise LimitExceeded(f"the file is larger than {most >> 10:,} KB", source=Location(str(path)))
    return content


def content_hash(folder: Path, contents: Mapping[Path, bytes]) -> str:
    """A hash over names and contents, the same wherever the folder lies."""
    total = hashlib.sha256()
    for path in sorted(contents, key=lambda one: one.relative_to(folder).as_posix()):
        total.update(f"{path.relative_to(folder).as_posix()}\n".encode("utf-8", "surrogateescape"))
        total.update(hashlib.sha256(contents[path]).digest())
    return total.hexdigest()


def _licence(path: Path) -> str:
    for name in ("LICENSE", "LICENSE.md", "LICENSE.txt", "COPYING", "LICENCE"):
        place = (path if path.is_dir() else path.parent) / name
        if path.is_dir() and place.is_file() and not place.is_symlink():
            with place.open("rb") as file:
                head = file.read(2000).decode("utf-8", "replace")
            return next((short for words, short in _LICENCES if words.lower() in head.lower()), "see its LICENSE file")
    return "not stated"

"""Zones that the evidence's own notes give: which file's times are in which zone.

A small file `notes.toml` or `hikeshi.toml` at the top of an evidence folder:

    zone = "+09:00"            # every file, unless a rule below fits

    [[files]]
    glob = "proxy/*.log"       # * also crosses folders; archive members are "logs.zip!/a/b.log"
    zone = "UTC"

A glob fits a file's whole name or its last part; of several rules that fit, the last one counts.
Zones are +09:00, UTC, JST or Asia/Tokyo. Anything else in the file is left alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hikeshi.errors import DamagedInput, Location, UsageError
from hikeshi.events.time import parse_zone

FILE_NAMES = ("notes.toml", "hikeshi.toml")
_LARGEST = 256 * 1024
_MOST_RULES = 1000


@dataclass(frozen=True, slots=True)
class ZoneRule:
    """Files that fit `glob` write their times in `zone`."""

    glob: str
    zone: str


def read_zone_notes(path: Path) -> tuple[ZoneRule, ...]:
    """The rules of one notes file; raises DamagedInput naming what can't be understood."""
    with open(path, "rb") as stream:
        data = stream.read(_LARGEST + 1)
    where = Location(path.name)
    try:
        if len(data) > _LARGEST:
            raise ValueError(f"larger than {_LARGEST:,} bytes")
        notes = tomllib.loads(data.decode("utf-8-sig"))
        rules = [ZoneRule("*", _zone(notes["zone"]))] if "zone" in notes else []
        listed = notes.get("files", [])
        if not isinstance(listed, list) or len(listed) > _MOST_RULES:
            raise ValueError("[[files]] must be a list of tables")
        rules += [_rule(entry) for entry in listed]
    except (ValueError, UsageError, RecursionError) as error:
        raise DamagedInput(f"the notes can't be used: {error}", source=where,
                           hint='write zone = "+09:00", or [[files]] with glob and zone') from error
    return tuple(rules)


def _rule(entry: Any) -> ZoneRule:
    if not isinstance(entry, dict) or not isinstance(entry.get("glob"), str):
        raise ValueError("each [[files]] needs a glob and a zone")
    return ZoneRule(entry["glob"], _zone(entry.get("zone")))


def _zone(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a zone must be text like \"+09:00\"")
    parse_zone(value)
    return value


def zone_for(name: str, rules: Sequence[ZoneRule]) -> str | None:
    """The zone the notes give for a file of this name; None if they are silent."""
    last_part = name.rpartition("/")[2]
    zone = None
    for rule in rules:
        if fnmatchcase(name, rule.glob) or fnmatchcase(last_part, rule.glob):
            zone = rule.zone
    return zone

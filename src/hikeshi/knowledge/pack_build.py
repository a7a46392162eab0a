"""A pack from what is installed and from what was imported. The same input gives the same bytes."""

from __future__ import annotations

import importlib.metadata
import io
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from hikeshi.errors import InputError, Location
from hikeshi.knowledge import galaxy
from hikeshi.knowledge.advice import OWN as OWN_ADVICE
from hikeshi.knowledge.decryptors import OWN as OWN_DECRYPTORS
from hikeshi.knowledge.families import compact
from hikeshi.knowledge.galaxy import key_of
from hikeshi.knowledge.importers.folder import Imported
from hikeshi.knowledge.importers.galaxy_checkout import Checkout
from hikeshi.knowledge.load import DATA, read_toml
from hikeshi.knowledge.pack import PARTS, PackSource, pack_bytes
from hikeshi.knowledge.sources import load_sources
from hikeshi.knowledge.vectors import OWN as OWN_VECTORS
from hikeshi.knowledge.wording import Wordings, joined, load, save

_OWN = "hikeshi"


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt from a folder of notes: facts in observed.toml's form, hashes of the wording."""

    imported: Imported
    facts: str
    wordings: Wordings


@dataclass(slots=True)
class Input:
    """What to build from, beside the installed packages and our own data; all optional."""

    galaxy: Checkout | None = None
    notes: Learnt | None = None
    vulnerabilities: Imported | None = None
    tools: Imported | None = None
    kev: Imported | None = None

    def imported(self) -> list[Imported]:
        found = [self.galaxy.imported if self.galaxy else None, self.notes.imported if self.notes else None,
                 self.vulnerabilities, self.tools, self.kev]
        return [one for one in found if one is not None]


@dataclass(slots=True)
class _Parts:
    """Envelopes of each part, collected."""

    sources: Mapping[str, PackSource]
    lines: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {part: [] for part in PARTS})

    def add(self, part: str, source: str, told: str, record: Mapping[str, Any]) -> None:
        of = self.sources[source]
        self.lines[part].append({"source": source, "licence": of.licence, "date": told or of.date, "record": record})

    def member(self, part: str) -> bytes:
        rows = sorted({orjson.dumps(row, option=orjson.OPT_SORT_KEYS) for row in self.lines[part]})
        return b"".join(row + b"\n" for row in rows)


def build(given: Input, *, name: str, serial: int | None = None, key: Path | None = None) -> bytes:
    """The pack's bytes. `serial` is by default the newest date of the sources as a number (20261122).

    Raises InputError, KnowledgeError."""
    sources = _sources(given)
    with tempfile.TemporaryDirectory(prefix="hikeshi-") as folder:
        facts = [DATA / "observed.toml"]
        if given.notes is not None:
            facts.append(Path(folder) / "notes.toml")
            facts[-1].write_text(given.notes.facts, encoding="utf-8")
        data = compact(given.galaxy.families() if given.galaxy else galaxy.families(), facts)
    parts = _Parts(sources)
    _add_own(parts)
    _add_imported(parts, given, data["names"])
    held = io.BytesIO()
    save(held, joined([load(), given.notes.wordings]) if given.notes else load(), packed=False)
    facts_of_all = data.pop("facts")
    members = {"families.json": orjson.dumps(data, option=orjson.OPT_SORT_KEYS),
               "facts.json": orjson.dumps(facts_of_all, option=orjson.OPT_SORT_KEYS),
               "wordings.npz": held.getvalue(),
               **{f"{part}.jsonl": parts.member(part) for part in PARTS if parts.lines[part]}}
    return pack_bytes(name, serial or _serial(sources.values()), list(sources.values()), members, key)


def _serial(sources: Iterable[PackSource]) -> int:
    return max((int(one.date.replace("-", "")) for one in sources if one.date != "unknown"), default=1)


def _sources(given: Input) -> dict[str, PackSource]:
    found = {}
    for own in load_sources().values():
        version = _version(own.version, own.package)
        # Another version of a package has another date, which its metadata doesn't tell.
        told = own.date if version == own.version else "unknown"
        found[own.id] = PackSource(own.id, own.name, own.licence, version, told, own.url)
    for imported in given.imported():
        one = imported.source
        if one.id in found and one.id != galaxy.SOURCE:
            raise InputError(f"two sources have the id '{one.id}'", source=Location(one.name),
                             hint="give the folder another id in its SOURCE.toml")
        found[one.id] = replace(one, licence=found[one.id].licence, url=one.url or found[one.id].url) if (
            one.id in found and one.licence in ("not stated", "see its LICENSE file")) else one
    return found


def _version(told: str, package: str) -> str:
    """What SOURCES.toml says, unless another version of the package is installed."""
    try:
        there = importlib.metadata.version(package) if package else ""
    except importlib.metadata.PackageNotFoundError:
        return f"{told}; package absent"
    return told if there in told else f"package {package} {there}"


def _add_own(parts: _Parts) -> None:
    files = [(part, path) for part, paths in (("advice", sorted(OWN_ADVICE.glob("*.toml"))),
                                              ("decryptors", [OWN_DECRYPTORS]), ("vectors", [OWN_VECTORS]))
             for path in paths]
    for part, path in files:
        for record in _tables(read_toml(path)[0]):
            told = next((str(record[key]) for key in ("verified_on", "status", "written_on")
                         if re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(record.get(key)))), "")
            parts.add(part, str(record.get("source", _OWN)), told, record)


def _tables(table: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for rows in table.values():
        yield from rows


def _add_imported(parts: _Parts, given: Input, names: Mapping[str, Sequence[str]]) -> None:
    exploited = {}
    if given.kev is not None:
        exploited = {record["cve"]: record["added"] for record in given.kev.records}
        for record in given.kev.records:
            parts.add("cves", given.kev.source.id, record["added"], record)
    if given.vulnerabilities is not None:
        for record in given.vulnerabilities.records:
            parts.add("cves", given.vulnerabilities.source.id, record["reported"],
                      record | {"exploited_since": exploited.get(record["cve"], "")})
            if record["reported"]:
                _add_vectors(parts, given.vulnerabilities.source, record, names)
    if given.tools is not None:
        for record in given.tools.records:
            ids = names.get(key_of(record["family"]), ())
            parts.add("tools", given.tools.source.id, "", record | {"family_id": ids[0] if ids else ""})


def _add_vectors(parts: _Parts, source: PackSource, record: Mapping[str, Any], names: Mapping[str, Sequence[str]]
                 ) -> None:
    """A dated row says: in use by these, then. Whom we don't know as a family is named as an actor."""
    told = record["reported"]
    for family in record["families"]:
        ids = names.get(key_of(family), ())
        parts.add("vectors", source.id, told, {
            **({"family": ids[0]} if ids else {"actor": family}), "cve": record["cve"],
            **({"product": record["product"]} if record["product"] else {}), "first_seen": told, "last_seen": told,
            "count": 1, "source": source.id, "licence": source.licence, "status": "unverified",
            "written_on": source.date if source.date != "unknown" else told})


def days_old(source: PackSource, today: date) -> int | None:
    """Age of a source's data in days; None where its date is unknown."""
    return None if source.date == "unknown" else (today - date.fromisoformat(source.date)).days


def built_in_sources() -> tuple[PackSource, ...]:
    """The sources of the knowledge that comes with the program."""
    return tuple(sorted(_sources(Input()).values()))



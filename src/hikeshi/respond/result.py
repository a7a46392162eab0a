"""A finished triage as containment needs it: the case, its evidence files, its events.

Read from the folder `hikeshi triage --out` made (case.json, manifest.json, sightings.jsonl, events/*.parquet).
A part that is missing or damaged is empty; only a folder with none of them is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson

from hikeshi.errors import DamagedInput, InputError, Location
from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text

_MOST = 1 << 30  # bytes of a JSON file


@dataclass(frozen=True, slots=True)
class Result:
    """One or several triage results together. `case` maps the parts of case.json to their entries."""

    folders: tuple[Path, ...] = ()
    case: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    sightings: tuple[dict[str, Any], ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)  # evidence path → sha256
    tables: tuple[Path, ...] = ()  # Parquet files of events
    family: str | None = None

    def part(self, name: str) -> list[dict[str, Any]]:
        return self.case.get(name, [])

    def ref(self, path: str | None, *, record_id: int | None = None, line: int | None = None) -> RecordRef:
        name = path or ""
        return RecordRef(
            name, self.hashes.get(name, ""), record_id=record_id, line=None if record_id is not None else line
        )


def load_result(paths: Sequence[Path]) -> Result:
    """Raises InputError where a path is no result, DamagedInput where its JSON is broken."""
    case: dict[str, list[dict[str, Any]]] = {}
    sightings: list[dict[str, Any]] = []
    hashes: dict[str, str] = {}
    tables: list[Path] = []
    family = None
    for path in paths:
        if path.is_file() and path.suffix == ".parquet":
            tables.append(path)
            continue
        folder = path.parent if path.is_file() and path.name == "case.json" else path
        found = sorted((folder / "events").glob("*.parquet")) or sorted(folder.glob("*.parquet"))
        known = folder / "case.json"
        if not found and not known.is_file():
            raise InputError(
                "no result of a triage",
                source=Location(str(path)),
                hint=f"hikeshi triage {path} --out RESULT, then give RESULT",
            )
        tables += found
        if known.is_file():
            tree = _object(known)
            family = family or _text(tree.get("identification", {}), "family")
            for name, entries in tree.items():
                if isinstance(entries, list):
                    case.setdefault(name, []).extend(e for e in entries if isinstance(e, dict))
        if (folder / "manifest.json").is_file():
            hashes |= _hashes(_object(folder / "manifest.json"))
        if (folder / "sightings.jsonl").is_file():
            sightings += _lines(folder / "sightings.jsonl")
    return Result(tuple(paths), case, tuple(sightings), hashes, tuple(tables), family)


def _object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST:
            raise DamagedInput("larger than any result", source=Location(str(path)))
        tree = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise DamagedInput(
            f"can't be read: {error}", source=Location(str(path)), hint="run the triage again"
        ) from error
    if not isinstance(tree, dict):
        raise DamagedInput("no JSON object", source=Location(str(path)), hint="run the triage again")
    return tree


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise DamagedInput(f"broken line: {error}", source=Location(str(path), line=number)) from error
            if isinstance(row, dict):
                yield row


def _hashes(tree: dict[str, Any]) -> dict[str, str]:
    # The manifest's list of files has had one name or another; every object with both keys counts.
    out: dict[str, str] = {}
    for entries in tree.values():
        if isinstance(entries, list):
            for entry in entries:
                if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                    out[entry["path"]] = str(entry.get("sha256") or "")
    return out


def _text(entry: Any, key: str) -> str | None:
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, str) and value else None


def confidence_of(entry: dict[str, Any]) -> Confidence:
    value = entry.get("confidence")
    return cast(Confidence, value) if value in ("high", "medium", "low") else "low"


def refs_of(entry: dict[str, Any]) -> tuple[RecordRef, ...]:
    out = []
    for record in entry.get("records") or ():
        if isinstance(record, dict) and isinstance(record.get("path"), str):
            number, line = record.get("record_id"), record.get("line")
            out.append(
                RecordRef(
                    record["path"],
                    str(record.get("sha256") or ""),
                    record_id=number if isinstance(number, int) else None,
                    line=line if isinstance(line, int) and not isinstance(number, int) else None,
                )
            )
    return tuple(out)


def reasons_of(entry: dict[str, Any]) -> tuple[Text, ...]:
    given = entry.get("reasons")
    if given is None and isinstance(entry.get("reason"), dict):
        given = [entry["reason"]]
    return tuple(Text(str(r.get("ja", "")), str(r.get("en", ""))) for r in given or () if isinstance(r, dict))


def names(entries: Iterable[dict[str, Any]], key: str = "name") -> set[str]:
    return {str(e[key]).lower() for e in entries if e.get(key)}


def host_names(result: Result) -> dict[str, str]:
    """Machines' names by address, where the case knows one machine for it."""
    found: dict[str, set[str]] = {}
    for part in ("compromised_hosts", "touched_hosts", "encrypted_hosts"):
        for entry in result.part(part):
            for address in entry.get("addresses") or ():
                found.setdefault(str(address).lower(), set()).add(str(entry.get("name", "")).lower())
    return {address: next(iter(hosts)) for address, hosts in found.items() if len(hosts) == 1}

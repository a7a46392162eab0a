"""A result folder as tables: `event` (events/*.parquet) and `mark` (which findings stand on which record)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from hikeshi.errors import DamagedInput, InputError, KnowledgeError, Location
from hikeshi.events.schema import COLUMNS, FIELDS
from hikeshi.knowledge.attack import load_attack
from hikeshi.model.finding import SEVERITIES
from hikeshi.model.text import Text

_MEMORY = "384MB"  # beyond it DuckDB writes to the disk
_TYPES = {"string": "VARCHAR", "int": "BIGINT", "time": "TIMESTAMPTZ"}
_MAP = "MAP(VARCHAR, VARCHAR)"


@dataclass(frozen=True, slots=True)
class Mark:
    """What stands on a record: a finding, or a step of the story (`level` "info", `kind` "story")."""

    id: str
    kind: str
    level: str
    title: Text
    when: str | None
    techniques: tuple[str, ...]
    tactics: tuple[str, ...]
    count: int  # records it has in all; those beyond what the finding lists are not marked
    hosts: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    places: tuple[tuple[str, int | None, int | None], ...] = ()  # path, record id, line


class Opened:
    """One or several results. Raises InputError where there is none, DamagedInput where its files are broken."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.tables = [table for folder in folders for table in _tables(folder)]
        self.marks = [mark for folder in folders for mark in _marks(folder)]
        self._scratch = tempfile.mkdtemp(prefix="hikeshi-timeline-")
        self.link = duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": self._scratch,
                                           "preserve_insertion_order": "false",
                                           "enable_external_access": "true", "autoinstall_known_extensions": "false"})
        try:
            self._fill()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.link.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _fill(self) -> None:
        link = self.link
        link.execute("SET TimeZone = 'UTC'")
        columns = [(c.name, _TYPES[c.type]) for c in COLUMNS] + [(FIELDS, _MAP)]
        if self.tables:
            listed = "[" + ", ".join("'" + str(p).replace("'", "''") + "'" for p in self.tables) + "]"
            source = f"read_parquet({listed}, union_by_name=true)"
            try:
                present = {row[0] for row in link.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
            except duckdb.Error as error:
                raise DamagedInput(f"events can't be read: {str(error).splitlines()[0]}",
                                   source=Location(str(self.tables[0].parent)), hint="run the triage again") from error
            chosen = ", ".join(f'"{n}"::{kind} AS "{n}"' if n in present else f'NULL::{kind} AS "{n}"'
                               for n, kind in columns)
            link.execute(f"CREATE VIEW event AS SELECT {chosen} FROM {source}")
        else:
            link.execute("CREATE TABLE event (" + ", ".join(f'"{n}" {kind}' for n, kind in columns) + ")")
        places = [(number, *place) for number, mark in enumerate(self.marks) for place in mark.places]
        given = pa.table({name: pa.array([p[i] for p in places], kind) for i, (name, kind) in enumerate(
            (("no", pa.int32()), ("path", pa.string()), ("rid", pa.int64()), ("line", pa.int64())))})
        link.register("given", given)
        for name in ("rid", "line"):
            link.execute(f"CREATE TABLE by_{name} AS SELECT path, {name}, list(DISTINCT no ORDER BY no) AS nos "
                         f"FROM given WHERE {name} IS NOT NULL GROUP BY path, {name}")
        link.unregister("given")


def _tables(folder: Path) -> list[Path]:
    found = sorted((folder / "events").glob("*.parquet"))
    if not found and not (folder / "findings.jsonl").is_file():
        raise InputError("no result of a triage", source=Location(str(folder)),
                         hint=f"hikeshi triage {folder} --out RESULT, then give RESULT")
    return found


def _marks(folder: Path) -> Iterator[Mark]:
    tactics = _Tactics()
    for number, tree in enumerate(_lines(folder / "findings.jsonl"), 1):
        try:
            techniques = tuple(str(t) for t in tree.get("techniques") or ())
            yield Mark(str(tree["id"]), str(tree["kind"]),
                       tree["severity"] if tree["severity"] in SEVERITIES else "info",
                       Text(str(tree["title"]["ja"]), str(tree["title"]["en"])), tree.get("when"), techniques,
                       tactics.of(techniques), int(tree.get("count") or 1),
                       tuple(map(str, tree.get("hosts") or ())), tuple(map(str, tree.get("accounts") or ())),
                       _places(tree))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedInput(f"no finding: {error!r}", source=Location(str(folder / "findings.jsonl"), line=number),
                               hint="run the triage again") from error
    for number, step in enumerate(_story(folder / "case.json")):
        if isinstance(step, dict) and isinstance(step.get("en"), str):
            yield Mark(f"story-{number}", "story", "info", Text(str(step.get("ja", "")), step["en"]),
                       step.get("time"), (), (), 1, places=_places(step))


class _Tactics:
    """Techniques' tactics as ATT&CK writes them; without the catalogue none."""

    def __init__(self) -> None:
        try:
            self._known = load_attack().techniques
        except KnowledgeError:
            self._known = {}

    def of(self, techniques: Sequence[str]) -> tuple[str, ...]:
        found = (self._known.get(t) or self._known.get(t.partition(".")[0]) for t in techniques)
        return tuple(dict.fromkeys(tactic for one in found if one for tactic in one.tactics))


def _places(tree: dict[str, Any]) -> tuple[tuple[str, int | None, int | None], ...]:
    out = []
    for record in tree.get("records") or ():
        if isinstance(record, dict) and isinstance(record.get("path"), str):
            number, line = record.get("record_id"), record.get("line")
            out.append((record["path"], number if isinstance(number, int) else None,
                        line if isinstance(line, int) else None))
    return tuple(out)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise DamagedInput(f"broken line: {error}", source=Location(str(path), line=number),
                                   hint="run the triage again") from error


def _story(path: Path) -> list[Any]:
    if not path.is_file():
        return []
    try:
        steps = orjson.loads(path.read_bytes()).get("timeline") or []
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise DamagedInput(f"broken: {error}", source=Location(str(path)), hint="run the triage again") from error
    return list(steps) if isinstance(steps, list) else []

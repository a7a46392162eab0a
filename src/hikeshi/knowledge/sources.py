"""Where our knowledge is from: name, what, licence, date or version, project page (data/SOURCES.toml)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hikeshi.knowledge.load import DATA, load_records
from hikeshi.model.text import Text

DATED = {"data": Text("データ自身の日付", "the data's own date"),
         "release": Text("パッケージの公開月", "the month of the package's release"),
         "read": Text("収集物を読んだ日", "the day the collection was read")}


@dataclass(frozen=True, slots=True)
class KnowledgeSource:
    """`id` is what facts name as their source; `package` is the Python package that carries the data, or "".
    `date` is ISO 8601, or "unknown"; `dated` says whose: the data's own ("data"), of the package's "release", or of the
    day the data was "read"."""

    id: str
    name: str
    what: str
    licence: str
    version: str
    url: str
    package: str
    date: str
    dated: str = "data"


@cache
def load_sources(path: Path = DATA / "SOURCES.toml") -> dict[str, KnowledgeSource]:
    """Every source by id. Raises KnowledgeError."""
    sources: dict[str, KnowledgeSource] = {}
    for record in load_records(path, "source"):
        one = KnowledgeSource(
            record.string("id"),
            record.string("name"),
            record.string("what"),
            record.string("licence"),
            record.string("version"),
            record.string("url"),
            record.string("package", "-").strip("-"),
            record.string("date", "unknown"),
            record.string("dated", "data"),
        )
        if one.dated not in DATED:
            raise record.error("dated must be data, release or read")
        if one.id in sources:
            raise record.error(f"the id '{one.id}' is used twice")
        record.finish()
        sources[one.id] = one
    return sources

"""Where our knowledge is from: name, what, licence, date or version, project page (data/SOURCES.toml)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hikeshi.knowledge.load import DATA, load_records


@dataclass(frozen=True, slots=True)
class KnowledgeSource:
    """`id` is what facts name as their source; `package` is the Python package that carries the data, or "".
    `date` is the data's own, ISO 8601, or "unknown"."""

    id: str
    name: str
    what: str
    licence: str
    version: str
    url: str
    package: str
    date: str


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
        )
        if one.id in sources:
            raise record.error(f"the id '{one.id}' is used twice")
        record.finish()
        sources[one.id] = one
    return sources

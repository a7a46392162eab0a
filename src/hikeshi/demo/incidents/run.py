"""A generated incident read and told in this process: what `hikeshi trace` does, without children."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hikeshi.evidence.source import Source
from hikeshi.model.case import Case, Identification
from hikeshi.parse.registry import parse_source
from hikeshi.parse.windows import add_ecs_columns
from hikeshi.trace import Digest, Gathered, build_story, digest, read_known

_ZONE = ZoneInfo("Asia/Tokyo")


def tell(folder: Path, known: Path | None = None) -> dict[str, Any]:
    """case.json's content for the evidence in `folder`; `known` is the company's list of its own."""
    parts, notes = Gathered(), []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if name == "notes.txt":
            notes.append(path.read_text("utf-8"))
            continue
        content = path.read_bytes()
        kind = "evtx" if path.suffix == ".evtx" else "text"
        source = Source(
            path,
            name,
            sha256(content).hexdigest(),
            len(content),
            kind=kind,
            encoding="utf-8" if kind == "text" else None,
        )
        if kind == "text" and path.suffix not in (".log", ".trace"):
            continue
        for table in parse_source(source, zone=_ZONE, zone_assumed=True):
            add_ecs_columns(table)
            parts.append(digest(source, table))
    story = build_story([Digest.merge(parts)], notes=notes, known=read_known(known) if known else None)
    return Case(Identification(confidence="low", verdict="unknown"), story).to_dict()

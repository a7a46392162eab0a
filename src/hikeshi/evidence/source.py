"""One file of evidence as stages receive it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """A file ready to be read.

    `path` is where the bytes lie on disk (a copy, for a member of an archive); `name` is how
    evidence calls it: relative to the folder that was given, "logs.zip!/a/b.evtx" inside an
    archive; `origin` the container's name or None. `kind` is what the content says, whatever
    the name claims: evtx, wtmp, text, empty, sparse, pdf, office, image, executable, database,
    archive (one that was not opened), binary. `encoding` is set for text: a Python codec name.
    `zone_hint` comes from the evidence's notes (a zone as events.time.parse_zone reads it),
    or is None. `problems` are plain English sentences.
    """

    path: Path
    name: str
    sha256: str
    size: int
    origin: str | None = None
    kind: str = "binary"
    encoding: str | None = None
    zone_hint: str | None = None
    problems: tuple[str, ...] = ()

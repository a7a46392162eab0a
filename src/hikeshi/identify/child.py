"""What the sandbox runs: a set-up that loads knowledge while still free, and one look at a batch of files."""

from __future__ import annotations

from collections.abc import Sequence

from hikeshi.errors import HikeshiError
from hikeshi.evidence.source import Source
from hikeshi.identify import pictures
from hikeshi.identify.blockmap import BlockMap, map_file
from hikeshi.identify.engine import Examined, examine, prepare
from hikeshi.knowledge.families import Families


def set_up(packs: Sequence[str] | None) -> Families:
    """The context of `examine_batch`."""
    return prepare(packs or ())


def set_up_with_pictures(packs: Sequence[str] | None) -> Families:
    """The same, for files whose pictures are to be read as well."""
    pictures.load()
    return prepare(packs or ())


def examine_batch(families: Families, sources: Sequence[Source]) -> list[tuple[Examined | None, str]]:
    """For many small files: what was found, or None and why the file could not be read, in order."""
    found: list[tuple[Examined | None, str]] = []
    for source in sources:
        try:
            found.append((examine(families, source), ""))
        except HikeshiError as error:
            found.append((None, error.what))
    return found


def map_sample(_: None, source: Source) -> BlockMap:
    """Which parts of one file are encrypted. Raises InputError."""
    return map_file(source.path, source.name)

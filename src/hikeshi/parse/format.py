"""What one format is, and the table of all, which formats.py fills."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hikeshi.events.table import EventTable
from hikeshi.model.text import Text
from hikeshi.parse.context import Context, Event
from hikeshi.parse.file import File
from hikeshi.parse.syslog import Header

Reader = Callable[[File], Iterator[EventTable]]
Detect = Callable[[Sequence[str]], float]

Claims = Callable[[str, Header | None], bool]
LineParser = Callable[[str, Header | None, Context], Event | None]


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the table.

    `detect` gives the share (0 to 1) of sample lines the format holds; `parse` reads a file.
    `claims` and `parse_line` are there for formats whose lines can stand alone in a mixed file.
    """

    name: str
    title: Text
    datasets: tuple[str, ...]
    detect: Callable[[Sequence[str]], float]
    parse: Callable[[File], Iterator[EventTable]]
    claims: Claims | None = None
    parse_line: LineParser | None = None


class Formats:
    """All formats, in the order they are asked. Readers look others up here: a line of another format than its
    file's goes to its own parser."""

    def __init__(self) -> None:
        self.rows: tuple[Format, ...] = ()
        self.of_lines: tuple[Format, ...] = ()  # those whose lines can stand alone
        self._named: dict[str, Format] = {}

    def fill(self, rows: Sequence[Format]) -> None:
        self.rows = tuple(rows)
        self.of_lines = tuple(row for row in rows if row.claims is not None)
        self._named = {row.name: row for row in rows}

    def named(self, name: str) -> Format | None:
        return self._named.get(name)

    @contextmanager
    def without(self, names: Collection[str]) -> Iterator[None]:
        """The table as it would be if these formats had no parser (benchmarks)."""
        kept = self.rows
        self.fill([row for row in kept if row.name not in names])
        try:
            yield
        finally:
            self.fill(kept)


KNOWN = Formats()

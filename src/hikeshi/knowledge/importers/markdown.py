"""Tables of a markdown file as rows of plain cells, with the headings above them. Linear, whatever the file holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINE = 20_000
MAX_CELLS = 60

_LINK = re.compile(r"\[([^\[\]]{0,300})\]\([^()\s]{0,2000}\)")
_RULE = re.compile(r"[|\s:-]{3,}")
_BREAK = re.compile(r"<br\s{0,3}/?>", re.I)
_TAG = re.compile(r"<[^<>]{0,200}>")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `heading` is the nearest above, `header` the table's, `line` counts from 1."""

    line: int
    heading: str
    header: tuple[str, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BadRow:
    line: int
    why: str


def rows(text: str) -> Iterator[Row | BadRow]:
    """Every row below a header and its rule; a row with another number of cells is a BadRow."""
    heading, before = "", ""
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > MAX_LINE:
            yield BadRow(number, "the line is too long")
            header, before = (), ""
            continue
        bare = line.strip()
        if bare.startswith("#"):
            heading, header = plain(bare.lstrip("#")), ()
        elif not bare.startswith("|"):
            header = ()
        elif _RULE.fullmatch(bare) and "-" in bare:
            header = tuple(plain(cell).lower() for cell in _cells(before)) if before.startswith("|") else ()
        elif header:
            cells = tuple(cell.strip() for cell in _cells(bare))
            if len(cells) != len(header) or len(cells) > MAX_CELLS:
                yield BadRow(number, f"{len(cells)} cells under {len(header)} headings")
            elif any(cells):
                yield Row(number, heading, header, cells)
        before = bare


def plain(cell: str) -> str:
    """A cell without links, code marks, emphasis and tags."""
    bare = _TAG.sub(" ", _LINK.sub(r"\1", cell))
    return re.sub(r"\s+", " ", re.sub(r"[`*]|\\(?=[|_*])", "", bare)).strip()


def several(cell: str) -> list[str]:
    """The names in a cell: divided by line breaks, commas, semicolons or a slash between spaces."""
    parts = re.split(r"\n|,|;| / ", plain(_BREAK.sub("\n", cell).replace("\n", ";")))
    return [name for part in parts if (name := part.strip(" .-•")) and len(name) <= 120]


def links(cell: str) -> list[str]:
    """Addresses in a cell, https and http only."""
    return list(dict.fromkeys(re.findall(r"https?://[^\s|()<>\"\]]{1,500}", cell)))


def _cells(line: str) -> list[str]:
    bare = line.strip()
    return re.split(r"(?<!\\)\|", bare[1:-1] if bare.endswith("|") and len(bare) > 1 else bare[1:])

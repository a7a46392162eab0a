"""What the sandbox runs for `hikeshi indicators`: one text searched in blocks, so that memory stays small."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from hikeshi.errors import UnsupportedFormat
from hikeshi.indicators.extract import Found, extract
from hikeshi.indicators.warning import WarningLists, warning_lists

BLOCK = 1 << 20  # characters searched at a time, cut at a line end
_LONGEST_LINE = 1 << 22
_HEAD = 1 << 20

Row = tuple[str, str, int, int, str, tuple[str, ...]]
"""value, type, start, end (characters of the original text), text, warning lists"""


def set_up(marked: bool) -> WarningLists | None:
    """The context of `find`; None marks nothing."""
    return warning_lists() if marked else None


def find(lists: WarningLists | None, argument: tuple[Path, str | None]) -> list[Row]:
    """Every indicator of one text file, in order.

    `encoding` None: the bytes don't look like a text, perhaps for some control characters only.
    Raises UnsupportedFormat if they are none.
    """
    path, given = argument
    encoding = given or _guessed(path)
    return [(f.value, f.type, f.start, f.end, f.text, tuple(lists.of(f.type, f.value)) if lists else ())
            for f in _found(path, encoding)]


def _guessed(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if b"\0" in head:
        raise UnsupportedFormat("not a text", hint="save a PDF or office file as text first")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp932"
    return "utf-8"


def _found(path: Path, encoding: str) -> Iterator[Found]:
    at = 0
    # newline="": line ends stay, so that offsets are those of the file.
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        while block := file.read(BLOCK):
            if len(block) == BLOCK:
                block += file.readline(_LONGEST_LINE)
            for f in extract(block):
                yield Found(f.value, f.type, f.start + at, f.end + at, f.text)
            at += len(block)

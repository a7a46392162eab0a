"""What commands print: JSON Lines for programs; for people see also `model.text.plain` and `defang`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from rich.cells import cell_len, set_cell_size

from hikeshi.model.text import Text, defang, plain

__all__ = ["count", "defang", "fitted", "plain", "say", "say_not_read", "short_name", "wrapped", "write_json_lines"]

WIDTH = 80
_SHOWN = 20
_ENDS = "。、）」"  # signs that never begin a line


def write_json_lines(rows: Iterable[Mapping[str, Any]]) -> int:
    """One object a line to standard output; gives how many."""
    written = 0
    out = sys.stdout.buffer
    for row in rows:
        out.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))
        written += 1
    out.flush()
    return written


def say(text: str) -> None:
    """One line of conversation, on standard error."""
    print(text, file=sys.stderr)


def say_not_read(items: Sequence[tuple[str, Text]]) -> None:
    """What could not be read and why, in both languages; the first twenty, then how many more."""
    for name, reason in items[:_SHOWN]:
        said = [plain(reason.ja), plain(reason.en)] if reason.ja != reason.en else [plain(reason.en)]
        say(f"not read: {short_name(name)}: {' '.join(said)}")
    if len(items) > _SHOWN:
        say(f"not read: 他 {len(items) - _SHOWN:,} 件 more")


def count(number: int, one: str, many: str | None = None) -> str:
    """"1 file", "2 files"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short_name(name: object) -> str:
    """A name from evidence, inert; a long one keeps its beginning and its end."""
    shown = plain(name)
    return shown if len(shown) <= 60 else f"{shown[:24]}…{shown[-35:]}"


def fitted(text: str, width: int = WIDTH) -> str:
    """At most `width` cells; what is cut off is marked."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def wrapped(text: str, width: int = WIDTH) -> list[str]:
    """Lines of at most `width` cells (a Japanese sign takes two), broken at spaces where there are any."""
    lines = [""]
    for piece in re.findall(r"[!-~]+ ?|.", text):
        if cell_len(lines[-1]) + cell_len(piece.rstrip()) > width and lines[-1] and piece not in _ENDS:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines if line.strip()]

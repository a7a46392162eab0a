"""What commands print: JSON Lines for programs, lines that can't play tricks for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

# C0 and C1 controls, and the characters that turn the direction of text: a log line must not
# move the cursor, recolour the screen or show itself in another order.
_TRICKS = {c: f"\\x{c:02x}" for c in (*range(0x20), *range(0x7F, 0xA0))} | {
    c: f"\\u{c:04x}" for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x2028, 0x2029)}


def write_json_lines(rows: Iterable[Mapping[str, Any]]) -> int:
    """One object a line to standard output; gives how many."""
    count = 0
    out = sys.stdout.buffer
    for row in rows:
        out.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))
        count += 1
    out.flush()
    return count


def plain(text: object) -> str:
    """Text from evidence, safe for a terminal: control and direction characters are spelt out."""
    return str(text).translate(_TRICKS)


def defang(value: str) -> str:
    """An address that nobody opens by a slip: hxxp and [.]"""
    return value.replace("http", "hxxp", 1).replace(".", "[.]") if value.startswith("http") else value.replace(".", "[.]")


def say(text: str) -> None:
    """One line of conversation, on standard error."""
    print(text, file=sys.stderr)

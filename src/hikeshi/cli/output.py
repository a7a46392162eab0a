"""What commands print: JSON Lines for programs; for people see also `model.text.plain` and `defang`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from hikeshi.model.text import defang, plain

__all__ = ["defang", "plain", "say", "write_json_lines"]

def write_json_lines(rows: Iterable[Mapping[str, Any]]) -> int:
    """One object a line to standard output; gives how many."""
    count = 0
    out = sys.stdout.buffer
    for row in rows:
        out.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))
        count += 1
    out.flush()
    return count


def say(text: str) -> None:
    """One line of conversation, on standard error."""
    print(text, file=sys.stderr)

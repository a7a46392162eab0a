"""Cisco ASA lines in bulk: the same events as cisco_asa.parse_line, by the shape of their messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hikeshi.events.table import encode
from hikeshi.events.time import NO_TIME
from hikeshi.parse import cisco_asa, syslog
from hikeshi.parse.block import Lists
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.shapes import Shapes

# The tag lies so near that the line parser finds it too, behind whatever it takes for the header.
_LINE = re.compile(r"(.{0,120}?)" + cisco_asa.TAG.pattern, re.DOTALL)
_REST = "x"


def parse_block(texts: Sequence[str], context: Context) -> tuple[Lists, list[int]]:
    """Many lines at once: columns, and the numbers of lines that go the slow way."""
    lists = Lists(len(texts))
    shapes: Shapes = context.learned.setdefault(
        "cisco-asa", Shapes(cisco_asa.message_cells, low_ports=lambda message: message.startswith("Teardown"))
    )
    columns: dict[str, list[Any]] = {}
    heads: dict[str, Event | None] = {}
    odd: list[int] = []
    count = len(texts)
    for row, text in enumerate(texts):
        found = _LINE.match(text)
        if found is None or found[4].startswith(cisco_asa.PAIRS):
            odd.append(row)
            continue
        tag = text[found.end(1) : found.end()]
        head = _head(heads, found[1], tag, context)
        message = text[found.end() :].strip()
        shape, values = shapes.of(message) if head is not None and message else (None, ())
        if head is None or shape is None:
            odd.append(row)
            continue
        lists.times[row] = head.time
        cells = shape.cells(values)
        cells["event.dataset"], cells["event.code"] = f"cisco.{found[2].lower()}", found[4]
        cells["cisco.severity"], cells["message"] = found[3], message
        for name, value in head.cells.items():
            cells.setdefault(name, value)
        for name, value in cells.items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * count
            column[row] = value
    for name, column in columns.items():
        made = encode(column)
        if made.values:
            lists.keep(name, made)
    return lists, odd


def _head(heads: dict[str, Event | None], head: str, tag: str, context: Context) -> Event | None:
    """What stands before the tag adds, as to an event that has nothing yet; None where the header would reach
    into the tag."""
    if head in heads:
        return heads[head]
    header, body = syslog.split(head + tag + _REST)
    event = None
    if body.endswith(tag + _REST) and len(body) < 200:
        event = with_header(Event(NO_TIME, {}), header, context)
    heads[head] = event
    return event

"""Formats read in blocks, behind syslog headers: what a relay put in front becomes columns of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hikeshi.events.table import Column, encode
from hikeshi.events.time import NO_TIME
from hikeshi.parse import syslog
from hikeshi.parse.block import Lists
from hikeshi.parse.context import Context
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header

BlockParser = Callable[[Sequence[str], Context], tuple[Lists, list[int]]]
_LOOKED_AT = 50


def behind_headers(parse_block: BlockParser) -> BlockParser:
    """`parse_block` for lines that may have a syslog header; the record's own values come first."""

    def parse(texts: Sequence[str], context: Context) -> tuple[Lists, list[int]]:
        if not any(syslog.split(text)[0] is not None for text in texts[:_LOOKED_AT]):
            return parse_block(texts, context)
        split = [syslog.split(text) for text in texts]
        lists, odd = parse_block([body for _, body in split], context)
        _add(lists, [header for header, _ in split], context)
        lists.clear(odd)
        return lists, odd

    return parse


def _add(lists: Lists, headers: list[Header | None], context: Context) -> None:
    rows = np.arange(lists.count)
    parts: list[tuple[str, Column]] = [
        ("observer.name", encode([h.host if h else None for h in headers])),
        ("process.name", encode([h.app if h else None for h in headers])),
        ("syslog.priority", encode([h.priority if h else None for h in headers])),
        ("syslog.structured_data", encode([h.data if h else None for h in headers])),
    ]
    for name, column in parts:
        if column.values:
            lists.fill(name, rows, column.codes, column.values)
    pids = [
        int(h.pid) if h and h.pid and h.pid.isascii() and h.pid.isdigit() and len(h.pid) < 10 else None for h in headers
    ]
    if any(pid is not None for pid in pids):
        column = encode(pids)
        lists.fill("process.pid", rows, column.codes, column.values)
    for row in np.flatnonzero(lists.times == NO_TIME).tolist():
        header = headers[row]
        when = stamp(header.when, context) if header and header.when else None
        if when is not None:
            lists.times[row] = when.time
            where, code = np.array([row]), np.zeros(1, dtype=np.int32)
            lists.fill("event.timezone", where, code, [when.zone])
            lists.fill("time.note", where, code, [when.note])


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None

"""Any other text: each line is an event whose message is the line, with its time if it leads."""

from __future__ import annotations

import re

from hikeshi.events.time import NO_TIME
from hikeshi.parse.content import guess, split, user_by_place
from hikeshi.parse.context import CONFIDENCE, Context, Event
from hikeshi.parse.prose import add_who_and_where
from hikeshi.parse.stamps import same_moment, stamp
from hikeshi.parse.syslog import timed

_LEADING = re.compile(
    r"\s*[\[(]?("
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}[T ]\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?:\s?(?:Z|UTC|GMT|JST|[+-]\d\d:?\d\d))?"
    r"|\d{4}年\d{1,2}月\d{1,2}日\s*\d{1,2}[:時]\d{1,2}(?:[:分]\d{1,2})?秒?"
    r"|\d{1,2}[-/ ][A-Z][a-z]{2}[-/ ]\d{4}[: ]\d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?"
    r"|(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d(?:\.\d+)?(?: \d{4})?"
    r"|\d{1,2}/\d{1,2}/\d{4}[ :]\d{1,2}:\d\d:\d\d(?: [AP]M)?"
    r"|\d{10}(?:\.\d{1,6})?(?=[\s\]]))",
    re.ASCII,
)


_ZONED = re.compile(
    r"(?<![\w.-])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)(?![\w:.-])", re.ASCII
)


def parse_line(line: str, context: Context) -> Event:
    cells: dict[str, object] = {"event.dataset": "text", "message": line}
    add_who_and_where(cells, line)
    match = _LEADING.match(line)
    when = stamp(match[1], context) if match else None
    if (when is None or when.zone == context.zone_label) and (zoned := _ZONED.search(line)):
        other = stamp(zoned[0], context)
        if other and (when is None or same_moment(when.time, other.time)):
            when = other
    if "source.ip" not in cells and len(line) < 8000 and (values := split(line)):
        seen, found = guess(values, context)
        if "source.ip" in found:
            cells = {**found, **cells, CONFIDENCE: "low"}
            if "user.name" not in cells and (user := user_by_place(line)):
                cells["user.name"] = user
            when = when or seen
    return timed(when, cells) if when is not None else Event(NO_TIME, cells)

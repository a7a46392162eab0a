"""Any other text: each line is an event whose message is the line, with its time if it leads."""

from __future__ import annotations

import re

from hikeshi.events.time import NO_TIME
from hikeshi.parse.content import guess, split, user_by_place
from hikeshi.parse.context import CONFIDENCE, Context, Event
from hikeshi.parse.prose import add_verdict, add_who_and_where
from hikeshi.parse.stamps import leading, same_moment, stamp
from hikeshi.parse.syslog import timed

_ZONED = re.compile(
    r"(?<![\w.-])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)(?![\w:.-])", re.ASCII
)


def parse_line(line: str, context: Context) -> Event:
    cells: dict[str, object] = {"event.dataset": "text", "message": line}
    add_who_and_where(cells, line)
    when = leading(line, context)
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
    add_verdict(cells, line)
    return timed(when, cells) if when is not None else Event(NO_TIME, cells)

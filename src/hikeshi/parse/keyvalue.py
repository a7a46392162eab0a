"""key=value records of any device: quoted or not, between spaces or commas."""

from __future__ import annotations

import re

from hikeshi.events.time import NO_TIME
from hikeshi.parse.context import CONFIDENCE, Context, Event
from hikeshi.parse.names import add_by_hint, finish, map_record
from hikeshi.parse.prose import add_who_and_where
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, header_cells

_KEY = re.compile(r"(?<![^\s,;|(\[{])([A-Za-z_@][\w.@/\-]{0,63})=", re.ASCII)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[\s,;|)\]}]|\Z)', re.DOTALL)
# Check Point and others: action:"Accept"; src:"192.0.2.1"; …
_COLON = re.compile(r'(?<![\w"])([A-Za-z_][\w.-]{0,63}):\s?"([^"]*)"')
_AUDIT = re.compile(r"\baudit\((\d{10}\.\d{1,6}):\d+\)")
_ASKED = re.compile(r"\brequest: ([A-Z]{3,10}|UNKNOWN) (https?://\S+)")
_PLAIN_QUOTED = re.compile(r'"([^"]*)"')


def pairs(text: str) -> tuple[dict[str, str], str]:
    """All keys with their values, and the text before the first key. A repeated key keeps its
    values, joined by a comma."""
    found: dict[str, str] = {}
    if text.count('":') < 3 and len(colons := _COLON.findall(text)) > max(2, text.count("=")):
        return dict(reversed(colons)), text[: text.find(colons[0][0] + ":")].strip(" [")
    match = _KEY.search(text)
    if match is None:
        return found, text
    lead = text[: match.start()]
    while match is not None:
        key, at = match[1], match.end()
        quoted = None
        if text[at : at + 1] == '"':
            quoted = _QUOTED.match(text, at) or _PLAIN_QUOTED.match(text, at)
        if quoted:
            value = quoted[1]
            if "\\" in value:
                value = value.replace('\\"', '"').replace("\\\\", "\\")
            match = _KEY.search(text, quoted.end())
        else:
            match = _KEY.search(text, at)
            value = (text[at : match.start()] if match else text[at:]).strip(" \t,;|\r\n")
            if "]" in value and (end := _outer_end(text, at, value)) is not None:
                value = value[:end]
        found[key] = f"{found[key]},{value}" if key in found and found[key] != value else value
    return found, lead


def _outer_end(text: str, at: int, value: str) -> int | None:
    """Where the bracket closes that was open before the value began: "[user=u1] logged on"."""
    if text.count("[", 0, at) <= text.count("]", 0, at):
        return None
    end = value.index("]")
    return end if "[" not in value[:end] else None


def claims(body: str, header: Header | None) -> bool:
    """At least three pairs, and hardly any text around them."""
    if body.count("=") < 3:
        return (
            body.count(':"') + body.count(': "') >= 3
            and len(_COLON.findall(body[:4000])) >= 3
            and body.lstrip()[:1] != "{"
        )
    keys = list(_KEY.finditer(body[:4000]))
    # Behind a longer sentence only where most of the line is pairs.
    return len(keys) >= 3 and keys[0].start() <= (60 if len(keys) < 8 else 300)


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    record, lead = pairs(body)
    if len(record) < 3:
        return None
    event = map_record(record, context, dataset="keyvalue")
    if asked := _ASKED.search(body):
        event.cells["url.full"] = asked[2]
        if asked[1] != "UNKNOWN":
            event.cells["http.request.method"] = asked[1]
        finish(event.cells)
    if "source.ip" not in event.cells:
        add_who_and_where(event.cells, body)
    if event.time == NO_TIME and (audit := _AUDIT.search(body)) and (when := stamp(audit[1], context)):
        event.cells["event.timezone"] = when.zone
        event.cells.pop("event.original_time", None)
        event = Event(when.time, event.cells)
    event.cells[CONFIDENCE] = "low" if add_by_hint(event.cells, record) else "medium"
    return with_header(event, header, context, lead)


def with_header(event: Event, header: Header | None, context: Context, lead: str = "") -> Event:
    """The event with what the syslog header adds; the message's own time comes first."""
    cells = event.cells
    if lead.strip():
        cells.setdefault("message", lead.strip())
    if header is None:
        return event
    when, more = header_cells(header, context)
    for name, value in more.items():
        cells.setdefault(name, value)
    if event.time == NO_TIME and when is not None:
        cells["event.timezone"] = when.zone
        cells.pop("event.original_time", None)
        if when.note:
            cells["time.note"] = when.note
        return Event(when.time, cells)
    return event

"""key=value records of any device: quoted or not, between spaces or commas."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hikeshi.events.time import NO_TIME
from hikeshi.parse import syslog
from hikeshi.parse.context import CONFIDENCE, Context, Event
from hikeshi.parse.hints import add_by_hint, time_by_hint
from hikeshi.parse.names import finish, map_record
from hikeshi.parse.prose import add_verdict, add_who_and_where
from hikeshi.parse.stamps import leading, stamp
from hikeshi.parse.syslog import Header, finer, header_cells, timed

_KEY = re.compile(r"(?<![^\s,;|(\[{])([A-Za-z_@][\w.@/\-]{0,63})=", re.ASCII)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[\s,;|)\]}]|\Z)', re.DOTALL)
# Check Point and others: action:"Accept"; src:"192.0.2.1"; …
_COLON = re.compile(r'(?<![\w"])([A-Za-z_][\w.-]{0,63}):\s?"([^"]*)"')
# Symantec and others: Remote Host IP: 192.0.2.7,Remote Port: 443,…
_LISTED = re.compile(r"(?:^|,) ?([A-Za-z][\w ./()-]{1,40}?): ?([^,]*)(?=,|\Z)", re.ASCII)
# Records as XML in one line: <IPAddress>10.0.0.5</IPAddress>
_ELEMENT = re.compile(r"<([A-Za-z][\w.-]{0,60})(?: [^<>]{0,200})?>([^<>]+)</\1>")
# "(User Name=u1, Login Method=…": a name of several words, each with a capital.
_FIRST_WORDS = re.compile(r"[,(] ?([A-Z][A-Za-z]{1,20}(?: [A-Z][A-Za-z]{1,20}){0,3}) \Z")
# WatchGuard: msg_id="1AFF-0024" Allow 1-Trusted …
_BARE = re.compile(r'\w+="[^"]*" ((?:[A-Za-z][\w-]* ){1,4})')
_AUDIT = re.compile(r"\baudit\((\d{10}\.\d{1,6}):\d+\)")
_ASKED = re.compile(r"\brequest: ([A-Z]{3,10}|UNKNOWN) (https?://\S+)")
_PLAIN_QUOTED = re.compile(r'"([^"]*)"')


def pairs(text: str) -> tuple[dict[str, str], str]:
    """All keys with their values, and the text before the first key. A repeated key keeps its
    values, joined by a comma."""
    found: dict[str, str] = {}
    if text.count("</") >= 3 and len(elements := _ELEMENT.findall(text)) >= 3:
        return dict(reversed(elements)), ""
    if text.count('":') < 3 and len(colons := _COLON.findall(text)) > max(2, text.count("=")):
        return dict(reversed(colons)), text[: text.find(colons[0][0] + ":")].strip(" [")
    match = _KEY.search(text)
    if text.count("=") < 3 and len(listed := _LISTED.findall(text[:8000])) >= 4:
        record = {name: value.strip().strip('"') for name, value in reversed(listed)}
        if bare := [w.strip() for w in text.split(",") if ":" not in w and w.strip()]:
            record["rest"] = ", ".join(bare[:50])
        return record, text[: text.find(listed[0][0] + ":")].strip(" ,")
    if match is None:
        return found, text
    lead = text[: match.start()]
    first = _FIRST_WORDS.search(lead) if match[1][0].isupper() else None
    words = first[1] + " " if first else ""
    while match is not None:
        key, at = words + match[1], match.end()
        words = ""
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
            if match and ", " in value and match[1][0].isupper() and (spaced := _FIRST_WORDS.search(value + " ")):
                value, words = value[: spaced.start()].rstrip(), spaced[1] + " "
            if "]" in value and (end := _outer_end(text, at, value, "[]")) is not None:
                value = value[:end]
            if ")" in value and (end := _outer_end(text, at, value, "()")) is not None:
                value = value[:end]
        found[key] = f"{found[key]},{value}" if key in found and found[key] != value else value
    return found, lead


def _outer_end(text: str, at: int, value: str, signs: str) -> int | None:
    """Where the bracket closes that was open before the value began: "[user=u1] logged on"."""
    opened, closed = signs[0], signs[1]
    if text.count(opened, 0, at) <= text.count(closed, 0, at):
        return None
    end = value.index(closed)
    return end if opened not in value[:end] else None


def claims(body: str, header: Header | None) -> bool:
    """At least three pairs, and hardly any text around them."""
    if body.endswith(">") and body.count("</") >= 3 and "xmlns" not in body:
        return len(_ELEMENT.findall(body[:8000])) >= 3
    if body.count("=") < 3:
        if body.count(": ") >= 4 and body.count(",") >= 4 and body.lstrip()[:1] not in "{[":
            return len(_LISTED.findall(body[:4000])) >= 4
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
    if header is None and body[:1] == "<" and (header := syslog.split(body)[0]) is not None:
        # The pairs stand in the header itself, as RFC 5424's structured data.
        lead = ""
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
    add_verdict(event.cells, lead or ((bare := _BARE.match(body)) and bare[1]) or "")
    event = with_header(event, header, context, lead)
    return event if event.time != NO_TIME else timed_by_hint(event, record, context, lead)


def timed_by_hint(event: Event, record: Mapping[str, str], context: Context, lead: str = "") -> Event:
    """A record without a known name for its time: what leads the line, else the first name that hints at one."""
    when = leading(lead, context) if lead else None
    if when is None:
        when = time_by_hint(record, context)
    if when is None or when.time == NO_TIME:
        return event
    event.cells.pop("event.original_time", None)
    return timed(when, event.cells)


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
    if event.time == NO_TIME and (when := finer(when, lead, context)) is not None:
        cells["event.timezone"] = when.zone
        cells.pop("event.original_time", None)
        if when.note:
            cells["time.note"] = when.note
        return Event(when.time, cells)
    return event

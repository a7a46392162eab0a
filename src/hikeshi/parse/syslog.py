"""What stands before the message: RFC 3164, RFC 5424 and what devices make of them.

`split` gives the header and the rest; the rest is what other formats look at.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import ip, port
from hikeshi.parse.content import guess
from hikeshi.parse.content import split as split_values
from hikeshi.parse.context import CONFIDENCE, Context, Event
from hikeshi.parse.hints import add_by_hint
from hikeshi.parse.names import map_record
from hikeshi.parse.prose import add_verdict, add_who_and_where
from hikeshi.parse.stamps import Stamp, same_moment, stamp


class Header(NamedTuple):
    """The parts of a syslog header; None where absent. `when` is the stamp as written."""

    when: str | None
    host: str | None
    app: str | None
    pid: str | None
    priority: str | None
    data: str | None = None


_PRIORITY = re.compile(r"\s*<(\d{1,3})>")
_RFC5424 = re.compile(r"1 (\S+) (\S+) (\S+) (\S+) (\S+) ?")
# Some devices write the epoch: "<134>1 1725967600.123456789 fw1 flows …".
_EPOCH = re.compile(r"(?:1 )?(\d{10}\.\d{1,9}) ([A-Za-z0-9_.-]+) +(?=\S)")
_DATA = re.compile(r'(-|(?:\[[^\s"\]=]+(?: [^\s"=\]]+="(?:[^"\\]|\\.)*")*\])+) ?')
_STAMP = re.compile(
    r"(?:\d{1,10}: |: )?[*.]?"  # Cisco's sequence number, and its sign for a clock that was not set
    r"("
    r"(?:\d{4} )?[A-Z][a-z]{2} +\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,6})?(?: \d{4}(?= ))?(?: [A-Z]{3,4}(?=:))?"
    r"|\d{4}:\d\d:\d\d-\d\d:\d\d:\d\d"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
    r"):?[ \t]+",
    re.ASCII,
)
_HOST = re.compile(r"([A-Za-z0-9_.:%-]{1,255})[ \t]+(?=\S)")
_APP = re.compile(r"([A-Za-z0-9_()./@-]{1,64})(?:\[([^\]\s]{1,64})\])?:(?: +|$)")
_TAG = re.compile(r"\s{0,3}([A-Za-z][A-Za-z0-9_./-]{1,40})\[(\d{1,10})\]: +(?=\S)")
_NO_HOST = re.compile(r"[\w.-]+=|\{|%[A-Z]+-|CEF:|LEEF:|\d+,|[{\[<\"]")


def split(line: str) -> tuple[Header | None, str]:
    """(header, message); (None, line) if there is no syslog header."""
    match = _PRIORITY.match(line)
    priority, rest = (match[1], line[match.end() :]) if match else (None, line)
    if match and (found := _RFC5424.match(rest)) and not _EPOCH.match(rest):
        when, host, app, pid, _ = (None if g == "-" else g for g in found.groups())
        body = rest[found.end() :]
        data = _DATA.match(body)
        if data:
            body = body[data.end() :]
        return Header(when, host, app, pid, priority, None if not data or data[1] == "-" else data[1]), body.lstrip(
            "\ufeff"
        )
    if match and (epoch := _EPOCH.match(rest)):
        return Header(epoch[1], epoch[2], None, None, priority), rest[epoch.end() :]
    when_match = _STAMP.match(rest)
    if not when_match:
        if priority is None:
            # "sshd[123]: …": what is left where a collector took the rest of the header.
            tag = _TAG.match(rest)
            return (Header(None, None, tag[1], tag[2], None), rest[tag.end() :]) if tag else (None, line)
        app = _APP.match(rest)
        if app:
            return Header(None, None, app[1], app[2], priority), rest[app.end() :]
        return Header(None, None, None, None, priority), rest
    body = rest[when_match.end() :]
    host = None
    if not _NO_HOST.match(body) and not (_APP.match(body) and not re.match(r"[A-Fa-f0-9:.]+ ", body)):
        host_match = _HOST.match(body)
        if host_match:
            host = host_match[1].rstrip(":")
            body = body[host_match.end() :].removeprefix(": ")
    app = _APP.match(body)
    if app:
        body = body[app.end() :]
    if body.startswith("[ID ") and (solaris := _SOLARIS.match(body)):
        body = body[solaris.end() :]
    return Header(when_match[1], host, app[1] if app else None, app[2] if app else None, priority), body


_SOLARIS = re.compile(r"\[ID \d{1,8} [\w.]+\] ")
_CLIENT = re.compile(r"((?:\d{1,3}\.){3}\d{1,3}):([1-6]?\d{4})\Z", re.ASCII)


def header_cells(header: Header | None, context: Context) -> tuple[Stamp | None, dict[str, object]]:
    """Time and columns of a header."""
    if header is None:
        return None, {}
    cells: dict[str, object] = {}
    if header.host and (client := _CLIENT.match(header.host)) and ip(client[1]):
        # A program that writes its own times puts the client where a relay puts the machine.
        cells["source.ip"], cells["source.port"] = client[1], port(client[2])
    elif header.host:
        cells["observer.name"] = header.host
    if header.app:
        cells["process.name"] = header.app
    if header.pid and header.pid.isdigit() and len(header.pid) < 10:
        cells["process.pid"] = int(header.pid)
    if header.priority is not None:
        cells["syslog.priority"] = header.priority
    if header.data:
        cells["syslog.structured_data"] = header.data
    when = stamp(header.when, context) if header.when else None
    if header.when and when is None:
        cells["event.original_time"] = header.when
    return when, cells


# Cisco ISE and others write the moment once more, with its zone, right behind the header.
_ZONED = re.compile(
    r"(?<![\w.:-])(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?) ?([+-]\d\d:\d\d|Z)(?![\w:.-])", re.ASCII
)


def finer(when: Stamp | None, body: str, context: Context) -> Stamp | None:
    """The header's time, or the same moment with its zone where the message begins with one."""
    if when is None or when.zone != context.zone_label or "20" not in body[:80]:
        return when
    match = _ZONED.search(body, 0, 110)
    other = stamp(match[1] + match[2], context) if match else None
    return other if other and other.zone != context.zone_label and same_moment(when.time, other.time) else when


def timed(when: Stamp | None, cells: dict[str, object]) -> Event:
    """An event with its time, zone and what had to be guessed."""
    if when is None:
        return Event(NO_TIME, cells)
    cells["event.timezone"] = when.zone
    if when.note:
        cells["time.note"] = when.note
    return Event(when.time, cells)


def claims(body: str, header: Header | None) -> bool:
    return header is not None and (header.when is not None or header.app is not None)


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    """Any syslog line that no finer parser knows: header columns and the message."""
    if header is None:
        return None
    when, cells = header_cells(header, context)
    if header.host:
        cells["host.name"] = header.host
    cells["event.dataset"] = "syslog"
    if header.data and len(record := _elements(header.data)) > 2:
        return _structured(header, record, body, cells, when, context)
    cells["message"] = body
    add_who_and_where(cells, body)
    if "source.ip" not in cells and (values := split_values(body)):
        _by_looks(cells, values, context)
    add_verdict(cells, body)
    return timed(finer(when, body, context), cells)


def _by_looks(cells: dict[str, object], values: list[str], context: Context) -> None:
    """A message that is a row of values of an unknown maker: what they are by their looks."""
    _, found = guess(values, context)
    if "source.ip" in found:
        for name, value in found.items():
            cells.setdefault(name, value)
        cells[CONFIDENCE] = "low"


_ELEMENT = re.compile(r'([^\s"=\]\[]+)="((?:[^"\\]|\\.)*)"')


def _elements(data: str) -> dict[str, str]:
    """Names and values of RFC 5424's structured data."""
    return {name: re.sub(r'\\(["\\\]])', r"\1", value) for name, value in _ELEMENT.findall(data)}


def _structured(
    header: Header, record: dict[str, str], body: str, cells: dict[str, object], when: Stamp | None, context: Context
) -> Event:
    """A record whose values stand in the header: by names, as key=value is."""
    event = map_record(record, context, dataset="syslog")
    event.cells[CONFIDENCE] = "low" if add_by_hint(event.cells, record) else "medium"
    cells.pop("syslog.structured_data", None)
    merged = {**cells, **event.cells, "message": body} if body.strip() else {**cells, **event.cells}
    # The header's time has its zone; one inside may not.
    if when is not None:
        merged.pop("event.original_time", None)
        return timed(when, merged)
    return Event(event.time, merged)

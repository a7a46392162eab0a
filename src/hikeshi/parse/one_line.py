"""One line, whatever it is: the event by the first format that claims it."""

from __future__ import annotations

from hikeshi.parse import syslog
from hikeshi.parse.context import Context, Event
from hikeshi.parse.format import KNOWN, Format


def any_line(line: str, context: Context, first: Format | None = None, *, lenient: bool = True) -> Event | None:
    """The event of one line by the first format that claims it; None if only text is left.

    Not `lenient`: mere syslog counts only with a program's name, since the damaged line of a
    web log may begin like a syslog header too.
    """
    header, body = syslog.split(line)
    for row in (first, *KNOWN.of_lines) if first else KNOWN.of_lines:
        if row.name == "syslog" and not lenient and (header is None or header.app is None):
            continue
        claims, parse = row.claims, row.parse_line
        assert claims is not None and parse is not None
        if header is not None and claims(body, header):
            event = parse(body, header, context)
            if event is not None:
                return event
        if claims(line, None):
            event = parse(line, None, context)
            if event is not None:
                return event
    return None


def wrapped_line(text: str, context: Context) -> Event | None:
    header, body = syslog.split(text)
    for row in KNOWN.of_lines:
        if row.name in ("json", "keyvalue", "windows-xml"):
            continue
        assert row.claims is not None and row.parse_line is not None
        for part, head in ((text, None), (body, header)):
            if row.claims(part, head):
                return row.parse_line(part, head, context)
    return None

"""BIND name server: queries, denials, transfers; with or without its own time in front.

Source: ISC, "BIND 9 Administrator Reference Manual", logging.
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.parse.addresses import ip, port
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_BIND_HEAD = r"\s*(?:(\d{2}-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d(?:\.\d+)?) )?((?:[\w-]{2,24}: ){0,3})"
_BIND_CLIENT = re.compile(
    _BIND_HEAD
    + r"client (?:@0x[0-9a-f]+ )?([0-9A-Fa-f.:%]+)#(\d+)(?:/key \S+)?(?: \(([^)]*)\))?: (?:view [\w-]+: )?(.*)\Z"
)
_BIND_OTHER = re.compile(
    _BIND_HEAD
    + r"((?:validating |zone |transfer of |success resolving |(?:\w+ )*(?:unexpected RCODE|resolver|timed out|"
    r"timeout)|lame server |"
    r"error \(|REFUSED |SERVFAIL |FORMERR |DNS format error ).*)\Z"
)
_ASKED = re.compile(r"(?:query|answer|response): (\S+) (?:IN|CH|HS|ANY) (\S+)")
_DENIED = re.compile(r"'([^'/]+)/([^'/]+)/(?:IN|CH)' denied")
_QUOTED_NAME = re.compile(r"(?:resolving '|validating (?:\S+: )?|: )([\w.-]+\.[\w-]+)/(\w+)\b")


def claims(body: str, header: Header | None) -> bool:
    if header is not None and header.app is not None and header.app != "named" and not body.startswith("client"):
        return False
    named = header is not None and header.app == "named"
    return _BIND_CLIENT.match(body) is not None or ((named or "/" in body) and _BIND_OTHER.match(body) is not None)


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    cells: dict[str, Any] = {"event.dataset": "bind", "event.category": "network", "network.protocol": "dns"}
    match = _BIND_CLIENT.match(body)
    if match:
        when, _, address, number, name, rest = match.groups()
        cells["source.ip"], cells["source.port"] = ip(address), port(number)
        asked = _ASKED.match(rest)
        denied = _DENIED.search(rest)
        wanted = asked[1] if asked else denied[1] if denied else name
        kind = asked[2] if asked else denied[2] if denied else None
        server = re.search(r" \(([0-9A-Fa-f.:]+)\)", rest)
        if asked and server and ip(server[1]):
            cells["destination.ip"] = ip(server[1])
        cells["event.action"] = (
            rest.partition(" ")[0].rstrip(":") if asked else "denied" if "denied" in rest else "message"
        )
        if "denied" in rest:
            cells["event.outcome"] = "failure"
    else:
        other = _BIND_OTHER.match(body)
        if other is None:
            return None
        when, _, rest = other.groups()
        found = _QUOTED_NAME.search(rest)
        wanted, kind = (found[1], found[2]) if found else (None, None)
        peer = re.search(r" from ([0-9A-Fa-f.:]+)#(\d+)", rest)
        if peer:
            cells["source.ip"], cells["source.port"] = ip(peer[1]), port(peer[2])
    if wanted:
        cells["dns.question.name"] = wanted.rstrip(".").lower()
    if kind:
        cells["dns.question.type"] = kind
    cells["message"] = rest
    return with_header(timed(stamp(when, context) if when else None, cells), header, context)

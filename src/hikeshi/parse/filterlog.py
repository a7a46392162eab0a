"""pfSense's and OPNsense's packet filter log (filterlog): comma-separated values whose meaning goes by place.

Source: pfSense, "Raw Filter Log Format". The same event is pass, block or reject; addresses are the packet's.
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import ip, port
from hikeshi.parse.context import Context, Event, text_cells
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.syslog import Header

# rule, sub-rule, anchor, tracker, interface, reason, action, direction, IP version
_HEAD = re.compile(r"(\d+),([^,]*),([^,]*),([^,]*),([^,]*),([\w-]+),(pass|block|reject|match|\w+),(in|out),([46]),")


def claims(body: str, header: Header | None) -> bool:
    if header is not None and header.app not in (None, "filterlog", "pf"):
        return False
    return body[:1].isdigit() and _HEAD.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    match = _HEAD.match(body)
    if match is None:
        return None
    rule, _, anchor, tracker, interface, reason, action, direction, version = match.groups()
    values = body[match.end() :].split(",")
    # v4: tos, ecn, ttl, id, offset, flags, number, protocol, length, from, to; v6: class, label, hops, protocol, …
    at = 9 if version == "4" else 6
    if len(values) < at + 2 or not (ip(values[at]) and ip(values[at + 1])):
        return None
    protocol = (values[7] if version == "4" else values[3]).lower()
    cells: dict[str, Any] = {
        "event.dataset": "pfsense.filterlog",
        "event.category": "network",
        "event.action": action,
        "event.outcome": {"pass": "success", "block": "failure", "reject": "failure"}.get(action),
        "source.ip": ip(values[at]),
        "destination.ip": ip(values[at + 1]),
        "network.protocol": protocol,
        "rule.name": tracker or rule,
        "pf.rule": rule,
        "pf.anchor": anchor,
        "pf.interface": interface,
        "pf.reason": reason,
        "pf.direction": direction,
        "message": body,
    }
    if protocol in ("tcp", "udp") and len(values) >= at + 4:
        cells["source.port"], cells["destination.port"] = port(values[at + 2]), port(values[at + 3])
    return with_header(Event(NO_TIME, text_cells(cells)), header, context)

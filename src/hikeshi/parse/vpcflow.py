"""AWS VPC flow logs, version 2 in its default order; times are epochs, bytes are what the source sent.

Source: AWS, "Flow log records".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.events.time import from_epoch_seconds
from hikeshi.parse.addresses import ip, port, whole
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.syslog import Header

_FLOW = re.compile(
    r"(\d) (\d{12}|unknown) (eni-\w+) (\S+) (\S+) (\d+|-) (\d+|-) (\d+|-) (\d+|-) (\d+|"
    r"-) (\d{10}) (\d{10}) (ACCEPT|REJECT|-) (\w+)\b"
)


def claims(body: str, header: Header | None) -> bool:
    return " eni-" in body[:40] and _FLOW.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    match = _FLOW.match(body)
    if match is None:
        return None
    _, owner, interface, source, target, sport, dport, protocol, packets, size, start, end, action, status = (
        match.groups()
    )
    cells: dict[str, Any] = {
        "event.dataset": "aws.vpcflow",
        "event.category": "network",
        "event.timezone": "UTC",
        "aws.account": owner,
        "aws.interface": interface,
        "network.protocol": protocol,
        "packets": packets,
        "end": end,
        "log-status": status,
    }
    for side, address, number in (("source", source, sport), ("destination", target, dport)):
        if ip(address):
            cells[f"{side}.ip"] = ip(address)
        found = port(number)
        if found is not None:
            cells[f"{side}.port"] = found
    number = whole(size)
    if number is not None:
        cells["source.bytes"] = number
    if action != "-":
        cells["event.action"] = action.lower()
        cells["event.outcome"] = "success" if action == "ACCEPT" else "failure"
    event = Event(from_epoch_seconds(start), cells)
    return with_header(event, header, context) if header else event

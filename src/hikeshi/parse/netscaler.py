"""NetScaler (Citrix ADC): gateway logons, VPN sessions, connections.

Dates may be day first or month first by setting; see stamps.
Source: Citrix, "NetScaler Syslog Message Reference".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.parse.addresses import account, host_port, ip, port, put_host, whole
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_NETSCALER = re.compile(
    r'\s*"?(?:(\d{2,4}/\d\d/\d{2,4}:\d\d:\d\d:\d\d(?: +GMT)?) +)?([\w.-]*) *\d+-PPE-\d+ : (?:\w+ )?([A-Z]+) '
    r"(\w+) \d+ \d+ : *(.*)\Z",
    re.DOTALL,
)
_NS_FIELD = re.compile(
    r"\b(User|Client_ip|ClientIP|ClientPort|Nat_ip|Vserver|VserverServiceIP|VserverServicePort|Source|"
    r"Destination|Total_bytes_send|"
    r"Total_bytes_recv|Remote_ip|Browser|Failure_reason|SessionId|Group\(s\)|Denied_by_policy) +\"?([^\s\"<>][^\s\"]*)"
)


def claims(body: str, header: Header | None) -> bool:
    return "-PPE-" in body[:120] and _NETSCALER.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    match = _NETSCALER.match(body)
    if match is None:
        return None
    when, device, module, event_name, message = match.groups()
    cells: dict[str, Any] = {
        "event.dataset": "netscaler",
        "event.category": "network",
        "message": message.strip('" '),
        "event.action": event_name,
        "netscaler.module": module,
    }
    if device:
        cells["observer.name"] = device
    found = dict(reversed(_NS_FIELD.findall(message)))
    loose = re.search(
        r"(?i)\bclient ip ?: ?([0-9A-Fa-f.:]+)|Srcip: ([0-9A-Fa-f.:]+)|Context [^\s@]+@([0-9A-Fa-f.:]+)", message
    )
    where = re.search(r"(?i)\bvserver ip ?: ?([0-9A-Fa-f.:]+)|Dstip: ([0-9A-Fa-f.:]+)", message)
    source = (
        found.get("Client_ip")
        or found.get("ClientIP")
        or found.get("Source")
        or (next(g for g in loose.groups() if g) if loose else "")
    )
    target = (
        found.get("Destination")
        or found.get("VserverServiceIP")
        or (next(g for g in where.groups() if g) if where else "")
    )
    for side, value in (("source", source), ("destination", target)):
        if value and ip(host_port(value)[0]):
            put_host(cells, side, value)
    if "source.port" not in cells and found.get("ClientPort"):
        cells["source.port"] = port(found["ClientPort"])
    if found.get("VserverServicePort"):
        cells["destination.port"] = port(found["VserverServicePort"])
    user = found.get("User") or next(iter(re.findall(r"User <([^>]+)>|rejected for (\S+)", message)), None)
    if user:
        name, domain = account(user if isinstance(user, str) else next(u for u in user if u))
        cells["user.name"] = name
        if domain:
            cells["user.domain"] = domain
    # The appliance counts from its own side: "send" is what it sent to the server for the client.
    for key, column in (("Total_bytes_send", "source.bytes"), ("Total_bytes_recv", "destination.bytes")):
        number = whole(found.get(key, ""))
        if number is not None:
            cells[column] = number
    if module in ("AAA", "SSLVPN"):
        cells["event.category"] = "authentication"
    if "FAIL" in event_name or "DENIED" in event_name or "rejected" in message or "is Deny" in message:
        cells["event.outcome"] = "failure"
    elif event_name == "LOGIN":
        cells["event.outcome"] = "success"
    return with_header(timed(stamp(when.replace("  ", " "), context) if when else None, cells), header, context)

"""NetScaler (Citrix ADC): gateway logons, VPN sessions, connections.

Dates may be day first or month first by setting; see stamps.
Source: Citrix, "NetScaler Syslog Message Reference".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import account, host_port, ip, port, put_host, whole
from hikeshi.parse.context import Context, Event, text_cells
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


_SHELL = re.compile(r'(?:\(pitboss\) )?(\S+) on (/dev/\S+|console|pts/\d+) shell_command="(.*)"?\s*\Z', re.DOTALL)
_ACCESS = re.compile(
    r'([0-9A-Fa-f.:]+) -> ([0-9A-Fa-f.:]+)(?: (\S+))? "([A-Z]{3,12}) (\S+)(?: HTTP/[\d.]+)?" '
    r'(\d{3}) (\d+|-)(?: "([^"]*)")?(?: "([^"]*)")?'
)
_HTTP = re.compile(r" - (\S+) User (\S+) : .*? : (GET|POST|HEAD|PUT|CONNECT|OPTIONS|DELETE|PATCH) (\S+)")


def claims(body: str, header: Header | None) -> bool:
    if "-PPE-" in body[:120]:
        return _NETSCALER.match(body) is not None
    return _SHELL.match(body) is not None or _ACCESS.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    match = _NETSCALER.match(body)
    if match is None:
        return _other(body, header, context)
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
    asked = _HTTP.search(message)
    if asked:
        # The site is named before the user, the path at the end.
        site, method, path = asked[1], asked[3], asked[4]
        cells["http.request.method"] = method
        cells["url.full"], cells["url.original"] = f"https://{site}{path}", site if path == "-" else path
        put_host(cells, "destination", site)
        cells["url.domain"] = site
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


def _other(body: str, header: Header | None, context: Context) -> Event | None:
    """Administrators' shell commands, and the web server's access log."""
    if shell := _SHELL.match(body):
        cells: dict[str, Any] = {
            "event.dataset": "netscaler",
            "event.category": "process",
            "event.action": "command-run",
            "user.name": account(shell[1])[0],
            "netscaler.terminal": shell[2],
            "process.command_line": shell[3].rstrip('"'),
        }
        return with_header(Event(NO_TIME, cells), header, context)
    access = _ACCESS.match(body)
    if access is None:
        return None
    source, target, _, method, path, status, size, referrer, agent = access.groups()
    cells = {
        "event.dataset": "netscaler.access",
        "event.category": "web",
        "event.action": method,
        "source.ip": ip(source),
        "destination.ip": ip(target),
        "http.request.method": method,
        "url.full": path,
        "http.response.status_code": whole(status),
        "destination.bytes": whole(size),
        "http.request.referrer": referrer,
        "user_agent.original": agent,
        "event.outcome": "failure" if status >= "400" else "success",
    }
    return with_header(Event(NO_TIME, text_cells(cells)), header, context)

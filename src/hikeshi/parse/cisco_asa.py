"""Cisco ASA and Firepower (FTD) syslog: connections, denials, AnyConnect and AAA logons.

A connection is logged as "for A to B": who opened it is said by inbound or outbound; where that is
missing (Teardown) the side with the server's port is taken for the destination.
Source: Cisco, "ASA Series Syslog Messages".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import account, ip, port
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.names import map_record
from hikeshi.parse.syslog import Header

TAG = re.compile(r"%(ASA|FTD|PIX|FWSM)-(?:[\w-]{1,30}-)?(\d)-(\d{6}):? *")
PAIRS = "4300"  # messages of names and values
_BARE = re.compile(r"\s*(?:TunnelGroup <[^>]*> )?Group(?:Policy)? <[^>]*> User <")
_IP = r"(\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})"
_END = rf"(?:[\w./-]{{1,64}}:)?{_IP}(?:/(\d+))?(?:\s?\(([^)\s]*)\))?"
_PAIRS = (
    re.compile(rf"\b(?:from|src|for|flow) {_END}.{{0,80}}?\b(?:to|dst) {_END}"),
    re.compile(rf"\bfaddr {_IP}(?:/(\d+))?(?:\(([^)]*)\))? .{{0,60}}?\bladdr {_IP}(?:/(\d+))?(?:\(([^)]*)\))?"),
)
_FROM = (
    re.compile(rf"\bIP <{_IP}>"),
    re.compile(rf"\bIP(?: address)?\s?[=:] ?{_IP}"),
    re.compile(rf"\bclient (?:[\w.-]+:)?{_IP}(?:/(\d+))?"),
    re.compile(rf"\b(?:from|address|host|configuration:|peer|IP=|IP =) (?:[\w.-]+:)?{_IP}(?:/(\d+))?"),
    re.compile(rf"\bIP={_IP}"),
)
_SERVER = re.compile(rf"\bserver\s?=\s+{_IP}")
_USERS = (
    re.compile(r"\bUser <([^>]+)>"),
    re.compile(r"\b(?:[Uu]sername|Uname|[Uu]ser)\s?[=:] ?'?([^\s,']+)"),
    re.compile(r"\b[Uu]ser '([^']+)'"),
    re.compile(r"\buser ([\w.@\\-]+) (?:at|from|logged)"),
)
_URL = re.compile(rf"(?:(\S+)@)?{_IP} Accessed (?:JAVA )?URL {_IP}:(\S+)")
_PART = re.compile(r"(?:^|, )([A-Z]\w+): ")
_BAD = re.compile(r"\b(?:[Dd]en(?:y|ied)|[Rr]eject(?:ed)?|[Ff]ail(?:ed|ure)?|[Dd]rop(?:ped)?|blocked|Invalid)\b")
_GOOD = re.compile(
    r"\b(?:[Ss]uccess(?:ful|fully)?|[Ss]ucceeded|Built|permitted|accepted|assigned to session|completed)\b"
)


def claims(body: str, header: Header | None) -> bool:
    return TAG.search(body[:200]) is not None or _BARE.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    tag = TAG.search(body[:200])
    if tag is None and _BARE.match(body) is None:
        return None
    message = body[tag.end() :].strip() if tag else body.strip()
    if tag and tag[3].startswith(PAIRS) and len(_PART.findall(message)) > 3:
        event = map_record(_pairs(message), context, dataset="cisco.ftd")
    else:
        event = Event(NO_TIME, message_cells(message))
    cells = event.cells
    cells["event.dataset"] = f"cisco.{tag[1].lower()}" if tag else "cisco.asa"
    if tag:
        cells["event.code"], cells["cisco.severity"] = tag[3], tag[2]
    cells["message"] = message
    return with_header(event, header, context)


def _pairs(message: str) -> dict[str, str]:
    found = list(_PART.finditer(message))
    ends = [m.start() for m in found[1:]] + [len(message)]
    return {m[1]: message[m.end() : end].strip() for m, end in zip(found, ends, strict=True)}


def message_cells(message: str) -> dict[str, Any]:
    """What a message says, out of nothing but its text."""
    cells: dict[str, Any] = {"event.category": "network"}
    url = _URL.search(message)
    pair = next((m for p in _PAIRS if (m := p.search(message))), None)
    if url:
        cells["source.ip"], cells["destination.ip"], cells["url.full"] = ip(url[2]), ip(url[3]), url[4]
        if url[1]:
            cells["user.name"] = account(url[1])[0]
    elif pair:
        _endpoints(cells, message, pair)
    else:
        found = next((m for p in _FROM if (m := p.search(message))), None)
        if found:
            cells["source.ip"] = ip(found[1])
            if found.re.groups > 1 and found[2]:
                cells["source.port"] = port(found[2])
    server = _SERVER.search(message)
    if server:
        cells["destination.ip"] = ip(server[1])
    user = next((m[1] for p in _USERS if (m := p.search(message))), None)
    if user:
        name, domain = account(user)
        cells["user.name"] = name
        if domain:
            cells["user.domain"] = domain
        cells["event.category"] = "authentication"
    cells["event.action"] = _action(message)
    if _BAD.search(message):
        cells["event.outcome"] = "failure"
    elif _GOOD.search(message):
        cells["event.outcome"] = "success"
    total = re.search(r"\bbytes (\d+)", message)
    if total:
        cells["bytes_total"] = total[1]
    return cells


def _endpoints(cells: dict[str, Any], message: str, pair: re.Match[str]) -> None:
    first, second = pair.groups()[:3], pair.groups()[3:6]
    swapped = message.startswith("Built outbound") or (message.startswith("Teardown") and _serves(first[1], second[1]))
    source, destination = (second, first) if swapped else (first, second)
    for side, (address, number, who) in (("source", source), ("destination", destination)):
        cells[f"{side}.ip"] = ip(address)
        found = port(number or "")
        if found is not None:
            cells[f"{side}.port"] = found
        if side == "source" and who and ip(who.partition("/")[0]) is None:
            name, domain = account(who.removeprefix("LOCAL\\"))
            if name:
                cells["user.name"] = name
            if domain:
                cells["user.domain"] = domain


def _serves(first: str | None, second: str | None) -> bool:
    """Whether the first port looks like a server's and the second like a client's."""
    return bool(first and second and int(first) < 1024 <= int(second))


def _action(message: str) -> str:
    for start, action in (("Built", "connection-opened"), ("Teardown", "connection-closed"), ("Deny", "denied")):
        if message.startswith(start):
            return action
    if "denied" in message or "Denied" in message:
        return "denied"
    return re.split(r"[:<\d'=,]", re.sub(r"^.*<[^>]*> ", "", message), maxsplit=1)[0].strip()[:60].lower() or "message"

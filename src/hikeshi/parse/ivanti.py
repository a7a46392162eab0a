"""Ivanti Connect Secure (Pulse Connect Secure, Juniper SA): logons, sessions, requests.

Two shapes: WELF (key=value, "id=firewall … vpn=") and the standard one, "time - node - [address]
user(realm)[roles] - message". The inner time has no zone: an RFC 5424 header's time is taken
instead where there is one.
Source: Ivanti, "Connect Secure: Logging and Monitoring".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import account, ip, port, put_host, whole
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import pairs, with_header
from hikeshi.parse.stamps import Stamp, stamp
from hikeshi.parse.syslog import Header, timed

_WELF = re.compile(r"(?=.{0,300}?\bid=firewall\b)(?=.{0,400}?\bvpn=)(?=.*?\bmsg=)", re.DOTALL)
_STANDARD = re.compile(
    r"(?:.{0,60}?(?:PulseSecure|IvantiConnectSecure|Juniper|ICS|PCS)\S*:? )?(?:- )*"
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) - ([\w.-]+) - \[([^\]\s]*)\] ([^\[\]]*?)\(([^)]*)\)\[([^\]]*)\] - (.*)\Z",
    re.DOTALL,
)
_CODE = re.compile(r"\s*([A-Z]{3}\d{5}): ?")
_FROM = re.compile(
    r"(?:\bfrom(?: IP)?|\bcame from IP|\bsource IP|\bon host|\bhost|\bclient(?: at)?(?: IP)?|Remote address for u"
    r"ser \S+ changed from) "
    r"'?((?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:]+:[0-9A-Fa-f]+)(?::(\d+))?"
)
_TO = re.compile(r"\bto(?: TUN-VPN Connection to)? '?((?:\d{1,3}\.){3}\d{1,3})'?(?::(\d+))?")
_USER = re.compile(r"\bfor(?: user)? '?([^\s'/]+)(?:/|'|\s|\Z)")
_ASSIGNED = re.compile(
    r"\b(?:with IPv4 address|assigned (?:virtual )?IP(?: address)?|hostname \S+ with IPv4 address) ((?:\d{1,3}\.)"
    r"{3}\d{1,3})"
)
_URL = re.compile(r"\b(?:request url|URL=|WebRequest \w+ : \w+ to|requested) ?(\S+?)(?:\)|\s|\Z)", re.IGNORECASE)
_ACTIONS = (
    (
        re.compile(
            r"(?i)primary authentication successful|login succeeded|secondary authentication successful|agent log"
            r"in succeeded"
        ),
        "logged-in",
        "success",
    ),
    (
        re.compile(
            r"(?i)authentication failed|login failed|failed to authenticate|not authenticated|login rejected|cert"
            r"ificate .*(?:failed|invalid)"
        ),
        "logon-failed",
        "failure",
    ),
    (
        re.compile(r"(?i)session started|tunnel(?:ing)?: session started|vpn tunneling: user with"),
        "session-opened",
        "success",
    ),
    (
        re.compile(r"(?i)session ended|logout|session timed out|max session timeout|session terminated"),
        "session-closed",
        None,
    ),
    (re.compile(r"(?i)host checker policy .* failed"), "host-check-failed", "failure"),
    (re.compile(r"(?i)unauthenticated request"), "unauthenticated-request", "failure"),
)


def claims(body: str, header: Header | None) -> bool:
    return ("vpn=" in body[:400] and _WELF.match(body) is not None) or _STANDARD.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    standard = _STANDARD.match(body)
    if standard is not None:
        when, node, address, user, realm, roles, message = standard.groups()
        record = {"src": address, "user": user.strip(), "realm": realm, "roles": roles, "vpn": node, "msg": message}
    elif _WELF.match(body):
        record = pairs(body)[0]
        when, message = record.pop("time", ""), record.get("msg", "")
    else:
        return None
    cells: dict[str, Any] = {"event.dataset": "ivanti.connect_secure"}
    code = _CODE.match(message)
    if code:
        cells["event.code"], message = code[1], message[code.end() :]
    cells["message"] = message.strip()
    _who(cells, record, message)
    _where(cells, record, message)
    _what(cells, message)
    for name, value in record.items():
        if value and name not in ("src", "user", "msg", "dst", "sent", "rcvd"):
            cells["observer.name" if name == "vpn" else f"ivanti.{name}"] = value
    for column, name in (("source.bytes", "sent"), ("destination.bytes", "rcvd")):
        number = whole(record.get(name, ""))
        if number is not None:
            cells[column] = number
    inner = stamp(when, context) if when else None
    outer = stamp(header.when, context) if header is not None and header.when else None
    event = timed(_better(inner, outer), cells)
    return with_header(event, header, context)


def _better(inner: Stamp | None, outer: Stamp | None) -> Stamp | None:
    """The header's time where it has its own zone and is the same moment but for the zone."""
    if inner is None or outer is None or inner.time == NO_TIME or outer.note:
        return inner
    apart = abs(outer.time - inner.time)
    same = apart <= 15 * 3_600_000_000 and apart % 900_000_000 <= 60_000_000
    return outer if same and "assumed" not in outer.zone else inner


def _who(cells: dict[str, Any], record: dict[str, str], message: str) -> None:
    user = record.get("user", "")
    if user in ("", "System", "Guest", "unknown", "none"):
        named = _USER.search(message)
        user = named[1] if named and not ip(named[1]) else user
    name, domain = account(user.replace("\\\\", "\\"))
    if name:
        cells["user.name"] = name
    if domain:
        cells["user.domain"] = domain


def _where(cells: dict[str, Any], record: dict[str, str], message: str) -> None:
    found = _FROM.search(message)
    source = ip(record.get("src", ""))
    # 127.0.0.1 and the like: the appliance itself; the sentence names the client.
    if found and (source is None or source.startswith("127.")):
        source = ip(found[1])
    if source and source != "0.0.0.0":
        cells["source.ip"] = source
    if found and found[2] and ip(found[1]) == source:
        cells["source.port"] = port(found[2])
    target = record.get("dst") or record.get("dstname") or ""
    if target:
        put_host(cells, "destination", target)
    elif (to := _TO.search(message)) and ip(to[1]) != source:
        cells["destination.ip"] = ip(to[1])
        if to[2]:
            cells["destination.port"] = port(to[2])
    assigned = _ASSIGNED.search(message)
    if assigned:
        cells["ivanti.assigned_ip"] = assigned[1]
    url = _URL.search(message)
    if url and ("/" in url[1]):
        cells["url.full"] = url[1]


def _what(cells: dict[str, Any], message: str) -> None:
    for pattern, action, result in _ACTIONS:
        if pattern.search(message):
            cells["event.action"], cells["event.category"] = action, "authentication"
            if result:
                cells["event.outcome"] = result
            return
    cells["event.action"] = re.split(r"[:.'(\d=]", message, maxsplit=1)[0].strip()[:60].lower() or "message"

"""YAMAHA routers (RTX, NVR, FWX): stateful inspection, filters, VPN, administrators' logons, DHCP.

Times have no zone and the clock is often wrong: it is lost when the router has no power.
Source: YAMAHA, "show log" and "syslog" in the RT series' command reference.
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.parse.addresses import ip, port
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_LEAD = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d): ")
_PLACE = r"(?:PP\[[^\]]+\]|LAN\d*(?:\.\d+)?(?:/\d+)?|TUNNEL\[[^\]]+\]|WAN\d*|ONU\d*|VLAN\d*|BRIDGE\d*|NULL|LOOPBACK\d*)"
_IP = r"((?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)"
_FLOW = (
    rf"(TCP|UDP|ICMP6?|ESP|AH|GRE|IPv6|\w{{2,10}})\S* \[?{_IP}\]?(?:[:.](\d{{1,5}}|[a-z]\w*))? > "
    rf"\[?{_IP}\]?(?:[:.](\d{{1,5}}|[a-z]\w*))?"
)
_INSPECT = re.compile(rf"\[INSPECT6?\] ({_PLACE})\[(in|out)\]\[(\w+)\] {_FLOW}(?: \((.*?)\))?(?: .*)?\Z", re.IGNORECASE)
_FILTER = re.compile(
    rf"({_PLACE}) (Rejected|Passed|Restricted) at (IN|OUT|NAT)\(([^)]*)\)(?: filter)?: {_FLOW}(?: .*)?\Z",
    re.IGNORECASE,
)
_LOGIN = re.compile(
    r"(?:'([^']*)' )?(?:Login |Log ?in )?(succeeded|failed) (?:for|from) (HTTPS?|TELNET|SSHD?|SERIAL|REMOTE|SFTP|"
    r"console)(?:: ?([0-9A-Fa-f.:]+))?(?: ([\w.@-]+))?",
    re.IGNORECASE,
)
_LOGOUT = re.compile(r"(?:'([^']*)' )?Logout (?:from|for) (\w+)(?:: ?([0-9A-Fa-f.:]+))?(?: ([\w.@-]+))?", re.IGNORECASE)
_DHCP = re.compile(
    rf"\[DHCPD\] ({_PLACE})\S* (Allocates|Extends|Releases|Expires|Declines?) ([\d.]+):? ?([0-9A-Fa-f:]{{17}})?(?"
    rf": \(([^)]*)\))?",
    re.IGNORECASE,
)
_TUNNEL = re.compile(r"\[(L2TP|IKE|IKE2|PPTP|IPsec|SSL-VPN)\] (.*)\Z")
_PPP = re.compile(r"(PP\[[^\]]+\]) (.*)\Z")
_TAGGED = re.compile(r"\[(?:INSPECT6?|DHCPD|L2TP|IKE2?|PPTP|URL_FILTER|IDS|HTTPD|LAN_MAP|LUA|SWCTL|SCHEDULE)\]")


def claims(body: str, header: Header | None) -> bool:
    text = _LEAD.sub("", body, count=1)
    return bool(
        _TAGGED.match(text)
        or _FILTER.match(text)
        or _INSPECT.match(text)
        or (re.match(_PLACE + r"[ :]", text) and (text.startswith(("PP[", "TUNNEL[")) or _LEAD.match(body)))
        or _LOGIN.match(text)
        or _LOGOUT.match(text)
    )


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    if not claims(body, header):
        return None
    lead = _LEAD.match(body)
    text = (body[lead.end() :] if lead else body).strip()
    cells: dict[str, Any] = {"event.dataset": "yamaha.rtx", "event.category": "network", "message": text}
    if flow := _INSPECT.match(text):
        place, way, rule, *ends = flow.groups()[:8]
        _flow(cells, ends)
        cells.update(
            {"event.action": "session", "rtx.interface": place, "rtx.direction": way.lower(), "rule.name": rule}
        )
        if flow[9]:
            cells["rtx.opened"] = flow[9]
    elif flow := _FILTER.match(text):
        place, verdict, way, rule, *ends = flow.groups()[:9]
        _flow(cells, ends)
        cells.update(
            {
                "event.action": verdict.lower(),
                "rtx.interface": place,
                "rtx.direction": way.lower(),
                "rule.name": rule,
                "event.outcome": "success" if verdict.lower() == "passed" else "failure",
            }
        )
    elif found := _LOGIN.match(text):
        good = found[2].lower() == "succeeded"
        cells.update(
            {
                "event.category": "authentication",
                "event.action": "logged-in" if good else "logon-failed",
                "event.outcome": "success" if good else "failure",
                "network.protocol": found[3].lower(),
            }
        )
        _person(cells, found[1] or found[5], found[4])
    elif found := _LOGOUT.match(text):
        cells.update(
            {"event.category": "authentication", "event.action": "logged-out", "network.protocol": found[2].lower()}
        )
        _person(cells, found[1] or found[4], found[3])
    elif found := _DHCP.match(text):
        action = found[2].lower()
        cells.update(
            {"event.dataset": "dhcp.rtx", "source.ip": ip(found[3]), "event.action": _LEASES.get(action, action)}
        )
        if found[4]:
            cells["dhcp.mac"] = found[4].lower()
        if found[5]:
            cells["host.name"] = cells["source.domain"] = found[5]
    elif found := _TUNNEL.match(text) or _PPP.match(text):
        _tunnel(cells, found[1], found[2])
    else:
        cells["event.action"] = "message"
    event = timed(stamp(lead[1], context) if lead else None, cells)
    return with_header(event, header, context)


_LEASES = {
    "allocates": "assigned",
    "extends": "renewed",
    "releases": "released",
    "expires": "expired",
    "decline": "declined",
    "declines": "declined",
}


def _flow(cells: dict[str, Any], ends: list[str | None]) -> None:
    protocol, source, source_port, target, target_port = ends
    cells["network.protocol"] = (protocol or "").lower()
    for side, address, number in (("source", source, source_port), ("destination", target, target_port)):
        found = ip(address or "")
        if found:
            cells[f"{side}.ip"] = found
        named = port(number or "") if (number or "").isdigit() else _SERVICES.get((number or "").lower())
        if named is not None:
            cells[f"{side}.port"] = named


# Names the routers write for well-known ports.
_SERVICES = {
    "telnet": 23,
    "ftp": 21,
    "ftpdata": 20,
    "smtp": 25,
    "domain": 53,
    "www": 80,
    "http": 80,
    "https": 443,
    "pop3": 110,
    "sunrpc": 111,
    "ident": 113,
    "ntp": 123,
    "nntp": 119,
    "snmp": 161,
    "syslog": 514,
    "printer": 515,
    "ssh": 22,
    "netbios_ns": 137,
    "netbios_dgm": 138,
    "netbios_ssn": 139,
    "imap": 143,
    "submission": 587,
}


def _person(cells: dict[str, Any], user: str | None, address: str | None) -> None:
    if user:
        cells["user.name"] = user
    found = ip(address or "")
    if found:
        cells["source.ip"] = found


def _tunnel(cells: dict[str, Any], part: str, text: str) -> None:
    cells["rtx.part"] = part
    person = re.search(r"\buser(?:name)?[ :=]+'?([\w.@\\-]+)'?", text) or re.search(r"\bby ([\w.@-]+)\Z", text)
    if person:
        cells["user.name"] = person[1]
    place = re.search(r"\b(?:from|with|to|Remote:) ?\[?([0-9A-Fa-f.:]+\d)", text)
    if place and ip(place[1].rstrip(".,")):
        cells["source.ip"] = ip(place[1].rstrip(".,"))
    lower = text.lower()
    if re.search(r"\b(?:connected from|connected|established|up\b|call detected|login)", lower) and "dis" not in lower:
        cells["event.action"], cells["event.outcome"] = "vpn-up", "success"
    elif re.search(r"disconnect|down\b|closed", lower):
        cells["event.action"] = "vpn-down"
    elif re.search(r"fail|reject|invalid|error", lower):
        cells["event.action"], cells["event.outcome"] = "vpn-failed", "failure"
    else:
        cells["event.action"] = "message"

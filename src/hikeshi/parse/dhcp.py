"""DHCP servers' logs: Windows' audit log, ISC dhcpd, dnsmasq, Kea. Their files of leases: lease_files.py.

Events: dataset dhcp.*, event.action assigned, renewed, released, expired, offered, denied, declined or
the log's own word; source.ip is the address, host.name and source.domain the client's name, dhcp.mac
its hardware address, dhcp.until the end of the lease (UTC). events/leases.py answers who had an address.
Times: Windows writes month/day/year in local time; syslog as its header.
Source: Microsoft, "DHCP audit logging".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hikeshi.events.time import NO_TIME, assemble
from hikeshi.parse.addresses import ip
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.syslog import Header

_WINDOWS = re.compile(
    r"(\d{1,5}),(\d\d)/(\d\d)/(\d\d(?:\d\d)?),(\d\d):(\d\d):(\d\d),([^,]*),([^,]*),([^,]*),?(.*)\Z", re.DOTALL
)
_WINDOWS_ACTIONS = {
    "10": "assigned",
    "11": "renewed",
    "12": "released",
    "13": "conflict",
    "14": "refused",
    "15": "denied",
    "16": "deleted",
    "17": "expired",
    "18": "expired",
    "20": "assigned",
    "21": "assigned",
    "22": "refused",
    "23": "deleted",
    "30": "dns-update-requested",
    "31": "dns-update-failed",
    "32": "dns-updated",
    "36": "dropped",
    "11000": "solicit",
    "11001": "advertised",
    "11002": "requested",
    "11003": "confirmed",
    "11004": "renewed",
    "11005": "rebound",
    "11006": "declined",
    "11007": "released",
    "11008": "information",
    "11009": "refused",
    "11012": "assigned",
    "11013": "assigned",
}
MAC = r"(?:[0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2}"
_ISC = re.compile(
    r"(DHCP(?:DISCOVER|OFFER|REQUEST|ACK|NAK|RELEASE|DECLINE|INFORM|EXPIRE|LEASEQUERY))"
    r"(?: (?:on|for|of) ([0-9A-Fa-f.:]+)(?= |\Z)(?: \(([^)]*)\))?)?"
    rf"(?: (?:to|from) ({MAC}|[0-9A-Fa-f.:]+)(?= |\Z))?(?: \(([^)]*)\))?(?: via (\S+))?(.*)\Z"
)
_DNSMASQ = re.compile(
    rf"(DHCP(?:DISCOVER|OFFER|REQUEST|ACK|NAK|RELEASE|DECLINE|INFORM))\(([\w.:-]+)\) (?:([0-9.]+) )?({MAC})(?: ("
    rf"\S+))?\s*\Z"
)
_ISC_ACTIONS = {
    "DHCPACK": "assigned",
    "DHCPOFFER": "offered",
    "DHCPREQUEST": "requested",
    "DHCPRELEASE": "released",
    "DHCPNAK": "denied",
    "DHCPDECLINE": "declined",
    "DHCPEXPIRE": "expired",
    "DHCPDISCOVER": "discover",
    "DHCPINFORM": "inform",
}
_KEA = re.compile(
    r"(?:(?:TRACE|DEBUG|INFO|WARN|ERROR) +)?(?:\[[^\]]*\] )?"
    r"(DHCP[46]_LEASE_(?:ALLOC|ADVERT|RENEW|OFFER|EXPIRE)|DHCP[46]_RELEASE)\b(.*)\Z"
)
_KEA_LEASE = re.compile(r"\b(?:lease|address) ((?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]*:[0-9A-Fa-f:]+)")
_KEA_SECONDS = re.compile(r"\bfor (\d+) seconds")
_KEA_ACTIONS = {
    "ALLOC": "assigned",
    "ADVERT": "offered",
    "OFFER": "offered",
    "RENEW": "renewed",
    "EXPIRE": "expired",
    "RELEASE": "released",
}
_NAMES = re.compile(r"[A-Za-z0-9_][\w.-]{0,252}\Z")
HEAD = re.compile(
    r"\s*(?:\d{2,5}\+?\t|Microsoft (?:Windows )?DHCP(?:v6)? Service Activity Log|Event ID\s+Meaning|ID,Date,Time,"
    r"Description|QResult:|\d: \w+, )",
    re.IGNORECASE,
)


def claims(body: str, header: Header | None) -> bool:
    if _WINDOWS.match(body):
        return True
    if "DHCP" not in body[:80]:
        return False
    return bool(_ISC.match(body) or _DNSMASQ.match(body) or _KEA.match(body))


def detect(lines: Sequence[str]) -> float:
    """The audit log begins with forty lines about its codes."""
    if any("DHCP Service Activity Log" in line or "DHCPv6 Service Activity Log" in line for line in lines[:5]):
        return 1.0
    counted = [line for line in lines if not HEAD.match(line)]
    return sum(_WINDOWS.match(line) is not None for line in counted) / len(counted) if counted else 0.0


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    if match := _WINDOWS.match(body):
        return _windows(match, header, context)
    if match := _DNSMASQ.match(body):
        word, interface, address, mac, name = match.groups()
        cells = lease_cells("dhcp.dnsmasq", _ISC_ACTIONS.get(word, word.lower()), address, name, mac)
        cells["dhcp.interface"] = interface
    elif match := _ISC.match(body):
        word, address, of, mac, name, via, rest = match.groups()
        if mac is None and of and re.fullmatch(MAC, of):
            mac, of = of, None
        if mac is None and address and re.fullmatch(MAC, address):
            address, mac = "", address
        cells = lease_cells(
            "dhcp.isc",
            _ISC_ACTIONS.get(word, word.lower()),
            address,
            name,
            mac if mac and re.fullmatch(MAC, mac) else None,
        )
        if via:
            cells["dhcp.interface"] = via.rstrip(":")
        if rest and rest.strip(" :"):
            cells["message"] = body.strip()
    elif match := _KEA.match(body):
        word, rest = match.groups()
        address, mac, seconds = _KEA_LEASE.search(rest), re.search(MAC, rest), _KEA_SECONDS.search(rest)
        action = _KEA_ACTIONS.get(word.rpartition("_")[2], word.lower())
        cells = lease_cells("dhcp.kea", action, address[1] if address else None, None, mac[0] if mac else None)
        if seconds:
            cells["dhcp.seconds"] = seconds[1]
    else:
        return None
    return with_header(Event(NO_TIME, cells), header, context)


def lease_cells(dataset: str, action: str, address: str | None, name: str | None, mac: str | None) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "event.dataset": dataset,
        "event.category": "network",
        "event.action": action,
        "network.protocol": "dhcp",
    }
    found = ip(address or "")
    if found and found != "0.0.0.0":
        cells["source.ip"] = found
    name = (name or "").strip('". \0')
    if name and _NAMES.match(name):
        cells["host.name"] = cells["source.domain"] = name
    if mac:
        cells["dhcp.mac"] = _mac(mac)
    return cells


def _mac(text: str) -> str:
    """aa:bb:cc:dd:ee:ff from AABBCCDDEEFF, aa-bb-… and a:b:…"""
    parts = re.split(r"[:-]", text.strip())
    if len(parts) == 1 and len(text.strip()) == 12:
        whole = text.strip().lower()
        return ":".join(whole[i : i + 2] for i in range(0, 12, 2))
    return ":".join(p.zfill(2).lower() for p in parts)


def _windows(match: re.Match[str], header: Header | None, context: Context) -> Event:
    code, month, day, year, hour, minute, second, words, address, name, rest = match.groups()
    version6 = int(code) >= 1000
    more = rest.split(",")
    mac = (
        more[0].strip()
        if not version6 and re.fullmatch(r"(?i)[0-9a-f]{12}|(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}", more[0].strip())
        else None
    )
    cells = lease_cells("dhcp.windows", _WINDOWS_ACTIONS.get(code, words.strip().lower() or code), address, name, mac)
    cells["event.code"], cells["message"] = code, words.strip()
    user = more[1].strip() if not version6 and len(more) > 1 else ""
    if user:
        cells["user.name"] = user
    if len(more) > 2 and any(part.strip() for part in more[2:]):
        cells["dhcp.rest"] = ",".join(more[2:]).strip(",")
    full = int(year) + 2000 if len(year) == 2 else int(year)
    time = assemble(full, int(month), int(day), int(hour), int(minute), int(second), 0, context.zone)
    if time == NO_TIME:
        cells["event.original_time"] = f"{month}/{day}/{year} {hour}:{minute}:{second}"
        return with_header(Event(NO_TIME, cells), header, context)
    cells["event.timezone"] = context.zone_label
    return with_header(Event(time, cells), header, context)

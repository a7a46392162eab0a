"""DHCP: who had an address when. Windows' audit log, ISC dhcpd (syslog and dhcpd.leases), dnsmasq, Kea.

Events: dataset dhcp.*, event.action assigned, renewed, released, expired, offered, denied, declined or
the log's own word; source.ip is the address, host.name and source.domain the client's name, dhcp.mac
its hardware address, dhcp.until the end of the lease (UTC). `Leases` answers who had an address.
Times: Windows writes month/day/year in local time; dhcpd.leases is in UTC; syslog as its header.
Source: Microsoft, "DHCP audit logging"; ISC, dhcpd.leases(5); Kea ARM, "Memfile".
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any, NamedTuple

from hikeshi.events.table import EventTable
from hikeshi.events.time import NO_TIME, assemble, format_utc
from hikeshi.parse.addresses import ip
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
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
_MAC = r"(?:[0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2}"
_ISC = re.compile(
    r"(DHCP(?:DISCOVER|OFFER|REQUEST|ACK|NAK|RELEASE|DECLINE|INFORM|EXPIRE|LEASEQUERY))"
    r"(?: (?:on|for|of) ([0-9A-Fa-f.:]+)(?= |\Z)(?: \(([^)]*)\))?)?"
    rf"(?: (?:to|from) ({_MAC}|[0-9A-Fa-f.:]+)(?= |\Z))?(?: \(([^)]*)\))?(?: via (\S+))?(.*)\Z"
)
_DNSMASQ = re.compile(
    rf"(DHCP(?:DISCOVER|OFFER|REQUEST|ACK|NAK|RELEASE|DECLINE|INFORM))\(([\w.:-]+)\) (?:([0-9.]+) )?({_MAC})(?: ("
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
        cells = _cells("dhcp.dnsmasq", _ISC_ACTIONS.get(word, word.lower()), address, name, mac)
        cells["dhcp.interface"] = interface
    elif match := _ISC.match(body):
        word, address, of, mac, name, via, rest = match.groups()
        if mac is None and of and re.fullmatch(_MAC, of):
            mac, of = of, None
        if mac is None and address and re.fullmatch(_MAC, address):
            address, mac = "", address
        cells = _cells(
            "dhcp.isc",
            _ISC_ACTIONS.get(word, word.lower()),
            address,
            name,
            mac if mac and re.fullmatch(_MAC, mac) else None,
        )
        if via:
            cells["dhcp.interface"] = via.rstrip(":")
        if rest and rest.strip(" :"):
            cells["message"] = body.strip()
    elif match := _KEA.match(body):
        word, rest = match.groups()
        address, mac, seconds = _KEA_LEASE.search(rest), re.search(_MAC, rest), _KEA_SECONDS.search(rest)
        action = _KEA_ACTIONS.get(word.rpartition("_")[2], word.lower())
        cells = _cells("dhcp.kea", action, address[1] if address else None, None, mac[0] if mac else None)
        if seconds:
            cells["dhcp.seconds"] = seconds[1]
    else:
        return None
    return with_header(Event(NO_TIME, cells), header, context)


def _cells(dataset: str, action: str, address: str | None, name: str | None, mac: str | None) -> dict[str, Any]:
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
    cells = _cells("dhcp.windows", _WINDOWS_ACTIONS.get(code, words.strip().lower() or code), address, name, mac)
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


# ---- dhcpd.leases ---------------------------------------------------------------------------

_LEASE = re.compile(r"\s*lease ([0-9A-Fa-f.:]+) \{\s*\Z")
_IN_LEASE = re.compile(
    r"\s*(starts|ends|cltt|tstp|binding state|hardware ethernet|client-hostname|uid|set [\w-]+ =)\s*(.*?);\s*(?:#.*)?\Z"
)
_ISC_TIME = re.compile(r"\d (\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)|epoch (\d{9,11})")


def detect_leases(lines: Sequence[str]) -> float:
    starts = sum(_LEASE.match(line) is not None for line in lines)
    inside = sum(_IN_LEASE.match(line) is not None for line in lines)
    return 1.0 if starts and inside >= starts else 0.0


def lease_events(lines: Iterator[tuple[str, int, int]]) -> Iterator[tuple[Event | None, str, int, int]]:
    """(event, text, line, offset) of each lease block; None for a block that does not end or hold a time."""
    held: list[str] = []
    place = (0, 0)
    address = ""
    for text, line, offset in lines:
        if begin := _LEASE.match(text):
            if address:
                yield None, "\n".join(held), *place
            address, held, place = begin[1], [text], (line, offset)
        elif address and text.strip() == "}":
            yield _lease_event(address, held), "\n".join([*held, text]), *place
            address, held = "", []
        elif address:
            held.append(text)
            if len(held) > 200:
                yield None, "\n".join(held), *place
                address, held = "", []
        elif text.strip(" \t\r\ufeff\0") and not text.lstrip().startswith(
            ("#", "server-duid", "authoring-byte-order", "failover", "}")
        ):
            yield None, text, line, offset
    if address:
        yield None, "\n".join(held), *place


def _lease_event(address: str, lines: list[str]) -> Event | None:
    said = {m[1]: m[2] for text in lines if (m := _IN_LEASE.match(text))}
    begun, ended = _isc_time(said.get("starts", "")), _isc_time(said.get("ends", ""))
    if begun == NO_TIME or ip(address) is None:
        return None
    state = said.get("binding state", "active")
    action = {
        "active": "assigned",
        "free": "released",
        "expired": "expired",
        "released": "released",
        "abandoned": "declined",
    }.get(state, state)
    hardware = re.search(_MAC, said.get("hardware ethernet", ""))
    cells = _cells("dhcp.isc", action, address, said.get("client-hostname"), hardware[0] if hardware else None)
    if ended != NO_TIME:
        cells["dhcp.until"] = format_utc(ended)
    cells["event.timezone"] = "UTC"
    cells["dhcp.state"] = state
    time = _isc_time(said.get("cltt", "")) if action != "assigned" else begun
    return Event(begun if time == NO_TIME else time, cells)


def _isc_time(text: str) -> int:
    match = _ISC_TIME.search(text)
    if match is None:
        return NO_TIME
    if match[7]:
        return int(match[7]) * 1_000_000
    year, month, day, hour, minute, second = (int(g) for g in match.groups()[:6])
    return assemble(year, month, day, hour, minute, second, 0, UTC)


# ---- who had an address when ----------------------------------------------------------------


class Lease(NamedTuple):
    """`start` and `end` in UTC microseconds; `end` NO_TIME if nothing says when it ended."""

    address: str
    name: str | None
    mac: str | None
    start: int
    end: int


class Leases:
    """Names of addresses at a time, from DHCP events in any order.

    A lease lasts until its own end, a release, or until another client gets the address; a renewal
    lengthens it. A client whose name a renewal leaves out keeps the name its hardware address had.
    """

    LONGEST = 30 * 86_400_000_000

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[int, str, str | None, str | None, int]]] = {}
        self._made: dict[str, tuple[list[int], list[Lease]]] = {}

    def add(self, table: EventTable) -> int:
        """Take what a table says; gives how many of its rows were about leases."""
        dataset = table.columns.get("event.dataset")
        if dataset is None or not any(str(v).startswith("dhcp.") for v in dataset.values):
            return 0
        count = 0
        for row in table.iter_rows():
            if str(row.get("event.dataset", "")).startswith("dhcp."):
                count += self._note(row)
        return count

    def _note(self, row: dict[str, Any]) -> int:
        address, action = row.get("source.ip"), row.get("event.action")
        time = _micro(row.get("@timestamp"))
        if (
            not address
            or time == NO_TIME
            or action not in ("assigned", "renewed", "rebound", "released", "expired", "deleted")
        ):
            return 0
        until = _micro(row.get("dhcp.until"))
        if until == NO_TIME and str(row.get("dhcp.seconds", "")).isdigit():
            until = time + int(row["dhcp.seconds"]) * 1_000_000
        self._seen.setdefault(address, []).append((time, action, row.get("host.name"), row.get("dhcp.mac"), until))
        self._made.pop(address, None)
        return 1

    def of(self, address: str) -> list[Lease]:
        """Every lease of an address, in order of time."""
        return self._build(address)[1]

    def at(self, address: str, time: int) -> Lease | None:
        """Who had the address at `time` (UTC microseconds); None if nothing says so."""
        starts, leases = self._build(address)
        place = bisect_right(starts, time) - 1
        if place < 0:
            return None
        lease = leases[place]
        end = lease.end if lease.end != NO_TIME else lease.start + self.LONGEST
        return lease if time <= end else None

    def _build(self, address: str) -> tuple[list[int], list[Lease]]:
        made = self._made.get(address)
        if made is None:
            leases = _intervals(address, sorted(self._seen.get(address, ()), key=lambda e: e[0]))
            made = self._made[address] = ([lease.start for lease in leases], leases)
        return made


def _intervals(address: str, events: list[tuple[int, str, str | None, str | None, int]]) -> list[Lease]:
    out: list[Lease] = []
    names: dict[str, str] = {}
    for time, action, name, mac, until in events:
        if mac and name:
            names[mac] = name
        name = name or (names.get(mac) if mac else None)
        last = out[-1] if out else None
        open_now = last is not None and (last.end == NO_TIME or last.end >= time)
        if action in ("released", "expired", "deleted"):
            if last is not None and open_now:
                out[-1] = last._replace(end=time)
            continue
        same = (
            last is not None
            and open_now
            and (
                (mac is not None and mac == last.mac)
                or (name is not None and name == last.name)
                or (mac is None and name is None)
            )
        )
        if last is not None and same:
            out[-1] = last._replace(
                name=last.name or name, mac=last.mac or mac, end=until if until != NO_TIME else last.end
            )
            continue
        if last is not None and open_now:
            out[-1] = last._replace(end=time - 1)
        out.append(Lease(address, name, mac, time, until))
    return out


def _micro(value: Any) -> int:
    if isinstance(value, int):
        return value
    found = stamp(str(value), Context(UTC, zone_assumed=False)) if value else None
    return found.time if found is not None else NO_TIME

"""Files in which a DHCP server keeps its leases: ISC's dhcpd.leases and Kea's memfile (CSV).

Events as in dhcp.py, one a lease or row: datasets dhcp.isc and dhcp.kea, dhcp.until the end of the lease ("never"
without one), dhcp.lease_start its start where the record tells of a lease that is over. Times are UTC.
Kea writes a row a renewal; a row without a lifetime says that the lease was taken out, not when.
Source: ISC, dhcpd.leases(5); Kea ARM, "Memfile - Basic Storage for Leases".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

from hikeshi.events.table import EventTable
from hikeshi.events.time import NO_TIME, assemble, format_utc, from_epoch_seconds
from hikeshi.parse.addresses import ip
from hikeshi.parse.context import Event
from hikeshi.parse.dhcp import MAC, lease_cells
from hikeshi.parse.file import File
from hikeshi.parse.readers import Rows

LeaseEvents = Iterator[tuple[Event | None, str, int, int]]
NEVER = "never"
_LEASE = re.compile(r"\s*lease ([0-9A-Fa-f.:]+) \{\s*\Z")
_IN_LEASE = re.compile(
    r"\s*(starts|ends|cltt|tstp|binding state|hardware ethernet|client-hostname|uid|set [\w-]+ =)\s*(.*?);\s*(?:#.*)?\Z"
)
_ISC_TIME = re.compile(r"\d (\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)|epoch (\d{9,11})")
_ISC_STATES = {
    "active": "assigned",
    "free": "released",
    "expired": "expired",
    "released": "released",
    "abandoned": "declined",
}
_OVER = ("released", "expired")
_KEA_HEAD = re.compile(r"\ufeff?address,(?:hwaddr,client_id|duid),valid_lifetime,expire,")
_KEA_STATES = {"0": "assigned", "1": "declined", "2": "expired", "3": "released", "4": "registered"}
_KEA_ESCAPE = re.compile(r"&#x([0-9a-fA-F]{2})")
_KEA_ENDLESS = 2**32 - 1
_MOST_LINES = 200  # of one lease


def detect(lines: Sequence[str]) -> float:
    if lines and _KEA_HEAD.match(lines[0]):
        return 1.0
    starts = sum(_LEASE.match(line) is not None for line in lines)
    inside = sum(_IN_LEASE.match(line) is not None for line in lines)
    return 1.0 if starts and inside >= starts else 0.0


def lease_events(lines: Iterator[tuple[str, int, int]]) -> LeaseEvents:
    """(event, text, line, offset) of each lease; None for one that does not end, or holds no time or address."""
    for first in lines:
        if first[0].strip(" \t\r\ufeff\0"):
            break
    else:
        return
    if _KEA_HEAD.match(first[0]):
        yield from _kea(first[0], lines)
    else:
        yield from _isc(first, lines)


# ---- dhcpd.leases ---------------------------------------------------------------------------


def _isc(first: tuple[str, int, int], lines: Iterator[tuple[str, int, int]]) -> LeaseEvents:
    held: list[str] = []
    place = (0, 0)
    address = ""
    for text, line, offset in _with(first, lines):
        if begin := _LEASE.match(text):
            if address:
                yield None, "\n".join(held), *place
            address, held, place = begin[1], [text], (line, offset)
        elif address and text.strip() == "}":
            yield _isc_event(address, held), "\n".join([*held, text]), *place
            address, held = "", []
        elif address:
            held.append(text)
            if len(held) > _MOST_LINES:
                yield None, "\n".join(held), *place
                address, held = "", []
        elif text.strip(" \t\r\ufeff\0") and not text.lstrip().startswith(
            ("#", "server-duid", "authoring-byte-order", "failover", "}")
        ):
            yield None, text, line, offset
    if address:
        yield None, "\n".join(held), *place


def _with(first: tuple[str, int, int], rest: Iterator[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
    yield first
    yield from rest


def _isc_event(address: str, lines: list[str]) -> Event | None:
    said = {m[1]: m[2] for text in lines if (m := _IN_LEASE.match(text))}
    begun, ends = _isc_time(said.get("starts", "")), said.get("ends", "")
    if begun == NO_TIME or ip(address) is None:
        return None
    state = said.get("binding state", "active")
    action = _ISC_STATES.get(state, state)
    hardware = re.search(MAC, said.get("hardware ethernet", ""))
    cells = lease_cells("dhcp.isc", action, address, said.get("client-hostname"), hardware[0] if hardware else None)
    _span(cells, action, begun, NEVER if ends == NEVER else _isc_time(ends))
    cells["dhcp.state"] = state
    time = _isc_time(said.get("cltt", "")) if action != "assigned" else begun
    return Event(begun if time == NO_TIME else time, cells)


def _span(cells: dict[str, Any], action: str, begun: int, ended: int | str) -> None:
    if ended != NO_TIME:
        cells["dhcp.until"] = ended if isinstance(ended, str) else format_utc(ended)
    if action in _OVER and begun != NO_TIME:
        cells["dhcp.lease_start"] = format_utc(begun)
    cells["event.timezone"] = "UTC"


def _isc_time(text: str) -> int:
    match = _ISC_TIME.search(text)
    if match is None:
        return NO_TIME
    if match[7]:
        return int(match[7]) * 1_000_000
    year, month, day, hour, minute, second = (int(g) for g in match.groups()[:6])
    return assemble(year, month, day, hour, minute, second, 0, UTC)


# ---- Kea's memfile --------------------------------------------------------------------------


def _kea(heading: str, lines: Iterator[tuple[str, int, int]]) -> LeaseEvents:
    names = heading.strip(" \r\ufeff").split(",")
    for text, line, offset in lines:
        if not text.strip(" \t\r\0"):
            continue
        if _KEA_HEAD.match(text):  # files put one behind the other
            names = text.strip(" \r\ufeff").split(",")
            continue
        yield _kea_event(names, text), text, line, offset


def _kea_event(names: list[str], text: str) -> Event | None:
    try:
        values = next(csv.reader([text.rstrip("\r")]))
    except (csv.Error, StopIteration):
        return None
    # Columns that later releases added may be absent from older rows.
    if not 5 <= len(values) <= len(names):
        return None
    plain = (_KEA_ESCAPE.sub(lambda m: chr(int(m[1], 16)), value) for value in values)
    said = dict(zip(names, plain, strict=False))
    lifetime, expire = said.get("valid_lifetime", ""), from_epoch_seconds(said.get("expire", ""))
    if ip(said["address"]) is None or expire == NO_TIME or not (lifetime.isascii() and lifetime.isdigit()):
        return None
    seconds = int(lifetime[:12])
    state = said.get("state", "0")
    action = _KEA_STATES.get(state, state) if seconds else "removed"
    hardware = said.get("hwaddr", "")
    cells = lease_cells(
        "dhcp.kea", action, said["address"], said.get("hostname"), hardware if re.fullmatch(MAC, hardware) else None
    )
    endless = seconds == _KEA_ENDLESS
    begun = expire - (0 if endless else seconds * 1_000_000)
    if begun < 0:
        return None
    _span(cells, action, begun, NEVER if endless else expire)
    for name, cell in (("subnet_id", "dhcp.subnet"), ("client_id", "dhcp.client_id"), ("duid", "dhcp.duid")):
        if said.get(name):
            cells[cell] = said[name]
    cells["dhcp.state"] = state
    return Event(begun if action != "expired" else expire, cells)


def read_leases(file: File) -> Iterator[EventTable]:
    rows = Rows(file)
    for event, text, line, offset in lease_events(file.lines()):
        if event is None:
            rows.reject(text, "no whole lease", line, offset)
        else:
            rows.add(event, line, offset)
        if rows.full():
            yield from rows.build()
    yield from rows.build()

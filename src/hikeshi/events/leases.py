"""Who had an address when: DHCP leases as spans, from the events of any number of lease logs.

Taken from events whose dataset names DHCP: the address (source.ip, else a field that says so), the machine
(host names, hardware address), the time, the action, and the lease's own start and end where the log has
them. One meaning everywhere: a lease runs from its first grant until the address goes to another machine, is
given back by its holder or expires, at the latest until the end the log names (its last second included), or,
where no log names one, LONGEST after the last renewal. Requests, offers and refusals change nothing. Between
two leases nobody had the address.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hikeshi.events.time import NO_TIME, parse_iso

if TYPE_CHECKING:
    from hikeshi.events.table import EventTable

LONGEST = 8 * 86_400 * 1_000_000  # Windows' usual lease, in microseconds
FOREVER = 2**62
NO_LEASE = -1
_SECOND = 1_000_000
_ENDS = re.compile(r"releas|expir|delet|declin|free|abandon|(?<!\d)(?:12|16|17|18)(?!\d)", re.IGNORECASE)
# Of these, what says that somebody had the address until then.
_RAN_OUT = re.compile(r"releas|expir|delet|free", re.IGNORECASE)
_GRANTS = re.compile(
    r"ack|assign|renew|new|lease|bind|bound|activ|extend|grant|confirm|(?<!\d)(?:10|11|20|21)(?!\d)", re.IGNORECASE
)
_NO_GRANTS = re.compile(
    r"request|discover|inform|offer|dns|update|nak|den(?:y|ied)|refus|conflict|advertis|solicit", re.IGNORECASE
)
_ADDRESS = ("source.ip", "client.ip", "host.ip", "destination.ip", "dhcp.address", "dhcp.ip", "ip", "ip_address",
            "address")
_HOST = ("source.domain", "client.domain", "dhcp.host", "dhcp.hostname", "hostname", "host", "host.name")
_MAC = ("source.mac", "client.mac", "dhcp.mac", "mac", "mac_address", "hardware", "client_mac")
_START = ("dhcp.lease_start", "lease.start", "starts")
_END = ("dhcp.until", "dhcp.lease_end", "lease.end", "ends")


@dataclass(frozen=True, slots=True)
class Lease:
    """`host` and `mac` had `address` from `start` to `end` (UTC microseconds, `end` excluded)."""

    address: str
    start: int
    end: int
    host: str
    mac: str


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of a lease log. `until` is the end the log itself names, NO_TIME if none; `ends` if it gives
    the address back."""

    address: str
    time: int
    host: str
    mac: str
    ends: bool = False
    until: int = NO_TIME


@dataclass(slots=True)
class Leases:
    """All spans, by address and start. Plain data: it goes to children as it is."""

    rows: tuple[Lease, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rows)

    def spans(self) -> Spans:
        return Spans(self.rows)


class Spans:
    """Look-up of spans by address and time."""

    def __init__(self, rows: Sequence[Lease]) -> None:
        self.rows = rows
        self._first: dict[str, tuple[int, int]] = {}
        for number, row in enumerate(rows):
            first, count = self._first.get(row.address, (number, 0))
            self._first[row.address] = (first, count + 1)
        self._starts: npt.NDArray[np.int64] = np.array([r.start for r in rows], dtype=np.int64)
        self._ends: npt.NDArray[np.int64] = np.array([r.end for r in rows], dtype=np.int64)

    def history(self, address: str) -> Sequence[Lease]:
        """Every lease of an address, in order of time."""
        first, count = self._first.get(address, (0, 0))
        return self.rows[first : first + count]

    def at(self, address: str, time: int) -> Lease | None:
        """Who had the address at `time` (UTC microseconds); None if nothing says so."""
        held = self.history(address)
        place = bisect_right(held, time, key=attrgetter("start")) - 1
        return held[place] if place >= 0 and time < held[place].end else None

    def of(self, clients: Sequence[str | None], codes: npt.NDArray[Any], times: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Per row (its client's number, its time) the number of the lease, NO_LEASE if there is none."""
        out = np.full(len(codes), NO_LEASE, dtype=np.int64)
        for code in np.unique(codes).tolist():
            place = self._first.get(clients[code] or "")
            if place is None:
                continue
            first, count = place
            rows = np.flatnonzero(codes == code)
            when = times[rows]
            at = np.searchsorted(self._starts[first : first + count], when, side="right") - 1 + first
            held = (when != NO_TIME) & (at >= first)
            held &= when < self._ends[np.maximum(at, first)]
            out[rows[held]] = at[held]
        return out


def grants(table: EventTable) -> list[Grant]:
    """The lease events of a table; rows that are neither a grant nor an end (a request) are left out."""
    datasets = _column(table, ("event.dataset",))
    addresses, hosts, macs = (_column(table, names) for names in (_ADDRESS, _HOST, _MAC))
    actions, seconds = _column(table, ("event.action",)), _column(table, ("dhcp.seconds",))
    starts, ends = _column(table, _START), _column(table, _END)
    out = []
    for row, time in enumerate(table.times.tolist()):
        address, action = addresses[row], actions[row] or ""
        if address is None or "dhcp" not in (datasets[row] or "dhcp"):
            continue
        begin, until = _time(starts[row]), _end(ends[row])
        when = begin if begin != NO_TIME else time
        length = seconds[row] or ""
        if until == NO_TIME and when != NO_TIME and length.isascii() and length.isdigit():
            until = min(when + int(length[:18]) * _SECOND, FOREVER)
        over = bool(_ENDS.search(action))
        granted = not over and not _NO_GRANTS.search(action) and (not action or bool(_GRANTS.search(action)))
        host, mac = _host(hosts[row]), (macs[row] or "").lower().replace("-", ":")
        if over and begin != NO_TIME and until != NO_TIME and _RAN_OUT.search(action):
            # A file of leases says at once that there was one and that it is over.
            if host or mac:
                out.append(Grant(address, begin, host, mac, until=until))
            when = until
        if when != NO_TIME and (over or (granted and (host or mac))):
            out.append(Grant(address, when, host, mac, over, until))
    return out


def leases(given: Iterable[Grant]) -> Leases:
    """Spans from the lines of any number of lease logs, in any order."""
    return Leases(tuple(spans(sorted(given, key=attrgetter("address")))))


def spans(given: Iterable[Grant]) -> Iterator[Lease]:
    """Spans from grants that come address by address: holds those of one address at a time."""
    for _, own in groupby(given, key=attrgetter("address")):
        yield from _of_address(sorted(own, key=attrgetter("time")))


def _of_address(given: Sequence[Grant]) -> Iterator[Lease]:
    held: Grant | None = None
    until, length = 0, LONGEST
    names: dict[str, str] = {}
    for said in given:
        # A client that leaves its name out of a renewal keeps the one its hardware address had.
        if said.mac and said.host:
            names[said.mac] = said.host
        one = said if said.host or said.mac not in names else replace(said, host=names[said.mac])
        # A release by a machine that doesn't hold the address ends nothing.
        if held is not None and (one.time >= until or one.ends != _other(held, one)):
            yield _closed(held, min(until, one.time))
            held = None
        if one.ends:
            continue
        if held is None:
            held, length = one, LONGEST
        else:
            held = replace(held, host=held.host or one.host, mac=held.mac or one.mac)
        if one.until != NO_TIME:
            length = max(0, one.until - one.time)
        until = one.time + length
    if held is not None:
        yield _closed(held, until)


def _closed(held: Grant, end: int) -> Lease:
    return Lease(held.address, held.time, max(end, held.time + 1), held.host, held.mac)


def _other(held: Grant, one: Grant) -> bool:
    """Whether another machine speaks: by hardware address where both have one, else by name."""
    if held.mac and one.mac:
        return held.mac != one.mac
    return bool(held.host and one.host) and held.host.lower() != one.host.lower()


def _host(text: str | None) -> str:
    return (text or "").strip().rstrip(".")


def _time(text: str | None) -> int:
    return parse_iso(text, UTC) if text else NO_TIME


def _end(text: str | None) -> int:
    """The moment after the end that a log names: its last second still belongs to the lease."""
    if text == "never":
        return FOREVER
    time = _time(text)
    return time if time == NO_TIME or time % _SECOND else time + _SECOND


def _column(table: EventTable, names: Sequence[str]) -> list[str | None]:
    """Per row the first of some columns that has a value."""
    out: list[str | None] = [None] * table.row_count
    for name in names:
        column = table.columns.get(name) or table.fields.get(name)
        if column is None:
            continue
        for row, code in enumerate(column.dense(table.row_count).tolist()):
            if code >= 0 and out[row] is None:
                out[row] = str(column.values[code])
    return out

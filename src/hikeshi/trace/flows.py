"""Who talked to which outside destination: flows of all logs under the machines' names.

A proxy hides its clients from the firewall: a firewall flow that leaves from the proxy is given
to the client whose request to the same address ended at about the same time.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hikeshi.model.evidence import RecordRef
from hikeshi.trace.identity import Identity
from hikeshi.trace.network import is_address, public
from hikeshi.trace.rows import MINUTE, SECOND, TextColumn, text_column

Array = npt.NDArray[Any]
Texts = dict[str, TextColumn]
Numbers = dict[str, Array]
_INSIDE_SUFFIXES = (".local", ".lan", ".internal", ".intra", ".corp", ".home.arpa", ".in-addr.arpa", ".ip6.arpa")


@dataclass(slots=True)
class Talk:
    """One client and one outside destination, all logs together."""

    client: str
    destination: str
    ips: set[str] = field(default_factory=set)
    ports: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    programs: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    count: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    largest: int = 0
    first: int = 2**62
    last: int = -(2**62)
    times: list[int] = field(default_factory=list)
    refs: list[tuple[int, RecordRef]] = field(default_factory=list)
    upload_refs: list[tuple[int, RecordRef]] = field(default_factory=list)

    def records(self) -> tuple[RecordRef, ...]:
        chosen = (
            sorted(self.upload_refs, key=lambda r: (-r[0], str(r[1])))[:5]
            + sorted(self.refs, key=lambda r: (r[0], str(r[1])))[:5]
        )
        return tuple(dict.fromkeys(ref for _, ref in chosen))


class Flows:
    """Talks by client and by destination. `inside` are the machines' own domains."""

    def __init__(self, table: pa.Table, who: Identity) -> None:
        self.talks: dict[tuple[str, str], Talk] = {}
        self.clients_of: dict[str, set[str]] = defaultdict(set)
        self.first_of: dict[str, int] = {}
        self.of_client: dict[str, list[Talk]] = defaultdict(list)
        self.denied: dict[tuple[str, str], int] = defaultdict(int)
        self.proxies: set[str] = set()
        self.has: set[str] = set()
        if table.num_rows:
            self._read(table, who)

    def _read(self, table: pa.Table, who: Identity) -> None:
        texts = {
            n: text_column(table.column(n))
            for n in ("kind", "client", "user", "destination", "ip", "port", "program", "path", "sha256")
        }
        numbers = {
            n: table.column(n).to_numpy()
            for n in ("count", "bytes_out", "bytes_in", "largest", "first", "last", "first_place", "largest_place")
        }
        lines = table.column("lines").to_numpy(zero_copy_only=False)
        times = table.column("times").combine_chunks()
        if isinstance(times, pa.ChunkedArray):
            times = times.chunk(0)
        offsets, seconds = times.offsets.to_numpy(), times.values.to_numpy()
        outside_name = [_outside_name(v, who) for v in texts["destination"].values]
        outside_ip = [public(v) for v in texts["ip"].values]
        order = np.lexsort((numbers["first_place"], texts["path"].codes, numbers["first"]))
        names_of_ip: dict[str, set[str]] = defaultdict(set)
        rows = []
        for row in order.tolist():
            name_code, ip_code = texts["destination"].codes[row], texts["ip"].codes[row]
            kind = texts["kind"].at(row)
            self.has.add(kind)
            if (
                (name_code >= 0 and not outside_name[name_code])
                or (ip_code >= 0 and not outside_ip[ip_code])
                or (name_code < 0 and ip_code < 0)
            ):
                continue
            rows.append(row)
            if name_code >= 0 and ip_code >= 0 and kind in ("proxy", "process"):
                names_of_ip[texts["ip"].at(row)].add(texts["destination"].at(row))
        self.names_of_ip = names_of_ip
        self.proxies = self._find_proxies(rows, texts, names_of_ip)
        hidden = []
        for row in rows:
            client_text = texts["client"].at(row)
            if not client_text:
                continue
            if client_text in self.proxies and texts["kind"].at(row) == "firewall":
                hidden.append(row)
                continue
            destination = texts["destination"].at(row) or texts["ip"].at(row)
            named = names_of_ip.get(destination)
            if named and len(named) == 1:
                destination = next(iter(named))
            client = who.at(client_text, int(numbers["first"][row]))
            self._add(client, destination, row, texts, numbers, lines, seconds[offsets[row] : offsets[row + 1]])
        self._give_to_clients(hidden, texts, numbers, lines)
        for talk in self.talks.values():
            talk.times.sort()
            self.of_client[talk.client].append(talk)
            self.clients_of[talk.destination].add(talk.client)
            self.first_of[talk.destination] = min(self.first_of.get(talk.destination, 2**62), talk.first)

    def _find_proxies(self, rows: list[int], texts: Texts, names: dict[str, set[str]]) -> set[str]:
        """Addresses that the firewall sees go where many proxy clients asked to go."""
        goals: dict[str, set[str]] = defaultdict(set)
        clients: set[str] = set()
        for row in rows:
            if texts["kind"].at(row) == "proxy":
                clients.add(texts["client"].at(row))
            elif texts["kind"].at(row) == "firewall" and texts["ip"].at(row) in names:
                goals[texts["client"].at(row)].add(texts["ip"].at(row))
        return {c for c, seen in goals.items() if c not in clients and len(seen) >= 1}

    def _add(
        self, client: str, destination: str, row: int, texts: Texts, numbers: Numbers, lines: Array, seconds: Array
    ) -> None:
        kind = texts["kind"].at(row)
        if kind == "denied":
            self.denied[client, destination] += int(numbers["count"][row])
            return
        talk = self.talks.setdefault((client, destination), Talk(client, destination))
        for group, name in ((talk.ips, "ip"), (talk.ports, "port"), (talk.programs, "program"), (talk.users, "user")):
            value = texts[name].at(row)
            if value:
                group.add(value)
        talk.kinds.add(kind)
        talk.first, talk.last = min(talk.first, int(numbers["first"][row])), max(talk.last, int(numbers["last"][row]))
        if kind == "dns":
            return  # a question is no connection: it neither counts nor carries bytes
        talk.count += int(numbers["count"][row])
        talk.bytes_out += int(numbers["bytes_out"][row])
        talk.bytes_in += int(numbers["bytes_in"][row])
        largest = int(numbers["largest"][row])
        talk.largest = max(talk.largest, largest)
        talk.times.extend(int(s) for s in seconds)
        is_line = bool(lines[row])
        talk.refs.append((int(numbers["first"][row]), _ref(texts, row, int(numbers["first_place"][row]), is_line)))
        if largest:
            talk.upload_refs.append((largest, _ref(texts, row, int(numbers["largest_place"][row]), is_line)))

    def _give_to_clients(self, hidden: list[int], texts: Texts, numbers: Numbers, lines: Array) -> None:
        by_ip: dict[str, list[Talk]] = defaultdict(list)
        for talk in self.talks.values():
            for ip in talk.ips:
                by_ip[ip].append(talk)
        for row in hidden:
            ip = texts["ip"].at(row)
            talks = by_ip.get(ip, [])
            start, end = int(numbers["first"][row]) - 5 * MINUTE, int(numbers["last"][row]) + 5 * MINUTE
            near = [t for t in talks if any(start <= s * SECOND <= end for s in t.times)] or talks
            if len({t.client for t in near}) != 1:
                continue
            talk = near[0]
            sent, largest = int(numbers["bytes_out"][row]), int(numbers["largest"][row])
            # The proxy's own figure, where it has one, is the same bytes seen from inside.
            if "proxy" in talk.kinds and talk.bytes_out >= sent:
                continue
            talk.bytes_out += sent
            talk.bytes_in += int(numbers["bytes_in"][row])
            talk.largest = max(talk.largest, largest)
            talk.upload_refs.append((largest, _ref(texts, row, int(numbers["largest_place"][row]), bool(lines[row]))))


def _outside_name(name: str, who: Identity) -> bool:
    if is_address(name):
        return public(name)
    if who.own_name(name):
        return False
    return "." in name and not name.endswith(_INSIDE_SUFFIXES)


def _ref(texts: Texts, row: int, place: int, is_line: bool) -> RecordRef:
    return RecordRef(
        texts["path"].at(row),
        texts["sha256"].at(row),
        record_id=place if place >= 0 and not is_line else None,
        line=place if place >= 0 and is_line else None,
    )

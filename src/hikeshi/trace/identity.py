"""Which machine an address was, and which account a spelling means.

Names come from the machine's own records (its address in its connections), from machine
accounts that sign on, from DHCP and firewalls, and last from what a client claims. Addresses
move between machines, so the nearest observation in time decides. An address the VPN had
lent out is the outsider's, whatever name the client claims.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hikeshi.trace.joining import names_of_addresses
from hikeshi.trace.network import is_address, public
from hikeshi.trace.outside import address_values, public_values
from hikeshi.trace.rows import DAY, HOUR, SECOND, Rows, text_column
from hikeshi.trace.slices import groups

_NAME = re.compile(r"[^\s\\/:*?\"<>|]{1,63}\Z")


@dataclass(frozen=True, slots=True)
class Lease:
    """An address inside that the VPN lent to an account, from outside address `source`."""

    address: str
    start: int
    end: int
    account: str
    source: str
    row: int


def host_name(written: str) -> str:
    """Short upper-case machine name; addresses stay as they are."""
    text = written.strip().strip("\\").rstrip("$")
    if is_address(text):
        return text.lower()
    return text.split(".", 1)[0].upper()[:63]


def account_name(written: str) -> str:
    """Lower case without domain: KAEDE\\T.Mori and t.mori@kaede.example are t.mori."""
    text = written.strip().rsplit("\\", 1)[-1]
    return text.split("@", 1)[0].lower()[:256]


class Identity:
    """Looks up machines by address and time; made once from all kept records."""

    def __init__(self, rows: Rows, flows: pa.Table | None = None, spans: pa.Table | None = None) -> None:
        """`logged` are the machines whose own records are there, `domains` their domains."""
        self.leases = _leases(rows)
        self._lease_of: dict[str, list[Lease]] = defaultdict(list)
        for lease in self.leases:
            self._lease_of[lease.address].append(lease)
        self._seen: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
        self._addresses: dict[str, set[str]] = defaultdict(set)
        self._networks: set[str] = set()  # networks in which machines of ours are known
        self.claims: dict[str, tuple[str, ...]] = {}  # names told only by their bearers, not believed
        written = set(rows.texts["host"].values)
        if spans is not None and spans.num_rows:
            written.update(text_column(spans.column("host")).values)
        self.logged = {host_name(h) for h in written}
        self.domains = {h.split(".", 1)[1].lower() for h in written if h.count(".") >= 2 and not is_address(h)}
        self._learn(rows)
        if flows is not None and flows.num_rows:
            self._learn_destinations(flows)
        self._drop_claims(rows)
        lent = {lease.address for lease in self.leases}
        for address, name in names_of_addresses(rows, host_name, account_name, set(self._seen) | lent).items():
            self._seen[address].append((0, name, 2))
            self._addresses[name].add(address)
        for seen in self._seen.values():
            seen.sort()
        self._single = {a: s[0][1] for a, s in self._seen.items() if len({n for _, n, _ in s}) == 1}

    def _learn(self, rows: Rows) -> None:
        for row in _telling(rows).tolist():
            address, kind = rows.text("source", row), rows.text("kind", row)
            if not address or not is_address(address) or public(address):
                continue
            claimed, weight = "", 1
            if kind == "own_address":
                claimed, weight = rows.text("host", row), 4
            elif kind in ("machine_logon", "ticket"):
                account = rows.text("account", row)
                if not account.endswith("$"):
                    continue
                claimed, weight = account, 4
            elif kind == "address_name":
                claimed, weight = rows.text("source_name", row), 3
            else:
                claimed = rows.text("source_name", row)
                if host_name(claimed) == host_name(rows.text("host", row)):
                    continue
            name = host_name(claimed)
            if not name or is_address(name) or not _NAME.match(name):
                continue
            seen = self._seen[address]
            time = int(rows.time[row])
            # One observation an hour is enough; a client's claim counts for less than a machine's own.
            if not seen or seen[-1][1:] != (name, weight) or time - seen[-1][0] > HOUR:
                seen.append((time, name, weight))
                if weight > 1:
                    self._addresses[name].add(address)

    def _drop_claims(self, rows: Rows) -> None:
        """A name that only its bearer tells is not believed where nothing of ours is known: an attacker's
        own machine claims one too. Known are names of our logs, and networks in which machines are known."""
        sure = {a for a, seen in self._seen.items() if any(w >= 3 for _, _, w in seen)}
        networks = {_network(a) for a in sure}
        known = {n for seen in self._seen.values() for _, n, w in seen if w >= 3} | self.logged
        known |= {host_name(v) for v in rows.texts["account"].values if v.endswith("$")}
        self._networks = networks
        if not networks:
            return
        for address, seen in list(self._seen.items()):
            if address in sure or _network(address) in networks:
                continue
            kept = [s for s in seen if s[1] in known]
            if kept:
                self._seen[address] = kept
            else:
                del self._seen[address]
                self.claims[address] = tuple(sorted({n for _, n, _ in seen}))

    def _learn_destinations(self, flows: pa.Table) -> None:
        """Machines named as destinations beside their inside address, as Sysmon does."""
        name, ip = (flows.column(n).unify_dictionaries().combine_chunks() for n in ("destination", "ip"))
        name, ip = (c.chunk(0) if isinstance(c, pa.ChunkedArray) else c for c in (name, ip))
        inside = np.append(address_values(ip.dictionary) & ~public_values(ip.dictionary), False)
        name_codes = name.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        ip_codes = ip.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        both = np.flatnonzero((name_codes >= 0) & inside[ip_codes])
        if not len(both):
            return
        room = len(ip.dictionary)
        first = flows.column("first").to_numpy()[both]
        pairs, group = np.unique(name_codes[both] * room + ip_codes[both], return_inverse=True)
        earliest = np.full(len(pairs), 2**62, dtype=np.int64)
        np.minimum.at(earliest, group.reshape(-1), first)
        names = name.dictionary.take(pa.array(pairs // room)).to_pylist()
        addresses = ip.dictionary.take(pa.array(pairs % room)).to_pylist()
        for written, address, time in sorted(zip(names, addresses, earliest.tolist(), strict=True)):
            machine = host_name(written)
            if is_address(written) or not _NAME.match(machine):
                continue
            if not (self.own_name(written) or machine in self.logged):
                continue
            self._seen[address].append((time, machine, 3))
            self._addresses[machine].add(address)

    def lease(self, address: str, time: int) -> Lease | None:
        """Who had this VPN address then."""
        for lease in self._lease_of.get(address, ()):
            if lease.start - 5 * SECOND <= time <= lease.end:
                return lease
        return None

    def lent(self, address: str) -> bool:
        """Whether the VPN ever lent this address out."""
        return address in self._lease_of

    def at(self, address: str, time: int) -> str:
        """The machine that had this address at that time; the address itself when nobody says."""
        if not is_address(address):
            return host_name(address)
        if address in self._single and not self.lent(address):
            return self._single[address]
        seen = self._seen.get(address)
        if not seen or self.lent(address):
            return address
        best = max(w for _, _, w in seen)
        seen = [s for s in seen if s[2] == best] or seen
        place = bisect_right(seen, (time, "\U0010ffff", 9))
        before, after = seen[max(place - 1, 0)], seen[min(place, len(seen) - 1)]
        return before[1] if abs(time - before[0]) <= abs(after[0] - time) else after[1]

    def at_times(self, address: str, times: npt.NDArray[np.int64]) -> tuple[list[str], npt.NDArray[np.int64]]:
        """`at` for many times: (names, which of them at each time)."""
        known = self.steady(address)
        if known is not None:
            return [known], np.zeros(len(times), dtype=np.int64)
        seen = self._seen[address]
        best = max(w for _, _, w in seen)
        seen = [s for s in seen if s[2] == best]
        moments = np.array([s[0] for s in seen], dtype=np.int64)
        place = np.searchsorted(moments, times, "right")
        before, after = np.maximum(place - 1, 0), np.minimum(place, len(seen) - 1)
        nearer = np.abs(times - moments[before]) <= np.abs(moments[after] - times)
        return [s[1] for s in seen], np.where(nearer, before, after).astype(np.int64)

    def steady(self, address: str) -> str | None:
        """The machine of an address that never moved; None where time matters."""
        if not is_address(address):
            return host_name(address)
        if self.lent(address):
            return address
        if address in self._single:
            return self._single[address]
        return address if address not in self._seen else None

    def ours(self, address: str) -> bool:
        """Whether an inside address is a machine's of ours: named, or beside named ones (in the same /24)."""
        if not is_address(address) or address in self._seen:
            return True
        return not self._networks or _network(address) in self._networks

    def knows(self, host: str) -> bool:
        """Whether any log tells of a machine of this name."""
        return host in self.logged or host in self._addresses

    def own_name(self, name: str) -> bool:
        """Whether a full name lies in a domain our machines belong to."""
        return any(name.lower().endswith("." + d) for d in self.domains)

    def addresses(self, host: str) -> tuple[str, ...]:
        if is_address(host):
            return (host,)
        return tuple(sorted(self._addresses.get(host, ()), key=lambda a: (":" in a, a)))


def _network(address: str) -> str:
    """The /24 of an IPv4 address, the /64 of an IPv6 one."""
    return str(ipaddress.ip_network(f"{address.split('%')[0]}/{64 if ':' in address else 24}", strict=False))


def _telling(rows: Rows) -> npt.NDArray[np.int64]:
    """Rows that set an address beside a name, the first of each such pair an hour."""
    chosen = rows.of("own_address", "machine_logon", "ticket", "address_name", "logon", "rdp_session", "inbound")
    texts = rows.texts
    kind, types = texts["kind"], texts["logon_type"]
    source, named, account = (texts[n].codes[chosen] for n in ("source", "source_name", "account"))
    by_account = np.array([k in ("machine_logon", "ticket") for k in kind.values] + [False])[kind.codes[chosen]]
    by_host = np.array([k == "own_address" for k in kind.values] + [False])[kind.codes[chosen]]
    # For an interactive logon Windows writes its own name as the workstation.
    network = np.array([t == "3" for t in types.values] + [False])[types.codes[chosen]]
    is_logon = np.array([k == "logon" for k in kind.values] + [False])[kind.codes[chosen]]
    telling = (source >= 0) & (by_account | by_host | ((named >= 0) & (~is_logon | network)))
    chosen = np.asarray(chosen[telling], dtype=np.int64)
    if not len(chosen):
        return chosen
    number, _ = groups(
        [
            source[telling],
            np.where(by_account, account, named)[telling],
            kind.codes[chosen],
            texts["host"].codes[chosen],
            rows.time[chosen] // HOUR,
        ]
    )
    out: npt.NDArray[np.int64] = np.sort(chosen[np.unique(number, return_index=True)[1]])
    return out


def _leases(rows: Rows) -> list[Lease]:
    """VPN sessions with an address; without an end they last until the next lease, at most a day."""
    open_: dict[str, tuple[int, str, str, int]] = {}
    out: list[Lease] = []

    def close(address: str, end: int) -> None:
        start, account, source, row = open_.pop(address)
        out.append(Lease(address, start, min(end, start + DAY), account, source, row))

    for row in rows.of("vpn_up", "vpn_down").tolist():
        address, time = rows.text("target", row), int(rows.time[row])
        account, source = account_name(rows.text("account", row)), rows.text("source", row)
        if rows.text("kind", row) == "vpn_up":
            if not address:
                continue
            if address in open_:
                if open_[address][1:3] == (account, source):
                    continue
                close(address, time)
            open_[address] = (time, account, source, row)
            continue
        for held in [a for a, o in open_.items() if a == address or (not address and o[1:3] == (account, source))]:
            close(held, time + 60 * SECOND)
    for address in list(open_):
        close(address, open_[address][0] + DAY)
    return sorted(out, key=lambda lease: (lease.start, lease.address))

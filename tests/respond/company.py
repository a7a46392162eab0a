"""A generated company: 2,000 clients, 30 days of proxy, firewall, DNS and DHCP logs, an attacker, and the truth.

Deterministic and streaming: `records()` yields one day after the other; the log writers and the brute-force
counts of the tests read the same records. Names and addresses are reserved for documentation.

    squid native      proxy/access.log.DAY
    FortiGate         firewall/traffic.DAY.log
    BIND queries      dns/query.DAY.log
    Windows DHCP      dhcp/DhcpSrvLog.DAY.log
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import numpy as np

JST = timezone(timedelta(hours=9))
PROXY = "10.0.0.10"
MAIL_SERVER = "10.0.0.25"
DNS_SERVER = "10.0.0.53"
C2_NAME, C2_ADDRESS = "cdn-metrics.bad.example", "198.51.100.99"
C2_IP = "203.0.113.66"
C2_URL = "http://files.share.example/u/9f/drop.php"
NEAR_MISS = "notcdn-metrics.bad.example"


class Record(NamedTuple):
    """One line of a log. `t` is UTC seconds; `allowed` what the device did."""

    kind: str  # proxy, firewall, dns
    t: int
    host: str
    client: str
    user: str
    name: str
    ip: str
    port: int
    url: str
    allowed: bool
    sent: int
    got: int


class Lease(NamedTuple):
    t: int
    code: int  # 10 assigned, 12 released
    address: str
    host: str


@dataclass
class Company:
    """`clients`, `days` and `seed` decide everything else."""

    clients: int = 2000
    days: int = 30
    seed: int = 11
    per_day: int = 9  # proxy requests of a client on a working day
    start: datetime = datetime(2026, 10, 1, tzinfo=JST)
    block_day: int = 24
    infected: tuple[str, ...] = ()
    late: str = ""  # infected too, but seen only by what the block refuses
    bypass_listed: str = ""  # goes beside the proxy to the command server's address
    bypass_other: str = ""  # goes beside the proxy to an unlisted place
    places: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        chosen = rng.choice(self.clients, 14, replace=False)
        names = [self.name(int(n)) for n in chosen]
        self.infected, self.late = tuple(sorted(names[:12])), names[12]
        self.bypass_listed, self.bypass_other = self.infected[3], names[13]
        self.places = [(f"www{n}.site{n % 40}.example", f"192.0.2.{n % 250 + 1}") for n in range(250)]
        # Two business systems.
        self.places[3], self.places[7] = ("order.partner.example", "192.0.2.40"), ("pay.bank.example", "192.0.2.80")

    @staticmethod
    def name(number: int) -> str:
        return f"pc-{number:04}"

    @property
    def blocked_at(self) -> int:
        return int((self.start + timedelta(days=self.block_day, hours=10)).timestamp())

    def working(self, day: int) -> bool:
        return (self.start + timedelta(days=day)).weekday() < 5

    def addresses(self, day: int, half: int) -> list[str]:
        """Each client's address in the morning (0) or afternoon (1): drawn anew, so that an infected machine's
        address belongs to somebody else soon after."""
        order = np.random.default_rng((self.seed, day, half)).permutation(self.clients)
        return [f"10.8.{n // 250}.{n % 250 + 1}" for n in order.tolist()]

    def leases(self, day: int) -> Iterator[Lease]:
        if not self.working(day):
            return
        base = int((self.start + timedelta(days=day)).timestamp())
        for half, hour in ((0, 8), (1, 13)):
            for number, address in enumerate(self.addresses(day, half)):
                yield Lease(base + hour * 3600 + number % 600, 10, address, self.name(number))
            # Only some give it back; the others' leases end when the next machine gets the address.
            for number, address in enumerate(self.addresses(day, half)):
                if number % 3 == 0:
                    yield Lease(base + (hour + 4) * 3600 + 900 + number % 300, 12, address, self.name(number))

    def records(self, day: int) -> Iterator[Record]:
        """A day's records in no particular order."""
        if not self.working(day):
            return
        rng = np.random.default_rng((self.seed, day, 9))
        base = int((self.start + timedelta(days=day)).timestamp())
        leased = (self.addresses(day, 0), self.addresses(day, 1))

        def at(second: int, number: int) -> str:
            return leased[0 if second < 13 * 3600 else 1][number]

        def moment() -> int:  # 8:15 to 11:59 or 13:15 to 16:59
            second = int(rng.integers(0, 2 * 13_500))
            return 8 * 3600 + 900 + second if second < 13_500 else 13 * 3600 + 900 + second - 13_500

        count = self.clients * self.per_day
        seconds = rng.integers(0, 27_000, count)
        seconds = np.where(seconds < 13_500, 29_700 + seconds, 47_700 + seconds - 13_500).tolist()
        which = (rng.pareto(1.2, count) * 4).astype(int) % len(self.places)
        got = rng.integers(200, 60_000, count).tolist()
        refused = rng.random(count) < 0.01
        for i, (second, place) in enumerate(zip(seconds, which.tolist(), strict=True)):
            number = i % self.clients
            name, ip = self.places[place]
            client = at(second, number)
            yield Record("proxy", base + second, self.name(number), client, f"user{number:04}", name, ip, 443,
                         f"{name}:443", not refused[i], 0, got[i])
            if i % 4 == 0:
                yield Record("dns", base + second - 1, self.name(number), client, "", name, "", 53, "", True, 0, 0)
            if i % 5 == 0:  # what the firewall sees of it: the proxy
                yield Record("firewall", base + second, PROXY, PROXY, "", "", ip, 443, "", True, 900, got[i])
        for number in range(0, self.clients, 40):  # a name that only looks like it, and the listed name in a query
            second = moment()
            yield Record("proxy", base + second, self.name(number), at(second, number), f"user{number:04}", NEAR_MISS,
                         "192.0.2.251", 80, f"http://{NEAR_MISS}/", True, 0, 900)
            second = moment()
            yield Record("proxy", base + second, self.name(number), at(second, number), f"user{number:04}",
                         "search.site1.example", "192.0.2.2", 80, f"http://search.site1.example/?q={C2_NAME}", True, 0,
                         900)
            second = moment()
            yield Record("proxy", base + second, self.name(number), at(second, number), f"user{number:04}",
                         "files.share.example", "192.0.2.252", 80, "http://files.share.example/u/9f/drop.phpx", True, 0,
                         900)
        for _ in range(20):  # the mail server goes out by itself, as it should
            second = moment()
            yield Record("firewall", base + second, MAIL_SERVER, MAIL_SERVER, "", "", "192.0.2.253", 25, "", True, 4000,
                         500)
        yield from self._attack(day, base, rng, at)

    def _attack(self, day: int, base: int, rng: np.random.Generator, at: object) -> Iterator[Record]:
        for host in self.infected if day >= 12 else ():
            number = int(host[3:])
            for second in range(29_700 + number % 600, 61_000, 1800):
                if 43_200 <= second < 47_700:
                    continue  # between two leases
                client, t = at(second, number), base + second  # type: ignore[operator]
                open_ = t < self.blocked_at
                kind = number % 3
                if kind == 0:
                    yield Record("proxy", t, host, client, f"user{number:04}", C2_NAME, C2_ADDRESS, 443,
                                 f"{C2_NAME}:443", open_, 0, 400)
                elif kind == 1:
                    yield Record("proxy", t, host, client, f"user{number:04}", "", C2_IP, 443, f"{C2_IP}:443", open_, 0,
                                 400)
                else:
                    yield Record("proxy", t, host, client, f"user{number:04}", "files.share.example", "192.0.2.252", 80,
                                 f"{C2_URL}?id={number}", open_, 0, 400)
                if kind == 0:
                    yield Record("dns", t - 1, host, client, "", C2_NAME, "", 53, "", True, 0, 0)
        after = day > self.block_day
        if after:
            number = int(self.late[3:])
            for second in (30_000, 34_000, 50_000):
                yield Record("proxy", base + second, self.late, at(second, number), f"user{number:04}",  # type: ignore[operator]
                             f"a.{C2_NAME}", "", 443, f"a.{C2_NAME}:443", False, 0, 0)
            for host, ip, port in ((self.bypass_listed, C2_ADDRESS, 443), (self.bypass_other, "203.0.113.200", 8443)):
                number = int(host[3:])
                for second in (31_000, 36_000, 51_000):
                    yield Record("firewall", base + second, host, at(second, number), "", "", ip, port, "", True, 7000,  # type: ignore[operator]
                                 300)
        # Near misses: refused beside the proxy; allowed, but before the block; time service, allowed by the plan.
        for number, ip, port, allowed, when in ((100, "203.0.113.201", 443, False, after), (200, "203.0.113.202", 443, True, day < 20),
                                                (300, "192.0.2.123", 123, True, True)):
            if when:
                yield Record("firewall", base + 33_000, self.name(number), at(33_000, number), "", "", ip, port, "", allowed,  # type: ignore[operator]
                             76, 76)

    def write(self, folder: Path, days: range | None = None) -> None:
        """The logs as their devices write them, one file a day and device."""
        for name in ("proxy", "firewall", "dns", "dhcp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for day in days or range(self.days):
            if not self.working(day):
                continue
            lines: dict[str, list[tuple[int, str]]] = {"proxy": [], "firewall": [], "dns": []}
            for record in self.records(day):
                lines[record.kind].append((record.t, _LINES[record.kind](record)))
            for kind, name in (("proxy", f"access.log.{day + 1:02}"), ("firewall", f"traffic.{day + 1:02}.log"),
                               ("dns", f"query.{day + 1:02}.log")):
                rows = sorted(lines[kind])
                (folder / kind / name).write_text("".join(line for _, line in rows), "ascii")
            (folder / "dhcp" / f"DhcpSrvLog.{day + 1:02}.log").write_text(_DHCP_HEAD + "".join(
                _dhcp(entry) for entry in sorted(self.leases(day))), "ascii")


def _squid(r: Record) -> str:
    method = "CONNECT" if "://" not in r.url else "GET"
    result = ("TCP_TUNNEL/200" if method == "CONNECT" else "TCP_MISS/200") if r.allowed else "TCP_DENIED/403"
    peer = f"HIER_DIRECT/{r.ip}" if r.allowed and r.ip else "HIER_NONE/-"
    return f"{r.t}.{r.t * 7 % 1000:03} 120 {r.client} {result} {r.got} {method} {r.url} {r.user} {peer} -\n"


def _fortigate(r: Record) -> str:
    local = datetime.fromtimestamp(r.t, JST)
    return (f'date={local:%Y-%m-%d} time={local:%H:%M:%S} devname="FW-01" devid="FGT60F0000000001" '
            f'eventtime={r.t}000000000 tz="+0900" logid="0000000013" type="traffic" subtype="forward" level="notice" '
            f'vd="root" srcip={r.client} srcport=50000 dstip={r.ip} dstport={r.port} proto=6 '
            f'action="{"close" if r.allowed else "deny"}" policyid={4 if r.allowed else 0} sentbyte={r.sent} '
            f"rcvdbyte={r.got}\n")


def _bind(r: Record) -> str:
    local = datetime.fromtimestamp(r.t, JST)
    return (f"{local:%d-%b-%Y %H:%M:%S}.000 client @0x7f10 {r.client}#5353 ({r.name}): query: {r.name} IN A +E(0) "
            f"({DNS_SERVER})\n")


_LINES = {"proxy": _squid, "firewall": _fortigate, "dns": _bind}
_DHCP_HEAD = ("\t\tMicrosoft DHCP Service Activity Log\n\n\nEvent ID  Meaning\n10\tA new IP address was leased to a client.\n"
              "12\tA lease was released by a client.\n\n"
              "ID,Date,Time,Description,IP Address,Host Name,MAC Address,User Name, TransactionID, QResult,Probationtime, "
              "CorrelationID,Dhcid,VendorClass(Hex),VendorClass(ASCII),UserClass(Hex),UserClass(ASCII),"
              "RelayAgentInformation,DnsRegError.\n")


def _dhcp(entry: Lease) -> str:
    local = datetime.fromtimestamp(entry.t, JST)
    word = {10: "Assign", 12: "Release"}[entry.code]
    return (f"{entry.code},{local:%m/%d/%y},{local:%H:%M:%S},{word},{entry.address},{entry.host.upper()}.corp.example,"
            f"A4BB6D00{entry.host[3:]},,1,0,,,,,,,,,0\n")


def utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

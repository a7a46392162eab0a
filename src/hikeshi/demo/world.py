"""The company of the worked incidents: machines, people, addresses, and their evidence.

Kaede is invented: domain KAEDE (kaede.example), zone Asia/Tokyo, 60 clients, 12 servers. Outside
addresses come from the documentation ranges, outside names end in .example. Same seed, same world.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import TypeVar
from zlib import crc32

from hikeshi.demo import logs
from hikeshi.demo.evidence_set import EvidenceSet, TextLog
from hikeshi.events.time import from_datetime, to_datetime

SHOWN_SEED = 7
_T = TypeVar("_T")
DOMAIN, DNS_DOMAIN = "KAEDE", "kaede.example"
SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
_DOMAIN_SID = "S-1-5-21-1804289383-846930886-1681692777"
PROXY, FIREWALL_LAN = "10.20.1.250", "10.20.0.1"
FORTIGATE, SQUID, IIS, AUTH = "fortigate", "squid", "iis", "auth"

_FAMILY = (
    "sato", "suzuki", "takahashi", "tanaka", "ito", "watanabe", "yamamoto", "nakamura", "kobayashi", "kato", "yoshida",
    "yamada", "sasaki", "matsumoto", "inoue", "kimura", "hayashi", "shimizu", "saito", "mori", "abe", "ikeda",
    "hashimoto", "ishikawa", "ogawa", "okada", "goto", "hasegawa", "fujita", "endo")
_GIVEN = ("akira", "haruka", "kenji", "mayumi", "naoki", "reiko", "shinji", "takashi", "yuki", "yuko")
DEPARTMENTS = ("営業部", "経理部", "総務部", "設計部", "製造部", "品質保証部")

# name, last number of the address, Sysmon installed
_SERVERS = (
    ("DC01", 11, False), ("DC02", 12, False), ("FS01", 21, True), ("FS02", 22, False), ("BK01", 25, False),
    ("RDS01", 31, True), ("APP01", 32, False), ("SQL01", 33, False), ("MAIL01", 35, False), ("JUMP01", 41, False),
)
CLIENTS_WITH_LOGS = ("PC-A004", "PC-A011", "PC-A014", "PC-A022", "PC-A031", "PC-B005", "PC-B012", "PC-B020")
POOL = "IIS APPPOOL\\PortalPool"
ADMINS = ("adm-sato", "adm-kobayashi", "svc_backup", "svc_deploy")


@dataclass(frozen=True, slots=True)
class Host:
    name: str
    address: str
    role: str  # dc, server, client, linux
    sysmon: bool = False

    @property
    def fqdn(self) -> str:
        return f"{self.name}.{DNS_DOMAIN}"


@dataclass(frozen=True, slots=True)
class User:
    account: str
    department: str
    computer: str
    sid: str


class World:
    """One company in one week, with the evidence it gathers.

    `first` is the local day the logs begin, `end` the local moment the evidence was taken.
    Random streams are named, so that a change in one part leaves the others alone.
    """

    def __init__(self, name: str, seed: int, *, first: date, end: datetime) -> None:
        self._seed, self._name = seed, name
        self.first, self.start = first, self._local(first, "00:00")
        self.end = from_datetime(end.replace(tzinfo=logs.JST))
        self.hosts = _hosts()
        self.users = _users()
        self.by_account = {u.account: u for u in self.users}
        self.sids = {u.account: u.sid for u in self.users} | {
            account: f"{_DOMAIN_SID}-{1101 + n}" for n, account in enumerate(ADMINS)}
        self.sids[POOL] = "S-1-5-82-2303746894-2541478651-2148229317-3112512316-1714321236"
        self.local_sids: dict[tuple[str, str], str] = {}
        self.evidence = EvidenceSet(self.random("record ids"), DNS_DOMAIN)
        for host in self.hosts.values():
            if host.role == "client" and host.name not in CLIENTS_WITH_LOGS:
                self.evidence.withhold(host.name)
        self._ids = self.random("logon ids")
        self._logon_id = self._ids.randrange(0x40000, 0x90000)
        self._session = 100_000
        self._describe_logs()

    def random(self, purpose: str) -> Random:
        """A stream of its own for each purpose; text seeds don't depend on Python's hash seed."""
        return Random(f"{self._seed}/{self._name}/{purpose}")

    def cast(self, role: str, *options: _T) -> _T:
        """Who plays a role in the attack: the first option in the incident we show, any with other seeds."""
        return options[0] if self._seed == SHOWN_SEED else self.random("cast " + role).choice(options)

    def _local(self, day: date, clock: str) -> int:
        moment = datetime.fromisoformat(f"{day.isoformat()}T{clock}").replace(tzinfo=logs.JST)
        return from_datetime(moment)

    def at(self, day: int, clock: str) -> int:
        """Microseconds UTC of a local time; `day` counts from the first day of the logs.

        A clock with seconds gets a fraction of its own: nothing happens on the full second.
        """
        fraction = crc32(f"{day} {clock}".encode()) % SECOND if clock.count(":") == 2 else 0
        return self._local(self.first + timedelta(days=day), clock) + fraction

    def days(self) -> range:
        return range((self.end - self.start) // DAY + 1)

    def is_workday(self, day: int) -> bool:
        return (self.first + timedelta(days=day)).weekday() < 5

    def host(self, name: str) -> Host:
        return self.hosts[name]

    def name_of(self, address: str) -> str:
        return next((h.name for h in self.hosts.values() if h.address == address), "-")

    def sid(self, account: str, host: str | None = None) -> str:
        """The SID of a domain account, a machine account or, with `host`, a local account."""
        if account == "SYSTEM" or account.endswith("$"):
            return "S-1-5-18"
        if host and (host, account) in self.local_sids:
            return self.local_sids[host, account]
        return self.sids[account]

    def add_local_account(self, host: str, account: str) -> str:
        machine = 424238335 + sorted(self.hosts).index(host)
        sid = f"S-1-5-21-2714636915-1957747793-{machine}-{1001 + len(self.local_sids)}"
        self.local_sids[host, account] = sid
        return sid

    def next_logon_id(self) -> int:
        self._logon_id += self._ids.randrange(0x11, 0x2400)
        return self._logon_id

    def next_session(self) -> int:
        self._session += 7
        return self._session

    def _describe_logs(self) -> None:
        last_day = self._local_day(self.end - 1)

        def squid_name(time: int) -> str:
            age = (last_day - self._local_day(time)).days
            return "proxy/access.log" + ("" if age == 0 else f".{age}.gz" if age > 1 else ".1")

        self.evidence.text = {
            FORTIGATE: TextLog(lambda t: f"firewall/fortigate-{self._local_day(t):%Y%m%d}.log"),
            SQUID: TextLog(squid_name),
            IIS: TextLog(lambda t: f"web/W3SVC1/u_ex{to_datetime(t):%y%m%d}.log", logs.iis_header),
            AUTH: TextLog(lambda _: "linux/auth.log"),
        }

    def _local_day(self, time: int) -> date:
        return to_datetime(time).astimezone(logs.JST).date()


def _hosts() -> dict[str, Host]:
    hosts = [Host(name, f"10.20.1.{last}", "dc" if name.startswith("DC") else "server", sysmon)
             for name, last, sysmon in _SERVERS]
    hosts += [Host("WEB01", "10.20.30.11", "server", True), Host("LNX01", "10.20.1.61", "linux")]
    for group, net, count in (("A", 10, 39), ("B", 11, 21)):
        hosts += [Host(f"PC-{group}{n:03d}", f"10.20.{net}.{100 + n}", "client",
                       f"PC-{group}{n:03d}" in CLIENTS_WITH_LOGS) for n in range(1, count + 1)]
    return {h.name: h for h in hosts}


def _users() -> tuple[User, ...]:
    clients = [h.name for h in _hosts().values() if h.role == "client"]
    accounts: list[str] = []
    for number in range(len(clients)):
        family = _FAMILY[(number * 7 + 19) % len(_FAMILY)]
        given = _GIVEN[(number * 3 + 7 + number // len(_FAMILY)) % len(_GIVEN)]
        accounts.append(f"{given[0]}.{family}")
    unique = [a if accounts.index(a) == n else f"{a}{accounts[:n].count(a) + 1}" for n, a in enumerate(accounts)]
    return tuple(User(a, DEPARTMENTS[n % len(DEPARTMENTS)], clients[n], f"{_DOMAIN_SID}-{1201 + n}")
                 for n, a in enumerate(unique))

"""One incident while it happens: where the attacker sits, which accounts he has, what time it is."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from hikeshi.demo.evidence_set import Record
from hikeshi.demo.incidents.verbs import Verbs
from hikeshi.demo.truth import Story
from hikeshi.demo.world import CLIENTS_WITH_LOGS, MINUTE, SECOND, World

SERVERS = ("FS01", "FS02", "RDS01", "APP01", "SQL01", "MAIL01", "BK01")
_SID = "S-1-5-21-1804289383-846930886-1681692777"


class Incident:
    """`base` is the machine of ours he works from, `tunnel` an inside address of an outside machine."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.do = Verbs(world, name)
        self.story = Story(name)
        self.rng: Random = world.random("cast")
        rng = self.rng
        self.day = rng.choice((3, 4, 5))
        self.now = world.at(self.day, "00:20") + rng.randrange(150 * MINUTE)
        self.outside = f"203.0.113.{rng.randrange(11, 190)}"
        self.store = f"198.51.100.{rng.randrange(11, 190)}"
        self.admin, self.other_admin = rng.sample(("adm-sato", "adm-kobayashi"), 2)
        self.workstation = rng.choice(("DESKTOP-7KQ2", "WIN-8H2LMQ4P", "kali", "LAPTOP-0XJ3", "ADMIN-PC"))
        self.base = ""
        self.tunnel = ""
        self.account = ""
        self.session = 0x3E7
        self.free = [*rng.sample(SERVERS, len(SERVERS))]
        self.clients = [*rng.sample(CLIENTS_WITH_LOGS, len(CLIENTS_WITH_LOGS))]
        self.held: list[str] = []
        self.known: list[tuple[str, str, str]] = []  # what, value, why: what the company says is its own
        self.remarks: list[str] = ["会社の時刻帯 / Company time zone: Asia/Tokyo (JST, UTC+9)"]

    def wait(self, low_s: int = 120, high_s: int = 900) -> int:
        self.now += self.rng.randrange(low_s, high_s) * SECOND + self.rng.randrange(SECOND)
        return self.now

    def address(self, host: str) -> str:
        return self.world.host(host).address

    def take(self, host: str) -> str:
        """This machine has a part in the attack; nobody else gets it."""
        for group in (self.free, self.clients):
            if host in group:
                group.remove(host)
        return host

    def server(self) -> str:
        return self.take(self.free[0])

    def client(self) -> str:
        return self.take(self.clients[0])

    def hold(self, host: str, time: int, records: Iterable[Record]) -> None:
        self.story.host(host, time, list(records))
        if host not in self.held:
            self.held.append(host)

    def settle(self, host: str, account: str, session: int) -> None:
        self.base, self.account, self.session, self.tunnel = host, account, session, ""
        if host not in self.held:
            self.held.append(host)

    def run(self, image: str, command: str, parent: str, *, host: str = "", system: bool = False) -> list[Record]:
        """A program on the machine he sits on."""
        account, session = ("SYSTEM", 0x3E7) if system else (self.account, self.session)
        return self.do.process(host or self.base, account, session, self.wait(20, 90), image, command, parent)

    def add_account(self, name: str, *, domain: bool = True) -> str:
        if domain and name not in self.world.sids:
            self.world.sids[name] = f"{_SID}-{1400 + len(self.world.sids)}"
        return name

    def owner(self, client: str) -> str:
        return next(u.account for u in self.world.users if u.computer == client)

    @property
    def source(self) -> str:
        """What a log of the target names as the machine he comes from."""
        return self.base or self.tunnel or self.outside

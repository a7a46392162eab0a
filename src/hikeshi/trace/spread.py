"""By which method a session reached its destination, from all records that belong to the moment.

A network logon alone says nothing: files, printers and group policy all make them. A service,
task or command that starts on the destination in the same seconds says how it was used.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

from hikeshi.trace.identity import Identity, account_name, host_name
from hikeshi.trace.programs import file_name, remote_target
from hikeshi.trace.rows import MINUTE, SECOND, Rows
from hikeshi.trace.sessions import Session
from hikeshi.trace.signals import SIGNALS

# Best evidence first: what ran on the destination says more than the share it came through.
_ORDER = ("psexec_service", "service", "scheduled_task", "winrm", "wmi", "smb", "rdp", "ssh")
_SYSTEM_ACCOUNTS = frozenset(("", "system", "-", "local service", "network service", "localsystem"))
_BEFORE, _AFTER = 10 * SECOND, 3 * MINUTE


@dataclass(frozen=True, slots=True)
class Mark:
    """A record that shows a signal on a host."""

    time: int
    host: str
    name: str
    account: str
    row: int

    @property
    def weight(self) -> int:
        return SIGNALS[self.name].weight


@dataclass(slots=True)
class Edge:
    """One way from machine to machine; `rows` are all its records."""

    time: int
    source: str
    destination: str
    account: str
    method: str
    rows: set[int] = field(default_factory=set)
    last: int = 0


class Surroundings:
    """Records by host and time, for the question: what happened there in these seconds?"""

    KINDS = ("service", "task", "process", "share", "explicit", "inbound")

    def __init__(self, rows: Rows, who: Identity) -> None:
        self.rows, self.who = rows, who
        self._rows: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._times: dict[tuple[str, str], list[int]] = defaultdict(list)
        canonical = {v: host_name(v) for v in rows.texts["host"].values}
        for kind in self.KINDS:
            for row in rows.of(kind).tolist():
                host = canonical.get(rows.text("host", row), "")
                self._rows[kind, host].append(row)
                self._times[kind, host].append(int(rows.time[row]))

    def near(self, kind: str, host: str, start: int, end: int) -> list[int]:
        times = self._times.get((kind, host), [])
        return self._rows.get((kind, host), [])[bisect_left(times, start) : bisect_right(times, end)]

    def all(self, kind: str, host: str) -> list[int]:
        return self._rows.get((kind, host), [])

    def method(self, session: Session) -> tuple[str | None, set[int], bool]:
        """(method or None, its records, whether something an attacker would run shows it)."""
        if session.kind in ("rdp", "ssh"):
            return session.kind, set(), False
        start, end = session.start - _BEFORE, session.end + _AFTER
        found: dict[str, set[int]] = defaultdict(set)
        odd: set[str] = set()
        logon_ids = {i for r in session.rows if (i := self.rows.text("logon_id", r))}
        self._services(session, start, end, found, odd, logon_ids)
        self._tasks(session, start, end, found, odd, logon_ids)
        self._processes(session, start, end, found, odd)
        self._shares(session, start, end, found)
        self._at_source(session.source, session.destination, session.account, start, end, found)
        for method in _ORDER:
            if method in found:
                related = set().union(*(found[m] for m in found if m in (method, "smb", "client")))
                return method, related, method in odd
        return None, found.get("client", set()), False

    def without_logon(
        self, source: str, destination: str, account: str, start: int, end: int
    ) -> tuple[str | None, set[int]]:
        """The same where the destination's own logon record is missing: what both sides still say."""
        stand_in = Session(-1, start, end, source, "", destination, account, "network", (), 0)
        method, rows, _ = self.method(stand_in)
        return method, rows

    def _services(
        self, session: Session, start: int, end: int, found: dict[str, set[int]], odd: set[str], logon_ids: set[str]
    ) -> None:
        for row in self.near("service", session.destination, start, end):
            actor, signal = account_name(self.rows.text("actor", row)), self.rows.text("signal", row)
            if not self._fits(actor, session.account) and self.rows.text("logon_id", row) not in logon_ids:
                continue
            if signal == "psexec":
                found["psexec_service"].add(row)
                odd.add("psexec_service")
            elif signal in ("odd_service", "command_service"):
                found["service"].add(row)
                odd.add("service")
            elif actor == session.account and signal != "remote_tool":
                found["service"].add(row)

    def _tasks(
        self, session: Session, start: int, end: int, found: dict[str, set[int]], odd: set[str], logon_ids: set[str]
    ) -> None:
        for row in self.near("task", session.destination, start, end):
            actor = account_name(self.rows.text("actor", row))
            if actor == session.account or self.rows.text("logon_id", row) in logon_ids:
                found["scheduled_task"].add(row)
                if self.rows.text("signal", row):
                    odd.add("scheduled_task")

    def _processes(self, session: Session, start: int, end: int, found: dict[str, set[int]], odd: set[str]) -> None:
        for row in self.near("process", session.destination, start, end):
            account = account_name(self.rows.text("account", row))
            if not self._fits(account, session.account) and not account.endswith("$"):
                continue
            signal, parent = self.rows.text("signal", row), file_name(self.rows.text("actor", row))
            method = {
                "wmi_child": "wmi",
                "winrm_child": "winrm",
                "winrm_host": "winrm",
                "psexec_child": "psexec_service",
                "service_child": "service",
            }.get(signal)
            if method is None:
                method = {
                    "wmiprvse.exe": "wmi",
                    "wsmprovhost.exe": "winrm",
                    "services.exe": "service",
                    "psexesvc.exe": "psexec_service",
                }.get(parent)
            if method:
                found[method].add(row)
                if signal != "winrm_host":
                    odd.add(method)

    def _shares(self, session: Session, start: int, end: int, found: dict[str, set[int]]) -> None:
        for row in self.near("share", session.destination, start - 8 * MINUTE, end):
            if account_name(self.rows.text("account", row)) != session.account:
                continue
            if int(self.rows.time[row]) < start and int(self.rows.count[row]) < 2:
                continue
            pipe = self.rows.text("detail", row)
            if pipe.startswith(("psexe", "paexec", "remcom", "csexec")):
                found["psexec_service"].add(row)
            elif pipe.startswith(("atsvc", "itaskscheduler")):
                found["scheduled_task"].add(row)
            elif self.rows.text("object", row).endswith("$") and self.rows.text("object", row) != "IPC$":
                found["smb"].add(row)

    def _at_source(
        self, source: str, destination: str, account: str, start: int, end: int, found: dict[str, set[int]]
    ) -> None:
        for row in self.near("explicit", source, start - MINUTE, end):
            if account_name(self.rows.text("account", row)) != account or self._target(row) != destination:
                continue
            found["client"].add(row)
            program = file_name(self.rows.text("object", row))
            info = self.rows.text("detail", row).upper()
            if program.startswith(("psexec", "paexec")):
                found["psexec_service"].add(row)
            elif info.startswith(("HTTP/", "WSMAN/")) or program in ("winrs.exe", "wsmprovhost.exe"):
                found["winrm"].add(row)
            elif program == "wmic.exe":
                found["wmi"].add(row)
            elif info.startswith("TERMSRV/") or program == "mstsc.exe":
                found["rdp"].add(row)
            elif program == "schtasks.exe":
                found["scheduled_task"].add(row)
        for row in self.near("process", source, start - MINUTE, end):
            aim = remote_target(self.rows.text("detail", row))
            if aim and self.who.at(aim[0], int(self.rows.time[row])) == destination:
                found["client"].add(row)
                found[aim[1]].add(row)

    def _target(self, row: int) -> str:
        return self.who.at(self.rows.text("target", row), int(self.rows.time[row]))

    @staticmethod
    def _fits(account: str, wanted: str) -> bool:
        return account == wanted or account in _SYSTEM_ACCOUNTS or account.endswith("$")

"""Which machines and accounts the attacker holds, and since when.

Compromise travels: it starts where a way in or a strong signal is, and follows sessions forward
in time from machines the attacker already holds; where a strong signal appears on a machine
nobody reached, the session behind it is followed backward. Routine (habits, machine accounts,
typing errors, jobs) doesn't carry it: that is recorded as explained.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text
from hikeshi.trace.identity import Identity, account_name, host_name
from hikeshi.trace.network import is_address, public
from hikeshi.trace.programs import remote_target
from hikeshi.trace.rows import DAY, HOUR, MINUTE, SECOND, Rows
from hikeshi.trace.sessions import Session, Sessions
from hikeshi.trace.signals import METHODS, SIGNALS
from hikeshi.trace.spread import Edge, Mark, Surroundings

_SELF = frozenset(("0x3e7", "0x3e4", "0x3e5", "", "0x0"))
_NOBODY = frozenset(
    ("", "-", "system", "local service", "network service", "localsystem", "iusr", "anonymous logon", "defaultapppool")
)
_VIRTUAL = frozenset(("iis apppool", "nt service", "nt authority", "nt virtual machine", "window manager"))
_CREDENTIALS = frozenset(("lsass_dump", "credential_dump"))
_REMOTE_TRACES = frozenset(
    (
        "psexec",
        "psexec_child",
        "odd_service",
        "command_service",
        "odd_task",
        "wmi_child",
        "winrm_child",
        "service_child",
        "remote_shell",
    )
)
_EXPLAINED_AT_MOST = 40


@dataclass(slots=True)
class Hold:
    """The attacker's hold on a machine or account: since when, until when, why, by which records."""

    name: str
    first: int
    last: int
    reasons: dict[Text, None] = field(default_factory=dict)
    rows: set[int] = field(default_factory=set)
    kind: str = ""
    refs: set[RecordRef] = field(default_factory=set)  # places outside the kept rows: sightings, web logs

    def add(self, time: int, reason: Text | None, rows: Iterable[int]) -> None:
        self.first, self.last = min(self.first, time), max(self.last, time)
        if reason is not None:
            self.reasons[reason] = None
        self.rows.update(rows)


@dataclass(slots=True)
class Foreign:
    """An outside source the attacker worked from: an address, for a span (a VPN lease) or for good."""

    address: str
    start: int
    end: int


class Infection:
    """The spread of compromise; `run` works until nothing changes any more."""

    def __init__(self, rows: Rows, who: Identity, sessions: Sessions) -> None:
        self.rows, self.who, self.sessions = rows, who, sessions
        self.around = Surroundings(rows, who)
        self.marks, self.routine = find_marks(rows, who)
        self.marks_of: dict[str, list[Mark]] = defaultdict(list)
        for mark in self.marks:
            self.marks_of[mark.host].append(mark)
        self.hosts: dict[str, Hold] = {}
        self.accounts: dict[str, Hold] = {}
        self.touched: dict[str, Hold] = {}
        self.foreign: list[Foreign] = []
        self.edges: dict[tuple[str, str, str, str], Edge] = {}
        self.accepted: set[int] = set()
        self.explained: dict[str, tuple[Text, tuple[RecordRef, ...]]] = {}
        self.untraced: dict[str, int] = {}
        self.doubtful: set[tuple[str, str, str, str]] = set()

    # Where it starts

    def hold_host(self, host: str, time: int, reason: Text | None, rows: Iterable[int]) -> bool:
        """Note a held machine; True if it is new or held from earlier than known."""
        known = self.hosts.get(host)
        if known is None:
            known = self.hosts[host] = Hold(host, time, time)
            known.add(time, reason, rows)
            return True
        earlier = time < known.first
        known.add(time, reason, rows)
        return earlier

    def hold_account(self, account: str, time: int, reason: Text, rows: Iterable[int], kind: str = "") -> None:
        if account in _NOBODY or account.endswith("$") or not account:
            return
        known = self.accounts.setdefault(account, Hold(account, time, time))
        known.add(time, reason, rows)
        known.kind = known.kind or kind

    def seeds(self) -> list[tuple[int, str, list[Mark]]]:
        """Machines that show by themselves that an attacker was there: (time, host, their marks)."""
        out = []
        for host, marks in self.marks_of.items():
            strong = [m for m in marks if m.weight >= 3]
            chosen = strong
            if not strong:
                for mark in marks:
                    beside = [m for m in marks if m.weight >= 2 and abs(m.time - mark.time) <= 6 * HOUR]
                    if mark.weight >= 2 and len({m.name for m in beside}) >= 3:
                        chosen = beside
                        break
            if chosen:
                first = min(m.time for m in chosen)
                before = [
                    m
                    for m in marks
                    if m.weight >= 2 and first - HOUR <= m.time < first and m.account in {c.account for c in chosen}
                ]
                out.append((min([first, *(m.time for m in before)]), host, [*before, *chosen]))
        return sorted(out, key=lambda s: (s[0], s[1]))

    def start_from(self, foreign: Iterable[Foreign]) -> None:
        for one in foreign:
            if one not in self.foreign:
                self.foreign.append(one)

    # How it travels

    def run(self) -> None:
        """Forward from what is held, then backward from strong signals nobody reached; repeat."""
        self.forward()
        for _ in range(10):
            changed = False
            for time, host, marks in self.seeds():
                reached = self.hosts.get(host)
                new = reached is None or reached.first > time + MINUTE
                for mark in marks:
                    self.hold_host(host, time, SIGNALS[mark.name].says, [mark.row])
                    if mark.weight >= 3 or len(marks) > 1:
                        self.hold_account(
                            mark.account,
                            mark.time,
                            Text(f"{host}で不審な操作を行いました", f"did suspicious work on {host}"),
                            [mark.row],
                        )
                if new:
                    changed = True
                if not self._reached(host):
                    changed |= self._backward(host, marks)
            before = (len(self.hosts), len(self.accounts), len(self.edges), len(self.foreign))
            self.forward()
            after = (len(self.hosts), len(self.accounts), len(self.edges), len(self.foreign))
            if not changed and before == after:
                break
        if not self.edges:
            self._suspect()
        self._created_accounts()
        self._collect_marks()

    def _reached(self, host: str) -> bool:
        return any(e.destination == host for e in self.edges.values())

    def forward(self) -> None:
        """Follow sessions out of everything held, earliest first."""
        queue: list[tuple[int, str, int]] = [(h.first, h.name, 2**62) for h in self.hosts.values()]
        queue += [(f.start, f.address, f.end) for f in self.foreign]
        heapq.heapify(queue)
        done: dict[tuple[str, int], int] = {}
        while queue:
            since, host, until = heapq.heappop(queue)
            if done.get((host, until), 2**62) <= since:
                continue
            done[host, until] = since
            reached = self._sessions_from(host, since, until)
            if until == 2**62:
                reached += self._without_logon(host, since)
            for time, name in reached:
                heapq.heappush(queue, (time, name, 2**62))

    def _sessions_from(self, host: str, since: int, until: int) -> list[tuple[int, str]]:
        numbers = self.sessions.out_of(host)
        start = self.sessions.start[numbers]
        outside = until < 2**62 or public(host)
        reached = []
        for number in numbers[(start >= since - MINUTE) & (start <= until)].tolist():
            session = self.sessions.get(number)
            method, rows, odd = self.around.method(session)
            if method is None and not outside and self.sessions.seen_before(host, session.account, since):
                self._explain(
                    f"{session.account}: {host} → {session.destination}",
                    Text(
                        "侵害の前からこの機器で使われていたアカウントで、操作の跡はありません",
                        "an account that worked from there before the intrusion; no trace of work on the other machine",
                    ),
                    session.rows,
                )
                continue
            if session.kind == "ssh":
                rows |= set(self._failures_before(session)[:10])
            if number not in self.accepted:
                why = self._attackers(session, host, since, outside, method, rows, odd)
                if why is None:
                    continue
                self.accepted.add(number)
                self.hold_account(session.account, session.start, why, session.rows)
            if method is None:
                self._touch(session)
                continue
            if session.kind == "network" and method == "rdp" and self._has_rdp(session):
                continue
            self._edge(
                session.start, session.end, host, session.destination, session.account, method, {*session.rows, *rows}
            )
            said = Text(
                f"{host}から{session.account}が{_method_ja(method)}で入りました",
                f"{session.account} came in from {host} by {_method_en(method)}",
            )
            if self.hold_host(session.destination, session.start, said, session.rows):
                reached.append((session.start, session.destination))
            self.hosts[session.destination].last = max(self.hosts[session.destination].last, session.end)
            if host in self.hosts:
                self.hosts[host].last = max(self.hosts[host].last, session.end)
        return reached

    def _attackers(
        self, session: Session, host: str, since: int, outside: bool, method: str | None, rows: set[int], odd: bool
    ) -> Text | None:
        """Why a session that left a held machine is the attacker's; None when it is not, or not surely."""
        account = session.account
        if outside:
            if self.who.lent(host):
                return Text(
                    f"攻撃者のVPN接続({host})から使われました", f"was used through the attacker's VPN session ({host})"
                )
            return Text(f"外部の接続元({host})から使われました", f"was used from the outside address {host}")
        if not odd and self.sessions.habitual(session.number, since):
            self._explain(
                f"{account}: {host} → {session.destination}",
                Text("侵害の前から続く、いつもの接続です", "a habit from before the intrusion"),
                session.rows,
            )
            return None
        held = self.accounts.get(account)
        if held is not None and held.first <= session.start + MINUTE:
            return Text(f"侵害された{host}から使われました", f"was used from the compromised machine {host}")
        if odd:
            return Text(
                f"侵害された{host}から{session.destination}を操作しました",
                f"controlled {session.destination} from the compromised machine {host}",
            )
        fresh = not self.sessions.seen_before(host, account, since)
        if fresh and self._stolen(host, account, session.start, since):
            return Text(
                f"{host}で認証情報が盗まれたあと、そこから初めて使われました",
                f"was first used from {host} after credentials were stolen there",
            )
        if session.kind in ("rdp", "ssh") and len(self._failures_before(session)) >= 5:
            return Text(f"{host}からの多数の失敗のあとに成功しました", f"succeeded after many failures from {host}")
        return None

    def _stolen(self, host: str, account: str, time: int, since: int) -> bool:
        if any(m.name in _CREDENTIALS and m.time <= time for m in self.marks_of.get(host, ())):
            return True
        for row in self.around.near("explicit", host, max(since - MINUTE, time - 10 * MINUTE), time + MINUTE):
            if account_name(self.rows.text("account", row)) != account:
                continue
            actor = self.accounts.get(account_name(self.rows.text("actor", row)))
            if actor is not None and actor.first <= time:
                return True
        return False

    def _failures_before(self, session: Session) -> list[int]:
        """Failures on the destination from this source in the hour before."""
        rows = self.rows.of("logon_failure")
        times = self.rows.time[rows]
        window = rows[np.searchsorted(times, session.start - HOUR) : np.searchsorted(times, session.start, "right")]
        return [
            row
            for row in window.tolist()
            if host_name(self.rows.text("host", row)) == session.destination
            and self.rows.text("source", row) in (session.address, session.source)
        ]

    def _has_rdp(self, session: Session) -> bool:
        return any(
            e.source == session.source
            and e.destination == session.destination
            and e.account == session.account
            and e.method == "rdp"
            for e in self.edges.values()
        )

    def _without_logon(self, host: str, since: int) -> list[tuple[int, str]]:
        """Steps that only the source or the effect on the destination shows (its own log is missing or cleared)."""
        reached = []
        aims: list[tuple[int, str, str, int]] = []
        for row in self.around.all("explicit", host):
            account, actor = (account_name(self.rows.text(n, row)) for n in ("account", "actor"))
            time = int(self.rows.time[row])
            if any(h is not None and h.first <= time + MINUTE for h in map(self.accounts.get, (account, actor))):
                aims.append((time, self.rows.text("target", row), account, row))
        for row in self.around.all("process", host):
            actor = account_name(self.rows.text("account", row))
            aim = remote_target(self.rows.text("detail", row))
            if aim and actor in self.accounts and self.accounts[actor].first <= int(self.rows.time[row]) + MINUTE:
                aims.append((int(self.rows.time[row]), aim[0], actor, row))
        # A command that names its target runs as one account and may sign on as another: 4648 tells which.
        told = [
            (time, self.who.at(target, time))
            for time, target, _, row in aims
            if self.rows.text("kind", row) == "explicit"
        ]
        for time, target, account, row in sorted(aims):
            goal = self.who.at(target, time)
            if self.rows.text("kind", row) == "process" and any(
                g == goal and abs(t - time) <= 2 * MINUTE for t, g in told
            ):
                continue
            if time < since - MINUTE or goal in (host, "", "LOCALHOST"):
                continue
            beside = [
                e
                for e in self.edges.values()
                if e.source == host and e.destination == goal and e.time - 10 * MINUTE <= time <= e.last + 10 * MINUTE
            ]
            if beside:
                for edge in beside:
                    if edge.account == account or len(beside) == 1:
                        edge.rows.add(row)
                continue
            method, rows = self.around.without_logon(host, goal, account, time, time)
            if method is None or (len(rows | {row}) < 2 and not self._seen_at(goal, time)):
                self._touch_name(goal, time, host, account, {row})
                continue
            self._edge(time, time, host, goal, account, method, {row, *rows})
            self.hold_account(
                account,
                time,
                Text(f"侵害された{host}から使われました", f"was used from the compromised machine {host}"),
                [row],
            )
            if self.hold_host(
                goal,
                time,
                Text(
                    f"{host}から{account}が{_method_ja(method)}で操作しました",
                    f"{account} controlled it from {host} by {_method_en(method)}",
                ),
                [row],
            ):
                reached.append((time, goal))
        return reached

    def _seen_at(self, host: str, time: int) -> bool:
        """Whether the destination shows something strong soon after."""
        return any(0 <= m.time - time <= 10 * MINUTE and m.weight >= 2 for m in self.marks_of.get(host, ()))

    def _edge(
        self, time: int, last: int, source: str, destination: str, account: str, method: str, rows: set[int]
    ) -> None:
        key = (source, destination, account, method)
        known = self.edges.get(key)
        if known is None:
            self.edges[key] = Edge(time, source, destination, account, method, set(rows), last)
            return
        known.time, known.last = min(known.time, time), max(known.last, last)
        if len(known.rows) < 60:
            known.rows |= rows

    def _touch(self, session: Session) -> None:
        self._touch_name(session.destination, session.start, session.source, session.account, set(session.rows))

    def _touch_name(self, host: str, time: int, source: str, account: str, rows: set[int]) -> None:
        known = self.touched.setdefault(host, Hold(host, time, time))
        known.add(
            time,
            Text(
                f"{source}から{account}が接続しましたが、操作の跡はありません",
                f"{account} connected from {source}; there is no trace of work on it",
            ),
            rows,
        )

    # Backward

    def _backward(self, host: str, marks: list[Mark]) -> bool:
        """Find the session behind a strong signal, then the ones behind that."""
        changed = False
        for mark in sorted(marks, key=lambda m: m.time):
            number = self._session_behind(mark)
            if number is None:
                continue
            session = self.sessions.get(number)
            if number in self.accepted or session.source == host:
                continue
            changed |= self._accept_backward(session, mark)
        if not changed:
            self.untraced.setdefault(host, min(m.time for m in marks))
        return changed

    def _accept_backward(self, session: Session, mark: Mark) -> bool:
        said = Text(
            f"{session.destination}での不審な操作はこの接続から行われました",
            f"the suspicious work on {session.destination} was done in this session",
        )
        if self.sessions.habitual(session.number) and mark.weight < 3:
            return False
        self.accepted.add(session.number)
        method, rows, _ = self.around.method(session)
        self._edge(
            session.start,
            session.end,
            session.source,
            session.destination,
            session.account,
            method or "unknown",
            {*session.rows, *rows},
        )
        self.hold_account(session.account, session.start, said, session.rows)
        self.hold_host(session.destination, session.start, SIGNALS[mark.name].says, session.rows)
        source = session.source
        lease = self.who.lease(source, session.start) if is_address(source) else None
        if lease is not None:
            self.start_from([Foreign(source, lease.start, lease.end)])
            self.hold_account(
                lease.account,
                lease.start,
                Text("攻撃に使われたVPN接続のアカウントです", "the account of the VPN session the attack came through"),
                [lease.row],
                "vpn",
            )
        elif is_address(source) and public(source):
            self.start_from([Foreign(source, session.start, 2**61)])
        elif not is_address(source) or source not in self.who.logged:
            self._trace_source(session, said)
        return True

    def _trace_source(self, session: Session, said: Text) -> None:
        """The machine a hostile session came from was held then; look for who sat on it."""
        source, time = session.source, session.start
        self.hold_host(
            source,
            time,
            Text(f"ここから{session.destination}が操作されました", f"{session.destination} was controlled from here"),
            session.rows,
        )
        into = self.sessions.into(source)
        start, end = self.sessions.start[into], self.sessions.end[into]
        wanted = into[(start <= time) & (end >= time - 12 * HOUR) & (start >= time - DAY)]
        best: tuple[int, int, int] | None = None
        for number in wanted.tolist():
            before = self.sessions.get(number)
            if number in self.accepted or self.sessions.habitual(number):
                continue
            outside = self.who.lease(before.source, before.start) is not None or public(before.source)
            if not (outside or (before.kind == "rdp" and before.account == session.account)):
                continue
            rank = (int(outside), int(before.account == session.account), before.start)
            if best is None or rank > best:
                best, chosen = rank, before
        if best is not None:
            self._accept_backward(chosen, Mark(time, source, "remote_exec_client", session.account, session.rows[0]))

    def _session_behind(self, mark: Mark) -> int | None:
        logon_id = self.rows.text("logon_id", mark.row)
        into = self.sessions.into(mark.host)
        if not len(into):
            return None
        start, end = self.sessions.start[into], self.sessions.end[into]
        near = into[(start <= mark.time + 5 * SECOND) & (end >= mark.time - 12 * HOUR) & (start >= mark.time - 2 * DAY)]
        if logon_id not in _SELF:
            for number in near.tolist()[::-1]:
                if any(self.rows.text("logon_id", r) == logon_id for r in self.sessions.get(number).rows):
                    return int(number)
        candidates = []
        for number in near.tolist():
            session = self.sessions.get(number)
            if mark.account and mark.account not in _NOBODY and not mark.account.endswith("$"):
                # An account that anybody uses every day from there needs the logon id to be blamed.
                if session.account == mark.account and not self.sessions.habitual(number):
                    candidates.append((session.kind != "network", session.start, number))
            elif abs(session.start - mark.time) <= MINUTE or abs(session.end - mark.time) <= MINUTE:
                method, _, odd = self.around.method(session)
                if method is not None and odd and not self.sessions.habitual(number):
                    candidates.append((True, session.start, number))
            elif (
                session.kind != "network"
                and session.account in self.accounts
                and session.start <= mark.time
                and not self.sessions.habitual(number)
            ):
                # What ran as the system was started by somebody: an account known to be the attacker's sat there.
                candidates.append((False, session.start, number))
        return max(candidates)[2] if candidates else None

    def _suspect(self) -> None:
        """Where nothing stronger is found: remote execution that is no habit, told as doubtful.

        It may be an administrator's work, so no machine or account is held because of it.
        """
        done: set[tuple[str, str, str]] = set()
        for row in self.rows.of("service", "task", "process", "share").tolist():
            host, time = host_name(self.rows.text("host", row)), int(self.rows.time[row])
            if self.rows.text("kind", row) == "share":
                self._suspect_share(host, time, row)
                continue
            if self.rows.text("signal", row) not in _REMOTE_TRACES or host in self.routine_hosts(row):
                continue
            into = self.sessions.into(host)
            start, end = self.sessions.start[into], self.sessions.end[into]
            for number in into[(start <= time + 10 * SECOND) & (end >= time - 2 * MINUTE)].tolist():
                session = self.sessions.get(number)
                key = (session.source, host, session.account)
                if session.kind != "network" or key in done or self.sessions.habitual(number):
                    continue
                method, rows, odd = self.around.method(session)
                if method is not None and odd:
                    done.add(key)
                    self.doubtful.add((session.source, host, session.account, method))
                    self._edge(
                        session.start,
                        session.end,
                        session.source,
                        host,
                        session.account,
                        method,
                        {*session.rows, *rows, row},
                    )

    def _suspect_share(self, host: str, time: int, row: int) -> None:
        """Pipes and programs on administrative shares tell source and account by themselves."""
        detail, account = self.rows.text("detail", row), account_name(self.rows.text("account", row))
        address = self.rows.text("source", row)
        if not address or not detail or not account:
            return
        if detail.startswith(("psexe", "paexec", "remcom", "csexec")):
            method = "psexec_service"
        elif detail.startswith(("atsvc", "itaskscheduler")):
            method = "scheduled_task"
        elif "." in detail:
            method = "smb"
        else:
            return
        source = self.who.at(address, time)
        if source == host:
            return
        self.doubtful.add((source, host, account, method))
        self._edge(time, time, source, host, account, method, {row})

    def routine_hosts(self, row: int) -> set[str]:
        what = f"{self.rows.text('object', row).lower()}|{self.rows.text('detail', row).lower()}"
        known = self.routine.get((self.rows.text("signal", row), what))
        return {known[0]} if known else set()

    # Afterwards

    def _created_accounts(self) -> None:
        for row in self.rows.of("account_made").tolist():
            host, time = host_name(self.rows.text("host", row)), int(self.rows.time[row])
            actor, made = (account_name(self.rows.text(n, row)) for n in ("actor", "account"))
            held, by = self.hosts.get(host), self.accounts.get(actor)
            attackers = by is not None and by.first <= time + MINUTE and held is not None
            by_program = (
                held is not None
                and held.first <= time + MINUTE
                and (actor in _NOBODY or actor.endswith("$") or self._marked_near(host, time))
            )
            if attackers or by_program:
                kind = "local" if host_name(self.rows.text("domain", row)) == host else "domain"
                self.hold_account(
                    made,
                    time,
                    Text(f"攻撃中に{host}で作られました", f"was created on {host} during the intrusion"),
                    [row],
                    kind,
                )

    def _marked_near(self, host: str, time: int) -> bool:
        return any(m.name == "account_added" and abs(m.time - time) <= MINUTE for m in self.marks_of.get(host, ()))

    def _collect_marks(self) -> None:
        """What happened on a held machine after the attacker came, as reasons and records."""
        for host, held in self.hosts.items():
            since = held.first
            for mark in self.marks_of.get(host, ()):
                if mark.time >= since - MINUTE and mark.weight >= 2:
                    held.add(max(mark.time, since), SIGNALS[mark.name].says if mark.weight >= 2 else None, [mark.row])

    def _explain(self, subject: str, reason: Text, rows: Iterable[int]) -> None:
        if subject not in self.explained:
            self.note(subject, reason, self.rows.refs(rows))

    def note(self, subject: str, reason: Text, records: tuple[RecordRef, ...]) -> None:
        """Keep something looked at and found harmless, with its reason."""
        if len(self.explained) < _EXPLAINED_AT_MOST:
            self.explained.setdefault(subject, (reason, records))


def find_marks(rows: Rows, who: Identity) -> tuple[list[Mark], dict[tuple[str, str], tuple[str, set[int]]]]:
    """(signals in time order, routine ones by (signal, what) with host and records).

    The same command on one host on three different days, or on five hosts, is a job, not an attack:
    unless the five fall within a day, which is how ransomware is deployed.
    """
    column = rows.texts["signal"]
    chosen = np.flatnonzero(column.codes >= 0)
    days: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    spread: dict[tuple[str, str], tuple[set[str], set[int]]] = defaultdict(lambda: (set(), set()))
    found: list[tuple[Mark, str]] = []
    for row in chosen.tolist():
        name = column.at(row)
        if name not in SIGNALS:
            continue
        host, time = host_name(rows.text("host", row)), int(rows.time[row])
        what = f"{rows.text('object', row).lower()}|{rows.text('detail', row).lower()}"
        account = account_name(
            rows.text("actor" if rows.text("kind", row) in ("service", "task", "run_key") else "account", row)
        )
        aim = remote_target(rows.text("detail", row)) if rows.text("kind", row) == "process" else None
        if aim and name != "remote_exec_client":
            host = who.at(aim[0], time)  # the command runs there
        if rows.text("domain", row).lower() in _VIRTUAL:
            account = ""  # a service's own identity: nobody can sign on with it
        found.append((Mark(time, host, name, account, row), what))
        days[host, name, what].add(time // DAY)
        hosts, dates = spread[name, what]
        hosts.add(host)
        dates.add(time // DAY)
    marks: list[Mark] = []
    routine: dict[tuple[str, str], tuple[str, set[int]]] = {}
    for mark, what in found:
        hosts, dates = spread[mark.name, what]
        if mark.name != "log_clear" and (
            len(days[mark.host, mark.name, what]) >= 3 or (len(hosts) >= 5 and len(dates) >= 3)
        ):
            routine.setdefault((mark.name, what), (mark.host, set()))[1].add(mark.row)
        else:
            marks.append(mark)
    return marks, routine


def _method_ja(method: str) -> str:
    return METHODS[method][1].ja


def _method_en(method: str) -> str:
    return METHODS[method][1].en

"""Forward in time: the sessions that leave what the attacker holds, and steps whose logon record is missing."""

from __future__ import annotations

import heapq

from hikeshi.model.text import Text
from hikeshi.trace.identity import account_name
from hikeshi.trace.infection import NOBODY, Infection
from hikeshi.trace.network import public
from hikeshi.trace.programs import remote_target
from hikeshi.trace.rows import MINUTE
from hikeshi.trace.sessions import Session
from hikeshi.trace.signals import METHODS

_CREDENTIALS = frozenset(("lsass_dump", "credential_dump"))


class Forward:
    """Follows compromise from machine to machine; writes into `state`."""

    def __init__(self, state: Infection) -> None:
        self.state = state

    def run(self) -> None:
        """Follow sessions out of everything held, earliest first."""
        queue: list[tuple[int, str, int]] = [(h.first, h.name, 2**62) for h in self.state.hosts.values()]
        queue += [(f.start, f.address, f.end) for f in self.state.foreign]
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
        numbers = self.state.sessions.out_of(host)
        start = self.state.sessions.start[numbers]
        outside = until < 2**62 or public(host)
        reached = []
        for number in numbers[(start >= since - MINUTE) & (start <= until)].tolist():
            session = self.state.sessions.get(number)
            if self.state.is_known(session.start, (host, session.address), session.account, session.rows):
                continue
            if outside and not public(host) and not self.state.who.lent(host) and self.state.sessions.habitual(number):
                continue  # a device's own service account goes on working
            method, rows, odd = self.state.around.method(session)
            if method is None and not outside and self.state.sessions.seen_before(host, session.account, since):
                self.state.explain(
                    f"{session.account}: {host} → {session.destination}",
                    Text(
                        "侵害の前からこの機器で使われていたアカウントで、操作の跡はありません",
                        "an account that worked from there before the intrusion; no trace of work on the other machine",
                    ),
                    session.rows,
                )
                continue
            if session.kind == "ssh":
                rows |= set(self.state.failures_before(session)[:10])
            if number not in self.state.accepted:
                why = self._attackers(session, host, since, outside, method, rows, odd)
                if why is None:
                    continue
                self.state.accepted.add(number)
                self.state.hold_account(session.account, session.start, why, session.rows)
            if method is None:
                self.state.touch(session)
                continue
            if session.kind == "network" and method == "rdp" and self._has_rdp(session):
                continue
            self.state.edge(
                session.start, session.end, host, session.destination, session.account, method, {*session.rows, *rows}
            )
            said = Text(
                f"{host}から{session.account}が{METHODS[method][1].ja}で入りました",
                f"{session.account} came in from {host} by {METHODS[method][1].en}",
            )
            if self.state.hold_host(session.destination, session.start, said, session.rows):
                reached.append((session.start, session.destination))
            if session.destination not in self.state.hosts:
                continue
            self.state.hosts[session.destination].last = max(self.state.hosts[session.destination].last, session.end)
            if host in self.state.hosts:
                self.state.hosts[host].last = max(self.state.hosts[host].last, session.end)
        return reached

    def _attackers(
        self, session: Session, host: str, since: int, outside: bool, method: str | None, rows: set[int], odd: bool
    ) -> Text | None:
        """Why a session that left a held machine is the attacker's; None when it is not, or not surely."""
        account = session.account
        if outside:
            if self.state.who.lent(host):
                return Text(
                    f"攻撃者のVPN接続({host})から使われました", f"was used through the attacker's VPN session ({host})"
                )
            return Text(f"外部の接続元({host})から使われました", f"was used from the outside address {host}")
        if not odd and self.state.sessions.habitual(session.number, since):
            self.state.explain(
                f"{account}: {host} → {session.destination}",
                Text("侵害の前から続く、いつもの接続です", "a habit from before the intrusion"),
                session.rows,
            )
            return None
        held = self.state.accounts.get(account)
        if held is not None and held.first <= session.start + MINUTE:
            return Text(f"侵害された{host}から使われました", f"was used from the compromised machine {host}")
        if odd:
            return Text(
                f"侵害された{host}から{session.destination}を操作しました",
                f"controlled {session.destination} from the compromised machine {host}",
            )
        if session.kind != "network" and self._started_here(session, host):
            return Text(
                f"侵害された{host}で起動された接続です", f"was opened by a program on the compromised machine {host}"
            )
        fresh = not self.state.sessions.seen_before(host, account, since)
        if fresh and self._stolen(host, account, session.start, since):
            return Text(
                f"{host}で認証情報が盗まれたあと、そこから初めて使われました",
                f"was first used from {host} after credentials were stolen there",
            )
        if session.kind in ("rdp", "ssh") and len(self.state.failures_before(session)) >= 5:
            return Text(f"{host}からの多数の失敗のあとに成功しました", f"succeeded after many failures from {host}")
        return None

    def _started_here(self, session: Session, host: str) -> bool:
        """Whether an account that is held, or the system, started a client there that aims at this session's goal."""
        for row in self.state.around.near("process", host, session.start - 2 * MINUTE, session.start + MINUTE):
            aim = remote_target(self.state.rows.text("detail", row))
            actor = account_name(self.state.rows.text("account", row))
            held = self.state.accounts.get(actor)
            if aim is None or self.state.who.at(aim[0], session.start) != session.destination:
                continue
            if actor in NOBODY or actor.endswith("$") or (held is not None and held.first <= session.start + MINUTE):
                return True
        return False

    def _stolen(self, host: str, account: str, time: int, since: int) -> bool:
        if any(m.name in _CREDENTIALS and m.time <= time for m in self.state.marks_of.get(host, ())):
            return True
        for row in self.state.around.near("explicit", host, max(since - MINUTE, time - 10 * MINUTE), time + MINUTE):
            if account_name(self.state.rows.text("account", row)) != account:
                continue
            actor = self.state.accounts.get(account_name(self.state.rows.text("actor", row)))
            if actor is not None and actor.first <= time:
                return True
        return False

    def _has_rdp(self, session: Session) -> bool:
        return any(
            e.source == session.source
            and e.destination == session.destination
            and e.account == session.account
            and e.method == "rdp"
            for e in self.state.edges.values()
        )

    def _without_logon(self, host: str, since: int) -> list[tuple[int, str]]:
        """Steps that only the source or the effect on the destination shows (its own log is missing or cleared)."""
        reached = []
        aims: list[tuple[int, str, str, int]] = []
        for row in self.state.around.all("explicit", host):
            account, actor = (account_name(self.state.rows.text(n, row)) for n in ("account", "actor"))
            time = int(self.state.rows.time[row])
            if any(h is not None and h.first <= time + MINUTE for h in map(self.state.accounts.get, (account, actor))):
                aims.append((time, self.state.rows.text("target", row), account, row))
        for row in self.state.around.all("process", host):
            actor = account_name(self.state.rows.text("account", row))
            aim = remote_target(self.state.rows.text("detail", row))
            time, by = int(self.state.rows.time[row]), self.state.accounts.get(actor)
            if aim and by is not None and by.first <= time + MINUTE:
                aims.append((time, aim[0], actor, row))
        # A command that names its target runs as one account and may sign on as another: 4648 tells which.
        told = [
            (time, self.state.who.at(target, time))
            for time, target, _, row in aims
            if self.state.rows.text("kind", row) == "explicit"
        ]
        for time, target, account, row in sorted(aims):
            goal = self.state.who.at(target, time)
            if self.state.rows.text("kind", row) == "process" and any(
                g == goal and abs(t - time) <= 2 * MINUTE for t, g in told
            ):
                continue
            if time < since - MINUTE or goal in (host, "", "LOCALHOST"):
                continue
            beside = [
                e
                for e in self.state.edges.values()
                if e.source == host and e.destination == goal and e.time - 10 * MINUTE <= time <= e.last + 10 * MINUTE
            ]
            if beside:
                for edge in beside:
                    if edge.account == account or len(beside) == 1:
                        edge.rows.add(row)
                continue
            if self._routine(host, goal, account, time, since):
                continue  # its logon is there, and was found to be a habit
            method, rows = self.state.around.without_logon(host, goal, account, time, time)
            if method is None or (len(rows | {row}) < 2 and not self._seen_at(goal, time)):
                self.state.touch_name(goal, time, host, account, {row})
                continue
            self.state.edge(time, time, host, goal, account, method, {row, *rows})
            self.state.hold_account(
                account,
                time,
                Text(f"侵害された{host}から使われました", f"was used from the compromised machine {host}"),
                [row],
            )
            if self.state.hold_host(
                goal,
                time,
                Text(
                    f"{host}から{account}が{METHODS[method][1].ja}で操作しました",
                    f"{account} controlled it from {host} by {METHODS[method][1].en}",
                ),
                [row],
            ):
                reached.append((time, goal))
        return reached

    def _routine(self, host: str, goal: str, account: str, time: int, since: int) -> bool:
        sessions = self.state.sessions
        numbers = sessions.out_of(host)
        start = sessions.start[numbers]
        for number in numbers[(start >= time - 2 * MINUTE) & (start <= time + 2 * MINUTE)].tolist():
            session = sessions.get(number)
            if session.destination == goal and session.account == account and sessions.habitual(number, since):
                return True
        return False

    def _seen_at(self, host: str, time: int) -> bool:
        """Whether the destination shows something strong soon after."""
        return any(0 <= m.time - time <= 10 * MINUTE and m.weight >= 2 for m in self.state.marks_of.get(host, ()))

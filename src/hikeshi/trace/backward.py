"""Backward in time: the session behind a strong signal, who sat at its source, and what only looks suspicious."""

from __future__ import annotations

from hikeshi.model.text import Text
from hikeshi.trace.infection import NOBODY, Foreign, Infection
from hikeshi.trace.network import is_address, public
from hikeshi.trace.rows import DAY, HOUR, MINUTE, SECOND
from hikeshi.trace.sessions import Session
from hikeshi.trace.signals import SIGNALS
from hikeshi.trace.spread import Mark

_SELF = frozenset(("0x3e7", "0x3e4", "0x3e5", "", "0x0"))


class Backward:
    """Finds where strong signals came from; writes into `state`."""

    def __init__(self, state: Infection) -> None:
        self.state = state

    def run(self, host: str, marks: list[Mark]) -> bool:
        """Find the session behind a strong signal, then the ones behind that."""
        changed = False
        for mark in sorted(marks, key=lambda m: m.time):
            number = self._session_behind(mark)
            if number is None:
                continue
            session = self.state.sessions.get(number)
            if number in self.state.accepted or session.source == host:
                continue
            changed |= self._accept_backward(session, mark)
        if not changed:
            self.state.untraced.setdefault(host, min(m.time for m in marks))
        return changed

    def _accept_backward(self, session: Session, mark: Mark) -> bool:
        said = Text(
            f"{session.destination}での不審な操作はこの接続から行われました",
            f"the suspicious work on {session.destination} was done in this session",
        )
        if self.state.sessions.habitual(session.number) and mark.weight < 3:
            return False
        self.state.accepted.add(session.number)
        method, rows, _ = self.state.around.method(session)
        self.state.edge(
            session.start,
            session.end,
            session.source,
            session.destination,
            session.account,
            method or "unknown",
            {*session.rows, *rows},
        )
        self.state.hold_account(session.account, session.start, said, session.rows)
        self.state.hold_host(session.destination, session.start, SIGNALS[mark.name].says, session.rows)
        source = session.source
        lease = self.state.who.lease(source, session.start) if is_address(source) else None
        if lease is not None:
            self.state.start_from([Foreign(source, lease.start, lease.end)])
            self.state.hold_account(
                lease.account,
                lease.start,
                Text("攻撃に使われたVPN接続のアカウントです", "the account of the VPN session the attack came through"),
                [lease.row],
                "vpn",
            )
        elif is_address(source) and public(source):
            self.state.start_from([Foreign(source, session.start, 2**61)])
        elif not is_address(source) or source not in self.state.who.logged:
            self._trace_source(session, said)
        return True

    def _trace_source(self, session: Session, said: Text) -> None:
        """The machine a hostile session came from was held then; look for who sat on it."""
        source, time = session.source, session.start
        self.state.hold_host(
            source,
            time,
            Text(f"ここから{session.destination}が操作されました", f"{session.destination} was controlled from here"),
            session.rows,
        )
        into = self.state.sessions.into(source)
        start, end = self.state.sessions.start[into], self.state.sessions.end[into]
        wanted = into[(start <= time) & (end >= time - 12 * HOUR) & (start >= time - DAY)]
        best: tuple[int, int, int] | None = None
        for number in wanted.tolist():
            before = self.state.sessions.get(number)
            if number in self.state.accepted or self.state.sessions.habitual(number):
                continue
            outside = self.state.who.lease(before.source, before.start) is not None or public(before.source)
            if not (outside or (before.kind == "rdp" and before.account == session.account)):
                continue
            rank = (int(outside), int(before.account == session.account), before.start)
            if best is None or rank > best:
                best, chosen = rank, before
        if best is not None:
            self._accept_backward(chosen, Mark(time, source, "remote_exec_client", session.account, session.rows[0]))

    def _session_behind(self, mark: Mark) -> int | None:
        logon_id = self.state.rows.text("logon_id", mark.row)
        into = self.state.sessions.into(mark.host)
        if not len(into):
            return None
        start, end = self.state.sessions.start[into], self.state.sessions.end[into]
        near = into[(start <= mark.time + 5 * SECOND) & (end >= mark.time - 12 * HOUR) & (start >= mark.time - 2 * DAY)]
        if logon_id not in _SELF:
            for number in near.tolist()[::-1]:
                if any(self.state.rows.text("logon_id", r) == logon_id for r in self.state.sessions.get(number).rows):
                    return int(number)
        candidates = []
        for number in near.tolist():
            session = self.state.sessions.get(number)
            if mark.account and mark.account not in NOBODY and not mark.account.endswith("$"):
                # An account that anybody uses every day from there needs the logon id to be blamed.
                if session.account == mark.account and not self.state.sessions.habitual(number):
                    candidates.append((session.kind != "network", session.start, number))
            elif abs(session.start - mark.time) <= MINUTE or abs(session.end - mark.time) <= MINUTE:
                method, _, odd = self.state.around.method(session)
                if method is not None and odd and not self.state.sessions.habitual(number):
                    candidates.append((True, session.start, number))
            elif (
                session.kind != "network"
                and session.account in self.state.accounts
                and session.start <= mark.time
                and not self.state.sessions.habitual(number)
            ):
                # What ran as the system was started by somebody: an account known to be the attacker's sat there.
                candidates.append((False, session.start, number))
        return max(candidates)[2] if candidates else None

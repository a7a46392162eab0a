"""Backward in time: the session behind a strong signal, who sat at its source, and what only looks suspicious."""

from __future__ import annotations

from hikeshi.model.text import Text
from hikeshi.trace.blame import Blame
from hikeshi.trace.infection import Foreign, Infection
from hikeshi.trace.network import is_address, public
from hikeshi.trace.rows import DAY, HOUR
from hikeshi.trace.sessions import Session
from hikeshi.trace.signals import SIGNALS
from hikeshi.trace.spread import Mark


class Backward:
    """Finds where strong signals came from; writes into `state`."""

    def __init__(self, state: Infection) -> None:
        self.state = state
        self.blame = Blame(state)

    def run(self, host: str, marks: list[Mark]) -> bool:
        """Find the session behind a strong signal, then the ones behind that."""
        changed = False
        for mark in sorted(marks, key=lambda m: m.time):
            number = self.blame.session(mark)
            if number is None:
                continue
            session = self.state.sessions.get(number)
            known = self.state.is_known(session.start, (session.source, session.address), session.account, session.rows)
            if known or number in self.state.accepted or session.source == host:
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
        elif not self.state.who.ours(source):
            self.state.start_from([Foreign(source, session.start - 12 * HOUR, session.start + 5 * DAY)])
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

"""Which session stands behind a signal: by logon id, by account, or by what else its account did there."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from hikeshi.trace.identity import account_name, host_name
from hikeshi.trace.infection import NOBODY, Infection
from hikeshi.trace.network import is_address, public
from hikeshi.trace.rows import DAY, HOUR, MINUTE, SECOND
from hikeshi.trace.sessions import Session
from hikeshi.trace.spread import Mark

_SELF = frozenset(("0x3e7", "0x3e4", "0x3e5", "", "0x0"))
_ENOUGH = 4
_LOOKED_AT = 400  # sessions weighed for one signal, the latest


class Blame:
    """Answers for marks; `of_marks` for all strong ones at once, before anything is held."""

    def __init__(self, state: Infection) -> None:
        self.state = state
        self._ends: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row in state.rows.of("rdp_end").tolist():
            host, account = host_name(state.rows.text("host", row)), account_name(state.rows.text("account", row))
            self._ends[host, account].append(int(state.rows.time[row]))

    def of_marks(self) -> dict[int, list[Mark]]:
        """Session number → strong signals it is to blame for."""
        out: dict[int, list[Mark]] = defaultdict(list)
        for mark in self.state.marks:
            if mark.weight >= 3:
                number = self.session(mark)
                if number is not None:
                    out[number].append(mark)
        return out

    def session(self, mark: Mark) -> int | None:
        """The number of the session behind a signal; None where no session is likely enough."""
        state = self.state
        into = state.sessions.into(mark.host)
        if not len(into):
            return None
        start, end = state.sessions.start[into], state.sessions.end[into]
        near = into[(start <= mark.time + 5 * SECOND) & (end >= mark.time - 12 * HOUR) & (start >= mark.time - 2 * DAY)]
        near = near[-_LOOKED_AT:]
        logon_id = state.rows.text("logon_id", mark.row)
        if logon_id not in _SELF:
            for number in near.tolist()[::-1]:
                if any(state.rows.text("logon_id", r) == logon_id for r in state.sessions.get(number).rows):
                    return int(number)
        by_person = mark.account not in NOBODY and not mark.account.endswith("$")
        best: tuple[int, int, int] | None = None
        for number in near.tolist():
            session = state.sessions.get(number)
            # An account that anybody uses every day from there needs the logon id to be blamed.
            if state.sessions.habitual(number):
                continue
            points = self._by_account(mark, session) if by_person else self._by_company(mark, session)
            if points >= _ENOUGH and (best is None or (points, session.start, number) > best):
                best = (points, session.start, number)
        return best[2] if best else None

    @staticmethod
    def _by_account(mark: Mark, session: Session) -> int:
        if session.account != mark.account:
            return 0
        return 6 + (session.kind != "network")

    def _by_company(self, mark: Mark, session: Session) -> int:
        """What ran as the system was started by somebody: who came that moment, or who sat there and looked around."""
        state = self.state
        if abs(session.start - mark.time) <= MINUTE or abs(session.end - mark.time) <= MINUTE:
            method, _, odd = state.around.method(session)
            if method is not None and odd:
                return 8
        if session.kind == "network" or session.start > mark.time:
            return 0
        ended = self._ends.get((session.destination, session.account), [])
        place = bisect_left(ended, session.end)
        over = place < len(ended) and ended[place] < mark.time - MINUTE
        points = 2
        points += 4 if session.account in state.accounts else 0
        own = [
            m
            for m in state.marks_of.get(mark.host, ())
            if m.account == session.account and session.start <= m.time <= mark.time + 10 * MINUTE and m.row != mark.row
        ]
        points += 3 if own else 0
        source = session.source
        points += 1 if is_address(source) and (public(source) or not state.who.ours(source)) else 0
        points -= 3 if over else 0
        points -= 1 if session.start < mark.time - 6 * HOUR else 0
        return points

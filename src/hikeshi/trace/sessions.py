"""Who signed on where, from where: logons joined to sessions, and what is habit.

A session is a run of logons of one account from one machine to another with no gap longer
than half an hour. A habit is what the same account did between the same machines on earlier
days: backup jobs, the administrators' jump host, a user's file server.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hikeshi.model.evidence import RecordRef
from hikeshi.trace.identity import Identity, account_name, host_name
from hikeshi.trace.rows import DAY, MINUTE, Rows
from hikeshi.trace.slices import groups

_GAP = 30 * MINUTE
_NEAR = 150 * MINUTE  # of the time of day at which a habit is usual
_CLASSES = ("network", "rdp", "ssh")


@dataclass(frozen=True, slots=True)
class Session:
    """One sitting of an account on `destination`, coming from `source` (name or address)."""

    number: int
    start: int
    end: int
    source: str
    address: str
    destination: str
    account: str
    kind: str  # network, rdp or ssh
    rows: tuple[int, ...]
    count: int


class Sessions:
    """All sessions, found by source, destination or logon id; made with array operations."""

    def __init__(self, rows: Rows, who: Identity) -> None:
        self.rows = rows
        chosen = rows.of("logon", "rdp_session", "ssh_logon")
        self._texts: list[str] = []
        self._index: dict[str, int] = {}
        time = rows.time[chosen]
        destination = self._recode(rows, "host", chosen, host_name)
        account = self._recode(rows, "account", chosen, account_name)
        source, address = self._sources(rows, who, chosen)
        kind = self._kinds(rows, chosen)
        real = (source >= 0) & (destination >= 0) & (account >= 0) & (source != destination)
        chosen, time, destination, account = chosen[real], time[real], destination[real], account[real]
        source, address, kind = source[real], address[real], kind[real]
        number, _ = groups([source, destination, account, kind]) if len(chosen) else (np.empty(0, np.int64), 0)
        order = np.lexsort((chosen, time, number))
        new = np.ones(len(order), dtype=bool)
        if len(order) > 1:
            new[1:] = (number[order][1:] != number[order][:-1]) | (np.diff(time[order]) > _GAP)
        starts = np.flatnonzero(new)
        self._order_rows = chosen[order]
        self._bounds = np.append(starts, len(order))
        head = order[starts]
        by_time = np.lexsort((chosen[head], time[head]))
        self._place = by_time
        self.start = time[head][by_time]
        self.end = time[order][np.append(starts[1:], len(order)) - 1][by_time] if len(starts) else time[head]
        self.source, self.destination = source[head][by_time], destination[head][by_time]
        self.account, self.kind = account[head][by_time], kind[head][by_time]
        self.address = address[head][by_time]
        self.count = np.diff(self._bounds)[by_time]
        self._out = _positions(self.source)
        self._into = _positions(self.destination)
        self._habit: dict[tuple[int, int, int, int], bool] = {}
        self._session_of_row: dict[int, int] | None = None

    def __len__(self) -> int:
        return len(self.start)

    def _code(self, text: str) -> int:
        code = self._index.get(text)
        if code is None:
            code = self._index[text] = len(self._texts)
            self._texts.append(text)
        return code

    def _recode(self, rows: Rows, name: str, chosen: npt.NDArray[np.int64], change: object) -> npt.NDArray[np.int64]:
        column = rows.texts[name]
        assert callable(change)
        table = np.array([self._code(t) if (t := change(v)) else -1 for v in column.values] + [-1], dtype=np.int64)
        return np.asarray(table[column.codes[chosen]], dtype=np.int64)

    def _sources(
        self, rows: Rows, who: Identity, chosen: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        column = rows.texts["source"]
        steady = [who.steady(v) for v in column.values]
        table = np.array([self._code(s) if s else -2 for s in steady] + [-1], dtype=np.int64)
        source = table[column.codes[chosen]]
        for place in np.flatnonzero(source == -2).tolist():  # addresses that moved: few
            row = int(chosen[place])
            source[place] = self._code(who.at(rows.text("source", row), int(rows.time[row])))
        named = self._recode(rows, "source_name", chosen, host_name)
        source = np.where(source >= 0, source, named)
        raw = np.array([self._code(v) for v in column.values] + [-1], dtype=np.int64)
        return source, raw[column.codes[chosen]]

    def _kinds(self, rows: Rows, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        types, kinds = rows.texts["logon_type"], rows.texts["kind"]
        interactive = np.array([t in ("10", "12", "7") for t in types.values] + [False])[types.codes[chosen]]
        by_kind = np.array([{"rdp_session": 1, "ssh_logon": 2}.get(k, 0) for k in kinds.values] + [0])
        out = by_kind[kinds.codes[chosen]]
        return np.asarray(np.where(interactive & (out == 0), 1, out), dtype=np.int64)

    def habitual(self, number: int, before: int | None = None) -> bool:
        """Whether a session is routine: the same account between the same machines on two days before
        `before` (else before the session's own day), or an account that reaches several machines from
        there on two earlier days (backup server, jump host); and at a time of day it is used to."""
        begun = int(self.start[number])
        limit = begun if before is None else min(before, begun)
        key = (int(self.source[number]), int(self.account[number]), int(self.destination[number]), limit // DAY)
        known = self._habit.get(key)
        if known is None:
            known = self._habit[key] = self._is_habit(*key)
        return known and self._usual_hour(key[0], key[1], limit, begun)

    def _usual_hour(self, source: int, account: int, limit: int, begun: int) -> bool:
        """Whether the account worked from there at about this time of day before: a night breaks a day's habit."""
        numbers = self._out[source]
        earlier = self.start[numbers[(self.account[numbers] == account) & (self.start[numbers] < limit)]]
        apart = np.abs(earlier % DAY - begun % DAY)
        return bool((np.minimum(apart, DAY - apart) <= _NEAR).any())

    def _is_habit(self, source: int, account: int, destination: int, day: int) -> bool:
        numbers = self._out[source]
        numbers = numbers[(self.account[numbers] == account) & (self.start[numbers] // DAY < day)]
        days, goals = self.start[numbers] // DAY, self.destination[numbers]
        if len(np.unique(days[goals == destination])) >= 2:
            return True
        pairs = np.unique(np.stack([days, goals]), axis=1)
        return int((np.unique(pairs[0], return_counts=True)[1] >= 2).sum()) >= 2 if len(numbers) else False

    def get(self, number: int) -> Session:
        place = int(self._place[number])
        low, high = int(self._bounds[place]), int(self._bounds[place + 1])
        members = self._order_rows[low:high]
        address = self.address[number]
        return Session(
            number,
            int(self.start[number]),
            int(self.end[number]),
            self._texts[self.source[number]],
            self._texts[address] if address >= 0 else "",
            self._texts[self.destination[number]],
            self._texts[self.account[number]],
            _CLASSES[int(self.kind[number])],
            tuple(int(r) for r in members[:20]),
            high - low,
        )

    def first_refs(self, numbers: npt.NDArray[np.int64]) -> tuple[RecordRef, ...]:
        """The first record of each of these sessions."""
        places = self._place[numbers]
        return self.rows.refs(self._order_rows[self._bounds[places]].tolist())

    def out_of(self, host: str) -> npt.NDArray[np.int64]:
        """Numbers of the sessions that left a host, in time order."""
        return self._out.get(self._index.get(host, -1), np.empty(0, dtype=np.int64))

    def into(self, host: str) -> npt.NDArray[np.int64]:
        return self._into.get(self._index.get(host, -1), np.empty(0, dtype=np.int64))

    def of_row(self, row: int) -> int | None:
        """The session a logon record belongs to."""
        if self._session_of_row is None:
            place_of = np.empty(len(self._place), dtype=np.int64)
            place_of[self._place] = np.arange(len(self._place))
            runs = np.repeat(np.arange(len(self._place)), np.diff(self._bounds))
            self._session_of_row = dict(zip(self._order_rows.tolist(), place_of[runs].tolist(), strict=True))
        return self._session_of_row.get(row)

    def seen_before(self, source: str, account: str, time: int) -> bool:
        """Whether this account had worked from this machine before `time`."""
        code = self._index.get(account, -1)
        numbers = self.out_of(source)
        return bool(len(numbers)) and bool(np.any((self.account[numbers] == code) & (self.start[numbers] < time)))

    def names(self) -> list[str]:
        return self._texts


def _positions(codes: npt.NDArray[np.int64]) -> dict[int, npt.NDArray[np.int64]]:
    order = np.argsort(codes, kind="stable")
    values, starts = np.unique(codes[order], return_index=True)
    return {int(v): part for v, part in zip(values, np.split(order, starts[1:]), strict=True)} if len(order) else {}

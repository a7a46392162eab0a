"""Which machines and accounts the attacker holds, and since when.

Compromise travels: it starts where a way in or a strong signal is, and follows sessions forward
in time from machines the attacker already holds; where a strong signal appears on a machine
nobody reached, the session behind it is followed backward. Routine (habits, machine accounts,
typing errors, jobs) doesn't carry it: that is recorded as explained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text
from hikeshi.trace.identity import Identity, host_name
from hikeshi.trace.known import Known
from hikeshi.trace.marks import find_marks
from hikeshi.trace.rows import HOUR, MINUTE, Rows
from hikeshi.trace.sessions import Session, Sessions
from hikeshi.trace.spread import Edge, Mark, Surroundings

NOBODY = frozenset(
    ("", "-", "system", "local service", "network service", "localsystem", "iusr", "anonymous logon", "defaultapppool")
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


def _same_hand(one: Mark, other: Mark) -> bool:
    """Whether two marks may be one person's: what two administrators did on a machine does not add up."""
    nameless = NOBODY | {""}
    return one.account == other.account or one.account in nameless or other.account in nameless


class Infection:
    """What is held, touched, connected and explained; travel.py, forward.py and backward.py fill it."""

    def __init__(self, rows: Rows, who: Identity, sessions: Sessions, known: Known | None = None) -> None:
        """`known`: what the company says is its own doing; it is explained, never held."""
        self.rows, self.who, self.sessions = rows, who, sessions
        self.known = known or Known()
        self.explained: dict[str, tuple[Text, tuple[RecordRef, ...]]] = {}
        self.around = Surroundings(rows, who)
        marks, self.routine = find_marks(rows, who)
        self.marks = [m for m in marks if not self.is_known(m.time, (m.host,), m.account, [m.row])]
        self.marks_of: dict[str, list[Mark]] = defaultdict(list)
        for mark in self.marks:
            self.marks_of[mark.host].append(mark)
        self.hosts: dict[str, Hold] = {}
        self.accounts: dict[str, Hold] = {}
        self.touched: dict[str, Hold] = {}
        self.foreign: list[Foreign] = []
        self.edges: dict[tuple[str, str, str, str], Edge] = {}
        self.accepted: set[int] = set()
        self.untraced: dict[str, int] = {}
        self.doubtful: set[tuple[str, str, str, str]] = set()

    def is_known(self, time: int, hosts: tuple[str, ...], account: str, rows: Iterable[int]) -> bool:
        """Whether the company's own list covers this; then it is told as explained."""
        own = self.known.covers(time, hosts=hosts, account=account) if self.known else None
        if own is None:
            return False
        why = own.why or own.value
        self.explain(
            own.value, Text(f"会社の申告した作業です: {why}", f"the company names it as its own work: {why}"), rows
        )
        return True

    # Where it starts

    def hold_host(self, host: str, time: int, reason: Text | None, rows: Iterable[int]) -> bool:
        """Note a held machine; True if it is new or held from earlier than known."""
        known = self.hosts.get(host)
        rows = list(rows)
        if known is None and self.is_known(time, (host,), "", rows):
            return False
        if known is None:
            known = self.hosts[host] = Hold(host, time, time)
            known.add(time, reason, rows)
            return True
        earlier = time < known.first
        known.add(time, reason, rows)
        return earlier

    def hold_account(self, account: str, time: int, reason: Text, rows: Iterable[int], kind: str = "") -> None:
        rows = list(rows)
        if account in NOBODY or account.endswith("$") or not account or self.is_known(time, (), account, rows):
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
                    beside = [m for m in marks if m.weight >= 2 and abs(m.time - mark.time) <= 6 * HOUR
                              and _same_hand(m, mark)]
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

    def reached(self, host: str) -> bool:
        return any(e.destination == host for e in self.edges.values())

    def failures_before(self, session: Session) -> list[int]:
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

    def edge(
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

    def touch(self, session: Session) -> None:
        self.touch_name(session.destination, session.start, session.source, session.account, set(session.rows))

    def touch_name(self, host: str, time: int, source: str, account: str, rows: set[int]) -> None:
        known = self.touched.setdefault(host, Hold(host, time, time))
        known.add(
            time,
            Text(
                f"{source}から{account}が接続しましたが、操作の跡はありません",
                f"{account} connected from {source}; there is no trace of work on it",
            ),
            rows,
        )

    def routine_hosts(self, row: int) -> set[str]:
        what = f"{self.rows.text('object', row).lower()}|{self.rows.text('detail', row).lower()}"
        known = self.routine.get((self.rows.text("signal", row), what))
        return {known[0]} if known else set()

    def marked_near(self, host: str, time: int) -> bool:
        return any(m.name == "account_added" and abs(m.time - time) <= MINUTE for m in self.marks_of.get(host, ()))

    def explain(self, subject: str, reason: Text, rows: Iterable[int]) -> None:
        if subject not in self.explained:
            self.note(subject, reason, self.rows.refs(rows))

    def note(self, subject: str, reason: Text, records: tuple[RecordRef, ...]) -> None:
        """Keep something looked at and found harmless, with its reason."""
        if len(self.explained) < _EXPLAINED_AT_MOST:
            self.explained.setdefault(subject, (reason, records))

"""Rows of the timeline: one per record, in time order; a record without a readable time comes last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import orjson

from hikeshi.events.schema import COLUMNS, FIELDS, TIME
from hikeshi.events.time import NO_TIME, format_utc, parse_iso, to_datetime
from hikeshi.model.finding import SEVERITIES
from hikeshi.model.text import Text
from hikeshi.timeline.opened import Mark, Opened
from hikeshi.timeline.telling import detail, fields_of

_AT_ONCE = 2000
_NAMES = tuple(c.name for c in COLUMNS if c.name != TIME)
_ASKED = ", ".join(f'"{name}"' for name in _NAMES)
_OWN = f'array_to_string(map_values("{FIELDS}"), chr(10))'


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show; empty means everything. Times are UTC microseconds, `until` is not included; `level` is the
    lowest one; `search` are texts that all occur somewhere in the record, case ignored. A host also fits by its
    first label."""

    since: int | None = None
    until: int | None = None
    hosts: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    level: str = "info"
    tactics: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    every: bool = False  # also records that no finding stands on


@dataclass(frozen=True, slots=True)
class Row:
    """One record. `at` UTC microseconds or None; `level` of its most severe finding, "" where there is none;
    `event` holds what the record has, by its own names; `more` says how many further records the findings have
    that they don't list."""

    at: int | None
    host: str
    account: str
    level: str
    kinds: tuple[str, ...]
    titles: tuple[Text, ...]
    tactics: tuple[str, ...]
    techniques: tuple[str, ...]
    findings: tuple[str, ...]
    dataset: str
    code: str
    detail: str
    path: str
    record_id: int | None
    line: int | None
    event: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recovered(self) -> str:
        """slack, damaged or carved for a record that no reader of its log shows; else empty."""
        return str(self.event.get("hikeshi.recovered") or "")

    @property
    def time(self) -> str:
        """ISO 8601 in UTC, or empty."""
        return "" if self.at is None else format_utc(self.at)

    @property
    def place(self) -> str:
        """Where it can be checked: path and record or line."""
        if self.record_id is not None:
            return f"{self.path} #{self.record_id}"
        return f"{self.path}:{self.line}" if self.line is not None else self.path


def rows(opened: Opened, wanted: Filter | None = None) -> Iterator[Row]:
    """In time order; streams."""
    wanted = wanted or Filter()
    whole = sorted(_whole_files(opened, wanted), key=lambda r: (r.at is None, r.at or 0, r.path))
    timed = [r for r in whole if r.at is not None]
    for row in _records(opened, wanted):
        while timed and (row.at is None or (timed[0].at is not None and timed[0].at <= row.at)):
            yield timed.pop(0)
        yield row
    yield from timed
    yield from (r for r in whole if r.at is None)


def event_of(opened: Opened, path: str, *, record_id: int | None = None, line: int | None = None
             ) -> list[dict[str, Any]]:
    """Everything that one record says, as the event table has it; several where a file holds a number twice."""
    where, value = ('"winlog.record_id" = ?', record_id) if record_id is not None else ('"log.line" = ?', line)
    found = opened.link.execute(
        f'SELECT epoch_us("{TIME}"), {_ASKED}, "{FIELDS}" FROM event WHERE "log.file.path" = ? AND {where} LIMIT 20',
        [path, value]).fetchall()
    return [_event(one) for one in found]


def _event(found: Sequence[Any]) -> dict[str, Any]:
    at, *values, others = found
    out = {} if at is None else {TIME: format_utc(at)}
    out |= {name: value for name, value in zip(_NAMES, values, strict=True) if value is not None}
    return out | {FIELDS: fields_of(others)} if others else out


def _chosen(opened: Opened, wanted: Filter) -> list[int]:
    """Numbers of the marks that the level and tactics ask for."""
    least = SEVERITIES.index(wanted.level)
    return [number for number, mark in enumerate(opened.marks)
            if SEVERITIES.index(mark.level) <= least
            and (not wanted.tactics or set(wanted.tactics) & set(mark.tactics))]


def _records(opened: Opened, wanted: Filter) -> Iterator[Row]:
    chosen = _chosen(opened, wanted)
    is_picky = wanted.level != "info" or bool(wanted.tactics)
    where: list[str] = ["TRUE"]
    values: list[Any] = []
    if is_picky or not wanted.every:
        where.append("len(list_intersect(nos, ?)) > 0")
        values.append(chosen)
    for sign, moment in ((">=", wanted.since), ("<", wanted.until)):
        if moment is not None:
            where.append(f'"{TIME}" {sign} ?::TIMESTAMPTZ')
            values.append(to_datetime(moment))
    if wanted.hosts:
        where.append("(list_contains(?, lower(machine)) OR list_contains(?, split_part(lower(machine), '.', 1)))")
        values += [[h.lower() for h in wanted.hosts]] * 2
    if wanted.accounts:
        where.append('list_contains(?, lower("user.name"))')
        values.append([a.lower().rpartition("\\")[2] for a in wanted.accounts])
    for word in wanted.search:
        where.append(f"contains(lower(concat_ws(chr(10), {_ASKED}, {_OWN})), lower(?))")
        values.append(word)
    source = "SELECT *, coalesce(nullif(\"host.name\", ''), \"observer.name\", '') AS machine FROM event"
    if wanted.every:
        joins = ('LEFT JOIN by_rid r ON e."log.file.path" = r.path AND e."winlog.record_id" = r.rid '
                 'LEFT JOIN by_line l ON e."log.file.path" = l.path AND e."log.line" = l.line')
        numbers_of = "list_distinct(list_concat(coalesce(r.nos, []), coalesce(l.nos, [])))"
        base = f"SELECT e.*, {numbers_of} AS nos FROM ({source}) e {joins}"
    else:
        base = " UNION ALL ".join(
            f'SELECT e.*, m.nos FROM ({source}) e JOIN by_{name} m '
            f'ON e."log.file.path" = m.path AND e."{column}" = m.{name}'
            for name, column in (("rid", "winlog.record_id"), ("line", "log.line")))
    found = opened.link.cursor().execute(
        f'SELECT epoch_us("{TIME}"), machine, nos, {_ASKED}, "{FIELDS}" FROM ({base}) WHERE {" AND ".join(where)} '
        f'ORDER BY "{TIME}" NULLS LAST, "log.file.path", "winlog.record_id", "log.line"', values)
    while several := found.fetchmany(_AT_ONCE):
        for at, machine, numbers, *rest in several:
            event = _event((at, *rest))
            marks = [opened.marks[n] for n in sorted(numbers or ())]
            yield _row(at, machine, str(event.get("user.name", "")), marks, event)


def _row(at: int | None, host: str, account: str, marks: Sequence[Mark], event: Mapping[str, Any],
         path: str = "") -> Row:
    found = [m for m in marks if m.kind != "story"]
    level = min((m.level for m in found), key=SEVERITIES.index, default="info" if marks else "")
    ordered = sorted(marks, key=lambda m: (m.kind != "story", SEVERITIES.index(m.level)))
    number, line = event.get("winlog.record_id"), event.get("log.line")
    return Row(
        at=at, host=host, account=account, level=level, kinds=tuple(dict.fromkeys(m.kind for m in ordered)),
        titles=tuple(dict.fromkeys(m.title for m in ordered)),
        tactics=tuple(dict.fromkeys(t for m in ordered for t in m.tactics)),
        techniques=tuple(dict.fromkeys(t for m in ordered for t in m.techniques)),
        findings=tuple(m.id for m in ordered), dataset=str(event.get("event.dataset", "")),
        code=str(event.get("event.code", "")), detail=detail(event), path=str(event.get("log.file.path", path)),
        record_id=number, line=line, event=event)


def _whole_files(opened: Opened, wanted: Filter) -> Iterator[Row]:
    """Findings that stand on files as a whole (a note, an encrypted file): one row for each file."""
    chosen = set(_chosen(opened, wanted))
    by_path: dict[str, list[Mark]] = {}
    for number, mark in enumerate(opened.marks):
        for path, record_id, line in mark.places:
            if number in chosen and record_id is None and line is None:
                by_path.setdefault(path, []).append(mark)
    for path, marks in by_path.items():
        when = min((m.when for m in marks if m.when), default=None)
        at = _micro(when)
        host = next((h for m in marks for h in m.hosts), "")
        account = next((a for m in marks for a in m.accounts), "")
        row = _row(at, host, account, marks, {}, path)
        if _fits(row, wanted):
            yield row


def _fits(row: Row, wanted: Filter) -> bool:
    if row.at is None and (wanted.since is not None or wanted.until is not None):
        return False
    if row.at is not None and ((wanted.since is not None and row.at < wanted.since)
                               or (wanted.until is not None and row.at >= wanted.until)):
        return False
    names = {row.host.lower(), row.host.lower().partition(".")[0]}
    if wanted.hosts and not names & {h.lower() for h in wanted.hosts}:
        return False
    if wanted.accounts and row.account.lower() not in {a.lower().rpartition("\\")[2] for a in wanted.accounts}:
        return False
    said = orjson.dumps([row.path, *(t for one in row.titles for t in one)]).decode().lower()
    return all(word.lower() in said for word in wanted.search)


def _micro(when: str | None) -> int | None:
    if not when:
        return None
    found = parse_iso(when, UTC)
    return None if found == NO_TIME else found

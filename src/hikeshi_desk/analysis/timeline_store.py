"""A result's timeline in one small database beside it, so that a page filters it without reading the evidence again.

timeline.sqlite holds `row` (one per record with a finding or a step of the story; `whole` is the record as JSON),
`logon` and `pivot`. Written whole before the result counts, read only afterwards.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from hikeshi.errors import HikeshiError
from hikeshi.model.finding import SEVERITIES
from hikeshi.model.text import Text
from hikeshi.timeline.logons import logons
from hikeshi.timeline.opened import Opened
from hikeshi.timeline.pivots import pivots
from hikeshi.timeline.rows import Row, rows

log = logging.getLogger(__name__)
NAME = "timeline.sqlite"
MOST, MOST_LOGONS = 50_000, 20_000
_LARGEST = 64 * 1024  # characters of one record
_SCHEMA = """
CREATE TABLE row (id INTEGER PRIMARY KEY, at INTEGER, level TEXT, rank INTEGER, host TEXT, account TEXT, tactics TEXT,
  titles TEXT, detail TEXT, place TEXT, said TEXT, whole TEXT);
CREATE TABLE logon (host TEXT, domain TEXT, account TEXT, source TEXT, source_name TEXT, way TEXT, successes INTEGER,
  failures INTEGER, first_success INTEGER, last_success INTEGER, first_failure INTEGER, last_failure INTEGER);
CREATE TABLE pivot (kind TEXT, value TEXT, marked INTEGER, everywhere INTEGER, first INTEGER, last INTEGER);
"""
_INDEXES = "CREATE INDEX row_at ON row (at, id); CREATE INDEX row_host ON row (host);"
ORDERS = {"failures": "failures DESC, successes DESC", "successes": "successes DESC, failures DESC",
          "first": "coalesce(min(first_success, first_failure), first_success, first_failure)",
          "last": "coalesce(max(last_success, last_failure), last_success, last_failure) DESC"}


def keep(out: Path, place: Path, called: Callable[[str], str]) -> bool:
    """Writes the timeline of the triage result `out` into the folder `place`; `called` gives a path the sender's own
    name. False, and a word in the log, where it can't be made: the analysis is worth showing without it."""
    target, new = place / NAME, place / f".new-{NAME}"
    new.unlink(missing_ok=True)
    try:
        with Opened([out]) as opened, contextlib.closing(sqlite3.connect(new)) as base:
            _fill(base, opened, called)
        new.replace(target)
    except (HikeshiError, sqlite3.Error, OSError) as error:
        log.warning("no timeline for %s: %s", place.name, error)
        new.unlink(missing_ok=True)
        return False
    return True


def _fill(base: sqlite3.Connection, opened: Opened, called: Callable[[str], str]) -> None:
    base.execute("PRAGMA journal_mode = OFF")
    base.executescript(_SCHEMA)
    for number, row in enumerate(rows(opened)):
        if number == MOST:
            break
        base.execute("INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _cells(number + 1, row, called))
    for at, one in enumerate(logons(opened)):
        if at == MOST_LOGONS:
            break
        base.execute(f"INSERT INTO logon VALUES ({', '.join('?' * 12)})", _own(one))
    for value in pivots(opened):
        base.execute("INSERT INTO pivot VALUES (?, ?, ?, ?, ?, ?)", _own(value))
    base.executescript(_INDEXES)
    base.commit()


def _own(one: Any) -> list[Any]:
    return [_text(getattr(one, name)) for name in one.__slots__]


def _cells(number: int, row: Row, called: Callable[[str], str]) -> list[Any]:
    path = called(row.path)
    place = row.place.replace(row.path, path, 1)
    whole = {"path": path, "record_id": row.record_id, "line": row.line, "dataset": row.dataset, "code": row.code,
             "kinds": row.kinds, "techniques": row.techniques, "findings": row.findings, "event": dict(row.event)}
    packed = _json(whole)
    if len(packed) > _LARGEST:
        packed = _json({**whole, "event": {name: _short(value) for name, value in row.event.items()}})
    titles = _json([[t.ja, t.en] for t in row.titles])
    said = "\n".join([row.host, row.account, row.detail, path, *(x for t in row.titles for x in t), _values(row.event)])
    return [number, row.at, row.level, SEVERITIES.index(row.level) if row.level in SEVERITIES else len(SEVERITIES),
            _text(row.host), _text(row.account), f" {' '.join(row.tactics)} ", titles, _text(row.detail), _text(place),
            _text(said.lower()[:_LARGEST]), packed]


def _values(event: Any) -> str:
    own = event.get("fields") or {}
    return "\n".join(str(v) for v in (*own.values(), *(v for n, v in event.items() if n != "fields")))


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k)[:200]: _short(v) for k, v in list(value.items())[:100]}
    return value[:200] + "…" if isinstance(value, str) and len(value) > 200 else value


def _text(value: Any) -> Any:
    """Undecodable bytes are spelt out: SQLite takes no lone surrogates."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _json(tree: Any) -> str:
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {_text(k): clean(v) for k, v in value.items()}
        return [clean(v) for v in value] if isinstance(value, list | tuple) else _text(value)
    return orjson.dumps(clean(tree)).decode()


# --------------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Asked:
    """What a page asks for; empty means everything. Times are UTC microseconds, `until` is not included."""

    level: str = ""
    host: str = ""
    account: str = ""
    tactic: str = ""
    words: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


class Kept:
    """A timeline as it was written; never changed."""

    def __init__(self, place: Path) -> None:
        path = place / NAME
        if not path.is_file():
            raise FileNotFoundError(path)
        self._base = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True,
                                     check_same_thread=False)  # a file is written after its request is answered
        self._base.row_factory = sqlite3.Row

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def count(self, asked: Asked) -> int:
        where, values = _where(asked)
        return int(self._base.execute(f"SELECT count(*) FROM row WHERE {where}", values).fetchone()[0])

    def rows(self, asked: Asked, *, first: int = 0, most: int = -1) -> Iterator[sqlite3.Row]:
        where, values = _where(asked)
        yield from self._base.execute(f"SELECT * FROM row WHERE {where} ORDER BY id LIMIT ? OFFSET ?",
                                      [*values, most, first])

    def row(self, number: int) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._base.execute("SELECT * FROM row WHERE id = ?", [number]).fetchone()
        return found

    def values(self, asked: Asked, name: str, most: int = 200) -> list[tuple[str, int]]:
        """How many rows there would be for each host, account or level, under the other filters."""
        where, values = _where(asked, besides=name)
        found = self._base.execute(f"SELECT {name}, count(*) AS n FROM row WHERE {where} AND {name} <> '' GROUP BY 1 "
                                   f"ORDER BY n DESC, 1 LIMIT ?", [*values, most])
        return [(str(value), int(number)) for value, number in found]

    def tactics(self, asked: Asked) -> dict[str, int]:
        where, values = _where(asked, besides="tactic")
        out: dict[str, int] = {}
        counted = self._base.execute(f"SELECT tactics, count(*) FROM row WHERE {where} GROUP BY 1", values)
        for several, number in counted:
            for tactic in several.split():
                out[tactic] = out.get(tactic, 0) + number
        return out

    def spans(self, asked: Asked, parts: int) -> tuple[list[tuple[int, int, int, int]], int]:
        """The time of these rows in at most `parts` equal spans: from, to, rows, rows that are high or critical;
        and how many rows have no time."""
        where, values = _where(asked)
        first, last, timeless = self._base.execute(
            f"SELECT min(at), max(at), count(*) - count(at) FROM row WHERE {where}", values).fetchone()
        if first is None:
            return [], int(timeless or 0)
        step = max(60_000_000, -(-(last - first + 1) // parts))
        step = -(-step // 60_000_000) * 60_000_000  # whole minutes
        start = first - first % 60_000_000
        counts = {int(n): (int(rows), int(grave)) for n, rows, grave in self._base.execute(
            f"SELECT (at - ?) / ? AS n, count(*), sum(rank <= 1) FROM row WHERE {where} AND at IS NOT NULL GROUP BY 1",
            [start, step, *values])}
        return [(start + n * step, start + (n + 1) * step, *counts.get(n, (0, 0)))
                for n in range((last - start) // step + 1)], int(timeless)

    def logons(self, order: str, *, first: int, most: int) -> tuple[list[sqlite3.Row], int]:
        found = self._base.execute(f"SELECT * FROM logon ORDER BY {ORDERS[order]}, host, account, source, way "
                                   "LIMIT ? OFFSET ?", [most, first]).fetchall()
        return found, int(self._base.execute("SELECT count(*) FROM logon").fetchone()[0])

    def pivots(self) -> list[sqlite3.Row]:
        return self._base.execute("SELECT * FROM pivot ORDER BY rowid").fetchall()

    def whole(self, asked: Asked) -> Iterator[Row]:
        """Rows as the exports take them."""
        for one in self.rows(asked):
            told = orjson.loads(one["whole"])
            yield Row(at=one["at"], host=one["host"], account=one["account"], level=one["level"],
                      kinds=tuple(told["kinds"]), titles=tuple(Text(ja, en) for ja, en in orjson.loads(one["titles"])),
                      tactics=tuple(one["tactics"].split()), techniques=tuple(told["techniques"]),
                      findings=tuple(told["findings"]), dataset=told["dataset"], code=told["code"],
                      detail=one["detail"], path=told["path"], record_id=told["record_id"], line=told["line"],
                      event=told["event"])


def _where(asked: Asked, besides: str = "") -> tuple[str, list[Any]]:
    parts: list[tuple[str, Sequence[Any]]] = [("1", ())]
    if asked.level in SEVERITIES and besides != "level":
        parts.append(("level = ?", [asked.level]))
    parts += [(f"{name} = ?", [getattr(asked, name)]) for name in ("host", "account")
              if getattr(asked, name) and besides != name]
    if asked.tactic and besides != "tactic":
        parts.append(("instr(tactics, ?) > 0", [f" {asked.tactic} "]))
    parts += [("instr(said, ?) > 0", [word.lower()]) for word in asked.words]
    if asked.since is not None:
        parts.append(("at >= ?", [asked.since]))
    if asked.until is not None:
        parts.append(("at < ?", [asked.until]))
    return " AND ".join(part for part, _ in parts), [value for _, values in parts for value in values]

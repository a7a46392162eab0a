"""Matches as rows for `hunt --json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from hikeshi.detect.match import Match
from hikeshi.detect.rules import RuleInfo
from hikeshi.events.table import EventTable
from hikeshi.events.time import NO_TIME, format_utc

_COLUMNS = (("record_id", "winlog.record_id"), ("event_id", "event.code"), ("channel", "winlog.channel"),
            ("host", "host.name"), ("path", "log.file.path"), ("line", "log.line"),
            ("dataset", "event.dataset"))
_RECOVERED = (("recovered", "hikeshi.recovered"), ("lacks", "hikeshi.lacks"), ("offset", "log.offset"))
_EARLIEST, _LATEST = -60_000_000_000_000_000, 253_000_000_000_000_000       # years with four digits


def result_rows(table: EventTable, matches: Iterable[Match], *, path: str | None = None,
                hashes: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """One dict per rule and row, in rule order, then row order.

    Keys: rule_id, rule_title, rule_author, level, file (base name), path, sha256 (of that file, where `hashes` by path
    has it), record_id, event_id
    (a number where it is one), channel, host, timestamp (UTC, ISO 8601), tactics, techniques; for a
    line of a text log also line and dataset; for a recovered record recovered (slack, damaged, carved), offset and
    what it lacks; where the site gave the rule another level, tuned
    (its reason) and own_level.
    The file is the table's column log.file.path, or `path`.
    """
    chosen = list(matches)
    if not chosen:
        return
    rows = np.unique(np.concatenate([m.rows for m in chosen]))
    about = dict(zip(rows.tolist(), _about(table, rows, path, hashes), strict=True))
    for match in chosen:
        head, tail = _head(match.rule), _tail(match.rule)
        for row in match.rows.tolist():
            yield {**head, **about[row], **tail}


def result_lines(table: EventTable, matches: Sequence[Match], order: npt.NDArray[np.int64] | None = None, *,
                 path: str | None = None, hashes: Mapping[str, str] | None = None) -> list[bytes]:
    """The rows of `result_rows` as JSON Lines, in that order or in another.

    A rule's part and a record's part are written once each and put together as bytes.
    """
    if not matches:
        return []
    rows = np.concatenate([m.rows for m in matches])
    owners = np.repeat(np.arange(len(matches)), [len(m.rows) for m in matches])
    if order is not None:
        rows, owners = rows[order], owners[order]
    used, where = np.unique(rows, return_inverse=True)
    abouts = [orjson.dumps(a)[1:-1] for a in _about(table, used, path, hashes)]
    heads = [orjson.dumps(_head(m.rule))[:-1] + b"," for m in matches]
    tails = [b"," + orjson.dumps(_tail(m.rule))[1:] + b"\n" for m in matches]
    return [heads[o] + abouts[w] + tails[o] for o, w in zip(owners.tolist(), where.tolist(), strict=True)]


def _head(rule: RuleInfo) -> dict[str, Any]:
    return {"rule_id": rule.id, "rule_title": rule.title, "rule_author": rule.author, "level": rule.level}


def _tail(rule: RuleInfo) -> dict[str, Any]:
    tail: dict[str, Any] = {"tactics": list(rule.tactics), "techniques": list(rule.techniques)}
    if rule.tuned:
        tail |= {"tuned": rule.tuned, "own_level": rule.own_level}
    return tail


def _about(table: EventTable, rows: npt.NDArray[Any], path: str | None,
           hashes: Mapping[str, str] | None) -> list[dict[str, Any]]:
    """What is said of each of these records."""
    cells: dict[str, list[Any]] = {}
    for name, column_name in _COLUMNS:
        column = table.columns.get(column_name)
        if column is None:
            cells[name] = [None] * len(rows)
        else:
            values = [*column.values, None]         # the last is that of code -1
            cells[name] = [values[c] for c in column.dense(table.row_count)[rows].tolist()]
    codes = {c: int(c) if c and c.isascii() and c.isdigit() else c for c in set(cells["event_id"])}
    paths = {p: p or path or "" for p in set(cells["path"])}
    names = {p: whole.replace("\\", "/").rsplit("/", 1)[-1] for p, whole in paths.items()}
    known = {p: {"sha256": hashes[whole]} if hashes and whole in hashes else {} for p, whole in paths.items()}
    out = []
    for record, code, channel, host, whole, line, dataset, time in zip(
            *(cells[name] for name, _ in _COLUMNS), _stamps(table.times[rows]), strict=True):
        one = {"file": names[whole], "path": paths[whole], **known[whole], "record_id": record, "event_id": codes[code],
               "channel": channel, "host": host, "timestamp": time}
        if line is not None and record is None:
            one |= {"line": line, "dataset": dataset}
        out.append(one)
    if "hikeshi.recovered" in table.columns:
        _say_recovered(table, rows, out)
    return out


def _say_recovered(table: EventTable, rows: npt.NDArray[Any], out: list[dict[str, Any]]) -> None:
    marks = table.columns["hikeshi.recovered"].dense(table.row_count)[rows]
    for name, column_name in _RECOVERED:
        column = table.columns.get(column_name)
        if column is None:
            continue
        codes = column.dense(table.row_count)[rows]
        for place in np.flatnonzero((marks >= 0) & (codes >= 0)).tolist():
            out[place][name] = column.values[codes[place]]


def _stamps(times: npt.NDArray[np.int64]) -> list[str | None]:
    """UTC, ISO 8601, as `format_utc` writes them."""
    if not len(times):
        return []
    if int(times.min()) >= _EARLIEST and int(times.max()) < _LATEST:
        whole = np.datetime_as_string(times.astype("datetime64[us]"), unit="us").tolist()
        # A time on the second has no fraction.
        return [f"{t[:19]}Z" if t[20:] == "000000" else f"{t}Z" for t in whole]
    return [_stamp(time) for time in times.tolist()]


def _stamp(time: int) -> str | None:
    if time == NO_TIME:
        return None
    try:
        return format_utc(time)
    except ValueError:
        return None

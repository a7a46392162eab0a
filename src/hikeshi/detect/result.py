"""Matches as rows for `hunt --json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from hikeshi.detect.match import Match
from hikeshi.events.table import EventTable
from hikeshi.events.time import NO_TIME, format_utc

_COLUMNS = (("record_id", "winlog.record_id"), ("event_id", "event.code"), ("channel", "winlog.channel"),
            ("host", "host.name"), ("path", "log.file.path"), ("line", "log.line"),
            ("dataset", "event.dataset"))


def result_rows(table: EventTable, matches: Iterable[Match], *, path: str | None = None) -> Iterator[dict[str, Any]]:
    """One dict per rule and row, in rule order, then row order.

    Keys: rule_id, rule_title, rule_author, level, file (base name), path, record_id, event_id
    (a number where it is one), channel, host, timestamp (UTC, ISO 8601), tactics, techniques; for a
    line of a text log also line and dataset; where the site gave the rule another level, tuned
    (its reason) and own_level.
    The file is the table's column log.file.path, or `path`.
    """
    chosen = list(matches)
    if not chosen:
        return
    rows = np.unique(np.concatenate([m.rows for m in chosen]))
    about: dict[int, dict[str, Any]] = {}
    cells = {}
    for name, column_name in _COLUMNS:
        column = table.columns.get(column_name)
        cells[name] = [None] * len(rows) if column is None else [
            column.values[c] if c >= 0 else None for c in column.dense(table.row_count)[rows].tolist()]
    for index, (row, time) in enumerate(zip(rows.tolist(), table.times[rows].tolist(), strict=True)):
        whole = cells["path"][index] or path or ""
        code = cells["event_id"][index]
        about[row] = {
            "file": whole.replace("\\", "/").rsplit("/", 1)[-1], "path": whole, "record_id": cells["record_id"][index],
            "event_id": int(code) if code and code.isascii() and code.isdigit() else code,
            "channel": cells["channel"][index], "host": cells["host"][index], "timestamp": _stamp(time),
        }
        if cells["line"][index] is not None and cells["record_id"][index] is None:
            about[row] |= {"line": cells["line"][index], "dataset": cells["dataset"][index]}
    for match in chosen:
        rule = match.rule
        head = {"rule_id": rule.id, "rule_title": rule.title, "rule_author": rule.author, "level": rule.level}
        tail: dict[str, Any] = {"tactics": list(rule.tactics), "techniques": list(rule.techniques)}
        if rule.tuned:
            tail |= {"tuned": rule.tuned, "own_level": rule.own_level}
        for row in match.rows.tolist():
            yield {**head, **about[row], **tail}


def _stamp(time: int) -> str | None:
    if time == NO_TIME:
        return None
    try:
        return format_utc(time)
    except ValueError:
        return None

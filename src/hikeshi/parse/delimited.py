"""CSV and its relatives (tab, semicolon, bar) of any product, with or without a heading line.

Headings known to data/field_names.toml, Japanese ones too, become columns; the rest stays under
its own heading. Quoted values may run over lines.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from hikeshi.events.time import NO_TIME
from hikeshi.parse import m365
from hikeshi.parse.addresses import ip
from hikeshi.parse.content import guess
from hikeshi.parse.context import CONFIDENCE, Context, Event
from hikeshi.parse.hints import add_by_hint
from hikeshi.parse.keyvalue import timed_by_hint
from hikeshi.parse.names import map_record, plan
from hikeshi.parse.plainnames import plain_name
from hikeshi.parse.syslog import timed

csv.field_size_limit(16 << 20)
_SIGNS = (",", "\t", ";", "|")
_MOST_LINES = 60
_NUMBER = re.compile(r"[\d.,:+%/ -]*\Z")


class Sniffed:
    """Separator and heading of a delimited file; `skip` lines stand before the heading."""

    __slots__ = ("headings", "separator", "skip")

    def __init__(self, separator: str, headings: tuple[str, ...], skip: int) -> None:
        self.separator = separator
        self.headings = headings
        self.skip = skip


def sniff(lines: Sequence[str]) -> Sniffed | None:
    """How the file is laid out; None if it is no delimited file."""
    sample = [line for line in lines if line.strip()][:200]
    best: Sniffed | None = None
    best_score = 0.0
    for sign in _SIGNS:
        if sum(sign in line for line in sample) * 10 < len(sample) * 8:
            continue
        rows = [_row(text, sign) if "\n" not in text else row for row, text, _, _ in records(
            iter([(line, 0, 0) for line in sample]), sign)]
        widths = Counter(len(row) for row in rows)
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        share = count / max(1, len(rows))
        if width < 3 or share < 0.8 or (width < 5 and len(sample) == 1):
            continue
        heading = next((i for i, row in enumerate(rows[:10]) if len(row) == width and _is_heading(row)), None)
        if heading is None and width < 5:
            continue
        score = share * width + (100 if heading is not None else 0)
        if score > best_score:
            names = _unique(rows[heading]) if heading is not None else ()
            best, best_score = Sniffed(sign, names, (heading + 1) if heading is not None else 0), score
    return best


def detect(lines: Sequence[str]) -> float:
    found = sniff(lines)
    if found is None:
        return 0.0
    # A heading says what it is; mere commas are weaker than anything with a signature.
    return 0.95 if found.headings and plan(found.headings) else 0.5


def _row(line: str, sign: str) -> list[str]:
    try:
        return next(csv.reader([line.strip("\ufeff")], delimiter=sign, skipinitialspace=sign == ","), [])
    except csv.Error:
        return []


def _is_heading(row: list[str]) -> bool:
    cells = [cell.strip() for cell in row]
    if sum(1 for c in cells if not c) > len(cells) // 3 or len(set(cells)) < len(cells) - cells.count("") - 2:
        return False
    if any(len(c) > 80 or (c and _NUMBER.match(c)) or ip(c) or "://" in c or "=" in c for c in cells):
        return False
    known = sum(len(plan((plain_name(c),))) > 0 for c in cells if c)
    return known >= 2 or known * 2 >= len(cells)


def _unique(row: list[str]) -> tuple[str, ...]:
    seen: Counter[str] = Counter()
    names = []
    for number, cell in enumerate(row):
        name = cell.strip().strip("\ufeff") or f"column_{number + 1}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(names)


def records(lines: Iterator[tuple[str, int, int]], sign: str) -> Iterator[tuple[list[str], str, int, int]]:
    """(values, text, line, offset) of each record; a quoted value may hold line ends.

    A quote that is never closed swallows at most its own line: after sixty lines without its
    end the first line is given as it stands and the others are read again.
    """
    waiting: list[tuple[str, int, int]] = []
    held: list[tuple[str, int, int]] = []
    while True:
        item = waiting.pop(0) if waiting else next(lines, None)
        if item is None:
            if not held:
                return
        else:
            held.append(item)
        text = "\n".join(h[0] for h in held)
        if item is not None and _open_quote(text) and len(held) < _MOST_LINES:
            continue
        if _open_quote(text) and len(held) > 1:
            waiting = held[1:] + waiting
            held = held[:1]
            text = held[0][0]
        try:
            row = next(
                csv.reader(
                    text.splitlines(keepends=True) if "\n" in text else [text],
                    delimiter=sign,
                    skipinitialspace=sign == ",",
                ),
                [],
            )
        except csv.Error:
            row = []
        yield row, text, held[0][1], held[0][2]
        held = []


def _open_quote(text: str) -> bool:
    return text.count('"') % 2 == 1


def parse_record(row: list[str], layout: Sniffed, context: Context) -> Event | None:
    """One record as an event; None if it has another number of values than the heading."""
    if not layout.headings:
        return _without_heading(row, context)
    while len(row) > len(layout.headings) and not row[-1]:
        row = row[:-1]
    if len(row) != len(layout.headings):
        return None
    if tuple(cell.strip().strip("\ufeff") for cell in row) == layout.headings:
        return None  # the heading again, in files that were put together
    record = dict(zip(layout.headings, row, strict=True))
    if "AuditData" in record and (exported := m365.from_export(record, context)) is not None:
        return exported
    event = map_record(record, context, dataset="csv")
    event.cells[CONFIDENCE] = "low" if add_by_hint(event.cells, record) else "medium"
    return event if event.time != NO_TIME else timed_by_hint(event, record, context)


def _without_heading(row: list[str], context: Context) -> Event | None:
    """Values under their position, and by their looks in columns."""
    if len(row) < 3:
        return None
    when, cells = guess(row, context)
    cells["event.dataset"] = "csv"
    cells[CONFIDENCE] = "low"
    cells.update({f"column_{i + 1}": cell for i, cell in enumerate(row) if cell != ""})
    return timed(when, cells)

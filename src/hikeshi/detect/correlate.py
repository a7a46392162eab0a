"""Correlations over the hits of all files: Sigma 2.1's eight kinds, on columns, by time.

A window is what happened in one group within the timespan, both ends included. A condition that more
events can only strengthen (gt, gte; rules joined with and, or) is asked at each event of what lies
before it. One that more events can break (lt, lte, eq, neq, not) is asked of whole windows, which follow
each other from the group's first event. Windows that hold and overlap are one finding.

Groups compare without case. A hit without a time, without a group-by field or without the value to count
is left out, and counted.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hikeshi.detect.compile import CompiledRules
from hikeshi.detect.correlation import MEASURES
from hikeshi.detect.hits import read_hits
from hikeshi.detect.patterns import as_number
from hikeshi.events.time import NO_TIME, format_utc

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Window = tuple[int, int]                    # first and last event, both in

RECORDS_KEPT = 1_000                        # of one finding; `count` tells all
FINDINGS_KEPT = 100_000                     # of one correlation; the rest is counted
_ROWS_AT_ONCE = 2_000_000
_DETAILS_AT_ONCE = 100_000
_JOIN = "\x1f"
_COMPARE: dict[str, Callable[[Any, float], Any]] = {
    "gt": lambda a, b: a > b, "gte": lambda a, b: a >= b, "lt": lambda a, b: a < b, "lte": lambda a, b: a <= b,
    "eq": lambda a, b: a == b, "neq": lambda a, b: a != b}


@dataclass(slots=True)
class CorrelationCount:
    """What one correlation looked at and found. `without_*`: hits that could not be put anywhere."""

    hits: int = 0
    findings: int = 0
    more: int = 0                           # found, but beyond FINDINGS_KEPT
    without_time: int = 0
    without_group: int = 0
    without_value: int = 0


@dataclass(slots=True)
class _Events:
    """The hits of one correlation, by group, then time, then input."""

    times: Ints
    groups: Ints
    inputs: Ints
    values: Any                             # numbers of values, or measured numbers
    refs: Ints
    names: list[tuple[str, ...]]            # group number → the group-by values as first seen


@dataclass(slots=True)
class _Firings:
    """Windows that hold, as events for a correlation above: `refs[lo:hi + 1]` are what made them."""

    times: Ints
    groups: Ints
    lo: Ints
    hi: Ints
    refs: Ints
    names: list[tuple[str, ...]]


@dataclass(slots=True)
class _Draft:
    """A finding before its records are looked up."""

    entry: int
    group: tuple[str, ...]
    fired: int
    first: int
    last: int
    count: int
    refs: Ints


@dataclass(slots=True)
class Correlator:
    """Works all correlations of a set out over files that HitWriter wrote."""

    compiled: CompiledRules
    paths: Sequence[Path]
    rows_at_once: int = _ROWS_AT_ONCE
    counts: dict[int, CorrelationCount] = field(default_factory=dict)      # entry → figures
    _firings: dict[int, _Firings] = field(default_factory=dict)
    _offsets: list[tuple[int, int]] = field(default_factory=list)          # first firing number, entry
    _fired: int = 0

    def findings(self, levels: Iterable[str] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """Number of the correlation and one dict per finding, correlation by correlation, then by time.

        docs/hunting.md tells the keys.
        """
        wanted = None if levels is None else frozenset(levels)
        for number, entry in enumerate(self.compiled.correlations):
            drafts = self._work_out(number, entry)
            info = self.compiled.rules[entry["rule"]]
            if entry["quiet"] or (wanted is not None and info.level not in wanted):
                continue
            self.counts[number].findings = len(drafts)
            for row in self._rows(drafts):
                yield number, row

    # From files to events -------------------------------------------------------------------

    def _work_out(self, number: int, entry: Mapping[str, Any]) -> list[_Draft]:
        count = self.counts[number] = CorrelationCount()
        drafts: list[_Draft] = []
        parts = self._parts(entry)
        for part in range(parts):
            events = self._events(entry, part, parts, count)
            if not len(events.times):
                continue
            windows = list(_windows(entry, events))
            drafts += self._drafts(number, events, windows, FINDINGS_KEPT - len(drafts), count)
            if entry["listens"]:
                self._keep(number, events, windows)
        drafts.sort(key=lambda d: (d.fired, d.group))
        return drafts

    def _parts(self, entry: Mapping[str, Any]) -> int:
        """In how many passes, group by group, so that memory stays bounded."""
        if not entry["group"] or entry["listens"] or any(kind != "rule" for kind, _ in entry["inputs"]):
            return 1
        wanted = pa.array(sorted(n for _, n in entry["inputs"]), pa.int32())
        rows = sum(int(pc.sum(pc.is_in(batch.column("rule"), wanted)).as_py() or 0)
                   for _, batch in read_hits(self.paths, ("rule",)))
        return max(1, -(-rows // self.rows_at_once))

    def _events(self, entry: Mapping[str, Any], part: int, parts: int, count: CorrelationCount) -> _Events:
        gathered = _Gathered(entry, part, parts, count)
        names = {f"f:{name}" for fields in (*entry["group_fields"], *entry["value_fields"]) for name in fields}
        rules = [(place, number) for place, (kind, number) in enumerate(entry["inputs"]) if kind == "rule"]
        if rules:
            for start, batch in read_hits(self.paths, ("rule", "time", *sorted(names))):
                numbers = batch.column("rule").to_numpy()
                for place, number in rules:
                    rows = np.flatnonzero(numbers == number)
                    if len(rows):
                        gathered.add_hits(place, start, batch, rows)
        for place, (kind, number) in enumerate(entry["inputs"]):
            if kind == "correlation" and number in self._firings:
                base = next(first for first, owner in self._offsets if owner == number)
                gathered.add_firings(place, base, self._firings[number],
                                     self.compiled.correlations[number]["group"])
        return gathered.events()

    # From windows to findings -----------------------------------------------------------------

    def _drafts(self, number: int, events: _Events, windows: Sequence[Window], room: int, count: CorrelationCount
                ) -> list[_Draft]:
        drafts: list[_Draft] = []
        for lo, hi, fired in _episodes(windows, events):
            if len(drafts) >= room:
                count.more += 1
                continue
            refs = self._records(events.refs[lo:hi + 1])
            total = len(refs)
            if total > RECORDS_KEPT:
                refs = np.concatenate([refs[:RECORDS_KEPT // 2], refs[-RECORDS_KEPT // 2:]])
            drafts.append(_Draft(number, events.names[events.groups[lo]], int(events.times[fired]),
                                 int(events.times[lo]), int(events.times[hi]), total, refs))
        return drafts

    def _keep(self, number: int, events: _Events, windows: Sequence[Window]) -> None:
        lo = np.array([w[0] for w in windows], dtype=np.int64)
        hi = np.array([w[1] for w in windows], dtype=np.int64)
        self._firings[number] = _Firings(events.times[hi], events.groups[hi], lo, hi, events.refs, events.names)
        self._offsets.append((self._fired, number))
        self._fired += len(windows)

    def _records(self, refs: Ints) -> Ints:
        """The rows behind events, each once: an event that is itself a finding stands for its own rows."""
        plain = refs[refs >= 0]
        if len(plain) == len(refs):
            return _once(plain)
        parts = [plain]
        numbers = -1 - refs[refs < 0]
        for index, (first, owner) in enumerate(self._offsets):
            end = self._offsets[index + 1][0] if index + 1 < len(self._offsets) else self._fired
            mine = np.sort(numbers[(numbers >= first) & (numbers < end)]) - first
            if len(mine):
                held = self._firings[owner]
                for lo, hi in _joined(zip(held.lo[mine].tolist(), held.hi[mine].tolist(), strict=True)):
                    parts.append(self._records(held.refs[lo:hi + 1]))
        return _once(np.concatenate(parts))

    def _rows(self, drafts: Sequence[_Draft]) -> Iterator[dict[str, Any]]:
        at = 0
        while at < len(drafts):
            end, size = at, 0
            while end < len(drafts) and (end == at or size + len(drafts[end].refs) <= _DETAILS_AT_ONCE):
                size += len(drafts[end].refs)
                end += 1
            about = self._details(np.unique(np.concatenate([d.refs for d in drafts[at:end]])))
            for draft in drafts[at:end]:
                yield self._row(draft, about)
            at = end

    def _details(self, refs: Ints) -> dict[int, dict[str, Any]]:
        out: dict[int, dict[str, Any]] = {}
        columns = ("rule", "time", "path", "host", "code", "channel", "record", "line")
        for start, batch in read_hits(self.paths, columns):
            lo, hi = np.searchsorted(refs, (start, start + batch.num_rows))
            if lo == hi:
                continue
            rows = batch.take(pa.array(refs[lo:hi] - start)).to_pylist()
            out.update(zip(refs[lo:hi].tolist(), rows, strict=True))
        return out

    def _row(self, draft: _Draft, about: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
        entry = self.compiled.correlations[draft.entry]
        info = self.compiled.rules[entry["rule"]]
        rows = sorted((about[ref] for ref in draft.refs.tolist()),
                      key=lambda r: (r["time"], r["path"] or "", r["record"] or 0, r["line"] or 0))
        records = [self._record(row) for row in rows]
        hosts = sorted({r["host"] for r in records if r["host"]})
        last = records[-1]
        return {
            "rule_id": info.id, "rule_title": info.title, "rule_author": info.author, "level": info.level,
            "correlation": entry["kind"], "file": last["file"], "path": last["path"], "record_id": None,
            "event_id": None, "channel": None, "host": hosts[0] if len(hosts) == 1 else None, "hosts": hosts,
            "timestamp": format_utc(draft.fired), "first": format_utc(draft.first), "last": format_utc(draft.last),
            "group": dict(zip(entry["group"], draft.group, strict=True)), "count": draft.count, "records": records,
            "tactics": list(info.tactics), "techniques": list(info.techniques),
            **({"tuned": info.tuned, "own_level": info.own_level} if info.tuned else {})}

    def _record(self, row: Mapping[str, Any]) -> dict[str, Any]:
        path, code = row["path"] or "", row["code"]
        return {"file": path.replace("\\", "/").rsplit("/", 1)[-1], "path": path, "record_id": row["record"],
                "line": row["line"], "event_id": int(code) if code and code.isascii() and code.isdigit() else code,
                "channel": row["channel"], "host": row["host"],
                "timestamp": None if row["time"] == NO_TIME else format_utc(row["time"]),
                "rule_id": self.compiled.rules[row["rule"]].id, "rule_title": self.compiled.rules[row["rule"]].title}


def _once(refs: Ints) -> Ints:
    """Each number once, in the order of its first place."""
    unique, first = np.unique(refs, return_index=True)
    return refs if len(unique) == len(refs) else refs[np.sort(first)]


def _joined(spans: Iterable[Window]) -> Iterator[Window]:
    """Overlapping spans as one; they come in ascending order."""
    held: Window | None = None
    for lo, hi in spans:
        if held is not None and lo <= held[1]:
            held = min(held[0], lo), max(held[1], hi)
            continue
        if held is not None:
            yield held
        held = lo, hi
    if held is not None:
        yield held


def _episodes(windows: Sequence[Window], events: _Events) -> Iterator[tuple[int, int, int]]:
    """First and last event of windows that overlap, and the event at which the first of them held."""
    held: tuple[int, int, int] | None = None
    for lo, hi in windows:
        if held is not None and lo <= held[1] and events.groups[lo] == events.groups[held[0]]:
            held = min(held[0], lo), max(held[1], hi), held[2]
            continue
        if held is not None:
            yield held
        held = lo, hi, hi
    if held is not None:
        yield held


class _Gathered:
    """Collects events batch by batch, with groups and values as numbers."""

    def __init__(self, entry: Mapping[str, Any], part: int, parts: int, count: CorrelationCount) -> None:
        self.entry, self.part, self.parts, self.count = entry, part, parts, count
        self.measures = entry["kind"] in MEASURES
        self.groups: dict[str, int] = {}
        self.names: list[tuple[str, ...]] = []
        self.values: dict[str, int] = {}
        self.pieces: list[tuple[Ints, Ints, Ints, Any, Ints]] = []

    def add_hits(self, place: int, start: int, batch: pa.RecordBatch, rows: Ints) -> None:
        times = batch.column("time").to_numpy()[rows].astype(np.int64)
        take = pa.array(rows)
        group = [batch.column(f"f:{n}").take(take) for n in self.entry["group_fields"][place]]
        value = [batch.column(f"f:{n}").take(take) for n in self.entry["value_fields"][place]]
        self._add(place, times, start + rows, group, value)

    def add_firings(self, place: int, base: int, held: _Firings, names: Sequence[str]) -> None:
        def column(name: str) -> pa.Array:
            texts = [held.names[g][names.index(name)] for g in range(len(held.names))]
            return pa.array(texts, pa.string()).take(pa.array(held.groups))

        if len(held.times):
            self._add(place, held.times, -1 - (base + np.arange(len(held.times), dtype=np.int64)),
                      [column(n) for n in self.entry["group_fields"][place]],
                      [column(n) for n in self.entry["value_fields"][place]])

    def _add(self, place: int, times: Ints, refs: Ints, group: list[pa.Array], value: list[pa.Array]) -> None:
        groups, mine = self._group_numbers(group, len(times))
        whole = groups >= 0
        timed = times != NO_TIME
        values, valued = self._value_numbers(value, len(times))
        if self.part == 0:
            self.count.without_time += int((~timed).sum())
            self.count.without_group += int((timed & ~whole).sum())
        keep = timed & whole & mine
        self.count.without_value += int((keep & ~valued).sum())
        keep &= valued
        self.count.hits += int(keep.sum())
        self.pieces.append((times[keep], groups[keep], np.full(int(keep.sum()), place, dtype=np.int64), values[keep],
                            refs[keep]))

    def _group_numbers(self, columns: list[pa.Array], rows: int) -> tuple[Ints, Mask]:
        """The group of each row, -1 where a field is missing; and whether it belongs to this pass."""
        if not columns:
            if not self.names:
                self.groups[""] = 0
                self.names.append(())
            return np.zeros(rows, dtype=np.int64), np.ones(rows, dtype=np.bool_)
        texts = _joined_texts(columns)
        numbers = np.full(len(texts.dictionary) + 1, -1, dtype=np.int64)
        mine = np.zeros(len(texts.dictionary) + 1, dtype=np.bool_)
        for code, text in enumerate(texts.dictionary.to_pylist()):
            folded = text.casefold()
            numbers[code] = 0
            if self.parts > 1 and zlib.crc32(folded.encode()) % self.parts != self.part:
                continue
            mine[code] = True
            number = self.groups.get(folded)
            if number is None:
                number = self.groups[folded] = len(self.names)
                self.names.append(tuple(text.split(_JOIN)))
            numbers[code] = number
        codes = texts.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return numbers[codes], mine[codes] | (codes < 0)

    def _value_numbers(self, columns: list[pa.Array], rows: int) -> tuple[Any, Mask]:
        if not columns:
            return np.zeros(rows, dtype=np.int64), np.ones(rows, dtype=np.bool_)
        texts = _joined_texts(columns)
        codes = texts.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        found = texts.dictionary.to_pylist()
        if self.measures:
            numbers: Floats = np.array([*(_measured(t) for t in found), np.nan], dtype=np.float64)
            return numbers[codes], ~np.isnan(numbers[codes])
        known = np.array([*(self.values.setdefault(t.casefold(), len(self.values)) for t in found), -1],
                         dtype=np.int64)
        return known[codes], codes >= 0

    def events(self) -> _Events:
        kind = np.float64 if self.measures else np.int64
        empty: tuple[Any, ...] = tuple(np.empty(0, dtype=t) for t in (np.int64, np.int64, np.int64, kind, np.int64))
        times, groups, inputs, values, refs = (np.concatenate(c) for c in zip(*(self.pieces or [empty]), strict=True))
        self.pieces = []
        order = np.lexsort((refs, inputs, times, groups))
        return _Events(times[order], groups[order], inputs[order], values[order], refs[order], self.names)


def _joined_texts(columns: list[pa.Array]) -> pa.DictionaryArray:
    """Several texts as one, null where one is null or empty."""
    plain = [pc.replace_substring(c, _JOIN, " ") for c in columns]
    filled = [pc.if_else(pc.equal(c, ""), pa.scalar(None, pa.string()), c) for c in plain]
    joined = filled[0] if len(filled) == 1 else pc.binary_join_element_wise(*filled, _JOIN)
    return joined.dictionary_encode()


def _measured(text: str) -> float:
    number = as_number(text)
    try:
        value = float("nan") if number is None else float(number)
    except OverflowError:
        return float("nan")
    # An endless number in one record would hide the sum of all others.
    return value if abs(value) < 1e300 else float("nan")


# Windows ----------------------------------------------------------------------------------


def _windows(entry: Mapping[str, Any], events: _Events) -> Iterator[Window]:
    """The windows whose condition holds, in the order of events."""
    starts = np.flatnonzero(np.concatenate(([True], events.groups[1:] != events.groups[:-1])))
    ends = np.append(starts[1:], len(events.groups))
    least = _least(entry)
    whole = _asks_whole_windows(entry)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end - start < least:
            continue
        group = _Group(entry, events.times[start:end], events.inputs[start:end], events.values[start:end])
        for lo, hi in group.whole() if whole else group.sliding():
            yield start + lo, start + hi


def _least(entry: Mapping[str, Any]) -> float:
    """Fewer events than this can't fulfil the condition."""
    if entry["kind"] in ("event_count", "value_count") or (entry["kind"] == "temporal" and entry["limits"]):
        return max((n for op, n in entry["limits"] if op in ("gt", "gte", "eq")), default=1)
    return 1


def _asks_whole_windows(entry: Mapping[str, Any]) -> bool:
    return any(op not in ("gt", "gte") for op, _ in entry["limits"]) or _negates(entry["expression"])


def _negates(tree: Any) -> bool:
    return isinstance(tree, list) and (tree[0] == "!" or any(_negates(p) for p in tree[1:]))


class _Group:
    """The events of one group, by time."""

    def __init__(self, entry: Mapping[str, Any], times: Ints, inputs: Ints, values: Any) -> None:
        self.entry, self.times, self.inputs, self.values = entry, times, inputs, values
        self.kind: str = entry["kind"]
        self.span: int = entry["span_us"]
        self.chain = _chain(entry)

    def sliding(self) -> Iterator[Window]:
        """At each event, what lies within the timespan before it."""
        if self.kind == "temporal_ordered":
            yield from self._in_order(0, len(self.times))
            return
        lo = np.searchsorted(self.times, self.times - self.span, side="left")
        if self.kind == "temporal":
            holds = self._present_at(lo)
        else:
            holds = self._within(self._measure_at(lo))
        for hi in np.flatnonzero(holds).tolist():
            yield int(lo[hi]), hi

    def whole(self) -> Iterator[Window]:
        """Windows one after the other, each from the first event that no window has yet."""
        start = 0
        while start < len(self.times):
            end = int(np.searchsorted(self.times, self.times[start] + self.span, side="right"))
            if self._holds(start, end):
                yield start, end - 1
            start = end

    def _holds(self, start: int, end: int) -> bool:
        if self.kind in ("temporal", "temporal_ordered"):
            present = set(self.inputs[start:end].tolist())
            expression = self.entry["expression"]
            said = (bool(self._within(np.array([len(present)]))[0]) if expression is None
                    else bool(_says(expression, lambda n: n in present)))
            return said and (self.kind == "temporal" or any(True for _ in self._in_order(start, end)))
        measure = _Measure(self.entry)
        for place in range(start, end):
            measure.add(self.values[place])
        return bool(self._within(np.array([measure.value()]))[0])

    def _within(self, numbers: Any) -> Mask:
        holds: Mask = ~np.isnan(numbers.astype(np.float64))
        for op, limit in self.entry["limits"]:
            holds = holds & _COMPARE[op](numbers, limit)
        return holds

    def _measure_at(self, lo: Ints) -> Any:
        if self.kind == "event_count":
            return np.arange(1, len(lo) + 1) - lo
        measure = _Measure(self.entry)
        out = np.empty(len(lo), dtype=np.float64)
        first = 0
        for place, start in enumerate(lo.tolist()):
            measure.add(self.values[place])
            while first < start:
                measure.drop(self.values[first])
                first += 1
            out[place] = measure.value()
        return out

    def _present_at(self, lo: Ints) -> Mask:
        places = np.arange(len(lo))
        present: dict[int, Mask] = {}
        for number in range(len(self.entry["inputs"])):
            last = np.maximum.accumulate(np.where(self.inputs == number, places, -1))
            present[number] = last >= lo
        expression = self.entry["expression"]
        if expression is not None:
            mask: Mask = _says(expression, lambda n: present[n])
            return mask
        return self._within(sum((m.astype(np.int64) for m in present.values()), np.zeros(len(lo), dtype=np.int64)))

    def _in_order(self, start: int, end: int) -> Iterator[Window]:
        """Each event that ends the chain of rules in order, with the latest event that began such a chain."""
        where = {number: place for place, number in enumerate(self.chain)}
        began = [-1] * len(self.chain)
        for place in range(start, end):
            step = where.get(int(self.inputs[place]))
            if step is None:
                continue
            began[step] = place if step == 0 else began[step - 1]
            if step == len(self.chain) - 1 and began[step] >= 0 and (
                    self.times[place] - self.times[began[step]] <= self.span):
                yield began[step], place


def _chain(entry: Mapping[str, Any]) -> list[int]:
    """The inputs that must follow each other."""
    wanted = _positive(entry["expression"]) if entry["expression"] is not None else None
    return [n for n in range(len(entry["inputs"])) if wanted is None or n in wanted]


def _positive(tree: Any) -> set[int]:
    if isinstance(tree, int):
        return {tree}
    return set() if tree[0] == "!" else set().union(*(_positive(p) for p in tree[1:]))


def _says(tree: Any, present: Callable[[int], Any]) -> Any:
    """A boolean expression over which inputs are there: one answer, or one for each event."""
    if isinstance(tree, int):
        return present(tree)
    parts = [_says(p, present) for p in tree[1:]]
    if tree[0] == "!":
        return np.logical_not(parts[0])
    out = parts[0]
    for part in parts[1:]:
        out = np.logical_and(out, part) if tree[0] == "&" else np.logical_or(out, part)
    return out


class _Measure:
    """A figure over a window that moves: number of events or of values, sum, mean, median, percentile."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.kind = entry["kind"]
        self.share = 0.5 if self.kind == "value_median" else (entry["percentile"] or 0) / 100
        self.known: Counter[Any] = Counter()
        self.sorted: list[float] = []
        self.parts: list[float] = []        # partials of the exact sum
        self.number = 0

    def add(self, value: Any) -> None:
        self.number += 1
        if self.kind == "value_count":
            self.known[int(value)] += 1
        elif self.kind in ("value_sum", "value_avg"):
            self._sum(float(value))
        elif self.kind != "event_count":
            insort(self.sorted, float(value))

    def drop(self, value: Any) -> None:
        self.number -= 1
        if self.kind == "value_count":
            self.known[int(value)] -= 1
            if not self.known[int(value)]:
                del self.known[int(value)]
        elif self.kind in ("value_sum", "value_avg"):
            self._sum(-float(value))
        elif self.kind != "event_count":
            del self.sorted[bisect_left(self.sorted, float(value))]

    def value(self) -> float:
        if not self.number:
            return float("nan")
        if self.kind == "event_count":
            return self.number
        if self.kind == "value_count":
            return len(self.known)
        if self.kind in ("value_sum", "value_avg"):
            total = sum(self.parts)
            return total if self.kind == "value_sum" else total / self.number
        # Between two neighbours in proportion, as most programs do.
        place = self.share * (self.number - 1)
        below = int(place)
        above = min(below + 1, self.number - 1)
        return self.sorted[below] + (self.sorted[above] - self.sorted[below]) * (place - below)

    def _sum(self, value: float) -> None:
        """Shewchuk's partial sums: what was added and dropped again leaves nothing behind."""
        kept = 0
        for part in self.parts:
            if abs(value) < abs(part):
                value, part = part, value
            high = value + part
            low = part - (high - value)
            if low:
                self.parts[kept] = low
                kept += 1
            value = high
        self.parts[kept:] = [value]

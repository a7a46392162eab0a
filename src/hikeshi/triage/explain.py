"""`hunt --explain`: one rule on one record, read in a limited child like all evidence."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np

from hikeshi.detect.explain import Explanation, explain
from hikeshi.detect.rules import ParsedRule, RuleFile, RuleSet, load_rules
from hikeshi.errors import HikeshiError, RuleError
from hikeshi.events.table import EventTable
from hikeshi.events.time import NO_TIME, format_utc, parse_zone
from hikeshi.evidence.acquire import acquire
from hikeshi.evidence.sandbox import Limits, Task, run
from hikeshi.evidence.source import Source

_MOST = 20


@dataclass(frozen=True, slots=True)
class Told:
    """The rule on one record: where it lies and what each part of the rule says."""

    file: str
    record: str
    time: str
    host: str
    log: str
    explanations: tuple[Explanation, ...]


@dataclass(slots=True)
class Explained:
    """What was found. `reasons`: rules that can't be applied, title → why."""

    title: str
    told: list[Told] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    not_read: list[tuple[str, str]] = field(default_factory=list)


def explain_record(paths: Sequence[Path], rules: Sequence[Path], rule: str, record: str,
                   placeholders: Mapping[str, Sequence[str]]) -> Explained:
    """The rule (id, title or name) on each record of that number (EventRecordID, or the line of a text log).

    `record` may name its file, too: "Security.evtx:4711". Raises RuleError where no rule is called so.
    """
    ruleset = load_rules(rules)
    title, chosen = _files_for(ruleset, rule)
    name, _, number = record.rpartition(":")
    if not number.isdigit():
        raise RuleError(f"{record[:60]!r} is no record", hint="give its number, or FILE:NUMBER")
    found = Explained(title)
    with tempfile.TemporaryDirectory(prefix="hikeshi-explain-") as folder:
        acquired = acquire(paths, Path(folder))
        found.not_read = [(n, text.en) for n, text in acquired.not_read]
        sources = [s for s in acquired.sources if not name or s.name == name or s.name.endswith(f"/{name}")]
        setup = {"rules": chosen, "rule": rule, "placeholders": {k: list(v) for k, v in placeholders.items()}}
        tasks = (Task(s.name, [s, int(number)]) for s in sources if s.kind in ("evtx", "text", "binary", "sparse"))
        results: dict[str, list[Told]] = {}
        for outcome in run("hikeshi.triage.explain:look", tasks, setup="hikeshi.triage.explain:prepare",
                           setup_argument=setup, limits=Limits(), readable=sorted({s.path for s in sources})):
            if outcome.error is not None:
                found.not_read.append((outcome.key, outcome.error.what))
                continue
            told, reasons = outcome.value
            results[outcome.key] = told
            found.reasons.update(reasons)
        found.told = [t for key in sorted(results) for t in results[key]][:_MOST]
    return found


def _files_for(ruleset: RuleSet, rule: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The rule's title, and the files that are needed to read it: with its filters, and what it correlates."""
    wanted = rule.casefold()
    for parsed in ruleset.parse():
        if wanted in {parsed.info.id.casefold(), parsed.info.title.casefold(), *(n.casefold() for n in parsed.names)}:
            whole = parsed.correlation is not None
            path = parsed.info.path
            return parsed.info.title, [(f.path, f.data) for f in ruleset.files
                                       if whole or f.path == path or b"filter:" in f.data]
    raise RuleError(f"no loaded rule is called {rule[:80]}", hint="give its id or its title; see --skipped for all")


# ---- in the child ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Context:
    rules: tuple[ParsedRule, ...]
    placeholders: dict[str, Sequence[str]]


def prepare(argument: Mapping[str, Any]) -> _Context:
    """The rule, or for a correlation the rules it refers to, down to those that speak of records."""
    ruleset = RuleSet([RuleFile(path, data) for path, data in argument["rules"]])
    everything = list(ruleset.parse())
    named: dict[str, list[ParsedRule]] = {}
    for parsed in everything:
        for name in {parsed.info.id, parsed.info.title, *parsed.names}:
            named.setdefault(name.casefold(), []).append(parsed)
    chosen: list[ParsedRule] = []
    todo, seen = [argument["rule"].casefold()], set()
    while todo:
        name = todo.pop(0)
        for parsed in named.get(name, ()):
            if id(parsed) in seen:
                continue
            seen.add(id(parsed))
            if parsed.correlation is not None:
                todo += [ref.casefold() for ref in parsed.correlation.rules]
            else:
                chosen.append(parsed)
    return _Context(tuple(chosen), argument["placeholders"])


def look(context: _Context, argument: Sequence[Any]) -> tuple[list[Told], dict[str, str]]:
    """The record of that number in one file, and what the rules say of it."""
    from hikeshi.parse.registry import parse_source

    source: Source = argument[0]
    number: int = argument[1]
    told: list[Told] = []
    reasons: dict[str, str] = {}
    zone = parse_zone(source.zone_hint) if source.zone_hint else UTC
    try:
        for table in parse_source(source, zone=zone, zone_assumed=not source.zone_hint):
            for row in _rows(table, number):
                explanations: list[Explanation] = []
                for parsed in context.rules:
                    try:
                        explanations += explain(parsed, table, row, context.placeholders)
                    except ValueError as reason:
                        reasons[parsed.info.title] = str(reason)
                if len(told) < _MOST:
                    told.append(_told(source, table, row, number, explanations))
    except HikeshiError:
        if not told:
            return [], reasons              # no log: it holds no record of that number
    return told, reasons


def _rows(table: EventTable, number: int) -> list[int]:
    column = table.columns.get("winlog.record_id") or table.columns.get("log.line")
    if column is None:
        return []
    codes = column.dense(table.row_count)
    return [int(r) for r in np.flatnonzero(codes >= 0) if column.values[codes[r]] == number]


def _told(source: Source, table: EventTable, row: int, number: int, explanations: list[Explanation]) -> Told:
    def cell(name: str) -> str:
        column = table.columns.get(name)
        code = -1 if column is None else int(column.dense(table.row_count)[row])
        return "" if column is None or code < 0 else str(column.values[code])

    time = int(table.times[row])
    log = f"{cell('winlog.channel') or cell('event.dataset')} {cell('event.code')}".strip()
    return Told(source.name, str(number), "" if time == NO_TIME else format_utc(time), cell("host.name"), log,
                tuple(explanations))

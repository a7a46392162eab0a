"""Weak clues as data: tools, process names and the ways files are renamed (knowledge/data/traces.toml).

None of them names a family by itself: tools are sold and copied, and a way of renaming belongs to a kit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from hikeshi.identify.clues import Clue, shown_value
from hikeshi.knowledge.families import Families
from hikeshi.knowledge.load import DATA, load_records
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text

MOST = 0.6  # the weight no trace may exceed


@dataclass(frozen=True, slots=True)
class Trace:
    """`kind` is tool or renaming; `pattern` matches a tool's whole name, or what was added to a file's name."""

    kind: str
    pattern: re.Pattern[str]
    weight: float
    families: tuple[str, ...]
    name: Text


@cache
def load_traces() -> tuple[Trace, ...]:
    """Raises KnowledgeError."""
    traces = []
    for record in load_records(DATA / "traces.toml", "trace"):
        kind, weight = record.string("kind"), record.number("weight")
        if kind not in ("tool", "renaming") or not 0 < weight <= MOST:
            raise record.error(f"kind must be tool or renaming, weight at most {MOST}")
        traces.append(Trace(kind, re.compile(record.string("pattern"), re.I), weight,
                            tuple(record.strings("families")), record.text("name")))
        record.finish()
    return tuple(traces)


def tool_clues(name: str, families: Families) -> Iterator[Clue]:
    """Clues of a tool's or process's name, with or without a path."""
    bare = re.split(r"[\\/]", name.strip())[-1][:120]
    for trace in load_traces():
        if trace.kind == "tool" and trace.pattern.fullmatch(bare):
            yield from _clues(trace, bare, families, None)


def name_pattern_clues(added: str, families: Families, record: RecordRef | None) -> Iterator[Clue]:
    """Clues of the form of what was put behind a file's name: id, address and extension in an order."""
    for trace in load_traces():
        if trace.kind == "renaming" and trace.pattern.fullmatch(added[:300]):
            yield from _clues(trace, added, families, record)


def _clues(trace: Trace, value: str, families: Families, record: RecordRef | None) -> Iterator[Clue]:
    for one in trace.families:
        if one in families.by_id:
            yield Clue(one, trace.kind, trace.weight / len(trace.families) ** 0.5, value, "hikeshi", Text(
                f"「{shown_value(value)}」: {trace.name.ja}", f"“{shown_value(value)}”: {trace.name.en}"), record)

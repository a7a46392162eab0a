"""Which rules of a set can be applied, by log source, and why the others can't."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hikeshi.detect.compile import CompiledRules
from hikeshi.detect.logsource import load_log_sources


@dataclass(slots=True)
class CoverageRow:
    """Rules of one log source ("windows/process_creation/": product, category, service)."""

    logsource: str
    applicable: int = 0
    not_applicable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    answered_by: tuple[str, ...] = ()

    @property
    def loaded(self) -> int:
        return self.applicable + self.not_applicable


def coverage(compiled: CompiledRules) -> list[CoverageRow]:
    """One row per log source, the largest first. Together they are all loaded rules."""
    rows: dict[str, CoverageRow] = {}
    inner = set(compiled.program.get("inner", ()))
    for number, info in enumerate(compiled.rules):
        if number not in inner:
            rows.setdefault(info.logsource, CoverageRow(info.logsource)).applicable += 1
    for skipped in compiled.skipped:
        row = rows.setdefault(skipped.logsource, CoverageRow(skipped.logsource))
        row.not_applicable += 1
        row.reasons[skipped.reason] += 1
    for row in rows.values():
        row.answered_by = tuple(_answers(row.logsource))
    return sorted(rows.values(), key=lambda r: (-r.loaded, r.logsource))


def _answers(logsource: str) -> Iterator[str]:
    """The logs in which a source is looked for, in words."""
    if logsource.count("/") != 2:
        return
    product, category, service = (part or None for part in logsource.split("/"))
    places = load_log_sources().resolve(product, category, service)
    if isinstance(places, str):
        return
    for place in places:
        if place.windows:
            ids = f" {', '.join(place.codes)}" if place.codes else ""
            yield f"{', '.join(c.rpartition('-windows-')[2] for c in place.channels)}{ids}"
        else:
            yield f"{place.name}: {', '.join(c[1:] for c in place.channels)}"


def markdown(rows: Iterable[CoverageRow]) -> str:
    """The table as Markdown, counts and log sources only."""
    lines = ["| product | category | service | rules | applicable | looked for in |", "|---|---|---|---|---|---|"]
    for row in rows:
        parts = row.logsource.split("/") if row.logsource.count("/") == 2 else [row.logsource or "(none)", "", ""]
        where = "; ".join(row.answered_by).replace("|", "\\|")
        lines.append(f"| {' | '.join(parts)} | {row.loaded:,} | {row.applicable:,} | {where} |")
    return "\n".join(lines)

"""Which format a file or a sample of lines has. Content decides, never the name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hikeshi.evidence.source import Source
from hikeshi.parse import syslog
from hikeshi.parse.context import Context
from hikeshi.parse.file import SAMPLE_LINES, open_text, sample_of
from hikeshi.parse.format import KNOWN, Claims

AGREEMENT = 0.9

def detect_lines(lines: Sequence[str]) -> tuple[str, float]:
    """The format's name and how much of the sample it holds; "mixed" where none holds enough."""
    sample = [line for line in lines if line.strip(" \t\r\ufeff\0")][:SAMPLE_LINES]
    if not sample:
        return "text", 0.0
    best, best_share = "mixed", 0.0
    for row in KNOWN.rows:
        share = row.detect(sample)
        if share >= AGREEMENT:
            return row.name, share
        if share > best_share:
            best_share = share
            # Values without names: nothing signs such a file, but its rows all have one width.
            best = "csv" if row.name == "csv" else "mixed"
    return best, best_share


def detect_format(source: Source) -> tuple[str, float]:
    """Like detect_lines, for a file. Raises UnsupportedFormat for what is not text or EVTX."""
    if source.kind in ("evtx", "wtmp"):
        return source.kind, 1.0
    return detect_lines(sample_of(open_text(source, Context(), 1)))


def share(claims: Claims, heading: re.Pattern[str] | None = None) -> Callable[[Sequence[str]], float]:
    def detect(lines: Sequence[str]) -> float:
        counted = [
            line for line in lines if not (line.startswith("#") or (heading is not None and heading.match(line)))
        ]
        if not counted:
            return 0.0
        return sum(claimed(claims, line) for line in counted) / len(counted)

    return detect


def claimed(claims: Claims, line: str) -> bool:
    if claims(line, None):
        return True
    header, body = syslog.split(line)
    return header is not None and claims(body, header)


def never(lines: Sequence[str]) -> float:
    return 0.0

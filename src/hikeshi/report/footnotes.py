"""Numbers for the records that statements cite."""

from __future__ import annotations

from collections.abc import Sequence

from hikeshi.model.evidence import RecordRef

SHOWN = 3


class Footnotes:
    """Each record gets one number, in the order of first mention."""

    def __init__(self) -> None:
        self._numbers: dict[RecordRef, int] = {}

    def cite(self, records: Sequence[RecordRef]) -> list[int]:
        """Numbers of the first few records; the rest is in findings.jsonl and case.json."""
        return [self._numbers.setdefault(r, len(self._numbers) + 1) for r in records[:SHOWN]]

    def rows(self) -> list[tuple[int, RecordRef]]:
        """In the order of their numbers."""
        return [(number, ref) for ref, number in self._numbers.items()]

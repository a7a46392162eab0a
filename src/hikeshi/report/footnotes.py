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

    def rows(self) -> list[tuple[int, str, str, str]]:
        """(number, path, place, sha256) in order; place is "record 12", "line 3" or empty."""
        out = []
        for ref, number in self._numbers.items():
            place = f"record {ref.record_id}" if ref.record_id is not None else f"line {ref.line}" if ref.line else ""
            out.append((number, ref.path, place, ref.sha256))
        return out

"""What a parser knows about the file it reads, beside the line in hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, NamedTuple

from hikeshi.events.time import NO_TIME, zone_name

# How sure the columns are where no parser knows the maker: medium by names, low by looks. Absent: the
# format is known.
CONFIDENCE = "parser.confidence"


class Event(NamedTuple):
    """One event as a line parser gives it: UTC microseconds (NO_TIME if unknown) and its values
    under schema names or, for everything else, the record's own names."""

    time: int
    cells: dict[str, Any]


@dataclass(slots=True)
class Context:
    """Zone for times that name none, and what the year of a year-less time is guessed from.

    `written` is when the file was last written, `neighbour` the latest time in this file that
    had its own year; both UTC microseconds or NO_TIME.
    """

    zone: tzinfo = UTC
    zone_assumed: bool = True
    written: int = NO_TIME
    neighbour: int = NO_TIME
    # 25/10/2024 stands in the file, so 09/10/2024 is 9 October.
    day_first: bool = False
    zone_label: str = ""
    # What readers of whole blocks have learned from this file's lines, by format.
    learned: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.zone_label = zone_name(self.zone, assumed=self.zone_assumed)


def text_cells(cells: Mapping[str, Any]) -> dict[str, Any]:
    """The values that say something: without None, empty text and the logs' "-"."""
    return {k: v for k, v in cells.items() if v is not None and v != "" and v != "-"}

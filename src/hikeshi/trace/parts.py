"""The parts of a story while it is put together."""

from __future__ import annotations

from dataclasses import dataclass, field

from hikeshi.model.case import C2, Exfiltration, LogGap, Persistence, Spread, Staging


@dataclass(slots=True)
class Parts:
    spread: list[Spread] = field(default_factory=list)
    persistence: list[Persistence] = field(default_factory=list)
    staging: list[Staging] = field(default_factory=list)
    exfiltration: list[Exfiltration] = field(default_factory=list)
    c2: list[C2] = field(default_factory=list)
    log_gaps: list[LogGap] = field(default_factory=list)

"""A way in while it is being judged."""

from __future__ import annotations

from dataclasses import dataclass, field

from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text
from hikeshi.trace.infection import Foreign


@dataclass(slots=True)
class Way:
    """A candidate being judged. `span` is when the outsider could work from `inside` (address)."""

    kind: str
    time: int
    source: str | None
    account: str | None
    host: str | None
    score: int = 0
    reasons: list[Text] = field(default_factory=list)
    against: list[Text] = field(default_factory=list)
    rows: set[int] = field(default_factory=set)
    refs: list[RecordRef] = field(default_factory=list)
    inside: list[Foreign] = field(default_factory=list)
    leads: bool = False
    name: str = ""

    def plus(self, points: int, ja: str, en: str) -> None:
        self.score += points
        self.reasons.append(Text(ja, en))

    def minus(self, points: int, ja: str, en: str) -> None:
        self.score -= points
        self.against.append(Text(ja, en))

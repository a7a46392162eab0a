"""What was found, how sure we are, why, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text

Severity = Literal["critical", "high", "medium", "low", "info"]
Confidence = Literal["high", "medium", "low"]

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; `when` is UTC ISO 8601 or None, `kind` is the stage that made it
    (detection, sighting, identification, entry, spread, log_gap, damage)."""

    id: str
    kind: str
    severity: Severity
    title: Text
    when: str | None
    records: tuple[RecordRef, ...]
    reason: Text
    next_action: Text
    hosts: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    indicators: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    confidence: Confidence = "medium"
    count: int = 1
    rule_id: str | None = None
    rule_author: str | None = None

    def to_dict(self) -> dict[str, object]:
        out: dict[str, object] = {
            "id": self.id, "kind": self.kind, "severity": self.severity, "title": self.title.to_dict(),
            "when": self.when, "hosts": list(self.hosts), "accounts": list(self.accounts),
            "indicators": list(self.indicators), "techniques": list(self.techniques),
            "confidence": self.confidence, "count": self.count,
            "records": [r.to_dict() for r in self.records],
            "reason": self.reason.to_dict(), "next_action": self.next_action.to_dict(),
        }
        if self.rule_id is not None:
            out["rule_id"] = self.rule_id
            out["rule_author"] = self.rule_author
        return out

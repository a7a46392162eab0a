"""The answer to "which ransomware?": a verdict, ranked families with reasons, actors, advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hikeshi.identify.clues import Clue
from hikeshi.identify.encrypted import Encryption
from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone reported to use the family (not the family itself); `relation` as `source` words it."""

    name: str
    relation: str
    source: str


VERDICTS = ("identified", "candidates", "unknown", "not_ransomware")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A family that could be it; `score` is 0 to 1, `clues` are strongest first."""

    id: str
    family: str
    score: float
    clues: tuple[Clue, ...]

    @property
    def reasons(self) -> tuple[Text, ...]:
        return tuple(dict.fromkeys(clue.reason for clue in self.clues))

    @property
    def records(self) -> tuple[RecordRef, ...]:
        return tuple(dict.fromkeys(clue.record for clue in self.clues if clue.record is not None))


@dataclass(frozen=True, slots=True)
class Answer:
    """`family` is set only when `verdict` is identified. `notes` tell what the verdict rests on besides
    clues: the gate's signs, how the text was read, that a file is encrypted. `self_name` is the name the
    note gives itself when no list knows it. `encryption` is set for files that were mapped whole.
    `kind` says what was looked at: note, text, encrypted, file."""

    path: str
    verdict: str
    kind: str
    family: str | None = None
    family_id: str | None = None
    candidates: tuple[Candidate, ...] = ()
    actors: tuple[Actor, ...] = ()
    advice_ids: tuple[str, ...] = ()
    notes: tuple[Text, ...] = ()
    self_name: str | None = None
    records: tuple[RecordRef, ...] = ()
    extensions: tuple[str, ...] = ()
    encryption: Encryption | None = None

    @property
    def confidence(self) -> Confidence:
        if self.verdict in ("identified", "not_ransomware"):
            return "high" if not self.candidates or self.candidates[0].score >= 0.95 else "medium"
        return "low"

    @property
    def is_worth_a_line(self) -> bool:
        """A text, or something suspicious: ordinary binary files of a folder are left out."""
        return self.kind != "file"

    def to_dict(self) -> dict[str, Any]:
        """One line of `hikeshi identify --json`."""
        return {
            "path": self.path,
            "verdict": self.verdict,
            "family": self.family,
            "kind": self.kind,
            "candidates": [
                {
                    "family": c.family,
                    "id": c.id,
                    "score": round(c.score, 3),
                    "reasons": [reason.to_dict() for reason in c.reasons],
                    "records": [record.to_dict() for record in c.records],
                }
                for c in self.candidates
            ],
            "actors": [{"name": a.name, "relation": a.relation, "source": a.source} for a in self.actors],
            "advice_ids": list(self.advice_ids),
            "self_name": self.self_name,
            "notes": [note.to_dict() for note in self.notes],
            "encryption": self.encryption.to_dict() if self.encryption else None,
        }

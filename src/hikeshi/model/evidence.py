"""Where a statement can be checked."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RecordRef:
    """One record of evidence: the file as it was given, its sha256, and the place in it.

    `path` is the path inside the evidence folder ("logs.zip!/Security.evtx" for a member of
    an archive). Exactly one of `record_id` (Windows EventRecordID) and `line` (from 1) is set;
    both are None where the whole file is meant.
    """

    path: str
    sha256: str
    record_id: int | None = None
    line: int | None = None

    def to_dict(self) -> dict[str, object]:
        out: dict[str, object] = {"path": self.path, "sha256": self.sha256}
        if self.record_id is not None:
            out["record_id"] = self.record_id
        elif self.line is not None:
            out["line"] = self.line
        return out


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """One file of the evidence, as manifest.json lists it.

    `origin` is the container it came out of, or None. `format` is the parser's name ("evtx",
    "squid"), a kind ("note", "encrypted", "binary") or None where nobody knows. `zone` is the
    zone used for times without one. `problems` are plain sentences, `reader` the protection
    the parsing child had.
    """

    path: str
    sha256: str
    size: int
    origin: str | None = None
    format: str | None = None
    encoding: str | None = None
    zone: str | None = None
    records: int = 0
    rejected: int = 0
    problems: tuple[str, ...] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, object]:
        return {
            "path": self.path, "sha256": self.sha256, "size": self.size, "origin": self.origin,
            "format": self.format, "encoding": self.encoding, "zone": self.zone,
            "records": self.records, "rejected": self.rejected, "problems": list(self.problems),
        }

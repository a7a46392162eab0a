"""manifest.json: every file of the evidence, and what was not understood."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import hikeshi
from hikeshi.evidence.atomic import write_atomic
from hikeshi.evidence.source import Source
from hikeshi.model.evidence import EvidenceItem
from hikeshi.model.text import Text

UNREAD_KINDS = {"binary", "sparse", "archive"}


def manifest(items: Sequence[EvidenceItem], *, not_read: Iterable[tuple[str, Text]] = (),
             opened: Sequence[Source] = (), protection: str = "", made_at: str | None = None) -> dict[str, Any]:
    """What manifest.json holds: plain values, sorted by path.

    evidence        per file: path, sha256, size, origin, format, encoding, zone, records, rejected, problems
    archives        the archives that were opened: path, sha256, size, problems
    not_read        path and reason (ja, en)
    not_understood  paths whose format nobody knew, or where records were rejected or damaged
    """
    ordered = sorted(items, key=lambda item: item.path)
    return {
        "made_by": f"hikeshi {hikeshi.__version__}",
        "made_at": made_at,
        "protection": protection,
        "files": len(ordered),
        "bytes": sum(item.size for item in ordered),
        "evidence": [item.to_dict() for item in ordered],
        "archives": [{"path": s.name, "sha256": s.sha256, "size": s.size, "problems": list(s.problems)}
                     for s in sorted(opened, key=lambda s: s.name)],
        "not_read": [{"path": name, "reason": reason.to_dict()} for name, reason in sorted(not_read)],
        "not_understood": [item.path for item in ordered
                           if item.format is None or item.format in UNREAD_KINDS or item.rejected or item.problems],
    }


def write_manifest(path: Path, content: dict[str, Any]) -> None:
    """The manifest as UTF-8 JSON, whole or not at all."""
    write_atomic(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")

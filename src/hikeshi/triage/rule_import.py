"""Rule folders and archives into rule packs: opened like evidence, in limited children; nothing keeps its own name."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from hikeshi.errors import RuleError
from hikeshi.evidence.acquire import AcquireLimits, acquire
from hikeshi.evidence.member_names import points_outside
from hikeshi.evidence.source import Source
from hikeshi.knowledge.rulepack import MAX_FILES, RulePackInfo, check_name, pack_bytes

_LIMITS = AcquireLimits(files=200_000, file_bytes=256 << 20, total_bytes=512 << 20, member_bytes=8 << 20, ratio=100,
                        ratio_from_bytes=16 << 20, depth=2, entries=200_000)
_MAX_RULE = 4 << 20
_RULE = re.compile(rb"(?m)^(?:detection|correlation|filter|action)\s*:")
_RETIRED = re.compile(rb"(?m)^status\s*:\s*['\"]?(deprecated|unsupported)\b")


@dataclass(frozen=True, slots=True)
class Gathered:
    """Rule files by name, and what was left out: reason → files; `refused` names the worst, for people."""

    files: tuple[tuple[str, bytes], ...]
    left_out: tuple[tuple[str, int], ...]
    refused: tuple[tuple[str, str], ...]


def gather(path: Path, *, retired: bool = False) -> Gathered:
    """The rules of a folder or an archive. `retired`: also those whose status is deprecated or unsupported.

    Raises InputError for a path that isn't there, RuleError where nothing is a rule.
    """
    files: dict[str, bytes] = {}
    left: Counter[str] = Counter()
    refused: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="hikeshi-rules-") as folder:
        acquired = acquire([path], Path(folder), limits=_LIMITS)
        for name, why in acquired.not_read:
            left[why.en] += 1
            refused.append((name, why.en))
        for source in acquired.sources:
            reason = _take(source, files, retired=retired)
            if reason is not None:
                left[reason] += 1
                if "outside" in reason:
                    refused.append((source.name, reason))
    if not files:
        raise RuleError("no Sigma rule in it", hint="give a folder or an archive with Sigma rules (.yml)")
    if len(files) > MAX_FILES:
        raise RuleError(f"more than {MAX_FILES:,} rule files", hint="import them in parts")
    return Gathered(tuple(sorted(files.items())), tuple(sorted(left.items())), tuple(refused))


def _take(source: Source, files: dict[str, bytes], *, retired: bool) -> str | None:
    """Adds a rule file, or gives the reason why it is none."""
    inside = source.name.rpartition("!/")[2].replace("\\", "/")
    if points_outside(inside):
        return "its name points outside the archive"
    if not inside.lower().endswith((".yml", ".yaml")):
        return "no YAML file"
    if source.size > _MAX_RULE:
        return "larger than a rule can be"
    if source.kind not in ("text", "empty"):
        return "not text"
    data = source.path.read_bytes()
    if not _RULE.search(data):
        return "YAML, but no rule"
    if not retired and _RETIRED.search(data):
        return "retired by its makers (deprecated or unsupported)"
    if inside in files:
        return "a second file of the same name"
    files[inside] = data
    return None


def build(name: str, gathered: Gathered, *, source: str, licence: str, as_of: date, made: date, key: Path) -> bytes:
    """The pack's file. Raises KnowledgeError."""
    info = RulePackInfo(check_name(name), as_of.isoformat(), made.isoformat(), source[:1000], licence[:1000],
                        len(gathered.files), gathered.left_out)
    return pack_bytes(info, gathered.files, key)

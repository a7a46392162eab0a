"""Case-level identification: what the children found in notes and encrypted files, as parts of the case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hikeshi.identify import Examined, merge
from hikeshi.knowledge.families import Families
from hikeshi.model.case import Candidate, Host, Identification
from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text

RECORDS_KEPT = 20


def identify_sources(examined: Iterable[Examined], *, families: Families | None = None) -> Identification:
    """Which ransomware the case shows, from every file looked at. Files that are neither a note nor
    encrypted change nothing. Verdict "not_ransomware" means: no note and no encrypted file was seen."""
    telling = [one for one in examined if one.is_note or one.facts.is_encrypted]
    if not telling:
        return Identification(verdict="not_ransomware", confidence="low")
    answer = merge(telling, families=families)
    candidates = tuple(
        Candidate(family=c.family, score=round(c.score, 3), reasons=c.reasons, records=c.records[:RECORDS_KEPT],
                  confidence=_confidence(c.score))
        for c in answer.candidates)
    records = answer.candidates[0].records if answer.candidates else answer.records
    return Identification(
        verdict=answer.verdict, family=answer.family, candidates=candidates,
        actors=tuple(dict.fromkeys(actor.name for actor in answer.actors)), advice_ids=answer.advice_ids,
        extensions=answer.extensions, confidence=answer.confidence, records=records[:RECORDS_KEPT])


def encrypted_hosts(examined: Iterable[Examined], names: Mapping[str, str] | None = None) -> tuple[Host, ...]:
    """Hosts with encrypted files, most files first. The host is the first folder of a file's path, written
    as `names` (lower case → as logs write it) has it; files outside any folder belong to no host.
    Two files that are only likely encrypted, or one that is, make a host."""
    of: dict[str, list[Examined]] = {}
    for one in examined:
        folder = host_folder(one.facts.path)
        if folder and one.facts.is_encrypted:
            of.setdefault((names or {}).get(folder.lower(), folder), []).append(one)
    hosts = [_host(name, files) for name, files in of.items()
             if len(files) > 1 or files[0].facts.state == "encrypted"]
    return tuple(host for _, host in sorted(hosts, key=lambda pair: (-pair[0], pair[1].name)))


def host_folder(path: str) -> str | None:
    """The first folder of an evidence path, inside the innermost archive: "logs.zip!/FS-01/a.txt" is "FS-01"."""
    parts = path.rsplit("!/", 1)[-1].replace("\\", "/").strip("/").split("/")
    return parts[0] if len(parts) > 1 else None


def _host(name: str, files: Sequence[Examined]) -> tuple[int, Host]:
    certain = sum(1 for one in files if one.facts.state == "encrypted")
    extensions = ", ".join(sorted({one.facts.extension for one in files if one.facts.added})[:3])
    ja = f"暗号化されたファイルが{len(files):,}個あります" + (f"（拡張子 {extensions}）" if extensions else "")
    en = f"holds {len(files):,} encrypted files" + (f" (extension {extensions})" if extensions else "")
    confidence: Confidence = "high" if certain > 1 else "medium"
    return len(files), Host(
        name=name, reasons=(Text(ja, en),), confidence=confidence,
        records=tuple(RecordRef(one.facts.path, one.facts.sha256) for one in files[:RECORDS_KEPT]))


def _confidence(score: float) -> Confidence:
    return "high" if score >= 0.95 else "medium" if score >= 0.75 else "low"

"""Which ransomware: every file looked at once, one answer for the case."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hikeshi.evidence import sandbox
from hikeshi.evidence.source import Source
from hikeshi.identify import Answer, Examined, merge
from hikeshi.model.case import Candidate, Identification
from hikeshi.model.evidence import RecordRef

# Looking at a file's head, middle and tail is quick; an hour would mean a loop.
LIMITS = sandbox.Limits(cpu_s=300, wall_s=900, memory_bytes=2 * 2**30)
NOTE_BYTES = 4 * 2**20


def examine_all(sources: Sequence[Source], *, workers: int | None = None,
                on_progress: Callable[[str, int, int], None] = lambda what, done, total: None) -> list[Examined]:
    """Facts of every file that could be a note or encrypted, in order of name; logs are too large to be notes."""
    wanted = [s for s in sources if s.size and s.kind not in ("evtx", "sparse", "archive")
              and not (s.kind == "text" and s.size > NOTE_BYTES)]
    if not wanted:
        return []
    readable = sorted({s.path.resolve().parent for s in wanted})
    out: dict[int, Examined] = {}
    tasks = (sandbox.Task(str(number), source) for number, source in enumerate(wanted))
    cores = min(workers or sandbox.usable_cores(), len(wanted))
    for done, outcome in enumerate(sandbox.run(
            "hikeshi.identify:examine", tasks, setup="hikeshi.identify:prepare", setup_argument=(), workers=cores,
            limits=LIMITS, readable=readable), 1):
        if outcome.error is None:
            out[int(outcome.key)] = outcome.value
        on_progress("files", done, len(wanted))
    return [out[number] for number in sorted(out)]


def identification(examined: Sequence[Examined]) -> Identification:
    """The case's answer; "unknown" without records where nothing speaks of ransomware."""
    answer = merge([e for e in examined if e.is_note or e.facts.is_encrypted] or examined)
    return Identification(
        confidence=answer.confidence, records=_records(answer),
        verdict="unknown" if answer.verdict == "not_ransomware" else answer.verdict, family=answer.family,
        candidates=tuple(Candidate(
            confidence="high" if c.score >= 0.95 else "medium" if c.score >= 0.7 else "low", records=c.records,
            family=c.family, score=round(c.score, 3), reasons=c.reasons) for c in answer.candidates),
        actors=tuple(dict.fromkeys(a.name for a in answer.actors)), advice_ids=answer.advice_ids,
        extensions=answer.extensions)


def _records(answer: Answer) -> tuple[RecordRef, ...]:
    return answer.records if answer.kind in ("note", "encrypted") else ()


def encrypted_files(
    examined: Sequence[Examined], named: Identification
) -> list[tuple[str | None, RecordRef, str | None]]:
    """(host or None, the file, family or None) of each encrypted file and note.

    The host is the first folder of the path, as responders sort evidence: one folder a machine.
    """
    out = []
    for e in examined:
        if e.is_note or e.facts.is_encrypted:
            parts = e.facts.path.replace("\\", "/").rsplit("!/", 1)[-1].strip("/").split("/")
            out.append((parts[0] if len(parts) > 1 else None, RecordRef(e.facts.path, e.facts.sha256), named.family))
    return out

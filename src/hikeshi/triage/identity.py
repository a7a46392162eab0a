"""Which ransomware: every file looked at once, one answer for the case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from hikeshi.errors import InputError
from hikeshi.evidence import sandbox
from hikeshi.evidence.source import Source
from hikeshi.identify import Answer, Examined, FileFacts, merge
from hikeshi.identify.blockmap import BlockMap
from hikeshi.identify.encrypted import Encryption
from hikeshi.identify.recovery import recovery
from hikeshi.model.case import Candidate, EncryptedSample, Identification, NotRead
from hikeshi.model.evidence import RecordRef
from hikeshi.triage.reading import not_read, readable, workers_for

# Looking at a file's head, middle and tail is quick; an hour would mean a loop.
LIMITS = sandbox.Limits(cpu_s=300, wall_s=900, memory_bytes=2 * 2**30)
NOTE_BYTES = 4 * 2**20
_NO_NOTE = frozenset({"evtx", "sparse", "archive"})
MAP_LIMITS = sandbox.Limits(cpu_s=120, wall_s=600, memory_bytes=2 * 2**30)
SAMPLES = 12
BATCH = 64  # files a task: a look takes a millisecond, handing over a task a tenth of that


def examine_all(sources: Sequence[Source], *, workers: int | None = None, pictures: bool = False,
                on_progress: Callable[[str, int, int], None] = lambda what, done, total: None
                ) -> tuple[list[Examined], list[NotRead]]:
    """Facts of the files and of those attached to mails, by name, and what could not be looked at.

    With `pictures` the text in pictures is read, where the optional package is there: a second each.
    A batch whose child died is tried again file by file: only the file that kills is lost.
    """
    wanted = list(sources)
    found: dict[str, Examined] = {}
    failed: list[NotRead] = []
    done = 0
    batches = [wanted[n:n + BATCH] for n in range(0, len(wanted), BATCH)]
    while batches:
        again: list[list[Source]] = []
        for batch, outcome in _run(batches, wanted, workers, pictures):
            if outcome.error is None:
                for source, (examined, why) in zip(batch, outcome.value, strict=True):
                    if examined is None:
                        failed.append(not_read(source, InputError(why)))
                    else:
                        done += 1
                        found.update((one.answer.path, one) for one in examined.all())
            elif len(batch) > 1:
                again += [[source] for source in batch]
            else:
                failed.append(not_read(batch[0], outcome.error))
            on_progress("files", done + len(failed), len(wanted))
        batches = again
    return _with_maps([found[name] for name in sorted(found)], wanted, workers), failed


def samples(examined: Sequence[Examined]) -> list[str]:
    """Names of the encrypted files that are looked at whole: the largest of each kind, then the second largest, …,
    at most twelve. The same for the same files in any order."""
    kinds: dict[str, dict[str, FileFacts]] = {}
    for facts in sorted((e.facts for e in examined if e.facts.is_encrypted), key=lambda f: (-f.size, f.path)):
        kind = facts.original.rpartition(".")[2].lower() if facts.added else facts.extension
        kinds.setdefault(kind, {}).setdefault(facts.sha256 or facts.path, facts)
    turns = [(turn, kind, facts.path) for kind, distinct in kinds.items()
             for turn, facts in enumerate(distinct.values())]
    return sorted(path for _, _, path in sorted(turns)[:SAMPLES])


def _with_maps(examined: list[Examined], sources: Sequence[Source], workers: int | None) -> list[Examined]:
    """The same, a few encrypted files mapped whole. One that can't be mapped stays without."""
    chosen = set(samples(examined))
    tasks = [sandbox.Task(s.name, s) for s in sources if s.name in chosen]
    maps: dict[str, Encryption] = {}
    if tasks:
        for outcome in sandbox.run("hikeshi.identify.child:map_sample", tasks, workers=workers_for(workers, len(tasks)),
                                   limits=MAP_LIMITS, readable=readable([task.argument for task in tasks])):
            if outcome.error is None:
                maps[outcome.key] = _in_short(outcome.value)
    return [replace(e, facts=replace(e.facts, encryption=found), answer=replace(e.answer, encryption=found))
            if (found := maps.get(e.facts.path)) is not None else e for e in examined]


def _in_short(found: BlockMap) -> Encryption:
    share = found.encrypted / found.mapped if found.mapped else 0.0
    return Encryption(found.pattern, round(share, 3), found.chunk, found.skip, found.row())


def _run(batches: list[list[Source]], wanted: Sequence[Source], workers: int | None,
         pictures: bool) -> Iterator[tuple[list[Source], sandbox.Outcome]]:
    tasks = [sandbox.Task(str(number), batch) for number, batch in enumerate(batches)]
    for outcome in sandbox.run("hikeshi.identify.child:examine_batch", tasks,
                               setup="hikeshi.identify.child:" + ("set_up_with_pictures" if pictures else "set_up"),
                               setup_argument=(), workers=workers_for(workers, len(tasks)), limits=LIMITS,
                               readable=readable(wanted)):
        yield batches[int(outcome.key)], outcome


def could_matter(sources: Sequence[Source]) -> list[Source]:
    """Files that could be a note or encrypted: event logs and texts of megabytes are neither."""
    return [s for s in sources if s.size and s.kind not in _NO_NOTE and not (s.kind == "text" and s.size > NOTE_BYTES)]


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
        extensions=answer.extensions, encryption=tuple(_sample(e) for e in examined if e.facts.encryption is not None),
        recovery=recovery([e.facts for e in examined]))


def _sample(e: Examined) -> EncryptedSample:
    facts, found = e.facts, e.facts.encryption
    assert found is not None
    return EncryptedSample(
        confidence="high" if facts.state == "encrypted" else "medium", records=(RecordRef(facts.path, facts.sha256),),
        path=facts.path, size=facts.size, pattern=found.pattern, share=found.share, chunk=found.chunk, skip=found.skip,
        row=found.row, original=facts.original, extension=facts.extension, victim_id=facts.victim_id,
        lost_format=facts.state == "encrypted", marker=facts.markers[0][1] if facts.markers else None)


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

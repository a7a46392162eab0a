"""The intrusion story alone: files in, story out; no rules, no report.

Each file is parsed and digested in a limited child; digests come back as files the parent loads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hikeshi.errors import HikeshiError, InputError, UnsupportedFormat
from hikeshi.evidence import sandbox
from hikeshi.evidence.acquire import acquire
from hikeshi.evidence.source import Source
from hikeshi.model.case import Identification, NotRead, Story
from hikeshi.parse.registry import detect_format, parse_source
from hikeshi.parse.windows import add_ecs_columns
from hikeshi.trace import Digest, Gathered, build_story, digest, read_known, read_places
from hikeshi.triage.identity import could_matter, encrypted_files, examine_all, identification
from hikeshi.triage.packages import packages
from hikeshi.triage.reading import (
    LIMITS,
    Zone,
    is_log,
    largest_first,
    left_out,
    make_reader,
    not_read,
    readable,
    remark,
    workers_for,
)

Advance = Callable[[str, int, int], None]


@dataclass(slots=True)
class Traced:
    """The story, which ransomware if any, and what was read. `formats` counts files by format."""

    story: Story
    identification: Identification
    records: int = 0
    rejected: int = 0
    formats: dict[str, int] = field(default_factory=dict)
    not_read: list[NotRead] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Order:
    source: Source
    digest: Path


@dataclass(frozen=True, slots=True)
class FileResult:
    """One file's part; `stopped` says why reading ended early, or is empty."""

    format: str
    records: int
    rejected: int
    stopped: str


def prepare(zone: Zone) -> Zone:
    """Runs in each child before it is locked down; everything a task imports is imported by now."""
    return zone


def digest_file(settings: Zone, order: Order) -> FileResult:
    """Digests one file into the folder the child may write to; runs in the child."""
    source = order.source
    zone = settings.of(source)
    try:
        name, _ = detect_format(source)
    except UnsupportedFormat:
        name = source.kind
    parts = Gathered()
    records = rejected = 0
    stopped = ""
    try:
        for table in parse_source(source, zone=zone.zone, zone_assumed=zone.assumed):
            add_ecs_columns(table)
            parts.append(digest(source, table))
            records += table.row_count
            rejected += len(table.rejects)
    except HikeshiError as error:
        if not records:
            raise
        stopped = error.what  # what was read before the damage still counts
    Digest.merge(parts).save(order.digest)
    return FileResult(name, records, rejected, stopped)


def trace_evidence(
    paths: Iterable[Path],
    *,
    workers: int | None = None,
    zone: str | None = None,
    known: Path | None = None,
    places: Path | None = None,
    on_progress: Advance = lambda what, done, total: None,
) -> Traced:
    """The intrusion in files, folders and archives.

    `known` and `places` are the user's lists: work the company names as its own, and where networks are.
    `zone` reads times that name none (default: the evidence's notes, else this machine's zone).
    What can't be read is in `not_read`, with the reason.
    """
    own, where = read_known(known) if known else None, read_places(places) if places else None
    with tempfile.TemporaryDirectory(prefix="hikeshi-") as work:
        evidence, digests = Path(work) / "evidence", Path(work) / "digests"
        evidence.mkdir()
        digests.mkdir()
        acquired = acquire(list(paths), evidence, workers=workers)
        examined, failed = examine_all(could_matter(acquired.sources), workers=workers, on_progress=on_progress)
        named = identification(examined)
        left = {e.facts.path for e in examined if e.is_note or e.facts.is_encrypted}
        logs = largest_first(s for s in acquired.sources if is_log(s) and s.name not in left)
        traced = Traced(
            Story(),
            named,
            not_read=[*(left_out(name, reason) for name, reason in acquired.not_read), *failed],
        )
        files, remarks = _digest_all(
            logs,
            digests,
            workers,
            Zone.named(zone),
            traced,
            on_progress,
        )
        on_progress("story", 0, 1)
        traced.story = build_story(
            (Digest.load(f) for f in files), encrypted=encrypted_files(examined, named), notes=remarks,
            known=own, places=where, packages=packages(acquired),
        )
        traced.not_read.sort(key=lambda n: n.path)
        on_progress("story", 1, 1)
        return traced


def _digest_all(
    logs: Sequence[Source],
    folder: Path,
    workers: int | None,
    zone: Zone,
    traced: Traced,
    on_progress: Advance,
) -> tuple[list[Path], list[str]]:
    """(digest files, short texts that may tell of clocks)."""
    files: list[Path] = []
    remarks: list[str] = []
    orders = {str(n): Order(s, folder / f"{n}.arrow") for n, s in enumerate(logs)}
    if not orders:
        return files, remarks
    tasks = [sandbox.Task(key, order) for key, order in orders.items()]
    make_reader(logs, on_progress=on_progress)
    for done, outcome in enumerate(
        sandbox.run(
            "hikeshi.triage.trace:digest_file",
            tasks,
            setup="hikeshi.triage.trace:prepare",
            setup_argument=zone,
            workers=workers_for(workers, len(tasks)),
            limits=LIMITS,
            readable=readable(logs),
            writable=(folder,),
            forked=True,
        ),
        1,
    ):
        order = orders[outcome.key]
        if outcome.error is not None:
            traced.not_read.append(not_read(order.source, outcome.error))
        else:
            part: FileResult = outcome.value
            files.append(order.digest)
            traced.records += part.records
            traced.rejected += part.rejected
            traced.formats[part.format] = traced.formats.get(part.format, 0) + 1
            if part.stopped:
                traced.not_read.append(not_read(order.source, InputError(part.stopped)))
            text = remark(order.source, part.format)
            if text is not None:
                remarks.append(text)
        on_progress("logs", done, len(tasks))
    return files, sorted(remarks)


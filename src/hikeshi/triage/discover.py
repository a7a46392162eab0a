"""Contacts of all logs, and what looks like command and control among them without a list."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hikeshi.evidence import sandbox
from hikeshi.evidence.acquire import acquire
from hikeshi.evidence.source import Source
from hikeshi.indicators import warning_lists
from hikeshi.indicators.normalise import address
from hikeshi.model.case import NotRead
from hikeshi.parse.registry import parse_source
from hikeshi.parse.windows import add_ecs_columns
from hikeshi.sweep.discover import Contacts, Discovery, Gathered, discover
from hikeshi.triage.reading import LIMITS, Zone, is_log, largest_first, left_out, not_read, readable, workers_for


@dataclass(slots=True)
class Discoveries:
    """Suspicions, the strongest first; `contacts` were looked at, `left_out` were too many to keep."""

    found: list[Discovery] = field(default_factory=list)
    contacts: int = 0
    left_out: int = 0
    not_read: list[NotRead] = field(default_factory=list)


def gather(zone: Zone, source: Source) -> Gathered:
    """The contacts of one file; runs in a child."""
    own = zone.of(source)
    contacts = Contacts()
    for table in parse_source(source, zone=own.zone, zone_assumed=own.assumed):
        add_ecs_columns(table)
        contacts.add(source, table)
    return contacts.gathered()


def prepare(zone: Zone) -> Zone:
    """The context of `gather`."""
    return zone


def discover_in(paths: Iterable[Path], *, infected: Collection[str] = (), workers: int | None = None,
                zone: str | None = None,
                on_progress: Callable[[str, int, int], None] | None = None) -> Discoveries:
    """Look through files, folders and archives. Every line is parsed: minutes a gigabyte, not seconds."""
    with tempfile.TemporaryDirectory(prefix="hikeshi-") as work:
        acquired = acquire(list(paths), Path(work), workers=workers)
        wanted = largest_first(s for s in acquired.sources if is_log(s))
        out = Discoveries(not_read=[left_out(name, reason) for name, reason in acquired.not_read])
        parts: dict[int, Gathered] = {}
        tasks = (sandbox.Task(str(i), s) for i, s in enumerate(wanted))
        for done, outcome in enumerate(sandbox.run(
                "hikeshi.triage.discover:gather", tasks, setup="hikeshi.triage.discover:prepare",
                setup_argument=Zone.named(zone), workers=workers_for(workers, len(wanted)), limits=LIMITS,
                readable=readable(wanted)) if wanted else (), 1):
            if outcome.error is not None:
                out.not_read.append(not_read(wanted[int(outcome.key)], outcome.error))
            else:
                parts[int(outcome.key)] = outcome.value
            if on_progress:
                on_progress("discover", done, len(wanted))
    contacts = Contacts()
    for number in sorted(parts):
        contacts.join(parts.pop(number))
    out.contacts, out.left_out = contacts.count, contacts.left_out
    gathered = contacts.gathered()
    contacts.parts.clear()
    out.found = discover(gathered, infected=infected, harmless=_known)
    return out


def _known(place: str) -> bool:
    found = address(place)
    return bool(warning_lists().of(*(found or ("domain", place))))

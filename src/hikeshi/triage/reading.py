"""What every run over evidence decides alike: which files are logs, in which zone, what to say of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path

from hikeshi.errors import HikeshiError
from hikeshi.events.time import machine_zone, parse_zone
from hikeshi.evidence import sandbox
from hikeshi.evidence.source import Source
from hikeshi.machine import MachineCode
from hikeshi.model.case import NotRead
from hikeshi.model.text import Text
from hikeshi.parse.evtx_fast import code as reader_code

# A ten-gigabyte log takes hours of one core; a loop without end must still end.
LIMITS = sandbox.Limits(cpu_s=4 * 3600, wall_s=8 * 3600, memory_bytes=3 * 2**30)
_REMARK_BYTES = 64 * 1024
# Machine code is made once, in some fifteen seconds of CPU: from so many bytes of event logs on it pays at once.
_WORTH_MAKING = 192 << 20


@dataclass(frozen=True, slots=True)
class Zone:
    """The zone of times that name none; `assumed` when nobody said so."""

    zone: tzinfo
    assumed: bool

    @classmethod
    def named(cls, name: str | None) -> Zone:
        """The zone the user named, or this machine's, which is only assumed. Raises UsageError."""
        if name:
            return cls(parse_zone(name), False)
        return cls(machine_zone(), True)

    def of(self, source: Source) -> Zone:
        """What the evidence's own notes say of a file beats an assumption, never the user's word."""
        if source.zone_hint and self.assumed:
            return Zone(parse_zone(source.zone_hint), False)
        return self


def is_log(source: Source) -> bool:
    """Text, an event log or logon records, and not empty; everything else holds no records."""
    return source.kind in ("text", "evtx", "wtmp") and source.size > 0


def largest_first(sources: Iterable[Source]) -> list[Source]:
    """So that the last task is a short one."""
    return sorted(sources, key=lambda s: (-s.size, s.name))


def readable(sources: Iterable[Source]) -> list[Path]:
    """What children must be able to open: the files, or their folders where there are many."""
    files = [source.path.resolve() for source in sources]
    return files if len(files) < 100 else sorted({path.parent for path in files})


def workers_for(wanted: int | None, tasks: int) -> int:
    return max(1, min(wanted or sandbox.usable_cores(), tasks))


def make_reader(sources: Iterable[Source], *others: MachineCode,
                on_progress: Callable[[str, int, int], None] | None = None) -> None:
    """Have the event log reader's machine code made, and `others`, if there is enough to read. Children load what
    there is by themselves, see evidence.sandbox."""
    size = sum(s.size for s in sources if s.kind == "evtx")
    if size < _WORTH_MAKING:
        return
    if on_progress:
        on_progress("preparing the reader", 0, size)
    for code in (reader_code, *others):
        code.location(make=True)


def remark(source: Source, format_name: str) -> str | None:
    """The content of a short text that people put beside the evidence (it may tell of clocks), else None."""
    if format_name != "text" or source.size > _REMARK_BYTES:
        return None
    return source.path.read_bytes().decode(source.encoding or "utf-8", "replace")


def not_read(source: Source, error: HikeshiError) -> NotRead:
    return left_out(source.name, Text(f"読み取れませんでした: {error.what}", f"could not be read: {error.what}"))


def left_out(name: str, reason: Text) -> NotRead:
    return NotRead(confidence="high", path=name, reason=reason)

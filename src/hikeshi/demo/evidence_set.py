"""The evidence of one worked incident, collected in memory and then written as a folder.

Windows records and log lines are gathered in any order and written oldest first; each then knows
the file and the record id or line it has become, or that it was lost (log cleared, file cut off).
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from hikeshi.demo.evtx_writer import CHUNK_SIZE, EvtxWriter, Value
from hikeshi.demo.windows_events import KINDS

SECURITY, SYSTEM = "Security", "System"
SYSMON = "Microsoft-Windows-Sysmon%4Operational"
SESSIONS = "Microsoft-Windows-TerminalServices-LocalSessionManager%4Operational"
SCRIPTS = "Microsoft-Windows-PowerShell%4Operational"
CONNECTIONS = "Microsoft-Windows-TerminalServices-RemoteConnectionManager%4Operational"
_PER_CHUNK = 250


@dataclass(slots=True, eq=False)
class Record:
    """One record or line. After writing: `path` and `number` (record id or line), or `path` None."""

    time: int
    path: str | None = None
    number: int | None = None
    is_line: bool = False

    def to_dict(self) -> dict[str, object]:
        return {"path": self.path, "line" if self.is_line else "record_id": self.number}


@dataclass(slots=True, eq=False)
class WindowsRecord(Record):
    event_id: int = 0
    values: dict[str, Value] = field(default_factory=dict)
    user: str | None = None
    process_id: int = 712
    thread_id: int = 4


@dataclass(slots=True, eq=False)
class Line(Record):
    text: str = ""


@dataclass(slots=True)
class TextLog:
    """A family of text files: `name_of` gives the file of a time, `header` its first lines."""

    name_of: Callable[[int], str]
    header: Callable[[str], list[str]] | None = None
    lines: list[Line] = field(default_factory=list)


class EvidenceSet:
    """Everything one incident leaves behind."""

    def __init__(self, rng: Random, domain: str) -> None:
        self._rng = rng
        self._domain = domain
        self.windows: dict[tuple[str, str], list[WindowsRecord]] = {}
        self.text: dict[str, TextLog] = {}
        self.files: dict[str, bytes] = {}
        self._cleared: dict[tuple[str, str], int] = {}
        self._clock_fast_s: dict[str, int] = {}
        self._cut: set[tuple[str, str]] = set()
        self._withheld: set[str] = set()

    def event(self, host: str, log: str, event_id: int, time: int, user: str | None = None,
              process_id: int = 712, /, **values: Value) -> WindowsRecord:
        """One Windows record; it is kept only if the host hands in event logs."""
        record = WindowsRecord(time, None, None, False, event_id, values, user, process_id, 200 + time % 8000 // 4 * 4)
        self.windows.setdefault((host, log), []).append(record)
        return record

    def line(self, log: str, time: int, text: str) -> Line:
        record = Line(time, None, None, True, text)
        self.text[log].lines.append(record)
        return record

    def clear(self, host: str, log: str, time: int) -> None:
        """The log was cleared: records before `time` are gone."""
        self._cleared[host, log] = time

    def is_cleared(self, host: str) -> bool:
        return any(name == host for name, _ in self._cleared)

    def clock_runs_fast(self, host: str, seconds: int) -> None:
        self._clock_fast_s[host] = seconds

    def cut_tail(self, host: str, log: str) -> None:
        """The copy of the file ends in the middle of its last records."""
        self._cut.add((host, log))

    def withhold(self, host: str) -> None:
        """The host hands in no event logs."""
        self._withheld.add(host)

    def drop(self, event_ids: set[int]) -> None:
        """Nobody had these events logged."""
        for key, records in self.windows.items():
            self.windows[key] = [r for r in records if r.event_id not in event_ids]

    def write(self, folder: Path) -> int:
        """Write all files below `folder`; how many records and lines were written."""
        count = sum(self._write_windows(folder, host, log) for host, log in sorted(self.windows))
        count += sum(self._write_text(folder, log) for log in self.text.values())
        for name, content in sorted(self.files.items()):
            _write(folder / name, content)
        return count

    def _write_windows(self, folder: Path, host: str, log: str) -> int:
        if host in self._withheld:
            return 0
        records = sorted(self.windows[host, log], key=lambda r: r.time)
        first_id = self._rng.randrange(20_000, 900_000)
        cleared_at = self._cleared.get((host, log))
        if cleared_at is not None:
            kept = [r for r in records if r.time >= cleared_at]
            first_id += len(records) - len(kept)
            records = kept
        writer = EvtxWriter(first_record_id=first_id)
        shift = self._clock_fast_s.get(host, 0) * 1_000_000
        computer = f"{host}.{self._domain}"
        path = f"{host}/{log}.evtx"
        for record in records:
            kind = KINDS[log, record.event_id]
            record.number = writer.add(
                kind.template, computer=computer, time=record.time + shift, values=kind.values(record.values),
                process_id=record.process_id, thread_id=record.thread_id, user=record.user)
            record.path = path
        content = writer.to_bytes()
        if (host, log) in self._cut:
            used = int.from_bytes(content[-CHUNK_SIZE + 48:-CHUNK_SIZE + 52], "little")
            content = content[:-CHUNK_SIZE + used - 700]
            for record in records[-_PER_CHUNK:]:  # readers may lose the whole last chunk
                record.path = record.number = None
        _write(folder / path, content)
        return len(records)

    def _write_text(self, folder: Path, log: TextLog) -> int:
        by_file: dict[str, list[Line]] = {}
        for line in sorted(log.lines, key=lambda r: r.time):
            by_file.setdefault(log.name_of(line.time), []).append(line)
        for name, lines in by_file.items():
            header = log.header(name) if log.header else []
            for number, line in enumerate(lines, len(header) + 1):
                line.path, line.number = name, number
            content = "".join(f"{text}\n" for text in (*header, *(line.text for line in lines))).encode()
            _write(folder / name, _gzip(content) if name.endswith(".gz") else content)
        return len(log.lines)


def surviving(records: Iterable[Record]) -> list[Record]:
    """Those of the records that are in the written evidence."""
    return [r for r in records if r.path is not None]


def _gzip(content: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as file:
        file.write(content)
    return out.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)

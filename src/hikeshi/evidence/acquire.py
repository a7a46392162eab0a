"""Folders, files and archives become Sources: named, hashed, recognised, unpacked.

Walking and bookkeeping happen in the parent; every byte of content is read in sandbox
children: first each file once (sha256, kind, encoding), then archives, one depth after the
other. Nothing depends on which child was faster: two runs give the same answer.

Source.zone_hint comes from notes.toml or hikeshi.toml in the folder (zone_notes.py).
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from hikeshi.errors import HikeshiError, InputError, LimitExceeded, UsageError
from hikeshi.evidence import reasons
from hikeshi.evidence.archive import ArchiveLimits, Unpacked, unpack
from hikeshi.evidence.examine import Examined, examine
from hikeshi.evidence.member_names import decode_name, shown
from hikeshi.evidence.sandbox import Limits, Outcome, Task, run
from hikeshi.evidence.sniff import OPENED
from hikeshi.evidence.source import Source
from hikeshi.evidence.zone_notes import FILE_NAMES, ZoneRule, read_zone_notes, zone_for
from hikeshi.model.text import Text

_UNPACKED = "unpacked"
_GIB = 2**30
_CHILD = Limits(cpu_s=1800, wall_s=3600, memory_bytes=2 * _GIB)


@dataclass(frozen=True, slots=True)
class AcquireLimits:
    """What is accepted. `file_bytes` is one file as given, `member_bytes` one file out of an
    archive, `total_bytes` everything unpacked (never more than the disk has free, less 1 GiB);
    an archive may unpack to `ratio` times its size once `ratio_from_bytes` came out."""

    files: int = 1_000_000
    file_bytes: int = 200 * _GIB
    total_bytes: int = 40 * _GIB
    member_bytes: int = 20 * _GIB
    ratio: int = 250
    ratio_from_bytes: int = 256 * 2**20
    depth: int = 5
    entries: int = 100_000
    child: Limits = _CHILD


@dataclass(frozen=True, slots=True)
class Acquired:
    """`sources` and `not_read` sorted by name; `opened` are the archives that were unpacked
    (their content is among the sources); `protection` what the children had."""

    sources: tuple[Source, ...]
    not_read: tuple[tuple[str, Text], ...]
    opened: tuple[Source, ...] = ()
    protection: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far acquiring is: files and bytes of the current round (first all files, then archives)."""

    name: str
    done: int
    total: int
    bytes_done: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    name: str
    size: int


def acquire(paths: Sequence[Path], work: Path, *, limits: AcquireLimits = AcquireLimits(),
            workers: int | None = None, on_progress: Callable[[Progress], None] | None = None) -> Acquired:
    """Everything that lies at `paths`, ready to be read.

    A path is a file, a folder, or "-" for standard input (kept as work/stdin). Names are
    relative to the folder given; with several paths the folder's name comes first. Equal
    names get "#2", "#3". Archives are unpacked into work/unpacked, which is emptied first.
    Links are not followed, except where `paths` itself names one. What can't be read is in
    `not_read` with its reason. Raises InputError if a path doesn't exist.
    """
    work = work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(work / _UNPACKED, ignore_errors=True)
    return _Run(work.resolve(), limits, workers, on_progress).acquire(paths)


class _Run:
    def __init__(self, work: Path, limits: AcquireLimits, workers: int | None,
                 on_progress: Callable[[Progress], None] | None) -> None:
        self._work, self._limits, self._workers, self._on_progress = work, limits, workers, on_progress
        self._not_read: list[tuple[str, Text]] = []
        self._sources: list[Source] = []
        self._opened: list[Source] = []
        self._containers: list[tuple[Source, str]] = []
        self._unpacked_bytes = 0
        self._folders = 0
        self._protection = ""
        free = shutil.disk_usage(work).free - _GIB
        self._total_limit = max(0, min(limits.total_bytes, free))

    def acquire(self, paths: Sequence[Path]) -> Acquired:
        found, notes = self._gather(paths)
        readable = [f.path for f in found] if len(found) < 100 else [self._real(p) for p in paths]
        self._examine(found, readable)
        for _ in range(self._limits.depth):
            if not self._containers:
                break
            self._unpack_level(readable)
        for source, _ in self._containers:
            self._keep_closed(source, reasons.TOO_DEEP)
        rules = self._zone_rules(notes)
        sources = [replace(s, zone_hint=zone_for(s.name, rules)) for s in self._sources] if rules else self._sources
        return Acquired(tuple(sorted(sources, key=_by_name)), tuple(sorted(self._not_read)),
                        tuple(sorted(self._opened, key=_by_name)), self._protection)

    # ------------------------------------------------------------------ what lies there

    def _gather(self, paths: Sequence[Path]) -> tuple[list[_Found], list[Path]]:
        found: list[_Found] = []
        notes: list[Path] = []
        for path in paths:
            if str(path) == "-":
                found.append(self._spool_stdin())
                continue
            real = self._real(path)
            if real.is_dir():
                prefix = f"{_name_of(real.name)}/" if len(paths) > 1 else ""
                found += self._walk(real, prefix)
                notes += [real / name for name in FILE_NAMES if (real / name).is_file()]
            elif real.is_file():
                found.append(_Found(real, _name_of(path.name or real.name), real.stat().st_size))
            else:
                self._not_read.append((_name_of(path.name), reasons.SPECIAL))
        found.sort(key=lambda f: (f.name, str(f.path)))
        if len(found) > self._limits.files:
            self._not_read.append((found[self._limits.files].name, reasons.too_many(self._limits.files)))
            del found[self._limits.files:]
        return _numbered(found), notes

    def _real(self, path: Path) -> Path:
        if str(path) == "-":
            return self._work / "stdin"
        try:
            return Path(path).resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise InputError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}",
                             hint="check the path and who may read it") from error

    def _spool_stdin(self) -> _Found:
        target = self._work / "stdin"
        size = 0
        with open(target, "wb") as out:
            while chunk := sys.stdin.buffer.read(2**20):
                size += len(chunk)
                if size > self._limits.file_bytes:
                    raise LimitExceeded(f"standard input is larger than {self._limits.file_bytes:,} bytes",
                                        hint="give it as files")
                out.write(chunk)
        return _Found(target, "stdin", size)

    def _walk(self, root: Path, prefix: str) -> Iterator[_Found]:
        waiting = [(root, prefix)]
        seen: set[tuple[int, int]] = set()
        while waiting:
            folder, names = waiting.pop()
            try:
                with os.scandir(folder) as listed:
                    entries = sorted(listed, key=lambda e: e.name)
            except OSError as error:
                reason = reasons.UNREADABLE_FOLDER if isinstance(error, PermissionError) else reasons.from_os(error)
                self._not_read.append((names.rstrip("/") or root.name, reason))
                continue
            for entry in entries:
                name = names + _name_of(entry.name)
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as error:
                    self._not_read.append((name, reasons.from_os(error)))
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield _Found(Path(entry.path), name, status.st_size)
                elif not stat.S_ISDIR(status.st_mode):
                    link = stat.S_ISLNK(status.st_mode)
                    self._not_read.append((name, reasons.LINK if link else reasons.SPECIAL))
                elif Path(entry.path) == self._work:
                    self._not_read.append((name, reasons.WORK_FOLDER))
                elif not status.st_ino or (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))  # a folder mounted into itself would never end
                    waiting.append((Path(entry.path), name + "/"))

    # ------------------------------------------------------------------ in the children

    def _run(self, function: str, tasks: Iterator[Task], readable: Sequence[Path],
             writable: Sequence[Path] = ()) -> Iterator[Outcome]:
        for outcome in run(f"{__name__}:{function}", tasks, workers=self._workers, limits=self._limits.child,
                           readable=readable, writable=writable, forked=True):
            self._protection = outcome.protection or self._protection
            yield outcome

    def _examine(self, found: list[_Found], readable: Sequence[Path]) -> None:
        total = sum(f.size for f in found)
        # Largest first, so that the last minutes are not one core's; results are put in order below.
        order = sorted(range(len(found)), key=lambda i: -found[i].size)
        tasks = (Task(str(i), (str(found[i].path), self._limits.file_bytes)) for i in order)
        results: dict[int, Outcome] = {}
        done = 0
        for outcome in self._run("examine_file", tasks, readable) if found else ():
            number = int(outcome.key)
            results[number] = outcome
            done += found[number].size
            self._report(found[number].name, len(results), len(found), done, total)
        for number, file in enumerate(found):
            self._take(file, results[number])

    def _take(self, file: _Found, outcome: Outcome) -> None:
        if outcome.error is not None or not isinstance(outcome.value, Examined):
            self._not_read.append((file.name, _why(outcome)))
            return
        found: Examined = outcome.value
        sniffed = found.sniffed
        self._add(Source(file.path, file.name, found.sha256, found.size, None, sniffed.kind, sniffed.encoding,
                         None, sniffed.problems), sniffed.container)

    def _add(self, source: Source, container: str | None) -> None:
        if source.kind != "archive":
            self._sources.append(source)
        elif container in OPENED:
            self._containers.append((source, container))
        else:
            self._keep_closed(source, reasons.unknown_container(container or "?"))

    def _keep_closed(self, source: Source, reason: Text) -> None:
        self._sources.append(source)
        self._not_read.append((source.name, reason))

    def _unpack_level(self, readable: Sequence[Path]) -> None:
        containers, self._containers = self._containers, []
        folders = [self._new_folder() for _ in containers]
        limits = ArchiveLimits(self._total_limit, self._limits.member_bytes, self._limits.entries,
                               self._limits.ratio, self._limits.ratio_from_bytes)
        finished_bytes = self._unpacked_bytes
        results: dict[int, Outcome] = {}

        def tasks() -> Iterator[Task]:
            # Tasks are drawn in order: once the limit is passed, all that still fit were drawn before.
            for i, (source, container) in enumerate(containers):
                if finished_bytes > self._total_limit:
                    return
                yield Task(str(i), (str(source.path), container, str(folders[i]), limits, inner_name(source.name)))

        size, done = sum(s.size for s, _ in containers), 0
        for outcome in self._run("unpack_archive", tasks(), [*readable, self._work], [self._work / _UNPACKED]):
            number = int(outcome.key)
            results[number] = outcome
            finished_bytes += outcome.value.total if isinstance(outcome.value, Unpacked) else 0
            done += containers[number][0].size
            self._report(containers[number][0].name, len(results), len(containers), done, size)
        for number, (source, _) in enumerate(containers):
            self._take_unpacked(source, folders[number], results.get(number))

    def _take_unpacked(self, source: Source, folder: Path, outcome: Outcome | None) -> None:
        unpacked = outcome.value if outcome is not None else None
        if isinstance(unpacked, Unpacked):
            self._unpacked_bytes += unpacked.total
        if outcome is None or self._unpacked_bytes > self._total_limit:
            self._close_again(source, folder, reasons.TOTAL)
        elif not isinstance(unpacked, Unpacked):
            self._close_again(source, folder, _why(outcome))
        else:
            self._opened.append(replace(source, problems=source.problems + unpacked.problems))
            self._not_read += [(f"{source.name}!/{name}" if name else source.name, reason)
                               for name, reason in unpacked.left_out]
            for file in _unique([f"{source.name}!/{m.name}" for m in unpacked.members]):
                number, name = file
                member = unpacked.members[number]
                sniffed = member.sniffed
                self._add(Source(folder / PurePosixPath(member.file).name, name, member.sha256, member.size,
                                 source.name, sniffed.kind, sniffed.encoding, None,
                                 member.problems + sniffed.problems), sniffed.container)

    def _close_again(self, source: Source, folder: Path, reason: Text) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._keep_closed(source, reason)

    def _new_folder(self) -> Path:
        self._folders += 1
        folder = self._work / _UNPACKED / f"{self._folders:05d}"
        folder.mkdir(parents=True)
        return folder

    def _zone_rules(self, notes: Sequence[Path]) -> list[ZoneRule]:
        rules: list[ZoneRule] = []
        tasks = [Task(str(i), str(path)) for i, path in enumerate(notes)]
        outcomes = {o.key: o for o in self._run("read_notes", iter(tasks), notes)} if tasks else {}
        for task, path in zip(tasks, notes, strict=True):
            outcome = outcomes[task.key]
            if outcome.error is not None:
                self._not_read.append((path.name, _why(outcome)))
            else:
                rules += outcome.value
        return rules

    def _report(self, name: str, done: int, total: int, bytes_done: int, bytes_total: int) -> None:
        if self._on_progress is not None:
            self._on_progress(Progress(name, done, total, bytes_done, bytes_total))


# ---------------------------------------------------------------------- run in the children


def examine_file(_: Any, argument: tuple[str, int]) -> Examined:
    path, limit = argument
    try:
        return examine(Path(path), limit)
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}") from error


def unpack_archive(_: Any, argument: tuple[str, str, str, ArchiveLimits, str]) -> Unpacked:
    path, container, folder, limits, name = argument
    return unpack(Path(path), container, Path(folder), limits, inner_name=name)


def read_notes(_: Any, path: str) -> tuple[ZoneRule, ...]:
    return read_zone_notes(Path(path))


# ---------------------------------------------------------------------- names and order


def _name_of(raw: str) -> str:
    """A name on disk as evidence calls it; bytes that aren't UTF-8 are decoded like names in archives."""
    return shown(decode_name(os.fsencode(raw)) if any("\udc80" <= c <= "\udcff" for c in raw) else raw)


def inner_name(name: str) -> str:
    """What the one file inside "a/b.log.gz" is called: b.log."""
    last = name.rpartition("/")[2]
    stem, dot, suffix = last.rpartition(".")
    lower = suffix.lower()
    if stem and dot and lower in ("tgz", "tbz", "tbz2", "txz", "tzst"):
        return stem + ".tar"
    if stem and dot and lower in ("gz", "bz2", "xz", "zst", "z"):
        return stem
    return last + ".content"


def _unique(names: Sequence[str]) -> list[tuple[int, str]]:
    """Each name once: repeated ones get #2, #3 in their order."""
    used: dict[str, int] = {}
    taken = set(names)
    out = []
    for i, name in enumerate(names):
        count = used[name] = used.get(name, 0) + 1
        while count > 1 and (numbered := f"{name}#{count}") in taken:
            count = used[name] = count + 1
        out.append((i, name if count == 1 else numbered))
        if count > 1:
            taken.add(numbered)
    return out


def _numbered(found: list[_Found]) -> list[_Found]:
    return [replace(found[i], name=name) for i, name in _unique([f.name for f in found])]


def _by_name(source: Source) -> str:
    return source.name


def _why(outcome: Outcome) -> Text:
    error = outcome.error or UsageError("an unexpected answer came back")
    return reasons.from_error(error) if isinstance(error, HikeshiError) else reasons.NOT_FOUND

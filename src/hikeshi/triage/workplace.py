"""The folder a triage run works in: finished parts survive a kill, half-written ones never count.

OUT/.work/lock          one run at a time
OUT/.work/evidence/     unpacked members of archives
OUT/.work/doing/        parts being written
OUT/.work/parts/<key>/  finished parts, moved there in one step
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

from hikeshi.errors import OutputError, UsageError
from hikeshi.evidence.source import Source


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a run keeps what it has done; `settings` is the hash of everything that would
    change a part's content besides the file itself."""

    root: Path
    settings: str

    @property
    def evidence(self) -> Path:
        return self.root / "evidence"

    @property
    def doing(self) -> Path:
        return self.root / "doing"

    def key(self, source: Source) -> str:
        """The same bytes under the same name, read in the same way, are the same part."""
        told = orjson.dumps([self.settings, source.sha256, source.name, source.zone_hint, source.kind])
        return hashlib.sha256(told).hexdigest()[:40]

    def part(self, key: str) -> Path:
        return self.root / "parts" / key

    def is_done(self, key: str) -> bool:
        return (self.part(key) / "result.json").is_file()

    def finish(self, key: str) -> Path:
        """Moves doing/<key> to parts/<key>, replacing a left-over without result."""
        target = self.part(key)
        if target.exists():
            shutil.rmtree(target)
        (self.doing / key).rename(target)
        return target


@contextmanager
def open_workplace(out: Path, settings: str) -> Iterator[Workplace]:
    """The work folder of OUT, locked for this run; removed when the run completes without an error."""
    root = out / ".work"
    try:
        (root / "parts").mkdir(parents=True, exist_ok=True)
        place = Workplace(root, settings)
        lock = _lock(root)
        try:
            for folder in (place.doing, place.evidence):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
            yield place
        finally:
            lock.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"can't write to {out}: {error.strerror}",
                          hint="choose another folder with --out, or free some space") from error
    shutil.rmtree(root, ignore_errors=True)


def _lock(root: Path) -> Path:
    lock = root / "lock"
    me = psutil.Process()
    mine = f"{me.pid} {me.create_time()}"
    while True:
        try:
            handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            if _alive(lock):
                raise UsageError(f"another triage run is writing to {root.parent}",
                                 hint="wait for it, or give another folder with --out") from None
            lock.unlink(missing_ok=True)  # its run was killed
            continue
        with os.fdopen(handle, "w") as file:
            file.write(mine)
        return lock


def _alive(lock: Path) -> bool:
    """Whether the process that wrote the lock still runs (its start time tells it from a later
    process with the same number)."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        pid, started = lock.read_text().split()
        return bool(abs(psutil.Process(int(pid)).create_time() - float(started)) < 1)
    return False

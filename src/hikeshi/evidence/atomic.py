"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hikeshi.errors import Location, OutputError


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that a crash or a power cut leaves the old one or the new one, never a part.

    Text is written as UTF-8 with its line ends unchanged. Raises OutputError.
    """
    with atomic_file(path) as out:
        out.write(data.encode("utf-8") if isinstance(data, str) else data)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """The same for what is written piece by piece: the file takes its name when the block ends without an error."""
    try:
        fd, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
        try:
            with open(fd, "wb") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            _same_mode(Path(temporary), path)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"can't be written: {error.strerror}", source=Location(str(path)),
                          hint="free some space, or choose another folder") from error


def _same_mode(temporary: Path, path: Path) -> None:
    """mkstemp makes files private; a result is as readable as other new files, or as the old one was."""
    if os.name != "posix":
        return
    if path.exists():
        mode = path.stat().st_mode & 0o777
    else:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    temporary.chmod(mode)


def _sync_folder(folder: Path) -> None:
    """Without this the new name itself may be lost in a power cut (POSIX only)."""
    if os.name != "posix":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

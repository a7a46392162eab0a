"""Evidence as one tar that is never written anywhere: every byte of it can be made again, from any place on.

Names and times are kept (pax headers); the last member, MANIFEST.jsonl, has name, size, SHA-256 and time of each
file. Planning reads every file once and gives the hash of the whole; sending reads them a second time. A file that
changed in between is told by its name.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hikeshi.errors import InputError, Location

BLOCK = 512
_PIECE = 1 << 20
MANIFEST = "MANIFEST.jsonl"


@dataclass(frozen=True, slots=True)
class Member:
    """One file or folder. `name` is its name in the tar, with forward slashes; `mtime_ns` since the epoch."""

    path: Path
    name: str
    size: int
    mtime_ns: int
    is_folder: bool = False

    @property
    def header(self) -> bytes:
        info = tarfile.TarInfo(self.name)
        info.size, info.mode = self.size, 0o755 if self.is_folder else 0o644
        info.type = tarfile.DIRTYPE if self.is_folder else tarfile.REGTYPE
        # Whole seconds in the old field, the rest in pax: both the same on every run.
        info.mtime = self.mtime_ns // 1_000_000_000
        info.pax_headers = {"mtime": f"{self.mtime_ns // 1_000_000_000}.{self.mtime_ns % 1_000_000_000:09d}"}
        return info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the tar: bytes that are kept here, or a file's content, always followed by nothing else."""

    start: int
    size: int
    data: bytes = b""
    member: Member | None = None


@dataclass(frozen=True, slots=True)
class Pack:
    """The tar as it will be: its size, its SHA-256, its pieces in order."""

    size: int
    sha256: str
    pieces: tuple[Piece, ...]
    files: int

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        """The bytes from `offset` on, at most `length`. Raises InputError when a file is not what it was."""
        end = min(offset + length, self.size)
        for piece in self.pieces:
            begin, stop = max(offset, piece.start), min(end, piece.start + piece.size)
            if begin < stop:
                if piece.member is None:
                    yield piece.data[begin - piece.start:stop - piece.start]
                else:
                    yield from _content(piece.member, begin - piece.start, stop - begin)


def members(sources: Sequence[Path]) -> list[Member]:
    """Every file and folder under the sources, sorted; names begin with the source's own name.

    Links and devices are left out (a link could lead out of the evidence). Raises InputError for what can't be read.
    """
    found: list[Member] = []
    taken: set[str] = set()
    for source in sources:
        base = source.resolve()
        name = base.name or "root"
        number = 1
        while name in taken:
            number += 1
            name = f"{base.name}-{number}"
        taken.add(name)
        found.extend(_walk(base, name))
    return found


def plan(sources: Sequence[Path], advance: Callable[[int], None] = lambda done: None) -> Pack:
    """Reads everything once. `advance` is called with the bytes done so far."""
    digest, pieces, lines = hashlib.sha256(), [], []
    place = done = 0

    def add(data: bytes) -> None:
        nonlocal place
        if data:
            digest.update(data)
            pieces.append(Piece(place, len(data), data))
            place += len(data)

    found = members(sources)
    for member in found:
        add(member.header)
        if member.is_folder:
            continue
        own = hashlib.sha256()
        for block in _content(member, 0, member.size):
            own.update(block)
            digest.update(block)
            done += len(block)
            advance(done)
        pieces.append(Piece(place, member.size, member=member))
        place += member.size
        add(bytes(-member.size % BLOCK))
        lines.append({"name": member.name, "size": member.size, "sha256": own.hexdigest(),
                      "modified": datetime.fromtimestamp(member.mtime_ns / 1e9, UTC).isoformat()})
    manifest = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines).encode()
    newest = max((member.mtime_ns for member in found), default=0)
    add(Member(Path(), MANIFEST, len(manifest), newest).header + manifest + bytes(-len(manifest) % BLOCK + 2 * BLOCK))
    return Pack(place, digest.hexdigest(), tuple(pieces), len(lines))


def _walk(path: Path, name: str) -> Iterator[Member]:
    try:
        told = path.lstat()
        if stat.S_ISREG(told.st_mode):
            yield Member(path, name, told.st_size, told.st_mtime_ns)
        elif stat.S_ISDIR(told.st_mode):
            yield Member(path, name, 0, told.st_mtime_ns, is_folder=True)
            for entry in sorted(path.iterdir()):
                yield from _walk(entry, f"{name}/{entry.name}")
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", source=Location(str(path)),
                         hint="check the rights, or copy the evidence first") from error


def _content(member: Member, start: int, length: int) -> Iterator[bytes]:
    changed = InputError("this file changed while it was read", source=Location(str(member.path)),
                         hint="copy the evidence first and send the copy")
    try:
        with member.path.open("rb") as file:
            told = os.fstat(file.fileno())
            if (told.st_size, told.st_mtime_ns) != (member.size, member.mtime_ns):
                raise changed
            file.seek(start)
            while length:
                block = file.read(min(_PIECE, length))
                if not block:
                    raise changed
                length -= len(block)
                yield block
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", source=Location(str(member.path)),
                         hint="check the rights, or copy the evidence first") from error

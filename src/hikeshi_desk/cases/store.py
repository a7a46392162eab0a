"""The content store: a file lies sealed under the hash of its plain content, and nowhere is a path kept.

EVIDENCE/<first two of sha256>/<sha256>.age, encrypted with age under the key in DATA/evidence-key, so that the
host's virus scanner neither reads nor removes what consultees sent. Complete and on the disk before `keep` returns;
keeping twice is keeping once. OSError is the caller's: a failed fsync is never tried again.

Whoever reads, reads through `open_content` or `materialise`: both compare the content with its hash. Files of an
older desk lie there plain, without the ending; they are read the same way until `reseal` has sealed them.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import pyrage
from django.conf import settings

log = logging.getLogger(__name__)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLOCK = 1 << 16  # age seals in blocks of this size
_STALE_S = 86_400  # a half-written file untouched for so long has nobody behind it


class NotTheSame(ValueError):
    """A file's content is not what its hash or size says."""


class Tampered(NotTheSame):
    """What lies in the store was changed, cut or damaged after it was kept."""


class KeyMissing(RuntimeError):
    """There are sealed files and no key, or not the key they were sealed with."""


def place_of(sha256: str) -> Path:
    """Where the sealed file lies, or would lie."""
    return _plain_place(sha256).with_suffix(".age")


def key_place() -> Path:
    return Path(settings.DATA) / "evidence-key"


def prepare() -> None:
    """At start: the key is there (made once, before any file is sealed) and what was left half-written goes.

    Raises KeyMissing when sealed files lie here without their key: a new one would not open them.
    """
    _identity(key_place())
    old = time.time() - _STALE_S
    for path in Path(settings.EVIDENCE).glob("??/.new-*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < old:
                path.unlink()


def keep(source: Path, sha256: str, size: int) -> Path:
    """The file is in the store when this returns; `source` stays where it is. Raises NotTheSame if it differs."""
    place = place_of(sha256)
    if place.exists() and place.stat().st_size > size:
        return place
    plain = _plain_place(sha256)
    if plain.exists() and not source.exists():
        return plain
    if source.stat().st_size != size:
        raise NotTheSame(f"{sha256[:12]}… has {source.stat().st_size} bytes, not {size}")
    _seal(source, place, sha256)
    return place


def open_content(sha256: str) -> BinaryIO:
    """The plain content as a stream that checks it on the way; FileNotFoundError if it isn't here.

    Every sealed block is authentic before a byte of it is given, and the last block is held back until the hash of
    the whole is right: a reader that meets no error has read exactly what was kept. Raises Tampered from read()
    otherwise, so a file of up to 64 KiB gives nothing at all.
    """
    place = place_of(sha256)
    try:
        sealed = place.open("rb")
    except FileNotFoundError:
        plain = _plain_place(sha256).open("rb")
        return io.BufferedReader(_Checked(plain, sha256, lambda: None), _BLOCK)  # type: ignore[return-value]
    identity = _identity(key_place())
    read, write = os.pipe()
    problems: list[Exception] = []

    def unseal() -> None:
        with sealed, os.fdopen(write, "wb", buffering=0) as out:
            try:
                pyrage.decrypt_io(sealed, out, [identity])
            except Exception as error:  # noqa: BLE001  (the reader's thread raises it again)
                problems.append(error)

    worker = threading.Thread(target=unseal, name=f"unseal-{sha256[:8]}", daemon=True)
    worker.start()

    def finish() -> None:
        worker.join()
        if problems:
            raise _told(problems[0], sha256)

    return io.BufferedReader(_Checked(os.fdopen(read, "rb", buffering=0), sha256, finish), _BLOCK)  # type: ignore


def materialise(sha256: str, target: Path) -> None:
    """The plain content as a file of its own, for a parser that needs to move about in it; its caller removes it.

    It stands under `target` only once it is whole and checked. Raises Tampered, or FileNotFoundError.
    """
    new = target.with_name(f".new-{uuid.uuid4().hex}")
    try:
        handle = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as out, closing(open_content(sha256)) as content:
            while block := content.read(1 << 20):
                out.write(block)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def reseal() -> Iterator[tuple[str, int]]:
    """Seals what lies here plain, one file a step (sha256, bytes). A file that isn't its hash any more stays, logged.

    May be stopped at any time and run while the desk is open.
    """
    for plain in sorted(Path(settings.EVIDENCE).glob("??/*")):
        if not _SHA256.fullmatch(plain.name):
            continue
        size = plain.stat().st_size
        try:
            _seal(plain, place_of(plain.name), plain.name)
        except NotTheSame:
            log.exception("%s is not its content any more; it stays as it is", plain.name)
            continue
        plain.unlink()
        yield plain.name, size


def _plain_place(sha256: str) -> Path:
    if not _SHA256.fullmatch(sha256):
        raise NotTheSame(f"'{sha256[:80]}' is no SHA-256")
    return Path(settings.EVIDENCE) / sha256[:2] / sha256


def _seal(source: Path, place: Path, sha256: str) -> None:
    identity = _identity(key_place())
    folder = place.parent
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)
        sync_folder(folder.parent.parent)
    new = folder / f".new-{uuid.uuid4().hex}"
    try:
        with source.open("rb") as plain, new.open("xb") as out:
            hashing = _Hashing(plain)
            pyrage.encrypt_io(hashing, out, [identity.to_public()])
            if hashing.digest.hexdigest() != sha256:
                raise NotTheSame(f"{sha256[:12]}… has another content")
            out.flush()
            os.fsync(out.fileno())
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(folder)


class _Hashing:
    """A source that is hashed while it is read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source, self.digest = source, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(size)
        self.digest.update(block)
        return block


class _Checked(io.RawIOBase):
    """Gives a source's bytes, one block behind, and the last one only if all of them have the hash."""

    def __init__(self, source: BinaryIO, sha256: str, finish: Callable[[], None]) -> None:
        self._source, self._sha256, self._finish = source, sha256, finish
        self._digest = hashlib.sha256()
        self._ready = self._held = b""
        self._is_whole = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._is_whole:
            self._advance()
        given = self._ready[:len(buffer)]
        buffer[:len(given)] = given
        self._ready = self._ready[len(given):]
        return len(given)

    def close(self) -> None:
        self._source.close()  # ends the thread that fills it
        super().close()

    def _advance(self) -> None:
        block = self._source.read(_BLOCK)
        if block:
            self._digest.update(block)
            self._ready, self._held = self._held, block
            return
        self._finish()
        if self._digest.hexdigest() != self._sha256:
            raise Tampered(f"{self._sha256[:12]}… has another content than was kept")
        self._ready, self._held, self._is_whole = self._held, b"", True


def _told(error: Exception, sha256: str) -> Exception:
    if isinstance(error, OSError) and error.errno is not None:
        return error  # the disk's fault, not the content's
    if "matching keys" in str(error).lower():
        return KeyMissing(f"{sha256[:12]}… was sealed with another key than {key_place().name}")
    return Tampered(f"{sha256[:12]}… was changed after it was kept ({error})")


@cache
def _identity(path: Path) -> Any:
    """The desk's own key, made when there is none yet. It is on the disk before anything is sealed with it."""
    if not path.exists():
        if next(Path(settings.EVIDENCE).glob("??/*.age"), None):
            raise KeyMissing(f"{path} is missing; put it back from the backup. Without it no evidence can be opened")
        _make_key(path)
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        line = next(line for line in lines if line.startswith("AGE-SECRET-KEY-"))
        return pyrage.x25519.Identity.from_str(line.strip())
    except (UnicodeError, StopIteration, pyrage.IdentityError) as error:
        raise KeyMissing(f"{path} is damaged; put it back from the backup") from error


def _make_key(path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    handle = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as out:
            out.write(f"# opens the desk's evidence; keep a copy apart from the evidence's backup\n"
                      f"# public key: {identity.to_public()}\n{identity}\n")
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileExistsError):  # two processes at once: the first one's key is the key
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

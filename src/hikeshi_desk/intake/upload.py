"""Uploads go from the line into SPOOL/incoming: never in memory, hashed on the way, bounded.

The file's name is kept as data; on the disk it has a random one. What no submission took is removed when
the request ends (an upload that was cut off: at the next start).
"""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest

from hikeshi_desk.intake.limits import has_room, limits
from hikeshi_desk.intake.spool import IncomingFile, incoming

MOST_FILES = 20
LOOK_EVERY = 16 << 20  # bytes of a file after which the room is looked at again


def most_bytes() -> int:
    """Of one request; `[limits]` of desk.toml says it, a test's settings.UPLOAD_BYTES before that."""
    return int(getattr(settings, "UPLOAD_BYTES", None) or limits().most_bytes)


class SpooledUpload(UploadedFile):
    """One arrived file. Closing removes it, unless a submission has moved it away."""

    def __init__(self, file: BinaryIO, taken: IncomingFile, content_type: str) -> None:
        super().__init__(file, taken.name, content_type, taken.size)
        self.incoming = taken

    def close(self) -> None:
        super().close()
        self.incoming.path.unlink(missing_ok=True)


class SpoolUploadHandler(FileUploadHandler):
    """Streams into SPOOL/incoming. `problem` is "", "too_large", "too_many" or "disk"."""

    chunk_size = 1 << 20

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self.problem = ""
        self._files = self._bytes = self._announced = self._largest = 0
        self._most = most_bytes()
        self._out: BinaryIO | None = None
        self.file = _Unfinished(self)

    def handle_raw_input(self, input_data: Any, META: dict[str, Any], content_length: int, boundary: bytes,  # noqa: N803
                         encoding: str | None = None) -> None:
        self._announced = content_length

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._files += 1
        if self._files > MOST_FILES:
            self._stop("too_many")
        self._digest, self._size = hashlib.sha256(), 0
        self._look()
        try:
            self._path: Path = incoming() / uuid.uuid4().hex
            self._out = self._path.open("xb+")
        except OSError:
            self._stop("disk")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._bytes += len(raw_data)
        if self._bytes > self._most:
            self._stop("too_large")
        assert self._out is not None
        try:
            self._out.write(raw_data)
        except OSError:
            self._stop("disk")
        self._digest.update(raw_data)
        before, self._size = self._size, self._size + len(raw_data)
        if before // LOOK_EVERY != self._size // LOOK_EVERY:
            self._look()

    def file_complete(self, file_size: int) -> SpooledUpload:
        assert self._out is not None
        try:
            self._out.flush()
        except OSError:
            self._stop("disk")
        self._look()
        out, self._out = self._out, None
        taken = IncomingFile(str(self.file_name), self._path, self._digest.hexdigest(), self._size)
        return SpooledUpload(out, taken, self.content_type or "")

    def upload_interrupted(self) -> None:
        self._drop()

    def _look(self) -> None:
        """Ends it as soon as the rest, or the sealing of the largest file, can't fit; how long each is, nobody says."""
        self._largest = max(self._largest, self._size)
        if not has_room(max(self._announced - self._bytes, 0), self._largest):
            self._stop("disk")

    def _stop(self, problem: str) -> None:
        self.problem = problem
        self._drop()
        raise StopUpload(connection_reset=False)

    def _drop(self) -> None:
        if self._out is not None:
            out, self._out = self._out, None
            with contextlib.suppress(OSError):  # the unwritten rest did not fit either
                out.close()
            self._path.unlink(missing_ok=True)


class _Unfinished:
    """What Django closes when the sender goes away in the middle of a file."""

    def __init__(self, handler: SpoolUploadHandler) -> None:
        self._handler = handler

    def close(self) -> None:
        self._handler.upload_interrupted()


def taken_from(uploads: list[Any]) -> tuple[IncomingFile, ...]:
    return tuple(upload.incoming for upload in uploads if isinstance(upload, SpooledUpload))

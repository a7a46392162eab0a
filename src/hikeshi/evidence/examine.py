"""One pass over a file's bytes: sha256, size, and what they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from hikeshi.errors import LimitExceeded
from hikeshi.evidence.sniff import Sniffed, sniff
from hikeshi.evidence.text import EncodingDetector

_READ = 2**20


@dataclass(frozen=True, slots=True)
class Examined:
    """What one pass found; `size` is the number of bytes that were hashed."""

    sha256: str
    size: int
    sniffed: Sniffed


class Passing:
    """Takes the bytes as they pass by, on their way to disk or to nowhere."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.detector = EncodingDetector()
        self.size = 0

    def update(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.detector.feed(chunk)
        self.size += len(chunk)

    def sha256(self) -> str:
        return self._hash.hexdigest()


def examine(path: Path, limit: int) -> Examined:
    """Hash and recognise a file; raises LimitExceeded before reading if it is larger than `limit`."""
    size = path.stat().st_size
    if size > limit:
        raise LimitExceeded(f"larger than the {limit:,} bytes that are read of one file",
                            hint="raise the limit, or give a part of the file")
    passing = Passing()
    with open(path, "rb", buffering=0) as stream:
        while passing.size <= limit and (chunk := stream.read(_READ)):  # it may be growing
            passing.update(chunk)
    return Examined(passing.sha256(), passing.size, sniff(path, passing.detector))

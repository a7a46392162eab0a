"""A pack from outside becomes the one in use: checked by this version, then installed. For the command and the desk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from hikeshi.knowledge import installed
from hikeshi.knowledge.advice import advice_of
from hikeshi.knowledge.decryptors import decryptors_of
from hikeshi.knowledge.families import families_of
from hikeshi.knowledge.load import Record
from hikeshi.knowledge.pack import PARTS, Pack, read_bytes, read_file
from hikeshi.knowledge.vectors import vectors_of

_READERS: dict[str, Callable[[Iterable[Record]], object]] = {
    "advice": advice_of, "decryptors": decryptors_of, "vectors": vectors_of}


def check(raw: bytes, path: str) -> Pack:
    """A pack that is whole and that this version can use; trust is not asked. Raises KnowledgeError."""
    pack = read_bytes(raw, path)
    families_of(pack)
    for part in PARTS:
        records = list(pack.records(part))
        if part in _READERS:
            _READERS[part](records)
    return pack


def admit(path: Path, *, older: bool = False) -> Pack:
    """Check and install a pack's file. Raises KnowledgeError, OutputError."""
    raw = read_file(path)
    # A signer we don't know is refused before more of it is parsed than its manifest.
    installed.check_trust(read_bytes(raw, str(path)), older=older)
    pack = check(raw, str(path))
    installed.install(raw, pack, older=older)
    return pack

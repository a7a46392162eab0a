"""A file on its way to a person: inside a zip that is encrypted with a password everybody knows.

Neither the browser's nor the receiver's virus scanner sees into it, and nobody opens it by a careless click. The
password is no secret: "infected" is what analysts everywhere use for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO

import pyzipper

PASSWORD = "infected"
_BLOCK = 1 << 18
_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{one}{digit}" for one in ("com", "lpt") for digit in range(10))})
_OLDEST = (1980, 1, 1, 0, 0, 0)  # a zip must say some time; the file's own is not known


def safe_name(name: str) -> str:
    """No folders, no control signs, none that turns the reading direction, nothing that Windows takes for a device."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    plain = "".join("_" if sign in _FORBIDDEN else sign for sign in last if sign.isprintable())
    plain = _shortened(plain).strip(" .") or "file"
    return f"_{plain}" if plain.split(".")[0].strip().casefold() in _DEVICES else plain


def zipped(content: BinaryIO, name: str) -> Iterator[bytes]:
    """The zip, block by block; memory stays flat. If reading fails the zip has no end, and no program opens it.

    The first block is read before anything is given, so that a damaged small file fails at once.
    """
    with closing(content):
        block = content.read(_BLOCK)
        out = _Pieces()
        with pyzipper.AESZipFile(out, "w", compression=pyzipper.ZIP_STORED, encryption=pyzipper.WZ_AES) as archive:
            archive.setpassword(PASSWORD.encode())
            entry = archive.zipinfo_cls(safe_name(name), _OLDEST)
            try:
                with archive.open(entry, "w", force_zip64=True) as file:
                    while block:
                        file.write(block)
                        yield out.taken()
                        block = content.read(_BLOCK)
            except BaseException:
                archive.fp = None  # leaves it without its directory
                raise
        yield out.taken()


class _Pieces:
    """Where the archive is written, and taken away from at once."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _shortened(name: str, most: int = 150) -> str:
    """By signs, with its ending kept: that is what tells an analyst the most."""
    if len(name) <= most:
        return name
    stem, dot, ending = name.rpartition(".")
    return f"{stem[:most - len(ending) - 2]}….{ending}" if dot and len(ending) <= 20 else name[:most]

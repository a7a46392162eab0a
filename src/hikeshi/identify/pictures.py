"""Text in pictures, by Tesseract, where the optional package tesserocr is installed.

It works inside the sandbox child: no program is started. Reading takes a second a picture, so it is done only where
it was asked for (`load`), which `hikeshi identify` does for files given by name.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from hikeshi.model.text import Text

_MAX_PIXELS = 40_000_000
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_WANTED = ("eng", "jpn", "rus", "deu", "chi_sim")

_ABSENT = Text(
    "画像です。文字を読むには追加のパッケージ tesserocr と Pillow が要りますが、入っていません。"
    "文字を書き写して --text で渡してください",
    "a picture. Reading its text needs the optional packages tesserocr and Pillow, which aren't installed; "
    "type the text and pass it with --text",
)
_UNASKED = Text("画像です。文字は読んでいません（このファイルだけを指定すると読みます）",
                "a picture; its text was not read (it is when the file is given by name)")
_UNREADABLE = Text("この画像は読めません", "the picture can't be read")
_TOO_LARGE = Text("画像が大きすぎるため、文字を読んでいません", "the picture is too large; its text was not read")

_asked = False


def is_picture(head: bytes) -> bool:
    return head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def load() -> None:
    """Ask for pictures to be read in this process."""
    global _asked
    _asked = True
    _reader()


@cache
def _reader() -> tuple[Any, Any] | None:
    """(Tesseract, Pillow's Image), or None where they or their languages are not installed."""
    try:
        tesserocr = importlib.import_module("tesserocr")
        image = importlib.import_module("PIL.Image")
        _, there = tesserocr.get_languages()
        languages = [one for one in _WANTED if one in there]
        return (tesserocr.PyTessBaseAPI(lang="+".join(languages)), image) if languages else None
    except (ImportError, OSError, RuntimeError):
        return None


def read_picture(data: bytes) -> str | Text:
    """The text in a picture, or why there is none."""
    import io

    if not _asked:
        return _UNASKED
    found = _reader()
    if found is None:
        return _ABSENT
    tesseract, image = found
    try:
        with image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                return _TOO_LARGE
            tesseract.SetImage(picture.convert("RGB"))
            return str(tesseract.GetUTF8Text())
    except (OSError, ValueError, RuntimeError, SyntaxError, MemoryError, image.DecompressionBombError):
        return _UNREADABLE

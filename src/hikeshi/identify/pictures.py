"""Text in pictures, by Tesseract, where the extra "ocr" (tesserocr and Pillow) and Tesseract's languages are installed.

It works inside the sandbox child: no program is started. Reading takes about a second a picture, so it is done only
where it was asked for (`load`), which `hikeshi identify` does for files given by name. Of a moving picture the first
frame is read. A picture is brought to dark text on light ground, to an upright position and to a size that Tesseract
reads well.
"""

from __future__ import annotations

import importlib
import io
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hikeshi.model.text import Text

MAX_BYTES = 32 * 1024 * 1024
_MAX_PIXELS = 40_000_000
_READ_PIXELS = 12_000_000  # above it a picture is made smaller first
_SMALL_WIDTH = 2000  # below it one is made larger: text on screens has 10 to 16 pixels
_DARK = 110.0  # mean brightness under which the ground is dark
_SECONDS = 20
_TURNS = np.arange(-5.0, 5.01, 0.5)  # degrees
_FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_WANTED = ("jpn", "eng", "rus", "deu", "chi_sim")
_FOLDERS = ("/usr/share/tesseract-ocr/*/tessdata", "/usr/share/tessdata", "/usr/local/share/tessdata",
            "/opt/homebrew/share/tessdata", "C:/Program Files/Tesseract-OCR/tessdata")

_ABSENT = Text(
    "画像です。文字を読むには pip install tesserocr pillow と、言語データ（Debianでは apt-get install tesseract-ocr "
    "tesseract-ocr-jpn）が要ります。または文字を書き写して --text で渡してください",
    "a picture. To read its text: pip install tesserocr pillow, and language data (on Debian: apt-get install "
    "tesseract-ocr tesseract-ocr-jpn). Or type the text and pass it with --text",
)
_UNASKED = Text("画像です。文字は読んでいません（このファイルだけを指定すると読みます）",
                "a picture; its text was not read (it is when the file is given by name)")
_UNREADABLE = Text("この画像は壊れているため読めません", "the picture is damaged and can't be read")
_TOO_LARGE = Text("画像が大きすぎるため、文字を読んでいません", "the picture is too large; its text was not read")
_TOO_LONG = Text("画像の文字を読むのに時間がかかりすぎるため、やめました",
                 "reading the picture's text took too long and was stopped")

_asked = False


def is_picture(head: bytes) -> bool:
    return (head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
            or (head[:2] == b"BM" and head[6:10] == b"\0\0\0\0" and len(head) >= 26))


def load() -> None:
    """Ask for pictures to be read in this process."""
    global _asked
    _asked = True
    _reader()


def is_asked() -> bool:
    return _asked


@cache
def _reader() -> tuple[Any, Any] | None:
    """(tesserocr's reader, Pillow's Image), or None where they are not installed."""
    os.environ.setdefault("OMP_THREAD_LIMIT", "1")  # the children share the cores already
    try:
        tesserocr = importlib.import_module("tesserocr")
        image = importlib.import_module("PIL.Image")
        image.init()  # loads its formats while files may still be read
        for folder in _language_folders():
            there = {path.stem for path in folder.glob("*.traineddata")}
            if languages := "+".join(one for one in _WANTED if one in there):
                return tesserocr.PyTessBaseAPI(path=f"{folder}/", lang=languages), image
    except (ImportError, OSError, RuntimeError):
        pass
    return None


def _language_folders() -> list[Path]:
    """Where language data may lie, the newest version first."""
    named = os.environ.get("TESSDATA_PREFIX")
    found = [Path(named), Path(named) / "tessdata"] if named else []
    for place in _FOLDERS:
        root, star, rest = place.partition("*/")
        found += sorted(Path(root).glob(f"*/{rest}"), reverse=True) if star else [Path(place)]
    return [folder for folder in found if folder.is_dir()]


def read_picture(data: bytes) -> str | Text:
    """The text in a picture, or why there is none."""
    if not _asked:
        return _UNASKED
    found = _reader()
    if found is None:
        return _ABSENT
    tesseract, image = found
    try:
        with image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            # The size stands in the head: a bomb is refused before anything is unpacked.
            if picture.width * picture.height > _MAX_PIXELS:
                return _TOO_LARGE
            tesseract.SetImage(_prepared(picture, image))
            if not tesseract.Recognize(_SECONDS * 1000):
                return _TOO_LONG
            return _joined(str(tesseract.GetUTF8Text()))
    except (OSError, ValueError, RuntimeError, SyntaxError, MemoryError, EOFError, TypeError, IndexError, KeyError,
            OverflowError):
        return _UNREADABLE
    except image.DecompressionBombError:
        return _TOO_LARGE
    finally:
        tesseract.Clear()


def _prepared(picture: Any, image: Any) -> Any:
    """Grey, dark on light, upright, of a readable size."""
    if picture.mode in ("P", "PA", "LA", "RGBA"):
        # What is transparent is shown on white.
        picture = picture.convert("RGBA")
        ground = image.new("RGBA", picture.size, "white")
        ground.alpha_composite(picture)
        picture = ground
    grey = picture.convert("L")
    if grey.width * grey.height > _READ_PIXELS:
        share = (_READ_PIXELS / (grey.width * grey.height)) ** 0.5
        grey = grey.resize((max(1, int(grey.width * share)), max(1, int(grey.height * share))))
    elif grey.width < _SMALL_WIDTH and grey.width * grey.height * 4 <= _READ_PIXELS:
        grey = grey.resize((grey.width * 2, grey.height * 2), image.Resampling.BICUBIC)
    if float(np.asarray(grey).mean()) < _DARK:
        grey = grey.point(lambda value: 255 - value)
    turn = _skew(grey, image)
    return grey.rotate(turn, image.Resampling.BICUBIC, fillcolor=255) if turn else grey


def _skew(grey: Any, image: Any) -> float:
    """By how many degrees to turn the picture so that its lines lie flat: then rows differ most from each other."""
    small = grey.resize((800, max(1, round(grey.height * 800 / grey.width)))) if grey.width > 800 else grey
    if small.height > 2400 or small.height < 40:
        return 0.0
    ink = small.point(lambda value: 255 if value < 128 else 0)

    def sharpness(turn: float) -> float:
        rows = np.asarray(ink.rotate(turn, image.Resampling.NEAREST, fillcolor=0), dtype=np.float64).sum(axis=1)
        return float(np.square(np.diff(rows)).sum())

    best = max(_TURNS, key=sharpness)
    return float(best) if sharpness(float(best)) > 1.1 * sharpness(0.0) else 0.0


def _joined(text: str) -> str:
    """Without the blanks that the reader puts between Japanese or Chinese signs."""
    return re.sub(r"(?<=[\u3000-\u30ff\u4e00-\u9fff\uff01-\uff9f]) (?=[\u3000-\u30ff\u4e00-\u9fff\uff01-\uff9f])", "",
                  text)

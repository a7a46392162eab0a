"""Names inside archives: data to show, never paths to open.

A name is decoded as well as its bytes allow, made harmless to look at (control characters and
text-direction marks become visible tokens), and never used to create anything.
"""

from __future__ import annotations

import unicodedata
import zlib

LONGEST = 1024


def decode_name(raw: bytes, *, utf8_flag: bool = False, extra: bytes = b"") -> str:
    """The name as its maker meant it: Unicode field, UTF-8, Shift_JIS, or cp437, whichever fits."""
    told = _unicode_field(raw, extra)
    if told is not None:
        return told
    # Windows archivers in Japan write cp932 without saying so; macOS writes UTF-8 without saying so.
    for codec in ("utf-8", "cp932") if not raw.isascii() or utf8_flag else ("ascii",):
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            continue
    return raw.decode("cp437")


def _unicode_field(raw: bytes, extra: bytes) -> str | None:
    """Info-ZIP's field 0x7075, if it belongs to this name."""
    while len(extra) >= 4:
        kind, length = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        body, extra = extra[4:4 + length], extra[4 + length:]
        if kind == 0x7075 and body[:5] == b"\1" + zlib.crc32(raw).to_bytes(4, "little"):
            try:
                return body[5:].decode("utf-8")
            except UnicodeDecodeError:
                return None
    return None


def shown(name: str) -> str:
    """The name for people: one line, no invisible or direction-changing characters, not too long."""
    out = "".join(c if _harmless(c) else f"<U+{ord(c):04X}>" for c in name)
    return out if len(out) <= LONGEST else out[:LONGEST - 20] + f"...({len(out)})"


def _harmless(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] not in "CZ" or char == "\u3000"


def with_slashes(name: str) -> str:
    """Backslashes as separators become slashes (some Windows archivers write them)."""
    return name if "/" in name else name.replace("\\", "/")


def points_outside(name: str) -> bool:
    """Whether unpacking under this name would leave the folder."""
    plain = name.replace("\\", "/")
    return plain.startswith("/") or plain[1:2] == ":" or ".." in plain.split("/")

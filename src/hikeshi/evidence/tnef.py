"""winmail.dat: the files that Outlook packs away from everybody else.

Read are the names and contents of attached files and the body: plain, or the compressed RTF with the text or
the HTML inside it. Source: [MS-OXTNEF], [MS-OXPROPS].
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hikeshi.evidence import rtf
from hikeshi.evidence.mail_html import html_to_text
from hikeshi.evidence.mail_text import decode, one_line

MAGIC = b"\x78\x9f\x3e\x22"
_LONG_NAME, _DISPLAY_NAME, _RTF = 0x3707, 0x3001, 0x1009
_FIXED = {0x0002: 4, 0x0003: 4, 0x0004: 4, 0x0005: 8, 0x0006: 8, 0x0007: 8, 0x000A: 4, 0x000B: 4, 0x0014: 8,
          0x0040: 8, 0x0048: 16}
_MOST_FILES, _MOST_PROPERTIES = 200, 2000


@dataclass(slots=True)
class Packed:
    """What was found; `complete` is False if something in it could not be read. `rtf` is the compressed body."""

    files: list[tuple[str, bytes]] = field(default_factory=list)
    body: str = ""
    rtf: bytes = b""
    complete: bool = True


def read_tnef(data: bytes) -> Packed:
    """The content of a winmail.dat; never raises on its account."""
    out = Packed()
    if not data.startswith(MAGIC):
        out.complete = False
        return out
    charset, name, content, at = "cp932", "", b"", 6
    begun = False

    def keep() -> None:
        nonlocal name, content, begun
        if begun and (name or content):
            out.files.append((one_line(name), content))
        name, content, begun = "", b"", False

    while at + 9 <= len(data) and len(out.files) < _MOST_FILES:
        level, kind, length = data[at], *struct.unpack_from("<II", data, at + 1)
        body = data[at + 9:at + 9 + length]
        if level not in (1, 2) or at + 9 + length + 2 > len(data):
            out.complete = False
            break
        at += 9 + length + 2
        match kind & 0xFFFF:
            case 0x9007 if length >= 4:
                charset = f"cp{struct.unpack_from('<I', body)[0]}"
            case 0x800C:
                out.body = decode(body.rstrip(b"\0"), charset).text
            case 0x9003:
                _properties(body, charset, out)
            case 0x9002:
                keep()
                begun = True
            case 0x8010:
                begun, name = True, name or decode(body.rstrip(b"\0"), charset).text
            case 0x800F:
                begun, content = True, body
            case 0x9005:
                found = _properties(body, charset, out)
                name = found.get(_LONG_NAME) or name or found.get(_DISPLAY_NAME, "")
    else:
        out.complete = out.complete and at >= len(data)
    keep()
    if out.rtf and not out.body.strip():
        _read_rtf(out)
    return out


def _read_rtf(out: Packed) -> None:
    try:
        rich = rtf.read_rtf(rtf.decompress(out.rtf))
    except rtf.Damaged:
        out.complete = False
        return
    out.body = (html_to_text(rich.text) if rich.is_html else rich.text).strip()
    out.complete = out.complete and rich.complete and bool(out.body)


def _properties(data: bytes, charset: str, out: Packed) -> dict[int, str]:
    """MAPI properties by id; text ones as text, others as ""."""
    found: dict[int, str] = {}
    try:
        (count,) = struct.unpack_from("<I", data)
        at = 4
        for _ in range(min(count, _MOST_PROPERTIES)):
            kind, number = struct.unpack_from("<HH", data, at)
            at += 4
            if number >= 0x8000:
                at = _skip_name(data, at)
            values = 1
            if kind & 0x1000 or kind & 0xFFF in (0x001E, 0x001F, 0x0102, 0x000D):
                (values,) = struct.unpack_from("<I", data, at)
                at += 4
            kind &= 0xFFF
            if values > _MOST_PROPERTIES:
                raise struct.error
            for _ in range(values):
                if kind in _FIXED:
                    at += _FIXED[kind]
                    found.setdefault(number, "")
                    continue
                (size,) = struct.unpack_from("<I", data, at)
                value = data[at + 4:at + 4 + size]
                at += 4 + (size + 3) // 4 * 4
                if kind == 0x001E:
                    found[number] = decode(value.rstrip(b"\0"), charset).text
                elif kind == 0x001F:
                    found[number] = value.decode("utf-16-le", "replace").rstrip("\0")
                else:
                    found.setdefault(number, "")
                    if number == _RTF:
                        out.rtf = value
    except struct.error:
        out.complete = False
    return found


def _skip_name(data: bytes, at: int) -> int:
    (by_text,) = struct.unpack_from("<I", data, at + 16)
    if not by_text:
        return at + 24
    (size,) = struct.unpack_from("<I", data, at + 20)
    return at + 24 + (int(size) + 3) // 4 * 4

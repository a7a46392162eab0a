"""Rich text as Outlook packs it: decompressed (LZFu) and read as text or as the HTML inside it.

Only what people read is kept: no pictures, no objects, no fields' instructions. Every loop is bounded by the
input or by MOST_BYTES. Source: [MS-OXRTFCP], [MS-OXRTFEX], the RTF 1.9.1 specification.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import NamedTuple

from hikeshi.evidence.mail_text import decode

MOST_BYTES = 8 * 2**20
_MOST_DEPTH = 500
_START = (rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
          rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0" b"\r\n"
          rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx")
_TOKEN = re.compile(
    rb"\\'([0-9a-fA-F]{2})|\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\(.)|([{}])|[\r\n]+|([^\\{}\r\n]+)|\\", re.S)
_CODE_PAGES = {0: 1252, 128: 932, 129: 949, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255, 178: 1256,
               186: 1257, 204: 1251, 222: 874, 238: 1250}
_SKIPPED = frozenset((b"fonttbl", b"colortbl", b"stylesheet", b"info", b"pict", b"object", b"themedata", b"fldinst",
                      b"filetbl", b"listtable", b"listoverridetable", b"rsidtbl", b"generator", b"xmlnstbl", b"mmath",
                      b"header", b"footer", b"datastore", b"latentstyles", b"colorschememapping", b"bkmkstart",
                      b"bkmkend", b"pntext", b"mhtmltag"))
_SIGNS = {b"par": "\n", b"line": "\n", b"row": "\n", b"sect": "\n", b"page": "\n", b"tab": "\t", b"cell": "\t",
          b"emdash": "—", b"endash": "–", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”",
          b"bullet": "•", b"emspace": " ", b"enspace": " "}


class Rich(NamedTuple):
    """`is_html`: the text is the HTML that the sender wrote. `complete` is False where something was cut or damaged."""

    text: str
    is_html: bool
    complete: bool


class Damaged(ValueError):
    """The compressed bytes can't be read; the text says why."""


def decompress(data: bytes) -> bytes:
    """The RTF inside PidTagRtfCompressed. Raises Damaged: header, size, checksum, cut off, too large."""
    if len(data) < 16:
        raise Damaged("the header is cut off")
    packed_size, size, kind, checksum = struct.unpack_from("<II4sI", data)
    if packed_size + 4 > len(data) or packed_size < 12:
        raise Damaged("the size does not fit")
    if size > MOST_BYTES:
        raise Damaged(f"it would have {size:,} bytes")
    body = data[16:packed_size + 4]
    if kind == b"MELA":
        if len(body) < size:
            raise Damaged("it is cut off")
        return body[:size]
    if kind != b"LZFu":
        raise Damaged("the compression is unknown")
    # The published checksum is CRC-32 without its two inversions.
    if zlib.crc32(body, 0xFFFFFFFF) ^ 0xFFFFFFFF != checksum:
        raise Damaged("the checksum does not fit")
    return _unpack(body, size)


def _unpack(body: bytes, size: int) -> bytes:
    """LZ77 over a ring of 4,096 bytes that begins with common RTF words."""
    ring = bytearray(4096)
    ring[:len(_START)] = _START
    write, out, at = len(_START), bytearray(), 0
    while at < len(body):
        control = body[at]
        at += 1
        for bit in range(8):
            if not control >> bit & 1:
                if at >= len(body):
                    return _sized(out, size)
                out.append(body[at])
                ring[write] = body[at]
                write, at = (write + 1) % 4096, at + 1
            else:
                if at + 2 > len(body):
                    return _sized(out, size)
                word = body[at] << 8 | body[at + 1]
                at, offset, length = at + 2, word >> 4, (word & 15) + 2
                if offset == write:
                    return _sized(out, size)
                for step in range(length):
                    byte = ring[(offset + step) % 4096]
                    out.append(byte)
                    ring[write] = byte
                    write = (write + 1) % 4096
            if len(out) > size + 4096:
                raise Damaged("it has more bytes than it says")
    return _sized(out, size)


def _sized(out: bytearray, size: int) -> bytes:
    if len(out) < size:
        raise Damaged("it is cut off")
    return bytes(out[:size])


class _Reader:
    """The state of RTF: groups inherit, so each group is a row on a stack."""

    def __init__(self, data: bytes) -> None:
        self.data = data[:MOST_BYTES]
        self.is_html = b"\\fromhtml" in data[:2000]
        self.page, self.fonts, self.font = 1252, {}, -1  # type: int, dict[int, int], int
        self.skip = self.in_fonts = self.in_tag = self.hidden = False
        self.unicode_skip, self.to_skip = 1, 0
        self.stack: list[tuple[bool, bool, bool, bool, int, int]] = []
        self.out: list[str] = []
        self.bytes, self.high = bytearray(), 0
        self.complete = True

    def read(self) -> Rich:
        star, at = False, 0
        while found := _TOKEN.match(self.data, at):
            at = found.end()
            code, word, number, sign, brace, plain = found.groups()
            if brace:
                self._flush()
                star = False
                if not self._brace(brace):
                    break
            elif word == b"bin" and number:
                at += max(0, int(number))  # raw bytes of a picture or object, whatever they look like
                self.complete = self.complete and at <= len(self.data)
            elif word:
                self._word(word.lower(), int(number) if number else None, star)
                star = False
            elif code:
                self._byte(bytes((int(code, 16),)))
            elif sign:
                star = sign == b"*"
                if sign in b"\\{}":
                    self._byte(sign)
                elif sign in b"~_":
                    self._say("\u00a0" if sign == b"~" else "-")
                elif sign in b"\r\n":
                    self._say("\n")
            elif plain:
                self._byte(plain)
        self._flush()
        self.complete = self.complete and not self.stack
        return Rich("".join(self.out).replace("\0", ""), self.is_html, self.complete)

    def _brace(self, brace: bytes) -> bool:
        if brace == b"{":
            if len(self.stack) >= _MOST_DEPTH:
                self.complete = False
                return False
            self.stack.append((self.skip, self.in_fonts, self.in_tag, self.hidden, self.font, self.unicode_skip))
        elif self.stack:
            self.skip, self.in_fonts, self.in_tag, self.hidden, self.font, self.unicode_skip = self.stack.pop()
        self.to_skip = 0
        return True

    def _word(self, word: bytes, number: int | None, star: bool) -> None:
        if word == b"u" and number is not None:
            self._unicode(number)
            return
        if self.to_skip and word in _SIGNS:
            self.to_skip -= 1
            return
        if word == b"f" and number is not None:
            self._flush()
            self.font = number
        elif word == b"fcharset" and self.in_fonts and number in _CODE_PAGES:
            self.fonts[self.font] = _CODE_PAGES[number]
        elif word == b"cpg" and self.in_fonts and number is not None:
            self.fonts[self.font] = number
        elif word == b"ansicpg" and number is not None:
            self.page = number
        elif word == b"uc" and number is not None:
            self.unicode_skip = max(0, min(number, 10))
        elif word == b"htmltag":
            self.in_tag = self.is_html
            self.skip = not self.is_html
        elif word == b"htmlrtf":
            self._flush()
            self.hidden = self.is_html and number != 0
        elif word in _SKIPPED or star:
            self._flush()
            self.skip, self.in_fonts = True, word == b"fonttbl"
        elif word in _SIGNS:
            self._say(_SIGNS[word])

    def _unicode(self, number: int) -> None:
        self._flush()
        self.to_skip = self.unicode_skip
        unit = number & 0xFFFF
        if 0xD800 <= unit < 0xDC00:
            self.high = unit
            return
        if 0xDC00 <= unit < 0xE000:
            sign = chr(0x10000 + (self.high - 0xD800 << 10) + unit - 0xDC00) if self.high else "\ufffd"
        else:
            sign = chr(unit)
        self.high = 0
        self._put(sign)

    def _byte(self, raw: bytes) -> None:
        if self.to_skip:
            taken = min(self.to_skip, len(raw))
            self.to_skip -= taken
            raw = raw[taken:]
        if raw and not (self.skip or self.hidden):
            self.bytes += raw

    def _say(self, words: str) -> None:
        self._flush()
        self._put(words)

    def _put(self, words: str) -> None:
        if not (self.skip or self.hidden):
            self.out.append(words)

    def _flush(self) -> None:
        if self.bytes:
            page = self.fonts.get(self.font, self.page)
            self.out.append(decode(bytes(self.bytes), "cp1252" if page == 1252 else f"cp{page}").text)
            self.bytes.clear()


def read_rtf(data: bytes) -> Rich:
    """The words of an RTF document; never raises on its account."""
    if not data.lstrip().startswith(b"{\\rtf"):
        return Rich("", False, False)
    return _Reader(data).read()

"""Turn the bytes of a possible note into text, whatever form it came in.

UTF-8, UTF-16 with and without a mark, CP932, CP1251 and Latin-1; HTML, HTA and RTF are reduced to
what a reader sees plus the link targets. Line numbers stay those of the file. Hostile input costs
linear time: every stripper is one pass, and only the first megabyte is read.
"""

from __future__ import annotations

import bisect
import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hikeshi.indicators.refang import refang
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text

MAX_BYTES = 1024 * 1024

# Ends a line for the reader of a page or document without ending one in the file, so that line
# numbers in reasons stay those of the file.
SOFT_BREAK = "\v"

# ASCII, Latin letters, Greek, Cyrillic, general punctuation, signs to draw with, kana, CJK, Hangul, full-width forms.
_WRITTEN = re.compile(
    "[\t\n\r\x20-\x7e\xa1-\u024f\u0370-\u04ff\u2010-\u203b\u2500-\u28ff\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff9f]"
)
_JOINTS = re.compile("[\t\n\r \u3000-\u3002\u3040-\u30ff]")
_QUOTED = re.compile(r"^(?:[ \t]{0,3}[>|][ \t]?){1,6}", re.M)
Unit = Literal["line", "paragraph", "page", "mail line"]
PAGE_BREAK = "\f"
_PLACES = {
    "line": ("{}行目", "line {}"), "paragraph": ("{}段落目", "paragraph {}"), "page": ("{}ページ", "page {}"),
    "mail line": ("メール本文の{}行目", "line {} of the mail"),
}
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")


@dataclass(frozen=True, slots=True)
class NoteText:
    """Readable text with its line starts; `form` is text, html, rtf, docx, odt, pdf, mail, msg or picture; `cut` when
    only the start was read. `unit` is what `starts` counts: lines of the file, or a document's own units."""

    text: str
    encoding: str
    form: str
    cut: bool
    starts: tuple[int, ...]
    unit: Unit = "line"

    def line_of(self, offset: int) -> int:
        return bisect.bisect_right(self.starts, offset)

    def place_of(self, offset: int) -> Text:
        """Where this stands, in words: "line 3", "page 2"."""
        ja, en = _PLACES[self.unit]
        return Text(ja.format(self.line_of(offset)), en.format(self.line_of(offset)))

    def record(self, path: str, sha256: str, offset: int) -> RecordRef:
        """The record of this place; a document's paragraphs and pages are no lines of its file."""
        return RecordRef(path, sha256, line=self.line_of(offset) if self.unit == "line" else None)


def read_note(data: bytes) -> NoteText | None:
    """The text of these bytes, or None where they are not text."""
    cut = len(data) > MAX_BYTES
    decoded = decode(data[:MAX_BYTES])
    if decoded is None:
        return None
    raw, encoding = decoded
    form = form_of(raw)
    shown = _strip_html(raw) if form == "html" else _strip_rtf(raw) if form == "rtf" else raw
    return _note(shown, encoding, form, cut, "line")


def document_note(text: str, form: str, unit: Unit, *, cut: bool = False) -> NoteText:
    """The same for the text of a document; with the unit "page" a form feed ends each page."""
    return _note(text[:MAX_BYTES], "utf-8", form, cut or len(text) > MAX_BYTES, unit)


def _note(shown: str, encoding: str, form: str, cut: bool, unit: Unit) -> NoteText:
    text = refang(_normalise(shown)).text
    starts = (0, *(found.end() for found in re.finditer(PAGE_BREAK if unit == "page" else "\n", text)))
    return NoteText(text, encoding, form, cut, starts, unit)


def note_from_text(text: str) -> NoteText:
    """The same for text already decoded."""
    read = read_note(text.encode("utf-8", "replace"))
    return read if read is not None else NoteText("", "utf-8", "text", False, (0,))


def decode(data: bytes) -> tuple[str, str] | None:
    """Text and the name of its encoding, or None for what isn't text."""
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:].decode("utf-8", "replace"), "utf-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16-le" if data[0] == 0xFF else "utf-16-be"
        return data[2:].decode(encoding, "replace"), encoding
    wide = _utf16_without_mark(data)
    if wide:
        return data[: len(data) & ~1].decode(wide, "replace"), wide
    if _looks_binary(data):
        return None
    data = re.sub(rb"\0+", b" ", data)
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        # A cut in the middle of a character is no reason to doubt the rest.
        if error.start >= len(data) - 4:
            return data[: error.start].decode("utf-8"), "utf-8"
    return _decode_legacy(data)


def form_of(raw: str) -> str:
    head = raw[:4096].lstrip()
    if head.startswith("{\\rtf"):
        return "rtf"
    if re.search(r"<(?:!doctype|html|head|body|hta:|div|table|style|script)\b", head, re.I):
        return "html"
    return "text"


def _utf16_without_mark(data: bytes) -> str | None:
    sample = data[:4096]
    if len(sample) < 8:
        return None
    even, odd = sample[0::2], sample[1::2]
    for encoding, high, low in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if high.count(0) > len(high) * 0.55 and low.count(0) < len(low) * 0.05:
            return encoding
    # Japanese or Russian text holds few zero bytes. What reads as UTF-8 is UTF-8; else nearly every
    # sign must belong to a script that people write in, and some to its spaces and line ends.
    try:
        sample.decode("utf-8")
        valid = True
    except UnicodeDecodeError as error:
        valid = error.start >= len(sample) - 4
    if valid and not _looks_binary(data):
        return None
    for encoding in ("utf-16-le", "utf-16-be"):
        text = sample[: len(sample) & ~1].decode(encoding, "replace")
        written, joints = len(_WRITTEN.findall(text)), len(_JOINTS.findall(text))
        if written >= len(text) * 0.97 and joints >= len(text) * 0.04:
            return encoding
    return None


def _looks_binary(data: bytes) -> bool:
    # Notes written from a fixed buffer drag zero bytes along: a run or two don't make a text binary.
    sample = data[:16384]
    if len(re.findall(rb"\0+", sample)) > 8:
        return True
    shown = sample.replace(b"\0", b"")
    control = sum(shown.count(c) for c in range(32) if c not in (9, 10, 12, 13, 27))
    return control > len(shown) * 0.02 or (not shown and bool(sample))


def _decode_legacy(data: bytes) -> tuple[str, str] | None:
    """Japanese, Russian or Western single-byte text, by what comes out of decoding."""
    high = sum(1 for byte in data[:8192] if byte >= 0x80)
    try:
        text = data.decode("cp932")
        kana = sum(1 for c in text[:8192] if "\u3040" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff")
        half = sum(1 for c in text[:8192] if "\uff61" <= c <= "\uff9f")
        if kana > half and kana * 3 >= high:
            return text, "cp932"
    except UnicodeDecodeError:
        pass
    sample = data[:8192]
    if high > len(sample) * 0.9:
        return None
    letters = sum(1 for byte in sample if byte >= 0xC0)
    if letters > len(sample) * 0.3:
        return data.decode("cp1251", "replace"), "cp1251"
    if high > len(sample) * 0.3:
        return None
    return data.decode("latin-1"), "latin-1"


def _normalise(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _INVISIBLE.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _QUOTED.sub("", text)


def _strip_html(raw: str) -> str:
    """Text between tags and the targets of links; scripts and styles vanish, line breaks stay."""
    return html.unescape("".join(_html_pieces(raw)))


def _html_pieces(raw: str) -> Iterator[str]:
    position, lower = 0, raw.lower()
    while True:
        tag = raw.find("<", position)
        if tag < 0:
            yield raw[position:]
            return
        yield raw[position:tag]
        end = _tag_end(raw, tag)
        if lower.startswith("<!--", tag):
            close = raw.find("-->", tag + 4)
            end = len(raw) if close < 0 else close + 3
            yield "\n" * raw.count("\n", tag, end)
        elif lower.startswith(("<script", "<style"), tag):
            name = "</script" if lower.startswith("<script", tag) else "</style"
            close = lower.find(name, end)
            end = len(raw) if close < 0 else _tag_end(raw, close)
            yield "\n" * raw.count("\n", tag, end)
        else:
            yield _tag_text(raw[tag:end])
        position = end


def _tag_end(raw: str, tag: int) -> int:
    close = raw.find(">", tag)
    return len(raw) if close < 0 else close + 1


def _tag_text(tag: str) -> str:
    """What a tag means to a reader: its link target, and its line breaks. Inline tags join their words."""
    lines = "\n" * tag.count("\n")
    link = re.search(r"""(?:href|value|content)\s{0,4}=\s{0,4}["']?(?:mailto:)?([^"'\s>]{5,300})""", tag[:2000], re.I)
    if link and ("@" in link[1] or "." in link[1]):
        return f" {link[1]} {lines}"
    inline = re.match(r"</?(?:b|i|u|a|em|strong|span|font|code|tt|small|big|wbr|sup|sub)\b", tag, re.I)
    return lines or ("" if inline else SOFT_BREAK)


_RTF_TOKEN = re.compile(
    r"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-f]{2})|\\([^a-z])|([{}])|([^\\{}]+)|(.)", re.I | re.S
)
_RTF_SKIPPED = frozenset(
    {"fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "themedata", "datastore", "listtable"}
)


def _strip_rtf(raw: str) -> str:
    """The visible text of an RTF document; nested groups are counted, never recursed into."""
    pieces: list[str] = []
    stack: list[bool] = []
    skipped, unicode_skip = False, 0
    for token in _RTF_TOKEN.finditer(raw):
        word, number, byte, symbol, brace, plain = token[1], token[2], token[3], token[4], token[5], token[6]
        pieces.append("\n" * token[0].count("\n"))
        if brace == "{":
            stack.append(skipped)
            if len(stack) > 2000:
                break
        elif brace == "}":
            skipped = stack.pop() if stack else False
        elif word in _RTF_SKIPPED or symbol == "*":
            skipped = True
        elif skipped:
            continue
        elif word in ("par", "line", "tab", "cell", "row"):
            pieces.append(SOFT_BREAK)
        elif word == "u" and number:
            pieces.append(chr(int(number) & 0xFFFF) if not 0xD800 <= int(number) & 0xFFFF <= 0xDFFF else "")
            unicode_skip = 1
        elif byte and not unicode_skip:
            pieces.append(bytes([int(byte, 16)]).decode("cp1252", "replace"))
        elif symbol in ("\\", "{", "}"):
            pieces.append(symbol)
        elif symbol == "~":
            pieces.append(" ")
        elif plain:
            pieces.append(plain[unicode_skip:].replace("\r", "").replace("\n", ""))
            unicode_skip = 0
        if byte:
            unicode_skip = 0
    return "".join(pieces)

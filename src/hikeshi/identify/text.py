"""Turn the bytes of a possible note into text, whatever form it came in.

UTF-8, UTF-16 and UTF-32 with and without a mark, code pages of Japanese, Chinese, Korean, Russian, Arabic and Western
text; HTML, HTA and RTF are reduced to what a reader sees plus the link targets; where a script writes the page, to the
script's sentences. Line numbers stay those of the file, of RTF its paragraphs. Hostile input costs linear time: every
stripper is one pass, and only the first megabyte is read.
"""

from __future__ import annotations

import bisect
import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hikeshi.evidence.rtf import read_rtf
from hikeshi.indicators.refang import refang
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text

MAX_BYTES = 1024 * 1024

# Ends a line for the reader of a page or document without ending one in the file, so that line
# numbers in reasons stay those of the file.
SOFT_BREAK = "\v"

# ASCII, Latin letters, Greek, Cyrillic, Hebrew, Arabic, Thai, general punctuation, signs to draw with, kana, CJK,
# Hangul, full-width forms.
_WRITTEN = re.compile(
    "[\t\n\r\x20-\x7e\xa1-\u024f\u0370-\u04ff\u05b0-\u06ff\u0e00-\u0e7f\u2010-\u203b\u2500-\u28ff"
    "\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff9f]"
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
    if form == "rtf":
        rich = read_rtf(data[:MAX_BYTES])
        return _note(_strip_html(rich.text) if rich.is_html else rich.text, encoding, form, cut, "paragraph")
    return _note(_strip_html(raw) if form == "html" else raw, encoding, form, cut, "line")


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
    for mark, encoding in ((b"\xff\xfe\0\0", "utf-32-le"), (b"\0\0\xfe\xff", "utf-32-be")):
        if data.startswith(mark):
            return data[4:].decode(encoding, "replace"), encoding
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16-le" if data[0] == 0xFF else "utf-16-be"
        return data[2:].decode(encoding, "replace"), encoding
    if widest := _utf32_without_mark(data):
        return data[: len(data) & ~3].decode(widest, "replace"), widest
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


def _utf32_without_mark(data: bytes) -> str | None:
    """Two of four bytes are always zero, the same two in every sign of the usual planes."""
    sample = data[: min(len(data) & ~3, 4096)]
    if len(sample) < 16:
        return None
    for encoding, zeros in (("utf-32-le", (2, 3)), ("utf-32-be", (0, 1))):
        lowest = sample[3 if encoding == "utf-32-be" else 0 :: 4]
        if all(sample[at::4].count(0) >= len(lowest) * 0.95 for at in zeros) and lowest.count(0) <= len(lowest) * 0.1:
            return encoding
    return None


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
    """Text of a code page: the one that gives the most signs that its language uses all the time."""
    sample = data[:8192]
    high = sum(1 for byte in sample if byte >= 0x80)
    if high < 1.6 * len(re.findall(rb"[\x80-\xff]+", sample)) and high <= len(sample) * 0.3:
        return data.decode("latin-1"), "latin-1"  # accents stand alone within words
    best, found = 0.0, ""
    for encoding, (frequent, share) in _CODE_PAGES.items():
        shown = _strict(sample, encoding)
        if shown is None:
            continue
        foreign = [sign for sign in shown if sign >= "\x80"]
        hits = sum(sign in frequent for sign in foreign)
        if foreign and hits / len(foreign) / share > best:
            best, found = hits / len(foreign) / share, encoding
    if best >= _PLAUSIBLE:
        return data.decode(found, "replace"), found
    return (data.decode("latin-1"), "latin-1") if high <= len(sample) * 0.3 else None


def _strict(sample: bytes, encoding: str) -> str | None:
    """The sample in this encoding, or None; a sign cut at its end is no fault."""
    try:
        return sample.decode(encoding)
    except UnicodeDecodeError as error:
        return sample[:error.start].decode(encoding) if error.start >= len(sample) - 4 else None


def _signs(first: str, last: str) -> frozenset[str]:
    return frozenset(map(chr, range(ord(first), ord(last) + 1)))


_KANA = _signs("ぁ", "ヶ") | frozenset("ー、。・「」　！？日本人年大月一用連絡先支払公開暗号化復金身代情報場合全")
_COMMON_ZH = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家事成方多经去法"
    "如都同现当没动面起看定天分还进小部其些主样心本前开但因只从想实者意无力它与长把机全又关点正外将两间由问很最重并物手文被利什等"
    "您文件加密支付比特币联系公开数据解如果所有已请我们，。：！？、（）")
_COMMON_TW = frozenset(
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家事成方多經去法"
    "如都同現當沒動面起看定天分還進小部其些主樣心本前開但因只從想實者意無力它與長把機全又關點正外將兩間由問很最重並物手文被利什等"
    "您檔案加密支付比特幣聯絡公開資料解如果所有已請我們，。：！？、（）")
_COMMON_KO = frozenset(
    "이다의에는을를로고하가지한은기사도리시자일해인스니어아정전대나서부수보그구제라상만장조주여들과으면데우내터성오있습요화개암호복"
    "비트코파결락처모든되귀연불않공신당회용안없것할합게")
_COMMON_RU = frozenset("оеаинтсрвлкмдпуяыьзбг")
_COMMON_AR = frozenset("ابتنليموردكهعفقسحةأإجشطصىخء،")
# What makes a text of this language in a code page: its most frequent signs, and which share of all they usually are.
_CODE_PAGES: dict[str, tuple[frozenset[str], float]] = {
    "cp932": (_KANA, 0.6), "euc_jp": (_KANA, 0.6), "gb18030": (_COMMON_ZH, 0.5), "big5": (_COMMON_TW, 0.5),
    "cp949": (_COMMON_KO, 0.6), "cp1251": (_COMMON_RU, 0.85), "koi8_r": (_COMMON_RU, 0.85), "cp866": (_COMMON_RU, 0.85),
    "cp1256": (_COMMON_AR, 0.85), "iso8859_6": (_COMMON_AR, 0.85),
}
_PLAUSIBLE = 0.7  # of that share


def _normalise(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _INVISIBLE.sub("", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _QUOTED.sub("", text)


_WRITTEN_BY_SCRIPT = 200  # letters of a page under which its scripts are asked
_STRING = re.compile(
    r""""((?:[^"\\\n]|\\.){12,20000})"|'((?:[^'\\\n]|\\.){12,20000})'|fromCharCode\(([\d,\s]{12,60000})\)""")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|%u([0-9a-fA-F]{4})|%([0-9a-fA-F]{2})|\\[nrt]")


def _strip_html(raw: str) -> str:
    """Text between tags and the targets of links; scripts and styles vanish, line breaks stay."""
    shown = html.unescape("".join(_html_pieces(raw)))
    if sum(map(str.isalpha, shown)) < _WRITTEN_BY_SCRIPT and "<script" in raw.lower():
        shown += SOFT_BREAK + _script_sentences(raw)
    return shown


def _script_sentences(raw: str) -> str:
    """What the scripts of a page may write: their longer strings, with the usual ways of hiding them undone once."""
    code = "\n".join(found[1] for found in re.finditer(r"(?is)<script\b[^>]{0,500}>(.*?)(?:</script|\Z)", raw))
    pieces = []
    for found in _STRING.finditer(code):
        if found[3] is not None:
            words = "".join(chr(int(n)) for n in re.findall(r"\d{1,6}", found[3]) if int(n) < 0x110000)
        else:
            words = _ESCAPE.sub(_unescaped, found[1] or found[2] or "")
        pieces.append(words if "<" not in words else html.unescape("".join(_html_pieces(words))))
    return SOFT_BREAK.join(pieces).replace("\n", SOFT_BREAK)


def _unescaped(found: re.Match[str]) -> str:
    digits = found[1] or found[2] or found[3] or found[4]
    return chr(int(digits, 16)) if digits else " "


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

"""Bytes of a mail as text: charsets from a short list, headers with encoded words.

Japanese first: ISO-2022-JP with the NEC and IBM rows and kana (7 and 8 bit), Shift_JIS always
as cp932, EUC-JP with the same rows. A label is only a claim: text that it does not fit is read
as what it is. No codec outside `CODECS` is ever used; UTF-7 is not decoded at all.
Source: RFC 1468, 2047, 2231; JIS X 0208 row and cell arithmetic; code page 932.
"""

from __future__ import annotations

import binascii
import codecs
import re
from typing import NamedTuple

_LATIN = {f"iso-8859-{n}": f"iso8859-{n}" for n in (*range(2, 9), 10, 13, 14, 15, 16)}
_WINDOWS = {f"windows-{n}": f"cp{n}" for n in range(1250, 1259)} | {f"cp{n}": f"cp{n}" for n in range(1250, 1259)}
CODECS: dict[str, str] = {
    **dict.fromkeys(("utf-8", "utf8", "unicode-1-1-utf-8", "utf-8-sig"), "utf-8"),
    **dict.fromkeys(("us-ascii", "ascii", "ansi_x3.4-1968", "iso646-us"), "ascii"),
    **dict.fromkeys(("iso-2022-jp", "iso-2022-jp-1", "iso-2022-jp-2", "iso-2022-jp-3", "iso-2022-jp-ms",
                     "iso-2022-jp-ext", "iso-2022-jp-2004", "csiso2022jp", "cp50220", "cp50221", "cp50222",
                     "jis", "jis7", "jis8"), "iso-2022-jp"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "csshiftjis", "windows-31j",
                     "cp932", "ms932", "x-ms-cp932", "shift_jis-2004"), "cp932"),
    **dict.fromkeys(("euc-jp", "eucjp", "x-euc-jp", "euc_jp", "eucjp-ms", "cp51932", "ujis"), "euc-jp"),
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "iso8859-1", "iso_8859-1", "l1", "windows-1252"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "euc-cn", "x-gbk", "cp936", "hz-gb-2312"), "gb18030"),
    **dict.fromkeys(("big5", "big5-hkscs", "x-x-big5", "cp950"), "big5hkscs"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "ksc5601", "cp949", "uhc"), "cp949"),
    **_LATIN, **_WINDOWS,
    "iso-2022-kr": "iso2022_kr", "iso-8859-9": "cp1254", "iso-8859-11": "iso8859-11", "tis-620": "cp874",
    "iso-8859-8-i": "iso8859-8", "koi8-r": "koi8-r", "koi8-u": "koi8-u", "macintosh": "mac-roman",
    "cp437": "cp437", "ibm437": "cp437", "cp850": "cp850", "ibm850": "cp850", "cp866": "cp866",
    "utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be",
}
_CUT = re.compile(rb"(\x1b\$[@B]|\x1b\([BJIH]|\x1b\$\([DOPQ]|\x1b&@|[\x0e\x0f]|[\r\n]+)")
_WORD = re.compile(rb"=\?([^?\s]{1,80})\?([BbQq])\?([^?]*)(?:\?=|\Z)")
_BLANK = b" \t\r\n"


class Decoded(NamedTuple):
    """`charset` is what it was read as; `kept` is False where the label was wrong, unknown or refused."""

    text: str
    charset: str
    kept: bool


def decode(data: bytes, label: str) -> Decoded:
    """The text of `data`, which says it is in `label` ("" if it says nothing)."""
    name = label.strip().strip("\"'").lower().partition("*")[0]
    codec = CODECS.get(name)
    if data.isascii() and b"\x1b" not in data and codec in (None, "ascii", "utf-8", "cp932", "euc-jp", "cp1252"):
        return Decoded(data.decode("ascii"), "ascii", codec is not None or not name)
    if codec is None or codec == "ascii":
        text, found = _guess(data)
        return Decoded(text, found, not name)
    if codec == "iso-2022-jp":
        if b"\x1b" not in data and not data.isascii():
            return Decoded(*_guess(data), False)
        return Decoded(_iso_2022_jp(data), codec, True)
    if codec == "euc-jp":
        text = _euc_jp(data)
    else:
        text = data.decode(codec, "replace")
    if "\ufffd" not in text:
        return Decoded(text.removeprefix("\ufeff"), codec, True)
    for other in ("utf-8", "cp932", "euc_jp"):
        try:
            return Decoded(data.decode(other).removeprefix("\ufeff"), other, False)
        except UnicodeDecodeError:
            continue
    return Decoded(text, codec, False)


def _guess(data: bytes) -> tuple[str, str]:
    """Text without a usable label, and what it seems to be."""
    if re.search(rb"\x1b(?:\$[@B]|\([BJI]|\$\([DOPQ])", data):
        return _iso_2022_jp(data), "iso-2022-jp"
    try:
        return data.decode("utf-8").removeprefix("\ufeff"), "utf-8"
    except UnicodeDecodeError:
        pass
    found = {}
    for codec in ("cp932", "euc_jp"):
        try:
            found[codec] = data.decode(codec)
        except UnicodeDecodeError:
            continue
    if found:
        # EUC-JP read as cp932 is a heap of half-width kana; the reverse hardly ever decodes.
        codec = min(found, key=lambda c: sum("\uff61" <= sign <= "\uff9f" for sign in found[c]) / len(found[c]))
        return found[codec], codec.replace("_", "-")
    return data.decode("cp1252", "replace"), "cp1252"


# ------------------------------------------------------------------------------- Japanese


def _iso_2022_jp(data: bytes) -> str:
    """The state machine of RFC 1468 over code page 932; every line begins in ASCII."""
    out: list[str] = []
    mode, before = "B", "B"
    for piece in _CUT.split(data):
        if not piece:
            continue
        if piece[0] == 0x1B:
            mode = piece[-1:].decode() if piece[1:2] == b"(" else {b"\x1b$@": "2", b"\x1b$B": "2"}.get(
                piece, piece[-1:].decode().lower())
        elif piece == b"\x0e":
            before, mode = mode, "I"
        elif piece == b"\x0f":
            mode = before
        elif piece[0] in b"\r\n":
            mode = "B"
            out.append(piece.decode("ascii"))
        else:
            out.append(_segment(piece, mode))
    return "".join(out)


def _segment(piece: bytes, mode: str) -> str:
    if mode == "2":
        return _jis_pairs(piece)
    if mode == "I":
        return bytes(b | 0x80 if 0x21 <= b <= 0x5F else b for b in piece).decode("cp932", "replace")
    if mode == "d":  # JIS X 0212
        high = b"".join(b"\x8f" + bytes(b | 0x80 for b in piece[i:i + 2]) for i in range(0, len(piece), 2))
        return high.decode("euc_jp", "replace")
    if mode in ("o", "p", "q"):  # JIS X 0213
        lead = b"\x8f" if mode == "p" else b""
        high = b"".join(lead + bytes(b | 0x80 for b in piece[i:i + 2]) for i in range(0, len(piece), 2))
        return high.decode("euc_jis_2004", "replace")
    if piece.isascii():
        return piece.decode("ascii")
    # Half-width kana as bare 8-bit bytes, as old Japanese mailers sent them.
    return piece.decode("cp932", "replace")


def _jis_pairs(piece: bytes) -> str:
    """Pairs of JIS X 0208; the standard's own reading first, then NEC's and IBM's rows."""
    out: list[str] = []
    i = 0
    while i < len(piece):
        pair = piece[i:i + 2]
        if piece[i] == 0x20 or len(pair) < 2:  # a blank inside, or half a sign at the end
            out.append(" " if piece[i] == 0x20 else "\ufffd")
            i += 1
            continue
        out.append(_jis_sign(pair[0] & 0x7F, pair[1] & 0x7F))
        i += 2
    return "".join(out)


def _jis_sign(row: int, cell: int) -> str:
    euc = bytes((row | 0x80, cell | 0x80))
    try:
        return euc.decode("euc_jp")
    except UnicodeDecodeError:
        return _from_932(row, cell) or "\ufffd"


def _from_932(row: int, cell: int) -> str:
    if not (0x21 <= row <= 0x7E and 0x21 <= cell <= 0x7E):
        return ""
    lead = (row - 0x21) // 2 + 0x81
    lead += 0x40 if lead > 0x9F else 0
    trail = cell + 0x7E if row % 2 == 0 else cell + 0x1F + (cell >= 0x60)
    try:
        return bytes((lead, trail)).decode("cp932")
    except UnicodeDecodeError:
        return ""


def _nec_rows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    pair = error.object[error.start:error.start + 2]
    sign = _from_932(pair[0] & 0x7F, pair[1] & 0x7F) if len(pair) == 2 and min(pair) >= 0xA1 else ""
    return (sign, error.start + 2) if sign else ("\ufffd", error.start + 1)


codecs.register_error("hikeshi-nec-rows", _nec_rows)


def _euc_jp(data: bytes) -> str:
    return data.decode("euc_jp", "hikeshi-nec-rows")


# -------------------------------------------------------------------------------- headers


def decode_header(raw: bytes, charset: str = "", limit: int = 2000) -> str:
    """A header's value as one line: encoded words decoded, folding undone, controls made blanks.

    Neighbouring words of one charset are joined as bytes first: mailers cut inside a character.
    `charset` is a guess for raw 8-bit values (the body's).
    """
    raw = raw[:65_536]
    out: list[str] = []
    pending, label = b"", ""
    end = 0
    for word in _WORD.finditer(raw):
        between = raw[end:word.start()]
        name = word[1].decode("latin-1").partition("*")[0].lower()
        if pending and (between.strip(_BLANK) or CODECS.get(name, name) != CODECS.get(label, label)):
            out.append(decode(pending, label).text)
            pending = b""
        if between.strip(_BLANK) or not end:
            out.append(_raw(between, charset))
        pending, label, end = pending + _word_bytes(word), name, word.end()
    if pending:
        out.append(decode(pending, label).text)
    out.append(_raw(raw[end:], charset))
    return one_line("".join(out))[:limit]


def _raw(piece: bytes, charset: str) -> str:
    return decode(piece, "" if piece.isascii() else charset).text


def _word_bytes(word: re.Match[bytes]) -> bytes:
    if word[2] in b"Bb":
        return from_base64(word[3])
    return binascii.a2b_qp(word[3].replace(b"_", b" "), header=False)


def from_base64(data: bytes) -> bytes:
    """What base64 holds, however it is broken: foreign signs skipped, padding not needed."""
    clean = data.translate(None, _NOT_BASE64)
    try:
        return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))
    except binascii.Error:  # one sign too many: it can't hold a byte
        return binascii.a2b_base64(clean[:len(clean) // 4 * 4])


_NOT_BASE64 = bytes(b for b in range(256)
                    if b not in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def one_line(text: str) -> str:
    """No line end and no control sign survives: such a value can't become another header."""
    return _CONTROLS.sub(" ", text).strip()


_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]+[ \\t]*")

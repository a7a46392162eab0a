"""Give a text as indicators are matched in it, and lead every place back to the original.

Two steps. First every character is replaced by one character (full width → half width, odd hyphens
→ "-"), so offsets stay. Then defanged pieces ("[.]", "hxxp", "[at]", "。" inside a name) are replaced
and a map of the moved places is kept. Full-width brackets stay as they are unless they defang
something: made half-width they would stick to a URL.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass

from hikeshi.indicators.names import is_address, is_public_name

_HYPHENS = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
_BRACKETS = "()[]{}<>"


class _OneToOne(dict[int, int]):
    """NFKC for single characters; what would change the length stays."""

    def __missing__(self, code: int) -> int:
        char = chr(code)
        out = code
        if code >= 0x80:
            folded = "-" if char in _HYPHENS else unicodedata.normalize("NFKC", char)
            if len(folded) == 1 and folded not in _BRACKETS and folded != " " and char != "｡":
                out = ord(folded)
        self[code] = out
        return out


_TABLE = _OneToOne()

_OPEN, _CLOSE = r"[\[({<［（｛【「＜〔]", r"[\])}>］）｝】」＞〕]"
_HOST = r"[A-Za-z0-9_\u0080-\U0010ffff-]"
_PIECES = re.compile(
    # Scheme, with whatever was done to its letters, its colon and its slashes.
    rf"(?P<scheme>(?<![A-Za-z0-9])(?:(?P<http>h[tx*_]{{2}}p|(?<!h)(?<!h[tx])ttp|{_OPEN}http{_CLOSE})|(?P<ftp>f[tx]p)|meow)"
    rf"(?P<s>s|[\[(]s[\])])?[ ]?"
    rf"(?:{_OPEN}?:{_CLOSE}?(?:{_OPEN}?[/\\]{{2}}{_CLOSE}?|{_OPEN}/{_CLOSE}{_OPEN}/{_CLOSE})"
    rf"|{_OPEN}:[/\\]{{1,2}}{_CLOSE}[/\\]{{0,2}})[ ]?(?=[\[A-Za-z0-9\u0080-\U0010ffff]))"
    # A dot in brackets, possibly with blanks on both sides of it.
    rf"|(?P<dot>[ ]?{_OPEN}[ ]?(?:\.|dot|ドット|。|｡|,)[ ]?{_CLOSE}[ ]?(?={_HOST}))"
    rf"|(?P<half>(?<=[A-Za-z0-9])(?:[\[(]\.(?=[A-Za-z0-9])|\.[\])](?=[A-Za-z0-9])|\\\.(?=[A-Za-z0-9])))"
    rf"|(?P<at>[ ]?{_OPEN}[ ]?(?:@|at|アット|アットマーク)[ ]?{_CLOSE}[ ]?(?=[A-Za-z0-9\u0080-\U0010ffff]))"
    rf"|(?P<sign>{_OPEN}(?P<char>:|/|-){_CLOSE})"
    r"|(?P<stop>(?<=[A-Za-z0-9-])[。｡](?=[A-Za-z0-9]))"
    # Marks nobody sees, put inside names to keep programs from linking them.
    r"|(?P<unseen>[\u00ad\u200b-\u200d\u2060\ufeff])",
    re.IGNORECASE,
)
_LEFT_PART = re.compile(r"[A-Za-z0-9.-]{1,253}\Z")
_RIGHT_PART = re.compile(r"[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class Refanged:
    """`text` to match in; `start` and `end` lead its offsets back; `touched` says whether a stretch
    was defanged, which means that somebody took it for an indicator."""

    text: str
    original: str
    _moved: tuple[int, ...] = ()  # places in `text` where a replacement begins or ends
    _back: tuple[int, ...] = ()  # the same places in the original
    _inside: tuple[bool, ...] = ()  # whether a replacement begins there

    def start(self, offset: int) -> int:
        """Where the character at `offset` begins in the original."""
        at = bisect_right(self._moved, offset) - 1
        if at < 0:
            return offset
        if self._inside[at]:
            return self._back[at]
        return self._back[at] + offset - self._moved[at]

    def end(self, offset: int) -> int:
        """Where the stretch that stops before `offset` ends in the original."""
        at = bisect_right(self._moved, offset - 1) - 1
        if at < 0:
            return offset
        if self._inside[at]:
            return self._back[at + 1]
        return self._back[at] + offset - self._moved[at]

    def touched(self, start: int, end: int) -> bool:
        at = bisect_right(self._moved, start) - 1
        for number in range(max(at, 0), len(self._moved)):
            if self._moved[number] >= end:
                return False
            if self._inside[number] and self._moved[number] >= start:
                return True
        return False


def refang(text: str) -> Refanged:
    """The text with every defanged piece put back; offsets lead to the original."""
    narrow = text if text.isascii() else text.translate(_TABLE)
    out: list[str] = []
    moved: list[int] = []
    back: list[int] = []
    inside: list[bool] = []
    last = length = 0
    for piece in _PIECES.finditer(narrow):
        new = _replacement(piece, narrow)
        if new is None or new == piece[0]:
            continue
        out += (narrow[last:piece.start()], new)
        length += piece.start() - last
        if new:
            moved.append(length)
            back.append(piece.start())
            inside.append(True)
        length += len(new)
        moved.append(length)
        back.append(piece.end())
        inside.append(False)
        last = piece.end()
    if not out:
        return Refanged(narrow, text)
    out.append(narrow[last:])
    return Refanged("".join(out), text, tuple(moved), tuple(back), tuple(inside))


def _replacement(piece: re.Match[str], text: str) -> str | None:
    kind = piece.lastgroup
    if piece["scheme"] is not None:
        return ("ftp" if piece["ftp"] else "http") + ("s" if piece["s"] else "") + "://"
    if piece["dot"] is not None:
        return "." if piece.start() and _joins(text[piece.start() - 1]) else None
    if piece["half"] is not None:
        return "."
    if piece["at"] is not None:
        return "@" if piece.start() and text[piece.start() - 1].isalnum() else None
    if piece["sign"] is not None:
        return piece["char"]
    if kind == "stop":
        return "." if _stop_is_dot(text, piece.start()) else None
    return ""


def _joins(char: str) -> bool:
    return char.isalnum() or char in "-_"


def _stop_is_dot(text: str, at: int) -> bool:
    """"evil。com" is one name; "…は45.77.10.9。RDPで…" is the end of a sentence."""
    left = _LEFT_PART.search(text, max(0, at - 253), at)
    right = _RIGHT_PART.match(text, at + 1)
    if not left or not right:
        return False
    before, after = left[0].strip("."), right[0].strip(".")
    if is_address(before) or is_public_name(before):
        return False
    whole = f"{before}.{after}"
    return is_public_name(whole) or is_address(whole) or (
        before.replace(".", "").isdigit() and after.isdigit() and text[right.end():right.end() + 1] in ("。", "｡"))

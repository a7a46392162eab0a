"""Whether words stand in a text, however they are written: widths, case, kana, spaces and hidden signs don't matter.

`plain` is for words that are looked for anywhere. `stands` knows where a word ends, so that "Mori" is not found in
"memory" nor 「まり」 in 「決まり」; between kanji no end can be told, there a part of a longer word counts.
"""

from __future__ import annotations

import re
import unicodedata

_UNDONE = (("[.]", "."), ("(.)", "."), ("[dot]", "."), ("(dot)", "."), ("[@]", "@"), ("(at)", "@"), ("[at]", "@"))
_WRITTEN = re.compile("|".join(re.escape(written) for written, _ in _UNDONE), re.I)
_CALLED = re.compile(
    r"\s*(?:さん|さま|様|氏|くん|君|ちゃん|殿|先生|先輩|社長|専務|常務|部長|次長|課長|係長|主任|店長|院長|局長|室長)")
_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_SURE_KANA = 4  # this many kana in a row are hardly a part of another word


def kept(text: str) -> str:
    """One spelling that keeps case, scripts and spaces: widths folded, hidden signs gone, [.] and (at) undone."""
    folded = unicodedata.normalize("NFKC", text)
    folded = _WRITTEN.sub(lambda found: dict(_UNDONE)[found[0].casefold()], folded)
    return "".join(sign for sign in folded
                   if sign.isspace() or unicodedata.category(sign) not in ("Cf", "Cc", "Mn"))


def plain(text: str) -> str:
    """One spelling in which only the letters count: also case, kana and spaces are folded."""
    folded = unicodedata.normalize("NFKC", kept(text).casefold()).translate(_HIRAGANA)
    return "".join(sign for sign in folded if not sign.isspace() and unicodedata.category(sign) != "Mn")


def stands(words: str, text: str, text_plain: str) -> bool:
    """Are the words in the text, as words? `text` as `kept` gives it, `text_plain` as `plain` does."""
    words = kept(words).strip()
    if not words:
        return False
    if words.isascii():
        return len(words) > 1 and _latin(words, text)
    if all(_script(sign) for sign in words if not sign.isspace()):
        return len(words) > 1 and _kana(words, text)
    looked = plain(words)
    return looked in text_plain if len(looked) > 1 else _called(looked, text)


def _latin(words: str, text: str) -> bool:
    parts = [part for part in re.split(r"[\s._-]+", words) if part]
    signs = [sign for sign in words if sign.isalnum() or sign == "@"]
    ways = r"[\s._-]*".join(map(re.escape, parts)), r"[\s._-]+".join(map(re.escape, signs))
    return any(_begins(text, found.start(1)) and _ends(text, found.end(1))
               for way in ways if way for found in re.finditer(f"(?=({way}))", text, re.I))


def _begins(text: str, at: int) -> bool:
    return at == 0 or not _same_word(text[at - 1], text[at])


def _ends(text: str, at: int) -> bool:
    return at == len(text) or not _same_word(text[at - 1], text[at])


def _same_word(left: str, right: str) -> bool:
    """"KaedePC" is two words, "memory" and "FS012" are one."""
    if not (left.isascii() and right.isascii()):
        return False
    return (left.isdigit() and right.isdigit()) or (
        left.isalpha() and right.isalpha() and not (left.islower() and right.isupper()))


def _kana(words: str, text: str) -> bool:
    signs = [re.escape(sign) for sign in words.translate(_HIRAGANA) if not sign.isspace()]
    if len(signs) < 2:
        return False
    way = r"[ \t]*".join(signs)
    for found in re.finditer(f"(?=({way}))", text.translate(_HIRAGANA)):
        start, end = found.start(1), found.end(1)
        scripts = {_script(sign) for sign in text[start:end] if not sign.isspace()} - {"both"}
        before = text[start - 1] if start else ""
        after = text[end] if end < len(text) else ""
        if len(signs) >= _SURE_KANA or _CALLED.match(text, end):
            return True
        if scripts == {"katakana"} and not {_script(before), _script(after)} & {"katakana", "both"}:
            return True
        if scripts != {"katakana"} and not before.isalnum():
            return True
    return False


def _called(sign: str, text: str) -> bool:
    """One kanji is a name where somebody is called by it."""
    return sign.isalpha() and any(_CALLED.match(text, found.end()) and not text[:found.start()][-1:].isalpha()
                                  for found in re.finditer(re.escape(sign), text))


def _script(sign: str) -> str:
    if sign == "ー":
        return "both"
    if "ぁ" <= sign <= "ゖ":
        return "hiragana"
    return "katakana" if "ァ" <= sign <= "ヺ" else ""

"""What stands in a text and where: addresses, names, URLs, mail addresses, hashes, CVE, Bitcoin, ATT&CK ids.

Made for Japanese prose: no blank is needed before or after, full-width forms and defanged forms are
read, and what only looks like an indicator (versions, section numbers, file names) is left out.
Offsets are those of the original text. Finds never overlap: the host inside a URL is part of the URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hikeshi.indicators import normalise as norm
from hikeshi.indicators.names import INTERNAL, WORDS, is_public_name, looks_like_no_domain
from hikeshi.indicators.refang import Refanged, refang


@dataclass(frozen=True, slots=True)
class Found:
    """One indicator: its comparable value and type (those of model.indicator, and "attack"), and the
    stretch of the original text it stands in."""

    value: str
    type: str
    start: int
    end: int
    text: str


_SCHEMES = "https?|ftps?|sftp|wss?|ldaps?|rmi|smb|socks5h?|tcp|udp"
_WIDE = "\u0080-\U0010ffff"
_URL = re.compile(
    rf"(?<![A-Za-z0-9])(?P<scheme>{_SCHEMES})://"
    rf"(?P<place>(?:[A-Za-z0-9._~%!$&*+=-]{{1,128}}(?::[!\x22$-.0->A-Z\[-~]{{0,128}})?@)?"
    rf"(?:\[[0-9A-Fa-f:.]{{2,45}}\]|[A-Za-z0-9_.{_WIDE}-]{{1,253}})(?::\d{{1,5}})?)", re.IGNORECASE)
_LONGEST_PATH = 8000
_REST = re.compile(r"[/?#][A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]{0,7999}")
_MORE = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]{0,7999}")
_NEXT_URL = re.compile(rf"[,;|](?=(?:{_SCHEMES})://)", re.IGNORECASE)
# Japanese inside a path belongs to it only where the path clearly goes on behind it.
_WIDE_SEGMENT = re.compile(
    rf"(?P<run>[{_WIDE}][A-Za-z0-9_%/{_WIDE}-]{{0,59}}?)"
    r"(?P<on>\.(?:html?|php|aspx?|jsp|cgi|pdf|zip|exe|dll|js|docx?|docm|xlsx?|xlsm|pptx?|lnk|iso|img|rar|7z|txt|png"
    r"|jpe?g)"
    r"(?![A-Za-z0-9])|/(?=[A-Za-z0-9])|&(?=[A-Za-z0-9_]+=))", re.IGNORECASE)
_JAPANESE_STOP = re.compile("[\u3000-\u3004\u3008-\u3011\u3014-\u301f\u30fb\uff00-\uff65\u2018-\u201f]")
_EMAIL = re.compile(
    rf"(?<![A-Za-z0-9._%+-])(?P<local>[A-Za-z0-9][A-Za-z0-9._%+'-]{{0,63}})@"
    rf"(?P<domain>[A-Za-z0-9.{_WIDE}-]{{3,253}})")
_HASH = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-f]{128}|[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})(?![0-9A-Za-z])", re.IGNORECASE)
_UUID_BEFORE = re.compile(r"[ug]uid[^0-9a-z]{0,4}\Z", re.IGNORECASE)
_CVE = re.compile(r"(?<![A-Za-z0-9])CVE[-_ ]?((?:19|20)\d\d)[-_](\d{4,7})(?![0-9A-Za-z])", re.IGNORECASE)
_COIN = re.compile(
    r"(?<![0-9A-Za-z])(?:bc1[02-9ac-hj-np-z]{39,59}|BC1[02-9AC-HJ-NP-Z]{39,59}|[13][1-9A-HJ-NP-Za-km-z]{25,34})"
    r"(?![0-9A-Za-z])")
_COIN_CONTEXT = re.compile(r"ビットコイン|ウォレット|送金|身代金|仮想通貨|暗号資産|\bBTC|bitcoin|wallet", re.IGNORECASE)
_V6 = re.compile(
    r"(?<![0-9A-Za-z_:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?:/\d{1,3})?"
    r"(?![0-9A-Za-z_])")
_V4 = re.compile(r"(?<![0-9A-Za-z_.])\d{1,3}(?:\.\d{1,3}){3}(?![0-9A-Za-z_])(?!\.\d)(?!-[A-Za-z])")
_PREFIX = re.compile(r"/(\d{1,2})(?![0-9A-Za-z_/])(?!\.\d)")
_PATH_AFTER_HOST = re.compile(r"(?::\d{1,5})?/[A-Za-z0-9_~%?.-][A-Za-z0-9\-._~:/?#@!$&'()*+,;=%]{0,2000}")
_NAME = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{1,64}(?:\.[A-Za-z0-9_-]{1,64}){1,40}")
# Labels in Japanese or another script that has no blanks or no ASCII: kanji, kana, and letters between them.
_WIDE_LABEL = ("A-Za-z0-9\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc\u3400-\u9fff"
               "\u00c0-\u024f\u0370-\u03ff\u0400-\u04ff\uac00-\ud7af")
_WIDE_NAME = re.compile(
    rf"[{_WIDE_LABEL}](?:[{_WIDE_LABEL}-]{{0,40}})(?:\.[{_WIDE_LABEL}-]{{1,40}}){{0,4}}"
    r"\.(?:[A-Za-z]{2,18}|xn--[a-z0-9-]{2,50})(?![A-Za-z0-9_-])")
_WIDE_DOT = re.compile(rf"(?<=[{_WIDE}])\.(?=[{_WIDE_LABEL}])")
_WIDE_BEFORE = re.compile(rf"[{_WIDE_LABEL}][{_WIDE_LABEL}-]{{0,40}}\Z")
_ATTACK = re.compile(r"(?<![A-Za-z0-9])T1\d{3}(?:\.\d{3})?(?![0-9A-Za-z])")

_VERSION_BEFORE = re.compile(
    r"(?:バージョン|ヴァージョン|ファームウェア|ファーム|ビルド|リリース|更新版|パッチ|エンジン"
    r"|version|ver|firmware|build|release|rev|revision)"
    r"[.:： はがを=\-(（「]{0,6}(?:番号|情報)?[はが:： ]{0,3}v?\.?\s?\Z", re.IGNORECASE)
_SECTION_BEFORE = re.compile(
    r"(?:第|資料|図|表|別紙|付録|項番|手順|章|節|§|section|chapter|fig(?:ure)?\.?|table|appendix|oid)[ :： ]{0,2}\Z",
                             re.IGNORECASE)
_VERSION_AFTER = re.compile(
    r"\s?(?:節|項|章|条|版|系|以前|以降|未満|以上|より前|より古い|(?:に|へ)(?:アップ|更新|バージョンアップ)|"
    r"までのバージョン|or (?:later|earlier|above|below|newer)|and (?:earlier|later|below|above))")
_WORD_BEFORE = re.compile(r"(?P<word>[A-Za-z][A-Za-z0-9+#_-]*)(?P<glue> (?:v|R)?|/)\Z")
_LISTED = re.compile(
    r"\s?(?:、|,|・|/|~|〜|-|および|及び|と|や|または|又は|もしくは|から|and|or|to)\s?v?\Z", re.IGNORECASE)
_BEFORE_ADDRESSES = WORDS["before_addresses"]


def extract(text: str) -> list[Found]:
    """Every indicator in the text, in the order in which they stand."""
    view = refang(text)
    return sorted(_Search(view).run(), key=lambda f: f.start)


class _Search:
    """One pass for each kind, the surest first; what one took the next can't take again."""

    def __init__(self, view: Refanged) -> None:
        self.view = view
        self.text = view.text
        self.wide = not view.text.isascii()
        self.taken = bytearray(len(view.text))
        self.found: list[Found] = []

    def run(self) -> list[Found]:
        text = self.text
        if "://" in text:
            self._urls()
        if "@" in text:
            self._emails()
        for match in _HASH.finditer(text):
            pair = norm.digest(match[0])
            if pair and not _UUID_BEFORE.search(self.text, max(0, match.start() - 12), match.start()):
                self._take(pair[0], pair[1], match.start(), match.end())
        for match in _CVE.finditer(text):
            self._take("cve", f"CVE-{match[1]}-{match[2]}", match.start(), match.end())
        for match in _COIN.finditer(text):
            self._coin(match)
        if ":" in text:
            for match in _V6.finditer(text):
                self._v6(match)
        self._v4()
        if "." in text:
            self._names()
        for match in _ATTACK.finditer(text):
            self._take("attack", match[0], match.start(), match.end())
        return self.found

    def _take(self, kind: str, value: str, start: int, end: int) -> None:
        if start >= end or any(self.taken[start:end]):
            return
        self.taken[start:end] = b"\x01" * (end - start)
        first, last = self.view.start(start), self.view.end(end)
        self.found.append(Found(value, kind, first, last, self.view.original[first:last]))

    # URLs

    def _urls(self) -> None:
        at = 0
        while match := _URL.search(self.text, at):
            if self.text.startswith("//", match.end()) or self.text.startswith("://", match.end()):
                at = match.start("place")  # "http://hxxps://…": the second scheme is the real one
                continue
            end = self._place_end(match)
            if end is not None:
                end = self._path_end(match.start(), end) if end == match.end() else end
                value = norm.url(self.text[match.start():end])
                if value:
                    self._take("url", value, match.start(), end)
            at = max(match.start() + len(match["scheme"]) + 3, end or 0)

    def _place_end(self, match: re.Match[str]) -> int | None:
        """Where the host (and port) end: Japanese behind the host is prose, not host."""
        start, end = match.start("place"), match.end("place")
        place = match["place"]
        if place.isascii():
            trimmed = place.rstrip(".-_:")
            return start + len(trimmed) if trimmed else None
        wide = next(i for i, c in enumerate(place) if ord(c) >= 0x80)
        head = place[:wide].rpartition("@")[2]
        if wide and head[-1:] != "." and (is_public_name(head.partition(":")[0]) or norm.address(head)):
            return start + wide
        if self.text[match.end():match.end() + 1] == "/" and is_public_name(norm.host(place) or ""):
            return end
        named = _WIDE_NAME.match(self.text, start)
        if named and is_public_name(norm.host(named[0]) or ""):
            return named.end() if named.end() < end else end
        # A dot before the Japanese belongs to the sentence, or to a label that is no part of the name.
        return start + len(place[:wide].rstrip(".")) if wide else None

    def _path_end(self, start: int, at: int) -> int:
        """Where path and query end; closing brackets and punctuation of the sentence stay outside."""
        text = self.text
        begin = at
        end = at
        while end - begin < _LONGEST_PATH:
            rest = (_REST if end == begin else _MORE).match(text, end)
            if rest:
                end = rest.end()
            if not self.wide or end == begin or end >= len(text) or not (
                    text[end - 1] in "/=-_" or text[end - 3:end - 2] == "%"):
                break
            segment = _WIDE_SEGMENT.match(text, end)
            if not segment or _JAPANESE_STOP.search(segment["run"]) or (
                    segment["on"] == "/" and re.fullmatch("[\u3041-\u3096]+", segment["run"])):
                break
            end = segment.end()
        following = _NEXT_URL.search(text, begin, end)
        if following:
            end = following.start()
        if self.wide and self._original_is_ascii(start):
            end = self._stop_at_full_width(begin, end)
        return _trim(text, begin, end)

    def _original_is_ascii(self, at: int) -> bool:
        return self.view.original[self.view.start(at)] < "\x80"

    def _stop_at_full_width(self, begin: int, end: int) -> int:
        # "http://a.example/x：説明": in a half-width URL a full-width sign is prose.
        for at in range(begin, end):
            char = self.view.original[self.view.start(at)]
            if "\uff00" <= char <= "\uff65" and self.text[at] in ":;,!?'()~|=":
                return at
        return end

    # Mail addresses

    def _emails(self) -> None:
        at = 0
        while match := _EMAIL.search(self.text, at):
            end = self._name_end(match.start("domain"), match["domain"])
            at = end or match.start("domain")
            value = norm.email(self.text[match.start():end]) if end else None
            if value:
                self._take("email", value, match.start(), at)

    def _name_end(self, start: int, written: str) -> int | None:
        """Where the domain of a mail address ends; internal names are good enough here."""
        ascii_part = _ascii_head(written).rstrip(".-")
        ending = ascii_part.lower().rpartition(".")[2]
        if is_public_name(ascii_part) or ("." in ascii_part and ending in INTERNAL):
            return start + len(ascii_part)
        named = _WIDE_NAME.match(self.text, start)
        if named and is_public_name(norm.host(named[0]) or ""):
            return named.end()
        return None

    # Hashes and coins need no more than their pattern, except:

    def _coin(self, match: re.Match[str]) -> None:
        value = norm.coin(match[0])
        if value is None and norm.looks_like_coin(match[0]):
            # A wrong checksum is a slip of the writer where the text speaks of payment.
            speaks = _COIN_CONTEXT.search(self.text, max(0, match.start() - 40), match.start())
            value = match[0] if speaks or match[0][:3].lower() == "bc1" else None
        if value:
            self._take("btc", value, match.start(), match.end())

    # Addresses

    def _v6(self, match: re.Match[str]) -> None:
        written = match[0]
        if written.endswith(":") and not written.endswith("::"):
            written = written[:-1]
        groups = [g for g in written.partition("/")[0].split(":") if g]
        if len(groups) < 2 and not written.endswith("::"):
            return
        # 00:11:22:33:44:55:66:77 is a hardware address; a::b is a name in a program.
        if len(groups) == 8 and all(len(g) == 2 for g in groups):
            return
        if not any(c.isdigit() for c in written) and max((len(g) for g in groups), default=0) < 4:
            return
        found = norm.address(written)
        if found and found[1] not in ("::", "::1"):
            self._take(found[0], found[1], match.start(), match.start() + len(written))

    def _v4(self) -> None:
        rejected_end = -1
        for match in _V4.finditer(self.text):
            start, end = match.start(), match.end()
            found = norm.address(match[0])
            if found is None or self.taken[start]:
                continue
            if found[1].startswith("255.") or found[1] == "0.0.0.0":
                continue
            defanged = self.view.touched(start, end)
            chained = rejected_end >= 0 and bool(_LISTED.fullmatch(self.text[rejected_end:start]))
            if not defanged and (self._is_version(match) or (chained and _version_shaped(match[0]))):
                rejected_end = end
                continue
            prefix = _PREFIX.match(self.text, end)
            if prefix and int(prefix[1]) <= 32:
                net = norm.address(match[0] + prefix[0])
                if net:
                    self._take(net[0], net[1], start, prefix.end())
                    continue
            self._host_or_url(found[0], found[1], start, end)

    def _is_version(self, match: re.Match[str]) -> bool:
        before = self.text[max(0, match.start() - 24):match.start()]
        if _VERSION_AFTER.match(self.text, match.end()) and _version_shaped(match[0]):
            return True
        if _SECTION_BEFORE.search(before) or _VERSION_BEFORE.search(before):
            return _version_shaped(match[0]) or bool(re.search(r"(?i)ver|バージョン|版|ビルド|build", before))
        word = _WORD_BEFORE.search(before)
        return bool(word and word["word"].lower() not in _BEFORE_ADDRESSES and _version_shaped(match[0]))

    def _host_or_url(self, kind: str, value: str, start: int, end: int) -> None:
        """A host with a path behind it is a URL without scheme."""
        path = _PATH_AFTER_HOST.match(self.text, end)
        if path:
            last = _trim(self.text, end, path.end())
            first_segment = path[0].partition("/")[2].partition("/")[0].partition("?")[0]
            if re.search("[A-Za-z]", first_segment) and not is_public_name(first_segment.rstrip(".,")):
                link = norm.url(self.text[start:last])
                if link:
                    self._take("url", link, start, last)
                    return
        self._take(kind, value, start, end)

    # Names

    def _names(self) -> None:
        if self.wide:
            for dot in _WIDE_DOT.finditer(self.text):
                before = _WIDE_BEFORE.search(self.text, max(0, dot.start() - 41), dot.start())
                match = _WIDE_NAME.match(self.text, before.start()) if before else None
                if match:
                    self._wide_name(match)
        for match in _NAME.finditer(self.text):
            start = match.start() + len(match[0]) - len(match[0].lstrip("-"))
            if self.taken[start]:
                continue
            written = match[0].strip("-").rstrip("_-.")
            if self._is_domain(written, start, start + len(written)):
                self._host_or_url("domain", written.lower(), start, start + len(written))

    def _is_domain(self, written: str, start: int, end: int) -> bool:
        if not is_public_name(written):
            return False
        before = self.text[start - 1:start]
        after = self.text[end:end + 1]
        if self.view.touched(start, end):
            return True
        if after == "(" and self.text[end + 1:end + 2] == ")":
            return False  # a call in a program
        if before in ("\\", "/", "@", "$", "%", "-", ".") and self.text[max(0, start - 2):start] not in ("\\\\", "//"):
            # Part of a path or a longer name, unless two hosts are listed with a slash between.
            return before == "/" and start >= 2 and bool(self.taken[start - 2]) and not looks_like_no_domain(written)
        if after == "\\" and self.text[max(0, start - 2):start] != "\\\\":
            return False
        return looks_like_no_domain(written) is None

    def _wide_name(self, match: re.Match[str]) -> None:
        written, start = match[0], match.start()
        labels = written.split(".")
        last_wide = max((i for i, label in enumerate(labels) if not label.isascii()), default=-1)
        if last_wide < 0:
            return
        if last_wide and not labels[last_wide][-1] > "\x7f":
            return
        if last_wide == 0 and labels[0][-1] < "\x80":
            return  # "詳細はexample.jp": the name begins behind the prose
        if looks_like_no_domain("xn--x." + labels[-1]) is not None and not self.view.touched(start, match.end()):
            return
        head = labels[0]
        if not head.isascii() and self.text[start - 1:start] not in tuple("「『“\"'(（<[@"):
            # Without an opening bracket nobody knows where the name begins: hiragana is prose.
            cut = max((i + 1 for i, c in enumerate(head) if "\u3041" <= c <= "\u3096"), default=0)
            start += cut
            written = written[cut:]
        value = norm.host(written)
        if value and not written.startswith(("-", ".")) and is_public_name(value):
            self._take("domain", value, start, match.end())




def _ascii_head(text: str) -> str:
    for at, char in enumerate(text):
        if char >= "\x80":
            return text[:at]
    return text


def _version_shaped(text: str) -> bool:
    """Small numbers, or a zero in the middle, as versions have and addresses of servers rarely have."""
    numbers = [int(n) for n in text.split(".")]
    if numbers[0] < 40 and sum(n < 40 for n in numbers[1:]) >= 2:
        return True
    return numbers[0] < 150 and numbers[0] not in (10, 127) and 0 in numbers[1:]


def _trim(text: str, begin: int, end: int) -> int:
    """Without the sentence's punctuation and without brackets that open before the URL."""
    while end > begin:
        char = text[end - 1]
        opening = {")": "(", "]": "["}.get(char)
        unopened = opening and text.count(char, begin, end) > text.count(opening, begin, end)
        if not unopened and char not in ".,;:!?'*([":
            break
        end -= 1
    return end

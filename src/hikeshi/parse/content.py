"""What a row of values without names says by the look of the values: times, addresses, URLs, names.

A guess, and marked as one: the first address is taken for the client, the next for the server.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Any

from hikeshi.parse.addresses import account, host_port, ip, port, put_host
from hikeshi.parse.context import Context
from hikeshi.parse.names import finish, outcome
from hikeshi.parse.stamps import Stamp, same_moment, stamp

_URL = re.compile(r"[a-z][a-z0-9+.-]{1,10}://[^\s/]\S*\Z", re.IGNORECASE)
_NAME = re.compile(r"(?=.{4,253}\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}\.?\Z")
_FILE = re.compile(
    r"\.(?:exe|dll|txt|pdf|docx?|xlsx?|pptx?|zip|js|html?|png|jpe?g|gif|log|csv|ps1|bat|cmd|sys|php|aspx?)\.?\Z", re.I
)
_TUNNEL = re.compile(r"[\w.-]+:\d{1,5}\Z")
_METHOD = frozenset({"GET", "POST", "PUT", "HEAD", "CONNECT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "TRACE"})
_AGENT = re.compile(r"(?:Mozilla/|curl/|Wget/|python-|Go-http|Java/|okhttp|Microsoft[- ]|Dalvik/|WinHTTP)")
_PERSON = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+\Z|[A-Za-z0-9_.-]{1,32}\\[\w.$@-]{1,64}\Z")
_REQUEST = re.compile(r"([A-Z]{3,10}) (\S+)(?: HTTP/[\d.]+)?\Z")
_PROTOCOLS = frozenset({"tcp", "udp", "icmp", "http", "https", "dns", "ssl", "tls", "ftp", "smtp", "ssh", "smb", "rdp"})
_HASHES = {32: "file.hash.md5", 40: "file.hash.sha1", 64: "file.hash.sha256"}


def guess(values: Sequence[str], context: Context) -> tuple[Stamp | None, dict[str, Any]]:
    """The time and the columns that `values` give by their looks; empty where nothing does."""
    cells: dict[str, Any] = {}
    when: Stamp | None = None
    rest: list[tuple[int, str]] = []
    ends: list[int] = []
    for number, value in enumerate(values):
        text = value.strip().strip('"')
        if not text or text == "-":
            continue
        if len(text) >= 10 and (found := stamp(text, context)):
            # A time that names its zone says more than one before it that doesn't.
            if when is None or (when.zone == context.zone_label != found.zone and not text.isdigit()
                                and same_moment(when.time, found.time)):
                when = found
            continue
        if _endpoint(cells, text):
            ends.append(number)
        elif not _by_look(cells, text):
            rest.append((number, text))
    _ports(cells, rest, ends)
    # A name beside addresses is where it went; without a server's address too.
    finish(cells)
    return when, cells


_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\[([^\]]*)\]|(\S+)')
_STRUCTURED = re.compile(
    r"-?[\d.,:/%+-]+\Z|-\Z|[A-Z][A-Z0-9_]*(?:/\S+)?\Z|0x[0-9A-Fa-f]+\Z|[a-z]+://|[\w-]+(?:\.[\w-]+)+(?::\d+)?\Z|["
    r"\w-]+/[\w.+-]+\Z"
)


# The family of NCSA's log: client, who by ident, user, time in brackets, request in quotes.
_NCSA = re.compile(r'\S+ \S+ (\S+) \[[^\]]{8,40}\] "[A-Z]{3,10} ')


def user_by_place(text: str) -> str | None:
    """The user of a line that has one where NCSA's log has it."""
    match = _NCSA.match(text)
    return match[1] if match and match[1] != "-" else None


def split(text: str) -> list[str]:
    """The values of a line of them, between commas or spaces; empty for a sentence."""
    if text.count("|") >= 5 and text.count(",") < 5:
        return text.split("|")
    if text.count(",") < 5:
        words = [
            (m[1] if m[1] is not None else m[2] if m[2] is not None else m[3], m[3] is None)
            for m in _WORD.finditer(text[:4000])
        ]
        shaped = sum(quoted or _STRUCTURED.match(word) is not None for word, quoted in words)
        enough = shaped * 10 >= len(words) * 8 or _NCSA.match(text) is not None
        return [word for word, _ in words] if len(words) >= 6 and enough else []
    try:
        return next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error:
        return []


def _endpoint(cells: dict[str, Any], text: str) -> bool:
    host, number = host_port(text)
    address = ip(host)
    if address is None or address in ("0.0.0.0", "::"):
        return False
    side = "source" if "source.ip" not in cells else "destination" if "destination.ip" not in cells else None
    if side is None:
        return False
    cells[f"{side}.ip"] = address
    if number is not None:
        cells[f"{side}.port"] = number
    return True


def _by_look(cells: dict[str, Any], text: str) -> bool:
    if _URL.match(text):
        return cells.setdefault("url.full", text) is text
    if text in _METHOD:
        return cells.setdefault("http.request.method", text) is text
    if _AGENT.match(text):
        return cells.setdefault("user_agent.original", text) is text
    if (request := _REQUEST.match(text)) and request[1] in _METHOD:
        cells.setdefault("http.request.method", request[1])
        return bool(cells.setdefault("url.full", request[2]) == request[2])
    if _PERSON.match(text):
        name, domain = account(text)
        if name and "user.name" not in cells:
            cells["user.name"] = name
            if domain:
                cells["user.domain"] = domain
            return True
        return False
    if _NAME.match(text) and not _FILE.search(text):
        if "destination.domain" not in cells:
            put_host(cells, "destination", text)
            return True
        return False
    column = _HASHES.get(len(text))
    if column and re.fullmatch(r"[0-9A-Fa-f]+", text):
        return bool(cells.setdefault(column, text.lower()) == text.lower())
    if cells.get("http.request.method") == "CONNECT" and "url.full" not in cells and _TUNNEL.match(text):
        put_host(cells, "destination", text)
        cells["url.full"] = text
        return True
    if text.lower() in _PROTOCOLS:
        return bool(cells.setdefault("network.protocol", text.lower()) == text.lower())
    found = outcome(text)
    if found and "event.action" not in cells:
        cells["event.action"], cells["event.outcome"] = text, found
        return True
    return False


def _ports(cells: dict[str, Any], rest: list[tuple[int, str]], ends: list[int]) -> None:
    """Numbers right behind each address, or two behind both, are their ports."""
    if len(ends) != 2 or "source.port" in cells or "destination.port" in cells:
        return
    numbers = {place: found for place, text in rest if text.isdigit() and (found := port(text)) is not None}
    first, second = ends
    if second - first >= 2 and first + 1 in numbers and second + 1 in numbers:
        cells["source.port"], cells["destination.port"] = numbers[first + 1], numbers[second + 1]
    elif second - first == 1 and second + 1 in numbers and second + 2 in numbers:
        cells["source.port"], cells["destination.port"] = numbers[second + 1], numbers[second + 2]

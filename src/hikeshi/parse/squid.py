"""Squid's native access log (and Cisco WSA's, which begins the same way).

Columns of a line: time, elapsed, client, result/status, bytes, method, URL, user, hierarchy/peer,
type, then what the site added. Bytes are what the client got: destination.bytes. What it sent is
not in this format.
Times: seconds since the epoch.
Source: Squid wiki, "Features/LogFormat".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hikeshi.events.table import Column, encode
from hikeshi.events.time import NO_TIME, from_epoch_seconds
from hikeshi.parse.addresses import ip, put_host, url_host, whole
from hikeshi.parse.block import Lists
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.syslog import Header

_SIGNATURE = re.compile(
    r"(?:Info: )?\d{9,10}\.\d{3,6} +-?\d+ \S+ [A-Z_]+(?:/|:)?\d{0,3}\S* -?\d+ [A-Z_-]+ \S+ \S+ [A-Z_]+/\S* \S*"
)
_DIRECT = frozenset({"HIER_DIRECT", "DIRECT", "ORIGINAL_DST", "HIER_ORIGINAL_DST", "PINNED", "HIER_PINNED"})


def claims(body: str, header: Header | None) -> bool:
    return _SIGNATURE.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    if _SIGNATURE.match(body) is None:
        return None
    words = body.removeprefix("Info: ").split(None, 9)
    time = from_epoch_seconds(words[0])
    if time == NO_TIME:
        return None
    cells: dict[str, Any] = {"event.dataset": "squid.access", "event.timezone": "UTC", "event.category": "web"}
    put_host(cells, "source", words[2])
    action, _, status = words[3].partition("/")
    cells["event.action"] = action
    number = whole(status)
    if number:
        cells["http.response.status_code"] = number
    size = whole(words[4])
    if size is not None and size >= 0:
        cells["destination.bytes"] = size
    cells["http.request.method"], cells["url.full"] = words[5], words[6]
    if words[7] != "-":
        cells["user.name"] = words[7]
    _destination(cells, words[6], words[8])
    cells["squid.elapsed_ms"], cells["squid.hierarchy"] = words[1], words[8]
    if len(words) > 9 and words[9].strip() not in ("", "-"):
        mime, _, rest = words[9].partition(" ")
        if mime != "-":
            cells["http.response.mime_type"] = mime
        if rest.strip(' "-'):
            cells["squid.rest"] = rest.strip()
            quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', rest)
            if len(quoted) == 2 and quoted[1] not in ("", "-"):
                cells["user_agent.original"] = quoted[1]
    event = Event(time, cells)
    return with_header(event, header, context) if header else event


def _destination(cells: dict[str, Any], url: str, hierarchy: str) -> None:
    host, number = url_host(url)
    if host:
        put_host(cells, "destination", host)
    if number is not None:
        cells["destination.port"] = number
    how, _, peer = hierarchy.partition("/")
    # A parent proxy is a peer too, but not where the request went.
    if how in _DIRECT and "destination.ip" not in cells:
        address = ip(peer)
        if address:
            cells["destination.ip"] = address


def parse_block(texts: Sequence[str], context: Context) -> tuple[Lists, list[int]]:
    """Many lines at once: columns of the regular ones, and the numbers of those that are not.

    Regular is a line of ten words; ends and other variants go through parse_line.
    """
    split = [text.split() for text in texts]
    odd = [i for i, words in enumerate(split) if len(words) != 10]
    for i in odd:
        split[i] = _BLANK
    time, elapsed, client, result, size, method, url, user, hierarchy, mime = zip(*split, strict=True)
    times, results, sizes, peers = pa.array(time), encode(result), encode(size), encode(hierarchy)
    good = pc.match_substring_regex(times, r"^\d{10}\.\d{3}$").to_numpy(zero_copy_only=False)
    good &= np.array([v.isascii() and v.isdigit() and len(v) < 19 for v in sizes.values])[sizes.codes]
    good &= np.array(["/" in v for v in results.values])[results.codes]
    good &= np.array(["/" in v for v in peers.values])[peers.codes]
    if not good.all():
        odd = sorted({*odd, *np.flatnonzero(~good).tolist()})
        times = pc.if_else(pa.array(good), times, pa.scalar(_BLANK[0]))
        sizes = Column([v if v.isascii() and v.isdigit() and len(v) < 19 else "0" for v in sizes.values], sizes.codes)
    lists = Lists(len(texts))
    lists.times = _times(times)
    lists.put("event.dataset", "squid.access")
    lists.put("event.timezone", "UTC")
    lists.put("event.category", "web")
    lists.derive("event.action", results, lambda v: v.partition("/")[0] or None)
    lists.derive("http.response.status_code", results, lambda v: whole(v.partition("/")[2]) or None)
    clients = encode(client)
    lists.derive("source.ip", clients, ip)
    lists.derive("source.domain", clients, lambda v: None if ip(v) or v == "-" else v.lower())
    lists.derive("destination.bytes", sizes, _size)
    lists.keep("http.request.method", encode(method))
    urls = encode(url)
    lists.keep("url.full", urls)
    lists.derive("user.name", encode(user), _not_dash)
    hosts = [url_host(v) for v in urls.values]
    lists.put_column("destination.port", urls, [h[1] for h in hosts])
    known = {h: ip(h) if h else None for h in {h[0] for h in hosts}}
    addresses = [known[h[0]] for h in hosts]
    lists.put_column("destination.domain", urls, [None if a else h[0] for h, a in zip(hosts, addresses, strict=True)])
    lists.two("destination.ip", Column(addresses, urls.codes), Column([_peer(v) for v in peers.values], peers.codes))
    lists.keep("squid.hierarchy", peers)
    lists.keep("squid.elapsed_ms", encode(elapsed))
    lists.derive("http.response.mime_type", encode(mime), _not_dash)
    lists.clear(odd)
    return lists, odd


_BLANK = ["0000000000.000", "0", "-", "-/", "0", "-", "-", "-", "-/-", "-"]


def _times(words: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    digits = pc.replace_substring(words, ".", "")
    out: np.ndarray[Any, np.dtype[np.int64]] = digits.cast(pa.int64()).to_numpy() * 1000
    return out


def _size(text: str) -> int | None:
    return int(text)


def _not_dash(text: str) -> str | None:
    return None if text == "-" else text


def _peer(text: str) -> str | None:
    how, _, peer = text.partition("/")
    return ip(peer) if how in _DIRECT else None

"""Logs that name their columns in a header: W3C ELFF (IIS, proxies), Windows Firewall, Exchange, Zeek.

Each `#Fields:` line counts until the next. Times are UTC, as the standard says, unless the
header says Local; Zeek writes epochs.
Source: W3C working draft "Extended Log File Format", Microsoft "W3C Logging".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from datetime import UTC
from typing import Any

import numpy as np

from hikeshi.events.table import Column, encode
from hikeshi.events.time import NO_TIME
from hikeshi.parse import zeek
from hikeshi.parse.addresses import account, ip, port, url_host, whole
from hikeshi.parse.block import Lists
from hikeshi.parse.context import Context, Event
from hikeshi.parse.names import map_record
from hikeshi.parse.stamps import stamp

_WORD = re.compile(r'"((?:[^"\\]|\\.|"")*)"(?=\s|\Z)|(\S+)')
_COLUMNS = {
    "c-ip": "source.ip",
    "cs-username": "user.name",
    "cs-method": "http.request.method",
    "sc-status": "http.response.status_code",
    "cs(user-agent)": "user_agent.original",
    "sc-bytes": "destination.bytes",
    "cs-bytes": "source.bytes",
    "c-port": "source.port",
    "s-action": "event.action",
    "sc-filter-result": "event.action",
    "s-computername": "host.name",
    "s-sitename": "iis.site",
    "cs-host": "destination.domain",
    "r-ip": "destination.ip",
    "cs-uri-port": "destination.port",
    "r-port": "destination.port",
    "x-virus-id": "rule.name",
    "cs-auth-group": "group",
    "s-port": "destination.port",
    "s-ip": "destination.ip",
    "x-cs-client-ip-hostname": "source.domain",
    "c-dns": "source.domain",
    "s-supplier-ip": "destination.ip",
}
_PROXY = frozenset(
    {"r-ip", "sc-filter-result", "cs-uri-scheme", "s-action", "r-host", "s-supplier-name", "cs-categories"}
)
_TAKEN = frozenset(
    {"date", "time", "cs-uri", "cs-uri-stem", "cs-uri-query", "cs-uri-path", "cs-uri-scheme", "cs-uri-host"}
)


class Layout:
    """What the header lines said so far."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.separator: str = " "
        self.local = False
        self.date = ""
        self.software = ""

    def header(self, line: str) -> None:
        name, _, rest = line[1:].partition(":")
        key = name.strip().lower()
        if key.startswith("fields\t") or key == "fields":
            tabbed = line.startswith("#fields\t")
            text = line[8:] if tabbed else rest.strip()
            self.separator = (
                "\t" if "\t" in text else "," if "," in text and " " not in text.replace(", ", ",") else " "
            )
            parts = text.split(self.separator) if self.separator != " " else text.split()
            self.names = tuple(p.strip() for p in parts if p.strip())
        elif key == "time format" and "local" in rest.lower():
            self.local = True
        elif key in ("date", "start-date"):
            self.date = rest.strip()[:10]
        elif key == "software":
            self.software = rest.strip()

    @property
    def standard(self) -> bool:
        lower = {n.lower() for n in self.names}
        return self.separator == " " and not lower.isdisjoint(
            {"c-ip", "cs-uri-stem", "cs-method", "cs-uri-path", "cs-uri"}
        )

    @property
    def dataset(self) -> str:
        if "Internet Information Services" in self.software:
            return "iis.access"
        if "Firewall" in self.software:
            return "windows.firewall"
        if "Exchange" in self.software:
            return "exchange.tracking"
        if "id.orig_h" in self.names:
            return "zeek"
        return "w3c.access"

    def split(self, line: str) -> list[str]:
        if self.separator == "\t":
            return line.split("\t")
        if self.separator == ",":
            return next(csv.reader([line]), [])
        if '"' not in line:
            return line.split()
        return [(q if q is not None else w) for q, w in ((m[1], m[2]) for m in _WORD.finditer(line))]


def detect(lines: Sequence[str]) -> float:
    return 1.0 if any(re.match(r"#fields:?\s", line, re.IGNORECASE) for line in lines[:50]) else 0.0


def parse_other(line: str, layout: Layout, context: Context) -> Event | None:
    """One line of a header log that is not about HTTP."""
    words = layout.split(line)
    if len(words) != len(layout.names):
        return None
    record = dict(zip(layout.names, words, strict=True))
    record = {k: v for k, v in record.items() if v not in ("-", "(empty)", "")}
    if layout.date and "time" in record and "date" not in record:
        record["date"] = layout.date
    local = layout.local or layout.dataset == "windows.firewall"
    used = context if local else Context(UTC, zone_assumed=False, written=context.written, neighbour=context.neighbour)
    event = map_record(record, used, dataset=layout.dataset)
    if "(own)" in event.cells:
        return None
    if layout.dataset == "exchange.tracking":
        _tracked(event.cells, record)
    elif layout.dataset == "zeek":
        event = zeek.shape(event, record)
    return event


def _tracked(cells: dict[str, Any], record: dict[str, str]) -> None:
    """Message tracking: who wrote to whom; the size is of one mail, in the direction it went."""
    for column, name in (
        ("event.action", "event-id"),
        ("user.name", "sender-address"),
        ("source.ip", "original-client-ip"),
        ("source.domain", "client-hostname"),
        ("destination.domain", "server-hostname"),
    ):
        value = record.get(name, "")
        if value and (not column.endswith(".ip") or ip(value)):
            cells[column] = value
    cells["event.category"] = "email"
    cells.pop("event.code", None)
    size = whole(record.get("total-bytes", ""))
    if size is not None and record.get("event-id") in ("SEND", "SENDEXTERNAL"):
        cells["source.bytes"] = size
    if record.get("event-id", "").startswith(("FAIL", "BADMAIL", "POISON")):
        cells["event.outcome"] = "failure"


def parse_block(texts: Sequence[str], context: Context, *, layout: Layout) -> tuple[Lists, list[int]]:
    """Lines of one HTTP layout as columns; the numbers of those with a wrong count of values."""
    width = len(layout.names)
    split = _split_all(texts, layout)
    odd = [i for i, words in enumerate(split) if len(words) != width]
    for i in odd:
        split[i] = ["-"] * width
    raw = dict(zip((n.lower() for n in layout.names), zip(*split, strict=True), strict=False))
    lists = Lists(len(texts))
    lists.put("event.dataset", layout.dataset)
    lists.put("event.category", "web")
    _times(lists, raw, layout, context)
    columns = {name: encode(values) for name, values in raw.items() if name not in _TAKEN}
    proxy = not _PROXY.isdisjoint(raw)
    for name, column in columns.items():
        _put(lists, name, column, proxy)
    _url(lists, raw, proxy)
    lists.clear(odd)
    return lists, odd


def _split_all(texts: Sequence[str], layout: Layout) -> list[list[str]]:
    """All lines at the speed of the csv module where that is safe, else one by one."""
    if layout.separator == " " and any('"' in text for text in texts):
        try:
            rows = list(csv.reader(texts, delimiter=" ", quotechar='"'))
        except csv.Error:
            rows = []
        # A quote that is never closed makes one row of several lines.
        if len(rows) == len(texts) and not any("\\" in text for text in texts):
            return [row if "" not in row else [word for word in row if word] for row in rows]
    return [layout.split(text) for text in texts]


def _times(lists: Lists, raw: dict[str, tuple[str, ...]], layout: Layout, context: Context) -> None:
    zone = context if layout.local else Context(UTC, zone_assumed=False)
    clock = raw.get("time")
    if clock is not None:
        dates = raw.get("date") or (layout.date,) * lists.count
        wholes = encode([f"{d} {t}" for d, t in zip(dates, clock, strict=True)])
    elif "date-time" in raw or "gmttime" in raw or "timestamp" in raw or "x-timestamp" in raw:
        wholes = encode(next(raw[n] for n in ("date-time", "gmttime", "timestamp", "x-timestamp") if n in raw))
    else:
        return
    found = [stamp(text, zone) for text in wholes.values]
    times = np.array([NO_TIME if f is None else f.time for f in found] or [NO_TIME], dtype=np.int64)
    lists.times = times[wholes.codes]
    lists.put_column("event.timezone", wholes, [None if f is None else f.zone for f in found])
    lists.put_column(
        "event.original_time", wholes, [t if f is None else None for f, t in zip(found, wholes.values, strict=True)]
    )


def _put(lists: Lists, name: str, column: Column, proxy: bool) -> None:
    target = _COLUMNS.get(name)
    if proxy and name in ("s-ip", "s-port"):
        target = None  # the proxy itself, not where the request went
    if target is None or target in lists.columns:
        lists.derive(name, column, _said)
    elif target == "user.name":
        names = [account(v) for v in column.values]
        lists.put_column("user.name", column, [n[0] for n in names])
        lists.put_column("user.domain", column, [n[1] for n in names])
    elif target.endswith(".ip"):
        side = target.partition(".")[0]
        lists.derive(target, column, ip)
        if f"{side}.domain" not in lists.columns and name != "s-ip":
            lists.derive(f"{side}.domain", column, lambda v: None if ip(v) or v in ("-", "") else v.lower())
    elif target.endswith(".port"):
        lists.derive(target, column, port)
    elif target == "destination.domain":
        lists.derive(
            target, column, lambda v: None if ip(v.partition(":")[0]) or v in ("-", "") else v.partition(":")[0].lower()
        )
        if "destination.ip" not in lists.columns:
            lists.derive("destination.ip", column, ip)
    elif target in ("source.bytes", "destination.bytes", "http.response.status_code"):
        lists.derive(target, column, whole)
    elif target == "user_agent.original":
        # IIS writes spaces as plus signs.
        lists.derive(target, column, lambda v: None if v in ("-", "") else (v.replace("+", " ") if " " not in v else v))
    else:
        lists.derive(target, column, _said)


def _said(text: str) -> str | None:
    return None if text in ("-", "") else text


def _url(lists: Lists, raw: dict[str, tuple[str, ...]], proxy: bool) -> None:
    nothing = ("-",) * lists.count
    if "cs-uri" in raw:
        urls: list[str] = list(raw["cs-uri"])
    else:
        paths = raw.get("cs-uri-stem") or raw.get("cs-uri-path")
        if paths is None:
            return
        queries = raw.get("cs-uri-query", nothing)
        urls = [
            p if q in ("-", "") else f"{p}{q}" if q[0] == "?" else f"{p}?{q}"
            for p, q in zip(paths, queries, strict=True)
        ]
        hosts = raw.get("cs-host") or raw.get("cs-uri-host")
        if proxy and hosts is not None:
            urls = [
                _whole_url(*parts)
                for parts in zip(
                    urls,
                    raw.get("cs-uri-scheme", nothing),
                    hosts,
                    raw.get("cs-uri-port", nothing),
                    raw.get("cs-method", nothing),
                    strict=True,
                )
            ]
    column = encode(urls)
    lists.derive("url.full", column, _said)
    if proxy and "destination.domain" not in lists.columns:
        hosts_of = [url_host(v)[0] for v in column.values]
        lists.put_column("destination.domain", column, [None if h is None or ip(h) else h for h in hosts_of])


_DEFAULT_PORTS = {"http": "80", "https": "443", "ftp": "21"}


def _whole_url(path: str, scheme: str, host: str, number: str, method: str) -> str:
    """The URL that the line's parts make; host:port for CONNECT."""
    if host in ("-", ""):
        return path
    if method == "CONNECT" or scheme in ("tcp", "ssl"):
        return f"{host}:{number}" if number not in ("-", "") else host
    if "://" in path:
        return path
    if scheme == "-":
        scheme = "https" if number == "443" else "http"
    at = "" if number in ("-", "", _DEFAULT_PORTS.get(scheme)) else f":{number}"
    tail = "" if path == "-" else path
    return f"{scheme}://{host}{at}{tail}"

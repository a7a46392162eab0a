"""Web access logs (Apache, nginx, Squid's emulation of them) and web servers' error logs.

Common and combined format, with a virtual host in front, without a user, with anything behind.
Times carry their offset. `url.full` is what the request line says: a path on a web server, a
whole URL or host:port on a proxy.
Source: Apache mod_log_config, nginx ngx_http_log_module, Squid logformat "combined".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from hikeshi.events.table import Column, encode
from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import account, ip, put_host, whole
from hikeshi.parse.block import Lists
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.names import finish
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    r"([^\[\"]{1,400}?) +\[([^\]\"]{10,64})\] +"
    + _QUOTED
    + r" (\d{3}|-)(?: +(\d+|-))?(?: +"
    + _QUOTED
    + r" +"
    + _QUOTED
    + r")?(?: +(.*))?\Z"
)
_REQUEST = re.compile(r"([A-Z][A-Z_-]{2,19}) +(.*?)(?: +(HTTP/[\d.]+))?\Z")
_SQUID_TAIL = re.compile(r"(?:TCP|UDP|NONE)\w*:\w+")
_VHOST = re.compile(r"[A-Za-z0-9._-]+(?::\d{1,5})?\Z")
_NGINX_ERROR = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w+)\] (\d+)#(\d+): (.*)\Z", re.DOTALL)
_APACHE_ERROR = re.compile(r"\[([A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ [\d:.]+ \d{4})\] ((?:\[[^\]]*\] ?)+)(.*)\Z", re.DOTALL)
_BRACKET = re.compile(r"\[([^\]]*)\]")
_MODSEC = re.compile(r'\[(\w+) "((?:[^"\\]|\\.)*)"\]')


def claims(body: str, header: Header | None) -> bool:
    match = _LINE.match(body)
    return match is not None and _client(match[1]) is not None


def claims_error(body: str, header: Header | None) -> bool:
    if body[:1] == "[":
        return _APACHE_ERROR.match(body) is not None
    return body[4:5] == "/" and _NGINX_ERROR.match(body) is not None


def _client(head: str) -> tuple[str | None, str, str | None] | None:
    """(virtual host, client, user) of what stands before the time."""
    words = head.split()
    if not words:
        return None
    at = next((i for i, w in enumerate(words[:2]) if ip(w)), None)
    if at is None:
        at = 1 if len(words) > 3 else 0
        if not _VHOST.match(words[at]):
            return None
    host = words[0] if at == 1 and words[0] != "-" else None
    user = " ".join(words[at + 2 :]) or None
    return host, words[at], user if user != "-" else None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    lists, odd = parse_block([body], context)
    if odd:
        return None
    cells = {name: column.values[column.codes[0]] for name, column in lists.columns.items() if column.codes[0] >= 0}
    event = Event(int(lists.times[0]), cells)
    return with_header(event, header, context) if header else event


def parse_block(texts: Sequence[str], context: Context) -> tuple[Lists, list[int]]:
    """Many lines at once: columns, and the numbers of lines that are no access log."""
    found = [match.groups() if (match := _LINE.match(text)) else _BLANK for text in texts]
    head, when, request, status, size, referer, agent, rest = (encode(c) for c in zip(*found, strict=True))
    lists = Lists(len(texts))
    stamps = [stamp(v, context) for v in when.values]
    clients = [_client(v) for v in head.values]
    good = (
        np.array([s is not None for s in stamps])[when.codes] & np.array([c is not None for c in clients])[head.codes]
    )
    odd = np.flatnonzero(~good).tolist()
    lists.times = np.array([s.time if s else NO_TIME for s in stamps], dtype=np.int64)[when.codes]
    lists.put_column("event.timezone", when, [s.zone if s else None for s in stamps])
    lists.put_column("time.note", when, [s.note if s else None for s in stamps])
    lists.put("event.category", "web")
    _put_clients(lists, head, clients)
    hosts = _put_request(lists, request)
    # The server that answered: the host in the URL, else the virtual host before the line.
    virtual = [_host_cells(c[0]) if c and c[0] else {} for c in clients]
    for name in ("destination.ip", "destination.domain", "destination.port"):
        lists.two(
            name,
            Column([h.get(name) for h in hosts], request.codes),
            Column([v.get(name) for v in virtual], head.codes),
        )
    numbers = [whole(v) or None for v in status.values]
    lists.put_column("http.response.status_code", status, numbers)
    lists.put_column(
        "event.outcome", status, [None if n is None else "success" if n < 400 else "failure" for n in numbers]
    )
    lists.derive("destination.bytes", size, whole)
    lists.derive("user_agent.original", agent, _said)
    lists.derive("http.request.referrer", referer, _said)
    tails = [v.strip() or None for v in rest.values]
    squid = [bool(t and _SQUID_TAIL.search(t)) for t in tails]
    lists.put_column("rest", rest, tails)
    lists.two(
        "event.dataset",
        Column(["squid.access" if s else None for s in squid], rest.codes),
        Column(["web.access"], np.zeros(len(texts), dtype=np.int32)),
    )
    methods = lists.columns.get("http.request.method")
    actions = Column(
        [t.split()[-1].partition(":")[0] if s and t else None for s, t in zip(squid, tails, strict=True)], rest.codes
    )
    lists.two("event.action", actions, methods or Column([], np.full(len(texts), -1, dtype=np.int32)))
    lists.clear(odd)
    return lists, odd


_BLANK: tuple[str | None, ...] = ("?", "?", "", None, None, None, None, None)


def _put_clients(lists: Lists, head: Column, clients: list[tuple[str | None, str, str | None] | None]) -> None:
    sources = [_host_cells(c[1], "source") if c else {} for c in clients]
    users = [account(c[2]) if c and c[2] else (None, None) for c in clients]
    for name in ("source.ip", "source.domain", "source.port"):
        lists.put_column(name, head, [s.get(name) for s in sources])
    lists.put_column("user.name", head, [u[0] for u in users])
    lists.put_column("user.domain", head, [u[1] for u in users])


def _put_request(lists: Lists, request: Column) -> list[dict[str, Any]]:
    """Columns of the request line; gives the server each unique line names itself."""
    asked = [_REQUEST.match(v) for v in request.values]
    lists.put_column("http.request.method", request, [a[1] if a else None for a in asked])
    lists.put_column("url.full", request, [a[2] if a else None for a in asked])
    lists.put_column("http.version", request, [a[3] if a else None for a in asked])
    lists.put_column(
        "http.request",
        request,
        [v if a is None and v and v != "-" else None for a, v in zip(asked, request.values, strict=True)],
    )
    hosts: list[dict[str, Any]] = []
    for match in asked:
        cells: dict[str, Any] = {"url.full": match[2]} if match else {}
        finish(cells)
        hosts.append(cells)
    return hosts


def _host_cells(text: str, side: str = "destination") -> dict[str, Any]:
    cells: dict[str, Any] = {}
    put_host(cells, side, text)
    return cells


def _said(text: str) -> str | None:
    return None if text in ("-", "") else text


def parse_error(body: str, header: Header | None, context: Context) -> Event | None:
    """nginx and Apache error logs, with ModSecurity's tags."""
    event = _nginx_error(body, context) or _apache_error(body, context)
    if event is None:
        return None
    finish(event.cells)
    return with_header(event, header, context) if header else event


def _nginx_error(body: str, context: Context) -> Event | None:
    match = _NGINX_ERROR.match(body)
    if match is None:
        return None
    when_text, level, pid, _, message = match.groups()
    cells: dict[str, Any] = {
        "event.dataset": "web.error",
        "event.category": "web",
        "event.action": "error",
        "message": message,
        "log.level": level,
        "process.pid": whole(pid),
    }
    for key, value in re.findall(r', (client|server|request|upstream|host|referrer): ("[^"]*"|[^,]*)', message):
        value = value.strip('"')
        if key == "client":
            put_host(cells, "source", value)
        elif key == "server" and value not in ("", "_"):
            put_host(cells, "destination", value)
        elif key == "request":
            asked = _REQUEST.match(value)
            if asked:
                cells["http.request.method"], cells["url.full"] = asked[1], asked[2]
        elif key == "host" and "destination.domain" not in cells:
            put_host(cells, "destination", value)
        else:
            cells[f"nginx.{key}"] = value
    return timed(stamp(when_text, context), cells)


def _apache_error(body: str, context: Context) -> Event | None:
    match = _APACHE_ERROR.match(body)
    if match is None:
        return None
    cells: dict[str, Any] = {
        "event.dataset": "web.error",
        "event.category": "web",
        "event.action": "error",
        "message": match[3],
    }
    for tag in _BRACKET.findall(match[2]):
        if tag.startswith("client "):
            put_host(cells, "source", tag[7:])
        elif tag.startswith("pid "):
            number = whole(tag[4:].partition(":")[0])
            if number is not None:
                cells["process.pid"] = number
        elif tag:
            cells["log.level"] = tag
    for key, value in _MODSEC.findall(match[3]):
        if key == "hostname":
            put_host(cells, "destination", value)
        elif key == "uri":
            cells["url.full"] = value
        elif key == "msg":
            cells["rule.name"] = value
        else:
            cells[f"modsecurity.{key}"] = value
    user = re.search(r"\buser (\S+?):? (?:not found|: authentication failure|authentication failure)", match[3])
    if user:
        cells["user.name"] = user[1]
        cells["event.category"], cells["event.outcome"] = "authentication", "failure"
    path = re.search(r"(?:not found|failure for|mismatch): ?\"?(/\S*?)\"?(?:,|\Z|:)", match[3])
    if path and "url.full" not in cells:
        cells["url.full"] = path[1]
    return timed(stamp(match[1], context), cells)

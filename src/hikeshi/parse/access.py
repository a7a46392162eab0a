"""Web access logs (Apache, nginx, Squid's emulation of them) and web servers' error logs.

Common and combined format, with a virtual host in front, without a user, with anything behind.
Times carry their offset. `url.full` is what the request line says: a path on a web server, a
whole URL or host:port on a proxy.
Source: Apache mod_log_config, nginx ngx_http_log_module, Squid logformat "combined".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.parse.addresses import account, ip, put_host, whole
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.names import finish
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    r"((?:\S+ ){1,3}?\S+?|[^\[\"]{1,400}?) +\[([^\]\"]{10,64})\] +" + _QUOTED
    + r" (\d{3}|-)(?: +(\d+|-))?(?: +" + _QUOTED + r" +" + _QUOTED + r")?(?: +(.*))?\Z")
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
    user = " ".join(words[at + 2:]) or None
    return host, words[at], user if user != "-" else None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    match = _LINE.match(body)
    if match is None:
        return None
    head, when_text, request, status, size, referer, agent, rest = match.groups()
    who = _client(head)
    when = stamp(when_text, context)
    if who is None or when is None:
        return None
    vhost, client, user = who
    cells: dict[str, Any] = {"event.dataset": "web.access", "event.category": "web"}
    put_host(cells, "source", client)
    if user:
        name, domain = account(user)
        if name:
            cells["user.name"] = name
        if domain:
            cells["user.domain"] = domain
    asked = _REQUEST.match(request)
    if asked:
        cells["http.request.method"], cells["event.action"] = asked[1], asked[1]
        cells["url.full"] = asked[2]
        if asked[3]:
            cells["http.version"] = asked[3]
    elif request:
        cells["http.request"] = request
    if vhost:
        put_host(cells, "destination", vhost)
    finish(cells)
    number = whole(status)
    if number:
        cells["http.response.status_code"] = number
        cells["event.outcome"] = "success" if number < 400 else "failure"
    if size and size != "-":
        cells["destination.bytes"] = whole(size)
    if agent and agent != "-":
        cells["user_agent.original"] = agent
    if referer and referer != "-":
        cells["http.request.referrer"] = referer
    if rest and rest.strip():
        cells["rest"] = rest.strip()
        if _SQUID_TAIL.search(rest):
            cells["event.dataset"] = "squid.access"
            cells["event.action"] = rest.split()[-1].partition(":")[0]
    event = timed(when, cells)
    return with_header(event, header, context) if header else event


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
    cells: dict[str, Any] = {"event.dataset": "web.error", "event.category": "web", "event.action": "error",
                             "message": message, "log.level": level, "process.pid": whole(pid)}
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
    cells: dict[str, Any] = {"event.dataset": "web.error", "event.category": "web", "event.action": "error", "message": match[3]}
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



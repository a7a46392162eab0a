"""i-FILTER and D-SPA (Digital Arts): access logs of Ver. 8 to 10 and D-SPA 1 to 4, block logs.

Columns can be changed by the site: what has a shape of its own (the bracketed time with its
offset, the quoted request, the process and version in front) is found by it, the rest by position.
Times: the bracketed start of the access carries its offset; the head has neither year nor zone.
Source: Digital Arts, FAQ 4301 (D-SPA 4), 5614 (i-FILTER@Cloud), 2196 (D-SPA 1, 2), 2800 (block log).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_plus

from hikeshi.parse.addresses import account, host_port, ip, port, put_host, url_host, whole
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_HEAD = re.compile(
    r"(?:[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d )?(\d{1,7}) (\d{2,5}/\d{1,3}/\S*) (.*?) ?"
    r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d ?(?:[+-]\d{4}|[A-Z]{3}))\] ?(.*)\Z",
    re.DOTALL,
)
_BLOCK = re.compile(
    r"(\d{1,7}) (\S+) (\S+) (\S+) (\S+) (\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}) "
    r"([a-z]{2,10}://\S+|\S+:\d+) ([a-z_]+) (.*)\Z"
)
_REQUEST = re.compile(r'"([A-Z]{3,20}) (\S+?)(?: (HTTP/[\d.]+))?"\s?')
_ACTION = re.compile(r"(?:^| )(block|pass|allow|permit|warn|override|write|white|through|proxy|filter|none)(?= )")


def claims(body: str, header: Header | None) -> bool:
    if _HEAD.match(body):
        return True
    return _BLOCK.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    match = _HEAD.match(body)
    if match is None:
        return _blocked(body, header, context)
    pid, version, before, when, after = match.groups()
    cells: dict[str, Any] = {
        "event.dataset": "ifilter.access",
        "event.category": "web",
        "process.pid": int(pid),
        "ifilter.version": version,
    }
    _before(cells, before.split())
    request = _REQUEST.search(after)
    if request:
        cells["http.request.method"], cells["url.full"] = request[1], request[2]
        rest = after[: request.start()] + after[request.end() :]
    else:
        rest = after
    _after(cells, after, rest, request)
    host, number = url_host(cells.get("url.full", ""))
    if host:
        put_host(cells, "destination", host)
    if number is not None:
        cells["destination.port"] = number
    event = timed(stamp(when, context), cells)
    return with_header(event, header, context) if header else event


def _before(cells: dict[str, Any], words: list[str]) -> None:
    """[parent proxy] [server:port] client, client, computer, user: addresses first, then names."""
    addresses = [i for i, word in enumerate(words) if ip(word)]
    servers = [i for i, word in enumerate(words) if ip(word) is None and ip(host_port(word)[0])]
    if addresses:
        # The last address is the client's own (X-Forwarded-For), the one before the device that spoke.
        cells["source.ip"] = ip(words[addresses[-1]])
        if len(addresses) > 1 and words[addresses[-2]] != words[addresses[-1]]:
            cells["ifilter.peer_ip"] = words[addresses[-2]]
        names = words[addresses[-1] + 1 :]
    else:
        names = words[-2:]
    if servers:
        host, number = host_port(words[servers[-1]])
        # Before there was a column for the server, the only pair is the parent proxy.
        if len(words) >= 6:
            cells["destination.ip"] = ip(host)
            if number is not None:
                cells["destination.port"] = number
        else:
            cells["ifilter.parent_proxy"] = words[servers[-1]]
    if names:
        user, domain = account(unquote_plus(names[-1]))
        if user:
            cells["user.name"] = user
        if domain:
            cells["user.domain"] = domain
        if len(names) > 1 and names[0] != "-":
            cells["source.domain"] = names[0]


def _after(cells: dict[str, Any], after: str, rest: str, request: re.Match[str] | None) -> None:
    words = rest.split()
    # Status, sub-status, size: three numbers side by side, behind the time or behind the request.
    for i in range(len(words) - 2):
        if re.fullmatch(r"[1-5]\d\d|0", words[i]) and words[i + 1].isdigit() and re.fullmatch(r"-?\d+", words[i + 2]):
            status, size = whole(words[i]), whole(words[i + 2])
            if status:
                cells["http.response.status_code"] = status
            if size is not None and size >= 0:
                cells["destination.bytes"] = size
            break
    action = _ACTION.search(rest)
    if action:
        cells["event.action"] = action[1]
        cells["event.outcome"] = "failure" if action[1] == "block" else "success"
    elif "http.request.method" in cells:
        cells["event.action"] = cells["http.request.method"]
    if request:
        agent = next(
            (
                w
                for w in after[request.end() :].split()
                if (re.match(r"[A-Z][A-Za-z]+(?:%2F|/)?[\w.%]*", w) and "%2F" in w)
                or w in ("Chrome", "Firefox", "Edge", "Safari", "MSIE")
            ),
            None,
        )
        if agent:
            cells["user_agent.original"] = unquote_plus(agent)
    if rest.strip():
        cells["ifilter.rest"] = rest.strip()


def _blocked(body: str, header: Header | None, context: Context) -> Event | None:
    match = _BLOCK.match(body)
    if match is None:
        return None
    pid, client, user, group, _, when, url, action, rest = match.groups()
    cells: dict[str, Any] = {
        "event.dataset": "ifilter.block",
        "event.category": "web",
        "process.pid": int(pid),
        "url.full": url,
        "event.action": action,
        "event.outcome": "failure" if action == "block" else "success",
        "ifilter.rest": rest,
    }
    put_host(cells, "source", client)
    name, domain = account(unquote_plus(user))
    if name:
        cells["user.name"] = name
    if domain:
        cells["user.domain"] = domain
    if group != "-":
        cells["ifilter.group"] = unquote_plus(group)
    host, number = url_host(url)
    if host:
        put_host(cells, "destination", host)
    if port(number) is not None:
        cells["destination.port"] = number
    last = rest.split()[-1] if rest.split() else "-"
    if re.search(r"[A-Za-z]", last):
        cells["rule.name"] = last
    event = timed(stamp(when, context), cells)
    return with_header(event, header, context) if header else event

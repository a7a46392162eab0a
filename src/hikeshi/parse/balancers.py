"""Web requests as load balancers and stores log them, values by place: HAProxy, AWS load balancers, AWS S3.

`source.bytes` is the request's size where it is logged, `destination.bytes` the answer's. HAProxy's accept time has
no zone; AWS writes UTC.
Source: HAProxy configuration manual ("Log format"), AWS "Access logs for your Application Load Balancer" and
"Classic Load Balancer", "Amazon S3 server access log format".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.parse.addresses import host_port, ip, put_host, whole
from hikeshi.parse.context import Context, Event, text_cells
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.names import finish
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_REQUEST = re.compile(r"([A-Z][A-Z_-]{2,19}) (\S+)(?: HTTP/[\d.]+)?\Z")

# ---- HAProxy -------------------------------------------------------------------------------

_HAPROXY = re.compile(
    r"\[?([0-9A-Fa-f.:]{3,39}?)\]?:(\d{1,5}) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\.\d{3})\] "
    r"([^\s/]+)(?: ([^\s/]+)/(\S+) ([\d/+-]+) (.*)|/(\S+): (.*))\Z"
)
_HAPROXY_HTTP = re.compile(r"(-?\d{1,3}) \+?(\d+) (?:\S+ \S+ )?(\S{4}) [\d/+]+ [\d/]+(?: (.*))?\Z")
_HAPROXY_TCP = re.compile(r"\+?(\d+) (\S\S) [\d/+]+ [\d/]+")


def claims_haproxy(body: str, header: Header | None) -> bool:
    return "] " in body[:90] and _HAPROXY.match(body) is not None


def parse_haproxy(body: str, header: Header | None, context: Context) -> Event | None:
    match = _HAPROXY.match(body)
    if match is None or ip(match[1]) is None:
        return None
    cells: dict[str, Any] = {
        "event.dataset": "haproxy",
        "event.category": "network",
        "source.ip": ip(match[1]),
        "source.port": whole(match[2]),
        "haproxy.frontend": match[4],
        "haproxy.backend": match[5],
        "haproxy.server": match[6],
        "message": body,
    }
    rest = match[8] or ""
    if match[9]:
        cells["event.outcome"] = "failure"
        cells["event.action"] = match[10]
    elif http := _HAPROXY_HTTP.match(rest):
        status, size, state, tail = http.groups()
        cells |= {"event.category": "web", "destination.bytes": whole(size), "haproxy.state": state}
        _put_status(cells, status)
        # Captured headers may hold anything, a link in a user agent too: the request is the last in quotes.
        if asked := re.search(_QUOTED + r"\s*\Z", tail or ""):
            _put_request(cells, asked[1])
    elif tcp := _HAPROXY_TCP.match(rest):
        cells |= {"destination.bytes": whole(tcp[1]), "haproxy.state": tcp[2]}
    # Its own time has a year, the header's may not; a header's zone counts all the same.
    own = stamp(match[3], context)
    return with_header(timed(own, text_cells(cells)), header, context)


# ---- AWS load balancers ----------------------------------------------------------------------

_TIMES = r"(-?[\d.]+) (-?[\d.]+) (-?[\d.]+)"
_BALANCER = re.compile(
    r"(?:(https?|h2|grpcs|wss?) )?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) (\S+) (\S+:\d{1,5}) (\S+:\d{1,5}|-) "
    + _TIMES
    + r" (\d{3}|-) (\d{3}|-) (\d+) (\d+) "
    + _QUOTED
    + r"(?: "
    + _QUOTED
    + r")?(.*)\Z"
)


def claims_balancer(body: str, header: Header | None) -> bool:
    return body[:2].isalnum() and _BALANCER.match(body) is not None


def parse_balancer(body: str, header: Header | None, context: Context) -> Event | None:
    match = _BALANCER.match(body)
    if match is None:
        return None
    kind, when, name, client, target, _, _, _, status, _, got, sent, request, agent, rest = match.groups()
    cells: dict[str, Any] = {
        "event.dataset": "aws.elb",
        "event.category": "web",
        "source.bytes": whole(got),
        "destination.bytes": whole(sent),
        "user_agent.original": agent,
        "observer.name": name,
        "network.protocol": kind,
        "aws.target": target,
        "rest": rest.strip(),
    }
    put_host(cells, "source", client)
    if ip(host_port(target)[0]):
        put_host(cells, "destination", target)
        cells.pop("destination.port", None)  # the target's, not the one the client called
    _put_status(cells, status)
    _put_request(cells, request)
    finish(cells)
    return with_header(timed(stamp(when, context), text_cells(cells)), header, context)


# ---- AWS S3 ------------------------------------------------------------------------------------

_S3 = re.compile(
    r"([0-9a-f]{16,64}) (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] (\S+) (\S+) ([0-9A-Za-z]+) "
    r"([A-Z0-9]+\.[A-Z_.]+) (\S+) (?:" + _QUOTED + r"|-) (\d{3}|-) (\S+) (\d+|-) (\d+|-) (\S+) (\S+) "
    r"(?:" + _QUOTED + r"|-) (?:" + _QUOTED + r"|-)(.*)\Z"
)


def claims_s3(body: str, header: Header | None) -> bool:
    return body[:8].isalnum() and _S3.match(body) is not None


def parse_s3(body: str, header: Header | None, context: Context) -> Event | None:
    match = _S3.match(body)
    if match is None:
        return None
    _, bucket, when, address, who, _, operation, key, request, status, error, sent, size, _, _, _, agent, rest = (
        match.groups()
    )
    cells: dict[str, Any] = {
        "event.dataset": "aws.s3",
        "event.category": "file",
        "event.action": operation,
        "file.path": f"{bucket}/{key}" if key != "-" else bucket,
        "destination.bytes": whole(sent),
        "user_agent.original": agent,
        "s3.error": error,
        "s3.object_size": size,
        "s3.requester": who,
        "rest": rest.strip(),
    }
    if operation in ("REST.PUT.OBJECT", "REST.PUT.PART") and whole(size):
        cells["source.bytes"] = whole(size)
    put_host(cells, "source", address)
    if who != "-":
        cells["user.name"] = who.rpartition("/")[2] if who.startswith("arn:") else who
    _put_status(cells, status)
    if request:
        _put_request(cells, request)
    if host := re.search(r" (\S+\.s3[.-]\S*amazonaws\.com\S*) ", rest):
        cells["destination.domain"] = host[1].lower()
    return with_header(timed(stamp(when, context), text_cells(cells)), header, context)


def _put_status(cells: dict[str, Any], text: str) -> None:
    number = whole(text)
    if number is not None and 100 <= number <= 999:
        cells["http.response.status_code"] = number
        cells["event.outcome"] = "success" if number < 400 else "failure"


def _put_request(cells: dict[str, Any], text: str) -> None:
    if (asked := _REQUEST.match(text)) and asked[2] != "-":
        cells["http.request.method"], cells["url.full"] = asked[1], asked[2]
        finish(cells)



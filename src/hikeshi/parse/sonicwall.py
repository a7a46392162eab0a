"""SonicWall firewalls: key=value syslog (its CEF goes through cef.py).

Endpoints are written address:port:interface[:name]. Times are local unless the stamp says UTC.
The URL stands apart: dstname is the host, arg the path.
Source: SonicWall, "SonicOS Log Events Reference Guide".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.parse.addresses import account, ip, port, put_host, whole
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import pairs, with_header
from hikeshi.parse.names import outcome
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_SIGNATURE = re.compile(r"(?=.{0,300}?\bsn=[0-9A-Fa-f]{2,})(?=.{0,300}?\bfw=)(?=.{0,400}?\bm=\d+)", re.DOTALL)
_TAKEN = frozenset({"src", "dst", "time", "user", "usr", "msg", "m", "sent", "rcvd", "fw"})
_BAD = re.compile(r"(?i)\b(?:den(?:y|ied)|fail(?:ed|ure)?|drop(?:ped)?|block(?:ed)?|reject(?:ed)?|invalid|incorrect)\b")
_GOOD = re.compile(r"(?i)\b(?:allowed|success(?:ful)?(?:ly)?|opened|logged in)\b")


def claims(body: str, header: Header | None) -> bool:
    return "fw=" in body[:400] and _SIGNATURE.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    record, _ = pairs(body)
    if "fw" not in record or "m" not in record:
        return None
    get = record.get
    cells: dict[str, Any] = {"event.dataset": "sonicwall", "event.category": "network", "event.code": record["m"]}
    cells["observer.name"] = get("fw")
    for side, key in (("source", "src"), ("destination", "dst")):
        _endpoint(cells, side, get(key, ""))
    name, domain = account(get("usr") or get("user") or get("susr") or "")
    if name and name.lower() not in ("unknown", "unknown (sso bypassed)"):
        cells["user.name"] = name
        if domain:
            cells["user.domain"] = domain
    for column, key in (
        ("source.bytes", "sent"),
        ("destination.bytes", "rcvd"),
        ("http.response.status_code", "result"),
    ):
        number = whole(get(key, ""))
        if number is not None and number >= 0:
            cells[column] = number
    message = get("msg", "")
    if message:
        cells["message"] = message
    proto = get("proto", "")
    if proto:
        cells["network.protocol"] = proto
    _url(cells, get("dstname", ""), get("arg", ""), proto)
    action = get("fw_action", "").strip('"')
    cells["event.action"] = action if action not in ("", "NA") else message[:60].lower() or f"m={record['m']}"
    found = outcome(action) or ("failure" if _BAD.search(message) else "success" if _GOOD.search(message) else None)
    if found:
        cells["event.outcome"] = found
    if re.search(r"(?i)\b(?:login|log ?on|logged|authentication|vpn zone)\b", message):
        cells["event.category"] = "authentication"
    for key, value in record.items():
        if key not in _TAKEN and value != "":
            cells.setdefault(key if key not in cells else f"{key} (own)", value)
    when = get("time", "")
    return with_header(timed(stamp(when, context) if when else None, cells), header, context)


def _endpoint(cells: dict[str, Any], side: str, text: str) -> None:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        parts = [host, *rest.lstrip(":").split(":")]
    elif text.count(":") > 3 and ip(text):
        parts = [text]
    else:
        parts = text.split(":")
    address = ip(parts[0])
    if address is None or address == "0.0.0.0":
        return
    cells[f"{side}.ip"] = address
    number = port(parts[1]) if len(parts) > 1 else None
    if number is not None:
        cells[f"{side}.port"] = number
    if len(parts) > 2 and parts[2]:
        cells[f"{side}.interface"] = parts[2]
    if len(parts) > 3 and "." in parts[3]:
        cells[f"{side}.domain"] = parts[3].lower()


def _url(cells: dict[str, Any], host: str, path: str, proto: str) -> None:
    if host:
        put_host(cells, "destination", host.split("/", 1)[0])
    if host and (path.startswith("/") or proto.rpartition("/")[2] in ("http", "https")):
        scheme = "https" if proto.endswith("https") or cells.get("destination.port") == 443 else "http"
        cells["url.full"] = host + path if "://" in host else f"{scheme}://{host}{path}"

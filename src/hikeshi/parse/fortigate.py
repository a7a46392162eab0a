"""FortiGate: key=value logs of FortiOS 5 to 7: traffic, utm, event with SSL-VPN.

Times: `eventtime` (seconds to nanoseconds) is the epoch; without it date, time and `tz`, or the
context's zone. Volumes: a long session is logged again and again with running totals; `sentdelta`
is what is new since, so that sums over lines are right.
Source: Fortinet, "FortiOS Log Message Reference".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import account, ip, port, put_host, url_host, whole
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import pairs, with_header
from hikeshi.parse.names import outcome, rebuild_url
from hikeshi.parse.stamps import Stamp, own_zone, stamp
from hikeshi.parse.syslog import Header

_SIGNATURE = re.compile(
    r'(?=.{0,4000}?\btype="?(?:traffic|utm|event|anomaly|virus|webfilter|ips|dns|app-ctrl|voip|dlp|emailfilter|waf|ssh|ssl|gtp|file-filter|icap)\b)'
    r"(?=.{0,4000}?\bsubtype=)(?=.{0,4000}?\b(?:logid|devid|eventtime|vd|level)=)",
    re.DOTALL,
)
_VALUE = re.compile(r'([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]*))(?:[\s,]+|\Z)')
KINDS = frozenset(
    {
        "traffic",
        "utm",
        "event",
        "anomaly",
        "virus",
        "webfilter",
        "ips",
        "dns",
        "app-ctrl",
        "voip",
        "dlp",
        "emailfilter",
        "waf",
        "ssh",
        "ssl",
        "gtp",
        "file-filter",
        "icap",
    }
)
NONE = frozenset({"", "N/A", "n/a", "0.0.0.0", "::", "none"})
_EPOCH_LENGTHS = frozenset({10, 13, 16, 19})
# A value and the column it fills, where no earlier one did.
PLAIN = (
    ("action", "event.action"),
    ("logid", "event.code"),
    ("devname", "observer.name"),
    ("service", "network.protocol"),
    ("agent", "user_agent.original"),
    ("msg", "message"),
    ("attack", "rule.name"),
    ("policyname", "rule.name"),
    ("filename", "file.path"),
    ("virus", "rule.name"),
    ("srcname", "source.domain"),
    ("httpmethod", "http.request.method"),
)
# Kept under their own name as well as in a column, since rules and reports know them.
BOTH = frozenset({"action", "logid", "user", "status"})


def claims(body: str, header: Header | None) -> bool:
    return "subtype=" in body and _SIGNATURE.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    record = _record(body)
    if "subtype" not in record and "logid" not in record:
        return None
    cells: dict[str, Any] = {}
    taken: set[str] = set()
    get = record.get
    cells["event.dataset"] = "fortinet." + (get("type") or "log")
    for side, keys in (("source", ("srcip", "remip", "remote_ip", "userip")), ("destination", ("dstip", "locip"))):
        for key in keys:
            value = get(key, "")
            if value in NONE:
                continue
            address = ip(value)
            if address:
                cells[f"{side}.ip"] = address
            else:
                put_host(cells, side, value)
            taken.add(key)
            break
    if "source.ip" not in cells:
        _from_interface(cells, get("ui", ""))
    for column, keys in (("source.port", ("srcport", "remport")), ("destination.port", ("dstport", "locport"))):
        for key in keys:
            number = port(get(key, ""))
            if number is not None:
                cells[column] = number
                taken.add(key)
                break
    for column, keys in (("source.bytes", ("sentdelta", "sentbyte")), ("destination.bytes", ("rcvddelta", "rcvdbyte"))):
        for key in keys:
            number = whole(get(key, ""))
            if number is not None:
                cells[column] = number
                break
    _destination_and_url(cells, record, taken)
    _user(cells, record)
    for key, column in PLAIN:
        value = get(key, "")
        if value not in NONE and column not in cells:
            cells[column] = value
            taken.add(key)
    if get("cat") and get("reqtype") and "http.request.method" not in cells and "logdesc" not in record:
        cells["event.category"] = "web"
    found = _outcome(record)
    if found:
        cells["event.outcome"] = found
    subtype, kind = get("subtype", ""), get("type", "")
    if kind == "event" and subtype in ("vpn", "user", "system") and (get("user") or "login" in get("action", "")):
        cells["event.category"] = "authentication"
    elif kind == "traffic":
        cells["event.category"] = "network"
    time = _time(cells, record, context, taken)
    for key, value in record.items():
        if (key not in taken or key in BOTH) and value != "":
            cells.setdefault(key, value)
    event = Event(time, cells)
    return with_header(event, header, context) if header is not None else event


def _record(body: str) -> dict[str, str]:
    """Fast where every value is quoted or without spaces; else the patient way."""
    if not body[:1].isalpha() or _VALUE.sub("", body):
        return pairs(body)[0]
    out: dict[str, str] = {}
    for key, quoted, plain in reversed(_VALUE.findall(body)):
        if "\\" in quoted:
            quoted = quoted.replace('\\"', '"').replace("\\\\", "\\")
        out[key] = quoted or plain
    return out


def _from_interface(cells: dict[str, Any], ui: str) -> None:
    """Administrators' address stands in ui="ssh(192.0.2.1)"."""
    name, bracket, rest = ui.partition("(")
    address = ip(rest.rstrip(")")) if bracket and name else None
    if address:
        cells["source.ip"] = address


def _destination_and_url(cells: dict[str, Any], record: dict[str, str], taken: set[str]) -> None:
    host = record.get("hostname", "")
    if host not in NONE:
        put_host(cells, "destination", host)
        taken.add("hostname")
    name = record.get("qname", "").strip("[]")
    if name not in NONE:
        cells["dns.question.name"] = name.rstrip(".").lower()
        cells["event.category"] = "network"
        if cells["dns.question.name"] == record["qname"]:
            taken.add("qname")
    url = record.get("url", "")
    if url not in NONE:
        cells["url.full"] = url
        taken.add("url")
        found, number = url_host(url) if "://" in url else (None, None)
        if found and "destination.domain" not in cells:
            put_host(cells, "destination", found)
        if number is not None:
            cells.setdefault("destination.port", number)
    if "destination.domain" not in cells:
        for key in ("dstname", "dst_host"):
            if record.get(key, "") not in NONE:
                put_host(cells, "destination", record[key])
                break
    # Logged is only the path where the host has a field of its own.
    rebuild_url(cells, scheme(cells.get("destination.port"), record.get("service", "")))


def scheme(number: object, service: str) -> str:
    return "https" if number == 443 or service.upper() in ("HTTPS", "SSL") else "http"


def _user(cells: dict[str, Any], record: dict[str, str]) -> None:
    for key in ("user", "unauthuser", "xauthuser", "login", "admin", "dstuser"):
        value = record.get(key, "")
        if value in NONE or value == "-":
            continue
        # "john.doe,cn=john.doe" is a certificate user; the account is the first part.
        name, domain = account(value.split(",cn=", 1)[0])
        if name:
            cells["user.name"] = name
            if domain:
                cells["user.domain"] = domain
            return


def _outcome(record: dict[str, str]) -> str | None:
    for key in ("status", "action", "result"):
        found = outcome_of(record.get(key, ""))
        if found:
            return found
    return None


def outcome_of(text: str) -> str | None:
    value = text.lower()
    if not value:
        return None
    if "fail" in value or value.endswith("-deny"):
        return "failure"
    if value in ("tunnel-up", "ssl-login-success", "auth-success"):
        return "success"
    return outcome(value)


def epoch(text: str, context: Context) -> Stamp | None:
    """Seconds to nanoseconds since 1970; None for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) in _EPOCH_LENGTHS):
        return None
    found = stamp(text, context)
    return found if found is not None and found.time > 0 else None


def _time(cells: dict[str, Any], record: dict[str, str], context: Context, taken: set[str]) -> int:
    found = epoch(record.get("eventtime", ""), context)
    if found is not None:
        cells["event.timezone"] = "UTC"
        return found.time
    date, clock = record.get("date", ""), record.get("time", "")
    if date and clock:
        zone = record.get("tz", "")
        text = f"{date} {clock}"
        found = stamp(f"{text} {zone}" if own_zone(zone) else text, context) or stamp(text, context)
        if found is not None:
            taken.update(("date", "time"))
            cells["event.timezone"] = found.zone
            return found.time
    for key in ("timestamp", "itime"):
        found = epoch(record.get(key, ""), context)
        if found is not None:
            cells["event.timezone"] = "UTC"
            return found.time
    if date or clock:
        cells["event.original_time"] = f"{date} {clock}".strip()
    return NO_TIME

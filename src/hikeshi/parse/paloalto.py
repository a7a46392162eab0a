"""Palo Alto Networks firewalls: the comma-separated syslog of PAN-OS 8 to 11.

Times: the newest releases end a line with a stamp that has its offset; else the generated time,
which is the firewall's local time. A URL is logged without its scheme: url.full gets the one that
the port suggests. Bytes: source.bytes is what the client sent.
Source: Palo Alto Networks, "Syslog Field Descriptions".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hikeshi.events.table import Column, encode
from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import account, ip, port, url_host, whole
from hikeshi.parse.block import Lists
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.names import outcome
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header

_SIGNATURE = re.compile(
    r"[\d.]*,[^,]{8,40},[^,]*,(TRAFFIC|THREAT|URL|SYSTEM|CONFIG|GLOBALPROTECT|USERID|HIPMATCH|HIP-MATCH|AUTHENTICATION|DECRYPTION|"
    r"CORRELATION|GTP|SCTP|TUNNEL|IPTAG),"
)
_STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d:\d\d\Z")

# Names by position, as far as releases agree; the rest keeps its position as name.
_HEAD = ("future_use", "receive_time", "serial", "type", "subtype", "config_version", "time_generated")
_SESSION = (
    *_HEAD,
    "src",
    "dst",
    "natsrc",
    "natdst",
    "rule",
    "srcuser",
    "dstuser",
    "app",
    "vsys",
    "from",
    "to",
    "inbound_if",
    "outbound_if",
    "logset",
    "time_logged",
    "sessionid",
    "repeatcnt",
    "sport",
    "dport",
    "natsport",
    "natdport",
    "flags",
    "proto",
    "action",
)
_NAMES: dict[str, tuple[str, ...]] = {
    "TRAFFIC": (
        *_SESSION,
        "bytes",
        "bytes_sent",
        "bytes_received",
        "packets",
        "start",
        "elapsed",
        "category",
        "padding",
        "seqno",
        "actionflags",
        "srcloc",
        "dstloc",
        "padding2",
        "pkts_sent",
        "pkts_received",
        "session_end_reason",
    ),
    "THREAT": (
        *_SESSION,
        "misc",
        "threatid",
        "category",
        "severity",
        "direction",
        "seqno",
        "actionflags",
        "srcloc",
        "dstloc",
        "padding",
        "contenttype",
        "pcap_id",
        "filedigest",
        "cloud",
        "url_idx",
        "user_agent",
        "filetype",
        "xff",
        "referer",
        "sender",
        "subject",
        "recipient",
    ),
    "SYSTEM": (
        *_HEAD,
        "vsys",
        "eventid",
        "object",
        "padding",
        "padding2",
        "module",
        "severity",
        "opaque",
        "seqno",
        "actionflags",
    ),
    "CONFIG": (*_HEAD, "host", "vsys", "cmd", "admin", "client", "result", "path"),
    "GLOBALPROTECT": (
        *_HEAD,
        "vsys",
        "eventid",
        "stage",
        "auth_method",
        "tunnel_type",
        "srcuser",
        "srcregion",
        "machinename",
        "public_ip",
        "public_ipv6",
        "private_ip",
        "private_ipv6",
        "hostid",
        "serialnumber",
        "client_ver",
        "client_os",
        "client_os_ver",
        "repeatcnt",
        "reason",
        "error",
        "opaque",
        "status",
        "location",
        "login_duration",
        "connect_method",
        "error_code",
        "portal",
    ),
    "USERID": (
        *_HEAD,
        "vsys",
        "ip",
        "user",
        "datasourcename",
        "eventid",
        "repeatcnt",
        "timeout",
        "beginport",
        "endport",
        "datasource",
        "datasourcetype",
        "seqno",
    ),
    "HIPMATCH": (*_HEAD, "srcuser", "vsys", "machinename", "os", "src", "matchname", "repeatcnt", "matchtype"),
    "AUTHENTICATION": (
        *_HEAD,
        "vsys",
        "ip",
        "user",
        "normalize_user",
        "object",
        "authpolicy",
        "repeatcnt",
        "authid",
        "vendor",
        "logset",
        "serverprofile",
        "desc",
        "clienttype",
        "event",
        "factorno",
        "seqno",
    ),
    "DECRYPTION": _SESSION,
}
_NAMES["URL"] = _NAMES["THREAT"]
_NAMES["HIP-MATCH"] = _NAMES["HIPMATCH"]
_EMPTY = frozenset({"", "0.0.0.0", "::", "unknown", "N/A", "n/a"})


def claims(body: str, header: Header | None) -> bool:
    return body.count(",") > 8 and _SIGNATURE.match(body.lstrip()) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    row = _row(body)
    if row is None:
        return None
    lists, odd = parse_rows([row], context)
    if odd:
        return None
    cells = {name: column.values[column.codes[0]] for name, column in lists.columns.items() if column.codes[0] >= 0}
    event = Event(int(lists.times[0]), cells)
    return with_header(event, header, context) if header else event


def _row(body: str) -> list[str] | None:
    if _SIGNATURE.match(body.lstrip()) is None:
        return None
    try:
        return next(csv.reader([body.strip()]), None)
    except csv.Error:
        return None


def parse_block(texts: Sequence[str], context: Context) -> tuple[Lists, list[int]]:
    """Many lines at once; lines with a syslog header, or of another kind, are told as odd."""
    try:
        rows = list(csv.reader(texts))
    except csv.Error:
        rows = []
    if len(rows) != len(texts):  # an open quote joined lines
        rows = [_row(text) or [] for text in texts]
    return parse_rows(rows, context)


def parse_rows(rows: list[list[str]], context: Context) -> tuple[Lists, list[int]]:
    """Rows of any type as columns; each type is tabled by itself and put in its rows."""
    lists = Lists(len(rows))
    kinds: dict[tuple[str, int], list[int]] = {}
    odd: list[int] = []
    for number, row in enumerate(rows):
        if len(row) > 8 and row[3] in _NAMES:
            kinds.setdefault((row[3], len(row)), []).append(number)
        else:
            odd.append(number)
    for (kind, width), numbers in kinds.items():
        _kind(lists, kind, np.array(numbers), list(zip(*(rows[n] for n in numbers), strict=True)), width, context)
    return lists, odd


class _Part:
    """Columns of the rows of one type, put into the whole block's columns."""

    def __init__(self, lists: Lists, where: np.ndarray[Any, Any]) -> None:
        self.lists = lists
        self.where = where

    def put(self, name: str, column: Column, change: Callable[[str], Any]) -> None:
        values = [change(v) for v in column.values]
        if any(v is not None for v in values):
            self.lists.fill(name, self.where, column.codes, values)


def _kind(
    lists: Lists,
    kind: str,
    where: np.ndarray[Any, Any],
    columns: list[tuple[str, ...]],
    width: int,
    context: Context,
) -> None:
    names = _NAMES[kind]
    part = _Part(lists, where)
    raw = {names[i] if i < len(names) else f"column_{i + 1}": encode(values) for i, values in enumerate(columns)}
    lists.fill(
        "event.dataset", where, np.zeros(len(where), dtype=np.int32), [f"paloalto.{kind.lower().replace('-', '')}"]
    )
    _times(part, raw, context)
    for name, column in raw.items():
        put = _COLUMNS.get(name)
        if put is not None:
            put(part, column)
        if put is None or name in _KEPT:
            part.put(name, column, lambda v: v or None)
    if kind in ("THREAT", "URL"):
        _urls(part, columns, raw)
    if kind in ("SYSTEM", "GLOBALPROTECT", "AUTHENTICATION", "CONFIG"):
        lists.fill(
            "event.category",
            where,
            np.zeros(len(where), dtype=np.int32),
            ["authentication" if kind != "CONFIG" else "configuration"],
        )
    else:
        lists.fill(
            "event.category",
            where,
            np.zeros(len(where), dtype=np.int32),
            ["web" if kind in ("THREAT", "URL") else "network"],
        )
    if kind == "SYSTEM" and "opaque" in raw:
        _system(part, raw["opaque"])


def _times(part: _Part, raw: dict[str, Column], context: Context) -> None:
    stamped = next(
        (
            c
            for n, c in raw.items()
            if n.startswith("column_")
            and c.values
            and all(v == "" or _STAMPED.match(v) for v in c.values)
            and any(c.values)
        ),
        None,
    )
    generated = raw.get("time_generated") or raw.get("receive_time")
    for column in (stamped, generated, raw.get("receive_time")):
        if column is None:
            continue
        found = [stamp(v.strip(), context) if v else None for v in column.values]
        times = np.array([f.time if f else NO_TIME for f in found] or [NO_TIME], dtype=np.int64)[column.codes]
        missing = part.lists.times[part.where] == NO_TIME
        part.lists.times[part.where[missing]] = times[missing]
        part.lists.fill(
            "event.timezone", part.where[missing], column.codes[missing], [f.zone if f else None for f in found]
        )
        part.lists.fill("time.note", part.where[missing], column.codes[missing], [f.note if f else None for f in found])


def _urls(part: _Part, columns: list[tuple[str, ...]], raw: dict[str, Column]) -> None:
    index = {name: i for i, name in enumerate(raw)}
    misc, subtype, ports = columns[index["misc"]], columns[index["subtype"]], columns[index["dport"]]
    urls = encode(
        [
            _url(m, p) if s in ("url", "data", "virus", "wildfire", "file", "vulnerability", "spyware") and m else ""
            for m, s, p in zip(misc, subtype, ports, strict=True)
        ]
    )
    part.put("url.full", urls, lambda v: v or None)
    hosts = {v: url_host(v)[0] if v else None for v in urls.values}
    part.put("destination.domain", urls, lambda v: None if hosts[v] is None or ip(hosts[v] or "") else hosts[v])


def _url(text: str, number: str) -> str:
    """A URL with its scheme; what is only a file name is no URL."""
    if "://" in text:
        return text
    host = text.split("/", 1)[0]
    if "/" not in text or "." not in host:
        return ""
    return f"{'https' if number == '443' else 'http'}://{text}"


_USER = re.compile(r"\b[Uu]ser(?:name)?:? '?([^'\s,]+?)'?(?:[.,]?\s|[.,]?\Z|')")
_ADDRESS = r"'?((?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]*:[0-9A-Fa-f:]+:[0-9A-Fa-f.:]*)"
_FROM = re.compile(
    r"(?:\bFrom: |\b(?:initiated by|from|[Ll]ogin from|client ip|Source IP|user ip|interface [\w./-]+, ip)[:=]? )"
    + _ADDRESS
)
_SERVER = re.compile(
    r"(?:[Ss]erver [Aa]ddress:? |connected to server |[Ss]erver(?: IP)?: |to server )" + _ADDRESS + r"(?::(\d+))?"
)
_CLOUD = re.compile(r"\b(?:[Rr]egistered to|connect(?:ed)? to)[\w ]*? ([a-z0-9-]+(?:\.[a-z0-9-]+)+)")


def said_by_system(sentence: str) -> dict[str, str]:
    """User and addresses that a system message names."""
    out: dict[str, str] = {}
    for column, found in (
        ("user.name", _USER.search(sentence)),
        ("source.ip", _FROM.search(sentence)),
        ("destination.ip", _SERVER.search(sentence)),
        ("destination.domain", _CLOUD.search(sentence)),
    ):
        if found is None:
            continue
        value = ip(found[1].rstrip(".")) if column.endswith(".ip") else found[1]
        if value and (column != "destination.domain" or ip(value) is None):
            out[column] = value
    return out


def _system(part: _Part, opaque: Column) -> None:
    """User and addresses of a system message stand in its sentence."""
    said = {text: said_by_system(text) for text in opaque.values}
    for column in ("user.name", "source.ip", "destination.ip", "destination.domain"):
        part.put(column, opaque, lambda text, column=column: said[text].get(column))  # type: ignore[misc]


def _said(text: str) -> str | None:
    return None if text in _EMPTY else text


def _to(name: str, change: Callable[[str], Any] = _said) -> Callable[[_Part, Column], None]:
    return lambda part, column: part.put(name, column, change)


def _address(text: str) -> str | None:
    return None if text in _EMPTY else ip(text)


def _user(part: _Part, column: Column) -> None:
    part.put("user.name", column, lambda v: account(v.replace("\\\\", "\\"))[0])
    part.put("user.domain", column, lambda v: account(v.replace("\\\\", "\\"))[1])


def _action(part: _Part, column: Column) -> None:
    part.put("event.action", column, _said)
    part.put("event.outcome", column, lambda v: outcome(v) or ("failure" if "fail" in v else None))


def _result(part: _Part, column: Column) -> None:
    part.put("event.outcome", column, outcome)


_COLUMNS: dict[str, Callable[[_Part, Column], None]] = {
    "src": _to("source.ip", _address),
    "dst": _to("destination.ip", _address),
    "public_ip": _to("source.ip", _address),
    "public_ipv6": _to("source.ip", _address),
    "ip": _to("source.ip", _address),
    "client": _to("source.ip", _address),
    "host": _to("source.ip", _address),
    "sport": _to("source.port", port),
    "dport": _to("destination.port", port),
    "bytes_sent": _to("source.bytes", whole),
    "bytes_received": _to("destination.bytes", whole),
    "srcuser": _user,
    "user": _user,
    "admin": _user,
    "action": _action,
    "eventid": _action,
    "cmd": _action,
    "status": _result,
    "app": _to("network.protocol"),
    "rule": _to("rule.name"),
    "serial": _to("observer.name"),
    "user_agent": _to("user_agent.original"),
    "opaque": _to("message"),
    "desc": _to("message"),
    "machinename": _to("source.domain"),
}
_KEPT = frozenset({"status", "app", "rule"})

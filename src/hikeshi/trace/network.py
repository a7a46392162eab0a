"""What the story needs of text logs: VPN logons, sshd, web servers, and who sent how much where.

Flows and web requests are added up in the child; the place of the first record and of the
largest upload stays.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hikeshi.events.table import Column
from hikeshi.events.time import NO_TIME
from hikeshi.evidence.source import Source
from hikeshi.trace.programs import command_signal
from hikeshi.trace.slices import (
    Collector,
    Slice,
    by_group,
    compact,
    empty,
    first_of,
    groups,
    mapped,
    matches,
    to_dictionary,
)

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_FLOW_TEXTS = ("kind", "observer", "client", "user", "destination", "ip", "port", "program", "path", "sha256")
_FLOW_NUMBERS = ("count", "bytes_out", "bytes_in", "largest", "first", "last", "first_place", "largest_place")
FLOW_SCHEMA = pa.schema(
    [
        *((n, _DICTIONARY) for n in _FLOW_TEXTS),
        *((n, pa.int64()) for n in _FLOW_NUMBERS),
        ("lines", pa.bool_()),
        ("times", pa.list_(pa.int64())),
    ]
)
_WEB_TEXTS = ("host", "client", "url", "path", "sha256")
_WEB_NUMBERS = ("count", "posts", "good", "bad", "first", "last", "first_good", "first_line", "good_line")
WEB_SCHEMA = pa.schema([*((n, _DICTIONARY) for n in _WEB_TEXTS), *((n, pa.int64()) for n in _WEB_NUMBERS)])
_TIMES_KEPT = 1000  # a beacon shows itself in fewer

_WEB_SERVERS = ("iis", "apache", "nginx", "w3c.iis", "httpd", "tomcat", "microsoft.iis")
_VPN_WORDS = (
    "vpn",
    "globalprotect",
    "anyconnect",
    "asa",
    "pulse",
    "ivanti",
    "sonicwall",
    "netscaler",
    "citrix",
    "fortinet",
    "paloalto",
)


def collect(out: Collector, rows: Slice) -> tuple[list[pa.Table], list[pa.Table]]:
    """Put logons into `out`; returns flows and web requests."""
    _vpn(out, rows)
    _ssh(out, rows)
    _commands(out, rows)
    _device(out, rows)
    _remote_tools(out, rows)
    _databases(out, rows)
    dataset = rows.col("event.dataset")
    has_url = rows.col("url.full").codes >= 0
    # A web server writes the path, a proxy the whole address; only their names tell nothing for sure.
    own_path = matches(rows.col("url.full"), lambda u: u.startswith("/"))
    server = matches(dataset, lambda d: d.lower().startswith(_WEB_SERVERS)) | (
        own_path & matches(dataset, lambda d: d in ("web.access", "w3c.access", "csv", "json", "keyvalue"))
    )
    web = rows.keep(server & has_url)
    away = rows.keep(~server)
    flows = _flows(out.source, away)
    _names(out, away)
    return ([flows] if flows is not None else []), ([_web(out.source, web)] if len(web) else [])


@lru_cache(maxsize=65536)
def public(address: str) -> bool:
    """Whether an address lies outside: neither private nor local. Documentation ranges count as outside,
    since examples and exercises use them for the Internet."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.is_multicast or ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_reserved:
        return False
    return ip.is_global or any(ip in net for net in _EXAMPLES if net.version == ip.version)


_EXAMPLES = tuple(
    ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)


@lru_cache(maxsize=65536)
def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _vpn(out: Collector, rows: Slice) -> None:
    kind = by_group(
        (
            rows.col("event.dataset"),
            rows.col("subtype"),
            rows.col("action", "event.action"),
            rows.col("event.category"),
            rows.col("event.outcome"),
        ),
        _vpn_kind,
    )
    part = rows.keep(kind.codes >= 0)
    out.add(
        Column(kind.values, kind.codes[kind.codes >= 0]),
        part,
        host=first_of((part.col("observer.name"), part.col("host.name"))),
        account=part.col("user.name", "user"),
        domain=part.col("user.domain"),
        source=part.col("source.ip", "remip"),
        target=first_of((part.col("tunnelip", "assigned_ip", "client.nat.ip"), _assigned(part))),
        detail=part.col("action", "event.action"),
        status=part.col("reason", "event.outcome"),
    )


_ASSIGNED = re.compile(r"(?:IPv4 Address|assigned (?:ip|address)\S*)\s*[:=]?\s*<?(\d+\.\d+\.\d+\.\d+)", re.I)


def _assigned(rows: Slice) -> Column:
    """The inside address a VPN session got, where only the sentence tells it."""
    if not len(rows):
        return empty(0)
    return mapped(rows.col("message"), lambda t: m[1] if (m := _ASSIGNED.search(t[:600])) else None)


def _commands(out: Collector, rows: Slice) -> None:
    """What was typed on ESXi and Linux, if it shows a signal."""
    wanted = matches(rows.col("event.dataset"), lambda d: d == "esxi" or d.startswith("linux"))
    part = rows.keep(wanted & (rows.col("process.command_line").codes >= 0))
    if not len(part):
        return
    signal = mapped(part.col("process.command_line"), command_signal)
    part = part.keep(signal.codes >= 0)
    out.add(
        "process",
        part,
        account=part.col("user.name"),
        object=part.col("process.name"),
        detail=part.col("process.command_line"),
        signal=Column(signal.values, signal.codes[signal.codes >= 0]),
    )


def _device(out: Collector, rows: Slice) -> None:
    """Somebody administers a firewall or VPN device: sign-ons from outside, administrators that are added."""
    known = matches(rows.col("event.dataset"), lambda d: d.startswith(("fortinet", "paloalto", "sonicwall", "cisco")))
    if not known.any():
        return
    part = rows.keep(known)
    what = by_group((part.col("logdesc", "event.action"), part.col("cfgpath"), part.col("action"), part.col("status")),
                    _device_act)  # fmt: skip
    part = part.keep(what.codes >= 0)
    out.add(
        "device_admin",
        part,
        host=first_of((part.col("observer.name"), part.col("host.name"))),
        account=first_of((part.col("cfgobj"), part.col("user.name", "user"))),
        source=part.col("source.ip", "srcip"),
        detail=part.col("ui"),
        object=Column(what.values, what.codes[what.codes >= 0]),
    )


def _device_act(what: str, path: str, action: str, status: str) -> str | None:
    if path in ("system.admin", "system.api-user", "user.local") and action.lower() == "add":
        return "admin_added"
    said = what.lower()
    if "admin" in said and ("login" in said or "logon" in said) and status.lower() in ("success", ""):
        return None if "fail" in said or "logout" in said else "admin_login"
    return None


def _remote_tools(out: Collector, rows: Slice) -> None:
    """Sessions of AnyDesk, TeamViewer and their like that came in; the machine is the folder the log lies in."""
    tool = matches(rows.col("event.dataset"), lambda d: d.startswith(("anydesk", "teamviewer", "screenconnect")))
    if not tool.any():
        return
    incoming = matches(rows.col("event.action"), lambda a: a in ("incoming-session", "remote-address"))
    part = rows.keep(tool & incoming)
    folders = out.source.name.replace("\\", "/").split("/")[:-1]
    out.add(
        "tool_session",
        part,
        host=part.col("host.name") if part.col("host.name").values else (folders[0] if folders else ""),
        source=part.col("source.ip"),
        target=part.col("remote.id"),
        account=part.col("user.name"),
        object=mapped(part.col("event.dataset"), lambda d: d.split(".")[0]),
    )


def _databases(out: Collector, rows: Slice) -> None:
    """Logons to a database server from elsewhere; the machine is the folder the log lies in."""
    mine = matches(rows.col("event.dataset"), lambda d: d.startswith("mssql"))
    logons = matches(rows.col("event.category"), lambda c: c == "authentication")
    part = rows.keep(mine & logons & (rows.col("source.ip").codes >= 0))
    if not len(part):
        return
    folders = out.source.name.replace("\\", "/").split("/")[:-1]
    out.add(
        mapped(part.col("event.outcome"), lambda o: "database_logon" if o == "success" else "database_failure"),
        part,
        host=part.col("host.name") if part.col("host.name").values else (folders[-1] if folders else ""),
        account=part.col("user.name"),
        source=part.col("source.ip"),
    )


def _vpn_kind(dataset: str, subtype: str, action: str, category: str, outcome: str) -> str | None:
    dataset, action = dataset.lower(), action.lower()
    if dataset.startswith("fortinet"):
        if subtype != "vpn":
            return None
        if "fail" in action:
            return "vpn_failure"
        if action in ("tunnel-up", "ssl-login", "ssl-login-success"):
            return "vpn_up"
        return "vpn_down" if action in ("tunnel-down", "ssl-exit") else None
    if not any(word in dataset for word in _VPN_WORDS) and "vpn" not in action:
        return None
    if category != "authentication" and not any(w in action for w in ("login", "logon", "connect", "auth", "tunnel")):
        return None
    if any(w in action for w in ("logout", "logoff", "disconnect", "tunnel-down", "terminated")):
        return "vpn_down"
    if outcome == "failure" or any(w in action for w in ("fail", "den", "reject", "invalid")):
        return "vpn_failure"
    return "vpn_up" if outcome == "success" or "success" in action else None


def _ssh(out: Collector, rows: Slice) -> None:
    from hikeshi.trace.windows import add_ssh  # both directions share one reading of sshd's sentences

    sshd = matches(rows.col("event.dataset"), lambda d: "ssh" in d.lower()) | matches(
        rows.col("process.name"), lambda p: p.lower().startswith("sshd")
    )
    chosen = rows.keep(sshd)
    if not len(chosen):
        return
    text = chosen.col("message")
    told = matches(text, lambda t: " from " in t and ("Accepted " in t or "Failed " in t))
    if told.any():
        part = chosen.keep(told)
        add_ssh(out, part, Column(text.values, text.codes[told]))
    rest = chosen.keep(~told)
    kind = by_group(
        (rest.col("event.category"), rest.col("event.outcome"), rest.col("source.ip")),
        lambda c, o, ip: (
            {"success": "ssh_logon", "failure": "logon_failure"}.get(o) if c == "authentication" and ip else None
        ),
    )
    kept = rest.keep(kind.codes >= 0)
    out.add(
        Column(kind.values, kind.codes[kind.codes >= 0]),
        kept,
        account=kept.col("user.name"),
        source=kept.col("source.ip"),
        logon_type="ssh",
    )


def _names(out: Collector, rows: Slice) -> None:
    """Address and name written side by side: DHCP leases, and firewalls that know their clients."""
    both = rows.keep((rows.col("source.ip").codes >= 0) & (rows.col("source.domain", "srcname").codes >= 0))
    out.add(
        "address_name",
        both,
        bucket_s=86_400,
        source=both.col("source.ip"),
        source_name=both.col("source.domain", "srcname"),
    )
    lease = rows.keep(
        matches(rows.col("event.dataset"), lambda d: "dhcp" in d.lower()) & (rows.col("host.name").codes >= 0)
    )
    out.add(
        "address_name",
        lease,
        bucket_s=86_400,
        source=lease.col("client.ip", "source.ip", "destination.ip"),
        source_name=lease.col("host.name"),
    )


def _flows(source: Source, rows: Slice) -> pa.Table | None:
    client = rows.col("source.ip")
    away = (
        (rows.col("destination.domain").codes >= 0)
        | (rows.col("destination.ip").codes >= 0)
        | (rows.col("dns.question.name").codes >= 0)
    )
    part = rows.keep((client.codes >= 0) & away)
    if not len(part):
        return None
    kind = by_group(
        (
            part.col("event.dataset"),
            part.col("event.action"),
            part.col("event.outcome"),
            part.col("url.full"),
            part.col("dns.question.name"),
        ),
        _flow_kind,
    )
    return make_flows(
        source,
        part,
        kind=kind,
        client=part.col("source.ip"),
        destination=mapped(part.col("destination.domain", "dns.question.name"), lambda d: d.rstrip(".").lower()),
        ip=part.col("destination.ip"),
        port=mapped(part.col("destination.port"), str),
        program=empty(len(part)),
    )


def _flow_kind(dataset: str, action: str, outcome: str, url: str, question: str) -> str:
    if question:
        return "dns"
    if outcome == "failure" or action.lower() in ("deny", "denied", "drop", "dropped", "block", "blocked"):
        return "denied"
    return "proxy" if url or "proxy" in dataset or "squid" in dataset else "firewall"


def make_flows(
    source: Source,
    rows: Slice,
    *,
    kind: str | Column,
    client: Column,
    destination: Column,
    ip: Column,
    port: Column,
    program: Column,
) -> pa.Table | None:
    """Rows added up by kind, observer, client, user, destination, port and program."""
    count = len(rows)
    timed = rows.times != NO_TIME
    if not timed.any():
        return None
    texts = {
        "kind": Column([kind], np.zeros(count, dtype=np.int32)) if isinstance(kind, str) else kind,
        "observer": rows.col("observer.name"),
        "client": client,
        "user": rows.col("user.name", "User"),
        "destination": destination,
        "ip": ip,
        "port": port,
        "program": program,
    }
    if not timed.all():
        chosen = np.flatnonzero(timed)
        rows = rows.keep(timed)
        texts = {n: compact(c, count, chosen) for n, c in texts.items()}
    keys = [texts[n].codes for n in texts if n != "ip" or not texts["destination"].values]
    number, total = groups(keys)
    times, sent, got = rows.times, rows.ints("source.bytes", 0).clip(0), rows.ints("destination.bytes", 0).clip(0)
    records = rows.ints("winlog.record_id")
    is_line = bool((records < 0).all())
    places = rows.ints("log.line") if is_line else records
    order = np.lexsort((np.arange(len(times)), times, number))
    starts = np.unique(number[order], return_index=True)[1]
    sizes = np.diff(np.append(starts, len(order)))
    first, last = order[starts], order[starts + sizes - 1]
    top = np.lexsort((-np.arange(len(times)), sent, number))
    largest = top[starts + sizes - 1]
    rank = np.arange(len(order)) - np.repeat(starts, sizes)
    kept = order[rank < _TIMES_KEPT]
    offsets = np.zeros(total + 1, dtype=np.int32)
    np.cumsum(np.minimum(sizes, _TIMES_KEPT), out=offsets[1:])
    numbers: dict[str, npt.NDArray[Any]] = {
        "count": sizes.astype(np.int64),
        "bytes_out": _sums(number, sent, total),
        "bytes_in": _sums(number, got, total),
        "largest": sent[largest],
        "first": times[first],
        "last": times[last],
        "first_place": places[first],
        "largest_place": places[largest],
    }
    texts = {n: Column(c.values, c.codes[first]) for n, c in texts.items()}
    texts["path"], texts["sha256"] = (
        Column([v], np.zeros(total, dtype=np.int32)) for v in (source.name, source.sha256)
    )
    return pa.Table.from_arrays(
        [to_dictionary(texts[n]) for n in _FLOW_TEXTS]
        + [pa.array(numbers[n], pa.int64()) for n in _FLOW_NUMBERS]
        + [
            pa.array(np.full(total, is_line)),
            pa.ListArray.from_arrays(pa.array(offsets), pa.array(times[kept] // 1_000_000, pa.int64())),
        ],
        schema=FLOW_SCHEMA,
    )


def _sums(number: npt.NDArray[Any], values: npt.NDArray[np.int64], total: int) -> npt.NDArray[np.int64]:
    out = np.zeros(total, dtype=np.int64)
    np.add.at(out, number, values)
    return out


def _web(source: Source, rows: Slice) -> pa.Table:
    url = mapped(rows.col("url.full"), _path_only)
    host = first_of(
        (
            rows.col("host.name"),
            rows.col("observer.name"),
            rows.col("s-computername"),
            rows.col("destination.ip"),
            rows.col("s-ip"),
            rows.col("destination.domain"),
        )
    )
    texts = {"host": host, "client": rows.col("source.ip"), "url": url}
    number, total = groups([c.codes for c in texts.values()])
    status = rows.ints("http.response.status_code", 0)
    good = (status >= 200) & (status < 400)
    posts = matches(rows.col("http.request.method"), lambda m: m.upper() in ("POST", "PUT"))
    times, lines = rows.times, rows.ints("log.line")
    order = np.lexsort((np.arange(len(times)), times, number))
    starts = np.unique(number[order], return_index=True)[1]
    sizes = np.diff(np.append(starts, len(order)))
    first, last = order[starts], order[starts + sizes - 1]
    hits = order[good[order]]
    first_good = np.full(total, NO_TIME, dtype=np.int64)
    good_line = np.full(total, -1, dtype=np.int64)
    found, at = np.unique(number[hits], return_index=True)
    first_good[found], good_line[found] = times[hits[at]], lines[hits[at]]
    numbers = {
        "count": sizes.astype(np.int64),
        "posts": np.bincount(number[posts], minlength=total),
        "good": np.bincount(number[good], minlength=total),
        "bad": np.bincount(number[status >= 400], minlength=total),
        "first": times[first],
        "last": times[last],
        "first_good": first_good,
        "first_line": lines[first],
        "good_line": good_line,
    }
    made = {n: Column(c.values, c.codes[first]) for n, c in texts.items()}
    made["path"], made["sha256"] = (Column([v], np.zeros(total, dtype=np.int32)) for v in (source.name, source.sha256))
    return pa.Table.from_arrays(
        [to_dictionary(made[n]) for n in _WEB_TEXTS] + [pa.array(numbers[n].astype(np.int64)) for n in _WEB_NUMBERS],
        schema=WEB_SCHEMA,
    )


def _path_only(url: str) -> str:
    text = url.split("?", 1)[0].split("#", 1)[0]
    if "://" in text:
        rest = text.split("://", 1)[1]
        text = "/" + rest.split("/", 1)[1] if "/" in rest else "/"
    return text.lower()[:500]

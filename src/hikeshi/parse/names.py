"""From a record's own names to columns, by the table data/field_names.toml.

Used where a format has no parser of its own: CSV, JSON, key=value, CEF, LEEF, W3C.
What a column takes over unchanged leaves the record; everything else stays under its own name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from hikeshi.events.schema import BY_NAME
from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import account, host_port, ip, port, put_host, url_host, whole
from hikeshi.parse.context import Context, Event
from hikeshi.parse.plainnames import plain_name
from hikeshi.parse.sides import bare, put_sides
from hikeshi.parse.stamps import Stamp, own_zone, same_moment, stamp

_REQUEST = re.compile(r"([A-Z_]{3,20}) (\S+)(?: HTTP/[\d.]+)?\Z")
EMPTY = frozenset({"", "-", "N/A", "n/a", "NA", "null", "None", "none", "Unknown", "(null)", "0.0.0.0", "::"})


@cache
def _table() -> tuple[dict[str, dict[str, tuple[str, ...]]], tuple[str, ...]]:
    data = tomllib.loads(resources.files("hikeshi.parse").joinpath("data/field_names.toml").read_text("utf-8"))
    general = {k: dict.fromkeys(map(plain_name, v)) for k, v in data["columns"].items()}
    tables = {"general": {k: tuple(v) for k, v in general.items()}}
    for dialect in ("cef", "leef"):
        own = data[dialect]
        tables[dialect] = {k: (*own.get(k, ()), *general.get(k, ())) for k in {**own, **general}}
    return tables, tuple(data["prefixes"])


Plan = tuple[tuple[str, tuple[str, ...]], ...]


@lru_cache(maxsize=2_000)
def plan(names: tuple[str, ...], dialect: str = "general") -> Plan:
    """For a set of names: each target with the names that may fill it, best first."""
    tables, prefixes = _table()
    at: dict[str, list[str]] = {}
    for name in names:
        whole_name = plain_name(name)
        short = {whole_name}
        # "CommonProperties.ClientIP": the leaf counts too, after the whole.
        if "." in name:
            short.add(plain_name(name.rpartition(".")[2]))
            short.add(plain_name(".".join(name.split(".")[-2:])))
        for prefix in prefixes:
            for part in tuple(short):
                if part.startswith(prefix) and len(part) > len(prefix):
                    short.add(part[len(prefix) :])
        for key in short:
            at.setdefault(key, []).append(name)
    out: list[tuple[str, tuple[str, ...]]] = []
    for target, keys in tables[dialect].items():
        found: list[str] = []
        for key in keys:
            # Shallow names first: "user" before "details.user".
            found += sorted((n for n in at.get(key, ()) if n not in found), key=lambda n: n.count("."))
        if found:
            out.append((target, tuple(found)))
    if any(plain_name(n).endswith("callingstationid") for n in names):
        # A RADIUS record tells the caller; the other addresses are the device's that asked.
        out = [(t, tuple(n for n in found if not plain_name(n).endswith(_ASKING))) if t == "source" else (t, found)
               for t, found in out]
    targets = {t for t, _ in out}
    # "host" is the server in a web log and the machine everywhere else.
    web = not targets.isdisjoint({"url.full", "http.request.method", "request_line", "http.response.status_code"})
    unwanted = "host.name" if web else "destination.domain"
    out = [
        (t, tuple(n for n in found if plain_name(n) not in ("host", "hostname")) if t == unwanted else found)
        for t, found in out
    ]
    domains = tuple(n for n in names if plain_name(n) == "domain")
    if web:
        # The server asked is told by its path too, where no name says "url".
        paths = tuple(n for n in names if plain_name(n.rpartition(".")[2]) in _PATHS)
        if paths and "url.full" not in targets:
            out.append(("url.full", paths))
    if web and domains:
        # … and "domain" is the site asked for, not the account's.
        out = [(t, tuple(n for n in found if n not in domains) if t == "user.domain" else found) for t, found in out]
        held = next((found for t, found in out if t == "destination.domain"), ())
        sure = tuple(n for n in held if plain_name(n) not in ("host", "hostname"))
        out = [(t, found) for t, found in out if t != "destination.domain"] + [
            ("destination.domain", (*sure, *domains, *(n for n in held if n not in sure)))
        ]
    return tuple((t, found) for t, found in out if found)


_ASKING = ("deviceipaddress", "nasipaddress", "clientipaddress", "hostipaddress")
_SCHEMES = frozenset({"clientrequestscheme", "requestscheme", "urlscheme", "urischeme", "httpscheme", "scheme"})


@lru_cache(maxsize=5_000)
def _scheme_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if plain_name(name) in _SCHEMES)


_PATHS = frozenset({"path", "arg", "uripath", "reqpath", "requestpath", "urlpath"})


def map_record(
    record: Mapping[str, str],
    context: Context,
    *,
    dataset: str,
    dialect: str = "general",
) -> Event:
    """An event from a flat record of text values."""
    cells: dict[str, Any] = {"event.dataset": dataset}
    used: set[str] = set()
    when: Stamp | None = None
    names_of = tuple(record)
    targets = dict(plan(names_of, dialect))
    put_sides(targets, record, names_of)
    zone = next((record[n] for n in targets.pop("zone", ()) if own_zone(record[n])), None)
    dates, clocks = targets.pop("date", ()), targets.pop("clock", ())
    pair = next(
        ((d, c) for d in dates for c in clocks if d != c and _DATE.match(record[d]) and _CLOCK.match(record[c])), None
    )
    if pair:
        when = stamp(f"{record[pair[0]].strip()} {record[pair[1]].strip()}{zone or ''}", context)
        if when and when.time != NO_TIME:
            used |= set(pair)
    names = targets.pop("time", ())
    if when is None:
        for name in names:
            value = record[name].strip()
            when = stamp(f"{value} {zone}" if zone and not _ZONED.search(value) else value, context) or stamp(
                value, context
            )
            if when:
                used.add(name)
                break
        else:
            if names:
                cells["event.original_time"] = record[names[0]]
    if when is not None and when.zone == context.zone_label:
        when = _with_own_zone(record, when, context)
    for target, keys in targets.items():
        put = _PUT.get(target, _put_text)
        for name in keys:
            value = record[name].strip()
            if value in EMPTY or (name in used and target not in _MAY_SHARE):
                continue
            if put(cells, target, value):
                if cells.get(target) == record[name]:
                    used.add(name)
                break
    if "destination.port" not in cells and "source.port" in cells and "destination.ip" in cells:
        # Check Point: service:"443" beside s_port.
        service = next((record[n] for n in ("service", "svc") if n in record), "")
        if service.isdigit() and port(service):
            cells["destination.port"] = port(service)
    finish(cells)
    if "destination.domain" in cells and str(cells.get("url.full", ""))[:1] == "/":
        # A server's own log keeps the path; one that tells the scheme apart wants it whole.
        scheme = next((record[n] for n in _scheme_names(names_of) if record[n] in ("http", "https")), "")
        if scheme:
            rebuild_url(cells, scheme)
    for name, value in record.items():
        if name not in used and value != "":
            cells[name if name not in BY_NAME else f"{name} (own)"] = value
    if when is None:
        return Event(NO_TIME, cells)
    cells["event.timezone"] = when.zone
    if when.note:
        cells["time.note"] = when.note
    return Event(when.time, cells)


_SAYS_TIME = re.compile(r"(?:time|timestamp|epoch|_ts|date)\Z", re.IGNORECASE)


@lru_cache(maxsize=10_000)
def _time_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if _SAYS_TIME.search(name))


def _with_own_zone(record: Mapping[str, str], when: Stamp, context: Context) -> Stamp:
    """The same moment as the record writes it a second time, as an epoch or with an offset: no zone to assume."""
    for name in _time_names(tuple(record)):
        value = record[name].strip()
        if len(value) >= 10 and _ZONED.search(value):
            other = stamp(value, context)
            if other and other.zone != context.zone_label and same_moment(when.time, other.time):
                return other
    return when


_DATE = re.compile(
    r"\s*(\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{1,2}[-/ ][A-Za-z]{3}[-/ ]\d{4})日?\s*\Z",
    re.ASCII,
)
_CLOCK = re.compile(r"\s*\d{1,2}:\d\d(:\d\d)?(\.\d+)?\s*([AP]M)?\s*([+-]\d\d:?\d\d|Z)?\s*\Z", re.ASCII | re.IGNORECASE)
_ZONED = re.compile(r"(Z|[+-]\d\d:?\d\d|UTC|GMT|JST)\s*\Z|\A\d{10,19}(\.\d+)?\Z")
_MAY_SHARE = frozenset({"host.name", "event.outcome", "request_line", "destination.domain", "dns.question.name"})


def _put_text(cells: dict[str, Any], target: str, value: str) -> bool:
    cells.setdefault(target, value)
    return True


def _put_host(cells: dict[str, Any], target: str, value: str) -> bool:
    if target in ("source", "destination") and " " in value:
        return False
    before = len(cells)
    value = bare(value.strip())
    if value.endswith(("/32", "/128")):  # a network of one
        value = value.rpartition("/")[0]
    host, _ = host_port(value.split(",", 1)[0])
    if ip(host) is None and not HOST.match(host):
        return False
    put_host(cells, target, value.split(",", 1)[0])
    return len(cells) > before


HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_-]+)*\.?\Z")


def _put_domain(cells: dict[str, Any], target: str, value: str) -> bool:
    host, number = host_port(value)
    address = ip(host)
    side = target.partition(".")[0]
    if address:
        return bool(cells.setdefault(f"{side}.ip", address) == address)
    if not host or " " in host or "/" in host:
        return False
    cells.setdefault(target, host.strip("[]").rstrip(".").lower())
    if number is not None:
        cells.setdefault(f"{side}.port", number)
    return True


def _put_port(cells: dict[str, Any], target: str, value: str) -> bool:
    # "22 SYN": bare words behind the last pair of a line.
    number = port(value.split(" ", 1)[0])
    if number is None:
        return False
    cells.setdefault(target, number)
    return True


def _put_whole(cells: dict[str, Any], target: str, value: str) -> bool:
    number = whole(value.split(" ", 1)[0])
    if number is None or number < 0:
        return False
    cells.setdefault(target, number)
    return True


def _put_status(cells: dict[str, Any], target: str, value: str) -> bool:
    number = whole(value)
    if number is None or not (number == 0 or 100 <= number <= 999):
        return False
    cells.setdefault(target, number)
    return True


def put_user(cells: dict[str, Any], target: str, value: str) -> bool:
    name, domain = account(value.strip("<>"))
    if name is None or len(name) > 256 or "\n" in name:
        return False
    cells.setdefault("user.name", name)
    if domain:
        cells.setdefault("user.domain", domain)
    return True


def _put_url(cells: dict[str, Any], target: str, value: str) -> bool:
    if " " in value.strip() or not ("/" in value or "." in value or ":" in value):
        return False
    cells.setdefault(target, value)
    return True


def _put_request(cells: dict[str, Any], target: str, value: str) -> bool:
    match = _REQUEST.match(value.strip())
    if not match:
        return False
    cells.setdefault("http.request.method", match[1])
    cells.setdefault("url.full", match[2])
    return True


def _put_hash(cells: dict[str, Any], target: str, value: str) -> bool:
    size = {"md5": 32, "sha1": 40, "sha256": 64}[target.rpartition(".")[2]]
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{size}}}", value):
        return False
    cells.setdefault(target, value.lower())
    return True


def _put_outcome(cells: dict[str, Any], target: str, value: str) -> bool:
    found = outcome(value)
    if found is None:
        return False
    cells.setdefault(target, found)
    return True


@lru_cache(maxsize=5_000)
def outcome(value: str) -> str | None:
    """success or failure where the word clearly says so."""
    text = value.strip().lower()
    if text in _GOOD:
        return "success"
    if text in _BAD:
        return "failure"
    return None


_GOOD = frozenset(
    [
        "success",
        "successful",
        "succeeded",
        "succeed",
        "ok",
        "allow",
        "allowed",
        "accept",
        "accepted",
        "permit",
        "permitted",
        "pass",
        "passed",
        "audit_success",
        "成功",
        "許可",
        "正常",
        "通過",
    ]
)
_BAD = frozenset(
    [
        "failure",
        "failed",
        "fail",
        "deny",
        "denied",
        "drop",
        "dropped",
        "block",
        "blocked",
        "reject",
        "rejected",
        "error",
        "reset",
        "audit_failure",
        "失敗",
        "拒否",
        "遮断",
        "ブロック",
        "破棄",
        "異常",
        "エラー",
    ]
)

_PUT: dict[str, Callable[[dict[str, Any], str, str], bool]] = {
    "source": _put_host,
    "destination": _put_host,
    "source.domain": _put_domain,
    "destination.domain": _put_domain,
    "dns.question.name": _put_domain,
    "source.port": _put_port,
    "destination.port": _put_port,
    "process.pid": _put_whole,
    "source.bytes": _put_whole,
    "destination.bytes": _put_whole,
    "http.response.status_code": _put_status,
    "user.name": put_user,
    "url.full": _put_url,
    "request_line": _put_request,
    "event.outcome": _put_outcome,
    "file.hash.md5": _put_hash,
    "file.hash.sha1": _put_hash,
    "file.hash.sha256": _put_hash,
}


def rebuild_url(cells: dict[str, Any], scheme: str = "") -> None:
    """A whole url.full where a device logs host and path apart; what it logged goes to url.original."""
    path, host = cells.get("url.full"), cells.get("destination.domain") or cells.get("destination.ip")
    if not path or not host or not str(path).startswith("/") or str(path).startswith("//"):
        return
    number = cells.get("destination.port")
    if not scheme:
        scheme = (
            "https"
            if number == 443 or str(cells.get("network.protocol", "")).lower() in ("https", "ssl", "tls")
            else "http"
        )
    at = "" if number in (None, 80, 443) else f":{number}"
    place = f"[{host}]" if ":" in str(host) else host
    cells["url.original"], cells["url.full"] = path, f"{scheme}://{place}{at}{path}"


def finish(cells: dict[str, Any]) -> None:
    """What follows from other columns: the destination from the URL, an outcome from the action."""
    url = cells.get("url.full")
    if url:
        host, number = url_host(url)
        if host:
            address = ip(host)
            if address:
                cells.setdefault("destination.ip", address)
            elif "." in host or "://" in url:
                cells.setdefault("destination.domain", host)
            if number is not None:
                cells.setdefault("destination.port", number)
    if "event.outcome" not in cells and "event.action" in cells:
        found = outcome(str(cells["event.action"]))
        if found:
            cells["event.outcome"] = found

"""Cisco Umbrella's exported logs: CSV without a heading, every value in quotes.

DNS, web (proxy), firewall and IP-layer logs are told apart by what stands in their columns.
Times are UTC. The client is the internal address where it is known; the address it had outside is
kept as source.nat.ip. An identity is a user only where Umbrella says so.
Source: Cisco, "Umbrella log formats and versioning".
"""

from __future__ import annotations

import csv
import re
from datetime import UTC
from typing import Any

from hikeshi.parse.addresses import account, ip, port, put_host, url_host, whole
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.names import outcome
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_START = re.compile(r'\s*"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?"\s*,\s*"')
_QUERY = re.compile(r"(?:\d{1,5} \([A-Z0-9]+\)|Other|[A-Z]{1,10}|)\Z")
_VERDICT = frozenset(
    {"allowed", "blocked", "proxied", "proxiedblocked", "isolated", "warned", "allow", "block", "warn"}
)
_DNS = (
    "identity",
    "identities",
    "internal_ip",
    "external_ip",
    "action",
    "query_type",
    "response_code",
    "domain",
    "categories",
    "identity_type",
    "identity_types",
    "blocked_categories",
)
_WEB = (
    "identity",
    "internal_ip",
    "external_ip",
    "destination_ip",
    "content_type",
    "action",
    "url",
    "referer",
    "user_agent",
    "status_code",
    "request_size",
    "response_size",
    "response_body_size",
    "sha256",
    "categories",
    "av_detections",
    "puas",
    "amp_disposition",
    "amp_malware_name",
    "amp_score",
    "identity_type",
    "blocked_categories",
    "identities",
    "identity_types",
    "request_method",
    "dlp_status",
    "certificate_errors",
    "file_name",
    "ruleset_id",
    "rule_id",
)
_FIREWALL = (
    "origin_id",
    "identity",
    "identity_type",
    "direction",
    "protocol",
    "packet_size",
    "source_ip",
    "source_port",
    "destination_ip",
    "destination_port",
    "data_center",
    "rule_id",
    "verdict",
)
_IP = ("identity", "source_ip", "source_port", "destination_ip", "destination_port", "categories")


def claims(body: str, header: Header | None) -> bool:
    return _START.match(body) is not None and _named(body) is not None


def _named(body: str) -> tuple[str, str, dict[str, str]] | None:
    """(kind, time, values by name); None if it is none of Umbrella's logs."""
    try:
        row = [cell.strip() for cell in next(csv.reader([body.strip()], skipinitialspace=True), [])]
    except csv.Error:
        return None
    names: tuple[str, ...]
    if len(row) >= 9 and row[5].lower() in _VERDICT and _QUERY.match(row[6]) and row[7].isupper():
        kind, names = "dns", _DNS
    elif len(row) >= 12 and row[6].lower() in _VERDICT and (row[10].isdigit() or not row[10]) and _addresses(row[2:5]):
        kind, names = "web", _WEB
    elif len(row) >= 13 and row[4].upper() in ("INBOUND", "OUTBOUND") and _addresses((row[7], row[9])):
        kind, names = "firewall", _FIREWALL
    elif len(row) in (7, 8, 9) and ip(row[2]) and ip(row[4]) and (row[5].isdigit() or not row[5]):
        kind, names = "ip", _IP
    else:
        return None
    named = dict(zip(names, row[1:], strict=False))
    named.update({f"column_{i + 2}": cell for i, cell in enumerate(row[1:]) if i >= len(names)})
    return kind, row[0], named


def _addresses(cells: Any) -> bool:
    return any(ip(c) for c in cells) and all(not c or ip(c) for c in cells)


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    found = _named(body) if _START.match(body) else None
    if found is None:
        return None
    kind, time, row = found
    get = row.get
    cells: dict[str, Any] = {
        "event.dataset": f"umbrella.{kind}",
        "event.category": "web" if kind == "web" else "network",
    }
    source = get("internal_ip") or get("source_ip") or get("external_ip") or ""
    _put_address(cells, "source.ip", source)
    if get("external_ip") and get("external_ip") != source:
        cells["source.nat.ip"] = get("external_ip")
    _put_address(cells, "destination.ip", get("destination_ip", ""))
    for column, name in (("source.port", "source_port"), ("destination.port", "destination_port")):
        number = port(get(name, ""))
        if number is not None:
            cells[column] = number
    _identity(cells, get("identity", ""), get("identity_type", ""))
    verdict = get("action") or get("verdict") or ""
    if verdict:
        cells["event.action"] = verdict
        cells["event.outcome"] = outcome(verdict) or "unknown"
    if get("domain"):
        cells["dns.question.name"] = row["domain"].rstrip(".").lower()
    url = get("url", "")
    if url:
        cells["url.full"] = url
        host, number = url_host(url) if "://" in url else (None, None)
        if host:
            put_host(cells, "destination", host)
        if number is not None:
            cells["destination.port"] = number
    for column, name in (
        ("source.bytes", "request_size"),
        ("destination.bytes", "response_size"),
        ("http.response.status_code", "status_code"),
    ):
        number = whole(get(name, ""))
        if number is not None and number >= 0:
            cells[column] = number
    for column, name in (
        ("user_agent.original", "user_agent"),
        ("http.request.method", "request_method"),
        ("file.path", "file_name"),
        ("network.protocol", "protocol"),
    ):
        if get(name):
            cells[column] = row[name]
    if re.fullmatch(r"[0-9A-Fa-f]{64}", get("sha256", "")):
        cells["file.hash.sha256"] = row["sha256"].lower()
    for name, value in row.items():
        if value and value not in cells.values():
            cells[f"umbrella.{name}"] = value
    event = timed(stamp(time, Context(UTC, zone_assumed=False)), cells)
    return with_header(event, header, context)


def _put_address(cells: dict[str, Any], column: str, text: str) -> None:
    address = ip(text)
    if address:
        cells[column] = address


def _identity(cells: dict[str, Any], name: str, kind: str) -> None:
    if not name:
        return
    cells["umbrella.identity"] = name
    lower = kind.lower()
    if "user" in lower:
        # "Alice Example (alice@corp.example)"
        inner = re.search(r"\(([^()\s]+@[^()\s]+)\)\Z", name)
        user, domain = account(inner[1] if inner else name)
        if user:
            cells["user.name"] = user
        if domain:
            cells["user.domain"] = domain
    elif "computer" in lower or "roaming" in lower or "client" in lower or "mobile" in lower:
        cells["source.domain"] = name

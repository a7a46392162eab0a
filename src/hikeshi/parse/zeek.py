"""Zeek's connection and protocol logs as JSON (its tab-separated ones are read in w3c.py).

Times: ts is the epoch, or ISO 8601 in UTC. orig is who began: source.bytes is what it sent.
Source: Zeek documentation, "Log files".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from hikeshi.parse.context import Context, Event
from hikeshi.parse.flat import flatten
from hikeshi.parse.names import map_record


def owns(value: Mapping[str, Any]) -> bool:
    if "ts" not in value:
        return False
    inner = value.get("id")
    return (
        "id.orig_h" in value
        or "id_orig_h" in value
        or (isinstance(inner, Mapping) and "orig_h" in inner)
        or ("tx_hosts" in value and "fuid" in value)
    )


def read(value: Mapping[str, Any], context: Context) -> Event:
    record = flatten(value)
    utc = Context(UTC, zone_assumed=False, written=context.written)
    return shape(map_record(record, utc, dataset=f"zeek.{value.get('_path', 'log')}"), record)


def shape(event: Event, record: Mapping[str, str]) -> Event:
    """The URL made of host and path, and the category; for both kinds of Zeek's logs."""
    cells = event.cells
    host, path = record.get("host", ""), record.get("uri", "")
    if path.startswith("/") and host not in ("", "-"):
        number = record.get("id.resp_p", record.get("id_resp_p", "80"))
        at = "" if number in ("80", "443", "") or ":" in host else f":{number}"
        cells["url.full"] = f"{'https' if number == '443' else 'http'}://{host}{at}{path}"
        cells.setdefault("destination.domain", host.partition(":")[0].lower())
        cells["event.category"] = "web"
        cells.pop("host.name", None)
    name = record.get("server_name", "")
    if name not in ("", "-"):
        cells["destination.domain"] = name.lower()
    cells.setdefault("event.category", "network")
    return event

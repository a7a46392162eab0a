"""Zscaler's log feeds (NSS) as JSON: web, firewall, DNS, tunnel, SaaS security.

Times carry no zone: it is set in the feed; the record's own `tz` counts if it is there.
A URL is logged without its scheme and stays so. In firewall logs `inbytes` went from the server to
the client, `outbytes` from the client to the server.
Source: Zscaler, "NSS Feed Output Format" (web, firewall, DNS, tunnel logs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from hikeshi.parse.context import Context, Event
from hikeshi.parse.flat import flatten
from hikeshi.parse.names import map_record

_KINDS = {"web": "web", "fw": "network", "dns": "network", "tunnel": "network"}


def owns(value: Mapping[str, Any]) -> bool:
    return str(value.get("sourcetype", "")).startswith("zscalernss") or (
        value.get("vendor") == "Zscaler" and "product" in value
    )


def read(value: Mapping[str, Any], context: Context) -> Event:
    inner = value.get("event")
    body = inner if isinstance(inner, dict) else value
    record = {k: "" if v in ("NA", "N/A", "None", "0.0.0.0") else v for k, v in flatten(body).items()}
    kind = str(value.get("sourcetype", "")).rpartition("-")[2] or "web"
    for key in ("user", "login", "department", "location", "locationname", "rulelabel"):
        if "%" in record.get(key, ""):
            record[key] = unquote(record[key])
    event = map_record({k: v for k, v in record.items() if v != ""}, context, dataset=f"zscaler.{kind}")
    cells = event.cells
    if kind in _KINDS:
        cells["event.category"] = _KINDS[kind]
    # The name in the request counts, not the category console's name of the device.
    if kind == "web" and record.get("hostname") and "." in record["hostname"]:
        cells["destination.domain"] = record["hostname"].lower()
    return event

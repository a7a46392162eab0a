"""Palo Alto Networks' log forwarding as JSON (Cortex Data Lake, Strata Logging, Prisma Access).

Times: TimeGenerated is UTC. Bytes: BytesSent is what the client sent.
Source: Palo Alto Networks, "Log Forwarding Schema Reference".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.parse.addresses import directory_account, ip, put_host
from hikeshi.parse.context import Context, Event
from hikeshi.parse.flat import flatten
from hikeshi.parse.names import finish, map_record
from hikeshi.parse.paloalto import said_by_system

_KINDS = {
    "THREAT": "web",
    "URL": "web",
    "TRAFFIC": "network",
    "FILE": "file",
    "DNS": "network",
    "GLOBALPROTECT": "authentication",
    "AUTH": "authentication",
    "USERID": "authentication",
    "CONFIG": "configuration",
}
_NAMES = {
    "source": ("SourceAddress", "SourceIP", "PublicIPv4", "ClientIP", "UserIP"),
    "destination": ("DestinationAddress", "DestinationIP", "DNSResolverIP"),
}


def owns(value: Mapping[str, Any]) -> bool:
    return "LogType" in value and not {
        "DeviceSN",
        "LogSourceID",
        "VendorName",
        "TimeReceived",
        "LogSourceName",
    }.isdisjoint(value)


def read(value: Mapping[str, Any], context: Context) -> Event:
    record = flatten(value)
    kind = str(value["LogType"]).lower()
    event = map_record(record, context, dataset=f"paloalto.{kind}")
    cells = event.cells
    cells["event.category"] = _KINDS.get(str(value["LogType"]).upper(), "network")
    for side, names in _NAMES.items():
        for key in names:
            address = ip(record.get(key, ""))
            if address and address not in ("0.0.0.0", "::"):
                cells[f"{side}.ip"] = address
                break
    # The schema has the name and the domain of an account apart from the whole.
    name = record.get("SourceUserName") or record.get("SourceUserInfo.Name") or record.get("UserName")
    said = name or record.get("SourceUser") or ""
    short, domain = directory_account(said)
    if short:
        if domain and "@" in said:
            cells["user.email"] = said  # whole, for the sweep
        cells["user.name"] = short
        domain = record.get("SourceUserDomain") or record.get("SourceUserInfo.Domain") or domain
        if domain:
            cells["user.domain"] = domain
    asked = record.get("DNSRequest") or record.get("DNSQuestion") or record.get("Domain")
    if asked and "." in asked and "/" not in asked:
        cells["dns.question.name"] = asked.strip(".").lower()
    host = record.get("URLDomain", "")
    if host:
        put_host(cells, "destination", host)
    said = record.get("EventDescription", "")
    if said:
        cells.setdefault("message", said)
        for column, text in said_by_system(said).items():
            cells.setdefault(column, text)
    finish(cells)
    return event

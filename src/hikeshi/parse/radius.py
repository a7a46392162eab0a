"""Windows' RADIUS server (NPS, IAS): its comma-separated "database" format and its XML.

The NPS host writes its local time. The user's own address is Calling-Station-Id, if the access server sends one;
"client" is the access server.
Source: Microsoft, "Interpret NPS Database Format Log Files"; XML element names are the attributes' names.
"""

from __future__ import annotations

import csv
import re
from typing import Any

from hikeshi.parse.addresses import directory_account, ip
from hikeshi.parse.context import Context, Event, text_cells
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

# The first 28 of the places; those behind are the tunnel's and the policy's.
_PLACES = (
    "ComputerName", "ServiceName", "Record-Date", "Record-Time", "Packet-Type", "User-Name",
    "Fully-Qualified-Distinguished-Name", "Called-Station-ID", "Calling-Station-ID", "Callback-Number",
    "Framed-IP-Address", "NAS-Identifier", "NAS-IP-Address", "NAS-Port", "Client-Vendor", "Client-IP-Address",
    "Client-Friendly-Name", "Event-Timestamp", "Port-Limit", "NAS-Port-Type", "Connect-Info", "Framed-Protocol",
    "Service-Type", "Authentication-Type", "Policy-Name", "Reason-Code", "Class",
)  # fmt: skip
_ROW = re.compile(r'"?[^",]{1,64}"?,"?(?:IAS|RAS)"?,\d{1,2}/\d{1,2}/\d{4},\d{1,2}:\d\d:\d\d,\d{1,2},')
_XML = re.compile(r"\s*<Event><Timestamp data_type=")
_ELEMENT = re.compile(r"<([A-Za-z][\w-]{0,60})(?: data_type=\"\d\")?>([^<]*)</\1>")
_KINDS = {
    "1": ("access-request", None), "2": ("access-accept", "success"), "3": ("access-reject", "failure"),
    "4": ("accounting-request", None), "5": ("accounting-response", None), "11": ("access-challenge", None),
}  # fmt: skip


def claims(body: str, header: Header | None) -> bool:
    if body[:7] == "<Event>":
        return _XML.match(body) is not None
    return ("IAS" in body[:80] or "RAS" in body[:80]) and _ROW.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    if _XML.match(body):
        record = dict(_ELEMENT.findall(body))
        when = record.get("Timestamp", "")
    else:
        try:
            row = next(csv.reader([body]), [])
        except csv.Error:
            return None
        record = dict(zip(_PLACES, row, strict=False))
        when = f"{record.get('Record-Date', '')} {record.get('Record-Time', '')}"
    if not record:
        return None
    known = {name.lower(): value for name, value in record.items()}
    action, outcome = _KINDS.get(known.get("packet-type", ""), (None, None))
    user, domain = directory_account(known.get("sam-account-name") or known.get("user-name", ""))
    cells: dict[str, Any] = {
        **{f"radius.{name}": value for name, value in known.items()},
        "event.dataset": "windows.nps",
        "event.category": "authentication",
        "event.action": action,
        "event.outcome": outcome,
        "event.code": known.get("reason-code"),
        "user.name": user or None,
        "user.domain": domain,
        "observer.name": known.get("computername") or known.get("computer-name"),
        "rule.name": known.get("policy-name") or known.get("np-policy-name"),
    }
    # A station is a MAC for cables and radio, an address for VPN.
    for name in ("calling-station-id", "tunnel-client-endpt"):
        if address := ip(known.get(name, "")):
            cells["source.ip"] = address
            break
    else:
        cells["source.domain"] = known.get("calling-station-id")
    return with_header(timed(stamp(when, context), text_cells(cells)), header, context)

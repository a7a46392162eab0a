"""Skyhigh (McAfee) Web Gateway: key=value access logs with quoted values.

Times carry their zone. The URL is rebuilt where host and path stand apart; as logged it stays in
url.original. client_to_server bytes are what the client sent.
Source: Skyhigh Security, "Web Gateway access log fields".
"""

from __future__ import annotations

import re

from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import pairs, with_header
from hikeshi.parse.names import map_record, rebuild_url
from hikeshi.parse.syslog import Header

_SIGNATURE = re.compile(
    r"(?=.{0,2000}?\bsource_ip=)(?=.{0,4000}?\b(?:http_status_code|http_action|http_method|destination_host|requested_host|uri_scheme)=)",
    re.DOTALL,
)


def claims(body: str, header: Header | None) -> bool:
    return "source_ip=" in body and _SIGNATURE.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    record, lead = pairs(body)
    if "source_ip" not in record:
        return None
    event = map_record(record, context, dataset="skyhigh.web")
    event.cells["event.category"] = "web"
    rebuild_url(event.cells, record.get("uri_scheme", ""))
    return with_header(event, header, context, lead)

"""AWS CloudTrail: who called which interface from where. Times are UTC.

sourceIPAddress may be a service's name instead of an address.
Source: AWS, "CloudTrail record contents".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.parse.addresses import put_host
from hikeshi.parse.context import Context, Event
from hikeshi.parse.flat import flatten
from hikeshi.parse.names import map_record


def owns(value: Mapping[str, Any]) -> bool:
    return "eventVersion" in value and "eventName" in value and "eventSource" in value


def read(value: Mapping[str, Any], context: Context) -> Event:
    record = flatten(value)
    event = map_record(record, context, dataset="aws.cloudtrail")
    cells = event.cells
    for name in ("source.ip", "source.domain", "destination.ip", "destination.domain"):
        cells.pop(name, None)
    source = record.get("sourceIPAddress", "")
    if source and " " not in source:
        put_host(cells, "source", source)
    target = record.get("tlsDetails.clientProvidedHostHeader", "")
    if target:
        put_host(cells, "destination", target)
    user = _user(record)
    if user:
        cells["user.name"] = user
    cells["event.action"] = record["eventName"]
    cells["event.provider"] = record["eventSource"]
    answer = record.get("responseElements.ConsoleLogin", "")
    cells["event.category"] = "authentication" if answer or record["eventName"] == "ConsoleLogin" else "iam"
    failed = record.get("errorCode") or (answer and answer != "Success")
    cells["event.outcome"] = "failure" if failed else "success"
    return event


def _user(record: Mapping[str, str]) -> str | None:
    for key in ("userIdentity.userName", "userIdentity.sessionContext.sessionIssuer.userName"):
        if record.get(key):
            return record[key]
    arn = record.get("userIdentity.arn", "")
    if arn:
        return arn.rpartition("/")[2] or arn
    return (
        record.get("userIdentity.principalId")
        or record.get("userIdentity.invokedBy")
        or record.get("userIdentity.type")
    )

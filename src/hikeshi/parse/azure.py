"""Azure activity log: who changed which resource from where. Times are UTC.

Three shapes of the same record: exported by diagnostic settings (time, operationName, callerIpAddress, identity),
from the management interface and `az monitor activity-log list` (eventTimestamp, operationName.value, caller), from
Log Analytics (OperationNameValue, Caller, CallerIpAddress).
Source: Microsoft, "Azure Monitor activity log event schema".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.parse.addresses import put_host
from hikeshi.parse.context import Context, Event
from hikeshi.parse.flat import flatten
from hikeshi.parse.names import map_record

_CATEGORIES = frozenset(("administrative", "security", "servicehealth", "alert", "recommendation", "policy",
                         "autoscale", "resourcehealth"))
_CLAIM = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_WHO = ("caller", "Caller", f"identity.claims.{_CLAIM}upn", f"identity.claims.{_CLAIM}name", f"claims.{_CLAIM}upn",
        f"claims.{_CLAIM}name", "identity.authorization.evidence.principalId", "identity.claims.appid", "claims.appid")
_WHERE = ("callerIpAddress", "CallerIpAddress", "httpRequest.clientIpAddress", "identity.claims.ipaddr",
          "claims.ipaddr")
_ACTION = ("OperationNameValue", "operationName.value", "operationName")
_RESULT = ("ActivityStatusValue", "status.value", "resultType", "status")
_SUCCESS, _FAILURE = ("succe",), ("fail",)


def owns(value: Mapping[str, Any]) -> bool:
    keys = value.keys()
    if "OperationNameValue" in keys and {"Caller", "CategoryValue"} & keys:
        return True
    if "operationName" not in keys or not {"resourceId", "resourceUri"} & keys:
        return False
    category = value.get("category")
    if isinstance(category, Mapping):
        category = category.get("value")
    if str(category).replace(" ", "").lower() not in _CATEGORIES:
        return False
    return ("eventTimestamp" in keys and "caller" in keys) or ("time" in keys and bool(
        {"callerIpAddress", "identity", "resultType"} & keys))


def read(value: Mapping[str, Any], context: Context) -> Event:
    record = flatten(value)
    event = map_record(record, context, dataset="azure.activity")
    cells = event.cells
    for name in ("source.ip", "source.domain", "destination.ip", "destination.domain", "user.name", "event.outcome"):
        cells.pop(name, None)
    action = _first(record, _ACTION)
    cells["event.category"] = "iam" if "microsoft.authorization/" in action.lower() else "configuration"
    cells["event.provider"] = "Azure"
    if action:
        cells["event.action"] = action
    if user := _first(record, _WHO):
        cells["user.name"] = user
    if source := _first(record, _WHERE):
        put_host(cells, "source", source)
    result = _first(record, _RESULT).lower()
    # "Start" and "Accept" say nothing about the end.
    if result.startswith(_SUCCESS):
        cells["event.outcome"] = "success"
    elif result.startswith(_FAILURE):
        cells["event.outcome"] = "failure"
    return event


def _first(record: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((record[n] for n in names if record.get(n)), "")

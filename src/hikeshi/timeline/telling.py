"""What a record says, in one line: the parts an analyst reads first, in the record's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hikeshi.events.schema import FIELDS

LONGEST = 600
_OWN = 3  # of the record's own fields, where the table has no column that tells anything
# The record's own fields that say the most, where they occur.
_TELLING = ("LogonType", "Status", "SubStatus", "FailureReason", "TaskName", "ServiceName", "ImagePath",
            "ServiceFileName", "ShareName", "RelativeTargetName", "ObjectName", "TargetObject", "Details",
            "TargetServerName", "MemberName", "TargetSid", "PrivilegeList",
            "ScriptBlockText", "Payload", "ContextInfo", "QueryResults",
            "PipeName", "TargetImage", "GrantedAccess", "param1", "param2", "Threat Name", "Path", "tunnelip", "group",
            "reason", "msg")
_EMPTY = frozenset(("", "-", "%%1833", "0x0", "S-1-0-0"))


def detail(event: Mapping[str, Any]) -> str:
    """At most LONGEST characters; "name: value" parts with " | " between them."""
    parts = [f"{name}: {' '.join(str(value).split())}" for name, value in _parts(event)]
    text = " | ".join(dict.fromkeys(parts))
    return text if len(text) <= LONGEST else text[:LONGEST - 1] + "…"


def fields_of(given: Any) -> dict[str, str]:
    """DuckDB's map as a dict, whichever way its client hands it over."""
    if isinstance(given, Mapping):
        if set(given) == {"key", "value"} and isinstance(given["key"], list):
            return dict(zip(given["key"], given["value"], strict=True))
        return {str(k): v for k, v in given.items()}
    return {str(k): v for k, v in given or ()}


def _parts(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    own = event.get(FIELDS) or {}
    get = event.get
    if get("hikeshi.recovered"):
        yield "recovered", "; ".join(str(p) for p in (get("hikeshi.recovered"), get("hikeshi.lacks")) if p)
    if get("event.action"):
        yield "action", f"{get('event.action')}{' (failed)' if get('event.outcome') == 'failure' else ''}"
    if get("user.name"):
        yield "user", "\\".join(str(p) for p in (get("user.domain"), get("user.name")) if p)
    if get("source.ip") or get("source.domain"):
        yield "from", " ".join(str(p) for p in (get("source.ip"), get("source.domain")) if p)
    if get("destination.ip") or get("destination.domain"):
        place = get("destination.domain") or get("destination.ip")
        yield "to", f"{place}:{get('destination.port')}" if get("destination.port") else place
    for name, column in (("command", "process.command_line"), ("url", "url.full"), ("query", "dns.question.name"),
                         ("file", "file.path")):
        if get(column):
            yield name, get(column)
    if not get("process.command_line") and get("process.executable"):
        yield "program", get("process.executable")
    if get("process.parent.executable"):
        yield "parent", get("process.parent.executable")
    told = [(name, own[name]) for name in _TELLING if str(own.get(name) or "") not in _EMPTY]
    yield from told
    if get("message"):
        yield "message", get("message")
    elif not told and not any(get(c) for c in ("process.command_line", "url.full", "file.path", "destination.ip")):
        yield from [(n, v) for n, v in own.items() if str(v or "") not in _EMPTY][:_OWN]

"""Microsoft 365's unified audit log: JSON records, and the CSV exports that hold them in AuditData.

Times: CreationTime is UTC, mostly without saying so. Inner JSON texts (alerts, investigations) are
opened. An alert is written by a service: the person it is about is taken from its data, split into
name and domain, since only a mail address is there.
Source: Microsoft, "Office 365 Management Activity API schema".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import host_port, ip, port, put_host
from hikeshi.parse.context import Context, Event
from hikeshi.parse.flat import flatten, load
from hikeshi.parse.names import finish, map_record
from hikeshi.parse.stamps import stamp

_SERVICES = re.compile(r"(?i)securitycompliance\w*|aatpservice|microsoft\w*operator|system|app@sharepoint")
_GUEST = re.compile(r"(?i)urn:spo:(?:guest|anon)#")
_LOGON = frozenset({"UserLoggedIn", "UserLoginFailed", "MailboxLogin", "TeamsSessionStarted", "UserSignedIn"})
_PERSON = ("f3u", "trc", "suid", "userPrincipalName", "MailboxPrimaryAddress", "Recipient", "UserPrincipalName")


def owns(value: Mapping[str, Any]) -> bool:
    return "CreationTime" in value and "Operation" in value and ("Workload" in value or "RecordType" in value)


def from_export(record: Mapping[str, str], context: Context) -> Event | None:
    """A row of a CSV export: what counts is the JSON in AuditData."""
    value = load(record.get("AuditData", ""))
    return read(value, context) if isinstance(value, dict) and owns(value) else None


def read(value: Mapping[str, Any], context: Context) -> Event:
    record = flatten(value)
    utc = Context(UTC, zone_assumed=False)
    event = map_record(record, utc, dataset=f"m365.{_word(str(value.get('Workload') or 'audit'))}")
    cells = event.cells
    cells["event.provider"] = str(value.get("Workload") or "")
    when = stamp(str(value["CreationTime"]), utc)
    time = when.time if when is not None else event.time
    if time != NO_TIME:
        cells["event.timezone"] = "UTC"
    _client(cells, value)
    _user(cells, value, record)
    url = _url(value, record)
    for name in ("url.full", "destination.domain", "destination.ip", "destination.port"):
        cells.pop(name, None)
    if url:
        cells["url.full"] = url
        finish(cells)
    operation = str(value["Operation"])
    cells["event.action"] = operation
    if operation in _LOGON:
        cells["event.category"] = "authentication"
        cells["event.outcome"] = "failure" if operation == "UserLoginFailed" else "success"
    elif operation.startswith("File"):
        cells["event.category"] = "file"
    return Event(time, {k: v for k, v in cells.items() if v not in (None, "")})


def _word(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text.lower())[:40]


def _client(cells: dict[str, Any], value: Mapping[str, Any]) -> None:
    cells.pop("source.domain", None)
    for key in ("ClientIP", "ClientIPAddress", "ActorIpAddress", "SenderIp"):
        text = str(value.get(key) or "")
        host, number = host_port(text)
        address = ip(host)
        if address and address not in ("0.0.0.0", "::"):
            cells["source.ip"] = address
            if port(number) is not None:
                cells["source.port"] = number
            return
    device = value.get("DeviceName")
    if isinstance(device, str) and device:
        put_host(cells, "source", device)


def _user(cells: dict[str, Any], value: Mapping[str, Any], record: Mapping[str, str]) -> None:
    name = _GUEST.sub("", str(value.get("UserId") or value.get("UserKey") or ""))
    if name and not _SERVICES.fullmatch(name):
        cells["user.name"] = name
        return
    data = value.get("Data")
    inner = load(data) if isinstance(data, str) else data
    person = next((p for p in _persons(inner)), None)
    if person is None:
        if name:
            cells["user.name"] = name
        return
    local, _, domain = person.partition("@")
    cells["user.name"], cells["user.email"] = local, person
    if domain:
        cells["user.domain"] = domain


def _persons(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key in _PERSON:
            text = value.get(key)
            if isinstance(text, str) and "@" in text and " " not in text:
                yield text.split(";", 1)[0].split(",", 1)[0]


def _url(value: Mapping[str, Any], record: Mapping[str, str]) -> str | None:
    """The URL the record is about: a link in a message or mail, else the object or file itself."""
    links = value.get("MessageURLs")
    if isinstance(links, list) and links and isinstance(links[0], str):
        return links[0]
    inner = [load(value[k]) if isinstance(value.get(k), str) else value.get(k) for k in ("Data", "Actions")]
    found = next((u for part in inner for u in _entity_urls(part)), None)
    if found:
        return found
    for key in ("ObjectId", "AlertEntityId", "FileData.FilePath", "SourceFileUrl", "SiteUrl"):
        text = record.get(key, "")
        if text.startswith(("https://", "http://")):
            return text
    return None


def _entity_urls(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        opened = load(value) if value[:1] in "{[" and depth < 6 else None
        if opened is not None:
            yield from _entity_urls(opened, depth + 1)
    elif isinstance(value, list) and depth < 6:
        for item in value[:50]:
            yield from _entity_urls(item, depth + 1)
    elif isinstance(value, dict) and depth < 6:
        urls = value.get("Urls") or value.get("Url")
        for url in urls if isinstance(urls, list) else [urls]:
            if isinstance(url, str) and url.startswith(("https://", "http://")):
                yield url
        for key in ("Entities", "Entity"):
            yield from _entity_urls(value.get(key), depth + 1)

"""Remote control programs: AnyDesk, TeamViewer, and ScreenConnect's session exports.

AnyDesk: connection_trace.txt (local time, minutes), ad.trace and ad_svc.trace (UTC).
TeamViewer: Connections_incoming.txt and connections.txt (UTC), TeamViewer…_Logfile.log (local).
The partner's number goes to remote.id; a session has its end in event.end.
Source: AnyDesk help, "Connection log"; TeamViewer support, "Log files".
"""

from __future__ import annotations

import re
from datetime import UTC
from typing import Any

from hikeshi.events.time import NO_TIME, format_utc
from hikeshi.parse.addresses import ip, port
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_TRACE = re.compile(
    r"(Incoming|Outgoing)\s+(\d{4}-\d\d-\d\d), (\d\d:\d\d)\s+(User|Passwd|Token|REJECTED|2FA|Unattended\w*|[A-Z]"
    r"\w+)\s+(\S.*?)\s*\Z"
)
_AD_TRACE = re.compile(
    r"\s*(info|warning|error|debug|trace|fatal|notice)\s+(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})\s+([\w-]+)\s+(\d"
    r"+)\s+(\d+)\s+(?:([0-9a-f]+)\s+)?([\w.:-]+) - (.*)\Z"
)
_TV_DATE = r"(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d)"
_TV_IN = re.compile(
    rf"(\d{{6,12}})\t([^\t]*)\t{_TV_DATE}\t{_TV_DATE}?\t([^\t]*)\t([^\t]*)(?:\t(\{{?[0-9A-Fa-f-]{{36}}\}}?))?(?:"
    rf"\t.*)?\Z"
)
_TV_OUT = re.compile(
    rf"(\d{{6,12}})\s*\t{_TV_DATE}\t{_TV_DATE}?\t([^\t]*)\t([^\t]*)(?:\t(\{{?[0-9A-Fa-f-]{{36}}\}}?))?(?:\t.*)?\Z"
)
_TV_LOG = re.compile(
    r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{3})\s+(\d+)\s+(\d+)\s+([A-Z]\d|[A-Z]\d{1,3}!*|[A-Z]\d!+|\S{1,5})\s+(.*)\Z"
)
_ADDRESS = re.compile(r"(?<![\w.])(?:a=)?((?:\d{1,3}\.){3}\d{1,3})(?::(\d{1,5}))?(?![\w.])")
_PARTNER = re.compile(
    r"(?:\((\d{6,12})\)|\b(?:from|to|client-id|Client-ID|ID:?|partner|DestinationClientID|participant|buddy)\s*[:"
    r"=]?\s*(\d{6,12})\b)"
)
HEAD = re.compile(
    r"\s*(?:\*+|Start: +\d|Version: +|ID: +\d|Loglevel:|License:|Server: |IC: |CPU:|OS: |IP: |MID: |Proxy-Setting"
    r"s|IE: |AppPath: |UserAccount: |"
    r"Log opened|Log closed|\* \* \*|=+\s*\Z)"
)
_METHODS = {"passwd": "password", "user": "accepted by user", "token": "token", "rejected": "rejected"}


def claims(body: str, header: Header | None) -> bool:
    return bool(
        _TRACE.match(body)
        or _AD_TRACE.match(body)
        or _TV_IN.match(body)
        or _TV_OUT.match(body)
        or _teamviewer_log(body)
    )


def _teamviewer_log(body: str) -> re.Match[str] | None:
    match = _TV_LOG.match(body)
    return match if match and re.fullmatch(r"[A-Z]\d{0,3}!*[+-]?", match[4]) else None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    event = _anydesk_trace(body, context) or _anydesk(body) or _teamviewer(body) or _teamviewer_text(body, context)
    return with_header(event, header, context) if event is not None else None


def _anydesk_trace(body: str, context: Context) -> Event | None:
    match = _TRACE.match(body)
    if match is None:
        return None
    way, day, clock, method, partner = match.groups()
    words = partner.split()
    cells: dict[str, Any] = {
        "event.dataset": "anydesk.connections",
        "event.category": "authentication",
        "event.action": f"{way.lower()}-session",
        "event.outcome": "failure" if method == "REJECTED" else "success",
        "remote.method": _METHODS.get(method.lower(), method),
        "remote.id": words[-1],
    }
    if len(words) > 1 and words[0] != words[-1]:
        cells["remote.alias"] = words[0]
    return timed(stamp(f"{day} {clock}", context), cells)


def _anydesk(body: str) -> Event | None:
    match = _AD_TRACE.match(body)
    if match is None:
        return None
    level, when, part, pid, _, _, module, message = match.groups()
    cells: dict[str, Any] = {
        "event.dataset": "anydesk.trace",
        "log.level": level,
        "anydesk.part": part,
        "process.pid": int(pid),
        "anydesk.module": module,
        "message": message.strip(),
    }
    lower = message.lower()
    if address := _ADDRESS.search(message):
        side = "source" if re.search(r"(?i)logged in from|incoming|external address|from ", message) else "destination"
        if found := ip(address[1]):
            cells[f"{side}.ip"] = found
            if address[2]:
                cells[f"{side}.port"] = port(address[2])
    if partner := _PARTNER.search(message):
        cells["remote.id"] = partner[1] or partner[2]
    for words, action, outcome in (
        ("incoming session request", "incoming-session", None),
        ("authenticated", "logged-in", "success"),
        ("wrong password", "logon-failed", "failure"),
        ("authentication failed", "logon-failed", "failure"),
        ("session closed", "session-closed", None),
        ("session stopped", "session-closed", None),
        ("connecting to", "outgoing-session", None),
        ("logged in from", "remote-address", None),
        ("preparing files", "file-transfer", None),
        ("file transfer", "file-transfer", None),
    ):
        if words in lower:
            cells["event.action"] = action
            if outcome:
                cells["event.outcome"] = outcome
            cells["event.category"] = "file" if action == "file-transfer" else "authentication"
            break
    else:
        cells["event.action"] = "message"
    return timed(stamp(when, Context(UTC, zone_assumed=False)), cells)


def _teamviewer(body: str) -> Event | None:
    match = _TV_IN.match(body)
    if match is not None:
        partner, name, start, end, user, mode, session = match.groups()
        cells: dict[str, Any] = {"event.action": "incoming-session"}
        if name:
            cells["source.domain"] = name
    else:
        match = _TV_OUT.match(body)
        if match is None:
            return None
        partner, start, end, user, mode, session = match.groups()
        cells = {"event.action": "outgoing-session"}
    cells.update(
        {
            "event.dataset": "teamviewer.connections",
            "event.category": "authentication",
            "event.outcome": "success",
            "remote.id": partner,
            "remote.mode": mode,
        }
    )
    if user:
        cells["user.name"] = user
    if session:
        cells["remote.session"] = session.strip("{}")
    utc = Context(UTC, zone_assumed=False)
    begun, ended = _day_first(start, utc), _day_first(end, utc)
    if ended != NO_TIME:
        cells["event.end"] = format_utc(ended)
    if begun == NO_TIME:
        cells["event.original_time"] = start
        return Event(NO_TIME, cells)
    cells["event.timezone"] = "UTC"
    return Event(begun, cells)


def _day_first(text: str | None, context: Context) -> int:
    if not text:
        return NO_TIME
    day, month, rest = text.split("-", 2)
    found = stamp(f"{rest[:4]}-{month}-{day}{rest[4:]}", context)
    return found.time if found is not None else NO_TIME


def _teamviewer_text(body: str, context: Context) -> Event | None:
    match = _teamviewer_log(body)
    if match is None:
        return None
    when, pid, _, _, message = match.groups()
    cells: dict[str, Any] = {
        "event.dataset": "teamviewer.log",
        "process.pid": int(pid),
        "message": message.strip(),
        "event.action": "message",
    }
    if address := _ADDRESS.search(message):
        side = "source" if re.search(r"(?i)punch received|received|from|incoming", message) else "destination"
        if found := ip(address[1]):
            cells[f"{side}.ip"] = found
            if address[2]:
                cells[f"{side}.port"] = port(address[2])
    if partner := _PARTNER.search(message):
        cells["remote.id"] = partner[1] or partner[2]
    return timed(stamp(when, context), cells)

"""Network storage: Synology (DSM) and QNAP (QTS, QuLog) syslog: logons, file access, blocks.

Times: the syslog header's; an offset counts where it is there.
Source: Synology, "Log Center"; QNAP, "QuLog Center user guide".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import account, ip, put_host
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.syslog import Header

_QNAP = re.compile(r"(?:(conn|event) log: )?Users: (.*?), Source IP: (.*?), Computer name: (.*?), (.*)\Z", re.DOTALL)
_QNAP_PART = re.compile(
    r"(Connection type|Accessed resources|Action|Content|Client application|Category|Application): ?(.*?)(?=, (?:"
    r"Connection type|Accessed resources|Action|Content|Client application|Category|Application):|\Z)"
)
_SYNOLOGY_LOGON = re.compile(
    r"(?:.*?: )?[Uu]ser \[([^\]]*)\] from \[([^\]]*)\] (logged in successfully|failed to (?:log|sign) in|signed i"
    r"n successfully|logged out|was denied|accessed)(.*)\Z",
    re.DOTALL,
)
_SYNOLOGY_VIA = re.compile(r"\bvia \[([^\]]+)\]")
_SYNOLOGY_BLOCK = re.compile(
    r"(?:.*?: )?(?:Host|IP address|IP) \[([0-9A-Fa-f.:]+)\] (?:was|has been) blocked(.*)\Z", re.DOTALL
)
_SYNOLOGY_FILE = re.compile(
    r"(?:.*?)\bEvent: (\w[\w ]*), Path: (.*?), File/Folder: (\w+)(?:, Size: (.*?))?, User: (.*?), IP: ([0-9A-Fa-f.:]+)",
    re.DOTALL,
)
_SYNO_APP = re.compile(r"(?i)syno\w*")
_PAM = re.compile(r"pam_unix\(([^)]*)\): authentication failure;.*?\brhost=(\S*)(?:.*?\buser=(\S+))?")
_CONNECTION = {
    "0": "unknown",
    "1": "samba",
    "2": "ftp",
    "3": "http",
    "4": "nfs",
    "5": "afp",
    "6": "telnet",
    "7": "ssh",
    "8": "iscsi",
}


def claims(body: str, header: Header | None) -> bool:
    if _QNAP.match(body) or _SYNOLOGY_LOGON.match(body) or _SYNOLOGY_FILE.match(body) or _SYNOLOGY_BLOCK.match(body):
        return True
    app = header.app if header is not None else None
    return bool(app and ("synoscgi" in app or app.startswith("SYNO.API")))


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    cells: dict[str, Any] | None = _qnap(body) or _synology(body, header)
    if cells is None:
        return None
    cells["message"] = body.strip()
    return with_header(Event(NO_TIME, cells), header, context)


def _qnap(body: str) -> dict[str, Any] | None:
    match = _QNAP.match(body)
    if match is None:
        return None
    kind, user, source, computer, rest = match.groups()
    cells: dict[str, Any] = {"event.dataset": f"qnap.{kind or 'conn'}"}
    _person(cells, user)
    if source not in ("", "---"):
        put_host(cells, "source", source)
    if computer not in ("", "---"):
        cells["source.domain"] = computer
    part = {k: v.strip() for k, v in _QNAP_PART.findall(rest) if v.strip() not in ("", "---")}
    action = part.get("Action") or part.get("Content", "")[:60] or "message"
    cells["event.action"] = action.lower()
    protocol = part.get("Connection type", "")
    if protocol:
        cells["network.protocol"] = _CONNECTION.get(protocol, protocol.lower())
    if "log" in action.lower():
        cells["event.category"] = "authentication"
        cells["event.outcome"] = "failure" if "fail" in action.lower() else "success"
    elif part.get("Accessed resources"):
        cells["event.category"] = "file"
    if part.get("Accessed resources"):
        cells["file.path"] = part["Accessed resources"]
    if part.get("Client application"):
        cells["user_agent.original"] = part["Client application"]
    return cells


def _synology(body: str, header: Header | None) -> dict[str, Any] | None:
    cells: dict[str, Any] = {"event.dataset": "synology"}
    if match := _SYNOLOGY_LOGON.match(body):
        user, source, said, rest = match.groups()
        good = "success" in said
        cells["event.action"] = (
            "logged-in"
            if good
            else "logged-out"
            if said == "logged out"
            else "accessed"
            if said == "accessed"
            else "logon-failed"
        )
        if cells["event.action"] != "logged-out":
            cells["event.outcome"] = "success" if good or said == "accessed" else "failure"
        cells["event.category"] = "authentication"
        _person(cells, user)
        put_host(cells, "source", source)
        if via := _SYNOLOGY_VIA.search(rest):
            cells["network.protocol"] = via[1].lower()
    elif match := _SYNOLOGY_FILE.match(body):
        action, path, kind, size, user, source = match.groups()
        cells.update(
            {"event.action": action.lower(), "event.category": "file", "file.path": path, "synology.kind": kind}
        )
        if size:
            cells["synology.size"] = size
        _person(cells, user)
        put_host(cells, "source", source)
    elif match := _SYNOLOGY_BLOCK.match(body):
        cells.update({"event.action": "blocked", "event.category": "authentication", "event.outcome": "failure"})
        put_host(cells, "source", match[1])
        if via := _SYNOLOGY_VIA.search(match[2]):
            cells["network.protocol"] = via[1].lower()
    elif header is not None and header.app and ("synoscgi" in header.app or _SYNO_APP.match(header.app)):
        cells["event.action"] = "message"
        if match := _PAM.search(body):
            cells.update(
                {"event.action": "logon-failed", "event.category": "authentication", "event.outcome": "failure"}
            )
            if ip(match[2]):
                cells["source.ip"] = ip(match[2])
            if match[3]:
                _person(cells, match[3])
    else:
        return None
    return cells


def _person(cells: dict[str, Any], text: str) -> None:
    name, domain = account(text if text != "---" else "")
    if name:
        cells["user.name"] = name
    if domain:
        cells["user.domain"] = domain

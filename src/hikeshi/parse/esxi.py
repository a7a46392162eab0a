"""VMware ESXi: hostd, vobd, shell and DCUI messages: who logged on, what was typed, what was switched on.

Source: VMware, "ESXi Log Files", and the wording of hostd and vobd.
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import account, ip, port, put_host
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.names import finish
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_APPS = frozenset(
    ["hostd", "vobd", "vpxa", "shell", "esxshell", "dcui", "rhttpproxy", "vmkernel", "vmauthd", "hostd-probe"]
)
_ORIGIN = re.compile(
    r"(?:(\w+) (\w[\w-]*)\[(\w+)\]:? )?(?:\S+ )?\[Originator@\d+ ([^\]]*)\]\s*(?:\[Auth\]: )?(.*)\Z", re.DOTALL
)
_VOB = re.compile(r"\s*\[(\w*Correlator)\] \d+us: +\[([\w.]+)\] (.*)\Z", re.DOTALL)
_TYPED = re.compile(r"\s*\[([\w.@\\-]+)\]: (.*)\Z", re.DOTALL)
_LEVEL = re.compile(r"(?:[A-Z][a-z]\((\d+)\)|(?:info|warning|error|verbose|trivia)) ")
_ENDPOINT = re.compile(r"<TCP '([0-9A-Fa-f.:]+) : (\d+)'>, <TCP '([0-9A-Fa-f.:]+) : (\d+)'>")
_WHO = (
    (re.compile(r"Accepted password for user (\S+) from ([0-9A-Fa-f.:]+)"), "logged-in", "success"),
    (re.compile(r"Rejected password for user (\S+) from ([0-9A-Fa-f.:]+)"), "logon-failed", "failure"),
    (re.compile(r"User ([^\s@']+)@([0-9A-Fa-f.:]+) logged in"), "logged-in", "success"),
    (re.compile(r"User ([^\s@']+)@([0-9A-Fa-f.:]+) logged out"), "logged-out", None),
    (re.compile(r"Cannot login (?:user )?([^\s@']+)@([0-9A-Fa-f.:]+)"), "logon-failed", "failure"),
    (re.compile(r"SSH session was opened for '([^@']+)@([0-9A-Fa-f.:]+)'"), "session-opened", "success"),
    (re.compile(r"SSH session was closed for '([^@']+)@([0-9A-Fa-f.:]+)'"), "session-closed", None),
    (re.compile(r"User '([^']+)' running command '(.*)'"), "command-run", "success"),
    (re.compile(r"^User ([\w.-]+)\s*\Z"), "message", None),
)


def claims(body: str, header: Header | None) -> bool:
    if "[Originator@" in body[:200] or _VOB.match(body) is not None:
        return True
    app = (header.app or "").lower() if header is not None else ""
    return app in _APPS and (app not in ("shell", "esxshell") or _TYPED.match(body) is not None)


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    cells: dict[str, Any] = {"event.dataset": "esxi", "message": body.strip()}
    origin, vob = _ORIGIN.search(body), _VOB.match(body)
    message = body.strip()
    if origin:
        message = origin[5].strip()
        if origin[2]:
            cells["process.name"] = origin[2]
        for part in origin[4].split():
            key, mark, value = part.partition("=")
            if key == "user" and value:
                # "vpxuser:CORP\\alice": the account vCenter uses, then the one it acts for.
                cells["user.name"], domain = account(value.partition(":")[0])
                if domain:
                    cells["user.domain"] = domain
                cells["esxi.user"] = value
            elif mark:
                cells[f"esxi.{key}"] = value
    elif vob:
        cells["event.code"], message = vob[2], vob[3]
    _read(cells, message)
    app = (header.app or "").lower() if header is not None else ""
    typed = _TYPED.match(body) if app in ("shell", "esxshell") else None
    if typed:
        cells["user.name"], cells["process.command_line"] = typed[1], typed[2]
        cells["event.action"], cells["event.category"] = "command-run", "process"
    lead = re.match(r"\s*(\d{4}-\d\d-\d\dT[\d:.]+Z)\s", body) if header is None else None
    when = stamp(lead[1], context) if lead else None
    event = timed(when, cells) if when else Event(NO_TIME, cells)
    if header is not None and header.host and not _LEVEL.match(f"{header.host} "):
        cells["host.name"] = header.host
    return with_header(event, header, context)


def _read(cells: dict[str, Any], message: str) -> None:
    for pattern, action, outcome in _WHO:
        found = pattern.search(message)
        if found is None:
            continue
        name, domain = account(found[1])
        cells["user.name"] = name
        if domain:
            cells["user.domain"] = domain
        if action == "command-run":
            cells["process.command_line"] = found[2]
        elif found.re.groups > 1:
            put_host(cells, "source", found[2].rstrip("."))
        cells["event.action"] = action
        cells["event.category"] = "process" if action == "command-run" else "authentication"
        if outcome:
            cells["event.outcome"] = outcome
        return
    launched = re.match(r"Launching binary: (.*)\Z", message, re.DOTALL)
    if launched:
        cells["process.command_line"], cells["event.category"] = launched[1], "process"
        cells["event.action"] = "command-run"
        if url := re.search(r"\bhttps?://\S+", launched[1]):
            cells["url.full"] = url[0]
            finish(cells)
        return
    ends = _ENDPOINT.search(message)
    if ends:
        cells["source.ip"], cells["source.port"] = ip(ends[1]), port(ends[2])
        cells["destination.ip"], cells["destination.port"] = ip(ends[3]), port(ends[4])
        cells["event.category"] = "network"

"""File servers whose values go by place: Samba's full_audit (default and usual prefix) and FTP's xferlog.

`source.bytes` is what the client sent (uploads), `destination.bytes` what it got.
Source: Samba vfs_full_audit(8), wu-ftpd xferlog(5).
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import account, ip, put_host, whole
from hikeshi.parse.context import Context, Event, text_cells
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_XFER = re.compile(
    r"([A-Z][a-z]{2} [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d \d{4}) (\d+) (\S+) (\d+) (\S.*?) ([ab]) (\S) ([oid]) "
    r"([arg]) (\S+) (\S+) ([01]) (\S+) ([ci])\Z"
)
_RESULT = re.compile(r"(?:ok|fail(?: \(.*\))?)\Z", re.DOTALL)


def claims_samba(body: str, header: Header | None) -> bool:
    return header is not None and header.app == "smbd_audit" and body.count("|") >= 3


def parse_samba(body: str, header: Header | None, context: Context) -> Event | None:
    parts = body.split("|")
    at = next((n for n, part in enumerate(parts) if _RESULT.match(part)), 0)
    address = next((n for n, part in enumerate(parts[:at]) if ip(part)), None)
    if at < 2:
        return None
    user, domain = account(parts[0]) if address != 0 else (None, None)
    cells: dict[str, Any] = {
        "event.dataset": "samba.audit",
        "event.category": "file",
        "event.action": parts[at - 1],
        "event.outcome": "success" if parts[at] == "ok" else "failure",
        "source.ip": ip(parts[address]) if address is not None else None,
        "user.name": user,
        "user.domain": domain,
        "file.path": parts[-1] if len(parts) > at + 1 else None,
        "message": body,
    }
    if address is not None and at - address == 4:
        cells["source.domain"], cells["samba.share"] = parts[address + 1], parts[address + 2]
    return with_header(Event(NO_TIME, text_cells(cells)), header, context)


def claims_xfer(body: str, header: Header | None) -> bool:
    return body[-2:] in (" c", " i") and _XFER.match(body) is not None


def parse_xfer(body: str, header: Header | None, context: Context) -> Event | None:
    match = _XFER.match(body)
    if match is None:
        return None
    when, _, client, size, path, _, _, direction, _, user, _, _, _, state = match.groups()
    cells: dict[str, Any] = {
        "event.dataset": "ftp.xferlog",
        "event.category": "file",
        "event.action": {"o": "download", "i": "upload", "d": "delete"}[direction],
        "event.outcome": "success" if state == "c" else "failure",
        "user.name": account(user)[0],
        "file.path": path,
    }
    put_host(cells, "source", client)
    if direction != "d":
        cells["destination.bytes" if direction == "o" else "source.bytes"] = whole(size)
    return with_header(timed(stamp(when, context), text_cells(cells)), header, context)

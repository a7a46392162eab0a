"""OpenVPN server: connections, logons and failures, by client address.

Source: the wording of OpenVPN 2.4 to 2.6.
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.parse.addresses import account, ip, port
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_OPENVPN = re.compile(
    r"\s*(?:(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \d{4}) )?(?:us=\d+ )?"
    r"(?:([^/\[\]\"=<>]{1,64})/)?(\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9A-Fa-f]*:[0-9A-Fa-f:]*\]?):(\d{1,5}) (.*)\Z"
)
_OPENVPN_WORDS = re.compile(
    r"(?:\[[\w.@ -]+\] )?(?:TLS|VERIFY|peer info|Peer Connection|(?:Incoming|Outgoing|Control|Data) |MULTI|"
    r"SIG[A-Z]+\d|PUSH|Timers|"
    r"Connection reset|SENT CONTROL|Delayed|WARNING|Protocol options|AUTH|Inactivity|Re-using|"
    r"Client disconnected|CC-EEN|Expected|Bad |"
    r"Local Options|Expected Remote|NOTE|Data Channel|PLUGIN|Authenticate/Decrypt|Fatal|client_|tls-crypt)"
)


def claims(body: str, header: Header | None) -> bool:
    match = _OPENVPN.match(body)
    return match is not None and (
        _OPENVPN_WORDS.match(match[5]) is not None or (header is not None and (header.app or "").startswith("openvpn"))
    )


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    match = _OPENVPN.match(body)
    if match is None:
        return None
    when, user, address, number, message = match.groups()
    cells: dict[str, Any] = {"event.dataset": "openvpn", "event.category": "network", "message": message}
    cells["source.ip"], cells["source.port"] = ip(address), port(number)
    named = re.search(r"username '([^']+)'|^\[([^\]]+)\] Peer Connection Initiated", message)
    name = user or (next(g for g in named.groups() if g) if named else None)
    if name:
        cells["user.name"] = account(name)[0]
    if "authentication succeeded" in message or "Peer Connection Initiated" in message:
        cells["event.action"], cells["event.outcome"], cells["event.category"] = (
            "logged-in",
            "success",
            "authentication",
        )
    elif re.search(r"Auth Error|AUTH_FAILED|authentication failed|verification failed|VERIFY ERROR", message):
        cells["event.action"], cells["event.outcome"], cells["event.category"] = (
            "logon-failed",
            "failure",
            "authentication",
        )
    return with_header(timed(stamp(when, context) if when else None, cells), header, context)

"""Mail servers Sendmail and Exim: one event a line; who sent from where, and where it went.

`source.ip` is the client that gave the mail or logged on, `destination.ip` the server it was handed to.
Source: Sendmail "Installation and Operation Guide" (syslog), Exim specification, "Log files".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import account, ip, port, whole
from hikeshi.parse.context import Context, Event, text_cells
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_LONGEST = 8000
_ADDRESS = r"\[((?:\d{1,3}\.){3}\d{1,3}|(?:IPv6:)?[0-9A-Fa-f]*:[0-9A-Fa-f:]+)\]"

# ---- Sendmail --------------------------------------------------------------------------------

_PROGRAMS = ("sendmail", "sm-mta", "sm-msp-queue", "sendmail-in", "sendmail-out")
_SENDMAIL = re.compile(
    r"(?:[0-9A-Za-z]{8,16}: )?(?:from=|to=|ruleset=|AUTH=|STARTTLS=|lost input|Authentication-Warning)"
)
_PAIR = re.compile(r"(?:^|[ ,])([a-zA-Z]\w*)=((?:<[^>]*>|[^,])*)")
_RELAY = re.compile(r"(?:([\w.-]+?)\.?(?:@[\w.-]+)? )?" + _ADDRESS)


def claims_sendmail(body: str, header: Header | None) -> bool:
    return header is not None and header.app in _PROGRAMS and _SENDMAIL.match(body) is not None


def parse_sendmail(body: str, header: Header | None, context: Context) -> Event | None:
    queue, _, rest = body.partition(": ") if re.match(r"[0-9A-Za-z]{8,16}: ", body) else ("", "", body)
    record = {name: value.strip() for name, value in _PAIR.findall(rest[:_LONGEST])}
    sent = rest.startswith("to=")
    side = "destination" if sent else "source"
    cells: dict[str, Any] = {
        **{f"mail.{name}": value for name, value in record.items()},
        "event.dataset": "mail.sendmail",
        "event.category": "email",
        "mail.id": queue,
        "message": body,
    }
    if relay := _RELAY.search(record.get("relay", "")[:400]):
        cells[f"{side}.ip"] = ip(relay[2].removeprefix("IPv6:"))
        if relay[1]:
            cells[f"{side}.domain"] = relay[1].lower()
    if "reject" in record:
        cells["event.action"], cells["event.outcome"] = "rejected", "failure"
    elif sent and "stat" in record:
        cells["event.action"] = "sent" if record["stat"].startswith("Sent") else "not-sent"
        cells["event.outcome"] = "success" if record["stat"].startswith("Sent") else "failure"
    elif rest.startswith("from="):
        cells["event.action"], cells["source.bytes"] = "received", whole(record.get("size", ""))
    elif "AUTH" in record:
        cells["event.action"], cells["event.outcome"] = "logged-in", "success"
        cells["user.name"] = account(record.get("authid", ""))[0]
    return with_header(Event(NO_TIME, text_cells(cells)), header, context)


# ---- Exim --------------------------------------------------------------------------------------

_EXIM = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?) (?:\[\d+\] )?"
    r"(?:([0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}) (<=|=>|->|>>|\*\*|==|Completed|H=)?|"
    r"(?=(?:no host name found|H=|\w+ authenticator failed for )))(.*)\Z"
)
_HOST = re.compile(r"(?:\bH=|\bfor )(?:([\w.-]+) )?(?:\([^)]*\) )?" + _ADDRESS + r"(?::(\d{1,5}))?")
_FOR = re.compile(r"authenticator failed for (?:([\w.-]+) )?(?:\([^)]*\) )?" + _ADDRESS + r"(?::(\d{1,5}))?")
_SET_ID = re.compile(r"set_id=([^\s)]+)")
_ACTIONS = {"<=": "received", "=>": "sent", "->": "sent", ">>": "sent", "**": "bounced", "==": "deferred"}


def claims_exim(body: str, header: Header | None) -> bool:
    return body[:2] == "20" and _EXIM.match(body) is not None


def parse_exim(body: str, header: Header | None, context: Context) -> Event | None:
    match = _EXIM.match(body)
    if match is None:
        return None
    when, queue, sign, rest = match.groups()
    action = _ACTIONS.get(sign or "")
    cells: dict[str, Any] = {
        "event.dataset": "mail.exim",
        "event.category": "email",
        "event.action": action,
        "event.outcome": {"received": "success", "sent": "success", "bounced": "failure"}.get(action or ""),
        "mail.id": queue,
        "message": body,
    }
    side = "destination" if action in ("sent", "bounced", "deferred") else "source"
    if host := _FOR.search(rest) or _HOST.search(rest if sign != "H=" else "H=" + rest):
        cells[f"{side}.ip"] = ip(host[2].removeprefix("IPv6:"))
        cells[f"{side}.domain"] = host[1].lower() if host[1] else None
        cells[f"{side}.port"] = port(host[3] or "")
    if action == "received":
        cells["mail.from"] = rest.split()[0] if rest.split() else None
        size = re.search(r" S=(\d+)", rest)
        cells["source.bytes"] = whole(size[1]) if size else None
        if login := re.search(r" A=\w+:(\S+)", rest):
            cells["user.name"] = login[1]
    elif action:
        cells["mail.to"] = rest.split()[0] if rest.split() else None
    if "authenticator failed" in rest or " rejected " in rest:
        cells["event.action"] = "logon-failed" if "authenticator" in rest else "rejected"
        cells["event.outcome"] = "failure"
    if who := _SET_ID.search(rest):
        cells["user.name"] = account(who[1])[0]
    return with_header(timed(stamp(when, context), text_cells(cells)), header, context)

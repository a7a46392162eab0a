"""Postfix mail server, with its SPF and greylisting helpers: who connected, who logged on, where mail went.

Source: Postfix documentation and the wording of its own messages.
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.parse.addresses import account, ip, port, put_host
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.prose import add_who_and_where
from hikeshi.parse.syslog import Header, timed

_PEER = r"([\w.-]+)\[([0-9A-Fa-f.:]+|unknown)\](?::(\d+))?"
_MAIL_SOURCE = re.compile(
    r"(?:(?:dis|lost )?connect(?:ion)?(?: after [\w-]+(?: \(.*?\))?)? from|client=|\bfrom(?=.{1,90}\]: \d{3} |"
    r".{1,90}\]; )|"
    r"TLS connection established from|NOQUEUE: \w+: \w+ from|command from|\bfrom|warning:) ?" + _PEER
)
_MAIL_TARGET = re.compile(
    r"(?:relay=|connect to |connection established to |conversation with |Used TLS for |\bhost |\bto )" + _PEER
)
_MAIL_RELAY = re.compile(r"\brelay=([\w.-]+)(?::(\d+))?(?=[,\s])")
_MAIL_CLIENT = re.compile(r"\b(?:client-ip|client_address|raddr|smtp)[=:]([0-9A-Fa-f.:]+)(?:/\d+)?(?=[;,)\s]|\Z)")
_MAIL_BODY = re.compile(
    r"\s*(?:[0-9A-F]{6,15}|[0-9A-Za-z]{10,20}|NOQUEUE): (?:to=|from=|client=|warning: header|message-id=|"
    r"removed|reject|uid=|filter|milter|action=|Used TLS|host )|"
    r"\s*(?:(?:dis|lost )?connect(?:ion after \S+)? from |connect to |statistics: |(?:Anonymous|Trusted|"
    r"Untrusted|Verified) TLS connection|"
    r"(?:prepend |Action: prepend: Text: )?(?:Received-SPF: )?(?:Pass|Fail|Softfail|Neutral|None|Permerror|"
    r"Temperror)\b.{0,60}identity=|"
    r"action=\w+, reason=|spamd: |warning: (?:hostname|non-SMTP|\S+\[))"
)


def claims(body: str, header: Header | None) -> bool:
    if header is not None and header.app is not None:
        return header.app.startswith(("postfix", "postgrey", "policyd-spf", "spamd"))
    return _MAIL_BODY.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    cells: dict[str, Any] = {"event.dataset": "postfix", "event.category": "email", "message": body.strip()}
    source = _MAIL_SOURCE.search(body)
    client = _MAIL_CLIENT.search(body)
    if source and ip(source[2]):
        cells["source.ip"] = ip(source[2])
        if source[1] != "unknown" and ip(source[1]) is None:
            cells["source.domain"] = source[1].lower()
        if source[3]:
            cells["source.port"] = port(source[3])
    elif client and ip(client[1]):
        cells["source.ip"] = ip(client[1])
    target, relay = _MAIL_TARGET.search(body), _MAIL_RELAY.search(body)
    if target:
        cells["destination.domain"] = target[1].lower()
        if ip(target[2]):
            cells["destination.ip"] = ip(target[2])
        if target[3]:
            cells["destination.port"] = port(target[3])
    elif relay and "." in relay[1]:
        put_host(cells, "destination", relay[1])
        if relay[2]:
            cells["destination.port"] = port(relay[2])
    for key, value in re.findall(
        r"\b(sasl_username|orig_to|to|from|status|dsn|message-id|helo|user|subject|proto|sender|"
        r"recipient)=<?([^>,;\s]*)",
        body,
    ):
        if key in ("sasl_username", "user") and value:
            cells["user.name"], domain = account(value)
            if domain:
                cells["user.domain"] = domain
        elif value:
            cells.setdefault(f"postfix.{key}", value)
    recipient = cells.get("postfix.recipient") or cells.get("postfix.to")
    if "destination.domain" not in cells and recipient and "@" in recipient:
        cells["destination.domain"] = recipient.rpartition("@")[2].lower()
    queue = re.match(r"\s*([0-9A-Za-z]{6,20}): ", body)
    if queue and queue[1] not in ("NOQUEUE", "warning", "statistics"):
        cells["postfix.queue_id"] = queue[1]
    status = cells.get("postfix.status")
    if status:
        cells["event.action"] = status
        cells["event.outcome"] = "success" if status == "sent" else "failure"
    elif "authentication failed" in body:
        cells["event.action"], cells["event.outcome"] = "logon-failed", "failure"
    elif "reject:" in body:
        cells["event.action"], cells["event.outcome"] = "reject", "failure"
    if "source.ip" not in cells and "destination.domain" not in cells:
        add_who_and_where(cells, body)
    return with_header(timed(None, cells), header, context)

"""Windows DNS server's debug log: one packet a line.

Names are written by length, "(3)www(7)example(3)com(0)", and come out as names. A client's question
or answer has the client as source; what the server asks others has them as destination.
Times are local, in the server's date format.
Source: Microsoft, "DNS server debug logging": the key at the head of the file.
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.parse.addresses import ip
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_PACKET = re.compile(
    r"(\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4} +\d{1,2}:\d\d:\d\d(?: ?[AP]M)?) ([0-9A-Fa-f]{3,8}) PACKET +"
    r"([0-9A-Fa-f]{8,16}) +(UDP|TCP) (Rcv|Snd) ([0-9A-Fa-f.:%]+) +([0-9A-Fa-f]{4}) ([ R]) ?([QNU?]) "
    r"\[([0-9A-Fa-f]{4}) ?([A-Z ]*?) +(\w+)\] +(\w+) +(\S+)"
)
_OTHER = re.compile(
    r"(\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4} +\d{1,2}:\d\d:\d\d(?: ?[AP]M)?) ([0-9A-Fa-f]{3,8}) (EVENT|Note:|Warning:|E"
    r"rror:|LOOKUP|RECURSE) *(.*)\Z"
)
_LABEL = re.compile(r"\((\d{1,2})\)")
HEAD = re.compile(
    r"\s*(?:DNS Server log file creation at|Message logging key|Log file wrap at|Field # +Information|\d{1,2} +\["
    r"? ?(?:Date|Time|Thread ID|Context|"
    r"Internal packet|UDP/TCP|Send/Receive|Remote IP|Xid|Query/Response|Opcode|Flags|ResponseCode|Question))"
)


def decode(text: str) -> str:
    """The name behind labels with their lengths; a name that is plain already stays so."""
    if "(" not in text:
        return text.strip(".").lower()
    labels = _LABEL.split(text)
    # A label may hold brackets itself: its length says where it ends.
    out = [labels[i + 1] for i in range(1, len(labels) - 1, 2) if labels[i + 1]]
    if all(len(part) == int(labels[2 * i + 1]) for i, part in enumerate(out)):
        return ".".join(out).lower()
    return _by_length(text)


def _by_length(text: str) -> str:
    parts: list[str] = []
    at = 0
    while match := _LABEL.match(text, at):
        size = int(match[1])
        if not size:
            break
        parts.append(text[match.end() : match.end() + size])
        at = match.end() + size
    return ".".join(parts).lower() or text


def claims(body: str, header: Header | None) -> bool:
    return _PACKET.match(body) is not None or _OTHER.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    match = _PACKET.match(body)
    if match is None:
        other = _OTHER.match(body)
        if other is None:
            return None
        cells: dict[str, Any] = {
            "event.dataset": "windows.dns",
            "event.action": other[3].rstrip(":").lower(),
            "message": other[4],
        }
        return with_header(timed(stamp(other[1], context), cells), header, context)
    when, _, _, protocol, way, address, xid, answer, opcode, flags, letters, code, kind, name = match.groups()
    is_answer, received = answer == "R", way == "Rcv"
    cells = {
        "event.dataset": "windows.dns",
        "event.category": "network",
        "event.action": ("answer" if is_answer else "query") + ("-received" if received else "-sent"),
        "event.outcome": "success" if code == "NOERROR" else "failure",
        "network.protocol": "dns",
        "dns.question.name": decode(name),
        "dns.question.type": kind,
        "dns.response_code": code,
        "dns.id": xid,
        "dns.flags": f"{flags} {letters.strip()}".strip(),
        "dns.opcode": opcode,
        "network.transport": protocol.lower(),
    }
    side = "source" if received != is_answer else "destination"
    found = ip(address)
    if found:
        cells[f"{side}.ip"] = found
    return with_header(timed(stamp(when, context), cells), header, context)

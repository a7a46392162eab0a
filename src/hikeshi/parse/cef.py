"""Common Event Format (ArcSight) and LEEF (QRadar), with or without a syslog header.

Source: "Implementing ArcSight Common Event Format", IBM "LEEF event components".
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.parse.addresses import whole
from hikeshi.parse.context import Context, Event
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.names import map_record
from hikeshi.parse.syslog import Header

# "CEF:" itself is sometimes lost on the way (a relay takes it for the program's name).
_CEF = re.compile(r"(?:CEF:\s?)?([01])\|" + r"((?:[^|\\]|\\.)*)\|" * 6)
_KEY = re.compile(r"(?<!\S)([A-Za-z][\w.\-\[\]]{0,100})=", re.ASCII)
_LEEF = re.compile(r"LEEF:\s?([12]\.\d)\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|")
_CUSTOM = re.compile(r"((?:c[a-z]?|device|flex)\w*\d)Label\Z")


def _start(body: str, word: str) -> int:
    at = body.find(word, 0, 400)
    return at if at >= 0 else 0


def claims(body: str, header: Header | None) -> bool:
    return _CEF.match(body, _start(body, "CEF:")) is not None


def claims_leef(body: str, header: Header | None) -> bool:
    return _LEEF.match(body, _start(body, "LEEF:")) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    start = _start(body, "CEF:")
    match = _CEF.match(body, start)
    if match is None:
        return None
    _, vendor, product, version, signature, name, severity = (_unescape(g) for g in match.groups())
    record = extension(body[match.end() :])
    labelled = {record[k]: record[m[1]] for k in list(record) if (m := _CUSTOM.match(k)) and record.get(m[1])}
    named = {label: value for label, value in labelled.items() if label and label not in record}
    event = map_record({**record, **named}, context, dataset="cef", dialect="cef")
    cells = event.cells
    cells["event.dataset"] = f"cef.{_word(vendor)}.{_word(product)}".rstrip(".")
    if _word(vendor) == "palo_alto_networks":
        # Its documented mapping is in=bytes sent, out=bytes received: the firewall's view of the session.
        _put_bytes(cells, record)
    cells.setdefault("event.code", signature)
    if cells["event.code"] != signature:
        cells["cef.signature"] = signature
    for key, value in (
        ("cef.vendor", vendor),
        ("cef.product", product),
        ("cef.version", version),
        ("cef.name", name),
        ("cef.severity", severity),
    ):
        if value:
            cells[key] = value
    return with_header(event, header, context, body[:start])


def _put_bytes(cells: dict[str, Any], record: dict[str, str]) -> None:
    for column, key in (("source.bytes", "in"), ("destination.bytes", "out")):
        number = whole(record.get(key, ""))
        if number is not None:
            cells[column] = number


def extension(text: str) -> dict[str, str]:
    """CEF's key=value part: values run to the next key; `\\=` and `\\\\` are escapes."""
    keys = list(_KEY.finditer(text))
    out: dict[str, str] = {}
    for number, match in enumerate(keys):
        end = keys[number + 1].start() if number + 1 < len(keys) else len(text)
        value = text[match.end() : end].strip()
        out.setdefault(match[1], _unescape(value))
    return out


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    # Only what CEF escapes: C:\\new keeps its backslash, as many writers forget to double it.
    return re.sub(r"\\([\\|=])", r"\1", text)


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", text.strip().lower()).strip("_")


def parse_leef(body: str, header: Header | None, context: Context) -> Event | None:
    start = _start(body, "LEEF:")
    match = _LEEF.match(body, start)
    if match is None:
        return None
    _, vendor, product, version, code = match.groups()
    rest, separator = body[match.end() :], "\t"
    if match[1].startswith("2"):
        sign, bar, more = rest.partition("|")
        if bar and len(sign) <= 5 and "=" not in sign:
            rest = more
            separator = chr(int(sign[-2:], 16)) if re.fullmatch(r"0?x[0-9A-Fa-f]{2}", sign) else (sign or "\t")
    record: dict[str, str] = {}
    parts = rest.split(separator) if separator in rest else re.split(r"\s(?=[A-Za-z][\w.]*=)", rest)
    for part in parts:
        key, mark, value = part.partition("=")
        if mark:
            record.setdefault(key.strip(), value.strip())
        elif part.strip():
            record.setdefault("leef.rest", part.strip())
    event = map_record(record, context, dataset="leef", dialect="leef")
    cells = event.cells
    cells["event.dataset"] = f"leef.{_word(vendor)}.{_word(product)}".rstrip(".")
    cells.setdefault("event.code", code)
    cells["leef.version"] = version
    return with_header(event, header, context, body[:start])

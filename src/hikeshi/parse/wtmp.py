"""utmp, wtmp and btmp of Linux: binary records of 384 bytes, one a logon, logout, boot or failure.

Times: seconds and microseconds since the epoch. btmp has the same records, of failed logons: it is
told by its records alone (no process lives behind them), or by the file's name.
Source: Linux manual page utmp(5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

from hikeshi.events.table import EventTable, Reject, TableBuilder, encode
from hikeshi.events.time import NO_TIME
from hikeshi.evidence.source import Source
from hikeshi.parse.addresses import put_host

SIZE = 384
_RECORD = struct.Struct("<hxxi32s4s32s256shhiii16s20x")
_KINDS = {
    1: "runlevel",
    2: "booted",
    3: "clock-changed",
    4: "clock-set",
    5: "init",
    6: "login-waiting",
    7: "logged-in",
    8: "logged-out",
    9: "accounting",
}
_READ = SIZE * 2730


def parse_wtmp(source: Source, *, batch_rows: int) -> Iterator[EventTable]:
    """The records of a file as batches; what is no record is a Reject."""
    failed = "btmp" in Path(source.name).name.lower()
    builder = TableBuilder()
    offsets: list[int] = []
    with source.path.open("rb") as stream:
        place = 0
        while chunk := stream.read(_READ):
            for at in range(0, len(chunk), SIZE):
                record = chunk[at : at + SIZE]
                offset = place + at
                if len(record) < SIZE:
                    builder.reject(Reject("a record cut off by the end of the file", offset=offset, raw=""))
                    continue
                found = _event(record, failed)
                if isinstance(found, str):
                    builder.reject(Reject(found, offset=offset, raw=""))
                elif found is not None:
                    builder.add(*found)
                    offsets.append(offset)
            place += len(chunk)
            if len(offsets) >= batch_rows:
                yield _placed(builder, offsets)
                builder, offsets = TableBuilder(), []
    table = _placed(builder, offsets)
    if table.row_count or table.rejects:
        yield table


def _placed(builder: TableBuilder, offsets: list[int]) -> EventTable:
    table = builder.build()
    if table.row_count:
        table.columns["log.offset"] = encode(offsets)
        table.columns["log.line"] = encode([o // SIZE + 1 for o in offsets])
    return table


def _event(record: bytes, failed: bool) -> tuple[int, dict[str, Any]] | str | None:
    if not record.strip(b"\0"):
        return None
    kind, pid, line, _, user, host, _, status, session, second, micro, address = _RECORD.unpack(record)
    if not 0 <= kind <= 9 or not 0 < second < 4_200_000_000:
        return "no utmp record"
    texts = [part.partition(b"\0")[0].decode("utf-8", "backslashreplace") for part in (line, user, host)]
    name, where = texts[1], texts[2]
    action = "logon-failed" if failed and kind in (6, 7) else _KINDS.get(kind, "record")
    cells: dict[str, Any] = {
        "event.dataset": "linux.btmp" if failed else "linux.wtmp",
        "event.action": action,
        "event.timezone": "UTC",
        "event.category": "authentication",
    }
    if kind in (1, 2, 3, 4, 5, 9):
        cells["event.category"] = "host"
    if action in ("logon-failed", "logged-in"):
        cells["event.outcome"] = "failure" if failed else "success"
    if name:
        cells["user.name"] = name
    if texts[0]:
        cells["utmp.line"] = texts[0]
    found = _address(address)
    if found:
        cells["source.ip"] = found
        if where and where != found:
            put_host(cells, "source", where)
    elif where and not where.startswith(":") and kind in (6, 7, 8):
        put_host(cells, "source", where)
    elif where:
        cells["utmp.host"] = where
    if pid > 0:
        cells["process.pid"] = pid
    if session:
        cells["utmp.session"] = str(session)
    if status:
        cells["utmp.exit"] = str(status)
    time = second * 1_000_000 + (micro if 0 <= micro < 1_000_000 else 0)
    return (time if time > 0 else NO_TIME), cells


def _address(raw: bytes) -> str | None:
    if not raw.strip(b"\0"):
        return None
    if not raw[4:].strip(b"\0"):
        return str(ip_address(raw[:4]))
    found = IPv6Address(raw)
    return str(found.ipv4_mapped or found)

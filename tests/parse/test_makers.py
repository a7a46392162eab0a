"""Makers without a module of their own: made-up lines in their layout, and what must come out (makers/*.txt).

After ">": src and dst are address:port, ok and no the outcome, clock the time of day in the zone given, "!user"
says that nothing may stand there; "a|b": either will do, and "-" for nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

JST = timezone(timedelta(hours=9))
COLUMNS = {
    "user": "user.name", "host": "destination.domain", "name": "host.name", "url": "url.full", "out": "source.bytes",
    "in": "destination.bytes", "dns": "dns.question.name", "method": "http.request.method", "time": "@timestamp",
    "status": "http.response.status_code", "action": "event.action", "rule": "rule.name", "sport": "source.port",
    "dport": "destination.port", "src": "source.ip", "dst": "destination.ip",
}


class Maker(NamedTuple):
    name: str
    heading: str
    samples: list[tuple[str, str]]


def makers() -> Iterator[Maker]:
    for path in sorted((Path(__file__).parent / "makers").glob("*.txt")):
        maker, line = Maker("", "", []), ""
        for text in path.read_text("utf-8").splitlines():
            if text.startswith("@ "):
                if maker.samples:
                    yield maker
                maker = Maker(text[2:], "", [])
            elif text.startswith("~ "):
                maker = maker._replace(heading=text[2:] + "\n")
            elif text.startswith("> "):
                maker.samples.append((line, text[2:]))
            else:
                line = text
        yield maker


def wrong(row: dict[str, Any], expected: str) -> list[str]:
    """What of the expectation is not there."""
    out = []
    for part in shlex.split(expected):
        key, _, value = part.partition("=")
        if key in ("ok", "no"):
            told: Any = row.get("event.outcome")
            good = told == ("success" if key == "ok" else "failure")
        elif key == "clock":
            told = str(row.get("@timestamp"))
            good = told.partition("T")[2][:5] == f"{(int(value[:2]) - 9) % 24:02d}{value[2:5]}"
        elif key[0] == "!":
            told = row.get(COLUMNS[key[1:].partition(":")[0]])
            good = told is None
        elif key in ("src", "dst"):
            side = "source" if key == "src" else "destination"
            told = str(row.get(f"{side}.ip", "-"))
            wanted = value.split("|")
            if row.get(f"{side}.port") is not None and told not in wanted:
                told += f":{row[f'{side}.port']}"
            good = told in wanted
        else:
            told = row.get(COLUMNS[key], "-")
            good = str(told) in value.split("|")
        if not good:
            out.append(f"{part} but {told}")
    return out


@pytest.mark.parametrize("maker", list(makers()), ids=lambda maker: maker.name)
def test_makers_without_a_module(read, maker):
    for line, expected in maker.samples:
        rows = read(maker.heading + line + "\n", zone=JST).rows
        assert wrong(rows[-1], expected) == [], line
    rows = read(maker.heading + "".join(f"{line}\n" for line, _ in maker.samples), zone=JST).rows
    assert len(rows) == len(maker.samples)
    for row, (line, expected) in zip(rows, maker.samples, strict=True):
        assert wrong(row, expected) == [], line


HOSTILE = ("<a>" * 3000, "<" * 5000 + ">", "[" * 4000, "H=" + "a." * 4000, "a" * 20_000, ":" * 6000, "1:" * 3000 + "> 1::2", "::1 -> " * 900,
           "x|" * 4000, "Name: v," * 3000, "a=1, B C D " * 900, "(User " * 2000, "\\" * 5000, '"' * 4999, "1,2,10.0.0.1,10.0.0.2," * 500)
HEADS = ("", "Sep 10 20:26:40 h1 sendmail[9]: 48ABQe1b000123: from=", "Sep 10 20:26:40 h1 smbd_audit: u|", "<14>1 2024-09-10T11:26:40Z h a 1 - ",
         "2024-09-10 20:26:40 H=", "5,,,1,igb0,match,block,in,4,", "203.0.113.9:51000 [10/Sep/2024:20:26:40.123] fe1 be1/srv1 0/0 ",
         '"NPS1","IAS",09/10/2024,20:26:40,1,', "<Event><Timestamp data_type=", "Tue Sep 10 20:26:40 2024 1 203.0.113.9 131 ")


@pytest.mark.parametrize("head", HEADS)
def test_broken_and_odd_lines_are_kept_one_event_each(read, head):
    lines = [head + text for text in HOSTILE]
    rows = read("".join(line + "\n" for line in lines), format="mixed").rows
    assert len(rows) == len(lines)
    for line in lines:
        if line[0] != "[":  # the beginning of a JSON document
            assert len(read(line + "\n").rows) >= 1


def test_every_value_of_a_record_stays_beside_its_columns(read):
    row = read("Local Host IP: 10.0.0.5,Local Port: 51000,Remote Host IP: 192.0.2.7,Remote Port: 443,TCP,Inbound,Rule: Block all\n").rows[0]
    assert (row["source.ip"], row["source.port"], row["destination.ip"]) == ("192.0.2.7", 443, "10.0.0.5")
    assert row["rest"] == "TCP, Inbound"


def test_a_time_whose_name_only_hints_says_so(read):
    row = read('{"clientIp":"203.0.113.9","probeTime":"2024-09-10T11:26:40Z","expiryTime":"2025-01-01T00:00:00Z"}\n').rows[0]
    assert (row["@timestamp"], row["time.note"]) == ("2024-09-10T11:26:40Z", "by the name probeTime")
    row = read('{"clientIp":"203.0.113.9","expiryTime":"2025-01-01T00:00:00Z"}\n').rows[0]
    assert "@timestamp" not in row or row["@timestamp"] is None

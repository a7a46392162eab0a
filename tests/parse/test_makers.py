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

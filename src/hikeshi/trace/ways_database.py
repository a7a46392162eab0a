"""Ways in through a database: signed on from outside, and the server starts commands."""

from __future__ import annotations

from collections import defaultdict

from hikeshi.trace.identity import account_name, host_name
from hikeshi.trace.infection import Infection
from hikeshi.trace.network import public
from hikeshi.trace.rows import DAY, HOUR, MINUTE
from hikeshi.trace.spread import Mark
from hikeshi.trace.way import Way

_GUESSES = 10
NAME = "database"


def database_ways(infection: Infection) -> list[Way]:
    """Outside addresses that signed on to a database; and database servers that started commands, whoever asked."""
    shells = {host: [m for m in marks if m.name == "sql_child"] for host, marks in infection.marks_of.items()}
    shells = {host: marks for host, marks in shells.items() if marks}
    ways = _from_outside(infection, shells)
    told = {way.host for way in ways if way.score >= 4}
    for host, marks in sorted(shells.items()):
        if host in told:
            continue
        way = Way("vulnerability", marks[0].time, None, None, host, name=NAME, rows={m.row for m in marks[:5]})
        way.plus(
            3,
            "データベースがコマンドを起動しました。だれの指示かは、データベースやWebのログでわかります",
            "the database started commands; its log or the web server's would tell for whom",
        )
        ways.append(way)
    return ways


def _from_outside(infection: Infection, shells: dict[str, list[Mark]]) -> list[Way]:
    rows = infection.rows
    failed: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows.of("database_failure").tolist():
        failed[rows.text("source", row), rows.text("host", row)].append(row)
    came: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row in rows.of("database_logon").tolist():
        if public(rows.text("source", row)):
            account = account_name(rows.text("account", row))
            came[rows.text("source", row), rows.text("host", row), account].append(row)
    ways = []
    for (source, written, account), logons in sorted(came.items()):
        times = sorted(int(rows.time[r]) for r in logons)
        host = _machine(infection, written, shells)
        guesses = [r for r in failed.get((source, written), ()) if times[0] - DAY <= int(rows.time[r])]
        after = [m for m in shells.get(host or "", ()) if m.time >= times[0] - MINUTE]
        first = min((t for t in times for m in after if -MINUTE <= m.time - t <= HOUR), default=times[0])
        way = Way("brute_force" if len(guesses) >= _GUESSES else "vulnerability", first, source, account or None, host,
                  name=NAME, rows={*logons[:3], *guesses[-9:]})  # fmt: skip
        way.plus(
            2, "インターネットから直接データベースに入りました", "signed on to the database straight from the Internet"
        )
        if len(guesses) >= _GUESSES:
            way.plus(
                3, f"同じ接続元から{len(guesses)}回の失敗があります", f"{len(guesses)} failures from the same source"
            )
        if len({t // DAY for t in times}) >= 3 and len(guesses) < _GUESSES:
            way.minus(2, "この接続元は何日も使われています", "this source was used on several days")
        if any(-MINUTE <= m.time - t <= HOUR for t in times for m in after):
            way.plus(4, "続けてデータベースがコマンドを起動しました", "the database then started commands")
            way.rows.update(m.row for m in after[:5])
        ways.append(way)
    return ways


def _machine(infection: Infection, written: str, shells: dict[str, list[Mark]]) -> str | None:
    """The machine a log was kept on: of that name, else the only one whose database started commands."""
    host = host_name(written)
    if host and infection.who.knows(host):
        return host
    return next(iter(shells)) if len(shells) == 1 else None

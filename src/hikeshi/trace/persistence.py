"""What the attacker left so as to come back: services, tasks, autostart entries, accounts, tools."""

from __future__ import annotations

import re

from hikeshi.model.case import Persistence
from hikeshi.trace.identity import account_name, host_name
from hikeshi.trace.infection import Hold, Infection
from hikeshi.trace.rows import DAY, MINUTE, moment, when
from hikeshi.trace.way import Way

# A service that is one shell command is a way to run it, not a way to come back.
_ONE_SHOT = re.compile(r"^\"?(?:%comspec%|(?:c:\\windows\\system32\\)?cmd(?:\.exe)?)\"?\s.*?/c\b", re.I)
# Programs that renew their own autostart entry whenever somebody signs on.
_USUAL_AUTOSTART = re.compile(
    r"\\program files|\\appdata\\local\\microsoft\\(?:onedrive|teams|edge)|windowsapps\\", re.I
)
# What a held account installs on a held machine is the attacker's for a day after the last trace of him.
_STAYS = DAY


def find(infection: Infection, ways: list[Way]) -> list[Persistence]:
    """One entry for each host, kind and name, with all its records."""
    rows = infection.rows
    found: dict[tuple[str, str, str], tuple[str, str, int, set[int]]] = {}

    def keep(host: str, kind: str, name: str, path: str, row: int) -> None:
        key = (host, kind, name.lower())
        known = found.get(key)
        if known is None:
            found[key] = (name, path, int(rows.time[row]), {row})
        else:
            known[3].add(row)

    for row in rows.of("service", "task", "run_key", "account_made").tolist():
        host, time = host_name(rows.text("host", row)), int(rows.time[row])
        held = infection.hosts.get(host)
        if held is None or time < held.first - MINUTE:
            continue
        kind, signal = rows.text("kind", row), rows.text("signal", row)
        name, path = rows.text("object", row), rows.text("detail", row)
        by_attacker = _by_attacker(infection, held, row, time)
        if kind == "service" and signal != "psexec" and (signal or by_attacker) and not _ONE_SHOT.search(path):
            if signal == "remote_tool":
                keep(host, "remote_tool", name, path, row)
            elif signal or not _known_installer(path):
                keep(host, "service", name, path, row)
        elif kind == "task" and (
            by_attacker or (signal and account_name(rows.text("actor", row)) in ("", "system", f"{host.lower()}$"))
        ):
            keep(host, "scheduled_task", name, path, row)
        elif kind == "run_key" and (signal or by_attacker) and not _USUAL_AUTOSTART.search(path):
            keep(host, "run_key", name.rsplit("\\", 1)[-1], path, row)
        elif kind == "account_made" and account_name(rows.text("account", row)) in infection.accounts:
            keep(host, "account", rows.text("account", row), "", row)
    out = [
        Persistence(
            host=host,
            kind=kind,
            name=name,
            path=path,
            time=when(time),
            confidence="high" if len({rows.text("path", r) for r in cited}) > 1 else "medium",
            records=rows.refs(cited),
        )
        for (host, kind, _), (name, path, time, cited) in found.items()
    ]
    for way in ways:
        if way.kind == "web_shell" and way.leads and way.host:
            name = way.name.rsplit("/", 1)[-1]
            out.append(
                Persistence(
                    host=way.host,
                    kind="web_shell",
                    name=name,
                    path=way.name,
                    time=when(way.time),
                    confidence="high" if way.rows else "medium",
                    records=tuple(dict.fromkeys((*way.refs, *rows.refs(way.rows)))),
                )
            )
    return sorted(out, key=lambda p: (moment(p.time), p.host, p.kind, p.name))


def _by_attacker(infection: Infection, held: Hold, row: int, time: int) -> bool:
    actor = infection.accounts.get(account_name(infection.rows.text("actor", row)))
    return actor is not None and actor.first <= time + MINUTE and time <= held.last + _STAYS


def _known_installer(path: str) -> bool:
    text = path.lower().strip('"')
    return text.startswith(
        (
            "c:\\windows\\system32\\",
            "%systemroot%\\system32\\",
            "c:\\program files\\windows defender",
            "system32\\drivers\\",
            "\\systemroot\\",
        )
    )

"""Signals as marks on machines: which records show an attacker's step, and which of them are routine."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from hikeshi.trace.identity import Identity, account_name, host_name
from hikeshi.trace.programs import remote_target
from hikeshi.trace.rows import DAY, Rows
from hikeshi.trace.signals import SIGNALS
from hikeshi.trace.spread import Mark

_BY_ACTOR = frozenset(("service", "task", "run_key", "account_enabled", "group_member"))
# Services' own identities: nobody can sign on with them.
_VIRTUAL = frozenset(("iis apppool", "nt service", "nt authority", "nt virtual machine", "window manager"))


def find_marks(rows: Rows, who: Identity) -> tuple[list[Mark], dict[tuple[str, str], tuple[str, set[int]]]]:
    """(signals in time order, routine ones by (signal, what) with host and records).

    The same command on one host on three different days, or on five hosts, is a job, not an attack:
    unless the five fall within a day, which is how ransomware is deployed.
    """
    column = rows.texts["signal"]
    chosen = np.flatnonzero(column.codes >= 0)
    days: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    spread: dict[tuple[str, str], tuple[set[str], set[int]]] = defaultdict(lambda: (set(), set()))
    found: list[tuple[Mark, str]] = []
    for row in chosen.tolist():
        name = column.at(row)
        if name not in SIGNALS:
            continue
        host, time = host_name(rows.text("host", row)), int(rows.time[row])
        what = f"{rows.text('object', row).lower()}|{rows.text('detail', row).lower()}"
        account = account_name(rows.text("actor" if rows.text("kind", row) in _BY_ACTOR else "account", row))
        aim = remote_target(rows.text("detail", row)) if rows.text("kind", row) == "process" else None
        if aim and name != "remote_exec_client":
            host = who.at(aim[0], time)  # the command runs there
        if rows.text("domain", row).lower() in _VIRTUAL:
            account = ""  # a service's own identity: nobody can sign on with it
        found.append((Mark(time, host, name, account, row), what))
        days[host, name, what].add(time // DAY)
        hosts, dates = spread[name, what]
        hosts.add(host)
        dates.add(time // DAY)
    marks: list[Mark] = []
    routine: dict[tuple[str, str], tuple[str, set[int]]] = {}
    for mark, what in found:
        hosts, dates = spread[mark.name, what]
        if mark.name != "log_clear" and (
            len(days[mark.host, mark.name, what]) >= 3 or (len(hosts) >= 5 and len(dates) >= 3)
        ):
            routine.setdefault((mark.name, what), (mark.host, set()))[1].add(mark.row)
        else:
            marks.append(mark)
    return marks, routine

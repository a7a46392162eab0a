"""Names for addresses nobody names: both ends of one remote action, put side by side.

The source's own record says who went where (4648, a command that names its target); the target's says
from which address. Where they meet within seconds, the address is the source's. A target that was
named by address gets its name in the same way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np

from hikeshi.trace.network import is_address, public
from hikeshi.trace.programs import remote_target
from hikeshi.trace.rows import SECOND, Rows

_BEFORE, _AFTER = 5 * SECOND, 30 * SECOND
_AIMS_AT_MOST = 200_000
_BY_ACCOUNT = 3  # what a record that names the account counts more than a command


def names_of_addresses(
    rows: Rows, host_name: Callable[[str], str], account_name: Callable[[str], str], named: set[str]
) -> dict[str, str]:
    """Inside address → machine, for addresses not in `named`, where the two ends agree on one machine."""
    aims = _aims(rows, host_name, account_name)
    if not aims:
        return {}
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    arrivals = _arrivals(rows, host_name, {goal for _, _, goal, _ in aims if not is_address(goal)})
    for time, source, goal, account in aims:
        came = _between(arrivals.get(goal, _NONE), time)
        if account:
            came = {c for c in came if account_name(c[1]) == account}
        elif len({address for address, _ in came}) > 1:
            continue  # a command names no account: who of them it was can't be told
        for address, _ in came:
            if address not in named:
                votes[address][source] += _BY_ACCOUNT if account else 1
    goals = _goals(rows, host_name, aims, named, votes)
    sources = {address: best for address, seen in votes.items() if (best := _agreed(seen))}
    sure = {name for address, name in sources.items() if votes[address][name] >= _BY_ACCOUNT}
    sources = {a: n for a, n in sources.items() if votes[a][n] >= _BY_ACCOUNT or n not in sure}
    return sources | {a: n for a, n in goals.items() if a not in sources}


def _agreed(seen: Counter[str]) -> str | None:
    (best, count), *rest = seen.most_common(2)
    return best if not rest or count > 2 * rest[0][1] else None


def _aims(
    rows: Rows, host_name: Callable[[str], str], account_name: Callable[[str], str]
) -> list[tuple[int, str, str, str]]:
    """(time, source, goal, account or "") of every record in which a machine says where somebody goes."""
    out = []
    for row in rows.of("explicit").tolist()[:_AIMS_AT_MOST]:
        goal = host_name(rows.text("target", row))
        account = account_name(rows.text("account", row))
        out.append((int(rows.time[row]), host_name(rows.text("host", row)), goal, account))
    for row in rows.of("process").tolist()[:_AIMS_AT_MOST]:
        aim = remote_target(rows.text("detail", row))
        if aim is not None:
            out.append((int(rows.time[row]), host_name(rows.text("host", row)), host_name(aim[0]), ""))
    return [a for a in out if a[1] and a[2] and a[1] != a[2]]


_Arrivals = tuple[list[int], list[tuple[str, str]]]
_NONE: _Arrivals = ([], [])


def _arrivals(rows: Rows, host_name: Callable[[str], str], goals: set[str]) -> dict[str, _Arrivals]:
    """By machine: times and (address, account) of the logons from inside addresses."""
    hosts, sources = rows.texts["host"], rows.texts["source"]
    wanted = np.array([host_name(v) in goals for v in hosts.values] + [False])
    inside = np.array([is_address(v) and not public(v) for v in sources.values] + [False])
    chosen = rows.of("logon", "rdp_session", "ssh_logon")
    chosen = chosen[wanted[hosts.codes[chosen]] & inside[sources.codes[chosen]]]
    out: dict[str, _Arrivals] = {}
    for row in chosen.tolist():
        times, who = out.setdefault(host_name(rows.text("host", row)), ([], []))
        times.append(int(rows.time[row]))
        who.append((rows.text("source", row), rows.text("account", row)))
    return out


def _between(arrivals: _Arrivals, time: int) -> set[tuple[str, str]]:
    times, who = arrivals
    return set(who[bisect_left(times, time - _BEFORE) : bisect_right(times, time + _AFTER)])


def _goals(
    rows: Rows,
    host_name: Callable[[str], str],
    aims: list[tuple[int, str, str, str]],
    named: set[str],
    sources: dict[str, Counter[str]],
) -> dict[str, str]:
    """Addresses that were aimed at, where one machine saw an SSH logon in the same seconds; the logon's own
    address then counts for the source in `sources`."""
    aimed = [(time, source, goal) for time, source, goal, _ in aims if is_address(goal) and goal not in named]
    if not aimed:
        return {}
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    logons = rows.of("ssh_logon")
    times = rows.time[logons]
    for time, source, goal in aimed:
        low, high = np.searchsorted(times, time - _BEFORE), np.searchsorted(times, time + _AFTER, "right")
        for row in logons[low:high].tolist():
            host = host_name(rows.text("host", row))
            if host and not is_address(host):
                votes[goal][host] += 1
                address = rows.text("source", row)
                if address not in named and is_address(address) and not public(address):
                    sources[address][source] += 1
    return {address: best for address, seen in votes.items() if (best := _agreed(seen))}

"""Spread that no logon carries: group policy from a domain controller, remote tools the attacker left."""

from __future__ import annotations

from collections import defaultdict

from hikeshi.model.text import Text
from hikeshi.trace.identity import account_name, host_name
from hikeshi.trace.infection import NOBODY, Infection
from hikeshi.trace.network import public
from hikeshi.trace.rows import DAY, HOUR, MINUTE

_FEWEST, _WITHIN = 3, 6 * HOUR


class Carried:
    """Adds edges and machines to `state`; `run` tells whether anything was new."""

    def __init__(self, state: Infection) -> None:
        self.state = state
        self._groups = self._policy_tasks()

    def run(self) -> bool:
        before = (len(self.state.hosts), len(self.state.edges))
        self._policies()
        self._tools()
        return before != (len(self.state.hosts), len(self.state.edges))

    def _policy_tasks(self) -> list[list[int]]:
        """Rows of suspicious tasks that the system itself registered alike on three or more machines in hours."""
        rows = self.state.rows
        alike: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row in rows.of("task").tolist():
            actor = account_name(rows.text("actor", row))
            routine = (
                rows.text("signal", row),
                f"{rows.text('object', row).lower()}|{rows.text('detail', row).lower()}",
            )
            if (
                rows.text("signal", row)
                and (actor in NOBODY or actor.endswith("$"))
                and routine not in self.state.routine
            ):
                alike[rows.text("object", row), rows.text("detail", row)].append(row)
        out = []
        for group in alike.values():
            first = int(rows.time[group[0]])
            group = [r for r in group if int(rows.time[r]) <= first + _WITHIN]
            if len({rows.text("host", r) for r in group}) >= _FEWEST:
                out.append(group)
        return out

    def _policies(self) -> None:
        state, rows = self.state, self.state.rows
        for group in self._groups:
            first = int(rows.time[group[0]])
            change = self._change(first)
            if change is None:
                continue
            controller, account = host_name(rows.text("host", change)), account_name(rows.text("account", change))
            for row in group:
                host, time = host_name(rows.text("host", row)), int(rows.time[row])
                said = Text(
                    f"{controller}でグループポリシーが変えられ、タスクが配られました",
                    f"got a task by group policy, which was changed on {controller}",
                )
                state.hold_host(host, time, said, [row])
                if host in state.hosts and host != controller:
                    state.edge(time, time, controller, host, account, "gpo", {row, change})

    def _change(self, time: int) -> int | None:
        """The change of a policy by an account that is held, within the day before."""
        rows = self.state.rows
        for row in rows.of("policy_change").tolist()[::-1]:
            when = int(rows.time[row])
            by = self.state.accounts.get(account_name(rows.text("account", row)))
            if time - DAY <= when <= time + 10 * MINUTE and by is not None and by.first <= when + MINUTE:
                return int(row)
        return None

    def _tools(self) -> None:
        """Who came in by a remote tool on a machine that was held already."""
        state, rows = self.state, self.state.rows
        days: dict[tuple[str, str], set[int]] = defaultdict(set)
        for row in rows.of("tool_session").tolist():
            days[rows.text("host", row), rows.text("source", row)].add(int(rows.time[row]) // DAY)
        for row in rows.of("tool_session").tolist():
            host, time, source = host_name(rows.text("host", row)), int(rows.time[row]), rows.text("source", row)
            held = state.hosts.get(host)
            usual = len(days[rows.text("host", row), source]) >= 3
            if held is None or not public(source) or time < held.first + MINUTE or usual:
                continue
            if not any(e.destination == host and e.time < time for e in state.edges.values()):
                continue  # a machine entered by the tool itself: that is the way in
            state.edge(time, time, source, host, account_name(rows.text("account", row)), "remote_tool", {row})
            held.add(time, None, [row])

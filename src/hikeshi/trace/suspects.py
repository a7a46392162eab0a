"""Where nothing stronger is found: remote execution that is no habit, told as doubtful."""

from __future__ import annotations

from hikeshi.trace.identity import account_name, host_name
from hikeshi.trace.infection import Infection
from hikeshi.trace.rows import MINUTE, SECOND

_REMOTE_TRACES = frozenset(
    (
        "psexec",
        "psexec_child",
        "odd_service",
        "command_service",
        "odd_task",
        "wmi_child",
        "winrm_child",
        "service_child",
        "remote_shell",
    )
)


class Suspects:
    """Remote execution as it is seen; no machine or account is held because of it."""

    def __init__(self, state: Infection) -> None:
        self.state = state

    def run(self) -> None:
        """Where nothing stronger is found: remote execution that is no habit, told as doubtful.

        It may be an administrator's work, so no machine or account is held because of it.
        """
        done: set[tuple[str, str, str]] = set()
        for row in self.state.rows.of("service", "task", "process", "share").tolist():
            host, time = host_name(self.state.rows.text("host", row)), int(self.state.rows.time[row])
            if self.state.rows.text("kind", row) == "share":
                self._share(host, time, row)
                continue
            if self.state.rows.text("signal", row) not in _REMOTE_TRACES or host in self.state.routine_hosts(row):
                continue
            into = self.state.sessions.into(host)
            start, end = self.state.sessions.start[into], self.state.sessions.end[into]
            for number in into[(start <= time + 10 * SECOND) & (end >= time - 2 * MINUTE)].tolist():
                session = self.state.sessions.get(number)
                key = (session.source, host, session.account)
                if self.state.is_known(session.start, (session.source, session.address), session.account, session.rows):
                    continue
                if session.kind != "network" or key in done or self.state.sessions.habitual(number):
                    continue
                method, rows, odd = self.state.around.method(session)
                if method is not None and odd:
                    done.add(key)
                    self.state.doubtful.add((session.source, host, session.account, method))
                    self.state.edge(
                        session.start,
                        session.end,
                        session.source,
                        host,
                        session.account,
                        method,
                        {*session.rows, *rows, row},
                    )

    def _share(self, host: str, time: int, row: int) -> None:
        """Pipes and programs on administrative shares tell source and account by themselves."""
        detail, account = self.state.rows.text("detail", row), account_name(self.state.rows.text("account", row))
        address = self.state.rows.text("source", row)
        if not address or not detail or not account:
            return
        if detail.startswith(("psexe", "paexec", "remcom", "csexec")):
            method = "psexec_service"
        elif detail.startswith(("atsvc", "itaskscheduler")):
            method = "scheduled_task"
        elif "." in detail:
            method = "smb"
        else:
            return
        source = self.state.who.at(address, time)
        if source == host or self.state.is_known(time, (source, address), account, [row]):
            return
        self.state.doubtful.add((source, host, account, method))
        self.state.edge(time, time, source, host, account, method, {row})

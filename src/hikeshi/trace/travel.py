"""How compromise travels: forward from what is held, backward from strong signals, until nothing changes."""

from __future__ import annotations

from hikeshi.model.text import Text
from hikeshi.trace.backward import Backward
from hikeshi.trace.carried import Carried
from hikeshi.trace.forward import Forward
from hikeshi.trace.identity import account_name, host_name
from hikeshi.trace.infection import NOBODY, Infection
from hikeshi.trace.rows import MINUTE
from hikeshi.trace.signals import SIGNALS
from hikeshi.trace.suspects import Suspects


def travel(state: Infection) -> None:
    """Forward from what is held, then backward from strong signals nobody reached; repeat."""
    forward, backward, carried = Forward(state), Backward(state), Carried(state)
    forward.run()
    for _ in range(10):
        changed = False
        for time, host, marks in state.seeds():
            reached = state.hosts.get(host)
            if reached is not None and state.reached(host):
                # Before he came, only what is strong by itself is his; the rest may be anybody's.
                marks = [m for m in marks if m.weight >= 3 or m.time >= reached.first - MINUTE]
                if not marks:
                    continue
                time = max(time, min(reached.first, min(m.time for m in marks)))
            new = reached is None or reached.first > time + MINUTE
            for mark in marks:
                state.hold_host(host, time, SIGNALS[mark.name].says, [mark.row])
                if mark.weight >= 3 or len(marks) > 1:
                    state.hold_account(
                        mark.account,
                        mark.time,
                        Text(f"{host}で不審な操作を行いました", f"did suspicious work on {host}"),
                        [mark.row],
                    )
            if new:
                changed = True
            if not state.reached(host):
                changed |= backward.run(host, marks)
        before = (len(state.hosts), len(state.accounts), len(state.edges), len(state.foreign))
        forward.run()
        changed |= carried.run()
        changed |= _cleared_by_held(state)
        after = (len(state.hosts), len(state.accounts), len(state.edges), len(state.foreign))
        if not changed and before == after:
            break
    _drop_unknown(state)
    if not state.edges:
        Suspects(state).run()
    _created_accounts(state)
    _privileged_accounts(state)
    _collect_marks(state)


def _cleared_by_held(state: Infection) -> bool:
    """A log cleared by an account the attacker holds: he was on that machine, and little else may be left there."""
    new = False
    for mark in state.marks:
        by = state.accounts.get(mark.account)
        if mark.name == "log_clear" and by is not None and by.first <= mark.time + MINUTE:
            new |= state.hold_host(mark.host, mark.time, SIGNALS[mark.name].says, [mark.row])
    return new


def _drop_unknown(state: Infection) -> None:
    """A step whose method is not known says nothing beside one between the same machines that has one."""
    known = {(e.source, e.destination, e.account) for e in state.edges.values() if e.method != "unknown"}
    for key, edge in list(state.edges.items()):
        if edge.method == "unknown" and (edge.source, edge.destination, edge.account) in known:
            del state.edges[key]


def _privileged_accounts(state: Infection) -> None:
    """Accounts an attacker's account switched on again or made an administrator."""
    for row in state.rows.of("account_enabled", "group_member").tolist():
        if state.rows.text("kind", row) == "group_member" and not state.rows.text("signal", row):
            continue
        time = int(state.rows.time[row])
        by = state.accounts.get(account_name(state.rows.text("actor", row)))
        held = state.hosts.get(host_name(state.rows.text("host", row)))
        account = account_name(state.rows.text("account", row))
        if by is None or held is None or time < max(by.first, held.first) - MINUTE or account == by.name:
            continue
        made = state.rows.text("kind", row) == "account_enabled"
        said = (
            Text("攻撃中に有効にされました", "was enabled during the intrusion")
            if made
            else Text("攻撃中に管理者のグループに加えられました", "was made an administrator during the intrusion")
        )
        state.hold_account(account, time, said, [row])


def _created_accounts(state: Infection) -> None:
    for row in state.rows.of("account_made").tolist():
        host, time = host_name(state.rows.text("host", row)), int(state.rows.time[row])
        actor, made = (account_name(state.rows.text(n, row)) for n in ("actor", "account"))
        held, by = state.hosts.get(host), state.accounts.get(actor)
        attackers = by is not None and by.first <= time + MINUTE and held is not None
        by_program = (
            held is not None
            and held.first <= time + MINUTE
            and (actor in NOBODY or actor.endswith("$") or state.marked_near(host, time))
        )
        if attackers or by_program:
            kind = "local" if host_name(state.rows.text("domain", row)) == host else "domain"
            state.hold_account(
                made,
                time,
                Text(f"攻撃中に{host}で作られました", f"was created on {host} during the intrusion"),
                [row],
                kind,
            )


def _collect_marks(state: Infection) -> None:
    """What happened on a held machine after the attacker came, as reasons and records."""
    for host, held in state.hosts.items():
        since = held.first
        for mark in state.marks_of.get(host, ()):
            if mark.time >= since - MINUTE and mark.weight >= 2:
                held.add(max(mark.time, since), SIGNALS[mark.name].says if mark.weight >= 2 else None, [mark.row])

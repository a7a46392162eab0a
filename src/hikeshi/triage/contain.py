"""Containment from end to end: result, plan and lists in; block list, simulation, order of work and page out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from hikeshi.events.time import format_utc
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text
from hikeshi.respond.accounts import Reset, account_list
from hikeshi.respond.blocklist import BlockList, blocked_targets, make
from hikeshi.respond.holding import sort_targets
from hikeshi.respond.isolation import Isolation, controllers_of, infected_hosts, isolation_list
from hikeshi.respond.plan import Plan, load_plan
from hikeshi.respond.result import Result, host_names, load_result
from hikeshi.respond.simulate import Simulation, simulate
from hikeshi.respond.state import DONE, State
from hikeshi.respond.targets import target, targets_of
from hikeshi.respond.traffic import Traffic, traffic

POPULAR_SHARE, POPULAR_HOSTS = 0.05, 20


@dataclass(frozen=True, slots=True)
class Containment:
    """Everything a night shift needs. `simulation` is None where the result has no logs to learn from."""

    result: Result
    plan: Plan
    blocks: BlockList
    isolation: tuple[Isolation, ...]
    accounts: tuple[Reset, ...]
    simulation: Simulation | None
    propose_cut_off: tuple[Text, ...]


def contain(
    paths: Sequence[Path],
    lists: Sequence[Path] = (),
    *,
    plan_path: Path | None = None,
    plan: Plan | None = None,
    zone: str | None = None,
    force: Collection[str] = (),
    include_low: bool = False,
    devices: Collection[str] = (),
    simulated: bool = True,
    made_at: datetime | None = None,
) -> Containment:
    """`plan` instead of the file `plan_path`; `force`: values to block although they are held back. Raises InputError,
    IndicatorError."""
    plan, result = plan or load_plan(plan_path, zone), load_result(paths)
    targets = targets_of(result, lists, include_low=include_low)
    when = made_at or datetime.now(UTC)
    controllers = controllers_of(result, plan.domain_controllers)
    if not (result.tables and simulated):
        found = sort_targets(targets, plan, force=force)
        machines = isolation_list(result, controllers=controllers)
        return Containment(
            result,
            plan,
            make(found, when, wanted=devices, zone_name=plan.zone_name),
            machines,
            _accounts(result, machines, controllers),
            None,
            severity(result, machines),
        )
    with traffic(result.tables, plan, targets, names=host_names(result)) as logs:
        # Popular among those the case does not accuse: else a place that everybody uses would accuse everybody.
        base = infected_hosts(isolation_list(result, controllers=controllers))
        found = sort_targets(targets, plan, force=force, used_by=popular(logs, base))
        blocked = {t.value for t in found.block}
        machines = isolation_list(result, controllers=controllers, logs=logs, only=blocked)
        logs.keep(blocked)
        told = simulate(logs, infected=infected_hosts(machines))
    return Containment(
        result,
        plan,
        make(found, when, wanted=devices, zone_name=plan.zone_name),
        machines,
        _accounts(result, machines, controllers),
        told,
        severity(result, machines),
    )


def _accounts(
    result: Result, machines: Sequence[Isolation], controllers: Mapping[str, tuple[RecordRef, ...]]
) -> tuple[Reset, ...]:
    return account_list(
        result, {m.host: m.first for m in machines}, controllers=controllers, controller_records=controllers
    )


def popular(logs: Traffic, infected: Collection[str]) -> dict[str, Text]:
    """Targets that many of our own machines use which are not infected: probably no attacker's."""
    used, hosts = logs.users_of(infected)
    floor = max(POPULAR_HOSTS, POPULAR_SHARE * hosts)
    return {
        value: Text(
            f"感染していない{count:,}台の端末が使っています", f"{count:,} of your machines use it that are not infected"
        )
        for value, count in used.items()
        if count >= floor
    }


def severity(result: Result, machines: Sequence[Isolation]) -> tuple[Text, ...]:
    """Reasons to propose a full cut-off; a named person decides. Empty: blocking the listed places is proposed."""
    out = []
    if result.part("exfiltration"):
        out.append(Text("データが外へ出ています", "data is leaving"))
    held = [m for m in machines if m.cause != "traces" or m.records]
    if len(held) >= 5:
        out.append(Text(f"{len(held)}台に広がっています", f"it has spread to {len(held)} machines"))
    if any(m.domain_controller for m in machines):
        out.append(Text("ドメインコントローラーに届いています", "a domain controller was reached"))
    if any(m.cause == "encryption" for m in machines):
        out.append(Text("暗号化が始まっています", "encryption has begun"))
    return tuple(out)


@contextmanager
def opened(
    paths: Sequence[Path],
    lists: Sequence[Path] = (),
    *,
    plan_path: Path | None = None,
    zone: str | None = None,
    made: Path | None = None,
    values: Collection[str] = (),
) -> Iterator[tuple[Traffic, tuple[Isolation, ...], Result]]:
    """The traffic of results, judged by the targets that would be blocked: those of a list made before (`made`) and
    of single `values`; where neither is given, of the results and `lists`. With the machines that are infected."""
    plan, result = load_plan(plan_path, zone), load_result(paths)
    known = targets_of(result, lists)
    given = {(t.type, t.value): t for t in (blocked_targets(made) if made else ())}
    given |= {(t.type, t.value): t for t in map(target, values) if t is not None}
    wanted = tuple(given.values()) or sort_targets(known, plan).block
    controllers = controllers_of(result, plan.domain_controllers)
    with traffic(result.tables, plan, wanted, names=host_names(result)) as logs:
        held = popular(logs, infected_hosts(isolation_list(result, controllers=controllers)))
        only = {t.value for t in wanted if t.value not in held}
        yield logs, isolation_list(result, controllers=controllers, logs=logs, only=only), result


def table_of(state: State, paths: Sequence[Path], made: Path | None) -> list[dict[str, Any]]:
    """Every subject and control with its state: what is marked, and what a list or result asks for besides."""
    current = state.current()
    asked: dict[tuple[str, str], str] = {}
    targets = blocked_targets(made) if made else ()
    if paths:
        told = contain(paths, simulated=False)
        targets = targets or told.blocks.sorted.block
        asked |= {(m.host, "isolation"): "host" for m in told.isolation}
        asked |= {(f"{a.account}@{a.host}" if a.host else a.account, "reset"): "account" for a in told.accounts}
    asked = {(t.value, c): "target" for t in targets for c in t.where} | asked
    rows = []
    for subject, control in dict.fromkeys((*asked, *current)):
        mark = current.get((subject, control))
        rows.append(
            {
                "subject": subject,
                "control": control,
                "state": mark.state if mark else "open",
                "at": mark.at if mark else "",
                "by": mark.by if mark else "",
                "device": mark.device if mark else "",
                "note": mark.note if mark else "",
                "done": mark is not None and mark.state in DONE,
            }
        )
    return rows


def known_infected(result: Result, logs: Traffic, since: int, made: Path | None = None) -> frozenset[str]:
    """Machines known before the block: those the list's own folder names, those of the case that were held earlier,
    and those that had called a target by then. Whoever shows after it was not known."""
    when = format_utc(since)
    earlier = {
        k: [e for e in v if str(e.get("first") or "") <= when]
        for k, v in result.case.items()
        if k in ("compromised_hosts", "encrypted_hosts")
    }
    machines = isolation_list(replace(result, case=earlier, sightings=()))
    names = {h for (h,) in logs.sql(f"SELECT DISTINCT host FROM hit WHERE t < {int(since)}")}
    listed = (made / "isolate.jsonl") if made is not None and made.is_dir() else None
    if listed is not None and listed.is_file():
        for line in listed.read_bytes().splitlines():
            row = orjson.loads(line)
            names |= {str(row["host"]).lower()}
    return infected_hosts(machines) | names

"""A company of 2,000 clients and 30 days: every infected machine through DHCP changes, the simulation's numbers by
brute force, the verification's bypass by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from company import C2_ADDRESS, C2_IP, C2_NAME, C2_URL, JST, PROXY, Record
from respond_helpers import Made

from hikeshi.events.time import format_utc, parse_iso
from hikeshi.indicators.lists import from_values
from hikeshi.respond.isolation import infected_hosts, isolation_list
from hikeshi.respond.plan import load_plan
from hikeshi.respond.result import Result, load_result
from hikeshi.respond.simulate import HOUR, Simulation, estimate, from_dict, simulate
from hikeshi.respond.targets import Target, target
from hikeshi.respond.traffic import Traffic, traffic
from hikeshi.respond.verify import LOGGED, compare, verify
from hikeshi.triage.sweep import sweep_evidence

TARGETS: tuple[Target, ...] = tuple(t for t in (target(v) for v in (C2_NAME, C2_IP, C2_URL)) if t)


@pytest.fixture(scope="module")
def result(company: Made) -> Result:
    return load_result([company.result])


@pytest.fixture(scope="module")
def logs(company: Made, result: Result) -> Iterator[Traffic]:
    with traffic(result.tables, load_plan(company.plan), TARGETS) as made:
        yield made


@pytest.fixture(scope="module")
def told(company: Made, logs: Traffic) -> Simulation:
    return simulate(logs, infected=company.company.infected, until=company.company.blocked_at * 10**6)


@pytest.fixture(scope="module")
def before(company: Made) -> list[Record]:
    """What passed before the block, of all inside machines but the proxy itself."""
    made = company.company
    return [r for day in range(made.block_day + 1) for r in made.records(day)
            if r.t < made.blocked_at and r.allowed and r.host != PROXY]


def listed(r: Record) -> bool:
    return (r.name == C2_NAME or r.name.endswith("." + C2_NAME) or (r.ip == C2_IP and not r.name)
            or r.url == C2_URL or r.url.startswith((C2_URL + "?", C2_URL + "/")))


def on_allow_list(r: Record) -> bool:
    return (r.name == "pay.bank.example" and (r.kind == "dns" or r.port == 443)) or (
        r.ip == "192.0.2.123" and r.port == 123)


def assert_same(use: object, rows: list[Record]) -> None:
    """Every sum of a Use against the records themselves."""
    assert use.requests == dict(Counter(r.kind for r in rows))  # type: ignore[attr-defined]
    assert use.hosts == len({r.host for r in rows})  # type: ignore[attr-defined]
    assert use.users == len({r.user for r in rows if r.user})  # type: ignore[attr-defined]
    assert use.bytes_out == sum(r.sent for r in rows if r.kind == "firewall")  # type: ignore[attr-defined]
    assert use.bytes_in == sum(r.got for r in rows)  # type: ignore[attr-defined]


def test_every_infected_machine_is_found_through_its_leases_and_none_is_wrong(company: Made, logs: Traffic) -> None:
    made = company.company
    found = {host for (host,) in logs.sql("SELECT DISTINCT host FROM hit")}
    assert found == {*made.infected, made.late}
    # The same addresses belonged to dozens of others: by address alone everybody would be suspected.
    addresses = {c for (c,) in logs.sql("SELECT DISTINCT client FROM hit")}
    others = {h for (h,) in logs.sql("SELECT DISTINCT host FROM contact WHERE client IN (SELECT client FROM hit)")}
    assert len(addresses) > 100 and len(others) > 500


def test_the_sweep_names_the_same_machines_by_their_leases(company: Made, tmp_path: Path) -> None:
    made = company.company
    made.write(tmp_path, range(made.block_day, made.block_day + 3))
    swept = sweep_evidence([tmp_path], from_values([C2_NAME, C2_IP, C2_URL]), zone="Asia/Tokyo")
    found = {str(s.client_host).lower().partition(".")[0] for s in swept.sightings if s.role == "destination"}
    assert found == {*made.infected, made.late} and not swept.not_read


def test_the_isolation_list_names_them_with_their_records(company: Made, result: Result, logs: Traffic) -> None:
    case = {"c2": [{"value": t.value, "type": t.type, "known": True, "confidence": "high", "records": [],
                    "clients": []} for t in TARGETS]}
    items = isolation_list(Result(result.folders, case, (), {}, result.tables), logs=logs)
    assert infected_hosts(items) == {*company.company.infected, company.company.late}
    assert all(i.records and i.cause == "c2_alive" and i.first and i.addresses for i in items)


def test_the_block_list_costs_what_a_count_by_hand_says(told: Simulation, before: list[Record]) -> None:
    hit = [r for r in before if listed(r)]
    assert_same(told.block.use, hit)
    for one in told.targets:
        mine = [r for r in hit if target(one.value) and {C2_NAME: r.name.endswith(C2_NAME), C2_IP: r.ip == C2_IP and not r.name,
                                                         C2_URL: r.url.startswith(C2_URL)}[one.value]]
        assert_same(one.use, mine)
        assert one.bystanders == 0 and set(one.hosts) == {r.host for r in mine}


def test_a_cut_off_costs_what_a_count_by_hand_says(told: Simulation, before: list[Record]) -> None:
    assert told.cut_off is not None
    lost = [r for r in before if not on_allow_list(r)]
    assert_same(told.cut_off.use, lost)
    assert_same(told.allowed, [r for r in before if on_allow_list(r)])
    assert_same(told.everything, before)
    by_hour = Counter((r.t // 3600, r.kind) for r in lost)
    assert {hour: sum(n) for hour, n in told.cut_off.hourly.items()} == {
        format_utc(h * HOUR): sum(by_hour[h, k] for k in ("proxy", "firewall", "dns")) for h, _ in by_hour}
    ranked = Counter(r.name or r.ip for r in lost).most_common(10)
    assert [(d["destination"], d["requests"]) for d in told.cut_off.destinations[:10]] == sorted(
        ranked, key=lambda p: (-p[1], p[0]))
    orders = [r for r in lost if r.name == "order.partner.example"]
    assert_same(told.cut_off.systems[0].use, orders)


def in_noon(at: datetime) -> bool:
    return at.weekday() < 5 and (11, 30) <= (at.hour, at.minute) < (13, 30)


def in_late_friday(at: datetime) -> bool:
    return (at.weekday() == 4 and at.hour >= 16) or (at.weekday() == 5 and at.hour < 2)


@pytest.mark.parametrize(("number", "inside"), [(0, in_noon), (1, in_late_friday)])
def test_a_time_window_costs_what_a_count_by_hand_says(told: Simulation, before: list[Record], number: int,
                                                       inside: Callable[[datetime], bool]) -> None:
    rows = [r for r in before if not on_allow_list(r) and inside(datetime.fromtimestamp(r.t, JST))]
    assert rows and told.cut_off is not None and len(rows) < told.cut_off.use.total
    assert_same(told.windows[number].use, rows)


def blocks(company: Made) -> dict[tuple[str, str], int]:
    return {(t.value, c): company.company.blocked_at * 10**6 for t in TARGETS for c in t.where if c in LOGGED}


def test_verification_names_exactly_the_planted_bypass(company: Made, result: Result, logs: Traffic) -> None:
    made = company.company
    found = verify(logs, blocks(company), result, infected=made.infected)
    assert {(b.host, b.destination, b.port, b.blocked) for b in found.bypass} == {
        (made.bypass_listed, C2_ADDRESS, 443, C2_NAME), (made.bypass_other, "203.0.113.200", 8443, None)}
    # The blocked name's address passes the firewall: the list of names alone does not hold there.
    assert {(p.host, p.target, p.control, p.device) for p in found.passing} == {
        (made.bypass_listed, C2_NAME, "firewall", "FW-01")}
    assert [a.host for a in found.revealed] == [made.late]
    assert not found.holds and all(b.records and b.records[0].line for b in found.bypass)
    verdicts = {(a.target, a.control): a.verdict for a in found.answers}
    assert verdicts[C2_NAME, "proxy"] == verdicts[C2_IP, "proxy"] == verdicts[C2_URL, "proxy"] == "verified"
    assert verdicts[C2_NAME, "firewall"] == "failed" and verdicts[C2_IP, "firewall"] == "quiet"
    assert verdicts[C2_NAME, "dns"] == "asked"


def test_the_logs_before_the_block_prove_nothing(company: Made, result: Result, logs: Traffic) -> None:
    later = (company.company.blocked_at + 400 * 86_400) * 10**6
    found = verify(logs, {(C2_NAME, "proxy"): later}, result)
    assert [a.verdict for a in found.answers] == ["no_log"] and not found.passing and not found.bypass


def test_a_drill_is_measured_against_the_estimate(company: Made, logs: Traffic, told: Simulation) -> None:
    assert told.cut_off is not None
    made = company.company
    plan = load_plan(company.plan)
    # Monday 9 to 12: the mean of the earlier Mondays' same hours, by hand.
    begin = (made.start + timedelta(days=18)).replace(hour=9)
    since, until = int(begin.timestamp()) * 10**6, int((begin + timedelta(hours=3)).timestamp()) * 10**6
    guess = estimate(told.cut_off.hourly, plan, told.first, told.last, since, until)
    mondays = Counter()
    for hour, counts in told.cut_off.hourly.items():
        local = datetime.fromisoformat(hour).astimezone(JST)
        if local.weekday() == 0 and 9 <= local.hour < 12:
            mondays[local.date()] += sum(counts)
    assert guess.least <= guess.expected <= guess.most
    assert guess.expected == pytest.approx(sum(mondays.values()) / len(mondays), abs=0.2)
    # Nothing was cut off then: only the usual refusals are in the logs, far below the estimate.
    drill = compare(logs, from_dict(told.to_dict()), plan, since, until)
    refused = [r for r in made.records(18) if not r.allowed and r.kind != "dns" and since <= r.t * 10**6 < until]
    assert drill[0].actual == len(refused) and not drill[0].inside
    assert parse_iso(told.first or "", JST) < since

"""From events to contacts: who is a client, what is outside, what passed, under which machine's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from respond_helpers import AT, ResultOf, flow, web

from hikeshi.errors import DamagedInput, InputError
from hikeshi.respond.plan import Plan, load_plan
from hikeshi.respond.result import load_result
from hikeshi.respond.simulate import simulate
from hikeshi.respond.targets import target
from hikeshi.respond.traffic import traffic, url_matches
from hikeshi.respond.verify import verify


def contacts(folder: Path, *values: str, plan: Plan | None = None) -> list[tuple[Any, ...]]:
    result = load_result([folder])
    targets = [t for t in map(target, values) if t]
    with traffic(result.tables, plan or Plan(), targets) as logs:
        return logs.sql("SELECT kind, verdict, host, usr FROM contact ORDER BY ALL")


@pytest.mark.parametrize(("row", "verdict"), [
    (web(), "allowed"), (web(**{"event.action": "TCP_DENIED", "http.response.status_code": 403}), "denied"),
    (web(**{"http.response.status_code": 403}), "allowed"),  # the site itself said no: the request had left
    (web(**{"http.response.status_code": 407, "event.action": "TCP_DENIED"}), "challenge"),
    (web(**{"http.response.status_code": 503}), "failed"), (web(**{"event.action": "block"}), "denied"),
    (flow(), "allowed"), (flow(**{"event.action": "Deny"}), "denied"), (flow(**{"event.action": "drop"}), "denied"),
    (flow(**{"event.action": "reset-both"}), "denied"), (flow(**{"event.action": "client-rst"}), "allowed"),
    (flow(**{"event.action": "REJECT"}), "denied"), (flow(**{"event.action": "遮断"}), "denied"),
    (flow(**{"event.outcome": "failure"}), "denied"),
    ({"at": AT, "event.dataset": "bind", "event.action": "query", "source.ip": "10.0.0.5",
      "dns.question.name": "site.example", "destination.ip": "10.0.0.53"}, "unknown"),
])
def test_what_a_device_did(result_of: ResultOf, row: dict[str, Any], verdict: str) -> None:
    assert [c[1] for c in contacts(result_of([row]))] == [verdict]


def sysmon(code: str = "3", **more: Any) -> dict[str, Any]:
    went = {"destination.ip": "192.0.2.1", "destination.port": 443, "source.ip": "10.0.0.5"} if code == "3" else {
        "dns.question.name": "evil.example"}
    return {"at": AT, "event.dataset": "windows.sysmon", "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
            "event.provider": "Microsoft-Windows-Sysmon", "event.code": code, "host.name": "PC-A.corp.local", "user.name": "mori",
            "event.action": "connection" if code == "3" else "name-queried", **went, **more}


@pytest.mark.parametrize(("row", "expected"), [
    (sysmon(), [("endpoint", "unknown", "pc-a", "mori")]), (sysmon("22"), [("endpoint", "unknown", "pc-a", "mori")]),
    (sysmon(**{"winlog.channel": "ForwardedEvents"}), [("endpoint", "unknown", "pc-a", "mori")]),
    (sysmon(**{"host.name": None}), [("endpoint", "unknown", "10.0.0.5", "mori")]),
    # Near misses: another event, another program's event 3, an inside destination, a connection from outside.
    (sysmon("1", **{"destination.ip": "192.0.2.1", "source.ip": "10.0.0.5"}), []),
    (sysmon(**{"winlog.channel": "Application", "event.provider": "Other"}), []), (sysmon(**{"destination.ip": "10.0.0.9"}), []),
    (sysmon("22", **{"dns.question.name": "wpad"}), []), (sysmon(**{"host.name": None, "source.ip": "198.51.100.9"}), [])])
def test_a_machines_own_word_is_a_contact(result_of: ResultOf, row: dict[str, Any], expected: list[Any]) -> None:
    device = ("firewall", "allowed", "10.0.0.5", None)
    assert contacts(result_of([row, flow()])) == sorted([*expected, device])


def test_a_machines_own_word_reveals_but_proves_no_gap(result_of: ResultOf) -> None:
    later = {"at": "2026-11-03T00:00:00Z"}
    rows = [web(**{"destination.domain": "evil.example"}), flow(**later, **{"destination.ip": "192.0.2.9"}), sysmon("22", **later), sysmon(**later)]
    result = load_result([result_of(rows)])
    targets = [t for t in map(target, ("evil.example", "192.0.2.1")) if t]
    with traffic(result.tables, Plan(), targets) as logs:
        told = simulate(logs)
        assert told.everything.requests == {"endpoint": 2, "firewall": 1, "proxy": 1}
        assert next(t for t in told.targets if t.value == "evil.example").use.hosts == 2
        since = logs.span()[0] + 10  # type: ignore[index]
        found = verify(logs, {("evil.example", "proxy"): since, ("evil.example", "dns"): since}, result)
    assert found.passing == ()
    assert [a.host for a in found.attempts] == ["pc-a"]


@pytest.mark.parametrize("row", [
    flow(**{"destination.ip": "10.9.9.9"}), flow(**{"source.ip": "198.51.100.1"}), flow(**{"destination.ip": "224.0.0.1"}),
    web(**{"destination.domain": "wiki.corp", "destination.ip": None, "url.full": "http://wiki.corp/"}),
    web(**{"destination.domain": "intranet", "destination.ip": None, "url.full": "http://intranet/"}),
    web(**{"destination.domain": "4.3.2.10.in-addr.arpa", "destination.ip": None}),
    flow(**{"winlog.channel": "Security"}), flow(**{"destination.ip": "not an address"}), flow(**{"source.ip": None})])
def test_what_stays_inside_or_comes_in_is_no_contact(result_of: ResultOf, row: dict[str, Any]) -> None:
    assert contacts(result_of([row, flow()])) == [("firewall", "allowed", "10.0.0.5", None)]


def test_own_networks_and_names_are_inside(result_of: ResultOf, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text('own_networks = ["198.51.100.0/24"]\nown_domains = ["corp.example"]')
    rows = [flow(**{"destination.ip": "198.51.100.9"}), flow(**{"source.ip": "198.51.100.7"}),
            web(**{"destination.domain": "www.corp.example", "destination.ip": None})]
    assert contacts(result_of(rows), plan=load_plan(tmp_path / "plan.toml")) == [
        ("firewall", "allowed", "198.51.100.7", None)]


def test_an_address_is_another_machine_after_the_lease_changed(result_of: ResultOf) -> None:
    def lease(at: str, host: str, action: str = "assigned") -> dict[str, Any]:
        return {"at": at, "event.dataset": "dhcp.windows", "event.action": action, "source.ip": "10.0.0.5", "host.name": host}

    rows = [lease("2026-11-02T00:00:00Z", "PC-A.corp.local"), lease("2026-11-02T03:00:00Z", "PC-A.corp.local", "released"),
            lease("2026-11-02T04:00:00Z", "PC-B.corp.local"),
            *(flow(at=f"2026-11-02T{hour:02}:30:00Z") for hour in (1, 3, 5))]
    assert sorted(c[2] for c in contacts(result_of(rows))) == ["10.0.0.5", "pc-a", "pc-b"]


@pytest.mark.parametrize(("url", "hit"), [
    ("http://evil.example/a", True), ("http://EVIL.example/a?x=1", True), ("http://evil.example/a/b", True),
    ("http://evil.example:80/a", True), ("http://evil.example/ab", False), ("http://evil.example/", False),
    ("https://evil.example/a", False), ("http://evil.example:8080/a", False), ("http://a.evil.example/a", False),
    ("http://other.example/?u=http://evil.example/a", False), ("not a url", False), ("", False)])
def test_a_url_stands_for_itself_and_what_is_below(url: str, hit: bool) -> None:
    assert url_matches(url, "http://evil.example/a") is hit


def test_an_address_that_others_share_names_who_else_lives_there(result_of: ResultOf) -> None:
    rows = [web(**{"destination.domain": name, "url.full": f"http://{name}/"})
            for name in ("evil.example", "shop.example", "shop.example")]
    result = load_result([result_of(rows)])
    one = target("192.0.2.1")
    assert one
    with traffic(result.tables, Plan(), [one]) as logs:
        told = simulate(logs).targets[0]
    assert told.behind == ("evil.example", "shop.example") and told.bystanders == 1 and told.use.total == 3


def test_a_bare_address_accuses_only_where_no_other_name_shares_it(result_of: ResultOf) -> None:
    names = [web(**{"destination.domain": "evil.example", "destination.ip": "192.0.2.7", "source.ip": "10.0.0.9"}),
             web(**{"destination.domain": "evil.example", "destination.ip": "192.0.2.8", "source.ip": "10.0.0.9"}),
             web(**{"destination.domain": "fine.example", "destination.ip": "192.0.2.8", "source.ip": "10.0.0.9"})]
    direct = [flow(at="2026-11-03T00:00:00Z", **{"destination.ip": ip}) for ip in ("192.0.2.7", "192.0.2.8")]
    result = load_result([result_of([*names, *direct])])
    one = target("evil.example")
    assert one
    with traffic(result.tables, Plan(), [one]) as logs:
        found = verify(logs, {("evil.example", "firewall"): logs.span()[1] - 10}, result)  # type: ignore[index]
    assert [p.count for p in found.passing] == [1] and found.bypass == ()  # this client uses no proxy


def test_odd_events_end_nobody(result_of: ResultOf) -> None:
    rows = [web(**{"url.full": "x" * 100_000, "destination.domain": "a'b\";--.example"}), web(**{"source.ip": "'; DROP TABLE"}),
            web(**{"destination.domain": "..", "destination.ip": "999.1.1.1"}), flow(**{"destination.port": -1}),
            web(**{"user.name": "é\u202e\x1b[31m"}), {"at": "never", **{k: v for k, v in web().items() if k != "at"}}]
    folder = result_of(rows)
    assert len(contacts(folder, "evil.example", "http://a.example/x")) == 4


def test_a_folder_that_is_no_result_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no result"):
        load_result([tmp_path])
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "0001.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(DamagedInput), traffic(load_result([tmp_path]).tables, Plan()):
        pass
    (tmp_path / "case.json").write_text("[1, 2")
    with pytest.raises(DamagedInput):
        load_result([tmp_path])


def test_no_events_at_all_is_told(result_of: ResultOf) -> None:
    with pytest.raises(InputError, match="no events"), traffic(load_result([result_of([])]).tables, Plan()):
        pass


@pytest.mark.parametrize(("row", "open_"), [
    (flow(**{"destination.ip": "192.0.2.40", "destination.port": 443}), True),
    (flow(**{"destination.ip": "192.0.2.40", "destination.port": 8443}), False),
    (flow(at="2026-11-01T14:59:59Z", **{"destination.ip": "192.0.2.40"}), False),  # the day before, in the plan's zone
    (flow(at="2026-11-03T15:00:00Z", **{"destination.ip": "192.0.2.40"}), False),  # it ran out
    (flow(**{"destination.ip": "192.0.2.41"}), False), (web(**{"destination.domain": "a.open.example"}), True),
    (web(**{"destination.domain": "notopen.example"}), False),
    ({"at": AT, "event.dataset": "bind", "event.action": "query", "source.ip": "10.0.0.5",
      "dns.question.name": "ports.example"}, True)])
def test_the_allow_list_has_ports_and_a_span(result_of: ResultOf, tmp_path: Path, row: dict[str, Any], open_: bool) -> None:
    (tmp_path / "plan.toml").write_text(
        'zone = "Asia/Tokyo"\n[[allow]]\ndestination = "192.0.2.40"\nports = [443]\nfrom = 2026-11-02\nuntil = 2026-11-04\n'
        '[[allow]]\ndestination = "open.example"\n[[allow]]\ndestination = "ports.example"\nports = [443]\n')
    result = load_result([result_of([row])])
    with traffic(result.tables, load_plan(tmp_path / "plan.toml")) as logs:
        told = simulate(logs)
    assert told.cut_off is not None
    assert (told.allowed.total, told.cut_off.use.total) == ((1, 0) if open_ else (0, 1))


def test_flows_of_a_proxy_are_not_counted_twice_though_nobody_named_it(result_of: ResultOf) -> None:
    asked = [web(**{"destination.domain": f"s{n}.example", "destination.ip": f"192.0.2.{n}"}) for n in range(1, 15)]
    fetched = [flow(**{"source.ip": "10.0.0.250", "destination.ip": f"192.0.2.{n}"}) for n in range(1, 15)]
    other = [flow(**{"source.ip": "10.0.0.251", "destination.ip": f"198.51.100.{n}"}) for n in range(1, 15)]
    result = load_result([result_of([*asked, *fetched, *other])])
    with traffic(result.tables, Plan()) as logs:
        assert logs.proxies == {"10.0.0.250"}
        assert simulate(logs).everything.requests == {"proxy": 14, "firewall": 14}

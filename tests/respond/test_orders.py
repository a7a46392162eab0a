"""Which machine first, which password because of which machine, and the records that say so."""

from __future__ import annotations

from typing import Any

import pytest
from respond_helpers import ResultOf, entry, host

from hikeshi.respond.accounts import KRBTGT_WAIT_HOURS, account_list
from hikeshi.respond.isolation import controllers_of, isolation_list
from hikeshi.respond.result import load_result

CASE = {
    "compromised_hosts": [host(n) for n in ("PC-SPREAD", "DC01", "PC-ENC", "FS-THEFT", "PC-C2", "PC-OLD", "PC-PLAIN")],
    "encrypted_hosts": [host("PC-ENC")],
    "c2": [entry(value="evil.example", type="domain", known=True, first=None, last="2026-11-02T09:50:00Z", clients=["PC-C2"]),
           entry(value="old.example", type="domain", known=True, first=None, last="2026-10-20T00:00:00Z", clients=["PC-OLD"])],
    "exfiltration": [entry(kind="proxy_upload", source="FS-THEFT", destination="drop.example", bytes=5, first=None, last=None)],
    "spread": [entry(time="2026-11-02T02:00:00Z", source="PC-SPREAD", destination="DC01", account="a", method="rdp",
                     technique="T1021")],
}


def event(code: str, name: str, user: str, *, at: str = "2026-11-02T03:00:00Z", record: int = 1, logon: str | None = None,
          program: str | None = None, **more: Any) -> dict[str, Any]:
    channel = {"1": "Microsoft-Windows-Sysmon/Operational", "7045": "System"}.get(code, "Security")
    return {"at": at, "event.code": code, "host.name": name, "user.name": user, "winlog.channel": channel,
            "winlog.record_id": record, "log.file.path": f"{name}/{channel[:8]}.evtx", "log.line": None,
            **({"LogonType": logon} if logon else {}), **({"process.executable": program} if program else {}), **more}


def test_the_order_is_encryption_open_line_controller_theft_spread_traces(result_of: ResultOf) -> None:
    result = load_result([result_of([], CASE)])
    items = isolation_list(result, controllers={"dc01"})
    assert [(i.host, i.cause) for i in items] == [
        ("PC-ENC", "encryption"), ("PC-C2", "c2_alive"), ("DC01", "domain_controller"), ("FS-THEFT", "theft"),
        ("PC-SPREAD", "spread"), ("PC-OLD", "traces"), ("PC-PLAIN", "traces")]
    assert all(i.records and i.reasons and i.reasons[0].ja for i in items)
    assert isolation_list(load_result([result_of([], {}, name="empty")])) == ()


def test_a_domain_controller_is_known_by_the_tickets_it_gives(result_of: ResultOf) -> None:
    rows = [event("4768", "DC01.corp.example", "a", record=9), event("4624", "FS01.corp.example", "a", logon="3")]
    found = controllers_of(load_result([result_of(rows)]))
    assert set(found) == {"dc01", "dc01.corp.example"} and found["dc01"][0].record_id == 9


ROWS = [
    event("4624", "PC-1.corp.example", "taro", record=11, logon="2"),
    event("4624", "PC-1.corp.example", "CORP\\hanako", record=12, logon="10", at="2026-11-01T00:00:00Z"),
    event("4624", "PC-1.corp.example", "visitor", record=13, logon="3"),  # leaves no password behind
    event("4624", "PC-1.corp.example", "PC-1$", record=14, logon="2"), event("4624", "PC-1.corp.example", "DWM-2", logon="2"),
    event("4624", "PC-1.corp.example", "svc_backup", record=15, logon="5"),
    event("7045", "PC-1.corp.example", "CORP\\svc_sql", record=16), event("7045", "PC-1.corp.example", "LocalSystem"),
    event("1", "PC-1.corp.example", "taro", record=17, program="C:\\Program Files\\Microsoft Office\\OUTLOOK.EXE"),
    event("1", "PC-1.corp.example", "taro", record=18, program="C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe"),
    event("4688", "PC-1.corp.example", "taro", record=19, program="C:\\Program Files\\Fortinet\\FortiClient\\FortiClient.exe"),
    event("1", "PC-1.corp.example", "taro", program="C:\\Windows\\notchrome.exe.txt"),
    event("4624", "PC-9.corp.example", "jiro", logon="2"),  # not a held machine
    {"at": "2026-11-02T04:00:00Z", "event.dataset": "fortinet.event", "event.category": "authentication",
     "event.action": "tunnel-up", "user.name": "hanako", "source.ip": "203.0.113.9"},
    {"at": "2026-11-02T04:00:00Z", "event.dataset": "fortinet.event", "event.category": "authentication",
     "event.action": "ssl-login-fail", "user.name": "taro", "source.ip": "203.0.113.9"},
]


def test_every_account_of_a_held_machine_with_its_evidence(result_of: ResultOf) -> None:
    result = load_result([result_of(ROWS)])
    found = account_list(result, {"PC-1": "2026-11-02T01:00:00Z"})
    assert {(a.account, a.kind): (a.after_entry, a.records[0].record_id if a.records else None) for a in found} == {
        ("taro", "logon"): (True, 11), ("hanako", "logon"): (False, 12), ("svc_backup", "service"): (True, 15),
        ("svc_sql", "service"): (True, 16), ("taro", "mail"): (True, 17), ("taro", "browser"): (True, 18),
        ("taro", "vpn"): (True, 19), ("hanako", "vpn"): (None, None), ("Administrator", "local"): (None, None)}
    assert next(a for a in found if a.account == "hanako" and a.kind == "vpn").records[0].line == 14
    assert all(r.ja and r.en for a in found for r in a.reasons)


def test_a_fallen_domain_controller_means_krbtgt_twice_with_a_wait_and_everybody(result_of: ResultOf) -> None:
    result = load_result([result_of([event("4768", "DC01", "a", record=3)])])
    known = controllers_of(result)
    found = account_list(result, {"DC01": None}, controllers=known, controller_records=known)
    assert [a.account for a in found[:2]] == ["krbtgt (1)", "krbtgt (2)"]
    assert found[0].records[0].record_id == 3 and str(KRBTGT_WAIT_HOURS) in found[1].reasons[0].en
    assert any(a.account == "*" for a in found)
    # Near miss: the same machine where it is no controller.
    assert not any(a.kind == "krbtgt" or a.account == "*" for a in account_list(result, {"DC01": None}))


@pytest.mark.parametrize("case", [
    {"compromised_hosts": [{"name": None}, {"name": ""}, {}, "x", {"name": "PC-1", "records": [{}, {"path": 3}], "addresses": None}]},
    {"c2": [{"value": None, "clients": [None, ""], "last": "yesterday"}], "exfiltration": [{"source": None}]},
    {"accounts_to_reset": [{"name": "krbtgt", "kind": "service"}, {"kind": 7}], "spread": [{"source": None}]}])
def test_a_damaged_case_ends_nobody(result_of: ResultOf, case: dict[str, Any]) -> None:
    result = load_result([result_of([], case)])
    items = isolation_list(result)
    account_list(result, {i.host: i.first for i in items})

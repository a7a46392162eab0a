"""Cisco ASA, BIND, Postfix, OpenVPN, NetScaler and VPC flow logs."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest

JST = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            "Built outbound TCP connection 7 for outside:198.51.100.7/443 (198.51.100.7/443) to inside:10.0.0.5/50001 (192.0.2.1/50001)",
            {"source.ip": "10.0.0.5", "source.port": 50001, "destination.ip": "198.51.100.7", "destination.port": 443},
        ),
        (
            "Built inbound TCP connection 7 for outside:203.0.113.9/50001 (203.0.113.9/50001) to inside:10.0.0.5/443 (192.0.2.1/443)",
            {"source.ip": "203.0.113.9", "destination.ip": "10.0.0.5", "event.outcome": "success"},
        ),
        (
            "Teardown TCP connection 7 for outside:198.51.100.7/443 to inside:10.0.0.5/50001 duration 0:10:06 bytes 4666 TCP FINs",
            {"source.ip": "10.0.0.5", "destination.ip": "198.51.100.7", "bytes_total": "4666"},
        ),
        (
            'Deny tcp src outside:203.0.113.9/50001 dst inside:10.0.0.5/3389 by access-group "a" [0x0, 0x0]',
            {
                "source.ip": "203.0.113.9",
                "destination.port": 3389,
                "event.action": "denied",
                "event.outcome": "failure",
            },
        ),
        (
            "Group <G> User <u1> IP <203.0.113.9> IPv4 Address <10.9.0.2> IPv6 address <::> assigned to session",
            {
                "source.ip": "203.0.113.9",
                "user.name": "u1",
                "event.outcome": "success",
                "event.category": "authentication",
            },
        ),
        (
            "AAA user authentication Rejected : reason = AAA failure : server = 10.0.0.9 : user = u1 : user IP = 203.0.113.9",
            {"source.ip": "203.0.113.9", "destination.ip": "10.0.0.9", "user.name": "u1", "event.outcome": "failure"},
        ),
    ],
)
def test_cisco_asa(read, line, wanted):
    row = read(f"<166>Sep 25 2024 15:47:07 JST: %ASA-6-302013: {line}\n").rows[0]
    assert {k: row.get(k) for k in wanted} == wanted
    assert row["event.dataset"] == "cisco.asa"
    assert row["@timestamp"] == "2024-09-25T06:47:07Z"
    assert row["message"] == line


def test_bind_queries(read):
    row = read(
        "10-Sep-2024 20:26:40.000 queries: info: client @0x7f 10.1.2.3#5353 (c2.example): query: C2.example IN A +E(0) (192.0.2.53)\n",
        zone=JST,
    ).rows[0]
    assert (row["source.ip"], row["dns.question.name"], row["destination.ip"]) == (
        "10.1.2.3",
        "c2.example",
        "192.0.2.53",
    )
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"
    assert row["event.dataset"] == "bind"


def test_postfix_delivery_and_logon(read):
    head = "2024-09-10T20:26:40+09:00 mail postfix/"
    rows = read(
        head
        + "smtp[1]: 7B3643F820: to=<jdoe@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=0.08, dsn=2.0.0, status=sent (250 Ok)\n"
        + head
        + "smtpd[2]: 7B3643F821: client=unknown[203.0.113.9], sasl_method=LOGIN, sasl_username=u1\n"
        + head
        + "smtpd[2]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: UGFzc3dvcmQ6\n"
    ).rows
    assert (rows[0]["destination.domain"], rows[0]["destination.ip"], rows[0]["event.outcome"]) == (
        "mx.example.org",
        "192.0.2.1",
        "success",
    )
    assert (rows[1]["source.ip"], rows[1]["user.name"]) == ("203.0.113.9", "u1")
    assert (rows[2]["source.ip"], rows[2]["event.outcome"]) == ("203.0.113.9", "failure")


def test_openvpn(read):
    row = read(
        "2024-09-10 20:26:40 203.0.113.9:50001 TLS: Username/Password authentication succeeded for username 'u1'\n",
        zone=JST,
    ).rows[0]
    assert (row["source.ip"], row["user.name"], row["event.action"]) == ("203.0.113.9", "u1", "logged-in")
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"
    near = read("2024-09-10 20:26:40 203.0.113.9:50001 is not an openvpn line\n").rows[0]
    assert near["event.dataset"] != "openvpn"


def test_netscaler(read):
    row = read(
        '01/24/2025:12:06:37 GMT ns 0-PPE-0 : default AAA LOGIN_FAILED 73 0 : User u1 - Client_ip 203.0.113.9 - Failure_reason "no" - x\n'
    ).rows[0]
    assert (row["source.ip"], row["user.name"], row["event.outcome"]) == ("203.0.113.9", "u1", "failure")
    assert row["@timestamp"] == "2025-01-24T12:06:37Z"


def test_vpc_flow(read):
    row = read(
        "2 123456789012 eni-0a 10.0.0.5 198.51.100.7 51000 443 6 10 84000 1726000000 1726000060 ACCEPT OK\n"
    ).rows[0]
    assert (row["source.ip"], row["destination.ip"], row["destination.port"], row["source.bytes"]) == (
        "10.0.0.5",
        "198.51.100.7",
        443,
        84000,
    )
    assert row["@timestamp"] == "2024-09-10T20:26:40Z"


def test_esxi_logons_shell_and_ssh(read):
    rows = read(
        "2024-09-10T11:26:40.123Z In(166) Hostd[2100]: [Originator@6876 sub=Vimsvc.ha-eventmgr opID=ab-12] Event 12 : User root@203.0.113.9 logged in as x\n"
        "2024-09-10T11:26:41Z esx1 Hostd[2100]: [Originator@6876 sub=Default] Rejected password for user root from 203.0.113.9\n"
        "2024-09-10T11:26:42Z esx1 shell[2099]: [root]: esxcli vm process list\n"
    ).rows
    assert [r["event.action"] for r in rows] == ["logged-in", "logon-failed", "command-run"]
    assert [r["user.name"] for r in rows] == ["root"] * 3
    assert rows[0]["source.ip"] == rows[1]["source.ip"] == "203.0.113.9"
    assert rows[2]["process.command_line"] == "esxcli vm process list"
    assert rows[0]["@timestamp"] == "2024-09-10T11:26:40.123000Z"
    assert rows[0]["esxi.opID"] == "ab-12"


@pytest.mark.parametrize(
    ("message", "address", "user"),
    [
        ("login of user 'u1' from 203.0.113.9 accepted", "203.0.113.9", "u1"),
        ("session opened, client address: 203.0.113.9:5000, username=u1", "203.0.113.9", "u1"),
        ("User u1 logged in from [2001:db8::1]", "2001:db8::1", "u1"),
        ("the server 203.0.113.9 is fine and the user is happy", None, None),
        ("update from version 1.2.3.4.5 to 2.0", None, None),
    ],
)
def test_plain_wording_of_unknown_programs(read, message, address, user):
    row = read(f"Sep 10 20:26:40 h thing[1]: {message}\n").rows[0]
    assert (row.get("source.ip"), row.get("user.name")) == (address, user)
    assert row["message"] == message


def test_an_address_that_something_went_to_is_no_destination_without_a_source(read):
    alone = read("Sep 10 20:26:40 h thing[1]: report sent to 203.0.113.9\n").rows[0]
    assert "destination.ip" not in alone
    both = read("Sep 10 20:26:40 h thing[1]: relayed from 10.0.0.5 to 203.0.113.9:8080\n").rows[0]
    assert (both["source.ip"], both["destination.ip"], both["destination.port"]) == ("10.0.0.5", "203.0.113.9", 8080)


def test_sql_servers_error_log(read):
    head = "2026-10-05 14:03:{:02d}.45 {:<11} {}\n"
    told = read(
        head.format(1, "Server", "Microsoft SQL Server 2019 (RTM) - 15.0.2000.5 (X64)")
        + head.format(2, "Logon", "Error: 18456, Severity: 14, State: 8.")
        + head.format(3, "Logon", "Login failed for user 'sa'. Reason: Password did not match. [CLIENT: 203.0.113.9]")
        + head.format(4, "Logon", "Login succeeded for user 'CORP\\u1'. Connection made using Windows authentication. [CLIENT: <local machine>]")
        + head.format(5, "spid61", "Configuration option 'xp_cmdshell' changed from 0 to 1. Run the RECONFIGURE statement to install.")
        + head.format(6, "Logon", "Login failed for user ''' OR 1=1 --'. [CLIENT: not an address]")
        + "2026-10-05 14:03:07.45 Logon\n" + "\0\0\0 14:03\n"
    )
    rows = told.rows
    assert {r["event.dataset"] for r in rows[:6]} == {"mssql.errorlog"}
    assert (rows[2]["user.name"], rows[2]["source.ip"], rows[2]["event.outcome"]) == ("sa", "203.0.113.9", "failure")
    assert (rows[3]["user.name"], rows[3]["user.domain"], rows[3].get("source.ip")) == ("u1", "CORP", None)
    assert (rows[4]["mssql.option"], rows[4]["mssql.to"]) == ("xp_cmdshell", "1")
    assert rows[5]["event.category"] == "authentication" and rows[5].get("source.ip") is None
    assert "event.category" not in rows[0] and len(rows) + len(told.rejects) >= 7


def test_other_dated_lines_are_not_sql_servers(read):
    rows = read("2026-10-05 14:03:01.45 LogonService started\n" * 5 + "2026-10-05 14:03:01,455 Logon  user ok\n" * 5).rows
    assert "mssql.errorlog" not in {r.get("event.dataset") for r in rows}

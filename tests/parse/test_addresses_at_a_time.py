"""DHCP logs of four makers, and who had an address when."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest

from hikeshi.events.leases import grants, leases
from hikeshi.events.time import to_datetime

JST = timezone(timedelta(hours=9))
HEAD = (
    "\t\tMicrosoft DHCP Service Activity Log\n\nEvent ID  Meaning\n00\tThe log was started.\n01\tThe log was stopped.\n"
    "10\tA new IP address was leased to a client.\n\nQResult: 0: NoQuarantine, 1:Quarantine\n\n"
    "ID,Date,Time,Description,IP Address,Host Name,MAC Address,User Name, TransactionID, QResult,Probationtime, CorrelationID,Dhcid\n"
)


def micro(text: str) -> int:
    from datetime import UTC, datetime

    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def held(tables):
    return leases(grant for table in tables for grant in grants(table)).spans()


def test_windows_audit_log(read):
    got = read(
        HEAD
        + "10,09/10/24,20:26:40,Assign,10.1.2.3,WS-14.corp.example,AABBCCDDEEFF,,1234,0,,,\n"
        + "11,09/10/24,21:26:40,Renew,10.1.2.3,WS-14.corp.example,AABBCCDDEEFF,,1234,0,,,\n"
        + "30,09/10/24,21:26:40,DNS Update Request,3.2.1.10,WS-14.corp.example,,,0,6,,,\n"
        + "24,09/10/24,22:00:00,Database Cleanup Begin,,,,,0,6,,,\n"
        + "12,09/10/24,23:00:00,Release,10.1.2.3,WS-14.corp.example,AABBCCDDEEFF,,1234,0,,,\n",
        zone=JST,
        assumed=False,
    )
    rows = [r for r in got.rows if r["event.dataset"] == "dhcp.windows"]
    assert not got.rejects
    assert [r["event.action"] for r in rows] == ["assigned", "renewed", "dns-update-requested", "database cleanup begin", "released"]
    first = rows[0]
    assert (first["source.ip"], first["host.name"], first["dhcp.mac"]) == ("10.1.2.3", "WS-14.corp.example", "aa:bb:cc:dd:ee:ff")
    assert (first["@timestamp"], first["event.timezone"]) == ("2024-09-10T11:26:40Z", "UTC+09:00")


def test_windows_audit_log_with_broken_lines(read):
    good = "10,09/10/24,20:26:40,Assign,10.1.2.3,WS-14,AABBCCDDEEFF,,1,0\n"
    got = read(HEAD + good * 20 + "10,09/10/24,20:2\n" + "10,13/45/24,20:26:40,Assign,10.1.2.4,WS-15,AABBCCDDEEFF,,1,0\n" + good)
    assert sum(r.get("source.ip") == "10.1.2.3" for r in got.rows) == 21
    assert len(got.rejects) == 1
    undated = next(r for r in got.rows if r.get("source.ip") == "10.1.2.4")
    assert "@timestamp" not in undated
    assert undated["event.original_time"]


@pytest.mark.parametrize(
    ("line", "name", "mac"),
    [
        ("Sep 10 20:26:40 gw dhcpd: DHCPACK on 10.1.2.3 to 00:11:22:33:44:55 (ws-14) via eth0", "ws-14", "00:11:22:33:44:55"),
        ("Sep 10 20:26:40 gw dhcpd[99]: DHCPACK on 10.1.2.3 to 0:11:22:33:44:55 via eth0", None, "00:11:22:33:44:55"),
        ("Sep 10 20:26:40 gw dnsmasq-dhcp[9]: DHCPACK(br0) 10.1.2.3 00:11:22:33:44:55 ws-14", "ws-14", "00:11:22:33:44:55"),
        ("Sep 10 20:26:40 gw kea-dhcp4: INFO  DHCP4_LEASE_ALLOC [hwtype=1 00:11:22:33:44:55], cid=[no info], tid=0x1: lease 10.1.2.3 has been allocated for 3600 seconds", None, "00:11:22:33:44:55"),
    ],
)
def test_syslog_of_dhcp_servers(read, line, name, mac):
    row = read(line + "\n").rows[0]
    assert row["event.dataset"].startswith("dhcp.")
    assert (row["event.action"], row["source.ip"], row.get("host.name"), row["dhcp.mac"]) == ("assigned", "10.1.2.3", name, mac)


def test_a_discover_without_address(read):
    row = read("Sep 10 20:26:40 gw dhcpd: DHCPDISCOVER from 00:11:22:33:44:55 (ws-14) via eth0\n").rows[0]
    assert (row["event.action"], row["dhcp.mac"], row["host.name"]) == ("discover", "00:11:22:33:44:55", "ws-14")
    assert "source.ip" not in row


LEASES = """# The format of this file is documented in the dhcpd.leases(5) manual page.
authoring-byte-order little-endian;

server-duid "x";

lease 10.1.2.3 {
  starts 2 2024/09/10 11:26:40;
  ends 2 2024/09/10 23:26:40;
  cltt 2 2024/09/10 11:26:40;
  binding state active;
  next binding state free;
  hardware ethernet 00:11:22:33:44:55;
  client-hostname "ws-14";
}
lease 10.1.2.4 {
  starts epoch 1725967600; # Tue Sep 10
  ends never;
  binding state active;
  hardware ethernet 00:11:22:33:44:66;
}
"""


def test_isc_leases_file(read):
    got = read(LEASES, zone=JST)
    assert [(r["source.ip"], r.get("host.name"), r["@timestamp"]) for r in got.rows] == [
        ("10.1.2.3", "ws-14", "2024-09-10T11:26:40Z"),
        ("10.1.2.4", None, "2024-09-10T11:26:40Z"),
    ]
    assert got.rows[0]["dhcp.until"] == "2024-09-10T23:26:40Z"
    assert not got.rejects


def test_a_lease_cut_off_is_told_and_the_others_are_read(read):
    got = read(LEASES + "lease 10.1.2.9 {\n  starts 2 2024/09/10 11:26:40;\n")
    assert len(got.rejects) == 1
    assert len([r for r in got.rows if r["event.dataset"] == "dhcp.isc"]) == 2


def test_who_had_an_address_through_changes(read):
    got = read(
        HEAD
        + "10,09/10/24,08:00:00,Assign,10.1.2.3,WS-A,AAAAAAAAAAAA,,1,0\n"
        + "11,09/10/24,12:00:00,Renew,10.1.2.3,WS-A,AAAAAAAAAAAA,,1,0\n"
        + "12,09/10/24,18:00:00,Release,10.1.2.3,WS-A,AAAAAAAAAAAA,,1,0\n"
        + "10,09/10/24,19:00:00,Assign,10.1.2.3,WS-B,BBBBBBBBBBBB,,1,0\n"
        + "10,09/11/24,09:00:00,Assign,10.1.2.3,WS-C,CCCCCCCCCCCC,,1,0\n"
        + "15,09/11/24,09:30:00,NACK,10.1.2.3,WS-D,DDDDDDDDDDDD,,1,0\n"
    )
    assert sum(len(grants(table)) for table in got.tables) == 5
    spans = held(got.tables)

    def who(text: str) -> str | None:
        found = spans.at("10.1.2.3", micro(text))
        return found.host if found else None

    assert who("2024-09-10 07:59:59") is None
    assert who("2024-09-10 08:00:00") == "WS-A"
    assert who("2024-09-10 17:59:59") == "WS-A"
    assert who("2024-09-10 18:30:00") is None  # released, not yet given out again
    assert who("2024-09-11 08:59:59") == "WS-B"
    assert who("2024-09-11 10:00:00") == "WS-C"
    assert spans.at("10.9.9.9", micro("2024-09-10 12:00:00")) is None
    assert [to_datetime(lease.start).hour for lease in spans.history("10.1.2.3")] == [8, 19, 9]


def test_a_lease_ends_when_it_says_so(read):
    got = read(LEASES)
    spans = held(got.tables)
    assert spans.at("10.1.2.3", micro("2024-09-10 23:26:40")).host == "ws-14"
    assert spans.at("10.1.2.3", micro("2024-09-10 23:26:41")) is None


def test_a_renewal_without_a_name_keeps_the_name(read):
    got = read(
        "Sep 10 20:00:00 gw dhcpd: DHCPACK on 10.1.2.3 to 00:11:22:33:44:55 (ws-14) via eth0\n"
        "Sep 10 21:00:00 gw dhcpd: DHCPACK on 10.1.2.3 to 00:11:22:33:44:55 via eth0\n"
        "Sep 10 22:00:00 gw dhcpd: DHCPACK on 10.1.2.7 to 00:11:22:33:44:55 via eth0\n"
    )
    spans = held(got.tables)
    assert [lease.host for lease in spans.history("10.1.2.3")] == ["ws-14"]


def test_a_lease_of_the_file_that_is_over_still_says_who_had_the_address(read):
    def block(start: str, end: str, state: str, mac: str, name: str = "") -> str:
        named = f'  client-hostname "{name}";\n' if name else ""
        return (f"lease 10.1.2.3 {{\n  starts 2 2024/09/10 {start};\n  ends 2 2024/09/10 {end};\n  binding state {state};\n"
                f"  hardware ethernet {mac};\n{named}}}\n")

    a, b = "00:11:22:33:44:55", "00:11:22:33:44:66"
    spans = held(read(block("08:00:00", "10:00:00", "free", a, "ws-a") + block("12:00:00", "13:00:00", "expired", b, "ws-b")
                      + block("15:00:00", "16:00:00", "abandoned", b, "ws-b")).tables)

    def who(text: str) -> str | None:
        found = spans.at("10.1.2.3", micro(f"2024-09-10 {text}"))
        return found.host if found else None

    assert [who(t) for t in ("07:59:59", "09:00:00", "11:00:00", "12:30:00", "14:00:00", "15:30:00")] == [
        None, "ws-a", None, "ws-b", None, None]


def test_a_lease_without_an_end_never_ends(read):
    spans = held(read(LEASES.replace("ends 2 2024/09/10 23:26:40", "ends never")).tables)
    assert spans.at("10.1.2.3", micro("2031-01-01 00:00:00")).host == "ws-14"


KEA4 = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n"
KEA6 = ("address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,"
        "hwaddr,state,user_context,hwtype,hwaddr_source,pool_id\n")


def test_kea_keeps_its_leases_as_csv(read):
    got = read(KEA4 + "10.1.2.3,00:11:22:33:44:55,,3600,1725970000,1,0,0,ws-14.corp.example,0,,0\n"
               + "10.1.2.3,00:11:22:33:44:55,,3600,1725972000,1,0,0,,0,{ \"a\": 1&#x2c \"b\": 2 },0\n"
               + "10.1.2.3,00:11:22:33:44:55,,0,1725968400,1,0,0,ws-14.corp.example,0,,0\n"
               + "10.1.2.4,00:11:22:33:44:66,,3600,1725970000,1,0,0,ws-15,2,,0\n"
               + "10.1.2.5,,,86400,1725970000,1,0,0,,1,,0\n" + "10.1.2.6,00:11:22:33:44:77,,4294967295,1725970000,1,0,0,ws-16,0,,0\n")
    assert not got.rejects
    assert [(r["event.action"], r.get("host.name"), r["@timestamp"][11:19]) for r in got.rows] == [
        ("assigned", "ws-14.corp.example", "11:06:40"), ("assigned", None, "11:40:00"),
        ("removed", "ws-14.corp.example", "11:40:00"), ("expired", "ws-15", "12:06:40"), ("declined", None, "12:06:40"),
        ("assigned", "ws-16", "12:06:40")]
    assert {r["event.dataset"] for r in got.rows} == {"dhcp.kea"}


def test_who_had_an_address_by_kea(read):
    spans = held(read(KEA4 + "10.1.2.3,00:11:22:33:44:55,,3600,1725970000,1,0,0,ws-14,0,,0\n"
                      + "10.1.2.3,00:11:22:33:44:55,,3600,1725972000,1,0,0,,0,,0\n"
                      + "10.1.2.3,00:11:22:33:44:66,,3600,1725990000,1,0,0,ws-15,2,,0\n"
                      + "10.1.2.6,00:11:22:33:44:77,,4294967295,1725970000,1,0,0,ws-16,0,,0\n").tables)

    def who(address: str, second: int) -> str | None:
        found = spans.at(address, second * 1_000_000)
        return found.host if found else None

    assert [who("10.1.2.3", s) for s in (1725966399, 1725966400, 1725972000, 1725972001, 1725986400, 1725990001)] == [
        None, "ws-14", "ws-14", None, "ws-15", None]
    assert who("10.1.2.6", 2_000_000_000) == "ws-16"


def test_kea_for_ipv6(read):
    row = read(KEA6 + "2001:db8::7,01:02:03,3600,1725970000,8,1800,0,1,128,0,0,ws-14,00:11:22:33:44:55,0,,1,0,0\n").rows[0]
    assert (row["source.ip"], row["host.name"], row["dhcp.mac"], row["dhcp.duid"]) == (
        "2001:db8::7", "ws-14", "00:11:22:33:44:55", "01:02:03")


@pytest.mark.parametrize("damaged", [
    "10.1.2.3,00:11:22:33:44:55,,3600", "10.1.2.3,00:11,,x,1725970000,1,0,0,ws,0,,0", "nowhere,,,1,1725970000,1,0,0,ws,0,,0",
    "10.1.2.3,,,999999999999,1725970000,1,0,0,ws,0,,0", "10.1.2.3,,,1,99999999999999,1,0,0,ws,0,,0", '"', "\0\0\0x", "a" * 3000,
    "10.1.2.3,,,1,1725970000,1,0,0,ws,0,,0,more,and,more"])
def test_damaged_rows_of_kea_cost_themselves(read, damaged):
    good = "10.1.2.4,00:11:22:33:44:66,,3600,1725970000,1,0,0,ws-15,0,,0\n"
    got = read(KEA4 + good + damaged + "\n" + good)
    assert len(got.rejects) == 1
    assert [r.get("host.name") for r in got.rows if r["event.dataset"] == "dhcp.kea"] == ["ws-15"] * 2
    assert any(r["event.dataset"] == "unparsed" for r in got.rows)

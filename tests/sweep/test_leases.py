"""Who had an address when: spans from lease logs, and clients by machine in what the sweep finds."""

import json
from pathlib import Path

from click.testing import CliRunner

from hikeshi.cli.sweep import command
from hikeshi.events.leases import LONGEST, Grant, Leases, grants, leases
from hikeshi.events.table import TableBuilder
from hikeshi.events.time import NO_TIME
from hikeshi.evidence.source import Source
from hikeshi.indicators.lists import from_values
from hikeshi.sweep import Sweeper

M = 60_000_000
IP = "10.1.15.7"


def spans(*given):
    return [(s.host, s.start, s.end) for s in leases(given).rows]


def test_an_address_goes_from_machine_to_machine():
    assert spans(Grant(IP, 10, "PC1", "aa"), Grant(IP, 50, "PC1", "aa"), Grant(IP, 100, "PC2", "bb"), Grant(IP, 200, "PC2", "bb", ends=True)) == [
        ("PC1", 10, 100), ("PC2", 100, 200)]
    assert spans(Grant(IP, 10, "PC1", ""), Grant(IP, 20, "pc1", "")) == [("PC1", 10, 20 + LONGEST)]


def test_a_lease_nobody_renews_ends_and_its_own_end_counts():
    assert spans(Grant(IP, 10, "PC1", "aa", until=500)) == [("PC1", 10, 500)]
    assert spans(Grant(IP, 10, "PC1", "aa", until=500), Grant(IP, 900, "PC1", "aa", until=1000)) == [("PC1", 10, 500), ("PC1", 900, 1000)]


def test_a_release_by_a_machine_that_does_not_hold_it_ends_nothing():
    assert spans(Grant(IP, 10, "PC1", "aa", until=500), Grant(IP, 50, "PC2", "bb", ends=True)) == [("PC1", 10, 500)]
    assert spans(Grant(IP, 50, "PC2", "bb", ends=True)) == []


def table(*rows):
    builder = TableBuilder()
    for time, cells in rows:
        builder.add(time, cells)
    return builder.build()


def test_requests_offers_and_refusals_grant_nothing():
    def cells(action):
        return {"event.dataset": "dhcp.isc", "event.action": action, "source.ip": IP, "source.domain": "PC1.", "dhcp.mac": "AA-BB"}

    made = grants(table(*((i + 1, cells(a)) for i, a in enumerate(["requested", "offered", "denied", "dns-updated", "discover", "refused"]))))
    assert made == []
    made = grants(table((1, cells("assigned")), (2, cells("renewed")), (3, cells("released")), (NO_TIME, cells("assigned"))))
    assert [(g.time, g.host, g.mac, g.ends) for g in made] == [(1, "PC1", "aa:bb", False), (2, "PC1", "aa:bb", False), (3, "PC1", "aa:bb", True)]
    assert grants(table((1, {"event.dataset": "squid.access", "source.ip": IP, "host.name": "proxy"}))) == []


def test_one_address_and_two_machines_are_two_sightings():
    held = leases([Grant(IP, 10 * M, "PC1", "aa"), Grant(IP, 100 * M, "PC2", "bb", until=150 * M)])
    sweeper = Sweeper(from_values(["evil.example"]), held)
    rows = [(t, {"source.ip": IP, "destination.domain": "evil.example", "log.line": t // M}) for t in (5 * M, 20 * M, 30 * M, 120 * M, 151 * M)]
    sweeper.add(Source(Path("a"), "a", "b" * 64, 1), table(*rows))
    assert {(s.client_host, s.client_mac, s.count, s.lines) for s in sweeper.sightings()} == {
        (None, None, 2, (5, 151)), ("PC1", "aa", 2, (20, 30)), ("PC2", "bb", 1, (120,))}
    assert not Leases()


SQUID = "{time}.000    24 10.1.15.7 TCP_MISS/200 186 GET http://evil.example/a u1 HIER_DIRECT/192.0.2.7 text/html\n"
ISC = """lease 10.1.15.7 {{
  starts 2 2024/09/10 20:00:00;
  ends 2 2024/09/10 22:00:00;
  binding state active;
  hardware ethernet 00:50:56:c0:00:{n:02};
  client-hostname "{host}";
}}
"""


def test_lease_logs_are_taken_from_beside_the_logs_or_from_the_option(tmp_path):
    logs, other = tmp_path / "logs", tmp_path / "other"
    logs.mkdir(), other.mkdir()
    (tmp_path / "i.txt").write_text("evil.example\n")
    (logs / "proxy.log").write_text(SQUID.format(time=1726000200) * 3)  # 2024-09-10 20:30 UTC
    (logs / "dhcpd.leases").write_text(ISC.format(n=1, host="ACCOUNTS-7"))
    (other / "x.txt").write_text(ISC.format(n=2, host="SALES-2"))

    def machines(*more):
        result = CliRunner().invoke(command, [str(logs), "--indicators", str(tmp_path / "i.txt"), "--json", *map(str, more)])
        return {json.loads(line)["client_host"] for line in result.stdout.splitlines()}

    assert machines() == {"ACCOUNTS-7"}
    assert machines("--leases", other / "x.txt") == {"SALES-2"}

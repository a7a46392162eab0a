"""Names, addresses and accounts over time."""

from __future__ import annotations

import pytest

from hikeshi.trace import Digest
from hikeshi.trace.identity import Identity, account_name, host_name
from hikeshi.trace.rows import Rows
from hikeshi.trace.sessions import Sessions


def known(scene):
    whole = Digest.merge(scene.digests())
    rows = Rows(whole.events)
    return rows, Identity(rows, whole.flows, whole.spans)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("srv1.corp.example", "SRV1"),
        ("\\\\SRV1", "SRV1"),
        ("SRV1$", "SRV1"),
        ("10.1.0.5", "10.1.0.5"),
        ("FE80::1", "fe80::1"),
        ("", ""),
    ],
)
def test_a_machine_has_one_name(written, name):
    assert host_name(written) == name


@pytest.mark.parametrize("written", ["t.mori", "CORP\\T.Mori", "t.mori@corp.example", " t.mori "])
def test_an_account_has_one_name(written):
    assert account_name(written) == "t.mori"


def test_a_machine_account_tells_whose_address_it_is(scene):
    _, who = known(scene)
    assert who.at("10.1.0.11", scene.at("2026-06-08 00:00:00")) == "SRV1"
    assert who.addresses("SRV1") == ("10.1.0.11",)
    assert who.at("10.1.0.99", 0) == "10.1.0.99"


def test_an_address_that_moved_belongs_to_the_nearest_in_time(scene):
    scene.windows("DC1", "2026-06-02 08:00:00", 4624, TargetUserName="PC7$", LogonType="3", IpAddress="10.1.9.77")
    scene.windows("DC1", "2026-06-05 08:00:00", 4624, TargetUserName="PC8$", LogonType="3", IpAddress="10.1.9.77")
    _, who = known(scene)
    assert who.at("10.1.9.77", scene.at("2026-06-02 12:00:00")) == "PC7"
    assert who.at("10.1.9.77", scene.at("2026-06-05 12:00:00")) == "PC8"


def test_a_clients_claim_counts_less_than_the_machines_own_logon(scene):
    scene.windows(
        "SRV2",
        "2026-06-02 08:00:00",
        4624,
        TargetUserName="x",
        LogonType="3",
        IpAddress="10.1.0.11",
        WorkstationName="KALI",
    )
    _, who = known(scene)
    assert who.at("10.1.0.11", scene.at("2026-06-02 08:00:00")) == "SRV1"


def test_a_vpn_address_stays_an_address_whatever_name_is_claimed(scene):
    scene.vpn("2026-06-02 08:00:00", "t.mori", "203.0.113.7", "10.212.134.20", "2026-06-02 09:00:00")
    scene.windows(
        "SRV2",
        "2026-06-02 08:10:00",
        4624,
        TargetUserName="x",
        LogonType="3",
        IpAddress="10.212.134.20",
        WorkstationName="SRV1",
    )
    _, who = known(scene)
    assert who.at("10.212.134.20", scene.at("2026-06-02 08:10:00")) == "10.212.134.20"
    lease = who.lease("10.212.134.20", scene.at("2026-06-02 08:10:00"))
    assert lease is not None and (lease.account, lease.source) == ("t.mori", "203.0.113.7")
    assert who.lease("10.212.134.20", scene.at("2026-06-02 10:10:00")) is None


def test_logons_within_half_an_hour_are_one_session_and_later_ones_another(scene):
    for clock in ("10:00:00", "10:20:00", "10:45:00", "12:00:00"):
        scene.logon("SRV1", f"2026-06-02 {clock}", "adm", "JUMP1")
    rows, who = known(scene)
    sessions = Sessions(rows, who)
    found = [sessions.get(n) for n in sessions.into("SRV1").tolist()]
    assert [(s.source, s.account, s.count) for s in found] == [("JUMP1", "adm", 3), ("JUMP1", "adm", 1)]


def test_two_earlier_days_make_a_habit_and_the_same_day_does_not(scene):
    for day in ("02", "03", "04"):
        for clock in ("10:00:00", "12:00:00"):
            scene.logon("SRV1", f"2026-06-{day} {clock}", "adm", "JUMP1")
    rows, who = known(scene)
    sessions = Sessions(rows, who)
    assert [sessions.habitual(n) for n in sessions.into("SRV1").tolist()] == [False] * 4 + [True] * 2

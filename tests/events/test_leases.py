"""One meaning of who had an address when: renewals, releases, takeovers, overlaps, gaps."""

from __future__ import annotations

import random
from itertools import pairwise

from hikeshi.events.leases import FOREVER, LONGEST, Grant, Leases, grants, leases
from hikeshi.events.table import EventTable, TableBuilder
from hikeshi.events.time import NO_TIME

IP, OTHER = "10.1.15.7", "10.1.15.8"
HOUR = 3_600_000_000


def spans(*given: Grant) -> list[tuple[str, int, int]]:
    return [(s.host, s.start, s.end) for s in leases(given).rows]


def table(*rows: dict[str, str], at: int = 10 * HOUR) -> EventTable:
    builder = TableBuilder()
    for row in rows:
        builder.add(at, {"event.dataset": "dhcp.windows", "source.ip": IP, "host.name": "PC1", **row})
    return builder.build()


def test_a_release_by_another_ends_nothing_and_one_without_a_name_does() -> None:
    assert spans(Grant(IP, 0, "one", ""), Grant(IP, 2 * HOUR, "one", ""), Grant(IP, 3 * HOUR, "other", "", ends=True),
                 Grant(IP, 4 * HOUR, "two", ""), Grant(IP, 5 * HOUR, "", "", ends=True)) == [
        ("one", 0, 4 * HOUR), ("two", 4 * HOUR, 5 * HOUR)]


def test_without_an_end_a_lease_lasts_from_its_last_renewal() -> None:
    assert spans(Grant(IP, 0, "one", ""), Grant(IP, LONGEST - 1, "one", ""), Grant(IP, 3 * LONGEST, "one", "")) == [
        ("one", 0, 2 * LONGEST - 1), ("one", 3 * LONGEST, 4 * LONGEST)]


def test_a_renewal_that_names_no_end_lasts_as_long_as_the_grant_did() -> None:
    assert spans(Grant(IP, 0, "one", "aa", until=HOUR), Grant(IP, HOUR // 2, "one", "aa")) == [("one", 0, HOUR // 2 + HOUR)]


def test_two_logs_of_one_server_give_one_lease() -> None:
    both = [Grant(IP, 0, "one", "aa", until=HOUR), Grant(IP, HOUR // 2, "", "aa", until=2 * HOUR)]
    assert spans(*both, *both) == [("one", 0, 2 * HOUR)]


def test_a_machine_without_a_name_ends_the_lease_of_the_one_before() -> None:
    assert spans(Grant(IP, 0, "one", "aa"), Grant(IP, HOUR, "", "bb")) == [("one", 0, HOUR), ("", HOUR, HOUR + LONGEST)]


def test_a_name_is_remembered_by_the_hardware_address_of_the_same_address_only() -> None:
    assert spans(Grant(IP, 0, "one", "aa", until=1), Grant(IP, 5, "", "aa", until=6), Grant(OTHER, 7, "", "aa", until=8)) == [
        ("one", 0, 1), ("one", 5, 6), ("", 7, 8)]


def test_at_tells_gaps_from_holders() -> None:
    held = leases([Grant(IP, 10, "one", "", until=20), Grant(IP, 30, "two", "", until=40)]).spans()
    assert [getattr(held.at(IP, t), "host", None) for t in (9, 10, 19, 20, 29, 30, 39, 40, NO_TIME)] == [
        None, "one", "one", None, None, "two", "two", None, None]
    assert held.at(OTHER, 15) is None
    assert held.history(OTHER) == ()
    assert Leases().spans().at(IP, 1) is None


def test_a_length_in_seconds_and_never() -> None:
    assert [g.until for g in grants(table({"event.action": "assigned", "dhcp.seconds": "60"},
                                          {"event.action": "assigned", "dhcp.seconds": "9" * 30},
                                          {"event.action": "assigned", "dhcp.seconds": "²"},
                                          {"event.action": "assigned", "dhcp.until": "never"},
                                          {"event.action": "assigned", "dhcp.until": "soon"}))] == [
        10 * HOUR + 60_000_000, FOREVER, NO_TIME, FOREVER, NO_TIME]


def test_a_refusal_to_one_machine_takes_nothing_from_the_holder() -> None:
    for action in ("denied", "DHCPNAK", "15", "conflict", "requested", "offered"):
        assert grants(table({"event.action": action})) == [], action
    for action in ("12", "17", "released", "expired", "deleted", "declined"):
        assert [g.ends for g in grants(table({"event.action": action}))] == [True], action
    for action in ("10", "11", "DHCPACK", "confirmed", "rebound", ""):
        assert [g.ends for g in grants(table({"event.action": action}))] == [False], action


def test_any_order_gives_the_same_answer_and_leases_never_overlap() -> None:
    chance = random.Random(7)
    for _ in range(300):
        times = chance.sample(range(1, 400), 30)  # one moment, one line
        given = [Grant(chance.choice((IP, OTHER)), time, chance.choice(("one", "two", "")), chance.choice(("aa", "bb", "")),
                       chance.random() < 0.3, chance.choice((NO_TIME, time + 5, time + 50, time - 5, FOREVER))) for time in times]
        rows = leases(given).rows
        chance.shuffle(given)
        assert leases(given).rows == rows
        for one, other in pairwise(rows):
            assert one.start < one.end
            assert one.address < other.address or one.end <= other.start
        held = leases(given).spans()
        for time in range(0, 400, 7):
            inside = [r for r in rows if r.address == IP and r.start <= time < r.end]
            assert [held.at(IP, time)] == (inside or [None])

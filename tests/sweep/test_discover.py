"""Each suspicion beside what looks like it and is daily business."""

import random
from pathlib import Path

import pytest

from hikeshi.events.table import TableBuilder
from hikeshi.evidence.source import Source
from hikeshi.sweep import discover as module
from hikeshi.sweep.discover import Contacts, discover

SOURCE = Source(Path("proxy.log"), "proxy.log", "a" * 64, 1)
S, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
START = 1_726_000_000 * S


def contacts(*rows):
    """Rows are (time, client, destination, further cells)."""
    builder = TableBuilder()
    for number, (time, client, place, cells) in enumerate(rows, 1):
        column = "destination.ip" if place.replace(".", "").isdigit() else "destination.domain"
        builder.add(START + int(time), {"source.ip": client, column: place, "destination.port": 443, "log.line": number, **cells})
    out = Contacts()
    out.add(SOURCE, builder.build())
    return out


def noise(clients=200, seed=1):
    """An ordinary house: everybody uses the same popular places, at odd times."""
    r = random.Random(seed)
    for _ in range(4000):
        client = f"10.0.{r.randrange(4)}.{r.randrange(clients // 4)}"
        yield r.random() * 5 * DAY, client, f"popular{r.randrange(20)}.example", {"source.bytes": r.randrange(500, 5000), "destination.bytes": 40_000}


def kinds(rows, **options):
    return {(d.kind, d.destination, d.clients) for d in discover(contacts(*noise(), *rows).gathered(), **options)}


def every(gap, count, client, place, *, jitter=0.0, seed=2, **cells):
    r = random.Random(seed)
    return [((i + r.uniform(-jitter, jitter)) * gap, client, place, cells) for i in range(1, count + 1)]


def test_ordinary_traffic_is_silent():
    assert kinds([]) == set()


@pytest.mark.parametrize("jitter", [0, 0.05, 0.09])
def test_a_beacon_is_found_also_with_jitter_and_a_night_asleep(jitter):
    rows = every(300 * S, 60, "10.0.0.7", "c2.example", jitter=jitter)
    rows = [row for row in rows if not 3 * HOUR < row[0] < 3.5 * HOUR]
    (one,) = [d for d in discover(contacts(*noise(), *rows).gathered()) if d.kind == "beacon"]
    assert (one.destination, one.clients) == ("c2.example", ("10.0.0.7",))
    assert 290 <= one.numbers["gap_s"] <= 310 and one.numbers["regular"] > 0.75 and one.records[0][2] > 4000
    assert "300" in one.reason.en.replace("299", "300").replace("301", "300") and one.first < one.last


@pytest.mark.parametrize(("rows", "why"), [
    ([row for c in range(40) for row in every(HOUR, 40, f"10.0.0.{c}", "update.vendor.example")], "updates of everybody"),
    (every(64 * S, 200, "10.0.0.9", "time.example", **{"destination.port": 123}), "a time server"),
    (every(300 * S, 9, "10.0.0.9", "few.example"), "too few"),
    (every(2 * S, 600, "10.0.0.9", "video.example"), "a stream"),
    ([(random.Random(i).random() * DAY, "10.0.0.9", "reader.example", {}) for i in range(60)], "a person"),
    (every(300 * S, 60, "10.0.0.9", "10.9.9.9"), "inside"),
    (every(300 * S, 60, "10.0.0.9", "printer.local"), "inside by name")])
def test_regular_or_busy_but_harmless_traffic_is_no_beacon(rows, why):
    assert "beacon" not in {k for k, _, _ in kinds(rows)}, why


def test_what_a_warning_list_knows_ranks_low_but_is_told():
    rows = every(300 * S, 60, "10.0.0.7", "telemetry.example")
    (high,) = discover(contacts(*noise(), *rows).gathered())
    (low,) = discover(contacts(*noise(), *rows).gathered(), harmless=lambda name: name == "telemetry.example")
    assert low.score * 3 < high.score and "warning list" in low.reason.en


def test_what_infected_clients_share_and_others_do_not():
    rows = [(i * HOUR, f"10.0.0.{c}", "drop.example", {}) for i, c in enumerate((1, 2, 3))]
    rows += [(i * HOUR, f"10.0.0.{c}", "lunch.example", {}) for i, c in enumerate((1, 2, 9, 10, 11))]
    found = kinds(rows, infected={"10.0.0.1", "10.0.0.2", "10.0.0.3"})
    assert ("shared", "drop.example", ("10.0.0.1", "10.0.0.2", "10.0.0.3")) in found
    assert not any(place.startswith(("lunch", "popular")) for _, place, _ in found)
    assert kinds(rows, infected={"10.0.0.1"}) == set()


def test_an_upload_against_the_clients_norm():
    big = {"source.bytes": 90 << 20, "destination.bytes": 5000}
    found = kinds([(DAY, "10.0.0.7", "share.example", big)])
    assert found == {("upload", "share.example", ("10.0.0.7",))}
    assert kinds([(DAY, "10.0.0.7", "video.example", big | {"destination.bytes": 500 << 20})]) == set()  # a call, both ways
    usual = [(i * HOUR, "10.0.0.7", f"backup{i}.example", big) for i in range(12)]
    assert not {k for k in kinds(usual) if k[0] == "upload"}  # this machine always does


def test_a_call_by_address_a_long_connection_and_a_late_busy_destination():
    rows = [(i * HOUR * 1.7 + i * i * S, "10.0.0.7", "203.0.113.9", {}) for i in range(5)]
    rows += [(DAY, "10.0.0.8", "tunnel.example", {"squid.elapsed_ms": 7_300_000})]
    r = random.Random(3)
    rows += [(4 * DAY + r.random() * DAY, "10.0.0.9", "fresh.example", {}) for _ in range(80)]
    assert kinds(rows) == {("address", "203.0.113.9", ("10.0.0.7",)), ("long", "tunnel.example", ("10.0.0.8",)), ("new", "fresh.example", ("10.0.0.9",))}
    old = [(r.random() * 5 * DAY, "10.0.0.9", "old.example", {}) for _ in range(80)]
    short = [(DAY, "10.0.0.8", "call.example", {"squid.elapsed_ms": 600_000})]
    assert kinds([*old, *short]) == set()


def test_parts_join_and_what_is_too_much_is_counted(monkeypatch):
    rows = every(300 * S, 60, "10.0.0.7", "c2.example")
    whole, joined = contacts(*noise(), *rows), Contacts()
    for part in (contacts(*noise()), contacts(*rows)):
        joined.join(part.gathered())
    assert [d.destination for d in discover(joined.gathered())] == [d.destination for d in discover(whole.gathered())] == ["c2.example"]
    monkeypatch.setattr(module, "MAX_CONTACTS", 100)
    some = contacts(*noise())
    assert len(some.gathered().columns["time"]) == 100 and some.left_out == 3900
    assert discover(Contacts().gathered()) == []


def test_hostile_values_break_nothing():
    rows = [(0, "x" * 5000, "a..b", {"source.bytes": 2**63 - 1}), (0, "10.0.0.1", "[::]", {}), (0, "10.0.0.1", "例え.jp", {"duration": "1e999"}),
            (0, "10.0.0.1", "n.example", {"duration": "nan", "time-taken": "-5"})]
    assert isinstance(discover(contacts(*rows).gathered(), infected={"x" * 5000}), list)


def test_events_of_the_machine_itself_go_by_its_name():
    def table(*rows):
        builder = TableBuilder()
        for number, cells in enumerate(rows):
            builder.add(number * 1_000_000, {"winlog.channel": "Microsoft-Windows-Sysmon/Operational", "host.name": "PC-A", **cells})
        return builder.build()

    def clients(contacts):
        return {contacts.gathered().clients[c] for c in contacts.gathered().columns["client"].tolist()}

    went = {"source.ip": "10.0.0.5", "destination.ip": "203.0.113.9"}
    contacts = Contacts()
    contacts.add(Source(Path("a"), "a", "b" * 64, 1), table(went, {"dns.question.name": "evil.example"}))
    assert clients(contacts) == {"pc-a"}
    contacts = Contacts()
    contacts.add(Source(Path("a"), "a", "b" * 64, 1), table({**went, "winlog.channel": "Security"}))
    assert clients(contacts) == {"10.0.0.5"}

"""Flows of one log come batch by batch; however they are cut and joined, the story is the same."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from hikeshi.events.table import TableBuilder
from hikeshi.evidence.source import Source
from hikeshi.model.case import Case, Identification
from hikeshi.trace import Digest, Gathered, build_story, digest
from hikeshi.trace.network import is_address, public
from hikeshi.trace.outside import address_values, outside_names, public_values

SECOND = 1_000_000
START = 1_780_880_400 * SECOND  # 2026-06-08 01:00 UTC, a full hour
PROXY = Source(Path("p"), "proxy.log", "a" * 64, 1, kind="text")
FIREWALL = Source(Path("f"), "fw.log", "b" * 64, 1, kind="text")


def proxy(line, second, client="10.1.9.1", destination="drop.example", ip="203.0.113.9", sent=0, got=10):
    return START + second * SECOND, {
        "event.dataset": "squid.access",
        "source.ip": client,
        "destination.domain": destination,
        "destination.ip": ip,
        "source.bytes": sent,
        "destination.bytes": got,
        "url.full": f"https://{destination}/",
        "log.line": line,
    }


def firewall(line, second, client="10.1.0.5", ip="203.0.113.9", sent=0):
    return START + second * SECOND, {
        "event.dataset": "fortinet.traffic",
        "source.ip": client,
        "destination.ip": ip,
        "destination.port": 443,
        "source.bytes": sent,
        "log.line": line,
    }


def part(source, rows):
    builder = TableBuilder()
    for time, cells in rows:
        builder.add(time, cells)
    return digest(source, builder.build())


def cut(source, rows, sizes):
    """The rows' digests, in batches of these sizes."""
    out, at = [], 0
    for size in sizes:
        out.append(part(source, rows[at : at + size]))
        at += size
    assert at == len(rows)
    return out


def log(count=600):
    chance = random.Random(3)
    rows = [
        proxy(
            n + 1,
            n * 7,
            client=f"10.1.9.{chance.randrange(1, 5)}",
            destination=chance.choice(("drop.example", "news.example", "cdn.example")),
            sent=chance.randrange(5) * 1_000_000,
        )
        for n in range(count)
    ]
    return [*rows, *(proxy(count + n + 1, n * 60, client="10.1.9.1", destination="beacon.example") for n in range(40))]


def content(table):
    """The rows with their values, in an order that does not depend on how they were made."""
    return sorted(tuple(sorted((k, str(v)) for k, v in row.items())) for row in table.to_pylist())


def answer(digests):
    story = build_story(digests)
    return Case(Identification(verdict="unknown", confidence="low"), story).to_dict()


@pytest.mark.parametrize("sizes", [(1, 639), (639, 1), (100, 200, 40, 300), (64,) * 10])
def test_however_a_log_is_cut_its_flows_are_the_same(sizes):
    whole = Digest.merge(cut(PROXY, log(), (320, 320)))
    assert content(Digest.merge(cut(PROXY, log(), sizes)).flows) == content(whole.flows)


def test_joining_in_steps_is_joining_at_once():
    parts = cut(PROXY, log(), (64,) * 10)
    once = Digest.merge(parts)
    steps = Digest.merge([Digest.merge(parts[5:]), Digest.merge([Digest.merge(parts[:2]), *parts[2:5]])])
    assert content(steps.flows) == content(once.flows)


def test_joined_and_unjoined_digests_tell_the_same_story(scene):
    scene.dump("PC1", "2026-06-08 00:50:00")
    own = scene.digests()
    rows = log()
    at_once = answer([*own, part(PROXY, rows)])
    assert at_once["exfiltration"] or at_once["c2"]
    assert answer([*own, *cut(PROXY, rows, (64,) * 10)]) == answer([*own, Digest.merge(cut(PROXY, rows, (64,) * 10))])
    assert answer([*own, *cut(PROXY, rows, (64,) * 10)]) == at_once


def test_a_row_keeps_what_all_its_records_say():
    rows = [proxy(1, 50, sent=5, got=1), proxy(2, 10, sent=9, got=2), proxy(3, 10, sent=9, got=4)]
    (flow,) = Digest.merge(cut(PROXY, rows, (1, 1, 1))).flows.to_pylist()
    assert (flow["count"], flow["bytes_out"], flow["bytes_in"], flow["largest"]) == (3, 23, 7, 9)
    assert (flow["first_place"], flow["largest_place"]) == (2, 2)
    assert flow["times"] == [START // SECOND + 10, START // SECOND + 50]
    assert (flow["first"], flow["last"]) == (START + 10 * SECOND, START + 50 * SECOND)


@pytest.mark.parametrize("other", [{"client": "10.1.9.2"}, {"destination": "else.example"}, {"ip": "203.0.113.10"}])
def test_flows_that_differ_stay_apart(other):
    parts = cut(PROXY, [proxy(1, 0), proxy(2, 60, **other)], (1, 1))
    assert Digest.merge(parts).flows.num_rows == 2


def test_the_same_flow_in_two_logs_stays_two():
    second = Source(Path("q"), "proxy2.log", "c" * 64, 1, kind="text")
    assert Digest.merge([part(PROXY, [proxy(1, 0)]), part(second, [proxy(1, 0)])]).flows.num_rows == 2


def test_firewall_flows_join_within_an_hour_only():
    near, far = (cut(FIREWALL, [firewall(1, 0), firewall(2, s)], (1, 1)) for s in (3599, 3600))
    assert Digest.merge(near).flows.num_rows == 1
    assert Digest.merge(far).flows.num_rows == 2


def test_a_proxys_upload_goes_to_the_client_that_was_there_also_when_another_came_hours_later(scene):
    scene.dump("PC1", "2026-06-08 00:50:00")
    asked = [proxy(1, 0, "10.1.9.1", got=0), proxy(2, 4 * 3600, "10.1.9.2", got=0)]
    seen = cut(FIREWALL, [firewall(1, 5, sent=900_000_000), firewall(2, 4 * 3600 + 5, sent=7)], (1, 1))
    story = answer([*scene.digests(), part(PROXY, asked), Digest.merge(seen)])
    told = [e for e in story["explained"] if "drop.example" in e["subject"]]
    assert told and "PC1" in told[0]["subject"]  # the other client uses the place, too: business


def test_gathered_batches_are_joined_on_the_way():
    gathered = Gathered(join_after=30)
    parts = cut(PROXY, log(), (64,) * 10)
    for one in parts:
        gathered.append(one)
    handed = list(gathered)
    assert len(handed) < len(parts)
    assert content(Digest.merge(handed).flows) == content(Digest.merge(parts).flows)
    assert list(gathered) == []


ADDRESSES = [
    "10.0.0.1", "8.8.8.8", "192.168.0.1", "192.169.0.1", "192.0.0.9", "192.0.0.8", "192.0.2.1", "192.0.3.1",
    "198.18.0.1", "198.20.0.1", "198.51.100.7", "203.0.113.5", "203.0.114.5", "255.255.255.255", "0.0.0.0",
    "100.64.0.1", "100.128.0.1", "169.254.1.1", "172.15.0.1", "172.16.0.1", "224.0.0.1", "240.0.0.1", "127.0.0.1",
    "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.5", "...", "", "::1", "2001:db8::1", "fe80::1%eth0", "::ffff:8.8.8.8",
    "a:b", "名前", "x.example", "１.２.３.４",
]  # fmt: skip


def test_a_column_of_addresses_is_judged_like_each_address_alone():
    chance = np.random.default_rng(5)
    made = [".".join(map(str, quad)) for quad in chance.integers(0, 256, (2000, 4)).tolist()]
    values = pa.array(ADDRESSES + made, pa.string())
    assert public_values(values).tolist() == [public(v) for v in values.to_pylist()]
    assert address_values(values).tolist() == [is_address(v) for v in values.to_pylist()]


@pytest.mark.parametrize(
    ("name", "outside"),
    [
        ("evil.example", True), ("pc1.corp.test", False), ("PC1.CORP.TEST", False), ("notcorp.test", True),
        ("printer", False), ("nas.local", False), ("nas.locale", True), ("10.0.0.1", False), ("8.8.8.8", True),
        ("サーバ.corp.test", False), ("サーバ.example", True), ("2001:4860:4860::8888", True), ("fe80::1", False),
    ],
)  # fmt: skip
def test_names_of_our_own_domains_are_inside(name, outside):
    domains = frozenset({"corp.test"})
    own = lambda n: n.lower().endswith(".corp.test")  # noqa: E731
    assert outside_names(pa.array([name]), own, domains).tolist() == [outside]

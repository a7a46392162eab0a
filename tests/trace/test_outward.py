"""What left, where to, and who called home."""

from __future__ import annotations

import pytest

from hikeshi.model.sighting import Sighting
from hikeshi.trace.c2 import regular


@pytest.fixture
def held(scene):
    """PC1 has been held since 8 June, 10:00."""
    for day in range(1, 8):
        for hour in range(9, 18):
            for client in ("PC1", "PC2", "PC3"):
                scene.proxy(f"2026-06-0{day} {hour:02d}:{hour}:00", client, "news.example")
    scene.program(
        "PC1",
        "2026-06-08 10:00:00",
        "y.mori",
        "C:\\Windows\\System32\\cmd.exe",
        "cmd /c x",
        "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE",
    )
    return scene


def beacon(scene, client, domain, *, start=1, day=8, minutes=range(5, 55, 5)):
    for minute in minutes:
        scene.proxy(f"2026-06-{day:02d} 1{start}:{minute:02d}:0{minute % 3}", client, domain)


def test_regular_calls_to_a_place_only_held_machines_know_are_c2(held):
    beacon(held, "PC1", "cdn-sync.example")
    (address,) = held.story().c2
    assert (address.value, address.known, address.clients) == ("cdn-sync.example", False, ("PC1",))
    assert address.records


def test_a_widget_on_a_machine_that_is_not_held_is_no_c2(held):
    beacon(held, "PC2", "weather.example")
    assert not held.story().c2


def test_regular_calls_from_before_the_attack_are_no_c2(held):
    beacon(held, "PC1", "time.example", day=5)
    beacon(held, "PC1", "time.example")
    assert not held.story().c2


def test_updates_that_others_fetch_too_are_no_c2(held):
    beacon(held, "PC1", "update.example")
    beacon(held, "PC3", "update.example")
    assert not held.story().c2


@pytest.mark.parametrize(
    ("times", "is_beacon"),
    [
        ([60 * n for n in range(20)], True),
        ([60 * n + n % 7 for n in range(20)], True),  # with jitter
        ([60 * n for n in range(6)], False),  # too few to tell
        ([0, 3, 50, 900, 905, 4000, 4003, 9000, 9001, 20000, 20500, 30000], False),  # a person browsing
        ([1] * 50, False),
        ([], False),
    ],
)
def test_regularity_needs_eight_calls_near_one_interval(times, is_beacon):
    assert regular(times) is is_beacon


def sighting(client, warning=()):
    return Sighting(
        "evil.example",
        "domain",
        "destination",
        client,
        None,
        "2026-06-08T10:05:00Z",
        "2026-06-08T11:00:00Z",
        9,
        None,
        "proxy.log",
        "0" * 64,
        (3, 4),
        warning,
    )


def test_a_listed_address_holds_its_client_and_is_marked_known(scene):
    story = scene.story(sightings=[sighting("10.1.9.2")])
    assert [(c.value, c.known, c.clients) for c in story.c2] == [("evil.example", True, ("PC2",))]
    (host,) = story.compromised_hosts
    assert host.name == "PC2" and [(r.path, r.line) for r in host.records] == [("proxy.log", 3), ("proxy.log", 4)]


def test_a_listed_address_on_a_warning_list_accuses_nobody(scene):
    story = scene.story(sightings=[sighting("10.1.9.2", ("Public DNS resolvers",))])
    assert not story.c2 and not story.compromised_hosts


def test_a_large_upload_to_a_new_place_is_exfiltration(held):
    held.proxy("2026-06-08 11:00:00", "PC1", "drop.example", sent=900_000_000, got=9_000)
    (gone,) = held.story().exfiltration
    assert (gone.source, gone.destination, gone.bytes, gone.kind) == (
        "PC1",
        "drop.example",
        900_000_000,
        "proxy_upload",
    )


def test_an_upload_to_the_business_service_is_explained(held):
    held.proxy("2026-06-03 11:00:00", "PC2", "filebox.example", sent=500_000_000, got=9_000)
    held.proxy("2026-06-08 11:00:00", "PC1", "filebox.example", sent=900_000_000, got=9_000)
    story = held.story()
    assert not story.exfiltration
    assert any("filebox.example" in r.subject for r in story.explained)


def test_a_large_download_is_no_upload(held):
    held.proxy("2026-06-08 11:00:00", "PC1", "mirror.example", sent=20_000_000, got=900_000_000)
    assert not held.story().exfiltration


def test_the_firewalls_bytes_of_the_proxy_go_to_the_client_that_asked(held):
    held.proxy("2026-06-08 11:00:00", "PC1", "drop.example", sent=0, got=9_000, ip="198.51.100.77")
    for time, ip, sent in (
        ("2026-06-08 11:00:00", "198.51.100.77", 700_000_000),
        ("2026-06-05 11:09:00", "203.0.113.200", 900),
    ):
        held.line(
            "firewall.log",
            time,
            **{
                "event.dataset": "fortinet.traffic",
                "source.ip": "10.1.0.250",
                "destination.ip": ip,
                "destination.port": 443,
                "source.bytes": sent,
                "destination.bytes": 9_000,
                "observer.name": "FW1",
                "event.action": "close",
            },
        )
    (gone,) = held.story().exfiltration
    assert (gone.source, gone.destination, gone.bytes) == ("PC1", "drop.example", 700_000_000)
    assert {r.path for r in gone.records} == {"proxy.log", "firewall.log"}


def test_an_archive_made_by_the_attacker_is_staging_and_a_users_own_is_not(held):
    held.program("PC1", "2026-06-08 10:30:00", "y.mori", "C:\\PerfLogs\\7z.exe", "7z.exe a C:\\PerfLogs\\d.7z D:\\data")
    held.program(
        "PC2", "2026-06-08 10:30:00", "k.abe", "C:\\Program Files\\7-Zip\\7z.exe", "7z.exe a D:\\own.7z D:\\data"
    )
    assert [(s.host, s.path) for s in held.story().staging] == [("PC1", "C:\\PerfLogs\\d.7z")]

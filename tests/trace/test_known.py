"""The company's own list and the list of places: read strictly, used narrowly."""

from __future__ import annotations

from pathlib import Path

import pytest

from hikeshi.errors import InputError
from hikeshi.trace import build_story, read_known, read_places
from hikeshi.trace.rows import HOUR, MINUTE


def written(folder: Path, text: str) -> Path:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_listed_penetration_test_is_explained_and_not_accused(scene, tmp_path):
    scene.dump("SRV1", "2026-06-08 10:00:00", "CORP\\pt-tester")
    assert [h.name for h in scene.story().compromised_hosts] == ["SRV1"]
    known = read_known(written(tmp_path, "kind,value,why\nhost,srv1.corp.example,ordered test\n"))
    story = build_story(scene.made, known=known)
    assert not story.compromised_hosts and not story.compromised_accounts
    assert any("ordered test" in r.reason.en for r in story.explained)


def test_what_happens_outside_the_listed_span_is_still_accused(scene, tmp_path):
    scene.dump("SRV1", "2026-06-08 10:00:00")
    line = "host,SRV1,ordered test,2026-06-01T00:00:00Z,2026-06-02T00:00:00Z\n"
    known = read_known(written(tmp_path, "kind,value,why,from,to\n" + line))
    assert [h.name for h in scene.story(known=known).compromised_hosts] == ["SRV1"]


@pytest.mark.parametrize(
    "line", ["machine,SRV1,x", "host,,x", "account,a,b,yesterday", "\udcff".encode("utf-8", "ignore").decode() + "x"]
)
def test_a_line_that_says_nothing_is_refused_with_its_number(tmp_path, line):
    with pytest.raises(InputError) as error:
        read_known(written(tmp_path, "kind,value,why\n" + line + "\n"))
    assert error.value.source is not None and error.value.source.line == 2


def test_the_longest_network_names_the_place(tmp_path):
    places = read_places(
        written(tmp_path, "network,place\n192.0.2.0/24,Tokyo\n192.0.2.128/25,Osaka\n2001:db8::/32,Nagoya\n")
    )
    assert [p.name for a in ("192.0.2.5", "192.0.2.200", "2001:db8::9") if (p := places.of(a))] == [
        "Tokyo", "Osaka", "Nagoya",
    ]  # fmt: skip
    assert places.of("198.51.100.1") is None and places.of("no address") is None


def test_two_places_too_far_apart_are_impossible_and_near_ones_are_not(tmp_path):
    places = read_places(
        written(tmp_path, "network,place,lat,lon\n192.0.2.0/24,Tokyo,35.7,139.7\n198.51.100.0/24,Berlin,52.5,13.4\n"
                          "203.0.113.0/24,Kawasaki,35.5,139.7\n")
    )  # fmt: skip
    tokyo, berlin, near = (places.of(a) for a in ("192.0.2.1", "198.51.100.1", "203.0.113.1"))
    assert tokyo.faster_than_a_plane(berlin, 2 * HOUR) and not tokyo.faster_than_a_plane(berlin, 14 * HOUR)
    assert not tokyo.faster_than_a_plane(near, MINUTE)


@pytest.mark.parametrize(
    "text", ["network,place\n300.0.2.0/24,x\n", "network,place\n192.0.2.0/24\n", "192.0.2.0/24,x,north,1\n"]
)
def test_a_network_that_is_none_is_refused(tmp_path, text):
    with pytest.raises(InputError, match="not a network and a place"):
        read_places(written(tmp_path, text))


def test_impossible_travel_makes_a_vpn_session_a_candidate(scene, tmp_path):
    places = read_places(
        written(tmp_path, "network,place,lat,lon\n192.0.2.0/24,Tokyo,35.7,139.7\n203.0.113.0/24,Berlin,52.5,13.4\n")
    )
    for day in range(1, 8):
        scene.vpn(f"2026-06-0{day} 09:10:00", "t.mori", "192.0.2.50", "10.212.134.9", f"2026-06-0{day} 11:00:00")
    scene.vpn("2026-06-07 10:30:00", "t.mori", "203.0.113.7", "10.212.134.20")
    assert not [c for c in scene.story().entry_candidates if c.source == "203.0.113.7"]
    best = build_story(scene.made, places=places).entry_candidates[0]
    assert best.source == "203.0.113.7" and any("too far to travel" in r.en for r in best.reasons)

"""Who uses a family and how they came in lately: dated, added up, and plainly nothing where there is nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from hikeshi.errors import KnowledgeError
from hikeshi.knowledge.attack import load_attack
from hikeshi.knowledge.dates import first_day, last_day
from hikeshi.knowledge.decryptors import decryptors_for, load_decryptors
from hikeshi.knowledge.families import load_families
from hikeshi.knowledge.sources import load_sources
from hikeshi.knowledge.vectors import actors_of, load_vectors, recent_vectors, vectors_from

ON = date(2026, 11, 22)
ROW = {"family": "akira", "cve": "CVE-2026-1000", "technique": "T1190", "first_seen": "2026-09-01", "last_seen": "2026-10-02",
       "count": 2, "source": "desk", "licence": "own", "written_on": "2026-10-03", "status": "2026-10-03"}


def records(*changes: dict[str, object]):
    return vectors_from([{**ROW, **change} for change in changes], Path("pack"))


def test_recent_records_are_added_up_with_first_and_last():
    found = recent_vectors("akira", ON, more=records({}, {"first_seen": "2026-10", "last_seen": "2026-11", "count": 3, "source": "pack"}))
    [seen] = found.recent
    assert (seen.cve, seen.count, seen.first_seen, seen.last_seen, seen.sources) == (
        "CVE-2026-1000", 5, "2026-09-01", "2026-11", ("desk", "pack"))
    assert found.says.en == "Ways in seen in the last 90 days."
    assert not seen.unverified


def test_the_edge_of_the_window():
    def count(last_seen: str, days: int = 90) -> int:
        return len(recent_vectors("akira", ON, days, more=records({"first_seen": "2026-01-01", "last_seen": last_seen})).recent)
    assert count("2026-08-24") == 1 and count("2026-08-23") == 0
    assert count("2026-08") == 1 and count("2026-07") == 0  # a month lasts to its end
    assert count("2026-08-23", 91) == 1


def test_no_recent_data_is_said_plainly_and_what_is_older_and_undated_stands_apart():
    found = recent_vectors("clop", ON)
    assert found.recent == ()
    assert found.says.en.startswith("No recent data") and found.says.ja.startswith("過去90日の新しいデータはありません")
    assert "CVE-2023-34362" in {one.cve for one in found.older} and all(one.unverified for one in found.older)
    assert {"T1486"} <= {t.id for t in found.undated}


@pytest.mark.parametrize("family", [None, "", "nobody-knows-it", "abysslocker"])
def test_a_family_without_records_gives_nothing_and_not_another_ones(family):
    found = recent_vectors(family, ON, more=records({}, {"family": "lockbit"}))
    assert found.recent == () and found.older == ()


def test_what_was_not_known_on_the_day_is_left_out():
    assert recent_vectors("clop", date(2023, 6, 30)).recent[0].cve == "CVE-2023-34362"
    assert "CVE-2024-50623" not in {one.cve for one in recent_vectors("clop", date(2023, 6, 30)).older}


def test_an_actors_records_count_for_the_families_it_is_reported_to_use():
    more = vectors_from(
        [{k: v for k, v in ROW.items() if k != "family"} | {"actor": "scattered spider"}], Path("pack"))
    assert recent_vectors("blackcat", ON, more=more).recent
    assert not recent_vectors("akira", ON, more=more).recent


@pytest.mark.parametrize("change", [
    {"count": 0}, {"count": 1.5}, {"count": 10**400}, {"count": float("inf")}, {"count": True}, {"first_seen": "soon"},
    {"first_seen": "2026-13"}, {"first_seen": "2026-10-31", "last_seen": "2026-10-01"}, {"status": "checked"},
    {"status": ""}, {"family": 3}, {"surprise": "x"}, {"last_seen": "２０２６-10"},
])
def test_a_wrong_record_is_refused_with_its_origin(change):
    with pytest.raises(KnowledgeError) as error:
        records(change)
    assert "pack" in str(error.value.source)


@pytest.mark.parametrize("missing", ["family", "source", "licence", "status", "written_on", "count"])
def test_a_record_without_what_it_needs_is_refused(missing):
    with pytest.raises(KnowledgeError):
        vectors_from([{k: v for k, v in ROW.items() if k != missing}], Path("pack"))


def test_days_must_be_a_span():
    with pytest.raises(ValueError, match="at least 1"):
        recent_vectors("akira", ON, 0)


def test_actors_come_with_relation_confidence_and_source_and_never_high():
    blackcat = {one.name: one for one in actors_of("blackcat")}
    spider = blackcat["Scattered Spider"]
    assert (spider.relation.en, spider.confidence, spider.sources) == ("reported to use it", "medium", ("attack",))
    assert actors_of("lockbit")[0].confidence == "low"
    assert actors_of("nobody-knows-it") == actors_of(None) == ()
    names = [one.name for one in actors_of("wadhrama")]
    assert names == ["PARINACOTA"]  # "uses" and "used-by" are one statement


def test_our_records_are_of_known_families_techniques_and_sources_and_say_that_nobody_checked():
    families, sources, techniques = load_families().by_id, load_sources(), load_attack().techniques
    assert len(load_vectors()) >= 10 and len(load_decryptors()) >= 15
    for vector in load_vectors():
        assert vector.family in families and vector.source in sources and vector.status == "unverified"
        assert not vector.technique or vector.technique in techniques
        assert int(vector.first_seen[:4]) >= int(vector.cve.split("-")[1]) - 1  # some were used before their number
    for one in load_decryptors():
        assert one.family in families and one.source in sources and one.status == "unverified"
        assert one.announced < one.written_on


def test_decryptors_are_of_the_family_asked_for():
    assert [one.announced for one in decryptors_for("phobos")] == ["2025-07"]
    assert decryptors_for("qilin") == decryptors_for(None) == ()


def test_days_and_months():
    assert (first_day("2024-02"), last_day("2024-02")) == (date(2024, 2, 1), date(2024, 2, 29))
    assert first_day("2024-02-11") == last_day("2024-02-11") == date(2024, 2, 11)
    for wrong in ("2024", "2024-2", "2024-02-30", "2024-00", "", "2024-02-11T00:00"):
        with pytest.raises(ValueError):
            last_day(wrong)

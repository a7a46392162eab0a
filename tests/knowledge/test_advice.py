"""Advice is there for every kind of incident, in both languages, and promises nothing."""

from __future__ import annotations

import re

import pytest

from hikeshi.knowledge.advice import KINDS, advice_by_id, advice_for, load_advice
from hikeshi.knowledge.families import load_families


@pytest.mark.parametrize("kind", [*KINDS, "something else", ""])
@pytest.mark.parametrize("family", [None, "akira", "nobody-knows-it"])
def test_there_is_always_something_to_do_and_not_to_do(kind, family):
    advice = advice_for(family, kind)
    assert advice and advice[0].steps and advice[0].not_to_do


def test_the_family_comes_after_what_is_urgent_for_all():
    assert [a.id for a in advice_for("akira", "ransomware")] == ["ransomware-first-hour", "ransomware-akira"]
    assert [a.id for a in advice_for("akira", "web_shell")] == ["web-shell-first"]


def test_every_family_record_belongs_to_a_known_family_and_is_dated():
    families = load_families()
    records = [a for a in load_advice() if a.family is not None]
    assert len(records) >= 12
    for advice in records:
        assert advice.family in families.by_id
        assert advice.facts and advice.confidence == "low" and advice.verified_on == "unverified"
        assert re.search(r"\d{4}-\d{2}", advice.summary.en)


def test_records_are_found_by_id():
    assert all(advice_by_id(a.id) == a for a in load_advice())
    assert advice_by_id("none") is None


def test_machines_stay_on_and_nobody_is_told_to_pay():
    first = advice_for(None, "ransomware")[0]
    assert any("電源は切らないで" in step.ja and "Do not switch" in step.en for step in first.steps)
    for advice in load_advice():
        for text in (*advice.steps, *advice.facts):
            assert not re.search(r"\b(you should pay|pay the ransom|run this decryptor|can be decrypted)\b", text.en, re.I)


def test_both_languages_say_the_same_number_of_things():
    for advice in load_advice():
        for text in (advice.title, advice.summary, *advice.steps, *advice.not_to_do, *advice.facts):
            assert re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", text.ja), text
            assert text.en.isascii() or "’" in text.en or "“" in text.en, text

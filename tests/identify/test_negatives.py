"""Texts that only talk about ransomware must not be named after one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hikeshi.identify import Input, identify
from hikeshi.knowledge.families import load_families

TEXTS = tomllib.loads((Path(__file__).parent / "negatives.toml").read_text("utf-8"))["text"]


def filled(body: str) -> str:
    families = load_families()
    onion = next(v for v in families.values("onion") if families.facts("onion", v)[0].family == "akira")
    return body.replace("{onion}", onion).replace("{email}", next(iter(families.values("email"))))


@pytest.mark.parametrize("text", TEXTS, ids=[text["name"] for text in TEXTS])
@pytest.mark.parametrize("name", ["document.txt", "readme.txt"])
def test_a_text_about_ransomware_is_never_named(text, name):
    answer = identify([Input(name, text=filled(text["body"]))])
    assert answer.verdict != "identified", (answer.family, [c.reasons for c in answer.candidates])
    assert answer.family is None


def test_nearly_all_of_them_are_told_apart_from_notes():
    verdicts = [identify([Input("document.txt", text=filled(text["body"]))]).verdict for text in TEXTS]
    assert len(TEXTS) >= 30
    assert verdicts.count("not_ransomware") >= len(TEXTS) * 0.9


@pytest.mark.parametrize("text", TEXTS, ids=[text["name"] for text in TEXTS])
def test_the_same_text_as_utf16_without_a_mark_is_judged_the_same(text):
    body = filled(text["body"])
    plain = identify([Input("document.txt", data=body.encode("utf-8"))])
    wide = identify([Input("document.txt", data=body.encode("utf-16-le"))])
    assert plain.verdict == wide.verdict

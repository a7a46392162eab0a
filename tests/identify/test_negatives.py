"""Texts that only talk about ransomware must not be named after one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hikeshi.identify import Input, identify
from hikeshi.knowledge.families import load_families

HERE = Path(__file__).parent
TEXTS = tomllib.loads((HERE / "negatives.toml").read_text("utf-8"))["text"]
NEAR = tomllib.loads((HERE / "near_misses.toml").read_text("utf-8"))["text"]
COIN = "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"  # well formed; stands in documentation


def filled(body: str) -> str:
    families = load_families()
    onion = next(v for v in families.values("onion") if families.facts("onion", v)[0].family == "akira")
    return body.replace("{onion}", onion).replace("{email}", next(iter(families.values("email")))).replace("{coin}", COIN)


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


@pytest.mark.parametrize("text", NEAR, ids=[text["name"] for text in NEAR])
@pytest.mark.parametrize("name", ["document.txt", "akira_readme.txt"])
def test_a_text_close_to_a_note_is_never_named(text, name):
    answer = identify([Input(name, text=filled(text["body"]))])
    assert answer.verdict != "identified" and answer.family is None, [c.reasons for c in answer.candidates]


def test_most_near_misses_are_told_apart_from_notes():
    verdicts = [identify([Input("document.txt", text=filled(text["body"]))]).verdict for text in NEAR]
    assert len(NEAR) >= 90
    assert verdicts.count("not_ransomware") >= len(NEAR) * 0.75


SPEAKS = ("Your files were encrypted on the server and on all the disks of the network. To get the decryptor write to us and pay in bitcoin. "
          "If you do not answer, the data will be published for everybody to see.\n{onion}\n")


def test_the_same_matter_told_to_the_victim_is_named_and_told_of_others_is_not():
    note = identify([Input("document.txt", text=filled(SPEAKS))])
    assert note.family == "Akira"
    told = (SPEAKS.replace("Your files", "The files").replace("If you do not answer, the", "Else the").replace("write to us", "write to them"))
    assert identify([Input("document.txt", text=filled(told))]).family is None


OWN = ("It came up on the screen in the library while nobody was there, and the printer had just been moved. The machine works as before "
       "and the folders look the same to me as yesterday, so perhaps it is only a joke of the pupils. ")


def test_what_is_quoted_is_not_what_is_said():
    quoted = "\n".join(f'print("{line}")' for line in SPEAKS.split(". "))
    assert identify([Input("document.txt", text=filled("A colleague sent this. “" + SPEAKS.replace("\n{onion}\n", "") + "” What is it, and who could look at it today? " + OWN))]).verdict == "not_ransomware"
    assert identify([Input("a.py", text=filled("import sys\ndef main():\n" + quoted + "\n    return 0\n"))]).family is None
    # A note that is one long quotation is still a note.
    assert identify([Input("document.txt", text=filled(f'"{SPEAKS}"'))]).family == "Akira"

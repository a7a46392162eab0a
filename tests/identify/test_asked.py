"""Names, addresses, tools and pasted text, in any mix: one answer, and weak things never name a family."""

from __future__ import annotations

import hashlib
import json
import random

import pytest

from hikeshi.cli.main import main
from hikeshi.identify import Input as Given
from hikeshi.identify import Question, ask, examine_input, merge
from hikeshi.identify.clues import find_coins
from hikeshi.identify.traces import MOST, load_traces
from hikeshi.knowledge.families import load_families

FAMILIES = load_families()
ONION = next(v for v in FAMILIES.values("onion")
             if len(v) == 62 and {f.family for f in FAMILIES.facts("onion", v)} == {"lockbit"})
B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def bitcoin(seed: int) -> str:
    """A made-up address with a right checksum (BIP-13)."""
    raw = b"\0" + random.Random(seed).randbytes(20)
    raw += hashlib.sha256(hashlib.sha256(raw).digest()).digest()[:4]
    number, out = int.from_bytes(raw, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        out = B58[rest] + out
    return "1" + out


def told(capsysbinary) -> dict:
    lines = capsysbinary.readouterr().out.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def test_a_mix_gives_one_merged_answer(capsysbinary):
    note = f"Your files are encrypted. Contact us: http://{ONION} and pay in bitcoin for the decryptor."
    assert main(["identify", "--text", note, "--tool", r"C:\x\StealBit.exe", "--extension", "lockbit", "--json"]) == 1
    answer = told(capsysbinary)
    assert (answer["verdict"], answer["family"]) == ("identified", "LockBit")
    reasons = " ".join(r["en"] for c in answer["candidates"] for r in c["reasons"])
    assert "StealBit" in reasons and "onion" in reasons and "“.lockbit”" in reasons


def test_a_known_contact_alone_names_the_family_also_defanged(capsysbinary):
    assert main(["identify", "--contact", "hxxp://" + ONION.replace(".onion", "[.]onion"), "--json"]) == 1
    assert told(capsysbinary)["family"] == "LockBit"


@pytest.mark.parametrize("question", [
    Question(tools=["stealbit.exe"]), Question(leak_sites=["LockBit Blog"]), Question(tools=["tasksche.exe"]),
    Question(tools=["Grixba"], leak_sites=["Play news"]), Question(names=["a.docx.id[1A2B3C4D-2803].[x@example.com].qqq"]),
])
def test_weak_clues_are_candidates_and_never_a_name(question):
    answer = ask(question, FAMILIES).answer
    assert answer.verdict == "candidates" and answer.family is None and answer.candidates[0].score < 0.88


@pytest.mark.parametrize("question", [
    Question(tools=["powershell.exe", "play", "royal", "rclone"]), Question(contacts=["info@example.com"]), Question(leak_sites=["News"]),
    Question(names=["report.docx"]), Question(extensions=[".docx", ""]),
])
def test_plain_words_and_everyday_things_say_nothing(question):
    answer = ask(question, FAMILIES).answer
    assert answer.verdict == "unknown" and answer.notes and "nothing is known" in answer.notes[0].en


def test_nothing_given_is_a_usage_error(capsysbinary):
    assert main(["identify"]) == 2
    assert b"--contact" in capsysbinary.readouterr().err


def test_coins_need_a_right_checksum():
    good = bitcoin(1)
    monero = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A"
    wrong = good[:-1] + ("2" if good[-1] != "2" else "3")
    assert [a.value for a in find_coins(f"pay to {good} or {monero}.")] == [good.lower(), monero.lower()]
    assert list(find_coins(f"pay to {wrong} or {monero}x or 4Z{'b' * 93} or {'1' * 40_000}")) == []


def test_a_known_coin_is_a_clue(tmp_path):
    coin = bitcoin(2)
    pack = tmp_path / "pack.toml"
    pack.write_text(f'[[facts]]\nfamily = "Akira"\nsource = "hikeshi"\ncoin = ["{coin.lower()}"]\n', encoding="utf-8")
    known = load_families(pack)
    assert ask(Question(contacts=[coin]), known).answer.family == "Akira"
    note = f"All your files are encrypted. Contact us and pay to {coin} to get the decryptor or we publish everything."
    assert examine_input(Given("x.txt", text=note), known).answer.family == "Akira"
    assert examine_input(Given("x.txt", text=note.replace(coin, bitcoin(3))), known).answer.family is None


def test_traces_are_weak_and_of_known_families():
    for trace in load_traces():
        assert trace.weight <= MOST and trace.families and all(one in FAMILIES.by_id for one in trace.families)


def test_hostile_questions_are_shown_safely():
    answer = ask(Question(tools=["\x1b[2J<b>" + "a" * 10_000], contacts=["\0"]), FAMILIES).answer
    assert answer.verdict == "unknown" and "\x1b" not in answer.notes[0].en and len(answer.notes[0].en) < 120
    assert merge([ask(Question(tools=["x"]), FAMILIES), ask(Question(), FAMILIES)]).verdict == "unknown"

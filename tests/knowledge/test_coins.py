"""Addresses of coins are taken only with the right checksum, and name the family they are known of."""

from __future__ import annotations

import pytest

from hikeshi.identify import Input, Question, ask, identify
from hikeshi.identify.learn import LabelledNote, observed
from hikeshi.knowledge.coins import find_coins, is_coin, keccak256
from hikeshi.knowledge.families import load_families

# From the formats' own documents.
RIGHT = [
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED",
    "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A",
]
WRONG = [
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed",
    "0x" + "0" * 40, "0x" + "ab" * 20, "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3B",
    "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaedff", "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
]
NOTE = "Your files are encrypted. To get the decryptor send 0.5 bitcoin to {coin} and write to us.\n"


@pytest.mark.parametrize("address", RIGHT)
def test_an_address_is_found_in_a_sentence(address):
    assert is_coin(address)
    text = f"send it to {address}, today"
    assert [(a.kind, a.value, text[a.start:a.end]) for a in find_coins(text)] == [("coin", address.lower(), address)]


@pytest.mark.parametrize("address", WRONG)
def test_one_wrong_sign_makes_it_none(address):
    assert not list(find_coins(f"send it to {address}, today"))


@pytest.mark.parametrize("address", ["1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"])
def test_addresses_that_every_document_shows_are_nobodys(address):
    assert is_coin(address) and not list(find_coins(f"an address looks like {address}"))
    assert not load_families().facts("coin", address.lower())


def test_keccak_is_the_one_before_sha3():
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert len({keccak256(b"x" * n) for n in range(130, 280)}) == 150  # around the ends of blocks


def test_a_text_of_nothing_but_addresses_ends():
    assert len(list(find_coins(" ".join(RIGHT[:1] * 5000)))) == 50
    assert not list(find_coins("0x" + "a1" * 200_000)) and not list(find_coins("1" * 400_000))


def test_a_known_coin_address_names_the_family_and_another_nobody():
    families = load_families()
    known = next(v for v in families.values("coin") if v.startswith("bc1") and len({f.family for f in families.facts("coin", v)}) == 1)
    family = families.by_id[families.facts("coin", known)[0].family].name
    answer = identify([Input("note.txt", text=NOTE.format(coin=known))])
    assert answer.family == family and "coin address" in answer.candidates[0].reasons[0].en
    assert ask(Question(contacts=(known,)), families).answer.candidates[0].family == family
    for other in (RIGHT[0], known[:-1] + ("q" if known[-1] != "q" else "p"), RIGHT[5]):
        answer = identify([Input("note.txt", text=NOTE.format(coin=other))])
        assert answer.family is None and not any("coin" in r.en for c in answer.candidates for r in c.reasons)


def test_coins_of_notes_are_learnt_with_the_other_addresses():
    notes = [LabelledNote("Akira", "threatlabz-notes", "", NOTE.format(coin=RIGHT[0]) + RIGHT[4] + " " + WRONG[0])]
    told = observed(notes, load_families())
    assert f'coin = ["{RIGHT[4].lower()}", "{RIGHT[0].lower()}"]' in told or f'coin = ["{RIGHT[0].lower()}", "{RIGHT[4].lower()}"]' in told
    assert WRONG[0].lower() not in told

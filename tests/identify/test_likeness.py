"""Notes that reach us damaged or cut off: what still leads to a family, and what must not."""

from __future__ import annotations

import random

import pytest

from hikeshi.identify import Input, examine_input
from hikeshi.identify.learn import learn
from hikeshi.knowledge import galaxy
from hikeshi.knowledge.families import Families, compact
from hikeshi.knowledge.wording import load

OLD_HOST = "zzgangabcdefghij"
HOSTS = {"zzgang": "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz234567", k=56)),
         "both": "".join(random.Random(2).choices("abcdefghijklmnopqrstuvwxyz234567", k=56))}
KNOWN = ("Good evening. While you slept we walked through every server of this house and closed it behind us. We carried out "
         "the ledgers, the wages and the drawings of your new engine. One key opens all of it again and it lies in our "
         "drawer. Come to our counter and we open two small files to show it. Should the tenth day pass in silence, the "
         "ledgers go to whoever pays for them. Leave the closed files as they are: a stranger's tool spoils them.\n")
OTHER_HAND = ("Attention! The machines were sealed by an automatic service. Buy the opening program. Costs rise after three "
              "days. Proof: attach one picture. Restoring copies is useless because the copies were erased as well.\n")


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    (folder / "a.txt").write_text(KNOWN + f"http://{HOSTS['zzgang']}.onion http://{HOSTS['both']}.onion/ http://{OLD_HOST}.onion "
                                  "or opening-desk@zzletters.example\n")
    (folder / "b.txt").write_text(OTHER_HAND + f"http://{HOSTS['both']}.onion\n")
    (folder / "labels.tsv").write_text("path\tfamily\tsource\tnote_filename\na.txt\tzzgang\ttl\t\nb.txt\tqqlock\tf6\t\n")
    learn(folder, folder / "out")
    return Families(compact(galaxy.families(), [folder / "out" / "observed.toml"]), load(folder / "out" / "wordings.npz"))


BODY = ("Your files are encrypted and your documents were downloaded. To get a decryptor you have to pay in bitcoin. "
        "Contact us, do not rename files. ")


def _answer(families, text):
    return examine_input(Input("x.txt", text=text), families).answer


def _clues(families, text):
    return {(c.family, c.kind): c.weight for c in examine_input(Input("x.txt", text=text), families).clues}


def _misread(text: str, share: float, seed: int = 5) -> str:
    chance = random.Random(seed)
    return "".join(chance.choice("aeiou") if sign.isalpha() and chance.random() < share else sign for sign in text)


def test_a_scanned_note_fits_its_own_and_no_other(families):
    answer = _answer(families, _misread(KNOWN, 0.04) + "mail: new@address.example")
    assert answer.candidates[0].id == "zzgang" and answer.candidates[0].score >= 0.88
    assert all(one.id != "qqlock" for one in answer.candidates)


def test_other_sentences_between_are_not_taken_for_misreadings(families):
    sentences = KNOWN.split(". ")
    mixed = ". ".join(one if number % 2 else "We wish to say that your accountant is a careless man with passwords"
                      for number, one in enumerate(sentences))
    assert _answer(families, mixed + "mail: new@address.example").verdict != "identified"


@pytest.mark.parametrize("written", ["zzgangabcdefghxj.onion", "zzgangabcdefghi.onion", "zzgangabcdef9hij . on ion"])
def test_an_old_address_with_an_error_is_the_known_one(families, written):
    assert _clues(families, BODY + written)["zzgang", "onion"] > 0.9


@pytest.mark.parametrize("written", ["zzgangabcxxxghij.onion", "qqgangqbcdefqhij.onion", "zzgangabcdefghxj.example",
                                     "www.zzgangabcdefghxj"])
def test_an_old_address_with_three_errors_or_no_suffix_is_another(families, written):
    assert ("zzgang", "onion") not in _clues(families, BODY + written)


@pytest.mark.parametrize("written", ["opening-desk@zzlet ters.example", "open ing-desk@zzletters.example",
                                     "opening-desk @zzletters.example", "0pening-desk@zzletters.exarnple"])
def test_a_torn_mail_address_is_the_known_one(families, written):
    assert _clues(families, f"{BODY} write to {written} soon")["zzgang", "email"] > 0.65


@pytest.mark.parametrize("written", ["closing-desk@zzletters.example", "opening-desk@other.example", "opening desk at zzletters"])
def test_another_mail_address_is_not(families, written):
    assert ("zzgang", "email") not in _clues(families, f"{BODY} write to {written} soon")


def test_a_damaged_address_that_two_families_share_names_neither(families):
    host = HOSTS["both"]
    answer = _answer(families, BODY + f"http://{host[:20]}0{host[21:40]}{host[41:]}.onion")
    assert {one.id for one in answer.candidates} >= {"zzgang", "qqlock"} and answer.family is None


def test_a_note_in_other_sentences_but_the_same_words_is_a_hint_at_most(families):
    told = ("Good evening. The ledgers, the wages and the drawings lie in our drawer; every server of this house is closed "
            "behind us. Come to our counter. One key opens it. Leave files as they are. Pay for the ledgers. The tenth day.\n")
    answer = _answer(families, told + "mail: new@address.example")
    assert answer.candidates[0].id == "zzgang" and answer.verdict != "identified"


def test_the_first_part_of_a_note_may_be_one_and_advice_in_such_words_is_not(families):
    cut = ("All your files have been encrypted by us. You must pay in bitcoin to get the decryption key. "
           "Do not try to recover the files yourself, ")
    assert _answer(families, cut).verdict != "not_ransomware"
    advice = ("Experts explain what to do once files have been encrypted: report to the police, do not pay the ransom in "
              "bitcoin, do not try to recover the files with unknown tools, and ask for the decryption key lists.")
    assert _answer(families, advice).verdict == "not_ransomware"

"""The wording of notes as hashes: what survives, what does not, and files that can't be trusted."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hikeshi.errors import KnowledgeError
from hikeshi.knowledge.wording import Note, hashes, holds_name, joined, learn, load, save

ONE = ("Hello. Your whole network was visited by us and every file on it is locked now. We also took contracts, "
       "wages and letters. Write to us within four days, else the buyers get them. Do not rename anything.")
OTHER = ("Dear director, this is a message about the state of your servers: nothing on them can be opened any more. "
         "A single key opens everything and only we hold it. Prove your good will and you get two files back free.")


@pytest.fixture
def index():
    return learn([Note("alpha", "s", ONE), Note("beta", "s", OTHER)])


def _best(index, text):
    rows = index.compare(hashes(text)[0])
    return (index.family[rows[0].note], rows[0]) if rows else ("", None)


def test_a_known_note_is_found_and_another_text_is_not(index):
    assert _best(index, ONE)[0] == "alpha"
    assert _best(index, ONE)[1].fit == pytest.approx(1)
    _, row = _best(index, "The library opens at nine and closes at six, on Mondays it stays closed all day long.")
    assert row is None or row.fit < 0.1


@pytest.mark.parametrize("change", [
    lambda text: text.upper(),
    lambda text: text.replace(" ", "\n\t "),
    lambda text: text.replace(". ", " !!! "),
    lambda text: text.replace("four days", "http://abcdefghijklmnop.onion/x four days 2026-01-31"),
])
def test_form_addresses_and_dates_do_not_matter(index, change):
    assert _best(index, change(ONE))[1].fit > 0.97


def test_misread_letters_cost_a_little(index):
    chance = random.Random(4)
    noisy = "".join(chance.choice("abcdefgh") if sign.isalpha() and chance.random() < 0.03 else sign for sign in ONE)
    name, row = _best(index, noisy)
    assert name == "alpha"
    assert 0.6 < row.fit < 0.97


def test_the_first_half_of_a_note_still_fits_but_a_sentence_of_it_in_another_text_does_not(index):
    assert _best(index, ONE[: len(ONE) // 2])[1].fit > 0.7
    article = ONE[:60] + " wrote the criminals, says the paper. " + "Experts advise to keep copies elsewhere. " * 20
    assert _best(index, article)[1].fit < 0.45


def test_nothing_to_hash():
    for text in ("", " \n", "12345", "abcde", "." * 1000):
        assert len(hashes(text)[0]) == 0
    assert learn([]).compare(hashes(ONE)[0]) == []
    assert learn([Note("a", "s", "")]).family == ()


def test_places_point_into_the_text():
    found, places = hashes("x 1234 Wörter ÄÖÜ İstanbul 日本語の文章です")
    assert len(found) == len(places)
    assert list(places) == sorted(places)


def test_names_are_words_not_parts_of_words():
    assert holds_name("We are HIVE.", {"hive"})
    assert holds_name("Black Basta wishes you a good day", {"blackbasta"})
    assert not holds_name("the archive is lost", {"hive"})
    assert not holds_name("write to hive@example.org", {"hive"})


def test_saved_and_loaded_is_the_same_and_byte_equal(index, tmp_path):
    save(tmp_path / "a.npz", index)
    save(tmp_path / "b.npz", learn([Note("alpha", "s", ONE), Note("beta", "s", OTHER)]))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = load(tmp_path / "a.npz")
    assert again.family == ("alpha", "beta")
    assert again.compare(hashes(ONE)[0]) == index.compare(hashes(ONE)[0])


def test_joined_is_as_learnt_at_once(index):
    parts = joined([learn([Note("alpha", "s", ONE)]), learn([Note("beta", "s", OTHER)])])
    assert parts.compare(hashes(OTHER)[0]) == index.compare(hashes(OTHER)[0])


@pytest.mark.parametrize("break_it", [
    lambda held: held.update(start=held["start"][::-1]),
    lambda held: held.update(note=held["note"] + 9),
    lambda held: held.update(gram=held["gram"][::-1]),
    lambda held: held.update(gram=held["gram"].astype(np.int64)),
    lambda held: held.update(named=held["named"][:1]),
    lambda held: held.pop("family"),
    lambda held: held.update(family=np.array([{"a": 1}, None], dtype=object)),
])
def test_a_damaged_file_is_refused(index, tmp_path, break_it):
    save(tmp_path / "a.npz", index)
    with np.load(tmp_path / "a.npz") as file:
        held = {name: file[name] for name in file.files}
    break_it(held)
    np.savez(tmp_path / "b.npz", **held, allow_pickle=True)
    with pytest.raises(KnowledgeError):
        load(tmp_path / "b.npz")


def test_what_is_no_such_file_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 not really")
    for name in ("a.npz", "missing.npz"):
        with pytest.raises(KnowledgeError):
            load(tmp_path / name)

"""What is learnt from a folder of notes, and what is not."""

from __future__ import annotations

import pytest

from hikeshi.errors import InputError
from hikeshi.identify import Input, examine_input
from hikeshi.identify.learn import learn, note_name
from hikeshi.knowledge import galaxy
from hikeshi.knowledge.families import Families, compact
from hikeshi.knowledge.wording import load

BODY = ("Good morning. All documents of your company are locked, and a copy of them lies with us. To open them again you "
        "need our program; nobody else has it. Contact us and name the number below. We prove it on one small file for "
        "free. If you stay silent, the documents will be published on the tenth day, starting with the wages. Do not "
        "rename the locked files and let no helper touch them, or they are lost for ever. Number: {number}\n{address}\n")


@pytest.fixture
def pack(tmp_path):
    def make(rows: str = "a.txt\tzzgang\ttl\tZZ-README.txt\nb.txt\tqqlock\tf6\t\n", columns: str = "path\tfamily\tsource\tnote_filename\n"):
        folder = tmp_path / "pack"
        folder.mkdir(exist_ok=True)
        (folder / "a.txt").write_text(BODY.format(number=1, address="Mail: helper@zz-gang.example"))
        (folder / "b.txt").write_text("Your machine was visited by night. " * 3 + "Pay one coin into the fountain, stranger, or the moon keeps every picture that you ever took of your garden and cat. Write to moon@fountain.example for the way back.")
        (folder / "labels.tsv").write_text(columns + rows)
        return folder
    return make


@pytest.fixture
def families(pack, tmp_path):
    learn(pack(), tmp_path / "out")
    return Families(compact(galaxy.families(), [tmp_path / "out" / "observed.toml"]), load(tmp_path / "out" / "wordings.npz"))


def _answer(families, text, name="note.txt"):
    return examine_input(Input(name, text=text), families).answer


def test_a_note_in_known_words_but_with_other_addresses_is_recognised(families):
    answer = _answer(families, BODY.format(number=77, address="Mail: other@address.example"))
    assert (answer.verdict, answer.family) == ("identified", "zzgang")
    reason = answer.candidates[0].clues[0]
    assert reason.kind == "wording" and reason.record.line == 1
    assert "%" in reason.reason.ja and "zzgang" in reason.reason.en


def test_half_the_words_are_a_candidate_not_a_name(families):
    text = BODY.format(number=1, address="x@y.example")
    other = ("Your files are encrypted. Write an e-mail to the address, pay in coins and we send the decryptor. We are quiet "
             "people who like clear words and fair prices, and every hour that you let pass makes it dearer for you. ")
    answer = _answer(families, text[:240] + other + "Mail: x@y.example")
    assert answer.verdict != "identified"
    assert [c.family for c in answer.candidates] == ["zzgang"]


def test_known_words_with_the_contact_of_another_gang_are_that_gang(families):
    answer = _answer(families, BODY.format(number=2, address="Mail: moon@fountain.example"))
    assert answer.family == "qqlock"


def test_words_shared_by_two_gangs_name_neither(pack, tmp_path):
    folder = pack("a.txt\tzzgang\ttl\t\nc.txt\tyyteam\ttl\t\n")
    (folder / "c.txt").write_text(BODY.format(number=9, address="Mail: crew@yy-team.example"))
    learn(folder, tmp_path / "out")
    both = Families(compact(galaxy.families(), [tmp_path / "out" / "observed.toml"]), load(tmp_path / "out" / "wordings.npz"))
    answer = _answer(both, BODY.format(number=5, address="Mail: third@party.example"))
    assert answer.verdict == "candidates"
    assert {c.family for c in answer.candidates} >= {"zzgang", "yyteam"}


def test_a_note_that_should_name_itself_but_does_not_is_no_proof(pack, tmp_path):
    folder = pack()
    (folder / "a.txt").write_text("We are zzgang. " + BODY.format(number=1, address=""))
    learn(folder, tmp_path / "out")
    known = Families(compact(galaxy.families(), [tmp_path / "out" / "observed.toml"]), load(tmp_path / "out" / "wordings.npz"))
    assert _answer(known, "We are kkcrew. " + BODY.format(number=1, address="")).verdict == "candidates"
    assert _answer(known, "We are zzgang. " + BODY.format(number=1, address="")).family == "zzgang"


def test_twice_learnt_is_byte_equal(pack, tmp_path):
    for name in ("one", "two"):
        learn(pack(), tmp_path / name)
    for name in ("observed.toml", "wordings.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_no_words_of_a_note_are_in_what_is_shipped(pack, tmp_path):
    learn(pack(), tmp_path / "out")
    told = (tmp_path / "out" / "observed.toml").read_text()
    assert "helper@zz-gang.example" in told and "zz-readme.txt" in told
    assert "documents" not in told


@pytest.mark.parametrize(("given", "learnt"), [
    ("akira_readme.txt", "akira_readme.txt"), ("[rand].readme.txt", "*.readme.txt"), ("readme_for_unlock2.txt", "readme_for_unlock.txt"),
    ("0000000007-readme.txt", "*-readme.txt"), ("xxxxxxxx1.readme.txt", "*.readme.txt"), ("jx34qqm7.txt", ""), ("", ""),
])
def test_names_of_notes_as_other_victims_have_them(given, learnt):
    assert note_name(given) == learnt


@pytest.mark.parametrize(("rows", "columns"), [
    ("../outside.txt\tx\ttl\t\n", "path\tfamily\tsource\tnote_filename\n"), ("a.txt\t\ttl\t\n", "path\tfamily\tsource\tnote_filename\n"),
    ("missing.txt\tx\ttl\t\n", "path\tfamily\tsource\tnote_filename\n"), ("a.txt\tx\n", "path\tname\n"), ("", "path\tfamily\tsource\n"),
])
def test_a_wrong_pack_is_refused(pack, tmp_path, rows, columns):
    (tmp_path / "outside.txt").write_text("secret")
    with pytest.raises(InputError):
        learn(pack(rows, columns), tmp_path / "out")

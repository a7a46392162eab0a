"""Notes, names and files lead to a family, or to none; every reason names what it rests on."""

from __future__ import annotations

import random

import pytest

from hikeshi.evidence.sandbox import wire
from hikeshi.evidence.source import Source
from hikeshi.identify import Input, examine, examine_input, identify, merge
from hikeshi.knowledge.families import load_families
from hikeshi.model.text import Text

random.seed(11)
FAMILIES = load_families()

BODY = ("Good day.\n\nYour files are encrypted and your documents were downloaded. To get a decryptor you have to pay in bitcoin.\n"
        "Do not rename anything. If you refuse, everything will be published.\n{middle}\n")


def onion_of(family: str, *, fresh: str = "") -> str:
    return next(v for v in FAMILIES.values("onion")
                if len(v) == 62 and v != fresh and {f.family for f in FAMILIES.facts("onion", v)} == {family})


def unknown_onion(start: str = "") -> str:
    return start + "".join(random.choices("abcdefghjkmnpqrstuvwxyz234567", k=56 - len(start))) + ".onion"


def note(middle: str) -> str:
    return BODY.format(middle=middle)


def answer_to(middle: str, name: str = "file.txt"):
    return identify([Input(name, text=note(middle))])


@pytest.mark.parametrize("family", ["akira", "lockbit", "blackcat", "play", "clop", "ransomhub"])
def test_a_known_address_names_the_family_and_says_where_it_stands(family):
    answer = answer_to(f"Contact us: http://{onion_of(family)}/x")
    assert (answer.verdict, answer.family_id) == ("identified", family)
    reason = answer.candidates[0].clues[0]
    assert reason.record is not None and reason.record.line == 5
    assert "MISP galaxy" in reason.reason.en and "5行目" in reason.reason.ja


def test_reasons_show_addresses_so_that_nobody_opens_them():
    host = onion_of("akira")
    clue = answer_to(f"Contact us: http://{host}/x").candidates[0].clues[0]
    assert clue.value == host
    assert host.replace(".", "[.]") in clue.reason.en and host not in clue.reason.en + clue.reason.ja


def test_an_unknown_address_names_nobody():
    answer = answer_to(f"Contact us: http://{unknown_onion()}/x")
    assert (answer.verdict, answer.family, answer.candidates) == ("unknown", None, ())
    assert answer.advice_ids  # what to do first doesn't wait for a name


def test_a_known_address_in_a_defanged_html_page_is_found():
    page = f"<html><body><p>{note('')}</p><p>Contact: hxxp://{onion_of('akira').replace('.onion', '[.]onion')}</p></body></html>"
    assert identify([Input("a.hta", data=page.encode("utf-16"))]).family_id == "akira"


def test_an_address_with_scanning_errors_still_leads_to_its_family():
    host = onion_of("akira")
    damaged = host[:20] + "0" + host[21:40] + host[41:]  # one sign replaced, one lost
    answer = answer_to(f"Contact us: http://{damaged}")
    assert answer.family_id == "akira"
    assert "nearly the known" in answer.candidates[0].reasons[0].en


def test_two_unrelated_addresses_are_not_nearly_the_same():
    shared = unknown_onion()[:20] + onion_of("akira")[20:40] + unknown_onion()[40:]
    assert answer_to(f"Contact us: http://{shared}").candidates == ()


@pytest.mark.parametrize("host", ["x" * 56 + ".onion", "lockbit" + "x" * 49 + ".onion", "abcd" + "a" * 52 + ".onion"])
def test_redacted_addresses_match_nothing(host):
    assert all("onion" not in clue.kind for c in answer_to(f"Contact us: http://{host}").candidates for clue in c.clues)


@pytest.mark.parametrize(("line", "family"), [
    ("We are LockBit group, write to us in the Tor browser.", "lockbit"),
    ("~~~ LockBit 3.0 the fast one ~~~ write to us in Tor browser", "lockbit"),
    ("You were hacked by Akira ransomware. Contact us.", "akira"),
    ("Your network was encrypted by Fog Ransomware. Contact us.", "fog"),
    ("We call ourselves Fog. Contact us in Tor browser.", None),
    ("BlackSuit encrypted your servers. Contact us.", "blacksuit"),
    ("Welcome to Black Basta. Contact us.", "blackbasta"),
    ("Contact us.\n\nRagnar_Locker", "ragnarlocker"),
])
def test_a_note_that_presents_itself_is_believed(line, family):
    answer = answer_to(line)
    if family is None:  # an ordinary word once: a candidate, not a name
        assert answer.verdict == "candidates" and answer.candidates[0].id == "fog"
    else:
        assert (answer.verdict, answer.family_id) == ("identified", family), answer.candidates


@pytest.mark.parametrize("line", [
    "Contact us. Do not play with time, the fog lifts.", "Contact us. You will hear from the royal mail.",
    "Contact us. Others, LockBit for one, would ask more.", "Contact us and stop asking.", "Contact us, medusa will not help.",
    "WARNING\nContact us.\nENCRYPTED\nLOCKED", "Contact us. Ask who Akira is.",
])
def test_a_name_that_merely_occurs_names_nobody(line):
    assert answer_to(line).family is None


def test_a_name_nobody_knows_is_told_but_not_answered():
    answer = answer_to("You were encrypted by Qwombatronix ransomware. Contact us.")
    assert (answer.verdict, answer.self_name) == ("unknown", "Qwombatronix")


def test_two_families_with_equal_evidence_are_candidates():
    answer = answer_to(f"Contact us: http://{onion_of('akira')} or http://{onion_of('play')}")
    assert answer.verdict == "candidates"
    assert {c.id for c in answer.candidates[:2]} == {"akira", "play"}


def test_a_general_file_name_adds_nothing_that_decides():
    assert answer_to("Contact us.", "readme.txt").family is None
    assert answer_to("Contact us.", "HOW_TO_DECRYPT.txt").family is None


def test_a_note_whose_name_is_known_and_holds_the_familys_own_is_identified():
    assert answer_to("Contact us.", "!!!READ_ME_MEDUSA!!!.txt").family_id == "medusa"


def test_a_name_inside_an_unknown_file_name_alone_is_only_a_candidate():
    answer = answer_to("Contact us.", "akira_readme.txt")
    assert (answer.verdict, answer.candidates[0].id) == ("candidates", "akira")


def test_family_and_actor_are_kept_apart():
    answer = answer_to(f"Contact us: http://{onion_of('blackcat')}")
    assert answer.family == "BlackCat"
    assert any(actor.name == "Scattered Spider" and actor.source == "attack" for actor in answer.actors)


def test_a_name_alone_can_be_asked_for():
    assert identify([Input("report.xlsx.akira")]).candidates[0].id == "akira"
    assert identify([Input("report.xlsx")]).verdict == "unknown"


# ---- a case


def encrypted(host: str, number: int, extension: str = ".akira") -> Input:
    return Input(f"{host}/D/share/file{number}.docx{extension}", data=random.randbytes(9000))


def quiet(number: int):
    return examine_input(Input(f"FS-03/{number}.txt", text="all quiet\n"), FAMILIES)


def test_notes_and_encrypted_files_of_a_case_become_one_answer():
    found = [examine_input(encrypted(h, n), FAMILIES) for h in ("FS-01", "FS-02") for n in range(3)]
    words = note(f"Contact us: http://{onion_of('akira')}")
    found += [examine_input(Input(f"{h}/D/share/readme.txt", text=words), FAMILIES) for h in ("FS-01", "FS-02")]
    result = merge([*found, quiet(1)])
    assert (result.verdict, result.family, result.confidence) == ("identified", "Akira", "high")
    assert result.extensions == (".akira",)
    assert len(result.records) == 8 and all(record.sha256 for record in result.records)
    assert any("6 files carry" in reason.en for reason in result.candidates[0].reasons)
    assert Text("脅迫文が2個あります", "ransom notes: 2") in result.notes


def test_copies_of_one_note_weigh_no_more_than_one():
    words = note("Contact us: decrypt@akiracontact.example or write to the Akira team.")
    one = merge([examine_input(Input("a/readme.txt", text=words), FAMILIES), quiet(1)])
    many = merge([*(examine_input(Input(f"{n}/readme.txt", text=words), FAMILIES) for n in range(30)), quiet(1)])
    assert one.candidates[0].score == many.candidates[0].score


def test_an_extension_that_many_families_use_names_nobody():
    assert merge([examine_input(encrypted("FS-01", n, ".locked"), FAMILIES) for n in range(5)]).family is None


def test_encrypted_files_and_a_note_of_different_families_are_candidates():
    found = [examine_input(encrypted("FS-01", n, ".akira"), FAMILIES) for n in range(3)]
    found.append(examine_input(Input("FS-01/readme.txt", text=note(f"Contact us: http://{onion_of('play')}")), FAMILIES))
    result = merge(found)
    assert (result.verdict, {c.id for c in result.candidates[:2]}) == ("candidates", {"akira", "play"})


def test_a_case_without_notes_or_encrypted_files_shows_no_ransomware():
    assert merge([quiet(1), quiet(2)]).verdict == "not_ransomware"
    assert merge([]).verdict == "unknown"
    assert merge([quiet(1), examine_input(Input("a.jpg", data=b"\xff\xd8\xff\xe0" + bytes(900)), FAMILIES)]).family is None


def test_merging_one_answer_keeps_it():
    one = examine_input(Input("a/readme.txt", text=note(f"Contact us: http://{onion_of('akira')}")), FAMILIES)
    assert merge([one]) == one.answer


def test_what_a_child_finds_crosses_the_pipe_unchanged(tmp_path):
    path = tmp_path / "readme.txt"
    path.write_text(note(f"Contact us: http://{onion_of('blackcat')}"), encoding="utf-8")
    found = examine(FAMILIES, Source(path, "FS-01/readme.txt", "0" * 64, path.stat().st_size, kind="text", encoding="utf-8"))
    assert wire.load(wire.dump(found)) == found
    assert found.answer.actors


def test_reasons_show_no_control_signs():
    answer = answer_to("Contact us.", "akira_read\x1b[2Jme\u202e.txt")
    assert all("\x1b" not in reason.en and "\u202e" not in reason.ja for c in answer.candidates for reason in c.reasons)

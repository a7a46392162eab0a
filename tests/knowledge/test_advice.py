"""Advice is there for every kind of incident, in both languages, and promises nothing."""

from __future__ import annotations

import re

import pytest

from hikeshi.knowledge.advice import (
    KINDS,
    SECTIONS,
    advice_by_id,
    advice_for,
    decryptor_lines,
    kind_of,
    load_advice,
    section_titles,
    sections_for,
)
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
        assert (advice.facts or advice.section("theft")) and advice.confidence == "low" and advice.verified_on == "unverified"
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
        for text in (advice.title, advice.summary, *(line for one in SECTIONS for line in advice.section(one))):
            assert re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", text.ja), text
            assert text.en.isascii() or "’" in text.en or "“" in text.en, text


def said(kind: str, section: str, family: str | None = None) -> str:
    return "\n".join(line.en for one in sections_for(family, kind) if one.id == section for line in one.lines)


@pytest.mark.parametrize("kind", [*KINDS, "something else"])
def test_every_kind_has_its_sections_in_order_and_each_fits_one_screen(kind):
    sections = sections_for(None, kind)
    ids = [one.id for one in sections]
    assert ids == [one for one in SECTIONS if one in ids]
    assert {"steps", "not_to_do", "evidence", "recovery", "duties", "prevention"} <= set(ids)
    for one in sections:
        assert one.title.ja and one.title.en and len(one.lines) <= 12
        assert sum(1 + len(line.ja) // 44 for line in one.lines) <= 30, (kind, one.id)  # lines of a page of text
        assert all(len(line.ja) <= 130 and len(line.en) <= 260 for line in one.lines), (kind, one.id)


def test_only_extortion_and_encryption_speak_of_payment_and_decryptors():
    with_payment = {kind for kind in KINDS if said(kind, "negotiation")}
    assert with_payment == {"ransomware", "exfiltration", "ddos"}
    assert {kind for kind in KINDS if said(kind, "decryptor")} == {"ransomware"}
    assert all("Nothing is recommended here" in said(kind, "negotiation") for kind in with_payment)


def test_a_family_adds_what_is_known_of_it_and_an_unknown_one_nothing():
    phobos = said("ransomware", "decryptor", "phobos")
    assert phobos.startswith("Announced: ") and "(2025-07)" in phobos and "unverified" in phobos.splitlines()[0]
    assert re.match(r"Our records \(up to \d{4}-\d\d-\d\d\) hold no announced decryptor", said("ransomware", "decryptor", "qilin"))
    assert "no announced" not in said("ransomware", "decryptor")
    assert "publication" in said("ransomware", "theft", "akira") and "destruct" in said("ransomware", "facts", "whispergate")
    assert "Do not restart" in said("ransomware", "not_to_do", "wannacry")
    assert sections_for("nobody-knows-it", "ransomware")[0] == sections_for(None, "ransomware")[0]
    assert len(decryptor_lines("nobody-knows-it")) == 1
    assert all("unverified" in line.en and "未確認" in line.ja for line in decryptor_lines("phobos"))
    assert not re.search(r"[ぁ-んァ-ヴ一-龥]", "".join(line.en for line in decryptor_lines("lockbit")))


def test_what_is_said_of_a_family_is_marked_and_general_practice_is_not():
    marked = {one.id: one.unverified for one in sections_for("akira", "ransomware")}
    assert marked["theft"] and marked["decryptor"] and marked["facts"] and not marked["steps"]
    assert not {one.id: one.unverified for one in sections_for(None, "ransomware")}["theft"]
    assert "(unverified)" in said("ransomware", "not_to_do", "wannacry")  # the line says so, the general ones need not
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", one.written_on) for one in sections_for("akira", "ransomware"))


def test_what_nobody_checked_says_so():
    for kind in KINDS:
        duties = next(one for one in sections_for(None, kind) if one.id == "duties")
        assert duties.unverified
        # A number of days or hours is a claim: it stands only beside the word that it was not checked.
        claims = [n for n, line in enumerate(duties.lines) if re.search(r"\d", line.en)]
        # …or the line after it, which names the source.
        assert claims and all("unverified" in duties.lines[n].en + duties.lines[n + 1].en
                              and "未確認" in duties.lines[n].ja + duties.lines[n + 1].ja for n in claims)
        assert sum("secondary" in line.en for line in duties.lines) >= 4


def test_incidents_of_the_form_lead_to_a_kind():
    assert (kind_of("web_compromise"), kind_of("fraud"), kind_of("phishing"), kind_of("data_leak")) == (
        "web_shell", "mail_compromise", "targeted_mail", "exfiltration")
    assert kind_of("unknown") == kind_of("never heard of it") == kind_of("") == "unknown"
    assert set(section_titles()) == set(SECTIONS)


def position(kind: str, section: str, words: str) -> int:
    lines = said(kind, section).splitlines()
    return next(n for n, line in enumerate(lines) if words in line)


def test_the_order_of_acts_loses_no_evidence_and_locks_nobody_out():
    first = "ransomware", "steps"
    assert position(*first, "network") < position(*first, "Take backups off")
    assert position(*first, "Copy logs") < position(*first, "change passwords")  # resets come after the records
    assert "empty media" in said(*first) and "close first" in said(*first)
    assert position("exfiltration", "steps", "destruction shows") < position("exfiltration", "steps", "Shut out in one go")
    assert position("unauthorised_access", "steps", "Copy the appliance") < position("unauthorised_access", "steps", "replace VPN")
    assert position("mail_compromise", "steps", "Record forwarding") < position("mail_compromise", "steps", "end all sessions")
    assert position("lost_device", "steps", "Lock it remotely") == position("lost_device", "steps", "line stopped")
    assert position("malware", "steps", "off the network") < position("malware", "steps", "Rebuild")
    evidence = said("ransomware", "evidence").splitlines()[0]
    assert [evidence.index(w) for w in ("memory", "connections", "event logs", "disk")] == sorted(
        evidence.index(w) for w in ("memory", "connections", "event logs", "disk"))
    recovery = said("ransomware", "recovery")
    assert "krbtgt twice after the intruder is shut out" in recovery and "10 hours" in recovery
    assert "copies only" in said("ransomware", "decryptor") and "Do not restart the host" in said("ransomware", "steps")


DANGEROUS = re.compile(
    r"^(?!.*\b(?:not|only|never|without|before|after)\b).*\b(?:switch (?:it|them|machines) off|power off|reboot|delete the"
    r"|shut (?:it|them) down|wipe|format|run the decryptor|contact the attackers?|pay the)\b", re.I)


def test_no_line_tells_to_destroy_evidence():
    lines = [line.en for kind in KINDS for one in sections_for(None, kind) if one.id != "not_to_do" for line in one.lines]
    assert [line for line in lines if DANGEROUS.search(line)] == []
    assert DANGEROUS.search("First, switch it off.") and DANGEROUS.search("Wipe the disk.") and not DANGEROUS.search("Do not switch it off.")

"""Families, their facts, and what does not count as a fact."""

from __future__ import annotations

import pytest

from hikeshi.errors import KnowledgeError
from hikeshi.knowledge import galaxy
from hikeshi.knowledge.addresses import find_addresses, is_redacted
from hikeshi.knowledge.attack import load_attack
from hikeshi.knowledge.families import Families, compact, load_families
from hikeshi.knowledge.galaxy import extension_in, host_of, key_of, names_in, note_name_pattern, without_version

FAMILIES = load_families()


@pytest.mark.parametrize(("name", "family"), [
    ("LockBit", "lockbit"), ("lockbit 3.0", "lockbit"), ("ALPHV", "blackcat"), ("Noberus", "blackcat"), ("Sodinokibi", "revil"),
    ("Agenda", "qilin"), ("Black Basta", "blackbasta"), ("Cl0p", "clop"), ("Hunters International", "hunters"),
])
def test_a_family_is_found_by_any_of_its_names(name, family):
    assert family in FAMILIES.named(name)


@pytest.mark.parametrize("name", ["", "x", "no such family", "lockbits of wood"])
def test_no_family_is_found_by_another_name(name):
    assert FAMILIES.named(name) == ()


def test_entries_of_one_family_are_one_family():
    assert "lockbit3" not in FAMILIES.by_id and "lockbit5" not in FAMILIES.by_id
    assert {f.family for f in FAMILIES.facts("onion", "lockbitapt2d73krlbewgv27tquljgxr33xbwwsp6rkyieto7u4ncead.onion")} == {"lockbit"}


@pytest.mark.parametrize("name", ["play", "Royal", "fog", "hive", "INC", "r", "777"])
def test_ordinary_words_are_marked(name):
    assert FAMILIES.is_plain_name(name)


@pytest.mark.parametrize("name", ["lockbit", "akira", "BlackSuit", "RansomHub", "Qilin"])
def test_made_up_names_are_not(name):
    assert not FAMILIES.is_plain_name(name)


@pytest.mark.parametrize("name", ["readme.txt", "README.TXT", "how_to_decrypt.txt", "Restore-My-Files.txt", "x7Gh2.README.txt"])
def test_general_note_names_are_weak(name):
    assert FAMILIES.is_weak_note_name(name)


def test_a_note_name_with_a_variable_part_matches_and_a_near_one_does_not():
    assert {f.family for f in FAMILIES.note_name("_HELP_HELP_HELP_A1B2C3.hta")} == {"cerber"}
    assert FAMILIES.note_name("_HELP_HELP_.hta") == ()


def test_extensions_are_exact():
    assert {f.family for f in FAMILIES.facts("extension", ".akira")} == {"akira"}
    assert FAMILIES.facts("extension", "akira") == ()
    assert FAMILIES.is_weak_extension(".locked") and not FAMILIES.is_weak_extension(".akira")


def test_public_sites_are_no_facts():
    assert all(not FAMILIES.is_public_site(site) for site in FAMILIES.values("site"))
    assert FAMILIES.is_public_site("files.mega.nz") and not FAMILIES.is_public_site("notmega.nz")


def test_kin_is_mutual():
    for family in FAMILIES.by_id.values():
        assert all(family.id in FAMILIES.by_id[other].kin for other in family.kin)


def test_actors_come_with_relation_and_source_and_are_no_families():
    conti = FAMILIES.by_id["conti"]
    assert ("Wizard Spider", "uses", "attack") in conti.actors
    assert "T1486" in conti.techniques
    assert FAMILIES.named("Wizard Spider") == ()


@pytest.mark.parametrize(("family", "other"), [("lv", "APT41"), ("medusa", "UNC3886"), ("snake", "Turla"), ("cmd", "APT18")])
def test_other_software_of_the_same_name_gives_a_family_neither_actors_nor_techniques(family, other):
    found = load_families().by_id[family]
    assert other not in {actor.name for actor in found.actors}
    if family != "medusa":
        assert found.techniques == ()


@pytest.mark.parametrize(("family", "actor"), [("medusa", "Medusa Group"), ("whispergate", "Ember Bear"), ("qilin", "Moonstone Sleet")])
def test_the_ransomware_itself_keeps_those_who_use_it(family, actor):
    found = load_families().by_id[family]
    assert actor in {one.name for one in found.actors} and found.techniques


def test_attack_gives_techniques_with_names():
    attack = load_attack()
    software = attack.software("BlackCat")
    assert [s.id for s in software] == ["S1068"]
    techniques = {t.id: t for t in attack.techniques_of([s.id for s in software])}
    assert techniques["T1486"].name == "Data Encrypted for Impact"
    assert "impact" in techniques["T1486"].tactics
    assert attack.software("no such software") == ()


# ---- reading the galaxy


@pytest.mark.parametrize(("text", "extension"), [
    (".akira", ".akira"), (".Clop", ".clop"), (".id-BCBEF350.[a@b.example].cmb", ".cmb"), ("[base64].kraken", ".kraken"), ("random", None),
    ("AES-256", None), (".<7_random_letters>", None), ("RANDOM 3 LETTERS ARE ADDED", None), (".locked (added before the ending)", None),
    (".([a-z]{6,7})", None),
])
def test_only_a_fixed_extension_is_taken(text, extension):
    assert extension_in(text) == extension


@pytest.mark.parametrize(("text", "pattern"), [
    ("HELP_DECRYPT.TXT", "help_decrypt.txt"), ("_HELP_DECRYPT_[A-Z0-9]{4-8}_.hta", "_help_decrypt_*_.hta"),
    ("HELP_RESTORE_FILES_<random 5 chars>.TXT , e.g. help_restore_files_kksli.bmp", "help_restore_files_*.txt"),
    ("<random>.html", None), ("%Temp%\\<random>.bmp", None), ("*md5*.txt", None), ("C:\\ProgramData\\[random].exe", None),
])
def test_a_note_name_keeps_its_fixed_part(text, pattern):
    assert note_name_pattern(text) == pattern


@pytest.mark.parametrize(("link", "host"), [
    ("https://www.a.example/x", "a.example"), ("a.example", "a.example"), ("http://[", None), ("", None), ("http:// a.example/", None),
    ("tox", None),
])
def test_a_broken_link_gives_no_host(link, host):
    assert host_of(link) == host


def test_titles_are_split_into_names():
    assert "LoveLock" in names_in("LoveLock Ransomware or Love2Lock Ransomware")
    assert names_in("Ocelot Ransomware (FAKE RANSOMWARE)") == ("Ocelot",)


@pytest.mark.parametrize(("name", "bare"), [("Globe v1", "Globe"), ("CryptXXX 3.1", "CryptXXX"), ("777", "777"), ("8base", "8base")])
def test_a_version_is_told_from_a_name(name, bare):
    assert without_version(name) == bare


def test_names_are_compared_without_the_word_ransomware():
    assert key_of("PLAY Ransomware") == key_of("play") == "play"
    assert key_of("已加密") == "已加密"


@pytest.mark.parametrize("text", ["x" * 56 + ".onion", "a" * 16 + ".onion", "lockbit" + "x" * 49 + ".onion"])
def test_redacted_onions_are_no_addresses(text):
    assert is_redacted(text)
    assert list(find_addresses(text)) == []


@pytest.mark.parametrize(("text", "found"), [
    ("連絡先helper@mail.exampleまで", [("email", "helper@mail.example")]),
    ("onion and a@b", []), ("abcdefgh.onion", []), ("1" * 76, [("tox", "1" * 76)]), ("1" * 77, []),
    ("https://t.me/some_body", [("telegram", "some_body")]), ("https://t.me/joinchat", []),
])
def test_addresses_are_found_inside_japanese_and_only_whole(text, found):
    assert [(a.kind, a.value) for a in find_addresses(text)] == found


# ---- packs and merging


def entry(value, **more):
    return {"value": value, "names": names_in(value), "synonyms": [], "extensions": [], "note_names": [], "addresses": [], "related": []} | more


def test_versions_of_one_family_are_merged_and_a_number_that_belongs_to_the_name_stays(tmp_path):
    empty = tmp_path / "none.toml"
    empty.write_text("# nothing\n")
    families = Families(compact([entry("Zorbax 1.0"), entry("Zorbax 2.0"), entry("Crypt38")], [empty]))
    assert families.named("zorbax") == ("zorbax",)
    assert "crypt38" in families.by_id


def test_a_pack_adds_facts_of_known_and_new_families(tmp_path):
    pack = tmp_path / "pack.toml"
    pack.write_text('[[facts]]\nfamily = "Akira"\nsource = "pack"\nemail = ["new@mail.example"]\n\n'
                    '[[facts]]\nfamily = "Zorbax"\nsource = "pack"\nextension = [".zorbax"]\n')
    families = load_families(pack)
    assert [f.family for f in families.facts("email", "new@mail.example")] == ["akira"]
    assert families.named("Zorbax") == ("zorbax",)


@pytest.mark.parametrize("body", ['email = ["UPPER@mail.example"]', 'mail = ["a@b.example"]', "email = [5]"])
def test_a_malformed_pack_is_refused_with_its_place(tmp_path, body):
    pack = tmp_path / "pack.toml"
    pack.write_text(f'[[facts]]\nfamily = "Akira"\nsource = "pack"\n{body}\n')
    with pytest.raises(KnowledgeError) as caught:
        compact([], [pack])
    assert caught.value.source is not None and caught.value.source.line == 1


def test_the_galaxy_missing_is_a_knowledge_error(monkeypatch):
    monkeypatch.setattr(galaxy.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(KnowledgeError):
        galaxy.clusters_folder()

"""Folders and files that a person names: read as hostile, what is broken counted."""

from __future__ import annotations

import json
from datetime import date

import pytest

from hikeshi.errors import InputError, KnowledgeError
from hikeshi.identify import Input as Given
from hikeshi.identify import examine_input
from hikeshi.identify.learn import learnt
from hikeshi.knowledge.families import families_of
from hikeshi.knowledge.importers import Origin, read_galaxy, read_kev, read_tools, read_vulnerabilities
from hikeshi.knowledge.importers.markdown import BadRow, rows, several
from hikeshi.knowledge.importers.matrices import day
from hikeshi.knowledge.pack import read_bytes
from hikeshi.knowledge.pack_build import Input, build, built_in_sources, days_old
from hikeshi.knowledge.vectors import vectors_of

VULNERABILITIES = """# Edge devices

### `Acme`
| Product | CVE(s) | Ransomware Group(s) | Date | Source(s) |
|---|:--|---|---|---|
| Acme Gate | CVE-2024\u201311111 & cve-2024-22222 ("GateFall") | LockBit, Some Crew | 25 April 2025 | [a.example](https://a.example/x) |
| Acme \\| Door | CVE-2024-33333 | Akira | | text |
| Acme Gate | soon | Akira | | text |
| Acme Gate | CVE-2024-44444 | | | text |
| too | few |

| Date Published | Report |
|---|---|
| 2025-01-01 | https://b.example |
"""
PROFILE = """# Tools
| Discovery | RMM Tools | Credential Theft |
|---|---|---|
| Nmap | AnyDesk<br>Atera | Mimikatz |
|  | RustDesk |  |

#### Sources
| Date Published | Report |
|---|---|
| 25 April 2025 | https://b.example/x |
"""
BY_TOOL = """| Tool Name | Threat Group Usage |
|---|---|
| Rclone | LockBit, Akira |
| | Akira |
"""
KEV = {"catalogVersion": "2026.11.01", "dateReleased": "2026-11-01T10:00:00.000Z", "vulnerabilities": [
    {"cveID": "CVE-2024-11111", "vendorProject": "Acme", "product": "Gate", "dateAdded": "2024-05-06",
     "knownRansomwareCampaignUse": "Known"},
    {"cveID": "CVE-2023-99999", "vendorProject": "B", "product": "C", "dateAdded": "2023-01-02"},
    {"cveID": "CVE-x", "dateAdded": "2023-01-02"}, {"cveID": "CVE-2023-10001", "dateAdded": "soon"}, 7, None, {"cveID": []}]}
ONION = "z" * 4 + "bcdefghijklm" * 4 + "2345.onion"
NOTE = ("The lights of this company are out, and only we hold the lamp. Everything that lay on your servers was carried "
        f"off by night and locked. Write to us at http://{ONION} and name the number 77. Nobody else has a lamp like ours.\n")


@pytest.fixture
def folder(tmp_path):
    def write(files: dict[str, str | bytes], name: str = "given"):
        for path, content in files.items():
            place = tmp_path / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode() if isinstance(content, str) else content)
        return Origin(tmp_path / name, "2026-11-02")
    return write


def galaxy(*entries, **more):
    return json.dumps({"values": list(entries), "version": 900} | more)


def test_who_used_which_weakness_is_read_from_tables(folder):
    found = read_vulnerabilities(folder({"Vulnerabilities/Edge.md": VULNERABILITIES, "README.md": "# nothing\n"}))
    assert [(r["cve"], r["product"], r["families"], r["reported"]) for r in found.records] == [
        ("CVE-2024-11111", "Acme Gate", ["LockBit", "Some Crew"], "2025-04-25"),
        ("CVE-2024-22222", "Acme Gate", ["LockBit", "Some Crew"], "2025-04-25"),
        ("CVE-2024-33333", "Acme | Door", ["Akira"], "")]
    assert found.records[0]["links"] == ["https://a.example/x"]
    assert found.records[0]["place"] == "Vulnerabilities/Edge.md:6"
    assert found.count_broken == 3 and [place for place, _ in found.broken] == [
        f"Vulnerabilities/Edge.md:{n}" for n in (8, 9, 10)]
    assert (found.source.id, found.source.date, found.source.licence) == ("vulnerabilities", "2026-11-02", "not stated")


def test_tools_are_read_by_tactic_and_by_tool(folder):
    found = read_tools(folder({"GroupProfiles/Black_Lamp.md": PROFILE, "Tools/Exfiltration.md": BY_TOOL,
                               "LICENSE": "Apache License\nVersion 2.0"}))
    assert {(r["tool"], r["tactic"], r["family"]) for r in found.records} == {
        ("Nmap", "discovery", "Black Lamp"), ("AnyDesk", "rmm tools", "Black Lamp"), ("Atera", "rmm tools", "Black Lamp"),
        ("RustDesk", "rmm tools", "Black Lamp"), ("Mimikatz", "credential theft", "Black Lamp"),
        ("Rclone", "Exfiltration", "LockBit"), ("Rclone", "Exfiltration", "Akira")}
    assert found.count_broken == 1 and found.source.licence == "Apache-2.0"


def test_kev_brings_dates_and_counts_what_is_broken(tmp_path):
    (tmp_path / "kev.json").write_text(json.dumps(KEV))
    found = read_kev(Origin(tmp_path / "kev.json"))
    assert [(r["cve"], r["added"], r["ransomware"]) for r in found.records] == [
        ("CVE-2024-11111", "2024-05-06", "known"), ("CVE-2023-99999", "2023-01-02", "unknown")]
    assert found.count_broken == 5 and found.source.date == "2026-11-01" and found.source.version == "2026.11.01"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"7", b'{"vulnerabilities": {}}', b"[" * 100_000, b"\xff\xfe",
                                     b'{"vulnerabilities": [], "dateReleased": "soon"}'])
def test_what_is_no_kev_is_refused(tmp_path, content):
    (tmp_path / "kev.json").write_bytes(content)
    with pytest.raises(InputError):
        read_kev(Origin(tmp_path / "kev.json"))


@pytest.mark.parametrize(("text", "iso"), [
    ("25 April 2025", "2025-04-25"), ("Apr 25th, 2025", "2025-04-25"), ("2025-04-25", "2025-04-25"), ("2025/4/5", "2025-04-05"),
    ("April 2025", "2025-04-01"), ("2025-04", "2025-04-01"), ("", ""), ("soon", ""), ("2025-13-01", ""), ("31 June 2025", ""),
    ("1 May 0001", ""), ("5/6/2025", ""), ("9" * 60, "")])
def test_dates_of_tables(text, iso):
    assert day(text) == iso


def test_tables_are_told_from_other_lines():
    text = "a | b\n|---|\n| x |\n\n| H |\n| x |\n|---|\n| one |\n\n| late |\n| G |\n|--|\n|`v`|\n" + "|" + "x" * 30_000 + "|\n"
    found = list(rows(text))
    assert [(r.header, r.cells) for r in found if not isinstance(r, BadRow)] == [(("x",), ("one",)), (("g",), ("`v`",))]
    assert [r.line for r in found if isinstance(r, BadRow)] == [14]
    assert several("A, B<br>C / D; [E](https://x.example/a,b) & F") == ["A", "B", "C", "D", "E & F"]


def test_hostile_tables_end_soon(folder):
    cell = "[" * 9000 + "<" * 9000
    found = read_vulnerabilities(folder({
        "a.md": f"| CVE | Group |\n|---|---|\n| CVE-2024-0001 {cell} | x |\n" + "| CVE-2024-0002 | y |\n" * 5000,
        "b.md": b"\xff\xfe\x00|", "c.md": "|\n|-\n||||||\n" * 2000, "d.md": "|" * 19_000 + "\n" + "|-" * 9000 + "\n"}))
    assert {r["cve"] for r in found.records} == {"CVE-2024-0001", "CVE-2024-0002"} and found.count_broken >= 1


def test_folders_that_hold_nothing_are_refused(folder, tmp_path):
    for read in (read_vulnerabilities, read_tools, read_galaxy, learnt):
        with pytest.raises(InputError):
            read(Origin(tmp_path / "none"))
        with pytest.raises(InputError):
            read(folder({"x.bin": b"\0"}, read.__name__))


def test_links_out_of_the_folder_are_left_out(folder, tmp_path):
    (tmp_path / "secret.md").write_text("| CVE | Group |\n|---|---|\n| CVE-2024-5555 | X |\n")
    origin = folder({"a.md": VULNERABILITIES})
    (origin.path / "b.md").symlink_to(tmp_path / "secret.md")
    assert "CVE-2024-5555" not in {r["cve"] for r in read_vulnerabilities(origin).records}


@pytest.mark.parametrize("note", ["id = 3", "nonsense = 'x'", "date = 'soon'", "id = 'A B'", "= =", "name = '" + "x" * 999 + "'"])
def test_a_broken_source_note_is_refused(folder, note):
    with pytest.raises(InputError):
        read_vulnerabilities(folder({"a.md": VULNERABILITIES, "SOURCE.toml": note}))


def test_a_source_note_says_where_a_folder_is_from(folder):
    found = read_vulnerabilities(folder({"a.md": VULNERABILITIES, "SOURCE.toml":
                                         "id = 'our-matrix'\nname = 'Ours'\nlicence = 'CC-BY-4.0'\ndate = 2026-10-09\nversion = '7'"}))
    assert (found.source.id, found.source.name, found.source.licence, found.source.date, found.source.version) == (
        "our-matrix", "Ours", "CC-BY-4.0", "2026-10-09", "7")


# ---- what a pack makes of them


def test_a_newer_galaxy_brings_its_families_and_loses_broken_entries(folder):
    origin = folder({"clusters/ransomware.json": galaxy(
        {"value": "Blacklamp", "meta": {"extensions": [".blacklamp", 5, "x" * 999], "links": [f"http://{ONION}/"]},
         "related": [7, {"dest-uuid": "u1", "type": "used-by"}]},
        {"value": "Greylamp", "meta": []}, {"value": ""}, {"value": 3}, 7, {"value": "x" * 999}, {"value": "???"}),
        "clusters/threat-actor.json": galaxy({"value": "Lamp Spider", "uuid": "u1"})})
    checkout = read_galaxy(origin)
    assert checkout.imported.count_broken == 7
    families = families_of(read_bytes(build(Input(galaxy=checkout), name="Test"), "x"))
    assert {f.family for f in families.facts("extension", ".blacklamp")} == {"blacklamp"}
    assert {f.family for f in families.facts("onion", ONION)} == {"blacklamp"}
    assert ("Lamp Spider", "used-by", "misp-galaxy") in families.by_id["blacklamp"].actors
    assert "greylamp" in families.by_id


@pytest.mark.parametrize("content", [b"", b"{}", b'{"values": 3}', b'{"values": []}', b'{"values": [{}]}', b"[" * 100_000])
def test_what_is_no_galaxy_is_refused(folder, content):
    with pytest.raises(InputError):
        read_galaxy(folder({"ransomware.json": content}))


def test_notes_teach_addresses_names_and_wording_and_no_text(folder):
    learned = learnt(folder({"Black_Lamp/LAMP-README.txt": NOTE, "README.md": "A list", "Black_Lamp/p.bin": b"\0\1" * 99}))
    pack = read_bytes(build(Input(notes=learned), name="Test"), "x")
    families = families_of(pack)
    assert {f.family for f in families.facts("onion", ONION)} == {"blacklamp"}
    worded = examine_input(Given("note.txt", text=NOTE.replace(ONION, "the same place")), families).answer
    assert worded.candidates[0].family == "Black Lamp"
    assert not any(b"only we hold the lamp" in content for content in pack.members.values())
    assert {one.id: one.date for one in pack.sources}["notes"] == "2026-11-02"


def test_a_family_named_to_break_the_file_of_facts_only_names_a_family(folder):
    learned = learnt(folder({'Lamp"\n[[facts]]\nfamily = "lockbit\x7f/LAMP-README.txt': NOTE}))
    families = families_of(read_bytes(build(Input(notes=learned), name="Test"), "x"))
    assert "lockbit" not in {f.family for f in families.facts("onion", ONION)} and families.facts("onion", ONION)


def test_dated_rows_become_vectors_and_every_record_says_where_it_is_from(folder, tmp_path):
    (tmp_path / "kev.json").write_text(json.dumps(KEV))
    given = Input(vulnerabilities=read_vulnerabilities(folder({"a.md": VULNERABILITIES}, "v")),
                  tools=read_tools(folder({"Tools/Exfiltration.md": BY_TOOL}, "t")), kev=read_kev(Origin(tmp_path / "kev.json")))
    pack = read_bytes(build(given, name="Test"), "x")
    vectors = [v for v in vectors_of(pack.records("vectors")) if v.source == "vulnerabilities"]
    assert {(v.family, v.actor, v.cve, v.first_seen) for v in vectors} == {
        ("lockbit", "", "CVE-2024-11111", "2025-04-25"), ("", "Some Crew", "CVE-2024-11111", "2025-04-25"),
        ("lockbit", "", "CVE-2024-22222", "2025-04-25"), ("", "Some Crew", "CVE-2024-22222", "2025-04-25")}
    since = {row["record"]["cve"]: row["record"].get("exploited_since") for row in pack.lines("cves")
             if row["source"] == "vulnerabilities"}
    assert since == {"CVE-2024-11111": "2024-05-06", "CVE-2024-22222": "", "CVE-2024-33333": ""}
    assert {row["record"]["family_id"] for row in pack.lines("tools")} == {"lockbit", "akira"}
    known = {one.id for one in pack.sources}
    for part in ("advice", "cves", "decryptors", "tools", "vectors"):
        for row in pack.lines(part):
            assert row["source"] in known and row["licence"] and row["date"]


def test_two_sources_of_one_name_are_refused(folder):
    note = "id = 'hikeshi'"
    with pytest.raises(InputError, match="two sources"):
        build(Input(vulnerabilities=read_vulnerabilities(folder({"a.md": VULNERABILITIES, "SOURCE.toml": note}))), name="Test")


def test_the_serial_is_the_newest_source_unless_said(folder):
    newest = max(one.date for one in built_in_sources() if one.date != "unknown")
    assert read_bytes(build(Input(), name="Test"), "x").serial == int(newest.replace("-", ""))
    assert read_bytes(build(Input(), name="Test", serial=7), "x").serial == 7
    with pytest.raises(KnowledgeError):
        build(Input(), name="Test", serial=10**15)


def test_an_age_is_that_of_the_data():
    ages = {one.id: days_old(one, date(2026, 12, 2)) for one in built_in_sources()}
    assert ages["hikeshi"] == 10 and ages["attack"] == 385 and None not in ages.values()


def test_every_source_and_every_fact_has_a_licence_and_a_date_and_says_whose_date_it_is():
    from hikeshi.knowledge.sources import DATED, load_sources

    for one in load_sources().values():
        assert one.licence and one.version and date.fromisoformat(one.date) and one.dated in DATED
    pack = read_bytes(build(Input(), name="Test"), "x")
    dated = {one.id for one in pack.sources if date.fromisoformat(one.date) and one.licence}
    named = {fact[-1] for kind in pack.json("facts.json").values() for facts in kind.values() for fact in facts}
    assert {"misp-galaxy", "threatlabz-notes", "f6-notes"} <= named <= dated
    for part in ("advice", "decryptors", "vectors"):
        assert all(date.fromisoformat(row["date"]) and row["source"] in dated for row in pack.lines(part))


def test_a_package_of_another_version_has_no_date_of_ours(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda package: "99.1")
    there = {one.id: (one.version, one.date) for one in built_in_sources()}
    assert there["misp-galaxy"] == ("package pymispgalaxies 99.1", "unknown") and there["hikeshi"][1] != "unknown"

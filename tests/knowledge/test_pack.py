"""A pack: one form, signed, and refused in every other."""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
import warnings
import zipfile

import numpy as np
import orjson
import pytest

from hikeshi.errors import KnowledgeError, OutputError
from hikeshi.knowledge import installed, wording
from hikeshi.knowledge.admit import admit, check
from hikeshi.knowledge.advice import load_advice
from hikeshi.knowledge.decryptors import load_decryptors
from hikeshi.knowledge.families import compact, families_of, load_families
from hikeshi.knowledge.keys import key_id, make_key, read_public
from hikeshi.knowledge.pack import FORMAT, Pack, PackSource, pack_bytes, read_bytes
from hikeshi.knowledge.pack_diff import diff
from hikeshi.knowledge.vectors import load_vectors

SOURCE = PackSource("made-up", "Made up", "CC0-1.0", "1", "2026-11-01", "")
ONION = "a" * 4 + "bcdefghijklm" * 4 + "2345.onion"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HIKESHI_KNOWLEDGE", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: (folder / name, make_key(folder / name)) for name in ("ours", "theirs")}


def members(**facts: dict) -> dict[str, bytes]:
    data = compact([], [])
    data["families"].append({"id": "zzgang", "name": "ZZ Gang", "names": ["ZZ Gang"], "kin": [], "actors": [],
                             "techniques": [], "sources": ["made-up"]})
    data["names"]["zzgang"] = ["zzgang"]
    data["facts"]["onion"][ONION] = [["zzgang", "made-up"]]
    data |= {key: value for key, value in facts.items() if key in data}
    held = io.BytesIO()
    wording.save(held, wording.learn([wording.Note("zzgang", "made-up", "Your garden has been taken by night. " * 5)]),
                 packed=False)
    return {"facts.json": orjson.dumps(data.pop("facts")), "families.json": orjson.dumps(data), "wordings.npz": held.getvalue()}


def made(key=None, serial: int = 5, **more: bytes) -> bytes:
    return pack_bytes("Test", serial, [SOURCE], members() | {k.replace("_jsonl", ".jsonl"): v for k, v in more.items()}, key)


def line(record: dict, **more: str) -> bytes:
    return orjson.dumps({"source": "made-up", "licence": "CC0-1.0", "date": "2026-11-01", "record": record} | more) + b"\n"


def rezipped(raw: bytes, change) -> bytes:
    """The same members after `change`, in our own form."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, content[name])
    return out.getvalue()


def test_a_signed_pack_is_read_back(keys):
    path, public = keys["ours"]
    pack = read_bytes(made(path), "x")
    assert (pack.name, pack.serial, pack.signer, pack.sources) == ("Test", 5, public, (SOURCE,))
    assert check(made(path), "x") == pack
    assert read_bytes(made(), "x").signer == ""
    assert read_bytes(made(), "x").id == pack.id  # the id names the knowledge, not the signature


def test_the_same_input_gives_the_same_bytes(keys):
    assert made(keys["ours"][0]) == made(keys["ours"][0])
    assert made() != made(serial=6)


def put(name: str, content: bytes):
    return lambda held: held.__setitem__(name, content)


def edit(name: str, old: bytes, new: bytes):
    def change(held):
        assert old in held[name]
        held[name] = held[name].replace(old, new, 1)
    return change


@pytest.mark.parametrize(("change", "says"), [
    (lambda held: None, None),
    (edit("families.json", b"ZZ Gang", b"QQ Gang"), "families.json is not what the manifest says"),
    (edit("families.json", b"ZZ Gang", b"ZZ  Gang"), "families.json is not what the manifest says"),
    (edit("manifest.json", b'"serial": 5', b'"serial": 6'), "signature is wrong"),
    (edit("manifest.json", b"Made up", b"Made Up"), "signature is wrong"),
    (lambda held: held.pop("wordings.npz"), "members are not those"),
    (put("tools.jsonl", b"{}\n"), "members are not those"),
    (put("evil.json", b"{}"), "no member of the name"),
    (put("../families.json", b"{}"), "no member of the name '../families.json'"),
    (put("/etc/passwd", b"{}"), "no member of the name"),
    (put("families.json/../x", b"{}"), "no member of the name"),
    (put("manifest.sig", b"{}"), "signature is malformed"),
    (put("manifest.sig", b"[" * 5000), "signature is malformed"),
    (put("manifest.sig", b'{"key": 1, "signature": 2}'), "signature is wrong"),
    (lambda held: held.pop("manifest.json"), "no knowledge pack"),
])
def test_a_changed_pack_is_refused(keys, change, says):
    raw = rezipped(made(keys["ours"][0]), change)
    if says is None:
        assert raw == made(keys["ours"][0])
        return
    with pytest.raises(KnowledgeError, match=says) as refused:
        read_bytes(raw, "x.hkpack")
    assert refused.value.hint and refused.value.source.path == "x.hkpack"


def unsigned(change):
    """A manifest changed by somebody who signs nothing."""
    def both(held):
        held.pop("manifest.sig", None)
        manifest = json.loads(held["manifest.json"])
        change(manifest)
        held["manifest.json"] = orjson.dumps(manifest)
    return both


@pytest.mark.parametrize(("change", "says"), [
    (lambda m: m.update(format=FORMAT + 1), "this Hikeshi reads"),
    (lambda m: m.update(format="1" * 9999), "this Hikeshi reads"),
    (lambda m: m.update(serial=0), "malformed"),
    (lambda m: m.update(serial=True), "malformed"),
    (lambda m: m.update(serial="7"), "malformed"),
    (lambda m: m.update(serial=10**15), "malformed"),
    (lambda m: m.update(name="x" * 999), "malformed"),
    (lambda m: m.update(extra=1), "malformed"),
    (lambda m: m.pop("made_from"), "malformed"),
    (lambda m: m["made_from"][0].update(date="yesterday"), "malformed"),
    (lambda m: m["made_from"][0].pop("licence"), "malformed"),
    (lambda m: m["members"]["families.json"].update(size=-1), "not what the manifest says"),
    (lambda m: m["members"]["families.json"].update(sha256="0"), "malformed"),
    (lambda m: m.update(members=[]), "malformed"),
])
def test_a_malformed_manifest_is_refused(change, says):
    with pytest.raises(KnowledgeError, match=says):
        read_bytes(rezipped(made(), unsigned(change)), "x")


def test_anything_but_the_one_form_is_refused(keys):
    raw = made(keys["ours"][0])
    for other in (b"", b"PK", b"no pack", raw[:-1], raw[:len(raw) // 2], raw + b"x", b"x" + raw, raw[:-22],
                  raw[:-2] + b"\1\0" + b"c", b"PK\5\6" + bytes(18), raw + raw[-22:], raw * 2):
        with pytest.raises(KnowledgeError):
            read_bytes(other, "x")


def test_no_changed_byte_goes_unseen(keys):
    raw = made(keys["ours"][0])
    seed = random.Random(4)
    for at in [*range(0, 60), *range(len(raw) - 700, len(raw)), *(seed.randrange(len(raw)) for _ in range(150))]:
        other = bytearray(raw)
        other[at] ^= 1 << seed.randrange(8)
        with pytest.raises(KnowledgeError):
            read_bytes(bytes(other), "x")


def test_what_would_expand_is_refused():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b"{}")
        archive.writestr("families.json", bytes(50 << 20))
    with pytest.raises(KnowledgeError, match="would expand"):
        read_bytes(out.getvalue(), "x")
    lying = bytearray(made())
    at = lying.rindex(b"PK\1\2")
    struct.pack_into("<I", lying, at + 24, 0x7FFFFFFF)  # a directory that promises two gigabytes
    with pytest.raises(KnowledgeError):
        read_bytes(bytes(lying), "x")
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(5000):
            archive.writestr(f"{number}", b"")
    with pytest.raises(KnowledgeError, match="no knowledge pack"):
        read_bytes(many.getvalue(), "x")
    double = io.BytesIO()
    with zipfile.ZipFile(double, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("manifest.json", b"{}")
        archive.writestr("manifest.json", b"{}")
    with pytest.raises(KnowledgeError, match="not twice"):
        read_bytes(double.getvalue(), "x")


def test_wordings_that_would_expand_are_refused():
    def index(**arrays) -> bytes:
        out = io.BytesIO()
        np.savez_compressed(out, **arrays)
        return out.getvalue()

    def with_wordings(raw: bytes) -> bytes:
        return pack_bytes("Test", 1, [], members() | {"wordings.npz": raw})

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<u4", "fortran_order": False, "shape": (1 << 40,)})
    huge = io.BytesIO()
    with zipfile.ZipFile(huge, "w") as archive:
        archive.writestr("gram.npy", header.getvalue())
    for raw in (huge.getvalue(), b"", b"PK", index(gram=np.zeros(5, np.uint32)),
                index(**{name: np.zeros((2, 2), np.uint32) for name in ("gram", "start", "note", "family", "source", "named", "ways")}),
                index(gram=np.array([{}], dtype=object))):
        with pytest.raises(KnowledgeError):
            check(with_wordings(raw), "x")


@pytest.mark.parametrize("change", [
    {"families": 3}, {"names": {"zz": ["nobody"]}}, {"weak": 3}, {"families": [{"id": "x"}]},
    {"families": [{"id": "x/y", "name": "x", "names": [], "kin": [], "actors": [], "techniques": []}], "names": {}},
    {"families": [{"id": "x", "name": 7, "names": [], "kin": [], "actors": [], "techniques": []}], "names": {}},
])
def test_families_of_another_shape_are_refused(change):
    with pytest.raises(KnowledgeError, match="families can't be used"):
        check(pack_bytes("Test", 1, [], members(**change)), "x")


def test_a_pack_of_another_version_lacks_kinds_of_facts_or_has_more(keys):
    held = members()
    facts = json.loads(held["facts.json"])
    del facts["telegram"]
    facts["carrier_pigeon"] = {"x": [["zzgang", "made-up"]]}
    pack = check(pack_bytes("Test", 1, [], held | {"facts.json": orjson.dumps(facts)}), "x")
    families = families_of(pack)
    assert families.facts("telegram", "x") == () and {f.family for f in families.facts("onion", ONION)} == {"zzgang"}


def test_a_note_name_that_would_be_slow_to_match_is_refused():
    held = members()
    facts = json.loads(held["facts.json"])
    facts["note_name"]["a*" * 30] = [["zzgang", "made-up"]]
    with pytest.raises(KnowledgeError, match="variable parts"):
        check(pack_bytes("Test", 1, [], held | {"facts.json": orjson.dumps(facts)}), "x")


@pytest.mark.parametrize("content", [
    b"no json\n", b"[]\n", line({"id": "x"}), line({}, source=3), b'{"record": {}}\n', line({}) * 2,
])
def test_records_of_another_shape_are_refused(content):
    with pytest.raises(KnowledgeError):
        check(made(advice_jsonl=content), "x")


# ---- the pack in use


def test_a_family_only_known_to_the_pack_is_known_while_it_is_installed(home, keys, tmp_path):
    path, public = keys["ours"]
    file = tmp_path / "a.hkpack"
    file.write_bytes(made(path))
    assert load_families().facts("onion", ONION) == () and installed.installed_id() == "built-in"
    installed.trust(public)
    pack = admit(file)
    assert installed.installed_id() == pack.id and installed.problem() is None
    assert {f.family for f in load_families().facts("onion", ONION)} == {"zzgang"}
    assert installed.remove() and not installed.remove()
    assert load_families().facts("onion", ONION) == () and installed.installed() is None


def test_records_of_the_pack_answer_and_missing_parts_are_our_own(home, keys, tmp_path):
    path, public = keys["ours"]
    own, advice = load_decryptors(), load_advice()
    record = {"family": "zzgang", "offered_by": "Somebody", "announced": "2026-10", "covers": {"ja": "全部", "en": "all"},
              "limits": {"ja": "なし", "en": "none"}, "source": "made-up", "licence": "CC0-1.0", "written_on": "2026-11-01",
              "status": "unverified"}
    (tmp_path / "a").write_bytes(made(path, decryptors_jsonl=line(record)))
    installed.trust(public)
    admit(tmp_path / "a")
    assert [one.family for one in load_decryptors()] == ["zzgang"] and load_advice() == advice and load_vectors()
    installed.remove()
    assert load_decryptors() == own


def test_unsigned_and_unknown_signers_are_refused(home, keys, tmp_path):
    (tmp_path / "bare").write_bytes(made())
    (tmp_path / "signed").write_bytes(made(keys["theirs"][0]))
    installed.trust(keys["ours"][1])
    with pytest.raises(KnowledgeError, match="not signed"):
        admit(tmp_path / "bare")
    with pytest.raises(KnowledgeError, match=key_id(keys["theirs"][1])):
        admit(tmp_path / "signed")
    assert installed.installed() is None


def test_somebody_elses_signature_does_not_fit(keys):
    theirs = rezipped(made(keys["theirs"][0]), lambda held: None)
    with zipfile.ZipFile(io.BytesIO(theirs)) as archive:
        signature = json.loads(archive.read("manifest.sig"))
    forged = orjson.dumps({"key": keys["ours"][1], "signature": signature["signature"]}, option=orjson.OPT_SORT_KEYS)
    with pytest.raises(KnowledgeError, match="signature is wrong"):
        read_bytes(rezipped(theirs, put("manifest.sig", forged)), "x")


def test_an_older_pack_is_refused_unless_it_is_wanted(home, keys, tmp_path):
    path, public = keys["ours"]
    installed.trust(public)
    for serial in (4, 5, 6):
        (tmp_path / str(serial)).write_bytes(made(path, serial))
    other = tmp_path / "other"
    other.write_bytes(pack_bytes("Other", 5, [SOURCE], members(), path))
    admit(tmp_path / "5")
    admit(tmp_path / "5")  # the same again is no fault
    for file in (tmp_path / "4", other):
        with pytest.raises(KnowledgeError, match="not newer than 5"):
            admit(file)
    assert installed.installed().serial == 5
    admit(tmp_path / "6")
    admit(tmp_path / "4", older=True)
    assert installed.installed().serial == 4


@pytest.mark.parametrize("damage", [lambda raw: raw[:1000], lambda raw: b"", lambda raw: raw.replace(b"zzgang", b"qqgang", 1)])
def test_a_damaged_installed_pack_gives_way_to_the_built_in_knowledge_and_says_so(home, keys, tmp_path, damage):
    path, public = keys["ours"]
    (tmp_path / "a").write_bytes(made(path))
    installed.trust(public)
    admit(tmp_path / "a")
    (home / "current.hkpack").write_bytes(damage(made(path)))
    assert installed.installed() is None and "lockbit" in load_families().by_id
    assert load_families().facts("onion", ONION) == ()
    problem = installed.problem()
    assert problem is not None and "remove" in problem.hint
    admit(tmp_path / "a")
    assert installed.problem() is None and installed.installed() is not None


def test_a_pack_whose_signer_is_forgotten_is_used_no_longer(home, keys, tmp_path):
    path, public = keys["ours"]
    (tmp_path / "a").write_bytes(made(path))
    installed.trust(public)
    admit(tmp_path / "a")
    assert installed.distrust(key_id(public)) and not installed.distrust(key_id(public))
    assert installed.installed() is None and "trusts" in installed.problem().what
    installed.trust(public)
    assert installed.installed() is not None


def test_an_installed_pack_of_another_version_is_set_aside(home, keys, tmp_path):
    # As after an update of Hikeshi: whole and signed, but with families this version can't read.
    path, public = keys["ours"]
    installed.trust(public)
    (home / "current.hkpack").write_bytes(pack_bytes("Other", 5, [], members(weak=3), path))
    assert "lockbit" in load_families().by_id
    assert installed.installed() is None and "can't be used" in installed.problem().what


def test_a_file_that_is_no_pack_or_no_key_is_told(home, tmp_path):
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(KnowledgeError, match="can't be read"):
            admit(place)
        with pytest.raises(KnowledgeError):
            read_public(place)
    (tmp_path / "k").write_text("hikeshi-knowledge " + "g" * 64)
    with pytest.raises(KnowledgeError, match="no public key"):
        read_public(tmp_path / "k")
    with pytest.raises(KnowledgeError, match="no private key"):
        made(tmp_path / "k")
    make_key(tmp_path / "mine")
    assert (tmp_path / "mine").stat().st_mode & 0o077 == 0
    with pytest.raises(OutputError, match="can't be written"):
        make_key(tmp_path / "mine")


def test_differences_are_named(keys):
    def pack(**change) -> Pack:
        return read_bytes(made(None, **change), "x")

    assert diff(pack(), pack(serial=6)) == []
    row = {"cve": "CVE-2024-0001", "product": "P", "families": ["zz"], "reported": "", "links": [], "place": "a:1"}
    one, other = pack(cves_jsonl=line(row)), pack(cves_jsonl=line(row | {"product": "Q"}))
    assert [(c.what, c.kind, c.value) for c in diff(pack(), one)] == [("added", "cves", "CVE-2024-0001 [made-up]")]
    assert [(c.what, c.kind) for c in diff(one, pack())] == [("removed", "cves")]
    assert [(c.what, c.kind) for c in diff(one, other)] == [("changed", "cves")]
    bare = pack_bytes("Test", 5, [], members(families=[f for f in json.loads(members()["families.json"])["families"] if f["id"] != "zzgang"]))
    assert {(c.what, c.kind, c.value) for c in diff(read_bytes(bare, "x"), pack())} == {
        ("added", "family", "zzgang"), ("added", "source", "made-up")}


def test_checksums_that_match_do_not_save_a_changed_pack(keys):
    # An attacker who mends the zip's CRC and the manifest still has no key.
    raw = made(keys["ours"][0])

    def change(held):
        held["families.json"] = held["families.json"].replace(b"ZZ Gang", b"QQ Gang", 1)
        manifest = json.loads(held["manifest.json"])
        manifest["members"]["families.json"]["sha256"] = hashlib.sha256(held["families.json"]).hexdigest()
        held["manifest.json"] = orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    with pytest.raises(KnowledgeError, match="signature is wrong"):
        read_bytes(rezipped(raw, change), "x")

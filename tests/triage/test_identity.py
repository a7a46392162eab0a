"""Encrypted files of a case: which are looked at whole, what is told of them, the same for any number of children."""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path

import pytest

from hikeshi.cli.main import main
from hikeshi.evidence.source import Source
from hikeshi.identify import Input, examine_input
from hikeshi.identify.encrypted import inspect_bytes
from hikeshi.knowledge.families import load_families
from hikeshi.report.blocks import draw_blocks
from hikeshi.report.words import Words
from hikeshi.triage.identity import SAMPLES, examine_all, identification, samples

CHANCE = random.Random(3)
FAMILIES = load_families()


def words(size: int) -> bytes:
    return " ".join(CHANCE.choices(["invoice", "amount", "total", "date", "name"], k=size // 5)).encode()[:size]


def chunked(data: bytes, chunk: int = 16384, skip: int = 49152) -> bytes:
    made = bytearray(data)
    for at in range(0, len(made), chunk + skip):
        made[at:at + chunk] = CHANCE.randbytes(min(chunk, len(made) - at))
    return bytes(made)


def docx() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(60):
            archive.writestr(f"word/p{number}.xml", bytes(CHANCE.choices(range(40, 120), k=20_000)))
    return made.getvalue()


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    contents = {
        "FS/a.xlsx.id[1E8B2C3D-2816].[x@example.com].zzz": CHANCE.randbytes(90_000),
        "FS/b.csv.zzz": chunked(words(600_000)), "FS/c.docx.zzz": chunked(docx()), "FS/d.txt": words(5000),
        "FS/e.jpg": b"\xff\xd8\xff\xe0" + CHANCE.randbytes(20_000), "FS/f.xlsx.zzz": CHANCE.randbytes(12_000),
    }
    found = []
    for number, (name, data) in enumerate(contents.items()):
        path = tmp_path / str(number)
        path.write_bytes(data)
        found.append(Source(path, name, f"{number:064}", len(data), "binary"))
    return found


def test_maps_are_the_same_for_any_number_of_children(sources):
    one, two = (examine_all(order, workers=n)[0] for n, order in ((1, sources), (2, sources[::-1])))
    assert one == two
    named = identification(one)
    assert [(e.path[3:9], e.pattern) for e in named.encryption] == [
        ("a.xlsx", "full"), ("b.csv.", "chunked"), ("c.docx", "chunked"), ("f.xlsx", "full")]
    table = named.encryption[1]
    assert (table.chunk, table.skip, table.lost_format, table.extension) == (16384, 49152, True, ".zzz")
    assert 0.2 < table.share < 0.3 and "E" in table.row and "P" in table.row and len(table.row) <= 64
    assert named.encryption[0].victim_id == "1E8B2C3D-2816"
    told = " ".join(text.en for text in named.recovery)
    assert "parts that aren't encrypted" in told and "pass their own check" in told and "Shadow" not in told
    assert "shadow copies" in told and "encrypted throughout" not in told
    assert "recover" not in told.replace("recovery", "")  # nothing is promised


def test_intact_files_have_no_map_and_nothing_to_recover(sources):
    examined, _ = examine_all([s for s in sources if ".zzz" not in s.name], workers=1)
    named = identification(examined)
    assert named.encryption == () and named.recovery == ()


def test_samples_take_turns_among_kinds_largest_first():
    facts = [examine_input(Input(f"{n:03}.{kind}.zzz", sha256=f"{kind}{n}", facts=inspect_bytes(
        f"{n:03}.{kind}.zzz", 10_000 + n, CHANCE.randbytes(8192), b"", b"", sha256=f"{kind}{n}")), FAMILIES)
        for kind in ("docx", "pdf") for n in range(50)]
    chosen = samples(facts)
    assert len(chosen) == SAMPLES and chosen == samples(facts[::-1])
    assert sorted(chosen) == sorted(f"{n:03}.{kind}.zzz" for kind in ("docx", "pdf") for n in range(44, 50))


def test_json_lines_tell_the_pattern(sources, tmp_path, capsysbinary):
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "b.csv.zzz").write_bytes(chunked(words(400_000)))
    main(["identify", str(folder), "--json"])
    line = json.loads(capsysbinary.readouterr().out.splitlines()[0])
    assert line["encryption"]["pattern"] == "chunked" and line["encryption"]["chunk"] == 16384


def test_the_picture_says_the_same_and_escapes_names(sources):
    named = identification(examine_all(sources, workers=1)[0])
    from dataclasses import replace

    hostile = replace(named.encryption[1], path="FS/<script>.csv")
    svg = draw_blocks([*named.encryption, hostile], Words("en"))
    assert svg.count("at regular steps 25%") + svg.count("at regular steps 26%") >= 1 and "&lt;script&gt;" in svg and "<script>" not in svg
    assert "whole file 100%" in svg and 'role="img"' in svg
    assert draw_blocks([], Words("en")) == ""


OWNED = {
    "a.kdbx": b"\x03\xd9\xa2\x9a\x67\xfb\x4b\xb5", "b.img": b"LUKS\xba\xbe\0\x02", "c.gpg": b"\x85\x02\x0c", "d.age": b"age-encryption.org/v1\n",
    "e.7z": b"7z\xbc\xaf\x27\x1c", "f.zip": b"PK\x03\x04\x14\0\x01\0", "g.sql.gz": b"\x1f\x8b\x08\0", "h.dump": b"PGDMP\x01\x0e",
    "i.bin": b"Salted__", "j.hc": b"", "k.lz4": b"\x04\x22\x4d\x18", "l.sql.zst": b"\x28\xb5\x2f\xfd", "m.vhd": b"\xeb\x58\x90-FVE-FS-",
    "n.asc": b"-----BEGIN PGP MESSAGE-----\n", "o.br": b"", "p.axx": b"\xc0\xb9\x07\x2e\x4f\x93\xf1\x46",
}


@pytest.mark.parametrize("name", OWNED)
def test_what_its_owner_encrypted_or_packed_is_not_taken_for_ransomware(name):
    data = OWNED[name] + CHANCE.randbytes(60_000)
    facts = inspect_bytes(name, len(data), data[:32768], b"", data[-16384:])
    assert not facts.is_encrypted
    # The near miss: what was added to such a name, over uniform bytes, is ransomware's.
    noise = CHANCE.randbytes(60_000)
    assert inspect_bytes(f"report.docx.{name[0]}zzz9", len(noise), noise[:32768], b"", noise[-16384:]).state == "encrypted"


def test_a_fixed_disk_image_is_told_by_its_end():
    data = bytes(512) + CHANCE.randbytes(60_000) + b"conectix" + bytes(504)
    assert inspect_bytes("disk.vhd", len(data), data[:32768], b"", data[-16384:]).state == "untouched"
    assert inspect_bytes("disk.vhd.zzz", 60_000, data[512:33280], b"", data[600:16984]).state == "encrypted"

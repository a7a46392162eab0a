"""Which files are encrypted, which are only compressed, and how encrypted ones were renamed."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
import zlib
from pathlib import Path

import pytest

from hikeshi.errors import InputError
from hikeshi.identify import inspect_file
from hikeshi.identify.encrypted import inspect_bytes, split_name
from hikeshi.identify.engine import common_footer

random.seed(7)
WORDS = [bytes(random.choices(b"abcdefghijklmnopqrstuvwxyz", k=random.randint(2, 9))) for _ in range(500)]


def prose(size: int) -> bytes:
    out = bytearray()
    while len(out) < size:
        out += random.choice(WORDS) + b" "
    return bytes(out[:size])


def noise(size: int) -> bytes:
    return random.randbytes(size)


def docx(size: int = 60_000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", prose(size))
        archive.writestr("word/media/image1.jpg", noise(size // 2))
    return buffer.getvalue()


PLAIN = {
    "report.docx": docx(), "book.xlsx": docx(90_000), "backup.zip": docx(200_000), "scan.pdf": b"%PDF-1.7\n" + noise(50_000),
    "photo.jpg": b"\xff\xd8\xff\xe0" + noise(80_000), "video.mp4": b"\0\0\0\x18ftypmp42" + noise(90_000),
    "log.gz": gzip.compress(prose(200_000)), "data.7z": b"7z\xbc\xaf\x27\x1c" + noise(40_000), "old.doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + prose(40_000),
    "notes.txt": prose(20_000), "table.csv": b"a,b,c\n1,2,3\n" * 900, "short.txt": b"hello\n", "page.html": b"<html>" + prose(900),
    "japanese.txt": "復旧の手順を書いたファイルです。\n".encode("cp932") * 40, "image.png": b"\x89PNG\r\n\x1a\n" + noise(30_000),
    "stream.bin": zlib.compress(prose(300_000)), "zeros.bin": bytes(40_000), "ramp.log": bytes(range(256)) * 80, "music.mp3": b"ID3\x04" + noise(60_000),
}


def look(tmp_path: Path, name: str, data: bytes):
    path = tmp_path / "file"
    path.write_bytes(data)
    return inspect_file(path, name)


@pytest.mark.parametrize("name", PLAIN)
def test_an_ordinary_file_is_not_taken_for_an_encrypted_one(tmp_path, name):
    assert not look(tmp_path, name, PLAIN[name]).is_encrypted


@pytest.mark.parametrize("name", ["report.docx", "scan.pdf", "notes.txt", "photo.jpg", "table.csv"])
def test_the_same_file_wholly_encrypted_and_renamed_is_recognised(tmp_path, name):
    facts = look(tmp_path, f"FS-01/D/{name}.qwertz", noise(len(PLAIN[name])))
    assert (facts.state, facts.original, facts.added, facts.extension) == ("encrypted", name, ".qwertz", ".qwertz")
    assert facts.pattern == "full"


def test_a_file_encrypted_under_its_own_name_has_lost_its_format(tmp_path):
    assert look(tmp_path, "report.docx", noise(40_000)).state == "encrypted"


def test_only_the_head_encrypted_is_seen_as_such(tmp_path):
    facts = look(tmp_path, "mail.log.zzlock", noise(32_768) + prose(300_000))
    assert facts.is_encrypted
    assert facts.pattern == "head"
    assert facts.blocks.split("|")[0] == "EEEEEEEE"


def test_intermittent_encryption_is_seen_as_such(tmp_path):
    data = b"".join((noise(4096) if i % 2 else prose(4096)) if i else noise(4096) for i in range(100))
    facts = look(tmp_path, "mail.log.zzlock", data)
    assert facts.is_encrypted
    assert facts.pattern == "intermittent"


def test_a_skipped_head_does_not_hide_the_rest(tmp_path):
    assert look(tmp_path, "mail.log.zzlock", prose(8192) + noise(300_000)).is_encrypted
    assert look(tmp_path, "mail.log.zzlock", prose(40_000) + noise(300_000)).is_encrypted
    assert look(tmp_path, "mail.log.zzlock", prose(340_000)).state == "untouched"


def test_an_intact_file_with_an_odd_name_is_untouched(tmp_path):
    assert look(tmp_path, "report.docx.zzlock", docx()).state == "untouched"


def test_a_container_encrypted_by_its_owner_is_untouched(tmp_path):
    assert look(tmp_path, "secret.tar.enc", b"Salted__" + noise(40_000)).state == "untouched"


@pytest.mark.parametrize(("name", "original", "added"), [
    ("report.xlsx.lockbit", "report.xlsx", ".lockbit"),
    ("a.b.pdf.id[1A2B3C4D-3483].[someone@mail.example].8base", "a.b.pdf", ".id[1A2B3C4D-3483].[someone@mail.example].8base"),
    ("data.sql[ID-aB3dE6].zz", "data.sql", "[ID-aB3dE6].zz"),
    ("report.xlsx", "report.xlsx", ""),
    ("backup.tar.gz", "backup.tar.gz", ""),
    ("access.log.2026-11-01.gz", "access.log.2026-11-01.gz", ""),
    ("jquery.min.js", "jquery.min.js", ""),
    (".bashrc", ".bashrc", ""),
    ("", "", ""),
])
def test_what_was_put_behind_a_name_is_split_off(name, original, added):
    assert split_name(name) == (original, added)


def test_the_victims_id_and_the_address_in_a_name_are_read():
    facts = inspect_bytes("C/a.pdf.id[1A2B3C4D-3483].[Someone@Mail.example].faust", 9000, noise(9000))
    assert facts.victim_id == "1A2B3C4D-3483"
    assert facts.emails == ("someone@mail.example",)
    assert facts.extension == ".faust"


def test_a_marker_is_found_only_at_its_place():
    assert inspect_bytes("a.doc.wncry", 9000, b"WANACRY!" + noise(8992)).markers == (("wannacry", "WANACRY!"),)
    assert inspect_bytes("a.doc.wncry", 9000, b"x" + b"WANACRY!" + noise(8991)).markers == ()


def test_a_common_footer_needs_three_files_of_different_content():
    footer = b"\x01\x02FOOTER\x03"
    files = [inspect_bytes(f"{i}.doc.zz", 9000, noise(8000) + footer) for i in range(4)]
    assert common_footer(files) == footer
    assert common_footer(files[:2]) == b""
    assert common_footer([inspect_bytes(f"{i}.doc.zz", 9000, noise(8000)) for i in range(4)]) == b""


def test_a_look_reads_no_more_than_64_kib(tmp_path, monkeypatch):
    path = tmp_path / "large.vmdk"
    with path.open("wb") as file:
        file.truncate(5 * 2**30)
    read = 0
    original = Path.open

    def counting(self, *args, **kwargs):
        file = original(self, *args, **kwargs)
        inner = file.read

        class Counting:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def seek(self, *a):
                return file.seek(*a)

            def read(self, n):
                nonlocal read
                data = inner(n)
                read += len(data)
                return data

        return Counting()

    monkeypatch.setattr(Path, "open", counting)
    assert inspect_file(path, "large.vmdk").size == 5 * 2**30
    assert 0 < read <= 65536


def test_a_file_that_vanished_is_an_input_error(tmp_path):
    with pytest.raises(InputError) as caught:
        inspect_file(tmp_path / "gone", "FS-01/gone")
    assert caught.value.source is not None
    assert caught.value.source.path == "FS-01/gone"


OWNED = {
    "safe.hc": lambda: noise(300_000), "safe.tc": lambda: noise(300_000), "mail.gpg": lambda: b"\x85\x01\x0c\x03" + noise(90_000),
    "report.docx.gpg": lambda: b"\x85\x01\x0c\x03" + noise(90_000), "note.asc": lambda: b"-----BEGIN PGP MESSAGE-----\n\n" + noise(9000).hex().encode(),
    "locked.zip": lambda: b"PK\x03\x04\x14\0\x01\0\x63\0" + bytes(20) + b"a.txt" + noise(90_000),
    "disk-flat.vmdk": lambda: bytes(65_536) + prose(40_000) + bytes(131_072) + noise(9000) + bytes(65_536),
    "disk.vhd": lambda: noise(20_000) + bytes(90_000) + b"conectix" + bytes(504), "movie.mp4": lambda: b"\0\0\0\x14ftypisom\0\0\x02\0isom" + noise(90_000),
    "app.db-wal": lambda: b"\x37\x7f\x06\x82" + bytes(28) + prose(60_000),
}


@pytest.mark.parametrize("name", OWNED)
def test_what_its_owner_encrypted_or_left_empty_is_not_taken_for_attacked(tmp_path, name):
    assert not look(tmp_path, name, OWNED[name]()).is_encrypted


@pytest.mark.parametrize("size", [1, 20, 255, 256, 300, 511])
@pytest.mark.parametrize("name", ["a.txt", "a.jpg", "a.dat", "a"])
def test_tiny_files_under_their_own_names_are_not_either(tmp_path, name, size):
    start = b"\xff\xd8\xff" if name == "a.jpg" else b""
    data = start + noise(size) if name != "a.txt" else prose(size)
    assert not look(tmp_path, name, data[:max(size, 3)]).is_encrypted


def test_the_same_container_under_an_added_name_is(tmp_path):
    # A container without a sign, renamed, and a file encrypted whole: nobody can tell these apart.
    assert look(tmp_path, "safe.hc.zzzlock", noise(300_000)).is_encrypted

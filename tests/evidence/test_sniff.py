from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from hikeshi.evidence.sniff import Sniffed, sniff

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
LOG = b"2026-01-02T03:04:05Z host sshd[1]: Accepted password for root from 192.0.2.1\n" * 30
CHUNK = b"ElfChnk\0" + b"\1" * (65536 - 8)
GIB = 2**30


def sniffed(tmp_path: Path, data: bytes, name: str = "file.bin") -> Sniffed:
    path = tmp_path / name
    path.write_bytes(data)
    return sniff(path)


def zip_with(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 100)
    return out.getvalue()


def tar_with(kind: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        entry = tarfile.TarInfo("a")
        entry.size = len(LOG)
        archive.addfile(entry, io.BytesIO(LOG))
    return out.getvalue()


@pytest.mark.parametrize(("data", "kind"), [
    (b"", "empty"),
    (LOG, "text"),
    (b"ElfFile\0" + b"\0" * 4088 + CHUNK, "evtx"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + b"\0\1\2" * 99, "pdf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "office"),
    (zip_with("[Content_Types].xml", "word/document.xml"), "office"),
    (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "image"),
    (b"\xff\xd8\xff\xe0" + b"\0" * 50, "image"),
    (b"MZ" + b"\0" * 58 + (64).to_bytes(4, "little") + b"PE\0\0" + b"\0" * 60, "executable"),
    (b"\x7fELF\2\1\1" + b"\0" * 60, "executable"),
    (b"SQLite format 3\0" + b"\0" * 90, "database"),
    (b"\1\2\3\4\xef\xcd\xab\x89" + b"\0" * 90, "database"),
    (random.Random(1).randbytes(50_000), "binary"),
    (bytes(range(256)) * 10, "binary"),
])
def test_the_content_decides_and_not_the_name(tmp_path: Path, data: bytes, kind: str) -> None:
    for name in ("Security.evtx", "access.log", "picture.png", "noext"):
        assert sniffed(tmp_path, data, name).kind == kind


@pytest.mark.parametrize(("data", "container"), [
    (zip_with("a.log"), "zip"), (zip_with(), "zip"), (gzip.compress(LOG), "gzip"),
    (b"7z\xbc\xaf\x27\x1c\0\4" + b"\0" * 24, "7z"), (b"\xfd7zXZ\0\0\4" + b"\0" * 20, "xz"),
    (b"BZh91AY&SY" + b"\0" * 20, "bzip2"), (tar_with(tarfile.GNU_FORMAT), "tar"), (tar_with(tarfile.PAX_FORMAT), "tar"),
    (b"Rar!\x1a\x07\1\0" + b"\0" * 20, "rar"), (b"\x20\x00-lh5-" + b"\0" * 20, "lha"),
])
def test_archives_are_told_apart(tmp_path: Path, data: bytes, container: str) -> None:
    found = sniffed(tmp_path, data, "x.txt")
    assert (found.kind, found.container) == ("archive", container)


@pytest.mark.parametrize("text", [
    b"MZ is how this note begins, and nothing more", b"BZh is no archive\n", b"PKzip was here\n", b"BM: a bookmark\n",
    b"RIFF on a theme\n", b"regular text\n", b"x" * 257 + b"ustarr is not at the right place\n"])
def test_text_that_resembles_a_magic_number_is_text(tmp_path: Path, text: bytes) -> None:
    assert sniffed(tmp_path, text).kind == "text"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp932", "euc_jp", "iso2022_jp"])
def test_text_carries_its_encoding(tmp_path: Path, encoding: str) -> None:
    text = "2026/01/02 ログオンに失敗しました 利用者=山田\r\n" * 20
    found = sniffed(tmp_path, text.encode(encoding))
    assert found.kind == "text" and found.encoding
    assert (tmp_path / "file.bin").read_bytes().decode(found.encoding).lstrip("\ufeff") == text


def test_a_log_with_pages_of_zeros_in_it_or_behind_it_is_text(tmp_path: Path) -> None:
    assert sniffed(tmp_path, LOG + b"\0" * 9000 + LOG).kind == "text"
    assert sniffed(tmp_path, LOG + b"\0" * 9000).encoding == "utf-8"
    assert sniffed(tmp_path, "メモ: 復号の方法\r\n".encode("utf-16-le") * 9 + b"\0" * 900).encoding == "utf-16-le"


def test_a_log_with_zeros_between_its_characters_is_not_text(tmp_path: Path) -> None:
    assert sniffed(tmp_path, b"\0".join([b"abc"] * 100) + b"\0\0\0" * 9).kind == "binary"


def test_an_event_log_with_a_damaged_header_or_first_chunk_is_an_event_log(tmp_path: Path) -> None:
    header = b"ElfFile\0" + b"\0" * 4088
    assert sniffed(tmp_path, header + b"\xaa" * 65536 + CHUNK).kind == "evtx"
    damaged = sniffed(tmp_path, b"\xee" * 4096 + b"\xaa" * 65536 + CHUNK)
    assert damaged.kind == "evtx" and damaged.problems
    assert sniffed(tmp_path, b"\xee" * 4096 + b"\xaa" * 65536 * 2).kind == "binary"


def test_an_event_log_cut_off_in_its_header_is_an_event_log(tmp_path: Path) -> None:
    assert sniffed(tmp_path, b"ElfFile\0" + b"\0" * 100).kind == "evtx"


def test_a_huge_hole_is_recognised_without_reading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "disk.log"
    with open(path, "wb") as out:
        out.truncate(5 * GIB)
    read = []
    real = os.read
    monkeypatch.setattr("hikeshi.evidence.sniff.os.read", lambda fd, n: read.append(n) or real(fd, n))
    assert sniff(path).kind == "sparse"
    assert sum(read) < 200 * 2**20


def test_zeros_on_disk_are_recognised_by_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("hikeshi.evidence.sniff.os.SEEK_DATA", raising=False)
    path = tmp_path / "zeros"
    with open(path, "wb") as out:
        out.truncate(5 * GIB)
    found = sniff(path)
    assert found.kind == "sparse" and found.problems


@pytest.mark.parametrize("place", [100_000, 3 * GIB])
def test_a_log_behind_a_hole_is_text(tmp_path: Path, place: int) -> None:
    path = tmp_path / "rotated.log"
    with open(path, "wb") as out:
        out.seek(place)
        out.write(LOG)
    assert sniff(path).kind == "text"


def test_a_sparse_disk_image_is_not_called_zeros(tmp_path: Path) -> None:
    path = tmp_path / "image"
    with open(path, "wb") as out:
        out.seek(GIB)
        out.write(random.Random(2).randbytes(100_000))
        out.truncate(2 * GIB)
    assert sniff(path).kind == "binary"


@pytest.mark.shared
def test_sample_event_logs_and_notes_are_recognised() -> None:
    if not SHARED.is_dir():
        pytest.skip("shared data not beside the checkout")
    logs = sorted((SHARED / "hostile" / "evtx").rglob("*.evtx"))
    assert logs and {sniff(path).kind for path in logs} == {"evtx"}
    notes = sorted((SHARED / "notes").glob("*.txt"))
    assert notes and {sniff(path).kind for path in notes} == {"text"}

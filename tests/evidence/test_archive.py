from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import random
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import py7zr
import pytest
from backports import zstd

from hikeshi.errors import DamagedInput, UnsupportedFormat
from hikeshi.evidence import reasons
from hikeshi.evidence.archive import ArchiveLimits, Unpacked, unpack
from hikeshi.evidence.member_names import decode_name, shown

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
MIB = 2**20
LIMITS = ArchiveLimits(total_bytes=200 * MIB, member_bytes=100 * MIB, entries=1000, ratio=250, ratio_from=MIB)
LOG = b"".join(b"%d GET /%x\n" % (n, zlib.crc32(b"%d" % n)) for n in range(5000))
NOISE = random.Random(7).randbytes(200_000)


def opened(tmp_path: Path, data: bytes, container: str, limits: ArchiveLimits = LIMITS, inner: str = "inner.log") -> Unpacked:
    """Unpack into tmp_path/out and check what must hold for any archive whatsoever."""
    box = tmp_path / "box"
    folder = box / "out"
    folder.mkdir(parents=True, exist_ok=True)
    path = tmp_path / "archive"
    path.write_bytes(data)
    result = unpack(path, container, folder, limits, inner_name=inner)
    assert [p.name for p in box.iterdir()] == ["out"]
    files = sorted(folder.iterdir())
    assert all(p.is_file() and not p.is_symlink() for p in files)
    assert sorted(m.file for m in result.members) == [p.name for p in files]
    assert result.total >= sum(m.size for m in result.members) == sum(p.stat().st_size for p in files)
    return result


def content(tmp_path: Path, result: Unpacked) -> dict[str, bytes]:
    return {m.name: (tmp_path / "box" / "out" / m.file).read_bytes() for m in result.members}


class Zip:
    """Writes zip files that zipfile refuses to write: every field is ours."""

    def __init__(self) -> None:
        self.data = b""
        self.central = b""
        self.count = 0

    def add(self, name: bytes, body: bytes, *, method: int = 0, size: int | None = None, crc: int | None = None,
            flags: int = 0, extra: bytes = b"", mode: int = 0, at: int | None = None, local_name: bytes | None = None,
            packed: int | None = None) -> Zip:
        raw = zlib.decompressobj(-15).decompress(body) if method == 8 else body
        size, crc = len(raw) if size is None else size, zlib.crc32(raw) if crc is None else crc
        packed = len(body) if packed is None else packed
        offset = len(self.data) if at is None else at
        local_name = name if local_name is None else local_name
        if at is None:
            self.data += struct.pack("<4s5H3I2H", b"PK\3\4", 20, flags, method, 0, 0, crc, packed, size, len(local_name),
                                     len(extra)) + local_name + extra + body
        self.central += struct.pack("<4s6H3I5H2I", b"PK\1\2", 3 << 8 | 20, 20, flags, method, 0, 0, crc, packed, size,
                                    len(name), len(extra), 0, 0, 0, mode << 16, offset) + name + extra
        self.count += 1
        return self

    def bytes(self, *, count: int | None = None, prefix: bytes = b"") -> bytes:
        count = self.count if count is None else count
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(self.central), len(self.data), 0)
        return prefix + self.data + self.central + end


def deflated(data: bytes) -> bytes:
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return machine.compress(data) + machine.flush()


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tar_of(entries: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for entry, data in entries:
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def tar_entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


def seven_zip_of(files: dict[str, bytes], **options: object) -> bytes:
    out = io.BytesIO()
    plain_header = options.pop("plain_header", False)
    with py7zr.SevenZipFile(out, "w", **options) as archive:  # type: ignore[arg-type]
        if plain_header:
            archive.set_encoded_header_mode(False)
        for name, data in files.items():
            archive.writestr(data, name)
    return out.getvalue()


FILES = {"a.log": LOG, "sub/b.bin": NOISE, "empty": b"", "日本語/記録.txt": "二行\n目".encode("cp932")}
WRITERS = {
    "zip": zip_of, "7z": seven_zip_of,
    "tar": lambda files: tar_of([(tar_entry(name), data) for name, data in files.items()]),
}


# ------------------------------------------------------------------------------ whole archives


@pytest.mark.parametrize("container", WRITERS)
def test_members_come_out_whole_with_hash_kind_and_name(tmp_path: Path, container: str) -> None:
    result = opened(tmp_path, WRITERS[container](FILES), container)
    assert content(tmp_path, result) == FILES
    assert not result.left_out and not result.problems and not any(m.problems for m in result.members)
    by_name = {m.name: m for m in result.members}
    assert by_name["a.log"].sniffed.kind == "text" and by_name["sub/b.bin"].sniffed.kind == "binary"
    assert by_name["日本語/記録.txt"].sniffed.encoding == "cp932" and by_name["empty"].sniffed.kind == "empty"
    assert all(m.sha256[:16] in m.file for m in result.members)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_methods(tmp_path: Path, method: int) -> None:
    assert content(tmp_path, opened(tmp_path, zip_of(FILES, method), "zip")) == FILES


@pytest.mark.parametrize(("container", "pack"), [("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress), ("zstd", zstd.compress)])
def test_single_files_of_one_or_several_streams(tmp_path: Path, container: str, pack) -> None:
    for data in (pack(LOG), pack(LOG[:999]) + pack(LOG[999:])):
        result = opened(tmp_path, data, container)
        assert content(tmp_path, result) == {"inner.log": LOG} and not result.members[0].problems
        (tmp_path / "box" / "out" / result.members[0].file).unlink()


@pytest.mark.parametrize(("container", "pack"), [("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress), ("zstd", zstd.compress)])
def test_a_cut_off_file_keeps_what_came_out(tmp_path: Path, container: str, pack) -> None:
    big = random.Random(8).randbytes(3 * MIB)
    data = pack(big)
    result = opened(tmp_path, data[:len(data) * 3 // 4], container)
    (member,) = result.members
    assert member.problems
    kept = content(tmp_path, result)["inner.log"]
    assert big.startswith(kept) and len(kept) >= len(big) // 8


def test_zip64_and_a_program_in_front_are_read(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", allowZip64=True) as archive, archive.open("big.log", "w", force_zip64=True) as member:
        member.write(LOG)
    assert content(tmp_path, opened(tmp_path, b"MZ program" * 100 + out.getvalue(), "zip")) == {"big.log": LOG}


def test_an_unknown_container_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormat):
        opened(tmp_path, b"Rar!", "rar")


# ------------------------------------------------------------------------------ names

HOSTILE_NAMES = [b"../../evil", b"/etc/evil", b"C:\\evil", b"..\\..\\evil", b"a/../../b", b"CON", b"x" * 3000, b"a\0b", b"a\nb",
                 "a\u202etxt.exe".encode(), b"dir./", b".", b"..", b"", b"-rf", b"~", b"\xff\xfe\xfd"]


def test_no_member_name_reaches_the_disk(tmp_path: Path) -> None:
    archive = Zip()
    for number, name in enumerate(HOSTILE_NAMES):
        archive.add(name, b"content %d" % number)
    result = opened(tmp_path, archive.bytes(), "zip")
    assert len(result.members) == len(HOSTILE_NAMES)  # "dir./" has content: it is kept
    assert {(tmp_path / "box" / "out" / m.file).read_bytes() for m in result.members} == {b"content %d" % n for n in range(len(HOSTILE_NAMES))}
    for member in result.members:
        assert len(member.name) <= 1024 and all(c.isprintable() for c in member.name)
    by_name = {m.name: m for m in result.members}
    assert by_name["../../evil"].problems and by_name["/etc/evil"].problems and by_name["C:/evil"].problems
    assert "a<U+202E>txt.exe" in by_name and "a<U+0000>b" in by_name and not by_name["CON"].problems


@pytest.mark.parametrize("container", ["tar", "7z"])
def test_traversal_in_other_formats_is_data_too(tmp_path: Path, container: str) -> None:
    names = ["../../evil", "/etc/evil", "ok", "a/../../b"]
    if container == "tar":
        data = tar_of([(tar_entry(name), name.encode()) for name in names])
    else:  # py7zr refuses to write such names: put them in place of others of the same length
        plain = {name: f"{n}" + "x" * (len(name) - 1) for n, name in enumerate(names)}
        data = seven_zip_of({p: n.encode() for n, p in plain.items()}, plain_header=True)
        for name, stand_in in plain.items():
            assert stand_in.encode("utf-16-le") in data
            data = data.replace(stand_in.encode("utf-16-le"), name.encode("utf-16-le"))
        data = fixed_7z_header(data)
    result = opened(tmp_path, data, container)
    assert content(tmp_path, result) == {name: name.encode() for name in names}
    assert [bool(m.problems) for m in sorted(result.members, key=lambda m: m.name)] == [True, True, True, False]


def fixed_7z_header(data: bytes) -> bytes:
    """The check sums of a 7z file whose header was edited."""
    offset, size = struct.unpack_from("<QQ", data, 12)
    crc = zlib.crc32(data[32 + offset:32 + offset + size])
    start = struct.pack("<QQI", offset, size, crc)
    return data[:8] + struct.pack("<I", zlib.crc32(start)) + start + data[32:]


@pytest.mark.parametrize(("raw", "options", "name"), [
    ("表示.txt".encode("cp932"), {}, "表示.txt"),  # its second byte is a backslash
    ("記録.log".encode(), {}, "記録.log"),
    ("記録.log".encode(), {"utf8_flag": True}, "記録.log"),
    ("記録.log".encode("cp932"), {"utf8_flag": True}, "記録.log"),  # the flag lies
    (b"caf\x82.txt", {}, "caf\u00e9.txt"),
    (b"x", {"extra": b"\x75\x70\x0e\0\1" + zlib.crc32(b"x").to_bytes(4, "little") + "日本語".encode()}, "日本語"),
    (b"x", {"extra": b"\x75\x70\x0e\0\1\0\0\0\0" + "日本語".encode()}, "x"),  # belongs to another name
    (b"x", {"extra": b"\x75\x70\xff\xff\1"}, "x"),
])
def test_names_are_decoded_as_they_were_meant(raw: bytes, options: dict, name: str) -> None:
    assert decode_name(raw, **options) == name


def test_names_are_shown_on_one_line_without_tricks() -> None:
    assert shown("a b\u3000c/日本.txt") == "a b\u3000c/日本.txt"
    assert shown("x\r\n\x1b[31m\u202e\u200b\ud800\ue000") == "x<U+000D><U+000A><U+001B>[31m<U+202E><U+200B><U+D800><U+E000>"
    assert len(shown("\0" * 5000)) <= 1024


def test_equal_names_are_both_kept(tmp_path: Path) -> None:
    result = opened(tmp_path, Zip().add(b"a", b"1").add(b"a", b"2").bytes(), "zip")
    assert [m.name for m in result.members] == ["a", "a"] and len({m.file for m in result.members}) == 2


# ------------------------------------------------------------------------------ links and devices


def test_links_and_devices_are_never_created(tmp_path: Path) -> None:
    data = Zip().add(b"link", b"/etc/passwd", mode=0o120777).add(b"fifo", b"", mode=0o010644).add(b"ok", b"1").bytes()
    result = opened(tmp_path, data, "zip")
    assert [m.name for m in result.members] == ["ok"]
    assert dict(result.left_out) == {"link": reasons.LINK, "fifo": reasons.SPECIAL}


def test_links_and_devices_in_tar_are_never_created(tmp_path: Path) -> None:
    data = tar_of([(tar_entry("sym", tarfile.SYMTYPE, "/etc"), b""), (tar_entry("sym/passwd"), b"inside"),
                   (tar_entry("hard", tarfile.LNKTYPE, "/etc/passwd"), b""), (tar_entry("dev", tarfile.CHRTYPE), b""),
                   (tar_entry("folder", tarfile.DIRTYPE), b"")])
    result = opened(tmp_path, data, "tar")
    assert content(tmp_path, result) == {"sym/passwd": b"inside"}
    assert dict(result.left_out) == {"sym": reasons.LINK, "hard": reasons.LINK, "dev": reasons.SPECIAL}


# ------------------------------------------------------------------------------ encryption


def test_encrypted_members_are_reported_and_the_others_read(tmp_path: Path) -> None:
    result = opened(tmp_path, Zip().add(b"secret", b"x" * 30, flags=1).add(b"aes", b"x" * 30, method=99).add(b"ok", b"1").bytes(), "zip")
    assert [m.name for m in result.members] == ["ok"]
    assert dict(result.left_out) == {"secret": reasons.ENCRYPTED, "aes": reasons.ENCRYPTED}


@pytest.mark.parametrize("hidden_names", [False, True])
def test_an_encrypted_7z_is_reported(tmp_path: Path, hidden_names: bool) -> None:
    result = opened(tmp_path, seven_zip_of({"a": LOG}, password="x", header_encryption=hidden_names), "7z")
    assert not result.members and [reason for _, reason in result.left_out] == [reasons.ENCRYPTED]


# ------------------------------------------------------------------------------ lies and damage


def test_lying_sizes_and_sums_are_said_and_the_content_kept(tmp_path: Path) -> None:
    archive = (Zip().add(b"small", deflated(LOG), method=8, size=10).add(b"huge", b"abc", size=2**31)
               .add(b"crc", b"abc", crc=1).add(b"ok", b"abc"))
    result = opened(tmp_path, archive.bytes(), "zip")
    assert content(tmp_path, result) == {"small": LOG, "huge": b"abc", "crc": b"abc", "ok": b"abc"}
    said = {m.name: " ".join(m.problems) for m in result.members}
    assert "size as 10" in said["small"] and "size as 2,147" in said["huge"] and "check sum" in said["crc"] and not said["ok"]


def test_two_names_for_one_entry_are_said(tmp_path: Path) -> None:
    result = opened(tmp_path, Zip().add(b"report.txt", b"1", local_name=b"trojan.exe").bytes(), "zip")
    assert result.members[0].name == "report.txt" and "two different names" in result.members[0].problems[0]


def test_a_damaged_member_keeps_its_beginning_and_the_others(tmp_path: Path) -> None:
    body = bytearray(deflated(NOISE + LOG))
    body[150_000:150_050] = b"\xff" * 50
    clean = zlib.crc32(NOISE + LOG)
    archive = Zip()
    archive.add(b"a", bytes(body), method=99, size=len(NOISE + LOG), crc=clean)
    data = archive.add(b"b", LOG).bytes().replace(struct.pack("<HH", 20, 0) + struct.pack("<H", 99), struct.pack("<HH", 20, 0) + struct.pack("<H", 8))
    result = opened(tmp_path, data, "zip")
    got = content(tmp_path, result)
    assert got["b"] == LOG and len(got["a"]) > 100_000 and got["a"][:100_000] == NOISE[:100_000]
    assert result.members[0].problems and not result.members[1].problems
    machine, reachable = zlib.decompressobj(-15), b""
    with contextlib.suppress(zlib.error):
        for byte in body:
            reachable += machine.decompress(bytes([byte]))
    assert got["a"] == reachable


def test_a_zip_without_its_directory_still_gives_its_members(tmp_path: Path) -> None:
    data = zip_of({"a.log": LOG, "b.log": LOG[:100], "c.log": NOISE})
    cut = data[:len(data) - len(data) // 3]
    result = opened(tmp_path, cut, "zip")
    got = content(tmp_path, result)
    assert got["a.log"] == LOG and got["b.log"] == LOG[:100] and NOISE.startswith(got["c.log"])
    assert "directory" in result.problems[0] and any(m.problems for m in result.members if m.name == "c.log")


def test_streamed_entries_without_sizes_are_found_without_the_directory(tmp_path: Path) -> None:
    class Unseekable(io.RawIOBase):
        data = b""

        def writable(self) -> bool:
            return True

        def write(self, more) -> int:
            self.data += bytes(more)
            return len(more)

    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:  # sizes follow the data
        archive.writestr("a.log", LOG)
        archive.writestr("b.log", LOG[::-1])
    data = out.data[:out.data.index(b"PK\1\2")]
    assert content(tmp_path, opened(tmp_path, data, "zip")) == {"a.log": LOG, "b.log": LOG[::-1]}


def test_a_directory_that_lies_about_its_length_is_said(tmp_path: Path) -> None:
    result = opened(tmp_path, Zip().add(b"a", b"1").bytes(count=9), "zip")
    assert len(result.members) == 1 and "announces 9 entries and has 1" in result.problems[0]


def test_offsets_into_nowhere_cost_only_their_entry(tmp_path: Path) -> None:
    result = opened(tmp_path, Zip().add(b"a", b"1").add(b"b", b"2", at=2**31).add(b"c", b"3", at=7).bytes(), "zip")
    assert [m.name for m in result.members] == ["a"]
    assert dict(result.left_out) == {"b": reasons.NO_DATA, "c": reasons.NO_DATA}


@pytest.mark.parametrize("container", ["zip", "7z", "tar", "gzip", "bzip2", "xz", "zstd"])
def test_any_damage_ends_in_a_result_or_a_clear_error(tmp_path: Path, container: str) -> None:
    single = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd.compress}
    data = single[container](LOG) if container in single else WRITERS[container](FILES)
    rng = random.Random(container)
    readable = 0
    for number in range(60):
        spoiled = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len(spoiled))
            spoiled[place:place + rng.randint(1, 4)] = rng.randbytes(rng.randint(0, 6))
        if number % 3 == 0:
            del spoiled[rng.randrange(len(spoiled)):]
        run = tmp_path / str(number)
        run.mkdir()
        try:
            result = opened(run, bytes(spoiled), container)
            readable += bool(result.members)
        except DamagedInput:
            continue
    assert readable


# ------------------------------------------------------------------------------ bombs


def test_a_bomb_is_stopped_by_its_ratio(tmp_path: Path) -> None:
    zeros = deflated(bytes(50 * MIB))
    result = opened(tmp_path, Zip().add(b"first.log", LOG).add(b"bomb", zeros, method=8).add(b"later", b"1").bytes(), "zip")
    assert [m.name for m in result.members] == ["first.log"]
    assert ("bomb", reasons.BOMB) in result.left_out and ("", reasons.BOMB) in result.left_out


@pytest.mark.parametrize(("container", "pack"), [("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress), ("zstd", zstd.compress)])
def test_a_single_file_bomb_is_stopped(tmp_path: Path, container: str, pack) -> None:
    result = opened(tmp_path, pack(bytes(60 * MIB)), container)
    assert not result.members and result.left_out[0] == ("inner.log", reasons.BOMB)
    assert result.total < 60 * MIB or container in ("xz", "zstd")


def test_a_7z_bomb_is_stopped(tmp_path: Path) -> None:
    result = opened(tmp_path, seven_zip_of({"ok": LOG, "bomb": bytes(60 * MIB)}), "7z")
    assert reasons.BOMB in dict(result.left_out).values() and "bomb" not in {m.name for m in result.members}


def test_a_log_that_packs_well_is_no_bomb(tmp_path: Path) -> None:
    log = b"".join(b"2026-01-02 03:04:%02d host app: the same message again and again %d\n" % (n % 60, n // 7) for n in range(200_000))
    result = opened(tmp_path, zip_of({"a.log": log}), "zip")
    assert content(tmp_path, result) == {"a.log": log}


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    body = deflated(bytes(900_000))
    archive = Zip().add(b"0", body, method=8)
    for n in range(1, 500):
        archive.add(b"%d" % n, body, method=8, at=0)
    result = opened(tmp_path, archive.bytes(), "zip", ArchiveLimits(200 * MIB, 100 * MIB, 1000, 10**9, MIB))
    assert len(result.members) == 1 and len(result.left_out) == 499
    assert {reason for _, reason in result.left_out} == {reasons.OVERLAP}


def test_entries_nested_in_each_other_are_refused(tmp_path: Path) -> None:
    """Each entry's stored data begins with the next entry's header, as in the flat bombs."""
    inner = Zip().add(b"in", LOG)
    outer = Zip().add(b"out", inner.data)
    outer.add(b"in", LOG, at=30 + 3)
    result = opened(tmp_path, outer.bytes(), "zip")
    assert [m.name for m in result.members] == ["out"] and result.left_out == (("in", reasons.OVERLAP),)


def test_the_limits_on_size_and_number_hold(tmp_path: Path) -> None:
    small = ArchiveLimits(total_bytes=25_000, member_bytes=10_000, entries=1000, ratio=250, ratio_from=MIB)
    noise = [NOISE[n * 9000:(n + 1) * 9000] for n in range(5)]
    result = opened(tmp_path, zip_of({"big": NOISE, **{f"{n}": d for n, d in enumerate(noise)}}), "zip", small)
    assert [m.name for m in result.members] == []  # what came out of "big" counts too
    assert ("big", reasons.too_large(10_000)) in result.left_out or ("big", reasons.TOTAL) in result.left_out
    for path in (tmp_path / "box" / "out").iterdir():
        path.unlink()
    result = opened(tmp_path, zip_of({f"{n}": d for n, d in enumerate(noise)}), "zip", small)
    assert [m.name for m in result.members] == ["0", "1"] and ("", reasons.TOTAL) in result.left_out
    for path in (tmp_path / "box" / "out").iterdir():
        path.unlink()
    few = ArchiveLimits(200 * MIB, MIB, 3, 250, MIB)
    result = opened(tmp_path, zip_of({f"{n}": b"x" for n in range(10)}), "zip", few)
    assert len(result.members) == 3 and result.left_out == (("", reasons.too_many(3)),)


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self, chunk: bytes) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("hikeshi.evidence.archive._Writer.write", full)
    result = opened(tmp_path, zip_of({"a": LOG}), "zip")
    assert result.left_out == (("", reasons.DISK_FULL),)


def test_two_hundred_thousand_entries_are_counted_in_little_time(tmp_path: Path) -> None:
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    central = entry * 200_000
    data = b"PK\3\4" + b"\0" * 40 + central + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65535, 65535, len(central), 44, 0)
    began = time.process_time()
    result = opened(tmp_path, data, "zip")
    assert any(reason == reasons.too_many(1000) for _, reason in result.left_out)
    assert time.process_time() - began < 60  # it does not read all of them


@pytest.mark.shared
def test_the_sample_archives_stay_inside(tmp_path: Path) -> None:
    folder = SHARED / "hostile" / "zip"
    if not folder.is_dir():
        pytest.skip("shared data not beside the checkout")
    archives = [*sorted(folder.rglob("*.zip")), *sorted(folder.rglob("*.tar"))]
    assert len(archives) >= 10
    for number, path in enumerate(archives):
        run = tmp_path / str(number)
        run.mkdir()
        result = opened(run, path.read_bytes(), path.suffix[1:])
        assert result.members or result.left_out
        if "traversal" in str(path):
            assert result.left_out or any(m.problems for m in result.members) or "relative0" in path.name

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from hikeshi.errors import InputError, OutputError
from hikeshi.evidence import reasons
from hikeshi.evidence.acquire import Acquired, AcquireLimits, Progress, acquire
from hikeshi.evidence.atomic import write_atomic
from hikeshi.evidence.manifest import manifest, write_manifest
from hikeshi.evidence.sandbox import Limits
from hikeshi.evidence.source import Source
from hikeshi.evidence.zone_notes import ZoneRule, zone_for
from hikeshi.model.evidence import EvidenceItem
from hikeshi.model.text import Text

LOG = b"2026-01-02T03:04:05Z host sshd[1]: Accepted password for root\n" * 20
MIB = 2**20
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX file types")


def zip_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    folder = tmp_path / "evidence"
    (folder / "sub").mkdir(parents=True)
    return folder


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def got(*paths: Path, work: Path, **options: object) -> Acquired:
    return acquire(list(paths), work, workers=2, **options)  # type: ignore[arg-type]


def names(acquired: Acquired) -> list[str]:
    return [s.name for s in acquired.sources]


# ------------------------------------------------------------------------------ files and folders


def test_a_folder_becomes_sources_sorted_by_name(evidence: Path, tmp_path: Path) -> None:
    files = {"b.log": LOG, "sub/a.evtx": b"ElfFile\0" + b"\0" * 5000, "empty": b"", "記録.txt": "ログオン失敗\n".encode("cp932")}
    fill(evidence, files)
    result = got(evidence, work=tmp_path / "work")
    assert names(result) == ["b.log", "empty", "sub/a.evtx", "記録.txt"]
    for source in result.sources:
        assert source.sha256 == hashlib.sha256(files[source.name]).hexdigest()
        assert source.size == len(files[source.name]) and source.path == evidence / source.name
    assert [(s.kind, s.encoding) for s in result.sources] == [("text", "utf-8"), ("empty", None), ("evtx", None), ("text", "cp932")]
    assert not result.not_read and not result.opened and result.protection


def test_single_files_and_several_folders(evidence: Path, tmp_path: Path) -> None:
    fill(evidence, {"x.log": LOG, "sub/x.log": LOG + b"2"})
    other = tmp_path / "other"
    fill(other, {"x.log": LOG})
    assert names(got(evidence / "x.log", work=tmp_path / "w")) == ["x.log"]
    assert names(got(evidence, other, work=tmp_path / "w")) == ["evidence/sub/x.log", "evidence/x.log", "other/x.log"]


def test_the_same_file_twice_is_listed_twice(evidence: Path, tmp_path: Path) -> None:
    fill(evidence, {"x.log": LOG})
    result = got(evidence / "x.log", evidence / "x.log", evidence / "x.log", work=tmp_path / "w")
    assert names(result) == ["x.log", "x.log#2", "x.log#3"] and len({s.sha256 for s in result.sources}) == 1


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.log can't be read"):
        got(tmp_path / "nothing.log", work=tmp_path / "w")


def test_an_empty_folder_is_empty(evidence: Path, tmp_path: Path) -> None:
    assert got(evidence, work=tmp_path / "w") == Acquired((), ())


@posix
def test_links_loops_and_special_files_are_named_and_not_followed(evidence: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_bytes(b"key")
    fill(evidence, {"x.log": LOG})
    (evidence / "to_file").symlink_to(outside)
    (evidence / "to_folder").symlink_to(tmp_path)
    (evidence / "sub" / "loop").symlink_to(evidence)
    (evidence / "broken").symlink_to("nowhere")
    os.mkfifo(evidence / "fifo")
    result = got(evidence, work=tmp_path / "w")
    assert names(result) == ["x.log"]
    assert dict(result.not_read) == {"to_file": reasons.LINK, "to_folder": reasons.LINK, "sub/loop": reasons.LINK,
                                     "broken": reasons.LINK, "fifo": reasons.SPECIAL}


@posix
def test_a_link_that_was_named_itself_is_followed(evidence: Path, tmp_path: Path) -> None:
    fill(evidence, {"x.log": LOG})
    (tmp_path / "link").symlink_to(evidence)
    assert names(got(tmp_path / "link", work=tmp_path / "w")) == ["x.log"]


@posix
def test_unreadable_places_are_named(evidence: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    fill(evidence, {"x.log": LOG, "y.log": LOG, "sub/z.log": LOG})
    (evidence / "y.log").chmod(0)
    (evidence / "sub").chmod(0)
    try:
        result = got(evidence, work=tmp_path / "w")
    finally:
        (evidence / "sub").chmod(0o700)
    assert names(result) == ["x.log"] and {name for name, _ in result.not_read} == {"y.log", "sub"}


@posix
def test_names_that_are_not_utf8_are_decoded(evidence: Path, tmp_path: Path) -> None:
    try:
        (evidence / os.fsdecode("記録.log".encode("cp932"))).write_bytes(LOG)
        (evidence / "a\nb\u202e").write_bytes(LOG)
    except OSError:
        pytest.skip("this file system wants UTF-8")
    result = got(evidence, work=tmp_path / "w")
    assert names(result) == ["a<U+000A>b<U+202E>", "記録.log"]
    assert all(s.path.read_bytes() == LOG for s in result.sources)


def test_a_work_folder_inside_the_evidence_is_passed_over(evidence: Path) -> None:
    fill(evidence, {"x.log": LOG, "a.zip": zip_of({"y.log": LOG})})
    first = got(evidence, work=evidence / "work")
    assert names(first) == ["a.zip!/y.log", "x.log"] and first.not_read == (("work", reasons.WORK_FOLDER),)
    assert got(evidence, work=evidence / "work") == first


def test_standard_input_is_kept_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(LOG))))
    result = got(Path("-"), work=tmp_path / "w")
    assert names(result) == ["stdin!/stdin.content"] and result.sources[0].path.read_bytes() == LOG
    assert result.opened[0].sha256 == hashlib.sha256((tmp_path / "w" / "stdin").read_bytes()).hexdigest()


def test_a_file_beyond_the_limit_and_files_beyond_the_number_are_named(evidence: Path, tmp_path: Path) -> None:
    fill(evidence, {"big": b"x" * 2000, "ok": LOG})
    result = got(evidence, work=tmp_path / "w", limits=AcquireLimits(file_bytes=1999))
    assert names(result) == ["ok"] and "larger than the 1,999 bytes" in result.not_read[0][1].en
    result = got(evidence, work=tmp_path / "w", limits=AcquireLimits(files=1))
    assert names(result) == ["big"] and result.not_read == (("ok", reasons.too_many(1)),)


def test_a_huge_sparse_file_is_recognised(evidence: Path, tmp_path: Path) -> None:
    with open(evidence / "disk.img", "wb") as out:
        out.truncate(5 * 2**30 if os.environ.get("HIKESHI_SLOW_TESTS") else 300 * MIB)
    (source,) = got(evidence, work=tmp_path / "w").sources
    assert source.kind == "sparse" and source.size == (evidence / "disk.img").stat().st_size


def test_progress_ends_at_the_total(evidence: Path, tmp_path: Path) -> None:
    fill(evidence, {f"{n}.log": LOG for n in range(5)})
    seen: list[Progress] = []
    got(evidence, work=tmp_path / "w", on_progress=seen.append)
    assert [p.done for p in seen] == [1, 2, 3, 4, 5] and {p.total for p in seen} == {5}
    assert seen[-1].bytes_done == seen[-1].bytes_total == 5 * len(LOG)


# ------------------------------------------------------------------------------ archives


def test_archives_within_archives_are_opened(evidence: Path, tmp_path: Path) -> None:
    inner = zip_of({"deep.log": LOG, "note.txt": "復号\n".encode("cp932")})
    fill(evidence, {"case.zip": zip_of({"logs/inner.zip": inner, "logs.tar.gz": gzip.compress(tar_of({"var/log/a": LOG}))}),
                    "mislabelled.log": gzip.compress(LOG), "x.tgz": gzip.compress(tar_of({"b": LOG + b"b"}))})
    result = got(evidence, work=tmp_path / "w")
    assert names(result) == [
        "case.zip!/logs.tar.gz!/logs.tar!/var/log/a", "case.zip!/logs/inner.zip!/deep.log",
        "case.zip!/logs/inner.zip!/note.txt", "mislabelled.log!/mislabelled.log.content", "x.tgz!/x.tar!/b"]
    assert result.sources[1].origin == "case.zip!/logs/inner.zip" and result.sources[2].encoding == "cp932"
    assert [s.name for s in result.opened] == ["case.zip", "case.zip!/logs.tar.gz", "case.zip!/logs.tar.gz!/logs.tar",
                                               "case.zip!/logs/inner.zip", "mislabelled.log", "x.tgz", "x.tgz!/x.tar"]
    for source in (*result.sources, *result.opened):
        assert hashlib.sha256(source.path.read_bytes()).hexdigest() == source.sha256
        assert source.path.is_relative_to(tmp_path / "w" / "unpacked") or source.origin is None


def test_nothing_lands_outside_the_work_folder(evidence: Path, tmp_path: Path) -> None:
    fill(evidence, {"evil.zip": zip_of({"../../../evil": b"1", "/tmp/hikeshi-evil": b"2", "..\\evil": b"3", "../../../evil2": b"4"}),
                    "evil.tar": tar_of({"../../evil": b"5", "/tmp/hikeshi-evil": b"6"})})
    before = sorted(p for p in tmp_path.rglob("*"))
    result = got(evidence, work=tmp_path / "w")
    after = sorted(p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "w"))
    assert after == before and not Path("/tmp/hikeshi-evil").exists()
    assert len(result.sources) == 6 and all(s.problems for s in result.sources)
    assert sorted(s.path.read_bytes() for s in result.sources) == [b"1", b"2", b"3", b"4", b"5", b"6"]


def test_equal_names_in_an_archive_are_numbered(evidence: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        fill(evidence, {"a.zip": zip_of({"x": b"0"})})
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for data in (b"1", b"2"):
                archive.writestr("x", data)
            archive.writestr("x#2", b"3")
    fill(evidence, {"a.zip": out.getvalue()})
    result = got(evidence, work=tmp_path / "w")
    assert {s.name: s.path.read_bytes() for s in result.sources} == {"a.zip!/x": b"1", "a.zip!/x#2": b"3", "a.zip!/x#3": b"2"}


def test_nesting_too_deep_is_named(evidence: Path, tmp_path: Path) -> None:
    data = LOG
    for _ in range(4):
        data = gzip.compress(data)
    fill(evidence, {"x.gz": data})
    result = got(evidence, work=tmp_path / "w", limits=AcquireLimits(depth=3))
    (source,) = result.sources
    assert source.kind == "archive" and result.not_read == ((source.name, reasons.TOO_DEEP),)
    assert names(got(evidence, work=tmp_path / "w", limits=AcquireLimits(depth=4)))[0].count("!/") == 4


def test_nested_bombs_stop_at_the_total(evidence: Path, tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(MIB)
    fill(evidence, {f"{n}.zip": zip_of({"noise": noise}) for n in range(6)})
    limits = AcquireLimits(total_bytes=3 * MIB + 100)
    results = [got(evidence, work=tmp_path / "w", limits=limits) for _ in range(3)]
    assert results[0] == results[1] == results[2]
    assert [s.kind for s in results[0].sources] == ["binary"] * 3 + ["archive"] * 3
    assert dict(results[0].not_read) == {f"{n}.zip": reasons.TOTAL for n in (3, 4, 5)}
    assert len(list((tmp_path / "w" / "unpacked").rglob("*-*"))) == 3
    bomb = bytes(400 * MIB)
    for _ in range(2):
        bomb = gzip.compress(bomb, 6)
    fill(evidence, {"bomb.gz": bomb})
    result = got(evidence / "bomb.gz", work=tmp_path / "w")
    assert reasons.BOMB in dict(result.not_read).values()


def test_an_archive_of_unknown_format_is_named_and_listed(evidence: Path, tmp_path: Path) -> None:
    fill(evidence, {"a.rar": b"Rar!\x1a\x07\1\0" + b"\0" * 50})
    result = got(evidence, work=tmp_path / "w")
    assert result.sources[0].kind == "archive" and result.not_read == (("a.rar", reasons.unknown_container("rar")),)


def test_an_archive_that_breaks_its_child_costs_only_itself(evidence: Path, tmp_path: Path) -> None:
    fill(evidence, {"a.7z": b"7z\xbc\xaf\x27\x1c\0\4" + b"\xff" * 60, "b.zip": zip_of({"x": LOG}), "c.log": LOG,
                    "huge.xz": b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\2\0\x21\1\x28" + b"\xff" * 40})
    result = got(evidence, work=tmp_path / "w", limits=AcquireLimits(child=Limits(cpu_s=20, memory_bytes=300 * MIB)))
    assert {"b.zip!/x", "c.log", "a.7z"} <= set(names(result))
    assert "a.7z" in dict(result.not_read)


def test_what_is_left_out_carries_the_members_name(evidence: Path, tmp_path: Path) -> None:
    data = bytearray(zip_of({"secret.log": LOG}))
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    fill(evidence, {"a.zip": bytes(data)})
    assert got(evidence, work=tmp_path / "w").not_read == (("a.zip!/secret.log", reasons.ENCRYPTED),)


def test_two_runs_and_any_number_of_workers_give_the_same(evidence: Path, tmp_path: Path) -> None:
    rng = random.Random(3)
    fill(evidence, {f"sub/{n}.log": LOG * rng.randint(1, 400) for n in range(20)})
    fill(evidence, {f"{n}.zip": zip_of({f"m{i}": rng.randbytes(rng.randint(0, 5000)) for i in range(8)}) for n in range(5)})
    results = [acquire([evidence], tmp_path / "w", workers=workers) for workers in (1, 2, 4)]
    assert results[0] == results[1] == results[2] and len(results[0].sources) == 60


# ------------------------------------------------------------------------------ notes


def test_the_notes_give_zones(evidence: Path, tmp_path: Path) -> None:
    fill(evidence, {"proxy/a.log": LOG, "fw.log": LOG, "other.log": LOG, "logs.zip": zip_of({"proxy/b.log": LOG}),
                    "notes.toml": b'zone = "+09:00"\n[[files]]\nglob = "*proxy/*"\nzone = "UTC"\n'
                                  b'[[files]]\nglob = "fw.log"\nzone = "Asia/Tokyo"\n'})
    zones = {s.name: s.zone_hint for s in got(evidence, work=tmp_path / "w").sources}
    assert zones == {"proxy/a.log": "UTC", "logs.zip!/proxy/b.log": "UTC", "fw.log": "Asia/Tokyo", "other.log": "+09:00",
                     "notes.toml": "+09:00"}


@pytest.mark.parametrize("notes", [b"zone = 'Mars/North'", b"zone = 9", b"[[files]]\nglob = 'x'", b"files = 3", b"not toml at all ]",
                                   b"\xff\xfe", b"a = " + b"[" * 5000, b"x" * 300_000, b"[[files]]\nglob = 3\nzone = 'UTC'"])
def test_notes_that_make_no_sense_are_named_and_ignored(evidence: Path, tmp_path: Path, notes: bytes) -> None:
    fill(evidence, {"a.log": LOG, "hikeshi.toml": notes})
    result = got(evidence, work=tmp_path / "w")
    assert all(s.zone_hint is None for s in result.sources) and len(result.sources) == 2
    assert result.not_read[0][0] == "hikeshi.toml" and "notes" in result.not_read[0][1].en


def test_without_notes_or_with_other_settings_there_is_no_zone(evidence: Path, tmp_path: Path) -> None:
    fill(evidence, {"a.log": LOG, "notes.toml": b"client = 'x'\n", "sub/notes.toml": b"zone = 'UTC'\n"})
    result = got(evidence, work=tmp_path / "w")
    assert all(s.zone_hint is None for s in result.sources) and not result.not_read


def test_the_last_rule_that_fits_counts() -> None:
    rules = [ZoneRule("*", "UTC"), ZoneRule("*.log", "+09:00"), ZoneRule("b/*", "-05:00")]
    assert [zone_for(n, rules) for n in ("a.txt", "x/a.log", "b/a.log")] == ["UTC", "+09:00", "-05:00"]
    assert zone_for("a", []) is None


# ------------------------------------------------------------------------------ manifest


def test_the_manifest_lists_everything_and_what_was_not_understood(tmp_path: Path) -> None:
    items = [EvidenceItem("b.log", "1" * 64, 10, format="squid", zone="UTC", records=5),
             EvidenceItem("a.bin", "2" * 64, 20), EvidenceItem("c.log", "3" * 64, 5, format="syslog", rejected=2),
             EvidenceItem("z.zip!/d", "4" * 64, 5, origin="z.zip", format="evtx")]
    opened = [Source(Path("x"), "z.zip", "5" * 64, 99, problems=("cut off",))]
    content = manifest(items, not_read=[("x", Text("理由", "why"))], opened=opened, protection="process")
    assert [e["path"] for e in content["evidence"]] == ["a.bin", "b.log", "c.log", "z.zip!/d"]
    assert content["not_understood"] == ["a.bin", "c.log"] and content["bytes"] == 40
    assert content["archives"] == [{"path": "z.zip", "sha256": "5" * 64, "size": 99, "problems": ["cut off"]}]
    assert content["not_read"] == [{"path": "x", "reason": {"ja": "理由", "en": "why"}}]
    write_manifest(tmp_path / "manifest.json", content)
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8")) == content


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.json"
    write_atomic(target, "first あ\n")
    assert target.read_bytes() == "first あ\n".encode()
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="No space left"):
        write_atomic(target, b"second")
    assert target.read_bytes() == "first あ\n".encode() and [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_the_file_is_on_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append("rename"), replace(self, to))[1])
    write_atomic(tmp_path / "a", b"x")
    assert order == (["fsync", "rename", "fsync"] if os.name == "posix" else ["fsync", "rename"])


@posix
def test_a_written_file_is_as_readable_as_others(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    write_atomic(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode
    (tmp_path / "a").chmod(0o600)
    write_atomic(tmp_path / "a", b"y")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_an_output_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_atomic(tmp_path / "no" / "a", b"x")

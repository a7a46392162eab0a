"""The pack: an ordinary tar, the same bytes from any place on, names and times kept, nothing left behind."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import tarfile

import pytest

from hikeshi.errors import InputError
from hikeshi.evidence.archive import ArchiveLimits, unpack
from hikeshi.remote.pack import MANIFEST, plan

FILES = {"Security.evtx": os.urandom(70_000), "メモ/身代金.txt": "支払え".encode(), "空.log": b"", "a/b/c/deep.bin": b"x" * 512,
         "n" * 120 + ".log": b"long name"}


@pytest.fixture
def evidence(tmp_path):
    folder = tmp_path / "証拠"
    for number, (name, content) in enumerate(FILES.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(0, 1_700_000_000_123_456_789 + number))
    return folder


def whole(pack) -> bytes:
    return b"".join(pack.read(0, pack.size))


def test_it_is_a_tar_with_names_times_and_a_manifest(evidence):
    pack = plan([evidence])
    content = whole(pack)
    assert len(content) == pack.size and hashlib.sha256(content).hexdigest() == pack.sha256 and pack.files == len(FILES)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        names = {member.name: member for member in archive if member.isfile()}
        for number, (name, kept) in enumerate(FILES.items()):
            member = names[f"証拠/{name}"]
            assert archive.extractfile(member).read() == kept
            assert member.pax_headers["mtime"] == f"1700000000.{123_456_789 + number:09d}"
        lines = [json.loads(line) for line in archive.extractfile(MANIFEST).read().splitlines()]
    assert {line["name"]: line["sha256"] for line in lines} == {
        f"証拠/{name}": hashlib.sha256(kept).hexdigest() for name, kept in FILES.items()}


def test_the_desk_s_own_reader_opens_it(evidence, tmp_path):
    path, out = tmp_path / "sent.tar", tmp_path / "out"
    path.write_bytes(whole(plan([evidence])))
    out.mkdir()
    opened = unpack(path, "tar", out, ArchiveLimits(1 << 30, 1 << 30, 1000, 1000, 1 << 30), inner_name="sent.tar")
    assert {hashlib.sha256(kept).hexdigest() for kept in FILES.values() if kept} <= {
        hashlib.sha256(file.read_bytes()).hexdigest() for file in out.rglob("*") if file.is_file()}
    assert not opened.problems


def test_from_any_place_on_the_bytes_are_the_same(evidence):
    pack, chance = plan([evidence]), random.Random(7)
    content = whole(pack)
    assert plan([evidence]).sha256 == pack.sha256
    places = [0, 1, 511, 512, pack.size - 1, pack.size, *(chance.randrange(pack.size) for _ in range(60))]
    for start in places:
        length = chance.randrange(1, 90_000)
        assert b"".join(pack.read(start, length)) == content[start:start + length]


def test_several_sources_of_one_name_stay_apart(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.log").write_text(name)
    pack = plan([tmp_path / "a" / "x.log", tmp_path / "b" / "x.log"])
    with tarfile.open(fileobj=io.BytesIO(whole(pack))) as archive:
        assert sorted(archive.getnames()) == [MANIFEST, "x.log", "x.log-2"]


def test_links_and_devices_are_left_out(evidence):
    (evidence / "link").symlink_to("/etc/passwd")
    os.mkfifo(evidence / "pipe")
    with tarfile.open(fileobj=io.BytesIO(whole(plan([evidence])))) as archive:
        assert not [name for name in archive.getnames() if "link" in name or "pipe" in name]


def test_a_file_that_changes_in_between_is_told_by_its_name(evidence):
    pack = plan([evidence])
    with (evidence / "Security.evtx").open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match=r"changed.*Security\.evtx"):
        whole(pack)


def test_an_empty_folder_is_a_pack_too(tmp_path):
    (tmp_path / "empty").mkdir()
    pack = plan([tmp_path / "empty"])
    assert pack.files == 0 and len(whole(pack)) == pack.size

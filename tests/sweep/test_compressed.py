"""Compressed logs give what the plain one gives; what is broken gives what came before, and says so."""

import bz2
import gzip
import lzma
import random

import pytest
from backports import zstd

from hikeshi.indicators.lists import from_values
from hikeshi.triage.sweep import sweep_evidence

PACKERS = {"gz": gzip.compress, "bz2": lambda data: bz2.compress(data, 1), "xz": lzma.compress, "zst": zstd.compress}


def log(lines: int) -> bytes:
    chance = random.Random(6)
    return "".join(f"{1726000000 + n}.000 {chance.randrange(900)} 10.1.{chance.randrange(9)}.{chance.randrange(250)} TCP_MISS/200 "
                   f"{chance.randrange(9999)} GET http://{'c2.evil.example' if n % 50 == 7 else f'h{chance.randrange(10**9)}.test'}/{n} u1 "
                   f"HIER_DIRECT/192.0.2.7 -\n" for n in range(lines)).encode()


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    data = log(5_000)
    (folder / "plain.log").write_bytes(data)
    for name, pack in PACKERS.items():
        whole = pack(data)
        (folder / f"whole.log.{name}").write_bytes(whole)
        (folder / f"joined.log.{name}").write_bytes(pack(data[:77_777]) + pack(data[77_777:]))
        (folder / f"cut.log.{name}").write_bytes(whole[:-len(whole) // 3])
        (folder / f"tail.log.{name}").write_bytes(whole + b"and something else")
    # The quickest to make; all kinds are in tests/evidence/test_archive.py.
    (folder / "bomb.log.zst").write_bytes(zstd.compress(data + bytes(300 << 20)))
    return sweep_evidence([folder], from_values(["evil.example"]), zone="UTC")


def answers(result, file):
    return {(s.indicator, s.role, s.client, s.first_seen, s.last_seen, s.count, s.lines) for s in result.sightings if s.file == file}


@pytest.mark.parametrize("kind", PACKERS)
def test_whole_and_joined_files_and_those_with_a_tail_give_what_the_plain_log_gives(result, kind):
    plain = answers(result, "plain.log")
    assert sum(a[5] for a in plain) == 100
    for name in ("whole", "joined", "tail"):
        assert answers(result, f"{name}.log.{kind}!/{name}.log") == plain, name


@pytest.mark.parametrize("kind", PACKERS)
def test_a_cut_file_gives_the_lines_that_came_out(result, kind):
    wanted = {line for a in answers(result, "plain.log") for line in a[6]}
    got = {line for a in answers(result, f"cut.log.{kind}!/cut.log") for line in a[6]}
    assert got and got < wanted and max(got) < min(wanted - got)


def test_a_bomb_is_left_out_and_named(result):
    assert not answers(result, "bomb.log.zst!/bomb.log")
    assert any("bomb.log.zst" in item.path for item in result.not_read)

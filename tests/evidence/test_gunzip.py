"""A gzip stream unpacked quickly and by zlib alone: the same bytes and the same sentences, whatever is wrong with it."""

from __future__ import annotations

import gzip
import io
import random

import pytest

from hikeshi.evidence import gunzip

TEXT = b"".join(b"%d 10.0.0.%d GET http://host%d.example/%d\n" % (n * 7919, n % 250, n % 97, n) for n in range(60_000))


def unpacked(data, monkeypatch, *, quick=True):
    problems = []
    with monkeypatch.context() as patch:
        if not quick:
            patch.setattr(gunzip, "quick", None)
        return b"".join(gunzip.gunzip_chunks(io.BytesIO(data), problems)), problems


def same(data, monkeypatch):
    fast, plain = unpacked(data, monkeypatch), unpacked(data, monkeypatch, quick=False)
    assert fast == plain
    return fast


@pytest.fixture(autouse=True)
def quick_one():
    if gunzip.quick is None:
        pytest.skip("ISA-L is not for this machine")


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_sound_streams(monkeypatch, level):
    data = gzip.compress(TEXT, level)
    assert same(data, monkeypatch) == (TEXT, [])
    assert same(data + gzip.compress(b"second", level) + b"\0" * 512, monkeypatch) == (TEXT + b"second", [])
    assert same(data + b"trailing", monkeypatch)[1]
    assert same(gzip.compress(b"", level), monkeypatch) == (b"", [])


def test_cut_anywhere(monkeypatch):
    data = gzip.compress(TEXT, 6)
    for end in [*range(0, 40), *random.Random(1).sample(range(len(data)), 25), len(data) - 1, len(data) - 8, len(data) - 9]:
        same(data[:end], monkeypatch)


def test_damaged_anywhere(monkeypatch):
    data, chance = gzip.compress(TEXT, 6), random.Random(2)
    for _ in range(60):
        broken = bytearray(data)
        for _ in range(chance.randrange(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        same(bytes(broken), monkeypatch)


def test_damage_in_the_second_of_three_members(monkeypatch):
    middle = bytearray(gzip.compress(TEXT, 6))
    middle[len(middle) // 2] ^= 0xFF
    whole, problems = same(gzip.compress(b"first") + bytes(middle) + gzip.compress(b"third"), monkeypatch)
    assert whole.startswith(b"first") and TEXT.startswith(whole[5:1000]) and problems


def test_a_bomb_comes_in_pieces(monkeypatch):
    data = gzip.compress(b"\0" * 50_000_000, 9)
    sizes = [len(piece) for piece in gunzip.gunzip_chunks(io.BytesIO(data), [])]
    assert sum(sizes) == 50_000_000 and max(sizes) <= 2**20


def test_a_stream_that_can_not_go_back_is_read_by_zlib(monkeypatch):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    assert b"".join(gunzip.gunzip_chunks(Pipe(gzip.compress(TEXT)), [])) == TEXT

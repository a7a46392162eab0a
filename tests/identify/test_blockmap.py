"""Which parts of a file are encrypted, and which only look so."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib

import pytest

from hikeshi.errors import InputError
from hikeshi.identify.blockmap import BLOCK, map_bytes, map_file, pattern_of

CHANCE = random.Random(11)
WORDS = ["".join(CHANCE.choices("abcdefghijklmnopqrst", k=CHANCE.randint(2, 9))) for _ in range(400)]


def prose(size: int) -> bytes:
    return " ".join(CHANCE.choices(WORDS, k=size // 4)).encode()[:size]


def noise(size: int) -> bytes:
    return CHANCE.randbytes(size)


def docx(parts: int = 30) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(parts):
            archive.writestr(f"word/p{number}.xml", prose(40_000))
    return made.getvalue()


def pdf() -> bytes:
    streams = (zlib.compress(prose(50_000)) for _ in range(25))
    return b"%PDF-1.7\n" + b"".join(b"1 0 obj\nstream\n" + s + b"\nendstream\n" for s in streams)


def jpg() -> bytes:
    return b"\xff\xd8\xff\xe0\0\x10JFIF" + noise(300_000).replace(b"\xff", b"\xff\0")


def png() -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", bytes(13)) + b"".join(part(b"IDAT", noise(8192)) for _ in range(40))


KINDS = {"txt": prose(300_000), "docx": docx(), "pdf": pdf(), "jpg": jpg(), "png": png(), "zeros": bytes(300_000)}


def hit(data: bytes, *ranges: tuple[int, int]) -> bytes:
    made = bytearray(data)
    for begin, end in ranges:
        made[begin:end] = noise(min(end, len(made)) - begin)
    return bytes(made)


@pytest.mark.parametrize("kind", KINDS)
def test_an_untouched_file_is_untouched(kind):
    found = map_bytes(KINDS[kind])
    assert found.pattern == "untouched", found.row()
    assert found.encrypted == 0


@pytest.mark.parametrize("kind", KINDS)
def test_wholly_encrypted_is_full(kind):
    found = map_bytes(noise(len(KINDS[kind])))
    assert (found.pattern, set(found.letters)) == ("full", {"E"})


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_only(kind):
    found = map_bytes(hit(KINDS[kind], (0, 65_536)))
    assert found.pattern == "head", found.row()
    assert 60_000 <= found.chunk <= 90_000


def test_a_key_appended_to_an_encrypted_head_does_not_hide_it():
    assert map_bytes(hit(prose(400_000), (0, 65_536)) + noise(2_000)).pattern == "head"


def test_the_end_only():
    assert map_bytes(hit(prose(400_000), (300_000, 400_000))).pattern == "tail"


@pytest.mark.parametrize(("chunk", "skip"), [(16_384, 49_152), (65_536, 65_536), (4_096, 28_672)])
def test_chunks_at_equal_steps_are_measured(chunk, skip):
    data = prose(1_200_000)
    found = map_bytes(hit(data, *((at, at + chunk) for at in range(0, len(data), chunk + skip))))
    assert (found.pattern, found.chunk, found.skip) == ("chunked", chunk, skip)


def test_chunks_at_unequal_steps_are_intermittent():
    chance, ranges, at = random.Random(3), [], 0
    while at < 1_200_000:
        ranges.append((at, at + chance.randint(2, 12) * BLOCK))
        at = ranges[-1][1] + chance.randint(3, 30) * BLOCK
    assert map_bytes(hit(prose(1_200_000), *ranges)).pattern == "intermittent"


@pytest.mark.parametrize("step", [32, 256, 1024])
def test_every_other_run_of_bytes_is_fine(step):
    data = bytearray(prose(400_000))
    for at in range(0, len(data), step):
        data[at:at + step // 2] = noise(len(data[at:at + step // 2]))
    found = map_bytes(bytes(data))
    assert (found.pattern, found.chunk) == ("fine", step)


def test_text_in_columns_of_fixed_width_is_not_fine():
    rows = b"".join(b"%08d %-14s %08x\n" % (number, b"name", number * 2654435761 % 2**32) for number in range(20_000))
    assert map_bytes(rows).pattern == "untouched"


def test_a_picture_that_breaks_its_own_rule_is_damaged_there():
    found = map_bytes(hit(jpg(), (100_000, 180_000)))
    assert found.pattern != "untouched"
    assert 70_000 <= found.encrypted <= 90_000


def test_row_keeps_what_is_encrypted():
    found = map_bytes(hit(prose(2_000_000), (1_000_000, 1_008_192)))
    assert "E" in found.row(20) and len(found.row(20)) == 20


@pytest.mark.parametrize(("letters", "pattern"), [
    ("", "unknown"), ("????", "unknown"), ("PPPP", "untouched"), ("E", "full"), ("EEEE", "full"), ("EEPPPPPP", "head"),
    ("PPPPPPEE", "tail"), ("P" * 500 + "E" + "P" * 500, "untouched"), ("E" * 500 + "P" + "E" * 500, "full")])
def test_patterns_of_maps(letters, pattern):
    assert pattern_of(letters)[0] == pattern


@pytest.mark.parametrize("data", [
    b"", b"x", bytes(255), b"PK\x03\x04" * 200_000, b"stream\nx\x9c" * 50_000, b"%PDF" + b"stream\n\x78\x9c" * 20_000,
    b"\xff\xd8\xff" + b"\xff" * 100_000, b"\xff\xff\xff\xffIDAT" * 30_000, bytes(range(256)) * 2_000,
    b"PK\x03\x04" + b"\0\0\0\0\x08\0" + bytes(16) + b"\xff\xff\xff\xff" + zlib.compress(bytes(40_000_000))[2:]])
def test_hostile_bytes_end_soon_and_with_an_answer(data):
    assert map_bytes(data).pattern in ("unknown", "untouched", "full", "intermittent", "head", "tail", "chunked", "fine")


def test_a_file_is_mapped_from_disk(tmp_path):
    (tmp_path / "a").write_bytes(hit(prose(200_000), (0, 40_960)))
    assert map_file(tmp_path / "a", "a").pattern == "head"
    (tmp_path / "b").write_bytes(b"")
    assert map_file(tmp_path / "b", "b").pattern == "unknown"
    with pytest.raises(InputError):
        map_file(tmp_path / "missing", "missing")


def test_chunks_across_the_members_of_a_zip_are_found_and_their_steps():
    data = docx(160)
    step = [(at, at + 32_768) for at in range(0, len(data), 98_304)]
    found = map_bytes(hit(data, *step))
    assert (found.pattern, found.chunk + found.skip) == ("chunked", 98_304)
    assert abs(found.chunk - 32_768) <= 4096
    uneven = [(at + CHANCE.randint(0, 15) * 4096, at + 81_920) for at in range(0, len(data), 131_072)]
    assert map_bytes(hit(data, *uneven)).pattern == "intermittent"


@pytest.mark.parametrize("chunk, period", [(16, 64), (17, 63), (256, 1024), (1024, 2048), (2304, 4608)])
@pytest.mark.parametrize("rounds", [3, 8])
def test_a_step_seen_a_few_times_is_measured_exactly(chunk, period, rounds):
    letters = (("E" * chunk + "P" * (period - chunk)) * rounds)[:16_384]
    if len(letters) < 2 * period or (len(letters) < 3 * period and period <= 2048):
        pytest.skip("not enough of it in what is mapped")
    assert pattern_of(letters) == ("chunked", chunk * BLOCK, (period - chunk) * BLOCK)


def test_unequal_long_stretches_are_no_step():
    assert pattern_of("E" * 3000 + "P" * 2500 + "E" * 4500 + "P" * 3000)[0] == "intermittent"

"""Rich text in winmail.dat: Japanese, HTML inside, and sizes, checksums and endings that lie."""

from __future__ import annotations

import random
import struct
import zlib

import pytest

from hikeshi.evidence.rtf import MOST_BYTES, Damaged, decompress, read_rtf
from hikeshi.evidence.tnef import MAGIC, read_tnef


def _packed(rtf: bytes) -> bytes:
    """LZFu with literals only, and the mark of the end."""
    body, at, ring = b"", 0, 207
    pieces = list(rtf)
    while True:
        group, pieces = pieces[:8], pieces[8:]
        ring = (ring + len(group)) % 4096
        if len(group) < 8:
            body += bytes((1 << len(group),)) + bytes(group) + struct.pack(">H", ring << 4)
            break
        body += b"\0" + bytes(group)
    del at
    crc = zlib.crc32(body, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return struct.pack("<II4sI", len(body) + 12, len(rtf), b"LZFu", crc) + body


def _winmail(compressed: bytes) -> bytes:
    value = compressed + b"\0" * (-len(compressed) % 4)
    properties = struct.pack("<IHHII", 1, 0x0102, 0x1009, 1, len(compressed)) + value
    attribute = struct.pack("<BII", 1, 0x00069003, len(properties)) + properties + struct.pack("<H", sum(properties) & 0xFFFF)
    return MAGIC + b"\1\0" + attribute


JAPANESE = (rb"{\rtf1\ansi\ansicpg932\deff0{\fonttbl{\f0\fnil\fcharset128 MS PGothic;}{\f1\fcharset0 Arial;}}\pard\f0 "
            rb"\'83\'89\'83\'93\'83\'54\'83\'80\f1  ransom\par \uc2 \u36523\'90\'67\'u20195?x}")
HTML = rb"{\rtf1\ansi\fromhtml1{\*\htmltag64 <p>}Hello \htmlrtf not this\htmlrtf0{\*\htmltag84 <a href='http://x.example/'>}link{\*\htmltag92 </a>}}"


def test_the_published_example_is_read_as_published():
    data = bytes.fromhex("2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0")
    assert decompress(data) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_japanese_rich_text_becomes_the_body():
    packed = read_tnef(_winmail(_packed(JAPANESE)))
    assert packed.body.startswith("ランサム ransom\n身") and packed.complete


def test_html_inside_is_read_as_plain_words():
    packed = read_tnef(_winmail(_packed(HTML)))
    assert packed.body == "Hello link <http://x.example/>" and packed.complete


def test_signs_beyond_16_bits_and_skipped_groups():
    rich = read_rtf(rb"{\rtf1\ansi{\*\generator Evil;}{\pict 00ff}\u-10179?\u-8704?!\{\}}")
    assert rich.text == "\U0001f600!{}" and rich.complete


@pytest.mark.parametrize("change", [
    lambda d: d[:10], lambda d: d[:-3], lambda d: struct.pack("<I", 0xFFFFFFFF) + d[4:], lambda d: d[:4] + struct.pack("<I", MOST_BYTES + 1) + d[8:],
    lambda d: d[:8] + b"XXXX" + d[12:], lambda d: d[:-5] + bytes((d[-5] ^ 1,)) + d[-4:], lambda d: d[:4] + struct.pack("<I", 10**6) + d[8:]],
    ids=["header", "cut", "packed size", "bomb", "kind", "checksum", "size"])
def test_what_lies_about_itself_is_refused_and_said(change):
    data = change(_packed(JAPANESE))
    with pytest.raises(Damaged):
        decompress(data)
    packed = read_tnef(_winmail(data))
    assert not packed.complete and packed.body == ""


def test_a_bomb_of_repetitions_ends_at_its_promised_size():
    body = b"\0" + b"A" * 8 + (b"\xff" + struct.pack(">H", 207 << 4 | 15) * 8) * 2000
    crc = zlib.crc32(body, 0xFFFFFFFF) ^ 0xFFFFFFFF
    with pytest.raises(Damaged):
        decompress(struct.pack("<II4sI", len(body) + 12, 100, b"LZFu", crc) + body)


def test_deep_groups_and_rubbish_end():
    assert not read_rtf(b"{\\rtf1" + b"{" * 100_000).complete
    rng = random.Random(7)
    for seed in range(2000):
        data = bytearray(rng.choice((JAPANESE, HTML)))
        for _ in range(rng.randrange(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        read_rtf(bytes(data)[:rng.randrange(len(data) + 1)])
        read_tnef(_winmail(_packed(bytes(data)))[:rng.randrange(400)])
        del seed

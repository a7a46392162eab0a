"""The scanner's machine code against numpy and regular expressions, on text made to be awkward for it."""

import random

import numpy as np
import pytest

from hikeshi.indicators.lists import from_values
from hikeshi.sweep.compiled import compile_indicators
from hikeshi.sweep.kernel import kernel, location
from hikeshi.sweep.lines import lines_plainly
from hikeshi.sweep.machine import machine_of
from hikeshi.sweep.native import ANYWHERE, PAD, RANGE_SLOT
from hikeshi.sweep.scan import scan, scan_plainly

NAMES = ["evil.example", "b.test", "a.b.test", "203.0.113.9", "10.1.2.3", "x.co.jp",
         "very-long.name.with.many.labels.example.com", "user@mail.example", "http://u.example/path",
         "http://198.51.100.77/x"]
SHA256 = "0123456789abcdef" * 4
KINDS = {"hash": ["0123456789abcdef" * 2, "a" * 40, SHA256, SHA256 * 2], "word": ["CVE-2024-3400"],
         "six": ["2001:db8::1", "2001:db8:1::/48"], "net": ["198.51.100.0/23", "172.20.0.0/16"],
         "own script": ["xn--wgv71a119e.jp"]}
PIECES = [n.encode() for n in NAMES] + [v.encode() for kind in KINDS.values() for v in kind] + [
    # Near misses of numbers and names
    b"EVIL.Example", b"198.51.101.7", b"198.51.102.7", b"198.51.100.256", b"198.51.100.7.5", b"1726000000.002",
    b"1.2", b"203.0.113.9.html", b"203.00.113.009", b"0203.0.113.9", b"::ffff:203.0.113.9", b"10:20:30", b"notevil.example",
    b"a" * 39, SHA256.encode() + b"0", b"html", b".js", b"com",
    # What ends, begins and crosses blocks
    b".", b"..", b"-", b"_", b"._-" * 30, b"x" * 100, b"x." * 80, b"a.b." * 40, b".y" + b"y" * 61, b"y" * 63,
    b"y" * 64, b"z." * 31, b"0.0." * 16, b" ", b"  ", b"/", b"\n", b"\n", b"\r\n", b"\0", b":", b"::", b"@", b"user@", b"1", b"a.",
    # Escapes, quotes and other scripts
    b"%", b"%2F", b"%252f", b"%25", b"\\n", b"\\u003c", b"\\x3c", b"\\", b"\xe3\x81\x82", b"\x81a", b"\x82.",
    b"\xe3\x80\x82jp", b"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e.jp"]


@pytest.fixture(scope="module", autouse=True)
def machine_code():
    """Made once for this machine."""
    if location(make=True) is None:
        pytest.skip("numba is not installed")


def text_of(chance: random.Random) -> bytes:
    out = [b"x" * chance.randrange(70)]
    between = chance.choice([[b""], [b" ", b"", b"\n", b"/"], [b" ", b"\n"]])
    rough = chance.random() < 0.2
    for _ in range(chance.choice([1, 3, 10, 40, 200])):
        out.append(chance.randbytes(chance.randrange(1, 12)) if rough and chance.random() < 0.5 else chance.choice(PIECES))
        out.append(chance.choice(between))
    return b"".join(out)


def lines_of(data, tables, *, lead_bytes):
    buffer = np.zeros(len(data) + PAD, dtype=np.uint8)
    buffer[:len(data)] = np.frombuffer(data, dtype=np.uint8)
    return machine_of(kernel(), tables).lines(buffer, len(data), lead_bytes=lead_bytes)


@pytest.mark.parametrize("seed", range(12))
def test_the_same_stretches_and_no_line_less_than_with_numpy(seed):
    chance = random.Random(seed)
    chosen = [v for kind in KINDS.values() if chance.random() < 0.5 for v in kind]
    tables = compile_indicators(from_values([*NAMES, *chosen])).tables
    for _ in range(60):
        data = text_of(chance)
        plainly, natively = scan_plainly(data, tables), scan(data, tables)
        for one, other in zip((plainly.starts, plainly.ends, plainly.slots),
                              (natively.starts, natively.ends, natively.slots), strict=True):
            assert one.tolist() == other.tolist(), data
        lines = lines_of(data, tables, lead_bytes=False)
        assert lines.line_ends == data.count(b"\n")
        sure = [start for start, slot in zip(natively.starts.tolist(), natively.slots.tolist(), strict=True)
                if slot == RANGE_SLOT or tables.kinds[slot] & ANYWHERE]
        assert {data.count(b"\n", 0, start) for start in sure} <= set(lines.numbers.tolist()), data
        for start, end, number in zip(*(a.tolist() for a in lines[:3]), strict=True):
            assert data.count(b"\n", 0, start) == number
            assert b"\n" not in data[start:end]


def test_foreign_words_before_a_name_in_one_block_hide_no_other():
    tables = compile_indicators(from_values(["xn--wgv71a119e.jp", "evil.example"])).tables
    data = "あ い。 日本語.jp\n".encode() + b"x\nhttp://evil.example/\n"
    assert lines_of(data, tables, lead_bytes=False).numbers.tolist() == [0, 2]


@pytest.mark.parametrize("before", range(70))
def test_a_name_a_hash_and_an_address_at_every_place_of_a_block(before):
    tables = compile_indicators(from_values(["evil.example", SHA256, "203.0.113.9", "2001:db8::1"])).tables
    for text, count in ((b"www.evil.example", 1), (b"203.0.113.9", 1), (b"1203.0.113.9", 0), (SHA256.encode(), 1),
                        (SHA256.encode() + b"0", 0), (b"[2001:db8::1]", 1), (b"notevil.example", 0)):
        lines = lines_of(b" " * before + text + b" x\n" + b"y" * before + b"\n", tables, lead_bytes=False)
        assert (len(lines.starts), lines.line_ends) == (count, 2), text


def test_what_follows_in_the_buffer_does_not_count():
    tables = compile_indicators(from_values(["evil.example", SHA256])).tables
    first, rest = b"a.test\n", b"evil.example\n" + SHA256.encode()
    buffer = np.frombuffer(first + rest + bytes(PAD), dtype=np.uint8)
    found = machine_of(kernel(), tables).lines(buffer, len(first), lead_bytes=False)
    assert (len(found.starts), found.line_ends) == (0, 1)


def test_a_name_of_many_listed_parents_in_very_many_lines():
    parents = ["a." * n + "test" for n in range(1, 120)]
    tables = compile_indicators(from_values(parents)).tables
    data = (b"a." * 120 + b"test x\n") * 2_000
    assert len(scan(data, tables).starts) == len(scan_plainly(data, tables).starts) == 119 * 2_000


def test_an_address_behind_escapes_of_escapes():
    tables = compile_indicators(from_values(["203.0.113.9"])).tables
    assert len(lines_of(b"/?to=%252525252f203.00.113.009\n", tables, lead_bytes=False).starts) == 1


def test_lines_without_machine_code_are_no_fewer_behind_half_width_kana_and_backslashes():
    tables = compile_indicators(from_values(["203.0.113.9"])).tables
    for data in (b"\xb1\x94c203.0.113.9", b"\\\\n203.0.113.9"):
        assert len(lines_plainly(data, tables, lead_bytes=True).starts) == 1

"""Candidate lines: whatever the parts and buffers, no line with an indicator is missed, numbers are right."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hikeshi.indicators.lists import from_values
from hikeshi.sweep import compile_indicators
from hikeshi.sweep.kernel import kernel, location
from hikeshi.sweep.lines import HEAD, LinePicker, lines_plainly
from hikeshi.sweep.machine import machine_of
from hikeshi.sweep.native import PAD

VALUES = ["evil.example", "203.0.113.9", "198.51.100.0/24", "0123456789abcdef" * 2, "2001:db8::5", "2001:db8:7::/48", "http://one.test/a", "who@mail.test", "xn--r8jz45g.jp",
          "CVE-2024-3400"]
COMPILED = compile_indicators(from_values(VALUES))
HITS = ["http://a.evil.example/x", "EVIL.EXAMPLE.", "203.0.113.9:443", "x 198.51.100.77", "f=0123456789ABCDEF0123456789abcdef;", "[2001:db8:0::5]:80", "2001:DB8:7:1::1",
        "GET one.test /a", "<who@mail.test>", "www.例え.jp", "about cve-2024-3400", "u=http%3A%2F%2Fevil.example", "\\nevil.example", "\\u003cevil.example\\u003e",
        "::ffff:203.0.113.9", "2001:db8:7:0:0:0:0:9", "port 203.0.113.9.", "-evil.example" * 0 + ".evil.example"]
MISSES = ["notevil.example", "evil.example.cdn.test", "203.0.113.90", "198.51.101.1", "2001:db9::5", "10:20:30", "at mail.test", "2024-09-10 20:26:40", "ab" * 20, "x" * 100]


@pytest.fixture(scope="module", autouse=True)
def machine_code():
    return location(make=True)


def picked(path, *, parts=1, buffer=1 << 16, tables=COMPILED.tables, **options):
    """(number, offset, line) of everything picked, numbers counting from the file's beginning."""
    size = path.stat().st_size
    out, excerpts, before = [], [], 0
    for i in range(parts):
        picker = LinePicker(path, size * i // parts, size * (i + 1) // parts, tables, buffer=buffer, **options)
        for batch in picker.batches(7, 1 << 20):
            out += [(before + n, o, line) for n, o, line in zip(batch.numbers, batch.offsets, batch.lines, strict=True)]
            excerpts += [(before + n, text) for n, text in batch.excerpts]
        before += picker.count
    return out, excerpts, before


@pytest.mark.parametrize("hit", HITS)
def test_each_way_of_writing_an_indicator_makes_its_line_a_candidate(tmp_path, hit, monkeypatch):
    path = tmp_path / "a.log"
    path.write_text(f"first\nsome {hit} here\nlast\n", "utf-8")
    assert [n for n, _, _ in picked(path)[0]] == [1]
    data = path.read_bytes()
    assert 1 in lines_plainly(data, COMPILED.tables, lead_bytes=False).numbers.tolist()


@pytest.mark.parametrize("miss", MISSES)
def test_near_misses_are_not_parsed(tmp_path, miss):
    path = tmp_path / "a.log"
    path.write_text(f"some {miss} here\n", "utf-8")
    assert picked(path)[0] == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.sampled_from([1 << 12, 1 << 13, 1 << 16]), st.booleans())
def test_parts_and_buffers_make_no_difference(tmp_path_factory, seed, parts, buffer, ended):
    random_ = random.Random(seed)
    lines = [" ".join(random_.choices([*HITS, *MISSES, "", "word"], [1] * len(HITS) + [5] * len(MISSES) + [9, 60], k=random_.randrange(12)))
             for _ in range(random_.randrange(1, 200))]
    path = tmp_path_factory.mktemp("lines") / "a.log"
    path.write_text("\n".join(lines) + "\n" * ended, "utf-8")
    whole = [line.encode() for line in lines]
    got, excerpts, count = picked(path, parts=parts, buffer=buffer)
    offsets = [0]
    for line in whole:
        offsets.append(offsets[-1] + len(line) + 1)
    assert excerpts == [] and count == (len(lines) if ended or lines[-1] else len(lines) - 1)
    assert all(line == whole[n] and offset == offsets[n] for n, offset, line in got)
    wanted = {n for n, line in enumerate(lines) if any(hit in line for hit in HITS)}
    assert wanted <= {n for n, _, _ in got} and len(got) == len({n for n, _, _ in got})


def test_machine_code_and_numpy_pick_the_same_lines():
    native = kernel()
    if native is None:
        pytest.skip("numba is not installed")
    import numpy as np

    random_ = random.Random(5)
    text = "\n".join(" ".join(random_.choices([*HITS, *MISSES], k=3)) if random_.random() < 0.2 else "nothing 10.0.0.1 good.example" for _ in range(3000)) + "\n"
    data = text.encode()
    view = np.zeros(len(data) + PAD, np.uint8)
    view[:len(data)] = np.frombuffer(data, np.uint8)
    one = machine_of(native, COMPILED.tables).lines(view, len(data), lead_bytes=False)
    other = lines_plainly(data, COMPILED.tables, lead_bytes=False)
    only_plain = set(other.numbers.tolist()) - set(one.numbers.tolist())
    rows = text.split("\n")
    # numpy asks no further about mail hosts and IPv6: it may give more, never fewer.
    assert not set(one.numbers.tolist()) - set(other.numbers.tolist())
    assert all("mail.test" in rows[n] or ":" in rows[n] for n in only_plain)


def test_a_line_longer_than_the_buffer_is_searched_to_its_end(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b"first\n" + b"x" * 300_000 + b" evil.example " + b"y " * 200_000 + b"203.0.113.9\nevil.example\n" + b"z" * 100_000)
    got, excerpts, count = picked(path, buffer=1 << 16)
    assert count == 4 and (2, b"evil.example") in [(n, line) for n, _, line in got]
    assert [n for n, _ in excerpts] == [] or all(n == 1 for n, _ in excerpts)
    texts = b" ".join(t for _, t in excerpts) + b" ".join(line for n, _, line in got if n == 1)
    assert b"203.0.113.9" in texts or any(n == 1 for n, _, _ in got)


def test_behind_the_mebibyte_that_parsers_read_a_line_is_searched_too(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b"x " * HEAD + b"evil.example\nlast\n")
    for buffer in (1 << 16, 1 << 23):
        _, excerpts, count = picked(path, buffer=buffer)
        assert count == 2 and len(excerpts) == 1
        assert excerpts[0][0] == 0 and b"evil.example" in excerpts[0][1] and len(excerpts[0][1]) < 1000


def test_nul_bytes_and_wide_characters_hide_nothing(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b"\0\0evil.example\0\n\0\n" + "表evil.example\nアevil.example".encode("cp932") + b"\n" + b"\0" * 200_000 + b"\nevil.example")
    got, _, count = picked(path, lead_bytes=True, buffer=1 << 20)
    assert count == 6 and [n for n, _, _ in got] == [0, 2, 3, 5]


def test_marked_lines_come_out_beside_the_candidates(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b"#Fields: a\nx\nevil.example\n#Fields: b\ny\n")
    assert [n for n, _, _ in picked(path, marks=b"#")[0]] == [0, 2, 3]

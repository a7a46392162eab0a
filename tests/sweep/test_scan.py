"""The scanner's candidates against a plain reference."""

import ipaddress
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hikeshi.indicators.lists import from_values
from hikeshi.sweep.compiled import compile_indicators
from hikeshi.sweep.kernel import location
from hikeshi.sweep.native import RANGE_SLOT
from hikeshi.sweep.scan import fingerprints_of, scan, scan_plainly

KEYS = ["evil.example", "b.test", "a.b.test", "203.0.113.9", "0123456789abcdef" * 2, "CVE-2024-3400"]
NET = "198.51.100.0/23"
COMPILED = compile_indicators(from_values([*KEYS, NET]))
LOWER = {k.lower() for k in KEYS}


def reference(data: bytes):
    """Every place where a key stands as a token, behind a dot of one, or as a hash; every address in NET."""
    found = set()
    for token in re.finditer(rb"[A-Za-z0-9._-]+", data):
        start, end = token.span()
        for _ in range(64):
            if end - start > 1 and data[end - 1:end] in (b".", b"-", b"_"):
                end -= 1
        whole = data[start:end]
        for at in [start, *(start + m.end() for m in re.finditer(rb"\.", whole))]:
            key = data[at:end].decode().lower()
            # An address stands alone: it is no parent of anything.
            if key in LOWER and (at == start or key != "203.0.113.9"):
                found.add((at, end, False))
        if re.fullmatch(rb"\d{1,3}(\.\d{1,3}){3}", whole):
            number = [int(x) for x in whole.split(b".")]
            if max(number) < 256 and ipaddress.ip_address(bytes(number)) in ipaddress.ip_network(NET):
                found.add((start, end, True))
    for run in re.finditer(rb"[A-Za-z0-9]+", data):
        if run[0].decode().lower() in LOWER:
            found.add((*run.span(), False))
    return found


PIECES = st.sampled_from([*(k.encode() for k in KEYS), b"EVIL.Example", b"198.51.101.7", b"198.51.102.7", b"198.51.100.256", b".", b"-", b"_", b"x", b" ", b"/",
                          b"\n", b"\x00", b"\xe3\x81\x82", b"%", b"%2F", b"1", b"a."])


@pytest.fixture(scope="module", autouse=True)
def machine_code():
    """Made once for this machine; without numba the numpy way alone is tested."""
    return location(make=True)


def places(found):
    return {(a, b, slot == RANGE_SLOT) for a, b, slot in zip(found.starts.tolist(), found.ends.tolist(), found.slots.tolist(), strict=True)}


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=14).map(b"".join))
def test_candidates_are_exactly_the_places_of_keys(data):
    escaped = re.sub(rb"%(?:25)*[0-9A-Fa-f]{2}", lambda m: b"\0" * len(m[0]), data)
    for found in (scan_plainly(data, COMPILED.tables), scan(data, COMPILED.tables)):
        assert places(found) == reference(escaped)
        assert (np.diff(found.starts) >= 0).all()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(PIECES, st.binary(max_size=12), st.sampled_from([b"a" * 40, b"0123456789abcdef" * 4, b"1.2.3.4", b"%252F", b"\\", b"@"])),
                max_size=30).map(b"".join))
def test_machine_code_finds_what_numpy_finds(machine_code, data):
    if machine_code is None:
        pytest.skip("numba is not installed")
    plainly, natively = scan_plainly(data, COMPILED.tables), scan(data, COMPILED.tables)
    for one, other in zip((plainly.starts, plainly.ends, plainly.slots), (natively.starts, natively.ends, natively.slots), strict=True):
        assert one.tolist() == other.tolist()


def test_a_chunk_with_more_candidates_than_one_call_holds(machine_code):
    data = b"http://a.evil.example/203.0.113.9 198.51.100.7\n" * 40_000
    found = scan(data, COMPILED.tables)
    assert len(found.starts) == 3 * 40_000
    assert places(found) == places(scan_plainly(data, COMPILED.tables))


def test_fingerprints_do_not_depend_on_place_or_case():
    names = [f"host{i}.example" for i in range(200_000)]
    prints = fingerprints_of(names)
    assert len(np.unique(prints)) == len(names)
    assert fingerprints_of(["HOST7.Example"])[0] == prints[7]
    assert fingerprints_of([]).tolist() == []

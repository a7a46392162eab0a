"""The scanner's candidates against a plain reference."""

import ipaddress
import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hikeshi.indicators.lists import from_values
from hikeshi.sweep.compiled import compile_indicators
from hikeshi.sweep.scan import fingerprints_of, scan

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
            if data[at:end].decode().lower() in LOWER:
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


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=14).map(b"".join))
def test_candidates_are_exactly_the_places_of_keys(data):
    found = scan(data, COMPILED.wanted)
    got = set(zip(found.starts.tolist(), found.ends.tolist(), found.address.tolist(), strict=True))
    escaped = re.sub(rb"%(?:25)*[0-9A-Fa-f]{2}", lambda m: b"\0" * len(m[0]), data)
    assert got == reference(escaped)
    assert (np.diff(found.starts) >= 0).all()


def test_fingerprints_do_not_depend_on_place_or_case():
    names = [f"host{i}.example" for i in range(200_000)]
    prints = fingerprints_of(names)
    assert len(np.unique(prints)) == len(names)
    assert fingerprints_of(["HOST7.Example"])[0] == prints[7]
    assert fingerprints_of([]).tolist() == []

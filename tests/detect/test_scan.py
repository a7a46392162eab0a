"""Literals in values: the machine code and pyahocorasick give the same pairs, and both what a plain search gives."""

import random

import pytest

from hikeshi.detect import patterns
from hikeshi.detect.compile import ANYWHERE, END, START, WHOLE
from hikeshi.detect.patterns import Scanner


@pytest.fixture(scope="module")
def loaded():
    if patterns.code.location(make=True) is None:
        pytest.skip("no machine code here: numba or the cache folder is missing")
    patterns.code.forget()
    yield patterns.code.load()
    patterns.code.forget()


def pairs(literals, values, machine):
    patterns.code._loaded = [machine]
    try:
        numbers, places = Scanner(literals).find(values)
    finally:
        patterns.code.forget()
    return list(zip(numbers.tolist(), places.tolist(), strict=True))


def plain(literals, values):
    holds = {ANYWHERE: lambda v, t: t in v, START: str.startswith, END: str.endswith, WHOLE: str.__eq__}
    return sorted((number, place) for number, mode, text in literals for place, value in enumerate(values)
                  if holds[mode](value.casefold(), text))


def drawn(seed):
    draw = random.Random(seed)
    letters = draw.choice(["ab", "abc\\", "abß日😀", "AaBb ẞ"])

    def word(longest):
        return "".join(draw.choice(letters) for _ in range(draw.randrange(longest)))

    literals = {(draw.randrange(4), word(6).casefold()): n * 3 for n in range(draw.randrange(1, 40))}
    chosen = [(number, mode, text) for (mode, text), number in literals.items() if text or mode == WHOLE]
    return chosen, [word(25) for _ in range(draw.choice([0, 1, 30, 3000]))]


@pytest.mark.parametrize("seed", range(30))
def test_all_ways_find_the_same(loaded, seed):
    literals, values = drawn(seed)
    expected = plain(literals, values)
    assert pairs(literals, values, None) == expected
    assert pairs(literals, values, loaded) == expected


def test_hostile_values(loaded):
    literals = [(1, ANYWHERE, "a"), (2, WHOLE, "a\0b"), (3, START, "\ud800"), (4, WHOLE, ""), (5, END, "b" * 300)]
    values = ["a\0b", "\ud800x", "", "b" * 100_000, "\0\0", "a"]
    assert pairs(literals, values, loaded) == pairs(literals, values, None)
    assert (4, 2) in pairs(literals, values, loaded)
    assert (5, 3) in pairs(literals, values, loaded)


def test_more_pairs_than_one_call_holds(loaded):
    literals = [(n, ANYWHERE, "x" * (n + 1)) for n in range(200)]
    values = ["x" * 250] * 1000
    found = pairs(literals, values, loaded)
    assert len(found) == 200_000
    assert found == pairs(literals, values, None)

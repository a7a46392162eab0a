"""Cells learned once a message's shape are what the line parser would have made of each message."""

from __future__ import annotations

import random
import re

from hikeshi.parse.shapes import Shapes

_WORDS = ("from", "to", "user", "for", "denied", "bytes", "took", "IP", "x" * 30)


def read(message: str) -> dict[str, object]:
    """A parser with what makes learning hard: bounded gaps, bounded digits, values that decide, values within values."""
    cells: dict[str, object] = {"length": "long" if len(message) > 120 else "short"}
    if found := re.search(r"from ([\d.]+)(?:/(\d{1,4})\b)?.{0,20}?to ([\d.]+)", message):
        cells["source"], cells["destination"] = found[1], found[3]
        if found[2]:
            cells["port"] = int(found[2])
    if found := re.search(r"bytes (\d{1,6})\b", message):
        cells["bytes"] = found[1]
    if found := re.search(r"user (\S+)", message):
        cells["user"] = found[1]
    if found := re.search(r"took (\S+)", message):
        cells["lasting"] = f"about {found[1]}"
    if "denied" in message:
        cells["outcome"] = "failure"
    return cells


def message(rng: random.Random) -> str:
    def value() -> str:
        return rng.choice([f"10.{rng.randrange(300)}.1.{rng.randrange(300)}", f"10.0.0.{rng.randrange(256)}/{rng.randrange(80000)}",
                           str(rng.randrange(10 ** rng.randrange(1, 10))), f"0:{rng.randrange(60):02d}:10", f"0x{rng.randrange(9999):x}", "u7"])

    return " ".join(f"{rng.choice(_WORDS)} {value()}" for _ in range(rng.randrange(1, 4)))


def test_it_foretells_what_the_parser_makes_or_leaves_it_to_the_parser() -> None:
    rng = random.Random(5)
    shapes = Shapes(read)
    told = 0
    for _ in range(20_000):
        text = message(rng)
        shape, values = shapes.of(text)
        if shape is not None:
            told += 1
            assert shape.cells(values) == read(text), text
    assert told > 5_000


def test_a_shape_is_learned_when_it_comes_often() -> None:
    shapes = Shapes(read)
    told = [shapes.of(f"from 10.0.0.{n} to 192.0.2.7 denied")[0] is not None for n in range(6)]
    assert told == [False, False, False, True, True, True]


def test_what_values_decide_is_no_shape() -> None:
    shapes = Shapes(lambda m: {"big": "yes" if int(m.split()[-1]) > 1000 else "no"})
    assert all(shapes.of(f"size {n}")[0] is None for n in range(20))
    shapes = Shapes(lambda m: {"whole": m})
    assert all(shapes.of(f"size {n}")[0] is None for n in range(20))


def test_messages_without_values_and_odd_ones() -> None:
    shapes = Shapes(lambda m: {"action": m[:3]})
    for text in ("", "hello", "日本語", "::1.2.3.4", "1.2.3.4.5", "300.1.1.1 and 10.0.0.1", "10.0.0.1/99999", "1 " * 500):
        for _ in range(6):
            shape, values = shapes.of(text)
            assert shape is None or shape.cells(values) == {"action": text[:3]}

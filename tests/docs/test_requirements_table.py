"""The table of requirements is complete and names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNTS = {"A0": 16, "A1": 32, "A2": 39, "A3": 51, "A4": 28}


def rows() -> list[list[str]]:
    lines = (ROOT / "docs" / "requirements.md").read_text("utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| A\d-\d\d ", line)]


def test_every_requirement_stands_in_the_table_once():
    assert [r[0] for r in rows()] == [f"{group}-{n:02}" for group, count in COUNTS.items() for n in range(1, count + 1)]


def test_what_works_names_where_and_a_test_that_exists():
    for one, state, where, test in rows():
        assert state in ("works", "in part", "open"), one
        assert bool(where) == bool(test) == (state != "open"), one
        for path in re.findall(r"`(tests/[^`]+)`", test):
            assert (ROOT / path).is_file(), f"{one}: {path}"

"""Each modifier and condition form, as data, with near misses."""

from pathlib import Path

import pytest
import yaml
from detect_helpers import rows_of, table

CASES = Path(__file__).parents[1] / "cases" / "detect"


def cases():
    for path in sorted(CASES.glob("*.yml")):
        for case in yaml.safe_load(path.read_text(encoding="utf-8")):
            yield pytest.param(case, id=f"{path.stem}: {case['name']}")


@pytest.mark.parametrize("case", list(cases()))
def test_the_rule_fires_on_exactly_these_events(case):
    assert rows_of(case["detection"], table(case["events"])) == case["expect"]


@pytest.mark.parametrize("case", list(cases()))
def test_a_larger_table_around_the_events_changes_nothing(case):
    """Other events, in other order, in one batch with thousands more: same answer."""
    other = [{"Image": f"other{i}", "Filler": str(i)} for i in range(500)]
    spread = [*other, *case["events"], *other]
    found = rows_of(case["detection"], table(spread))
    assert [r - 500 for r in found if 500 <= r < 500 + len(case["events"])] == case["expect"]

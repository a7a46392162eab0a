"""The engine against a row-by-row evaluator written here, on generated rules and events."""

import fnmatch
import re

from detect_helpers import compiled, fired, rule_file, table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FIELDS = ("Image", "CommandLine", "User")
# Few letters, so that rules and events meet; special characters of patterns, case, separators, CJK.
LETTERS = "aAbBß.\\[(日 \n\t+-"
values = st.text(LETTERS, max_size=6)
events = st.lists(st.dictionaries(st.sampled_from(FIELDS), values, max_size=3), min_size=1, max_size=12)
pieces = st.text("aAbBß.[(日 +-", min_size=1, max_size=3)
patterns = st.lists(st.one_of(pieces, st.sampled_from("*?")), min_size=1, max_size=4).map("".join)
modes = st.sampled_from(["", "|contains", "|startswith", "|endswith", "|contains|all", "|cased", "|contains|cased"])
items = st.tuples(st.sampled_from(FIELDS), modes, st.lists(patterns, min_size=1, max_size=3))
nulls = st.tuples(st.sampled_from(FIELDS), st.just("null"), st.just([]))
selections = st.dictionaries(st.sampled_from(("s1", "s2", "s3")),
                             st.lists(st.one_of(items, items, nulls), min_size=1, max_size=2, unique_by=lambda i: i[0]),
                             min_size=3, max_size=3)
CONDITIONS = {
    "s1": lambda a, b, c: a, "not s1": lambda a, b, c: not a, "s1 and s2": lambda a, b, c: a and b,
    "s1 or s2": lambda a, b, c: a or b, "s1 and not s2": lambda a, b, c: a and not b,
    "not (s1 or s2) and s3": lambda a, b, c: not (a or b) and c, "1 of s*": lambda a, b, c: a or b or c,
    "all of s*": lambda a, b, c: a and b and c, "s1 and not 1 of s*": lambda a, b, c: a and not (a or b or c),
    "not all of s*": lambda a, b, c: not (a and b and c), "not (not s1)": lambda a, b, c: a,
    "(s1 or not s2) and (s2 or s3)": lambda a, b, c: (a or not b) and (b or c),
}
conditions = st.sampled_from(sorted(CONDITIONS))


def glob(pattern: str, value: str, mode: str) -> bool:
    """One pattern against one value, by translation to a regular expression of this test's own."""
    cased = mode.endswith("cased")
    if not cased:
        pattern, value = pattern.casefold(), value.casefold()
    text = fnmatch.translate(pattern.replace("[", "[[]"))
    text = text.replace("(?s:", "", 1)
    text = text[:text.rindex(")")]
    before = ".*" if "contains" in mode or "endswith" in mode else ""
    after = ".*" if "contains" in mode or "startswith" in mode else ""
    return re.fullmatch(f"{before}{text}{after}", value, re.S) is not None


def item_holds(item, event) -> bool:
    name, mode, wanted = item
    value = event.get(name)
    if mode == "null":
        return not value
    if value is None:
        return False
    if set("".join(wanted)) == {"*"} and value == "":
        return False                                     # a star alone asks for text
    answers = [(value != "" if set(p) == {"*"} else glob(p, value, mode)) for p in wanted]
    return all(answers) if mode.endswith("all") else any(answers)


def holds(condition: str, truth: dict[str, bool]) -> bool:
    return CONDITIONS[condition](truth["s1"], truth["s2"], truth["s3"])


def yaml_of(selection):
    return {f"{name}{'' if mode == 'null' else mode}": None if mode == "null" else wanted
            for name, mode, wanted in selection}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(selections, conditions, events)
def test_the_engine_agrees_with_a_row_by_row_reading(chosen, condition, rows):
    rules = compiled(rule_file({**{k: yaml_of(v) for k, v in chosen.items()}, "condition": condition}))
    if not rules.applicable:
        return                                           # pySigma refuses a few odd combinations
    expected = [n for n, event in enumerate(rows)
                if holds(condition, {k: all(item_holds(i, event) for i in v) for k, v in chosen.items()})]
    assert fired(rules, table(rows)).get("Rule 1", []) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(selections, conditions), min_size=2, max_size=5), events, st.integers(1, 5))
def test_batch_borders_and_other_rules_change_nothing(many, rows, size):
    files = [rule_file({**{k: yaml_of(v) for k, v in chosen.items()}, "condition": condition}, number=n)
             for n, (chosen, condition) in enumerate(many)]
    together = fired(compiled(*files), table(rows))
    pieces_: dict[str, list[int]] = {}
    for start in range(0, len(rows), size):
        for title, found in fired(compiled(*files), table(rows[start:start + size])).items():
            pieces_.setdefault(title, []).extend(start + r for r in found)
    alone = {}
    for file in files:
        alone.update(fired(compiled(file), table(rows)))
    assert together == pieces_ == alone


@settings(max_examples=200, deadline=None)
@given(st.text("ab(|)*+?[]{}1,.\\^$di", max_size=10), st.lists(st.text("abi1,{}d", max_size=6), max_size=8))
def test_a_prefilter_never_hides_a_match(pattern, texts):
    import re2

    from hikeshi.detect.patterns import Regex
    from hikeshi.detect.regex import needs

    options = re2.Options()
    options.log_errors = False
    try:
        plain = re2.compile(pattern, options)
    except re2.error:
        return
    need = needs(pattern)
    quick = Regex(pattern, need.counts, need.classes, need.low, need.high)
    for text in texts:
        folded = text.casefold()
        passed = not need.any_of or any(t in folded for t in need.any_of)
        assert (plain.search(text) is not None) == (passed and quick(text))

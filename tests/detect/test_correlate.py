"""Correlations against a brute-force reading of their meaning, and case by case."""

from __future__ import annotations

import itertools
import statistics
from fractions import Fraction

import pytest
import yaml
from detect_helpers import compiled, rule_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hikeshi.detect.correlate import RECORDS_KEPT, Correlator
from hikeshi.detect.hits import HitWriter
from hikeshi.detect.match import Matcher
from hikeshi.detect.rules import RuleFile
from hikeshi.events.table import TableBuilder
from hikeshi.events.time import NO_TIME

SYSMON = "Microsoft-Windows-Sysmon/Operational"
S = 1_000_000
START = 1_700_000_000 * S


def base(name, number, **more):
    return rule_file({"s": {"Image": name}, "condition": "s"}, number=number, name=name, **more)


def correlation(number=90, title="Together", **own):
    own.setdefault("timespan", "10s")
    text = yaml.safe_dump({"title": title, "id": f"00000000-0000-4000-8000-{number:012}", "level": "high",
                           "author": "Nobody", "name": title.lower(), "correlation": own})
    return RuleFile(f"{title}{number}.yml", text.encode())


def events_table(events):
    """Events are dicts with `at` (seconds, None for no time), `rule` and fields."""
    builder = TableBuilder()
    for event in events:
        at = event.get("at")
        builder.add(NO_TIME if at is None else START + int(at * S), {
            "winlog.channel": SYSMON, "event.code": "1", "winlog.record_id": event["n"], "host.name": "WS1",
            "log.file.path": "logs/a.evtx", "Image": event["rule"],
            **{k: v for k, v in event.items() if k not in ("at", "rule", "n") and v is not None}})
    return builder.build()


def numbered(events):
    return [{**event, "n": n} for n, event in enumerate(events)]


def found(tmp_path, files, events, *, batches=1, **options):
    """Findings as (rule title, group values, record ids, count); events may come in several files."""
    rules = compiled(*files)
    matcher = Matcher(rules)
    paths = []
    size = max(1, -(-len(events) // batches))
    for number in range(batches):
        writer = HitWriter(rules, tmp_path / f"{number}.arrow")
        table = events_table(events[number * size:(number + 1) * size])
        writer.add(table, matcher.match(table))
        writer.close()
        if writer.rows:
            paths.append(writer.path)
    correlator = Correlator(rules, paths, **options)
    rows = [row for _, row in correlator.findings()]
    assert not rules.skipped, rules.skipped
    return [(r["rule_title"], tuple(r["group"].values()), [e["record_id"] for e in r["records"]], r["count"])
            for r in rows], correlator


def simple(tmp_path, files, events, **options):
    rows, _ = found(tmp_path, files, numbered(events), **options)
    return [(group, records) for _, group, records, _ in rows]


def at(*seconds, rule="a", **fields):
    return [{"at": s, "rule": rule, **fields} for s in seconds]


COUNT = {"type": "event_count", "rules": ["a"], "condition": {"gte": 3}}


@pytest.mark.parametrize(("seconds", "expected"), [
    ((0, 5, 10), [[0, 1, 2]]),                           # the timespan's end is in
    ((0, 5, 10.001), []),
    ((0, 5), []),
    ((0, 1, 2, 3, 20, 21, 22), [[0, 1, 2, 3], [4, 5, 6]]),
    ((0, 6, 10, 15, 18), [[0, 1, 2, 3, 4]]),             # overlapping windows are one finding
    ((10, 0, 5), [[1, 2, 0]]),                           # out of order, as files are
])
def test_event_count(tmp_path, seconds, expected):
    rows = simple(tmp_path, [base("a", 1), correlation(**COUNT)], at(*seconds))
    assert [records for _, records in rows] == expected


def test_groups_stay_apart_and_compare_without_case(tmp_path):
    events = at(0, 1, user="Bob") + at(2, user="bob") + at(3, 4, user="eve") + at(5)
    rows, correlator = found(tmp_path, [base("a", 1), correlation(**COUNT, **{"group-by": ["user"]})],
                             numbered(events))
    assert rows == [("Together", ("Bob",), [0, 1, 2], 3)]
    assert correlator.counts[0].without_group == 1


@pytest.mark.parametrize(("condition", "counts", "expected"), [
    ({"gt": 2}, (3, 2), 1), ({"gte": 2}, (3, 2), 2), ({"lt": 3}, (3, 2), 1), ({"lte": 3}, (3, 2, 4), 2),
    ({"eq": 2}, (3, 2), 1), ({"neq": 2}, (3, 2), 1), ({"gte": 2, "lte": 3}, (1, 2, 3, 4), 2),
    ({"gt": 1, "lt": 4}, (1, 2, 3, 4), 2),
])
def test_comparisons_and_ranges(tmp_path, condition, counts, expected):
    events = [e for n, count in enumerate(counts) for e in at(*(n * 100 + i for i in range(count)))]
    rows = simple(tmp_path, [base("a", 1), correlation(type="event_count", rules=["a"], condition=condition)], events)
    assert len(rows) == expected


def test_value_count(tmp_path):
    rule = correlation(type="value_count", rules=["a"], condition={"gte": 3, "field": "user"})
    near = at(0, user="x") + at(1, user="y") + at(2, user="X") + at(3)
    assert simple(tmp_path, [base("a", 1), rule], near) == []
    assert simple(tmp_path, [base("a", 1), rule], [*near, *at(4, user="z")]) == [((), [0, 1, 2, 4])]


def test_value_count_over_several_fields(tmp_path):
    rule = correlation(type="value_count", rules=["a"], condition={"gte": 2, "field": ["user", "ip"]})
    assert simple(tmp_path, [base("a", 1), rule], at(0, 1, user="x", ip="1")) == []
    assert len(simple(tmp_path, [base("a", 1), rule], at(0, user="x", ip="1") + at(1, user="x", ip="2"))) == 1


def test_temporal_in_any_order(tmp_path):
    rule = correlation(type="temporal", rules=["a", "b"])
    files = [base("a", 1), base("b", 2), rule]
    assert simple(tmp_path, files, at(0, rule="b") + at(10)) == [((), [0, 1])]
    assert simple(tmp_path, files, at(0, rule="b") + at(10.5)) == []


def test_temporal_ordered(tmp_path):
    files = [base("a", 1), base("b", 2), base("c", 3),
             correlation(type="temporal_ordered", rules=["a", "b", "c"])]
    right = at(0) + at(1, rule="b") + at(2, rule="c")
    wrong = at(0, rule="b") + at(1) + at(2, rule="c")
    late = at(0) + at(9, rule="b") + at(11, rule="c")
    again = late + at(8)
    assert simple(tmp_path, files, right) == [((), [0, 1, 2])]
    assert simple(tmp_path, files, wrong) == simple(tmp_path, files, late) == []
    assert len(simple(tmp_path, files, again)) == 1       # a later beginning counts


@pytest.mark.parametrize(("condition", "events", "expected"), [
    ("a and b", at(0) + at(1, rule="b"), 1),
    ("a and (b or c)", at(0) + at(1, rule="c"), 1),
    ("a and (b or c)", at(0), 0),
    ("a and not b", at(0), 1),
    ("a and not b", at(0) + at(10, rule="b"), 0),
    ("a and not b", at(0) + at(10.5, rule="b"), 1),
    ("not b and a", at(0, rule="b") + at(1), 0),
])
def test_extended_conditions(tmp_path, condition, events, expected):
    files = [base("a", 1), base("b", 2), base("c", 3), correlation(type="temporal", condition=condition)]
    assert len(simple(tmp_path, files, events)) == expected


def test_an_ordered_chain_with_something_that_must_not_happen(tmp_path):
    files = [base("a", 1), base("b", 2), base("c", 3),
             correlation(type="temporal_ordered", rules=["a", "b", "c"], condition="a and b and not c")]
    assert len(simple(tmp_path, files, at(0) + at(1, rule="b"))) == 1
    assert simple(tmp_path, files, at(0) + at(1, rule="b") + at(2, rule="c")) == []
    assert simple(tmp_path, files, at(1) + at(0, rule="b")) == []


@pytest.mark.parametrize(("kind", "condition", "sizes", "expected"), [
    ("value_sum", {"gte": 100}, ("40", "60"), 1), ("value_sum", {"gte": 100}, ("40", "59"), 0),
    ("value_sum", {"gte": 1}, ("0.1",) * 10, 1),          # ten tenths are one
    ("value_avg", {"gt": 50}, ("40", "61"), 1), ("value_avg", {"gt": 50}, ("40", "60"), 0),
    ("value_avg", {"lt": 50}, ("40", "59"), 1), ("value_avg", {"lt": 50}, ("10", "90"), 0),
    ("value_median", {"gte": 5}, ("1", "8", "5"), 1), ("value_median", {"gt": 5}, ("1", "8", "5"), 0),
    ("value_percentile", {"gte": 9, "percentile": 90}, tuple(map(str, range(1, 11))), 1),
    ("value_percentile", {"gt": 9.2, "percentile": 90}, tuple(map(str, range(1, 11))), 0),
    ("value_sum", {"gte": 1}, ("much", "inf", "1e999", "nan"), 0),
    ("value_sum", {"gte": 16}, ("0x10",), 1),
])
def test_measures(tmp_path, kind, condition, sizes, expected):
    rule = correlation(type=kind, rules=["a"], condition={**condition, "field": "size"})
    events = [e for n, size in enumerate(sizes) for e in at(n / 10, size=size)]
    assert len(simple(tmp_path, [base("a", 1), rule], events)) == expected


def test_aliases(tmp_path):
    rule = correlation(type="temporal", rules=["a", "b"], **{
        "group-by": ["who"], "aliases": {"who": {"a": "user", "b": "account"}}})
    files = [base("a", 1), base("b", 2), rule]
    assert simple(tmp_path, files, at(0, user="bob") + at(1, rule="b", account="bob")) == [(("bob",), [0, 1])]
    assert simple(tmp_path, files, at(0, user="bob") + at(1, rule="b", account="eve")) == []
    assert simple(tmp_path, files, at(0, user="bob") + at(1, rule="b", user="bob")) == []


def test_a_field_is_read_where_its_rules_log_has_it(tmp_path):
    """ProcessId of a 4688 is NewProcessId, although the record has a ProcessId too."""
    rules = compiled(base("a", 1), correlation(**{**COUNT, "condition": {"gte": 2}, "group-by": ["ProcessId"]}))
    builder = TableBuilder()
    for number, mine in enumerate(("0x1", "0x1", "0x2")):
        builder.add(START + number, {"winlog.channel": "Security", "event.code": "4688", "winlog.record_id": number,
                                     "NewProcessName": "a", "NewProcessId": mine, "ProcessId": "0x9"})
    writer = HitWriter(rules, tmp_path / "x.arrow")
    table = builder.build()
    writer.add(table, Matcher(rules).match(table))
    writer.close()
    ((_, row),) = Correlator(rules, [writer.path]).findings()
    assert row["group"] == {"ProcessId": "0x1"}
    assert [r["record_id"] for r in row["records"]] == [0, 1]


def test_a_correlation_of_correlations_names_the_records_below(tmp_path):
    many = correlation(80, "Many", type="event_count", rules=["a"], condition={"gte": 3}, **{"group-by": ["user"]})
    then = correlation(81, "Then", type="temporal_ordered", rules=["many", "b"], timespan="1m", **{
        "group-by": ["user"]})
    files = [base("a", 1), base("b", 2), then, many]       # the outer one comes first in the folder
    events = at(0, 1, 2, 3, user="bob") + at(30, rule="b", user="bob")
    rows, _ = found(tmp_path, files, numbered(events))
    assert rows == [("Then", ("bob",), [0, 1, 2, 3, 4], 5)]
    other = at(0, 1, 2, 3, user="bob") + at(30, rule="b", user="eve")
    assert found(tmp_path, files, numbered(other))[0] == []


def test_generate_says_who_speaks_for_itself(tmp_path):
    many = correlation(80, "Many", type="event_count", rules=["a"], condition={"gte": 2}, generate=True)
    rules = compiled(base("a", 1), many)
    assert rules.quiet == frozenset()
    rules = compiled(base("a", 1), correlation(80, "Many", type="event_count", rules=["a"], condition={"gte": 2}))
    assert rules.quiet == frozenset({0})
    inner = {"type": "event_count", "rules": ["a"], "condition": {"gte": 2}}
    for generate, expected in ((True, {"Many", "Outer"}), (False, {"Outer"})):
        outer = correlation(81, "Outer", type="event_count", rules=["many"], condition={"gte": 1}, generate=generate)
        rows, _ = found(tmp_path, [base("a", 1), correlation(80, "Many", **inner), outer], numbered(at(0, 1)))
        assert {title for title, *_ in rows} == expected


def test_what_cannot_be_placed_is_counted(tmp_path):
    rule = correlation(type="value_sum", rules=["a"], condition={"gte": 1, "field": "size"}, **{"group-by": ["user"]})
    events = [{"at": None, "rule": "a", "user": "u", "size": "1"}, *at(0, size="1"), *at(1, user="u"),
              *at(2, user="u", size="3")]
    rows, correlator = found(tmp_path, [base("a", 1), rule], numbered(events))
    assert len(rows) == 1
    count = correlator.counts[0]
    assert (count.hits, count.without_time, count.without_group, count.without_value) == (1, 1, 1, 1)


def test_a_large_finding_keeps_its_ends_and_its_count(tmp_path):
    events = at(*(n / 1000 for n in range(RECORDS_KEPT + 500)))
    rows, _ = found(tmp_path, [base("a", 1), correlation(**COUNT)], numbered(events))
    ((_, _, records, count),) = rows
    assert (count, len(records), records[0], records[-1]) == (len(events), RECORDS_KEPT, 0, len(events) - 1)


def test_a_separator_in_a_value_breaks_nothing(tmp_path):
    rule = correlation(**{**COUNT, "condition": {"gte": 1}, "group-by": ["user", "ip"]})
    rows = simple(tmp_path, [base("a", 1), rule], at(0, user="a\x1fb\x1f", ip="x"))
    assert rows == [(("a b ", "x"), [0])]


@pytest.mark.parametrize(("own", "words"), [
    ({"type": "event_count", "rules": ["gone"], "condition": {"gte": 1}}, "not among the loaded rules"),
    ({"type": "event_count", "rules": ["linux"], "condition": {"gte": 1}}, "needs linux, which is not applicable"),
    ({"type": "event_count", "rules": ["together"], "condition": {"gte": 1}}, "refers to itself"),
    ({"type": "event_count", "rules": ["a"]}, "without condition"),
    ({"type": "event_count", "rules": ["a"], "condition": {"gte": 1}, "timespan": "soon"}, "imespan"),
    ({"type": "value_count", "rules": ["a"], "condition": {"gte": 1}}, "field"),
    ({"type": "value_percentile", "rules": ["a"], "condition": {"gte": 1, "field": "x"}}, "percentile from 1 to 99"),
    ({"type": "value_sum", "rules": ["a"], "condition": {"gte": float("nan"), "field": "x"}}, "no number"),
    ({"type": "temporal_ordered", "rules": ["a", "b"], "condition": "a or b"}, "'or'"),
    ({"type": "temporal_ordered", "rules": ["a", "b"], "condition": {"gte": 1}}, "some of its rules"),
    ({"type": "near", "rules": ["a"], "condition": {"gte": 1}}, "near"),
    ({"type": "event_count", "rules": ["a", "a"], "condition": {"gte": 1}}, "twice"),
    ({"type": "event_count", "rules": ["a"], "condition": {"gte": 1}, "timespan": "999999999999999999y"}, "hundred"),
    ({"type": 5, "rules": ["a"], "condition": {"gte": 1}}, "not a valid correlation"),
    ("text", "no mapping"),
])
def test_what_cannot_be_worked_out_is_reported(own, words):
    linux = rule_file({"s": {"x": "y"}, "condition": "s"}, number=7, name="linux",
                      logsource={"product": "no-such-thing"})
    file = correlation(**own) if isinstance(own, dict) else RuleFile("c.yml", b"title: c\ncorrelation: text\n")
    rules = compiled(base("a", 1), base("b", 2), linux, file)
    assert words in next(s.reason for s in rules.skipped if s.path == file.path)
    assert rules.quiet == frozenset()                      # then the rules speak for themselves


def test_many_passes_find_the_same(tmp_path):
    rule = correlation(**COUNT, **{"group-by": ["user"]})
    events = [e for n in range(40) for e in at(0, 1, 2, user=f"u{n}")]
    whole = simple(tmp_path, [base("a", 1), rule], events)
    parts = simple(tmp_path, [base("a", 1), rule], events, rows_at_once=10, batches=4)
    assert len(whole) == 40
    assert sorted(parts) == sorted(whole)


# ---- against a plain reading -----------------------------------------------------------------

KINDS = ("event_count", "value_count", "temporal", "temporal_ordered", "value_sum", "value_avg", "value_median",
         "value_percentile")
CONDITIONS = st.sampled_from([{"gte": 2}, {"gt": 2}, {"lt": 3}, {"lte": 2}, {"eq": 2}, {"neq": 2},
                              {"gte": 2, "lte": 3}])
EVENTS = st.lists(st.fixed_dictionaries({
    "at": st.integers(0, 30), "rule": st.sampled_from("abc"), "user": st.sampled_from(["u", "v", None]),
    "size": st.sampled_from(["0", "1", "2", "3", "-1", "x", None])}), max_size=14)
COMPARE = {"gt": lambda a, b: a > b, "gte": lambda a, b: a >= b, "lt": lambda a, b: a < b, "lte": lambda a, b: a <= b,
           "eq": lambda a, b: a == b, "neq": lambda a, b: a != b}
SPAN = 10


def measure(kind, window):
    if kind == "event_count":
        return len(window)
    if kind == "value_count":
        return len({e["size"] for e in window})
    if kind == "temporal":
        return len({e["rule"] for e in window})
    numbers = sorted(Fraction(e["size"]) for e in window)
    if kind == "value_sum":
        return sum(numbers)
    if kind == "value_avg":
        return sum(numbers) / len(numbers)
    if kind == "value_median":
        return statistics.median(numbers)
    place = Fraction(75, 100) * (len(numbers) - 1)
    low = numbers[int(place)]
    return low + (numbers[min(int(place) + 1, len(numbers) - 1)] - low) * (place - int(place))


def expected_records(kind, condition, rules, events):
    """Sets of records, each a maximal run of overlapping windows that hold; by trying everything."""
    if kind == "value_count":
        events = [e for e in events if e["size"] is not None]
    elif kind.startswith("value_"):
        events = [e for e in events if e["size"] not in (None, "x")]
    events = [e for e in events if e["rule"] in rules and e["user"] is not None]
    out = []
    for user in sorted({e["user"] for e in events}):
        mine = sorted((e for e in events if e["user"] == user), key=lambda e: (e["at"], e["rule"], e["n"]))
        windows = []
        if kind == "temporal_ordered":
            for last, event in enumerate(mine):
                starts = [first for first in range(last + 1) if event["at"] - mine[first]["at"] <= SPAN and any(
                    [mine[i]["rule"] for i in chosen] == rules
                    for chosen in itertools.combinations(range(first, last + 1), len(rules))
                    if chosen[0] == first and chosen[-1] == last)]
                if starts:
                    windows.append((max(starts), last))
        elif set(condition) <= {"gt", "gte"}:
            for last, event in enumerate(mine):
                first = min(i for i in range(last + 1) if event["at"] - mine[i]["at"] <= SPAN)
                windows.append((first, last))
        else:
            first = 0
            while first < len(mine):
                last = max(i for i in range(first, len(mine)) if mine[i]["at"] - mine[first]["at"] <= SPAN)
                windows.append((first, last))
                first = last + 1
        if kind != "temporal_ordered":
            windows = [(a, b) for a, b in windows
                       if all(COMPARE[op](measure(kind, mine[a:b + 1]), n) for op, n in condition.items())]
        runs = []
        for a, b in windows:
            if runs and a <= runs[-1][1]:
                runs[-1] = (min(runs[-1][0], a), b)
            else:
                runs.append((a, b))
        out += [frozenset(e["n"] for e in mine[a:b + 1]) for a, b in runs]
    return sorted(map(sorted, out))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(KINDS), CONDITIONS, EVENTS, st.integers(1, 4))
def test_the_engine_agrees_with_trying_everything(tmp_path_factory, kind, condition, events, batches):
    rules = ["a", "b"]
    own = {"type": kind, "rules": rules, "group-by": ["user"], "timespan": f"{SPAN}s"}
    if kind != "temporal_ordered":
        own["condition"] = dict(condition)
    if kind.startswith("value_"):
        own["condition"]["field"] = "size"
    if kind == "value_percentile":
        own["condition"]["percentile"] = 75
    rows, _ = found(tmp_path_factory.mktemp("hits"), [base("a", 1), base("b", 2), base("c", 3), correlation(**own)],
                    numbered(events), batches=batches)
    assert sorted(sorted(records) for _, _, records, _ in rows) == expected_records(
        kind, condition, rules, numbered(events))

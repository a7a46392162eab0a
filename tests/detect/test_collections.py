"""Rule collections, filters, Hayabusa's dialect and the old aggregations: what comes of a file of rules."""

import pytest
import yaml
from detect_helpers import PROCESS, compiled, fired, rule_file, table

from hikeshi.detect.compile import compile_rules
from hikeshi.detect.rules import RuleFile, RuleSet

LOG = {"logsource": PROCESS}


def several(*documents):
    return RuleFile("many.yml", yaml.safe_dump_all(documents, allow_unicode=True).encode())


def sel(**fields):
    return {"s": fields, "condition": "s"}


# ---- collections -----------------------------------------------------------------------------


def test_global_lends_its_keys_until_reset():
    rules = compiled(several(
        {"action": "global", "level": "high", **LOG, "detection": {"condition": "s"}},
        {"title": "A", "detection": {"s": {"Image": "a"}}}, {"title": "B", "detection": {"s": {"Image": "b"}}},
        {"action": "reset"}, {"title": "C", "detection": {"s": {"Image": "c"}}}))
    assert fired(rules, table([{"Image": "a"}, {"Image": "b"}, {"Image": "c"}])) == {"A": [0], "B": [1]}
    assert [s.title for s in rules.skipped] == ["C"]
    assert {r.level for r in rules.rules} == {"high"}


def test_two_globals_add_up_and_an_id_they_lend_is_no_double():
    rules = compiled(several({"action": "global", "id": "one", **LOG}, {"action": "global", "level": "low"},
                             {"title": "A", "detection": sel(Image="a")}, {"title": "B", "detection": sel(Image="b")}))
    assert fired(rules, table([{"Image": "a"}, {"Image": "b"}])) == {"A": [0], "B": [1]}


def test_repeat_changes_some_keys_of_the_rule_before_it():
    rules = compiled(several({"title": "A", **LOG, "detection": sel(Image="a", User="u")},
                             {"action": "repeat", "title": "B", "detection": {"s": {"Image": "b"}}}))
    events = table([{"Image": "a", "User": "u"}, {"Image": "b", "User": "u"}, {"Image": "b"}])
    assert fired(rules, events) == {"A": [0], "B": [1]}


def test_an_unknown_action_is_an_error_of_its_file():
    rules = compile_rules(RuleSet([several({"action": "explode", "title": "A"}), rule_file(sel(Image="a"))]))
    assert rules.applicable == 1
    assert "explode" in rules.errors[0].what


@pytest.mark.parametrize("document", [{"tags": 5}, {"logsource": 7}, {"detection": []}, {"detection": {"condition": 4}},
                                      {"level": {}}, {"falsepositives": 3}, {"id": []}, {"filter": 5},
                                      {"filter": {}, "logsource": {}}, {"correlation": []}, {"filter": {"rules": 5}},
                                      {"detection": {"s": {5: {"min_length": 3}}, "condition": "s"}}])
def test_odd_documents_are_reported_and_never_a_crash(document):
    whole = {"title": "Odd", **LOG, "detection": sel(Image="a"), **document}
    if "filter" in document:
        del whole["detection"]
    rules = compiled(several(whole), rule_file(sel(Image="a"), number=5))
    assert "Rule 5" in fired(rules, table([{"Image": "a"}]))


# ---- filters ----------------------------------------------------------------------------------


def narrowing(rules, detection, logsource=PROCESS, **more):
    return several({"title": "Ours", "logsource": logsource, "filter": {"rules": rules, **detection}, **more})


NOT_BOB = {"bob": {"User": "bob"}, "condition": "not bob"}
EVENTS = [{"Image": "a", "User": "bob"}, {"Image": "a", "User": "eve"}, {"Image": "b", "User": "bob"}]


@pytest.mark.parametrize("ref", ["00000000-0000-4000-8000-000000000001", "named", "NAMED"])
def test_a_filter_narrows_the_rules_it_names_by_id_or_name(ref):
    rules = compiled(rule_file(sel(Image="a"), name="named"), rule_file(sel(Image="b"), number=2),
                     narrowing([ref], NOT_BOB))
    assert fired(rules, table(EVENTS)) == {"Rule 1": [1], "Rule 2": [2]}
    assert (rules.filters[0].title, rules.filters[0].rules) == ("Ours", 1)
    assert rules.rules[0].filters == ("Ours",)
    assert rules.loaded == rules.applicable == 2


@pytest.mark.parametrize("ref", ["any", []])
def test_a_filter_for_any_rule_takes_those_of_its_log_source(ref):
    other = {"product": "windows", "category": "dns_query"}
    rules = compiled(rule_file(sel(Image="a")), rule_file(sel(Image="a"), number=2, logsource=other),
                     narrowing(ref, NOT_BOB))
    assert fired(rules, table(EVENTS)) == {"Rule 1": [1]}
    assert fired(rules, table(EVENTS, code="22")) == {"Rule 2": [0, 1]}
    # A filter for all of Windows narrows both.
    rules = compiled(rule_file(sel(Image="a")), rule_file(sel(Image="a"), number=2, logsource=other),
                     narrowing(ref, NOT_BOB, {"product": "windows"}))
    assert rules.filters[0].rules == 2


def test_filters_add_up_and_leave_the_rules_own_groups_alone():
    """"1 of them" and "selection*" of the rule must not find the filter's selections."""
    rule = rule_file({"selection1": {"Image": "a"}, "selection2": {"Image": "b"}, "condition": "1 of them"})
    rules = compiled(rule, narrowing("any", {"selection3": {"User": "bob"}, "condition": "not 1 of selection*"}),
                     RuleFile("two.yml", narrowing("any", {"x": {"User": "eve"}, "condition": "not x"}).data))
    assert fired(rules, table([*EVENTS, {"Image": "b", "User": "kim"}])) == {"Rule 1": [3]}
    assert [f.rules for f in rules.filters] == [1, 1]


@pytest.mark.parametrize(("file", "words"), [
    (narrowing(["gone"], NOT_BOB), "fits no loaded rule"),
    (narrowing("any", NOT_BOB, {"product": "linux"}), "fits no loaded rule"),
    (narrowing("any", {"bob": {"User": "bob"}}), "condition"),
    (several({"title": "F", "filter": {"rules": "any", **NOT_BOB}}), "log source"),
    (narrowing("any", {"bob": {"User": "bob"}, "condition": "not (bob"}), "not a valid filter"),
    (narrowing("any", {"bob": {"User": "bob"}, "condition": "not eve"}), "not a valid filter"),
    (narrowing("any", {"bob": {"User|nonsense": "bob"}, "condition": "not bob"}), "nonsense"),
])
def test_a_filter_that_does_nothing_is_reported(file, words):
    rules = compiled(rule_file(sel(Image="a")), file)
    assert words in rules.skipped[0].reason
    assert (rules.loaded, rules.applicable, rules.filters) == (2, 1, [])
    assert fired(rules, table(EVENTS)) == {"Rule 1": [0, 1]}


def test_a_filter_narrows_what_a_correlation_counts():
    rules = compiled(rule_file(sel(Image="a"), name="base"), narrowing(["base"], NOT_BOB), several(
        {"title": "C", "correlation": {"type": "event_count", "rules": ["base"], "timespan": "1m",
                                       "condition": {"gte": 1}}}))
    assert fired(rules, table(EVENTS)) == {"Rule 1": [1]}


# ---- Hayabusa's dialect -----------------------------------------------------------------------


def hayabusa(detection, **more):
    return rule_file(detection, ruletype="Hayabusa", details="Cmd: %CommandLine%", **more)


@pytest.mark.parametrize(("modifier", "expected"), [
    ("equalsfield", [0]), ("startswithfield", [0, 1]), ("endswithfield", [0, 2]), ("containsfield", [0, 1, 2, 3])])
def test_hayabusas_words_for_fieldref(modifier, expected):
    events = table([{"Image": "bob", "User": "Bob"}, {"Image": "bobby", "User": "bob"},
                    {"Image": "notbob", "User": "bob"}, {"Image": "xbobx", "User": "bob"}, {"Image": "eve", "User": "bob"}])
    assert fired(compiled(hayabusa(sel(**{f"Image|{modifier}": "User"}))), events) == {"Rule 1": expected}


def test_hayabusas_least_length_and_value():
    rules = compiled(hayabusa(sel(CommandLine={"min_length": 1005, "value": "*powershell*"})))
    long = "powershell " + "x" * 994
    assert fired(rules, table([{"CommandLine": long}, {"CommandLine": long[:-1]}, {"CommandLine": "\n" * 2000}])) == {
        "Rule 1": [0]}
    rules = compiled(hayabusa(sel(CommandLine={"min_length": 3})))
    assert fired(rules, table([{"CommandLine": "a\nb"}, {"CommandLine": "日本"}])) == {"Rule 1": [0]}


def test_a_hayabusa_rule_may_name_its_channel_instead_of_a_log_source():
    source = {"product": "windows", "service": "no-service-of-sigma"}
    detection = sel(Channel="Some-Vendor/Operational", EventID=7)
    events = table([{"Image": "a"}], channel="Some-Vendor/Operational", code="7")
    assert fired(compiled(hayabusa(detection, logsource=source)), events) == {"Rule 1": [0]}
    assert fired(compiled(hayabusa(detection, logsource=source)), table([{"Image": "a"}], code="7")) == {}
    assert compiled(rule_file(detection, logsource=source)).applicable == 0      # any other rule says its log source
    assert compiled(hayabusa(detection, logsource={"product": "linux", "service": "x"})).applicable == 0


@pytest.mark.parametrize(("fields", "words"), [
    ({"Image": {"regexes": "./list.txt"}}, "'regexes' names a list in another file"),
    ({"Image": {"allowlist": "./list.txt"}}, "'allowlist'"),
    ({"Image": {"max_length": 3}}, "'max_length'"),
    ({"Image": {"min_length": "many"}}, "min_length"), ({"Image": {"min_length": 10**9}}, "min_length"),
])
def test_what_of_hayabusa_has_no_match_is_reported(fields, words):
    assert words in compiled(hayabusa(sel(**fields))).skipped[0].reason


# ---- the old aggregations ---------------------------------------------------------------------


@pytest.mark.parametrize(("aggregation", "kind", "limits", "group"), [
    ("count() > 3", "event_count", [["gt", 3]], []),
    ("count() by User >= 3", "event_count", [["gte", 3]], ["User"]),
    ("count(Image) by User, Computer<5", "value_count", [["lt", 5]], ["User", "Computer"]),
    ("sum(Size) by User == 7", "value_sum", [["eq", 7]], ["User"]),
])
def test_an_aggregation_is_a_correlation(aggregation, kind, limits, group):
    rules = compiled(rule_file({"s": {"Image": "a"}, "timeframe": "5m", "condition": f"s | {aggregation}"}))
    (entry,) = rules.correlations
    assert (entry["kind"], entry["limits"], entry["group"], entry["span_us"]) == (kind, limits, group, 300_000_000)
    assert (rules.loaded, rules.applicable, rules.quiet) == (1, 1, {0})
    assert rules.rules[entry["rule"]].title == "Rule 1"


@pytest.mark.parametrize(("condition", "words"), [
    ("s | near x", "no correlation can say"), ("s | min(Size) > 3", "no correlation can say"),
    ("s | sum() > 3", "without a field"), ("s | count() > lots", "no correlation can say"),
    ("gone | count() > 3", "gone"),
])
def test_other_aggregations_are_reported(condition, words):
    rules = compiled(rule_file({"s": {"Image": "a"}, "timeframe": "5m", "condition": condition}))
    assert (rules.loaded, rules.applicable) == (1, 0)
    assert words in rules.skipped[0].reason


def test_a_correlation_may_build_on_an_aggregation():
    outer = several({"title": "Outer", "correlation": {
        "type": "event_count", "rules": ["00000000-0000-4000-8000-000000000001"], "timespan": "1h",
        "condition": {"gte": 2}}})
    rules = compiled(outer, rule_file({"s": {"Image": "a"}, "timeframe": "5m", "condition": "s | count() > 3"}))
    assert [e["inputs"] for e in rules.correlations] == [[["rule", 0]], [["correlation", 0]]]
    assert (rules.loaded, rules.applicable) == (2, 2)


def test_placeholders_stand_in_patterns_too():
    file = rule_file(sel(**{"User|re|expand": "^%admins%$"}))
    rules = compiled(file, placeholders={"admins": ["a.b", "c"]})
    assert fired(rules, table([{"User": "a.b"}, {"User": "axb"}, {"User": "c"}])) == {"Rule 1": [0, 2]}
    assert "%admins%" in compiled(file).skipped[0].reason


def test_a_cached_set_keeps_correlations_and_filters(tmp_path):
    files = [rule_file(sel(Image="a"), name="base"), narrowing(["base"], NOT_BOB), RuleFile("c.yml", several(
        {"title": "C", "correlation": {"type": "event_count", "rules": ["base"], "timespan": "1m",
                                       "condition": {"gte": 1}}}).data)]
    fresh = compile_rules(RuleSet(files), cache=tmp_path / "c")
    again = compile_rules(RuleSet(files), cache=tmp_path / "c")
    assert again.from_cache
    assert (again.correlations, again.quiet, again.filters) == (fresh.correlations, fresh.quiet, fresh.filters)
    assert fired(again, table(EVENTS)) == {"Rule 1": [1]}

"""Rule files that nobody meant: every one is a reason or a rule, never a crash."""

import yaml
from detect_helpers import PROCESS, fired, rule_file, table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hikeshi.detect.compile import compile_rules
from hikeshi.detect.rules import RuleFile, RuleSet

WORDS = st.sampled_from(["a", "b", "together", "any", "s", "not s", "1 of them", "s and a", "10s", "1h", "User", "Image",
                         "event_count", "value_count", "temporal", "temporal_ordered", "value_sum", "value_percentile",
                         "%x%", "*", "", "a | count() > 3", "s | count(User) by Image >= 2", "global", "repeat", "x" * 300])
KEYS = st.sampled_from(["s", "Image", "Image|contains", "Image|re", "Image|cidr", "User|base64offset|contains", "x|hour",
                        "Image|fieldref", "Image|expand", "Image|all", "Image|gt|hour", "Image|windash|any", "condition",
                        "rules", "type", "timespan", "group-by", "aliases", "generate", "gte", "lte", "field",
                        "percentile", "detection", "correlation", "filter", "logsource", "product", "category", "service",
                        "action", "id", "name", "title", "level", "tags", "timeframe", "min_length", "value", 5, None])
ODD = st.recursive(st.one_of(WORDS, st.integers(-3, 10**19), st.floats(), st.none(), st.booleans(), st.dates()),
                   lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
                   max_leaves=12)
DOCUMENTS = st.lists(st.dictionaries(KEYS, ODD, max_size=6), min_size=1, max_size=4)
SHAPED = st.fixed_dictionaries({"title": WORDS, "logsource": st.just(PROCESS)}, optional={
    "detection": st.dictionaries(KEYS, ODD, max_size=4), "correlation": st.dictionaries(KEYS, ODD, max_size=6),
    "filter": st.dictionaries(KEYS, ODD, max_size=4), "id": WORDS, "name": WORDS, "action": WORDS,
    "ruletype": st.just("Hayabusa")})


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(DOCUMENTS, st.lists(SHAPED, min_size=1, max_size=4)))
def test_any_documents_compile_or_say_why_not(documents):
    good = rule_file({"s": {"Image": "good"}, "condition": "s"}, number=77, name="good")
    rules = compile_rules(RuleSet([RuleFile("odd.yml", yaml.safe_dump_all(documents).encode()), good]))
    assert rules.loaded == rules.applicable + len(rules.skipped)
    assert all(s.reason for s in rules.skipped)
    found = fired(rules, table([{"Image": "good"}, {"Image": "a", "User": "b"}]))
    # A filter for any rule may take it out; nothing else may.
    assert "Rule 77" in found or rules.filters or any("filter" in s.reason for s in rules.skipped)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_any_bytes_are_a_rule_file_or_an_error(data):
    rules = compile_rules(RuleSet([RuleFile("odd.yml", data)]))
    assert rules.loaded == rules.applicable + len(rules.skipped)

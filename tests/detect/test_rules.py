"""Loading, resolving and compiling: what is not applicable is said, with its reason."""

import os
import stat

import pytest
from detect_helpers import PROCESS, SYSMON, compiled, fired, rows_of, rule_file, table

from hikeshi.detect.compile import compile_rules
from hikeshi.detect.match import Matcher
from hikeshi.detect.rules import RuleFile, RuleSet, load_rules
from hikeshi.errors import RuleError
from hikeshi.knowledge import cache as rule_cache

SIMPLE = {"selection": {"Image": "a"}, "condition": "selection"}


def reason(*files):
    rules = compiled(*files)
    assert rules.applicable == 0
    return rules.skipped[0].reason


@pytest.mark.parametrize(("logsource", "words"), [
    ({"product": "windows", "category": "no_such_thing"}, "unknown category"),
    ({"product": "windows", "service": "no-such-log"}, "unknown service"),
    ({"product": "windows"}, "neither category nor service"),
    ({"product": "linux", "category": "process_creation"}, "not a Windows log"),
    ({"product": "windows", "category": "dns_query", "service": "security"}, "never holds this category"),
])
def test_an_unresolved_log_source_is_reported_and_never_run_on_everything(logsource, words):
    rules = compiled(rule_file(SIMPLE, logsource=logsource))
    assert (rules.loaded, rules.applicable) == (1, 0)
    assert words in rules.skipped[0].reason
    assert fired(rules, table([{"Image": "a"}])) == {}


def test_a_rule_looks_only_at_its_own_log():
    rules = compiled(rule_file(SIMPLE, logsource={"product": "windows", "category": "dns_query"}))
    assert fired(rules, table([{"Image": "a"}])) == {}
    assert fired(rules, table([{"Image": "a"}], code="22")) == {"Rule 1": [0]}
    assert fired(rules, table([{"Image": "a"}], code="22", channel="Security")) == {}


def test_a_channel_is_compared_without_case():
    assert fired(compiled(rule_file(SIMPLE)), table([{"Image": "a"}], channel=SYSMON.upper())) == {"Rule 1": [0]}


def test_process_creation_reads_the_security_audit_under_its_own_names():
    detection = {"selection": {"Image|endswith": "\\a.exe", "ParentImage": "p", "IntegrityLevel": "High",
                               "User|startswith": "CORP\\"}, "condition": "selection"}
    event = {"NewProcessName": "c:\\a.exe", "ParentProcessName": "p", "MandatoryLabel": "S-1-16-12288",
             "SubjectUserName": "bob", "SubjectDomainName": "CORP"}
    low = {**event, "MandatoryLabel": "S-1-16-4096"}
    assert rows_of(detection, table([event, low], channel="Security", code="4688")) == [0]
    assert rows_of(detection, table([event], channel="Security", code="4689")) == []


def test_a_registry_value_written_is_seen_in_the_security_audit():
    detection = {"selection": {"TargetObject|endswith": "HKLM\\SYSTEM\\CurrentControlSet\\Services\\x\\Start",
                               "Details": "4"}, "condition": "selection"}
    event = {"ObjectName": "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\x", "ObjectValueName": "Start",
             "NewValue": "4", "OperationType": "%%1905"}
    other = {**event, "ObjectValueName": "Type"}
    source = {"product": "windows", "category": "registry_set"}
    assert rows_of(detection, table([event, other], channel="Security", code="4657"), logsource=source) == [0]


def test_a_value_deleted_in_the_security_audit_is_no_value_set():
    events = table([{"ObjectName": "k", "ObjectValueName": "v", "OperationType": "%%1906"},
                    {"ObjectName": "k", "ObjectValueName": "v", "OperationType": "%%1905"}],
                   channel="Security", code="4657")
    detection = {"s": {"TargetObject": "k\\v"}, "condition": "s"}
    for category, expected in (("registry_set", [1]), ("registry_delete", [0]), ("registry_event", [0, 1])):
        assert rows_of(detection, events, logsource={"product": "windows", "category": category}) == expected


def test_system_and_event_data_never_collide():
    """UserData.Channel is what a clear event is about; the record's own channel stays what it is."""
    events = table([{"Channel": "Security"}, {"Channel": "Other"}, {}], channel="System", code="104")
    source = {"product": "windows", "service": "system"}
    assert rows_of({"s": {"Channel": "Security"}, "condition": "s"}, events, logsource=source) == [0]
    assert rows_of({"s": {"Channel": "System"}, "condition": "s"}, events, logsource=source) == [2]
    event_id = table([{"EventID": "1"}, {}], channel="System", code="104")
    assert rows_of({"s": {"EventID": 104}, "condition": "s"}, event_id, logsource=source) == [0, 1]


def test_missing_columns_are_null_and_break_nothing():
    detection = {"s": {"NoSuchField": None}, "f": {"AlsoNone|contains": "x"}, "g": {"Gone|re": "x+"},
                 "h": {"Gone|cidr": "10.0.0.0/8"}, "i": {"Gone|gt": 3}, "j": {"Image|fieldref": "Gone"},
                 "condition": "s and not (f or g or h or i or j)"}
    assert rows_of(detection, table([{"Image": "a"}])) == [0]


@pytest.mark.parametrize("pattern", ["(?!a)b", "(?<=a)b", "(a)\\1", "a{2000}", "(", "[z-a]"])
def test_a_pattern_that_re2_refuses_is_reported(pattern):
    text = reason(rule_file({"s": {"CommandLine|re": pattern}, "condition": "s"}))
    assert "xpression" in text


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*a){12}b", "(x+x+)+y"])
def test_patterns_that_hang_backtracking_engines_end(pattern):
    events = table([{"CommandLine": "a" * 20_000 + "!"}, {"CommandLine": "x" * 20_000}])
    assert rows_of({"s": {"CommandLine|re": pattern}, "condition": "s"}, events) == []


def test_placeholders_need_values():
    file = rule_file({"s": {"User|expand": "%admins%"}, "condition": "s"})
    assert reason(file) == "needs values for the placeholder %admins%"
    rules = compiled(file, placeholders={"admins": ["root", "adm*"]})
    assert fired(rules, table([{"User": "ROOT"}, {"User": "adm*"}, {"User": "admin"}])) == {"Rule 1": [0, 1]}


def test_the_same_rule_twice_counts_once():
    rules = compiled(rule_file(SIMPLE), RuleFile("copy.yml", rule_file(SIMPLE).data))
    assert rules.applicable == 1
    assert rules.skipped[0].reason == "the same id as rule1.yml"


@pytest.mark.parametrize(("data", "words"), [
    (b"title: x\nlogsource: {product: windows, service: system}\ndetection: {s: {a: 1}, condition: t}\n", "t"),
    (b"title: x\nlogsource: {product: windows, service: system}\n", "detection"),
    (b"title: x\ndetection: {s: {a: 1}, condition: s}\n", "valid"),
    (b"title: x\nlogsource: {product: windows, service: system}\ndetection: {s: {a|nonsense: 1}, condition: s}\n",
     "nonsense"),
    (b"title: x\nlogsource: {product: windows, service: system}\ndetection: {s: {a: 1}, condition: 's | count() > 3'}\n",
     "an aggregation without a timeframe"),
])
def test_a_broken_rule_is_reported_with_the_reason(data, words):
    assert words in reason(RuleFile("x.yml", data))


def test_a_broken_file_is_an_error_with_its_line_and_the_others_load():
    ruleset = RuleSet([RuleFile("bad.yml", b"title: x\n  y: [1\n"), rule_file(SIMPLE)])
    rules = compile_rules(ruleset)
    assert rules.applicable == 1
    (error,) = rules.errors
    assert error.source.path == "bad.yml"
    assert error.source.line in (2, 3)


def test_yaml_aliases_are_refused():
    rules = compile_rules(RuleSet([RuleFile("bomb.yml", b"a: &a [1]\nb: [*a, *a]\n")]))
    assert len(rules.errors) == 1
    assert "alias" in str(rules.errors[0])


def test_rules_come_from_files_and_folders_in_path_order(tmp_path):
    (tmp_path / "b").mkdir()
    for number, name in enumerate(("b/one.yml", "a.yaml", "note.txt"), start=1):
        (tmp_path / name).write_bytes(rule_file(SIMPLE, number=number).data)
    ruleset = load_rules([tmp_path])
    assert [f.path for f in ruleset.files] == ["a.yaml", "b/one.yml"]
    with pytest.raises(RuleError, match="no such rule"):
        load_rules([tmp_path / "gone"])


def test_a_rule_info_holds_what_a_hit_must_say():
    rules = compiled(rule_file(SIMPLE, tags=["attack.execution", "attack.t1059.001", "attack.g0032", "cve.2020-1",
                                             "attack.privilege_escalation"]))
    info = rules.rules[0]
    assert (info.author, info.level, info.techniques) == ("Nobody", "high", ("T1059.001",))
    assert info.tactics == ("execution", "privilege-escalation")


# ---- the cache ---------------------------------------------------------------------------


def rule_set():
    return RuleSet([rule_file(SIMPLE), rule_file({"s": {"CommandLine|re": "x+y"}, "condition": "s"}, number=2)])


def test_a_cached_set_answers_like_a_fresh_one(tmp_path):
    events = table([{"Image": "a"}, {"CommandLine": "xxy"}])
    fresh = compile_rules(rule_set(), cache=tmp_path / "cache")
    again = compile_rules(rule_set(), cache=tmp_path / "cache")
    assert (fresh.from_cache, again.from_cache) == (False, True)
    assert fired(fresh, events) == fired(again, events) == {"Rule 1": [0], "Rule 2": [1]}
    assert fresh.skipped == again.skipped
    assert fresh.rules == again.rules


def test_changed_rules_are_compiled_anew(tmp_path):
    compile_rules(rule_set(), cache=tmp_path)
    tmp_path.chmod(0o700)
    assert not compile_rules(RuleSet(rule_set().files[:1]), cache=tmp_path).from_cache


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "not json"])
def test_a_damaged_cache_counts_as_absent(tmp_path, damage):
    cache = tmp_path / "cache"
    compile_rules(rule_set(), cache=cache)
    (stored,) = cache.glob("*.json")
    raw = stored.read_bytes()
    changed = {"flip": raw.replace(b"Rule 1", b"Rule X"), "truncate": raw[:-10], "empty": b"",
               "not json": b"x\ny"}[damage]
    assert changed != raw
    stored.write_bytes(changed)
    rules = compile_rules(rule_set(), cache=cache)
    assert not rules.from_cache
    assert [r.title for r in rules.rules] == ["Rule 1", "Rule 2"]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")
def test_a_cache_that_others_can_write_is_not_used(tmp_path):
    cache = tmp_path / "cache"
    compile_rules(rule_set(), cache=cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    cache.chmod(0o777)
    assert not compile_rules(rule_set(), cache=cache).from_cache
    cache.chmod(0o700)
    (stored,) = cache.glob("*.json")
    stored.chmod(0o666)
    assert not compile_rules(rule_set(), cache=cache).from_cache
    assert compile_rules(rule_set(), cache=cache).from_cache


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_a_cache_that_is_a_link_is_not_used(tmp_path):
    real = tmp_path / "real"
    compile_rules(rule_set(), cache=real)
    (tmp_path / "link").symlink_to(real)
    assert not compile_rules(rule_set(), cache=tmp_path / "link").from_cache


def test_an_unwritable_cache_does_not_matter(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("x")
    assert compile_rules(rule_set(), cache=blocked / "cache").applicable == 2


def test_the_cache_keeps_only_a_few_sets(tmp_path):
    for number in range(1, 13):
        rule_cache.write(tmp_path / "cache", f"{number:064}", {"digest": f"{number:064}"})
    assert len(list((tmp_path / "cache").glob("*.json"))) == 8


def test_python_re_never_sees_a_rules_pattern(monkeypatch):
    """Only RE2 may be asked: re.compile on the pattern would be the hang that RE2 avoids."""
    import re

    seen = []
    true_compile = re.compile
    monkeypatch.setattr(re, "compile", lambda pattern, *a, **k: (seen.append(pattern), true_compile(pattern, *a, **k))[1])
    rules = compiled(rule_file({"s": {"CommandLine|re": "(very+)+special"}, "condition": "s"}))
    Matcher(rules).match(table([{"CommandLine": "veryspecial"}]))
    assert not any("special" in str(p) for p in seen)
    assert PROCESS["product"] == "windows"

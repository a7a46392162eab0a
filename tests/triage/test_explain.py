"""hunt --explain: which part of a rule holds for one record, and which does not."""

import json

import pytest
import yaml

from hikeshi.cli.main import main

RULE = {"title": "Tool", "id": "00000000-0000-4000-8000-000000000021", "level": "high",
        "logsource": {"product": "windows", "category": "process_creation"},
        "detection": {"img": {"Image|endswith": ["\\tool.exe", "\\other.exe"], "IntegrityLevel": "High"},
                      "cmd": [{"CommandLine|contains|all": ["-a", "-b"]}, {"CommandLine|re": "x{3}"}],
                      "words": ["secret"], "not_me": {"User|contains": "backup"},
                      "condition": "img and 1 of cmd* and not not_me and not words"}}
FILTER = {"title": "Our own", "logsource": RULE["logsource"],
          "filter": {"rules": [RULE["id"]], "server": {"Computer": "SRV1"}, "condition": "not server"}}
COUNT = {"title": "Many", "id": "00000000-0000-4000-8000-000000000022", "name": "many",
         "correlation": {"type": "event_count", "rules": [RULE["id"]], "timespan": "5m", "condition": {"gte": 2}}}


def record(number, host="WS1", channel="Security", code=4688, **data):
    return json.dumps({"Event": {"System": {
        "Provider": {"#attributes": {"Name": "x"}}, "EventID": code, "Channel": channel, "Computer": host,
        "EventRecordID": number, "TimeCreated": {"#attributes": {"SystemTime": "2026-05-03T00:00:00Z"}}},
        "EventData": data}}) + "\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = {"NewProcessName": "C:\\Tool.exe", "MandatoryLabel": "S-1-16-12288", "CommandLine": "tool -a -b"}
    (tmp_path / "log.json").write_text(
        record(1, **good) + record(2, **{**good, "CommandLine": "tool -a"}) + record(3, host="SRV1", **good)
        + record(4, code=4624, **good) + record(5, **{**good, "CommandLine": "secret xxx"}))
    (tmp_path / "rules").mkdir()
    for rule in (RULE, FILTER, COUNT):
        (tmp_path / "rules" / f"{rule['title']}.yml").write_text(yaml.safe_dump(rule))
    return tmp_path


def asked(capsys, record, rule="Tool"):
    capsys.readouterr()
    code = main(["hunt", "log.json", "--rules", "rules", "--explain", rule, str(record), "--json"])
    (told,) = map(json.loads, capsys.readouterr().out.splitlines())
    (one,) = told["explanations"]
    return code, one, {s["name"]: s for s in one["selections"]}


def test_each_part_says_what_it_wanted_and_what_was_there(place, capsys):
    code, one, selections = asked(capsys, 1)
    assert (code, one["fires"], one["of_this_log"]) == (1, True, True)
    image, level = selections["img"]["alternatives"][0]
    assert (image["name"], image["column"], image["found"], image["holds"]) == (
        "Image|endswith", "NewProcessName", "C:\\Tool.exe", True)
    assert [(v["wanted"], v["holds"]) for v in image["values"]] == [("\\tool.exe", True), ("\\other.exe", False)]
    assert (level["column"], level["found"], level["holds"]) == ("MandatoryLabel", "S-1-16-12288", True)
    assert [s["holds"] for s in selections.values()] == [True, True, False, False, False]
    assert selections["server"]["of_filter"]


def test_a_near_miss_names_the_value_that_is_missing(place, capsys):
    code, one, selections = asked(capsys, 2)
    assert (code, one["fires"], selections["cmd"]["holds"]) == (0, False, False)
    ((both,), (pattern,)) = selections["cmd"]["alternatives"]
    assert (both["all"], both["holds"]) == (True, False)
    assert [(v["wanted"], v["holds"]) for v in both["values"]] == [("-a", True), ("-b", False)]
    assert not pattern["holds"]
    assert selections["not_me"]["alternatives"][0][0]["found"] is None


def test_a_filter_and_a_keyword_may_be_the_reason(place, capsys):
    _, one, selections = asked(capsys, 3)
    assert (one["fires"], selections["img"]["holds"], selections["server"]["holds"]) == (False, True, True)
    _, one, selections = asked(capsys, 5)
    assert (one["fires"], selections["cmd"]["holds"], selections["words"]["holds"]) == (False, True, True)


def test_a_record_of_another_log_is_said_to_be_one(place, capsys):
    _, one, _ = asked(capsys, 4)
    assert (one["fires"], one["of_this_log"]) == (False, False)


def test_a_correlation_shows_the_rules_below_it(place, capsys):
    _, one, _ = asked(capsys, 1, rule="many")
    assert (one["title"], one["fires"]) == ("Tool", True)


def test_the_table_is_for_people_in_both_languages(place, capsys):
    assert main(["hunt", "log.json", "--rules", "rules", "--explain", RULE["id"], "log.json:2"]) == 0
    said = capsys.readouterr().out
    assert "一致しません does not fire" in said
    assert "× -b" in said and "○ -a" in said and "NewProcessName" in said


def test_what_is_not_there_is_said(place, capsys):
    assert main(["hunt", "log.json", "--rules", "rules", "--explain", "Tool", "99"]) == 0
    assert "No record 99" in capsys.readouterr().err
    assert main(["hunt", "log.json", "--rules", "rules", "--explain", "Gone", "1"]) != 0
    assert main(["hunt", "log.json", "--rules", "rules", "--explain", "Tool", "one"]) != 0
    (place / "rules" / "n.yml").write_text(yaml.safe_dump({**RULE, "title": "Nowhere", "id": "n",
                                                           "logsource": {"product": "plan9"}}))
    assert main(["hunt", "log.json", "--rules", "rules", "--explain", "Nowhere", "1"]) == 0
    assert "not a Windows log" in capsys.readouterr().err


def test_a_line_of_another_log(place, capsys):
    (place / "squid.log").write_text(
        "1767225600.123    120 10.0.0.5 TCP_MISS/200 1024 GET http://evil.example/a bob HIER_DIRECT/203.0.113.9 -\n" * 2)
    (place / "rules" / "p.yml").write_text(yaml.safe_dump({
        "title": "P", "id": "p", "logsource": {"category": "proxy"},
        "detection": {"s": {"cs-host": "evil.example", "c-uri|endswith": ".exe"}, "condition": "s"}}))
    assert main(["hunt", "squid.log", "--rules", "rules", "--explain", "P", "2", "--json"]) == 0
    (told,) = map(json.loads, capsys.readouterr().out.splitlines())
    (one,) = told["explanations"]
    ((uri, host),) = one["selections"][0]["alternatives"]
    assert (one["of_this_log"], host["holds"], uri["holds"]) == (True, True, False)
    assert (host["found"], uri["found"]) == ("evil.example", "http://evil.example/a")

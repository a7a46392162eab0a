"""What a site decides: levels, exceptions, placeholders. Nothing vanishes without a count and a reason."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
import yaml

from hikeshi.detect.site import load_site
from hikeshi.errors import RuleError
from hikeshi.triage.hunt import Hunt

SOURCE = {"product": "windows", "category": "process_creation"}
TOOL = {"title": "Tool", "id": "aaaaaaaa-0000-4000-8000-000000000001", "level": "high", "logsource": SOURCE,
        "detection": {"s": {"Image|endswith": "\\tool.exe"}, "condition": "s"}}
ADMIN = {"title": "Admin", "id": "aaaaaaaa-0000-4000-8000-000000000002", "level": "low", "logsource": SOURCE,
         "detection": {"s": {"User|expand": "%admins%"}, "condition": "s"}}
MANY = {"title": "Many", "id": "aaaaaaaa-0000-4000-8000-000000000003", "level": "medium",
        "correlation": {"type": "event_count", "rules": ["aaaaaaaa-0000-4000-8000-000000000001"], "generate": True,
                        "group-by": ["Computer"], "timespan": "1h", "condition": {"gte": 2}}}


def record(number, host, user, image, *, audit=False):
    data = ({"NewProcessName": image, "SubjectUserName": user, "SubjectDomainName": "CORP"} if audit
            else {"Image": image, "User": f"CORP\\{user}"})
    return json.dumps({"Event": {"System": {
        "Provider": {"#attributes": {"Name": "x"}}, "EventID": 4688 if audit else 1,
        "Channel": "Security" if audit else "Microsoft-Windows-Sysmon/Operational", "Computer": host,
        "EventRecordID": number, "TimeCreated": {"#attributes": {"SystemTime": f"2026-05-03T00:00:{number:02}Z"}}},
        "EventData": data}}) + "\n"


@pytest.fixture
def place(tmp_path):
    evidence, rules = tmp_path / "evidence", tmp_path / "rules"
    evidence.mkdir()
    rules.mkdir()
    (evidence / "log.json").write_text(
        record(1, "SRV1", "backup", "C:\\a\\tool.exe") + record(2, "SRV1", "eve", "C:\\a\\tool.exe")
        + record(3, "WS7", "backup", "C:\\b\\tool.exe") + record(4, "WS7", "eve", "C:\\b\\tool.exe", audit=True))
    for rule in (TOOL, ADMIN, MANY):
        (rules / f"{rule['title']}.yml").write_text(yaml.safe_dump(rule))
    return tmp_path


def hunt(place, text, **options):
    (place / "site.toml").write_text(text, encoding="utf-8")
    run = Hunt([place / "evidence"], [place / "rules"], workers=1, site=load_site(place / "site.toml"), **options)
    rows = [json.loads(line) for line in run.lines()]
    return {title: [r["record_id"] for r in rows if r["rule_title"] == title]
            for title in dict.fromkeys(r["rule_title"] for r in rows)}, rows, run.summary


def test_without_a_site_all_speak(place):
    assert hunt(place, "")[0] == {"Tool": [1, 2, 3, 4], "Many": [None, None]}


def test_a_level_is_changed_and_says_why(place):
    text = '[[rules]]\nid = "AAAAAAAA-0000-4000-8000-000000000001"\nlevel = "low"\nreason = "our own tool"\n'
    _, rows, summary = hunt(place, text)
    row = next(r for r in rows if r["rule_title"] == "Tool")
    assert (row["level"], row["own_level"], row["tuned"]) == ("low", "high", "our own tool")
    assert hunt(place, text, level="medium")[0] == {"Many": [None, None]}
    assert [(u.rules, u.problem) for u in summary.site] == [(1, "")]


def test_a_rule_that_is_switched_off_is_counted_and_still_counts_for_correlations(place):
    found, _, summary = hunt(place, '[[rules]]\ntitle = "tool"\nlevel = "off"\nreason = "noise"\n')
    assert found == {"Many": [None, None]}
    assert summary.switched_off == 4
    found, _, summary = hunt(place, '[[rules]]\ntitle = "Many"\nlevel = "off"\nreason = "noise"\n')
    assert found == {"Tool": [1, 2, 3, 4]}
    assert summary.switched_off == 2


@pytest.mark.parametrize(("what", "left"), [
    ('host = "srv1"', [3, 4]), ('host = "WS*"', [1, 2]), ('host = "WS"', [1, 2, 3, 4]),
    ('account = "backup"', [2, 4]), ('account = "CORP\\\\backup"', [2, 4]), ('account = "back"', [1, 2, 3, 4]),
    ('field = { Image = "C:\\\\b\\\\*" }', [1, 2]),           # NewProcessName in the audit's record
    ('host = "WS7"\naccount = "eve"', [1, 2, 3]),
    ('host = ["SRV1", "WS7"]\nfield = { Image = ["x", "C:\\\\a\\\\*"] }', [3, 4]),
])
def test_an_exception_takes_out_what_all_its_conditions_name(place, what, left):
    text = f'[[exceptions]]\ntitle = "Tool"\n{what}\nreason = "expected"\n'
    found, _, summary = hunt(place, text)
    assert found.get("Tool", []) == left
    assert summary.site[0].hits == 4 - len(left)
    assert sum(f.hits for f in summary.files) == len(left)


def test_an_exception_for_a_correlation_and_one_for_all_rules(place):
    found, _, summary = hunt(place, '[[exceptions]]\ntitle = "Many"\nhost = "SRV1"\nreason = "expected"\n')
    assert found == {"Tool": [1, 2, 3, 4], "Many": [None]}
    assert summary.hits == 5
    found, _, _ = hunt(place, '[[exceptions]]\nhost = "SRV1"\nreason = "expected"\n')
    assert found == {"Tool": [3, 4], "Many": [None]}


@pytest.mark.parametrize(("days", "found"), [(2, [3, 4]), (-2, [1, 2, 3, 4])])
def test_an_exception_ends(place, days, found):
    until = (datetime.now(UTC).date() + timedelta(days=days)).isoformat()
    got, _, summary = hunt(place, f'[[exceptions]]\nhost = "SRV1"\nreason = "expected"\nuntil = {until}\n')
    assert got["Tool"] == found
    assert bool(summary.site[0].problem) == (days < 0)


def test_an_entry_that_fits_no_rule_is_said(place):
    _, _, summary = hunt(place, '[[rules]]\ntitle = "Gone"\nlevel = "off"\nreason = "noise"\n')
    assert summary.site[0].problem == "no loaded rule has this id or title"


def test_placeholders_come_from_the_file(place):
    found, _, summary = hunt(place, '[placeholders]\nadmins = ["CORP\\\\eve"]\n')
    assert found["Admin"] == [2, 4]
    assert not summary.skipped
    assert "%admins%" in hunt(place, "")[2].skipped[0].reason


def test_yaml_is_read_too(tmp_path):
    (tmp_path / "site.yml").write_text("rules:\n- {title: a, level: off, reason: noise, until: 2026-12-31}\n")
    (one,) = load_site(tmp_path / "site.yml").tunings
    assert (one.level, one.until) == ("off", date(2026, 12, 31))


@pytest.mark.parametrize(("text", "words"), [
    ("nonsense = 1", "'nonsense' is not known"), ("[[rules]]\nlevel = 'low'\nreason = 'x'", "by id or by title"),
    ("[[rules]]\ntitle = 'a'\nlevel = 'loud'\nreason = 'x'", "level is one of"),
    ("[[rules]]\ntitle = 'a'\nlevel = 'low'", "say a reason"),
    ("[[exceptions]]\ntitle = 'a'\nreason = 'x'", "name a host"),
    ("[[exceptions]]\nhost = 'a'\nreason = 'x'\nuntil = 'soon'", "2026-12-31"),
    ("rules = 5", "a list of entries"), ("[[rules]", "no TOML"), ("[placeholders]\na = [{b = 1}]", "texts"),
])
def test_a_wrong_file_is_refused_with_its_place(tmp_path, text, words):
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(RuleError, match="(?s).*") as caught:
        load_site(tmp_path / "site.toml")
    assert words in caught.value.what
    with pytest.raises(RuleError, match="can't be read"):
        load_site(tmp_path / "gone.toml")

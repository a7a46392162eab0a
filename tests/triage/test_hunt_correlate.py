"""Correlations from paths to findings: over files, hosts and children."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from hikeshi.triage import correlate as module
from hikeshi.triage.hunt import Hunt

FAILED = {"title": "Logon failed", "id": "00000000-0000-4000-8000-000000000011", "name": "failed", "level": "low",
          "logsource": {"product": "windows", "service": "security"},
          "detection": {"s": {"EventID": 4625}, "condition": "s"}}
WORKED = {**FAILED, "title": "Logon", "id": "00000000-0000-4000-8000-000000000012", "name": "worked",
          "detection": {"s": {"EventID": 4624}, "condition": "s"}}
GUESSED = {"title": "Guessed", "id": "00000000-0000-4000-8000-000000000013", "level": "high", "author": "Nobody",
           "name": "guessing",
           "correlation": {"type": "event_count", "rules": ["failed"], "group-by": ["IpAddress"], "timespan": "10m",
                           "condition": {"gte": 5}}}
ENTERED = {"title": "Guessed and entered", "id": "00000000-0000-4000-8000-000000000014", "level": "critical",
           "correlation": {"type": "temporal_ordered", "rules": ["guessing", "worked"], "group-by": ["IpAddress"],
                           "timespan": "1h"}}
BEGIN = datetime(2026, 5, 3, tzinfo=UTC)


def record(number, code, minute, address, host):
    return {"Event": {"System": {
        "Provider": {"#attributes": {"Name": "Microsoft-Windows-Security-Auditing"}}, "EventID": code,
        "Channel": "Security", "Computer": host, "EventRecordID": number,
        "TimeCreated": {"#attributes": {"SystemTime": (BEGIN + timedelta(minutes=minute)).isoformat()}}},
        "EventData": {"IpAddress": address, "TargetUserName": "admin"}}}


def write(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    for rule in (FAILED, WORKED, GUESSED, ENTERED):
        (folder / f"{rule['title']}.yml").write_text(yaml.safe_dump(rule), encoding="utf-8")
    return folder


@pytest.fixture
def evidence(tmp_path):
    """Failures on one machine, the success on another; the later file comes first by name."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    write(folder / "a-dc2.json", [record(9, 4624, 20, "203.0.113.9", "DC2"), record(10, 4624, 21, "10.0.0.5", "DC2")])
    write(folder / "b-dc1.json", [record(n, 4625, n, "203.0.113.9", "DC1") for n in range(6)])
    write(folder / "c-dc1.json", [record(n, 4625, n, "10.0.0.5", "DC1") for n in range(4)])
    return folder


def found(evidence, rules, **options):
    hunt = Hunt([evidence], [rules], workers=1, **options)
    return [json.loads(line) for line in hunt.lines()], hunt.summary


def test_a_correlation_joins_files_and_hosts_and_names_its_records(evidence, rules):
    rows, summary = found(evidence, rules)
    (row,) = rows
    assert (row["rule_title"], row["level"], row["count"]) == ("Guessed and entered", "critical", 7)
    assert row["group"] == {"IpAddress": "203.0.113.9"}
    assert row["hosts"] == ["DC1", "DC2"]
    assert [(r["file"], r["record_id"]) for r in row["records"]] == [
        *(("b-dc1.json", n) for n in range(6)), ("a-dc2.json", 9)]
    assert {r["rule_title"] for r in row["records"]} == {"Logon failed", "Logon"}
    assert row["timestamp"] == "2026-05-03T00:20:00Z"
    assert row["evidence"] == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in evidence.iterdir()
                               if p.name in ("a-dc2.json", "b-dc1.json")}
    assert (summary.hits, summary.correlated, summary.events) == (1, 1, 12)
    assert [r.title for r in summary.rules.values()] == ["Guessed and entered"]


def test_the_lowest_level_asked_for_does_not_hide_what_a_correlation_counts(evidence, rules):
    rows, _ = found(evidence, rules, level="critical")
    assert [r["rule_title"] for r in rows] == ["Guessed and entered"]
    (rules / "Guessed and entered.yml").unlink()
    assert [r["rule_title"] for r in found(evidence, rules, level="high")[0]] == ["Guessed"]
    assert found(evidence, rules, level="critical")[0] == []


def test_without_its_correlation_a_rule_speaks_for_itself(evidence, rules):
    for name in ("Guessed", "Guessed and entered"):
        (rules / f"{name}.yml").unlink()
    rows, summary = found(evidence, rules)
    assert len(rows) == summary.hits == 12


def test_a_child_that_dies_over_correlations_loses_only_them(evidence, rules, monkeypatch):
    monkeypatch.setattr(module, "Limits", lambda **_: _limits(memory_bytes=1 << 20))
    (rules / "other.yml").write_text(yaml.safe_dump({**FAILED, "title": "Own", "id": "x", "name": "own"}))
    rows, summary = found(evidence, rules)
    assert {r["rule_title"] for r in rows} == {"Own"}
    assert summary.correlation_error
    assert summary.correlated == 0


def _limits(**values):
    from hikeshi.evidence.sandbox import Limits

    return Limits(**values)


def test_a_filter_narrows_the_rules_it_names(evidence, rules):
    (rules / "filter.yml").write_text(yaml.safe_dump({
        "title": "Our scanner", "logsource": {"product": "windows", "service": "security"},
        "filter": {"rules": ["failed"], "scanner": {"IpAddress": "203.0.113.9"}, "condition": "not scanner"}}))
    rows, summary = found(evidence, rules)
    assert rows == []
    assert [(f.title, f.rules) for f in summary.filters] == [("Our scanner", 1)]


def test_a_triage_tells_correlations_as_findings(evidence, rules, tmp_path):
    from hikeshi.triage.run import triage

    done = triage([evidence], tmp_path / "out", rules=[rules], zone="UTC", workers=1)
    own = [f for f in done.findings if f.rule_id.startswith("00000000-0000-4000-8000-0000000000")]
    assert {(f.title.en, f.hosts) for f in own} == {("Guessed and entered", ("DC1",)), ("Guessed and entered", ("DC2",))}
    on_the_first = next(f for f in own if f.hosts == ("DC1",))
    assert [(r.path, r.record_id) for r in on_the_first.records] == [("b-dc1.json", n) for n in range(6)]
    assert all(r.sha256 for r in on_the_first.records)


def test_a_triage_minds_the_site_and_says_so(evidence, rules, tmp_path):
    from hikeshi.triage.run import triage

    site = tmp_path / "site.toml"
    site.write_text('''
[[rules]]
title = "Guessed and entered"
level = "low"
reason = "red team week"
[[rules]]
title = "Noise"
level = "off"
reason = "too many"
[[exceptions]]
title = "Other"
host = "DC2"
reason = "asked the owner"
''')
    for number, title in ((21, "Noise"), (22, "Other")):
        (rules / f"{title}.yml").write_text(yaml.safe_dump(
            {**WORKED, "title": title, "id": f"00000000-0000-4000-8000-0000000000{number}", "name": title.lower()}))
    done = triage([evidence], tmp_path / "out", rules=[rules], site=site, zone="UTC", workers=1)
    own = [f for f in done.findings if f.rule_id.startswith("00000000-0000-4000-8000-0000000000")]
    assert {(f.title.en, f.severity) for f in own} == {("Guessed and entered", "low")}
    assert "red team week" in own[0].reason.en
    told = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "asked the owner" in told and "too many" in told

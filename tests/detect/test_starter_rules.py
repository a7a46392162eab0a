"""Hikeshi's own rules: each fires on what it is for, stays silent on what only looks like it,
and says in both languages why it matters and what to do next.
"""

from __future__ import annotations

import re
import runpy
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hikeshi.detect.compile import CompiledRules, compile_rules
from hikeshi.detect.match import Matcher
from hikeshi.detect.rules import LEVELS, RuleFile, RuleSet, load_rules
from hikeshi.events.table import EventTable, TableBuilder
from hikeshi.events.time import NO_TIME

ROOT = Path(__file__).parents[2]
RULES = ROOT / "src/hikeshi/knowledge/data/rules"
CASES = ROOT / "tests/cases/rules"
PATHS = sorted(p.relative_to(RULES).as_posix() for p in RULES.rglob("*.yml"))
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SYSTEM = {"Channel": "winlog.channel", "EventID": "event.code", "Provider": "event.provider", "Computer": "host.name"}
TACTICS = {"initial-access", "execution", "persistence", "privilege-escalation", "defense-evasion",
           "credential-access", "discovery", "lateral-movement", "collection", "command-and-control",
           "exfiltration", "impact"}
TEXTS = ("title_ja", "why_ja", "why_en", "next_ja", "next_en")


@cache
def rule(path: str) -> dict[str, Any]:
    return dict(yaml.load((RULES / path).read_text(encoding="utf-8"), LOADER))


@cache
def case(path: str) -> dict[str, Any]:
    file = CASES / Path(path).name
    return dict(yaml.load(file.read_text(encoding="utf-8"), LOADER)) if file.exists() else {}


@pytest.fixture(scope="module")
def compiled() -> CompiledRules:
    return compile_rules(load_rules([RULES]), cache=None)


@pytest.fixture(scope="module")
def fired(compiled: CompiledRules) -> Mapping[str, frozenset[int]]:
    """Per rule id, the numbers of the events of `every_event` that it fires on: one pass for all cases."""
    table = table_of(event for _, _, event in every_event())
    rows: dict[str, frozenset[int]] = {}
    for match in Matcher(compiled).match(table):
        rows[match.rule.id] = rows.get(match.rule.id, frozenset()) | frozenset(match.rows.tolist())
    return rows


@cache
def every_event() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, kind, event) for path in PATHS for kind in ("match", "near_miss")
            for event in case(path).get(kind, ())]


def table_of(events: Iterable[Mapping[str, Any]]) -> EventTable:
    """Events written flat as a table: System part in columns, everything else in fields, as parsing does it."""
    builder = TableBuilder()
    for event in events:
        builder.add(NO_TIME, {SYSTEM.get(name, name): str(value) for name, value in event.items()})
    table = builder.build()
    # Some EventData names are also column names elsewhere; the record's own part always lies in fields.
    assert set(table.columns) <= set(SYSTEM.values())
    return table


@pytest.mark.parametrize("path", PATHS)
def test_a_rule_fires_on_what_it_is_for_and_not_on_a_near_miss(path: str, fired: Mapping[str, frozenset[int]]) -> None:
    numbered = [(n, kind, event) for n, (owner, kind, event) in enumerate(every_event()) if owner == path]
    hits = fired.get(rule(path)["id"], frozenset())
    assert [e for n, kind, e in numbered if kind == "match" and n not in hits] == []
    assert [e for n, kind, e in numbered if kind == "near_miss" and n in hits] == []


@pytest.mark.parametrize("path", PATHS)
def test_a_rule_has_cases_of_both_kinds_in_its_own_file(path: str) -> None:
    assert case(path).get("rule") == path
    assert case(path)["match"] and case(path)["near_miss"]
    assert set(case(path)) == {"rule", "match", "near_miss"}
    for event in (*case(path)["match"], *case(path)["near_miss"]):
        assert {"Channel", "EventID", "Provider", "Computer"} <= set(event)


def test_every_selection_of_a_rule_is_met_by_one_of_its_own_events() -> None:
    """Else an alternative, or a filter, could be misspelt and nobody would notice."""
    files, owner = [], {}
    for path in PATHS:
        for name, selection in rule(path)["detection"].items():
            if name != "condition":
                number = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{path}#{name}"))
                owner[number] = (path, name)
                alone = {"title": name, "id": number, "logsource": rule(path)["logsource"],
                         "detection": {name: selection, "condition": f"1 of {name}"}}
                files.append(RuleFile(f"{number}.yml", yaml.safe_dump(alone, allow_unicode=True).encode()))
    compiled = compile_rules(RuleSet(files), cache=None)
    assert [(owner[s.rule_id], s.reason) for s in compiled.skipped] == []
    events = every_event()
    unmet = set(owner.values())
    for match in Matcher(compiled).match(table_of(event for _, _, event in events)):
        path, name = owner[match.rule.id]
        if any(events[row][0] == path for row in match.rows.tolist()):
            unmet.discard((path, name))
    assert sorted(unmet) == []


def test_no_case_is_left_without_its_rule() -> None:
    assert {p.name for p in CASES.glob("*.yml")} == {Path(p).name for p in PATHS}
    assert not [name for name, count in Counter(Path(p).name for p in PATHS).items() if count > 1]


def test_there_are_enough_rules_and_no_id_or_title_twice() -> None:
    assert len(PATHS) >= 75
    for key in ("id", "title"):
        assert not [v for v, count in Counter(str(rule(p)[key]) for p in PATHS).items() if count > 1]
    assert not [v for v, n in Counter(rule(p)["hikeshi"]["title_ja"] for p in PATHS).items() if n > 1]


def test_every_rule_can_be_used(compiled: CompiledRules) -> None:
    assert [(s.path, s.reason) for s in compiled.skipped] == []
    assert len(compiled.rules) == len(PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_a_rule_carries_what_its_reader_needs(path: str) -> None:
    found = rule(path)
    assert uuid.UUID(found["id"]).version == 4
    assert found["status"] == "experimental"
    assert found["author"] == "Hikeshi" and found["license"] == "Apache-2.0"
    assert found["level"] in LEVELS
    assert found["logsource"]["product"] == "windows" and len(found["logsource"]) == 2
    assert found["falsepositives"] and all(str(f).strip() for f in found["falsepositives"])
    assert len(found["description"]) >= 30
    assert "TODO" not in (RULES / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PATHS)
def test_a_rule_is_tagged_with_its_tactic_first_and_at_least_one_technique(path: str) -> None:
    tags = [t.removeprefix("attack.") for t in rule(path)["tags"]]
    techniques = [t for t in tags if re.fullmatch(r"t\d{4}(\.\d{3})?", t)]
    assert techniques
    assert tags[0] == path.split("/")[0]
    assert set(tags) - set(techniques) <= TACTICS
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("path", PATHS)
def test_a_rule_speaks_both_languages_in_one_sentence_each(path: str) -> None:
    texts = rule(path)["hikeshi"]
    assert tuple(texts) == TEXTS
    for name in ("why_ja", "next_ja"):
        assert texts[name].endswith(("す。", "い。", "ん。", "た。"))
        assert "、、" not in texts[name]
    assert texts["next_ja"].endswith("ください。")
    for name in TEXTS:
        assert 5 <= len(texts[name]) <= 120
        assert bool(re.search(r"[ぁ-んァ-ヶ一-龠]", texts[name])) == name.endswith("_ja")
    for name in ("why_en", "next_en"):
        assert texts[name].endswith((".", "?")) and texts[name][0].isupper()


def test_a_near_miss_is_seen_by_its_rule_at_all(fired: Mapping[str, frozenset[int]]) -> None:
    """A near miss that no rule could ever see (wrong channel) proves little: at most a quarter may be of that kind."""
    blind = 0
    for path in PATHS:
        seen = {(str(e["Channel"]), str(e["EventID"])) for e in case(path)["match"]}
        misses = [(str(e["Channel"]), str(e["EventID"])) for e in case(path)["near_miss"]]
        blind += not any(place in seen for place in misses)
    assert blind <= len(PATHS) // 4


def test_everyday_work_raises_no_alarm(compiled: CompiledRules) -> None:
    everyday = yaml.load((ROOT / "tests/cases/everyday.yml").read_text(encoding="utf-8"), LOADER)
    table = table_of(everyday)
    loud = [m for m in Matcher(compiled).match(table) if len(m.rows)]
    assert {m.rule.path: [everyday[r] for r in m.rows.tolist()] for m in loud} == {}
    assert len(everyday) >= 40 and np.all(table.times == NO_TIME)


def test_the_table_in_the_documentation_is_current() -> None:
    made = runpy.run_path(str(ROOT / "tools/rules_table.py"))["table"](RULES)
    assert (ROOT / "docs/rules.md").read_text(encoding="utf-8") == made, "run: python tools/rules_table.py"

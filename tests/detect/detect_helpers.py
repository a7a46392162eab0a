"""Rules and events for detection tests, as small as they can be written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from hikeshi.detect.compile import CompiledRules, compile_rules
from hikeshi.detect.match import Matcher
from hikeshi.detect.rules import RuleFile, RuleSet
from hikeshi.events.table import EventTable, TableBuilder

SYSMON = "Microsoft-Windows-Sysmon/Operational"
PROCESS = {"product": "windows", "category": "process_creation"}


def rule_file(detection: Mapping[str, Any], *, logsource: Mapping[str, str] = PROCESS, number: int = 1,
              **more: Any) -> RuleFile:
    rule = {"title": f"Rule {number}", "id": f"00000000-0000-4000-8000-{number:012}", "status": "test",
            "level": "high", "author": "Nobody", "logsource": dict(logsource), "detection": dict(detection), **more}
    return RuleFile(f"rule{number}.yml", yaml.safe_dump(rule, allow_unicode=True).encode())


def compiled(*files: RuleFile, **options: Any) -> CompiledRules:
    return compile_rules(RuleSet(list(files)), **options)


def table(events: Iterable[Mapping[str, Any]], *, channel: str = SYSMON, code: str = "1") -> EventTable:
    builder = TableBuilder()
    for number, event in enumerate(events):
        builder.add(1_700_000_000_000_000 + number, {
            "winlog.channel": channel, "event.code": code, "winlog.record_id": 100 + number, **event})
    return builder.build()


def fired(rules: CompiledRules, events: EventTable) -> dict[str, list[int]]:
    """Rule title -> rows."""
    return {m.rule.title: m.rows.tolist() for m in Matcher(rules).match(events)}


def rows_of(detection: Mapping[str, Any], events: EventTable, **options: Any) -> list[int]:
    rules = compiled(rule_file(detection, **options))
    assert rules.applicable == 1, rules.skipped
    return fired(rules, events).get("Rule 1", [])

"""Rule folders, compiled together, and what findings say of each rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hikeshi.detect.compile import CompiledRules, compile_rules
from hikeshi.detect.rules import RuleSet, load_rules
from hikeshi.knowledge.cache import cache_folder
from hikeshi.model.text import Text
from hikeshi.triage.findings import RuleText


@dataclass(frozen=True, slots=True)
class Rules:
    """A set of rules as files and as compiled."""

    files: RuleSet
    compiled: CompiledRules

    def texts(self, fired: set[str]) -> dict[str, RuleText]:
        """What a finding says, for the rules that fired: in both languages where the rule has them."""
        infos = {info.id: info for info in self.compiled.rules if info.id in fired}
        told = _told(self.files, {info.path for info in infos.values()})
        out = {}
        for rule_id, info in infos.items():
            own = told.get(rule_id, {})
            title = Text(own.get("title_ja") or info.title, info.title)
            description = info.description or info.title
            out[rule_id] = RuleText(
                title, Text(own.get("why_ja") or description, own.get("why_en") or description),
                Text(own.get("next_ja", ""), own.get("next_en", "")), info.level, info.author, info.techniques)
        return out

    def summary(self) -> Text:
        compiled = self.compiled
        skipped, broken = compiled.loaded - compiled.applicable, len(compiled.errors)
        return Text(
            f"{compiled.loaded:,} 本を読み、{compiled.applicable:,} 本を適用しました。{skipped:,} 本は対象外、"
            f"{broken:,} 件は読めないファイルです。",
            f"{compiled.loaded:,} loaded, {compiled.applicable:,} applicable, {skipped:,} not applicable, "
            f"{broken:,} files not readable.")


def load_rule_sets(folders: Sequence[Path]) -> Rules:
    """All folders as one set. Raises RuleError where a folder is missing."""
    files = load_rules(folders)
    return Rules(files, compile_rules(files, cache=cache_folder("rules")))


def _told(ruleset: RuleSet, paths: set[str]) -> dict[str, dict[str, Any]]:
    """The `hikeshi` part of our own rules, by rule id."""
    out = {}
    for file in ruleset.files:
        if file.path in paths and b"hikeshi:" in file.data:
            document = yaml.safe_load(file.data)
            if isinstance(document, dict) and isinstance(document.get("hikeshi"), dict):
                out[str(document.get("id"))] = document["hikeshi"]
    return out

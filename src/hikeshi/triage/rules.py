"""Rule folders, compiled together, and what findings say of each rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hikeshi.detect.compile import CompiledRules, compile_rules
from hikeshi.detect.rules import RuleSet, load_rules
from hikeshi.detect.site import NO_SITE, Expected, Site, SiteUse, tuned
from hikeshi.knowledge.cache import cache_folder
from hikeshi.model.text import Text
from hikeshi.triage.findings import RuleText

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Rules:
    """A set of rules as files and as compiled."""

    files: RuleSet
    compiled: CompiledRules
    site: Site = NO_SITE
    uses: list[SiteUse] = field(default_factory=list)
    switched_off: list[int] = field(default_factory=list)       # hits of rules that the site switched off

    @property
    def exceptions(self) -> tuple[tuple[Expected, ...], list[SiteUse]]:
        """The site's exceptions and what became of each."""
        return self.site.exceptions, self.uses[len(self.site.tunings):]

    def set_aside(self, numbers: Sequence[int], off: int) -> None:
        """Hits that the site expects, by exception, and those of rules it switched off."""
        self.switched_off.append(off)
        for use, number in zip(self.exceptions[1], numbers, strict=False):
            use.hits += number

    def texts(self, fired: set[str]) -> dict[str, RuleText]:
        """What a finding says, for the rules that fired: in both languages where the rule has them."""
        infos = {info.id: info for info in self.compiled.rules if info.id in fired}
        told = _told(self.files, {info.path for info in infos.values()})
        out = {}
        for rule_id, info in infos.items():
            own = told.get(rule_id, {})
            title = Text(own.get("title_ja") or info.title, info.title)
            description = info.description or info.title
            changed = Text(f" (現場の設定で {info.own_level} を {info.level} に: {info.tuned})",
                           f" (set from {info.own_level} to {info.level} by this site: {info.tuned})"
                           ) if info.tuned else Text("", "")
            out[rule_id] = RuleText(
                title, Text((own.get("why_ja") or description) + changed.ja,
                            (own.get("why_en") or description) + changed.en),
                Text(own.get("next_ja", ""), own.get("next_en", "")), info.level, info.author, info.techniques)
        return out

    def summary(self) -> Text:
        compiled = self.compiled
        ja, en = self._site_summary()
        skipped, broken = compiled.loaded - compiled.applicable, len(compiled.errors)
        return Text(
            f"{compiled.loaded:,} 本を読み、{compiled.applicable:,} 本を適用しました。{skipped:,} 本は対象外、"
            f"{broken:,} 件は読めないファイルです。{ja}",
            f"{compiled.loaded:,} loaded, {compiled.applicable:,} applicable, {skipped:,} not applicable, "
            f"{broken:,} files not readable.{en}")

    def _site_summary(self) -> tuple[str, str]:
        """What the site changed, with its reasons; empty where there is no site's file."""
        if not self.uses:
            return "", ""
        entries = "; ".join(f"{u.what}: {u.problem or f'{u.rules:,}, {u.hits:,}'} ({u.reason})"
                            for u in self.uses[:_SHOWN])
        more = f"; … {len(self.uses) - _SHOWN:,}" if len(self.uses) > _SHOWN else ""
        off = sum(self.switched_off)
        return (f"現場の設定(対象のルール数、除いた検知数、理由): {entries}{more}。止めたルールの検知 {off:,} 件。",
                f" Set by this site (rules, hits set aside, reason): {entries}{more}. {off:,} hits of rules it "
                "switched off.")


def load_rule_sets(folders: Sequence[Path], site: Site = NO_SITE) -> Rules:
    """All folders and packs as one set, with the site's levels. Raises RuleError where a folder is missing."""
    files = load_rules(folders)
    compiled, uses = tuned(compile_rules(files, cache=cache_folder("rules"), placeholders=site.placeholders), site,
                           datetime.now(UTC).date())
    return Rules(files, compiled, site, uses)


def _told(ruleset: RuleSet, paths: set[str]) -> dict[str, dict[str, Any]]:
    """The `hikeshi` part of our own rules, by rule id."""
    out = {}
    for file in ruleset.files:
        if file.path in paths and b"hikeshi:" in file.data:
            document = yaml.safe_load(file.data)
            if isinstance(document, dict) and isinstance(document.get("hikeshi"), dict):
                out[str(document.get("id"))] = document["hikeshi"]
    return out

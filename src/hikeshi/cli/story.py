"""The story on a terminal: the answer first, 80 columns, Japanese and English."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hikeshi.model.case import Case
from hikeshi.model.finding import Finding
from hikeshi.model.text import defang, plain

SHOWN = 12


def print_story(case: Case, findings: Sequence[Finding]) -> None:
    """Which ransomware, entry, spread, hosts, accounts, what could not be read; then the findings."""
    story, found = case.story, case.identification
    names = ", ".join(c.family for c in found.candidates[:3])
    family = {"identified": found.family or names, "candidates": f"候補 candidates: {names}"}.get(
        found.verdict, "わかりません unknown" if story.encrypted_hosts else "痕跡なし no trace")
    _line("ランサムウェア Ransomware", family)
    if story.entry_candidates:
        best = story.entry_candidates[0]
        _line("侵入経路 Entry", f"{best.kind}: {best.source or '?'} → {best.host or '?'} ({best.account or '?'}) "
                             f"{best.time or ''} [{best.confidence}]")
    else:
        _line("侵入経路 Entry", "わかりません unknown")
    _line("広がり Spread", f"{len(story.spread):,} moves, {len(story.compromised_hosts):,} hosts compromised, "
                        f"{len(story.encrypted_hosts):,} encrypted")
    _many("機器 Hosts", [h.name for h in story.compromised_hosts])
    _many("アカウント Accounts", [a.name for a in story.compromised_accounts])
    _many("通信先 C2", [defang(c.value) for c in story.c2])
    _many("持ち出し Exfiltration", [f"{e.source} → {defang(e.destination)}" for e in story.exfiltration])
    _many("読めないもの Not read", [n.path for n in case.not_read])
    severe = [f for f in findings if f.severity in ("critical", "high")]
    if severe:
        print(f"\n{len(findings):,} findings, {len(severe):,} of them critical or high:")
    for finding in severe[:SHOWN]:
        print(f"  {finding.severity:8} {plain(finding.title.en)[:44]:44} {(finding.when or '')[:16]:16} "
              f"{plain(', '.join(finding.hosts))[:20]}")
    if len(severe) > SHOWN:
        print(f"  … {len(severe) - SHOWN:,} more in findings.jsonl")


def _line(label: str, text: str) -> None:
    print(f"{label}: {plain(text)}")


def _many(label: str, values: Iterable[str]) -> None:
    names = list(dict.fromkeys(values))
    if names:
        more = f" … +{len(names) - SHOWN}" if len(names) > SHOWN else ""
        _line(f"{label} ({len(names)})", ", ".join(_short(n) for n in names[:SHOWN]) + more)


def _short(name: str) -> str:
    """A long path keeps its beginning and its end."""
    return name if len(name) <= 60 else f"{name[:24]}…{name[-35:]}"

"""The story on a terminal: the answer first, 80 columns, Japanese and English."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hikeshi.cli.output import count, fitted, plain, short_name, wrapped
from hikeshi.model.case import Case
from hikeshi.model.finding import Finding
from hikeshi.model.text import defang

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
    _line("広がり Spread", f"{count(len(story.spread), 'move')}, "
                        f"{count(len(story.compromised_hosts), 'host')} compromised, "
                        f"{len(story.encrypted_hosts):,} encrypted")
    _many("機器 Hosts", [h.name for h in story.compromised_hosts])
    _many("アカウント Accounts", [a.name for a in story.compromised_accounts])
    _many("通信先 C2", [defang(c.value) for c in story.c2])
    _many("持ち出し Exfiltration", [f"{e.source} → {defang(e.destination)}" for e in story.exfiltration])
    _many("読めないもの Not read", [n.path for n in case.not_read])
    severe = [f for f in findings if f.severity in ("critical", "high")]
    if severe:
        print(f"\n所見 {len(findings):,} 件 {count(len(findings), 'finding')}, "
              f"{len(severe):,} of them critical or high:")
    for finding in severe[:SHOWN]:
        when = (finding.when or "")[:16].replace("T", " ")
        print(fitted(f"  {finding.severity:8} {fitted(plain(finding.title.en), 38):38} {when:16} "
                     f"{plain(', '.join(finding.hosts))}"))
    if len(severe) > SHOWN:
        print(f"  … {len(severe) - SHOWN:,} more in findings.jsonl")


def _line(label: str, text: str) -> None:
    """Under 80 columns; what goes on is indented."""
    for number, line in enumerate(wrapped(f"{label}: {plain(text)}", 78)):
        print(f"  {line}" if number else line)


def _many(label: str, values: Iterable[str]) -> None:
    names = list(dict.fromkeys(values))
    if names:
        more = f" … +{len(names) - SHOWN}" if len(names) > SHOWN else ""
        _line(f"{label} ({len(names)})", ", ".join(short_name(n) for n in names[:SHOWN]) + more)

"""`hikeshi hunt`: Windows event logs against Sigma rules."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hikeshi.cli.output import plain, say
from hikeshi.cli.progress import progress

if TYPE_CHECKING:
    from hikeshi.triage.hunt import HuntSummary, RuleCount

_LEVELS = ("critical", "high", "medium", "low", "informational")
_SHOWN_REASONS, _SHOWN_FILES = 8, 20


@click.command("hunt")
@click.argument("evidence", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--rules", multiple=True, type=click.Path(path_type=Path),
              help="Folder or file of Sigma rules; several times if wanted. [default: Hikeshi's own] Sigmaルール")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per rule and record. JSON Lines形式")
@click.option("--level", type=click.Choice(_LEVELS[::-1]), default="informational", show_default=True,
              help="The lowest level to report. 報告する最低レベル")
@click.option("--skipped", "all_skipped", is_flag=True,
              help="List every rule that was not applied, and why. 適用しなかったルールの一覧")
@click.option("--workers", type=click.IntRange(1, 256), help="Child processes. [default: all cores]")
@click.option("--no-cache", is_flag=True, help="Compile the rules anew and store nothing. キャッシュを使わない")
@click.pass_context
def command(ctx: click.Context, evidence: tuple[Path, ...], rules: tuple[Path, ...], as_json: bool, level: str,
            all_skipped: bool, workers: int | None, no_cache: bool) -> None:
    """Match Windows event logs (.evtx) against Sigma rules. イベントログをSigmaルールで検知

    EVIDENCE: files, folders or archives. Exit code 0 nothing found, 1 found, 3 an event log could not be read.
    """
    from hikeshi.knowledge.cache import cache_folder
    from hikeshi.triage.hunt import Hunt

    with progress() as advance:
        hunt = Hunt(evidence, rules or (own_rules(),), workers=workers, level=level,
                    cache=None if no_cache else cache_folder("rules"), on_progress=advance)
        _pass_on(hunt.lines(), as_json=as_json)
    summary = hunt.summary
    if not as_json:
        _print_table(summary)
    _say_summary(summary, all_skipped=all_skipped)
    if summary.hits:
        ctx.exit(1)
    unread = summary.unreadable or summary.not_read or not summary.files
    ctx.exit(3 if unread or (summary.rejected and not summary.events) else 0)


def own_rules() -> Path:
    """The folder of the rules that Hikeshi brings along."""
    import hikeshi.knowledge

    return Path(hikeshi.knowledge.__file__).parent / "data" / "rules"


def _pass_on(lines: object, *, as_json: bool) -> None:
    out = sys.stdout.buffer
    try:
        for line in lines:  # type: ignore[attr-defined]
            if as_json:
                out.write(line)
        out.flush()
    except BrokenPipeError:
        # `hikeshi hunt --json … | head`: the reader has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_table(summary: HuntSummary) -> None:
    rules = sorted(summary.rules.values(), key=lambda r: (-r.count, r.title))
    if not rules:
        print("検知なし。Nothing found.")
        return
    for level in _LEVELS:
        chosen = [r for r in rules if r.level == level]
        if chosen:
            hits = sum(r.count for r in chosen)
            print(f"\n{level}: {len(chosen):,} rules, {hits:,} hits")
            print(f"  {'count':>7}  {'first (UTC)':16}  {'last (UTC)':16}  rule, author, hosts")
        for rule in chosen:
            _print_rule(rule)


def _print_rule(rule: RuleCount) -> None:
    print(f"  {rule.count:>7,}  {_minute(rule.first):16}  {_minute(rule.last):16}  {plain(rule.title)}")
    hosts = sorted(rule.hosts)
    shown = ", ".join(plain(h) for h in hosts[:4]) + (f" and {len(hosts) - 4:,} more" if len(hosts) > 4 else "")
    by = f"by {plain(rule.author)}" if rule.author else ""
    print(f"{'':45}  {'; '.join(part for part in (shown, by) if part)}")


def _minute(time: int | None) -> str:
    from hikeshi.events.time import format_utc

    try:
        return "-" if time is None else format_utc(time)[:16].replace("T", " ")
    except ValueError:
        return "-"


def _say_summary(summary: HuntSummary, *, all_skipped: bool) -> None:
    for report in summary.files:
        if report.error:
            say(f"not read  {plain(report.name)}: {plain(report.error)}")
    damaged = [f for f in summary.files if f.rejected]
    for report in damaged[:_SHOWN_FILES]:
        first = f"; first: {plain(report.problems[0])}" if report.problems else ""
        say(f"damaged   {plain(report.name)}: {report.rejected:,} places, {report.events:,} events read{first}")
    if len(damaged) > _SHOWN_FILES:
        say(f"damaged   {len(damaged) - _SHOWN_FILES:,} further files")
    for name, reason in summary.not_read:
        say(f"not read  {plain(name)}: {plain(reason)}")
    for error in summary.rule_errors:
        say(f"rule file {plain(error)}")
    _say_skipped(summary, all_skipped=all_skipped)
    read = [f for f in summary.files if not f.error]
    levels = Counter({r.level: 0 for r in summary.rules.values()})
    for rule in summary.rules.values():
        levels[rule.level] += rule.count
    found = ", ".join(f"{levels[level]:,} {level}" for level in _LEVELS if levels[level]) or "none"
    say(f"rules     {summary.rules_loaded:,} loaded, {summary.rules_applicable:,} applicable, "
        f"{len(summary.skipped):,} not applicable{', from cache' if summary.rules_from_cache else ''}")
    other = f", {summary.other_files:,} other files not looked at" if summary.other_files else ""
    say(f"events    {summary.events:,} in {len(read):,} event logs, {summary.rejected:,} damaged places, "
        f"{summary.seconds:.1f} s{other}")
    say(f"hits      {summary.hits:,} ({found}) by {len(summary.rules):,} rules")
    if not summary.files:
        say("No Windows event log among the evidence. Next: give .evtx files, or a folder that holds them.")
    elif summary.hits:
        say("Next: hikeshi triage EVIDENCE --out RESULT puts them into the story.")


def _say_skipped(summary: HuntSummary, *, all_skipped: bool) -> None:
    if all_skipped:
        for skipped in summary.skipped:
            say(f"skipped   {plain(skipped.title)} ({plain(skipped.path)}): {plain(skipped.reason)}")
        return
    reasons = Counter(s.reason for s in summary.skipped)
    for reason, count in reasons.most_common(_SHOWN_REASONS):
        say(f"skipped   {count:,} rules: {plain(reason)}")
    if len(reasons) > _SHOWN_REASONS:
        rest = sum(n for _, n in reasons.most_common()[_SHOWN_REASONS:])
        say(f"skipped   {rest:,} rules for {len(reasons) - _SHOWN_REASONS:,} further reasons; --skipped lists all")

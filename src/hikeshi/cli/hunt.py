"""`hikeshi hunt`: Windows event logs against Sigma rules."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hikeshi.cli.output import count, plain, say, short_name, wrapped
from hikeshi.cli.progress import progress
from hikeshi.errors import RuleError

if TYPE_CHECKING:
    from hikeshi.detect.explain import Item
    from hikeshi.triage.explain import Told
    from hikeshi.triage.hunt import HuntSummary, RuleCount

_LEVELS = ("critical", "high", "medium", "low", "informational")
_SHOWN_REASONS, _SHOWN_FILES = 8, 20
_WIDTH = 69  # beside the count


@click.command("hunt")
@click.argument("evidence", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--rules", multiple=True, type=click.Path(path_type=Path),
              help="Folder or file of Sigma rules; may be repeated. [default: Hikeshi's own] ルール")
@click.option("--pack", "packs", multiple=True,
              help="An imported rule pack (hikeshi rules list); may be repeated. 取り込んだルール集")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per rule and record. JSON Lines形式")
@click.option("--level", type=click.Choice(_LEVELS[::-1]), default="informational", show_default=True,
              help="The lowest level to report. 報告する最低レベル")
@click.option("--skipped", "all_skipped", is_flag=True,
              help="List every rule that was not applied, and why. 適用しなかったルールの一覧")
@click.option("--site", type=click.Path(path_type=Path, dir_okay=False),
              help="This site's levels, exceptions and placeholders (TOML or YAML). 現場ごとの調整")
@click.option("--coverage", "covered", is_flag=True,
              help="First the rules by log source. 種類別の数")
@click.option("--explain", nargs=2, metavar="RULE RECORD",
              help="Instead of a hunt: which part of a rule (id or title) holds for one record (its number, or "
                   "FILE:NUMBER). 一致・不一致の理由")
@click.option("--recover", is_flag=True,
              help="Also records from slack, damage and files that are no logs. 空き領域などから復元")
@click.option("--workers", type=click.IntRange(1, 256), help="Child processes. [default: all cores]")
@click.option("--no-cache", is_flag=True, help="Compile the rules anew and store nothing. キャッシュを使わない")
@click.pass_context
def command(ctx: click.Context, evidence: tuple[Path, ...], rules: tuple[Path, ...], packs: tuple[str, ...],
            as_json: bool, level: str, all_skipped: bool, site: Path | None, covered: bool,
            explain: tuple[str, str] | None, recover: bool, workers: int | None, no_cache: bool) -> None:
    """Match event logs against Sigma rules. ログの検知

    EVIDENCE: files, folders or archives: Windows event logs and, where a rule speaks of them, proxy, web,
    DNS, firewall, VPN, Linux and cloud logs. Exit code 0 nothing found, 1 found, 3 a log could not be read.
    """
    from hikeshi.cli.rules import rule_paths
    from hikeshi.detect.site import NO_SITE, load_site
    from hikeshi.knowledge.cache import cache_folder
    from hikeshi.triage.hunt import Hunt

    decided = load_site(site) if site else NO_SITE
    if explain:
        ctx.exit(_explain(evidence, rule_paths(rules, packs), explain, decided.placeholders, as_json=as_json))
    if covered:
        _print_coverage(rule_paths(rules, packs), decided.placeholders, no_cache=no_cache)

    with progress(printing=as_json) as advance:
        hunt = Hunt(evidence, rule_paths(rules, packs), workers=workers, level=level, site=decided, recover=recover,
                    cache=None if no_cache else cache_folder("rules"), on_progress=advance)
        _pass_on(hunt.blocks(), as_json=as_json)
    summary = hunt.summary
    if not summary.rules_loaded:
        # "Nothing found" by no rule at all would be a false comfort.
        _say_rule_errors(summary)
        raise RuleError("no usable rule", hint="give a folder with Sigma rules (.yml), or leave --rules out")
    if not as_json and summary.files:
        _print_table(summary)
    _say_summary(summary, all_skipped=all_skipped)
    if summary.hits:
        ctx.exit(1)
    unread = summary.unreadable or summary.not_read or not summary.files
    ctx.exit(3 if unread or (summary.rejected and not summary.events) else 0)


def _print_coverage(paths: tuple[Path, ...], placeholders: Mapping[str, Sequence[str]], *, no_cache: bool) -> None:
    """The rules that are searched, on standard error: the hits on standard output stay what they are."""
    from hikeshi.cli.rules import coverage_lines
    from hikeshi.detect.compile import compile_rules
    from hikeshi.detect.coverage import coverage
    from hikeshi.detect.rules import load_rules
    from hikeshi.knowledge.cache import cache_folder

    compiled = compile_rules(load_rules(paths), cache=None if no_cache else cache_folder("rules"),
                             placeholders=placeholders)
    for line in coverage_lines(coverage(compiled)):
        say(line)


def _explain(evidence: tuple[Path, ...], paths: tuple[Path, ...], asked: tuple[str, str],
             placeholders: Mapping[str, Sequence[str]], *, as_json: bool) -> int:
    from dataclasses import asdict

    from hikeshi.cli.output import say_not_read, write_json_lines
    from hikeshi.model.text import Text
    from hikeshi.triage.explain import explain_record

    found = explain_record(evidence, paths, *asked, placeholders)
    say_not_read([(name, Text(why, why)) for name, why in found.not_read])
    if as_json:
        write_json_lines(asdict(told) for told in found.told)
    else:
        for told in found.told:
            _print_told(told)
    for title, reason in found.reasons.items():
        say(f"適用できません not applicable: {plain(title)}: {plain(reason)}")
    if not found.told:
        say(f"記録がありません。 No record {plain(asked[1])} in the evidence.")
        return 3 if found.not_read else 0
    return int(any(e.fires for told in found.told for e in told.explanations))


_YES, _NO = "○", "×"


def _print_told(told: Told) -> None:
    print(f"{plain(told.file)}  記録 record {told.record}  {told.time}  {plain(told.host)}  {plain(told.log)}")
    for one in told.explanations:
        print(f"\n{_YES if one.fires else _NO} {plain(one.title)}: "
              f"{'一致します fires' if one.fires else '一致しません does not fire'}")
        print(f"  {_YES if one.of_this_log else _NO} ログの種類 log source: {plain(one.place)}")
        print(f"  条件 condition: {plain(one.condition)}")
        for selection in one.selections:
            mark = " (除外フィルター filter)" if selection.of_filter else ""
            print(f"  {_YES if selection.holds else _NO} {plain(selection.name)}{mark}")
            for number, items in enumerate(selection.alternatives):
                if number:
                    print("      または or")
                for item in items:
                    _print_item(item)
    print()


def _print_item(item: Item) -> None:
    held = "値なし no such field" if item.found is None else plain(item.found)
    name = plain(item.name) or "キーワード keyword"
    called = "" if not item.column or item.column == item.name.partition("|")[0] else f" ({plain(item.column)})"
    needed = " すべて必要 all needed" if item.all and len(item.values) > 1 else ""
    print(f"    {_YES if item.holds else _NO} {name}{called}{needed}" + ("" if not item.name else f" = {held}"))
    for value in item.values:
        print(f"        {_YES if value.holds else _NO} {plain(value.wanted)}")


def own_rules() -> Path:
    """The folder of the rules that Hikeshi brings along."""
    import hikeshi.knowledge

    return Path(hikeshi.knowledge.__file__).parent / "data" / "rules"


def _pass_on(blocks: Iterable[bytes], *, as_json: bool) -> None:
    out = sys.stdout.buffer
    for block in blocks:
        if as_json:
            out.write(block)
    out.flush()


def _print_table(summary: HuntSummary) -> None:
    rules = sorted(summary.rules.values(), key=lambda r: (-r.count, r.title))
    if not rules:
        print("検知なし。 Nothing found.")
        return
    hosts = {host for rule in rules for host in rule.hosts}
    print(f"{summary.hits:,} 件の検知(ルール {len(rules):,} 件、機器 {len(hosts):,} 台)。 "
          f"{count(summary.hits, 'hit')} by {count(len(rules), 'rule')} on {count(len(hosts), 'host')}.")
    for level in _LEVELS:
        chosen = [r for r in rules if r.level == level]
        if chosen:
            hits = sum(r.count for r in chosen)
            print(f"\n{level}: {count(len(chosen), 'rule')}, {count(hits, 'hit')}")
            print(f"  {'count':>7}  rule; first and last time (UTC), hosts; author")
        for rule in chosen:
            _print_rule(rule)


def _print_rule(rule: RuleCount) -> None:
    hosts = sorted(rule.hosts)
    shown = ", ".join(plain(h) for h in hosts[:4]) + (f" and {len(hosts) - 4:,} more" if len(hosts) > 4 else "")
    first, last = _minute(rule.first), _minute(rule.last)
    when = first if first == last else f"{first} – {last}"
    lines = [*wrapped(plain(rule.title), _WIDTH), *wrapped(f"{when}  {shown}", _WIDTH)]
    if rule.recovered:
        lines.append(f"復元した記録 on recovered records: {rule.recovered:,}")
    if rule.author:
        lines += wrapped(f"by {plain(rule.author)}", _WIDTH)
    print(f"  {rule.count:>7,}  {lines[0]}")
    for line in lines[1:]:
        print(f"{'':11}{line}")


def _minute(time: int | None) -> str:
    from hikeshi.events.time import format_utc

    try:
        return "-" if time is None else format_utc(time)[:16].replace("T", " ")
    except ValueError:
        return "-"


def _say_summary(summary: HuntSummary, *, all_skipped: bool) -> None:
    closed = [(report.name, report.error) for report in summary.files if report.error] + summary.not_read
    for name, reason in closed[:_SHOWN_FILES]:
        say(f"not read  {short_name(name)}: {plain(reason)}")
    if len(closed) > _SHOWN_FILES:
        say(f"not read  {len(closed) - _SHOWN_FILES:,} further files")
    damaged = [f for f in summary.files if f.rejected]
    for report in damaged[:_SHOWN_FILES]:
        first = f"; first: {plain(report.problems[0])}" if report.problems else ""
        say(f"damaged   {short_name(report.name)}: {report.rejected:,} places, {report.events:,} events read{first}")
    if len(damaged) > _SHOWN_FILES:
        say(f"damaged   {len(damaged) - _SHOWN_FILES:,} further files")
    _say_rule_errors(summary)
    _say_skipped(summary, all_skipped=all_skipped)
    read = [f for f in summary.files if not f.error]
    levels = Counter({r.level: 0 for r in summary.rules.values()})
    for rule in summary.rules.values():
        levels[rule.level] += rule.count
    found = ", ".join(f"{levels[level]:,} {level}" for level in _LEVELS if levels[level]) or "none"
    say(f"rules     {summary.rules_loaded:,} loaded, {summary.rules_applicable:,} applicable, "
        f"{len(summary.skipped):,} not applicable{', from cache' if summary.rules_from_cache else ''}")
    for narrowed in summary.filters:
        say(f"filter    {plain(narrowed.title)}: narrows {count(narrowed.rules, 'rule')}")
    _say_correlations(summary)
    _say_site(summary)
    other = f", {summary.other_files:,} other files not looked at" if summary.other_files else ""
    say(f"events    {summary.events:,} in {len(read):,} event logs, {summary.rejected:,} damaged places, "
        f"{summary.seconds:.1f} s{other}")
    if summary.recovered:
        say(f"recovered {count(summary.recovered, 'record')} from slack, damage and files that are no logs, "
            f"{count(summary.recovered_hits, 'hit')} on them (空き領域などから復元)")
    say(f"hits      {summary.hits:,} ({found}) by {len(summary.rules):,} rules")
    if not summary.files:
        say("Windowsのイベントログがありません。 No Windows event log among the evidence.")
        say("次 Next: give .evtx files or their exports (XML, JSON), or a folder that holds them.")
    elif summary.hits:
        say("次 Next: hikeshi triage EVIDENCE --out RESULT   (puts them into the story)")


def _say_correlations(summary: HuntSummary) -> None:
    if summary.correlation_error:
        say(f"not done  correlations: {plain(summary.correlation_error)}")
    counts = [c.count for c in summary.correlations]
    if not counts:
        return
    say(f"together  {count(len(counts), 'correlation')} over {sum(c.hits for c in counts):,} hits: "
        f"{count(summary.correlated, 'finding')}")
    for what, number in (("without a time", sum(c.without_time for c in counts)),
                         ("without a group-by field", sum(c.without_group for c in counts)),
                         ("without the value", sum(c.without_value for c in counts)),
                         ("beyond the first 100,000 findings of a correlation", sum(c.more for c in counts))):
        if number:
            say(f"          {number:,} left out: {what}")


def _say_site(summary: HuntSummary) -> None:
    for use in summary.site:
        done = use.problem or count(use.rules, "rule") + (f", {count(use.hits, 'hit')} set aside" if use.hits else "")
        say(f"site      {plain(use.what)}: {plain(done)} ({plain(use.reason)})")
    if summary.switched_off:
        say(f"site      {count(summary.switched_off, 'hit')} of rules that the site switched off")


def _say_rule_errors(summary: HuntSummary) -> None:
    for error in summary.rule_errors[:_SHOWN_FILES]:
        where = f" ({plain(error.source)})" if error.source else ""
        say(f"rule file {plain(error.what)}{where}")
    if len(summary.rule_errors) > _SHOWN_FILES:
        say(f"rule file {len(summary.rule_errors) - _SHOWN_FILES:,} further files can't be used")


def _say_skipped(summary: HuntSummary, *, all_skipped: bool) -> None:
    if all_skipped:
        for skipped in summary.skipped:
            say(f"skipped   {plain(skipped.title)} ({plain(skipped.path)}): {plain(skipped.reason)}")
        return
    reasons = Counter(s.reason for s in summary.skipped)
    for reason, number in reasons.most_common(_SHOWN_REASONS):
        say(f"skipped   {number:,} rules: {plain(reason)}")
    if len(reasons) > _SHOWN_REASONS:
        rest = sum(n for _, n in reasons.most_common()[_SHOWN_REASONS:])
        say(f"skipped   {rest:,} rules for {len(reasons) - _SHOWN_REASONS:,} further reasons; --skipped lists all")

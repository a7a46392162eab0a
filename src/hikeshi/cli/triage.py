"""`hikeshi triage`: from a folder of evidence to the story."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from hikeshi.cli.output import count, plain, say, say_not_read
from hikeshi.cli.progress import progress
from hikeshi.cli.story import print_story
from hikeshi.errors import UsageError


@click.command("triage")
@click.argument("evidence", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("hikeshi-result"),
              show_default=True, help="Folder for the results. 結果を書くフォルダ")
@click.option("--indicators", multiple=True, type=click.Path(path_type=Path),
              help="List of indicators: text, CSV, STIX 2.1, MISP JSON. May be given several times. 指標リスト")
@click.option("--rules", multiple=True, type=click.Path(path_type=Path),
              help="Folder of Sigma rules, beside our own. May be given several times. Sigmaルール")
@click.option("--pack", "packs", multiple=True, help="An imported rule pack (hikeshi rules list). 取り込んだルール集")
@click.option("--site", type=click.Path(path_type=Path, dir_okay=False),
              help="This site's levels and exceptions (TOML or YAML). 現場ごとの調整")
@click.option("--known", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="CSV of the company's own work: kind,value,why,from,to. 会社の作業の一覧")
@click.option("--places", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="CSV of networks: network,place,latitude,longitude. 場所の一覧")
@click.option("--zone", help="Zone of times that name none, e.g. Asia/Tokyo or +09:00. 時刻帯")
@click.option("--recover", is_flag=True, help="Also event records from slack and damage. 空き領域などから復元")
@click.option("--workers", type=click.IntRange(1, 256), help="Child processes. [default: all cores]")
@click.pass_context
def command(ctx: click.Context, evidence: tuple[Path, ...], out: Path, indicators: tuple[Path, ...],
            rules: tuple[Path, ...], packs: tuple[str, ...], site: Path | None,
            known: Path | None, places: Path | None, zone: str | None, recover: bool, workers: int | None) -> None:
    """Analyse a folder of evidence: which ransomware, how they got in, how far. 証拠フォルダの一括分析

    Reads event logs, proxy, firewall, VPN, web and Linux logs, notes and encrypted files, also inside archives.
    Writes report.html, report.pdf, findings.jsonl, case.json, events/*.parquet and manifest.json.
    Stopped on the way, run it again: it goes on where it was.
    """
    from hikeshi.knowledge.rulepack import installed_path
    from hikeshi.triage.run import triage

    further = (*rules, *map(installed_path, packs))
    _refuse_foreign(out)
    began = time.monotonic()
    with progress() as advance:
        result = triage(evidence, out, indicators=indicators, rules=further, site=site, zone=zone,
                        known=known, places=places, workers=workers, recover=recover, on_progress=advance)
    records, rejected = sum(i.records for i in result.items), sum(i.rejected for i in result.items)
    nothing = not records and not result.found
    if nothing:
        print("調べられる記録がありません。\nNo record was read: nothing can be said about an intrusion.\n")
    print_story(result.case, result.findings)
    sys.stdout.flush()
    say_not_read([(item.path, item.reason) for item in result.case.not_read])
    say(f"{count(len(result.items), 'file')}, {count(records, 'record')}, {rejected:,} damaged, "
        f"{count(len(result.case.not_read), 'file')} not read, {time.monotonic() - began:.1f} s")
    say(f"次 Next: open {plain(out / 'report.html')}")
    ctx.exit(3 if nothing else 1 if result.found else 0)


def _refuse_foreign(out: Path) -> None:
    """A result replaces OUT/events as a whole; a folder of that name which no run made stays."""
    if (out / "events").exists() and not any((out / name).exists() for name in ("manifest.json", "case.json", ".work")):
        raise UsageError(f"{out} holds a folder 'events' that is no result of Hikeshi",
                         hint="choose another folder with --out")

"""`hikeshi sweep`: logs against a list of indicators."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hikeshi.cli.output import count, defang, plain, say, say_not_read, short_name, write_json_lines
from hikeshi.cli.progress import progress
from hikeshi.errors import UsageError

if TYPE_CHECKING:
    from hikeshi.model.sighting import Sighting
    from hikeshi.sweep import Compiled
    from hikeshi.triage.sweep import SweepResult

_SHOWN = 30  # indicators
_CLIENTS = 5  # of each
_HELD = 200_000  # sightings on the screen's account


@click.command("sweep")
@click.argument("evidence", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--indicators", "lists", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
              help="Text, CSV, STIX 2.1, MISP JSON, or one list made by `hikeshi indicators compile`. May be given "
                   "several times. 指標リスト")
@click.option("--leases", "lease_logs", multiple=True, type=click.Path(path_type=Path),
              help="DHCP logs: which machine had an address when. [default: those among the evidence] DHCPログ")
@click.option("--discover", "discovering", is_flag=True,
              help="Also look without a list: beacons, places only infected clients go to, uploads. "
                   "リストにない通信先")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line. JSON Lines")
@click.option("--zone", help="Zone of times that name none, e.g. Asia/Tokyo or +09:00. 時刻帯")
@click.option("--format", "format_name", help="Read every log as this format (see `hikeshi parse --formats`). ログ形式")
@click.option("--workers", type=click.IntRange(1, 256), help="Child processes. [default: all cores]")
@click.pass_context
def command(ctx: click.Context, evidence: tuple[Path, ...], lists: tuple[Path, ...],
            lease_logs: tuple[Path, ...], discovering: bool, as_json: bool, zone: str | None, format_name: str | None,
            workers: int | None) -> None:
    """Which client went to a listed address, when, how often. 通信先リストとの突合

    Reads proxy, firewall, web, DNS, VPN and Windows logs, also inside archives. A destination is told
    from a mere mention (in a query, a referrer, a command line). Warning lists mark, they drop nothing.
    """
    began = time.monotonic()
    # A short run is mostly start-up: no threads for linear algebra that nobody does, few walks of the collector.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(50_000)

    from hikeshi.cli.parse import known_format
    from hikeshi.triage.sweep import first, sweep_evidence

    if not lists and not discovering:
        raise click.MissingParameter(param_hint="'--indicators'", param_type="option", ctx=ctx)
    if format_name is not None:
        known_format(format_name)
    if not lists:
        found = _discover(evidence, (), as_json=as_json, zone=zone, workers=workers)
        ctx.exit(1 if found else 0)
    indicators = _wanted(lists)
    with progress() as advance:
        result = sweep_evidence(evidence, indicators, lease_logs=lease_logs, workers=workers, zone=zone,
                                format=format_name, on_progress=advance)
    if not result.files:
        _say_closed(result)
        say("検索できるログがありません。 No log to search.")
        say("次 Next: hikeshi parse --formats   (what can be read)")
        ctx.exit(3)
    if as_json:
        found = write_json_lines(s.to_dict() for s in result.each())
    else:
        shown = first(result, _HELD)
        found = len(shown)
        _print(shown)
        if result.count > found == _HELD:
            say(f"only the first {found:,} sightings are counted above; --json has all of them")
    sys.stdout.flush()
    _say_closed(result)
    leases = f"{count(len(result.leases.rows), 'lease')}, " if result.leases else ""
    say(f"{count(len(indicators), 'indicator')}, {count(result.files, 'file')}, {count(result.records, 'record')}, "
        f"{result.parsed:,} with a candidate, {result.rejected:,} of them unparsed but searched, {leases}"
        f"{len(result.not_read):,} not read, {time.monotonic() - began:.1f} s")
    if discovering:
        if as_json:
            infected = {s.client for s in result.each() if _accuses(s) and s.client}
        else:
            infected = {s.client for s in shown if _accuses(s) and s.client}
        found += _discover(evidence, infected, as_json=as_json, zone=zone, workers=workers)
    ctx.exit(1 if found else 0)


def _accuses(s: Sighting) -> bool:
    return s.role == "destination" and not s.warning_lists


def _discover(evidence: Sequence[Path], infected: Collection[str], *, as_json: bool, zone: str | None,
              workers: int | None) -> int:
    """What looks suspicious without a list; gives how many."""
    from hikeshi.triage.discover import discover_in

    with progress() as advance:
        result = discover_in(evidence, infected=infected, zone=zone, workers=workers, on_progress=advance)
    if as_json:
        write_json_lines(d.to_dict() for d in result.found)
    elif not result.found:
        click.echo("リストなしで怪しい通信は見つかりませんでした。 Nothing suspicious without a list.")
    else:
        click.echo(f"\n疑い(リストなし) suspicions without a list: {len(result.found):,}")
        for one in result.found[:_SHOWN]:
            click.echo(plain(f"  {one.score:>3}  {one.kind:8} {defang(one.destination)}  "
                             f"{', '.join(one.clients[:_CLIENTS])}{' ...' if len(one.clients) > _CLIENTS else ''}"))
            click.echo(plain(f"       {one.reason.ja}"))
            click.echo(plain(f"       {one.reason.en}"))
        if len(result.found) > _SHOWN:
            click.echo(f"  ... 他 {len(result.found) - _SHOWN:,} 件 more (--json)")
    sys.stdout.flush()
    say_not_read([(item.path, item.reason) for item in result.not_read])
    if result.left_out:
        say(f"{result.left_out:,} contacts were too many to keep and were not looked at")
    say(f"{count(result.contacts, 'contact')} looked at without a list")
    return len(result.found)


def _wanted(lists: Sequence[Path]) -> Compiled:
    """The indicators of all lists. A compiled one stands alone: it is mapped, not read."""
    from hikeshi.cli.indicators import say_problems
    from hikeshi.sweep import compile_lists, is_compiled, open_compiled

    ready = [path for path in lists if is_compiled(path)]
    if ready and len(lists) > 1:
        raise UsageError(f"{ready[0]} is a compiled list and can't be given with others",
                         hint="compile the lists together: hikeshi indicators compile LIST... --out FILE")
    if ready:
        return open_compiled(ready[0])
    compiled, loaded = compile_lists(lists)
    say_problems(loaded)
    return compiled


def _say_closed(result: SweepResult) -> None:
    """What was not searched, and why."""
    say_not_read([(item.path, item.reason) for item in result.not_read])
    if result.skipped:
        names = ", ".join(short_name(n) for n in result.skipped[:5])
        more = f" and {len(result.skipped) - 5:,} more" if len(result.skipped) > 5 else ""
        say(f"not searched: ログではない no log: {names}{more}")


def _print(sightings: Sequence[Sighting]) -> None:
    """For people: the answer, the table, the next step."""
    gone = [s for s in sightings if s.role == "destination"]
    if not sightings:
        click.echo("該当なし: リストの指標はログにありませんでした。 No listed indicator was seen in these logs.")
        click.echo("次 Next: hikeshi triage EVIDENCE --out RESULT   (looks without a list)")
        return
    clients = {s.client for s in gone if s.client}
    came = sum(s.role == "source" for s in sightings)
    rest = len(sightings) - len(gone) - came
    click.echo(f"{len(gone):,} 件の通信(端末 {len(clients):,} 台)、{came:,} 件の着信、{rest:,} 件の言及。\n"
               f"{count(len(gone), 'contact')} by {count(len(clients), 'client')}, {came:,} from outside, "
               f"{count(rest, 'mention')}.")
    for title, rows in (("通信 destination", gone), ("着信 source", [s for s in sightings if s.role == "source"]),
                        ("言及 mention", [s for s in sightings if s.role == "mention"])):
        if rows:
            click.echo(f"\n{title} (時刻は UTC, times UTC)")
            _groups(rows)
    click.echo("\n通信した端末を調べてください。 Examine these clients (--json: every line).")
    click.echo("次 Next: hikeshi triage EVIDENCE --indicators LIST --out RESULT")


def _groups(rows: Sequence[Sighting]) -> None:
    """Each indicator once, the ones with most clients first, its clients below it."""
    groups: dict[str, list[Sighting]] = {}
    for s in rows:
        groups.setdefault(s.indicator, []).append(s)
    order = sorted(groups, key=lambda v: (-len(groups[v]), groups[v][0].first_seen or "~"))
    for value in order[:_SHOWN]:
        seen = groups[value]
        mark = f"  * {', '.join(seen[0].warning_lists[:3])}" if seen[0].warning_lists else ""
        click.echo(f"  {plain(defang(value))}  {seen[0].indicator_type}{mark}")
        for s in seen[:_CLIENTS]:
            user = f" ({s.user})" if s.user else ""
            sent = "" if s.bytes_out is None else f"  {s.bytes_out:,} B sent"
            machine = f" = {s.client_host or s.client_mac}" if s.client_host or s.client_mac else ""
            who = (s.client or "-") + machine + user
            click.echo(plain(f"      {who:32} {s.count:>6,}x  {(s.first_seen or '-')[:19]}{sent}"))
        if len(seen) > _CLIENTS:
            click.echo(f"      ... 他 {len(seen) - _CLIENTS:,} 台 more")
    if len(order) > _SHOWN:
        click.echo(f"  ... 他 {len(order) - _SHOWN:,} 件 more (--json)")
    if any(s.warning_lists for s in rows):
        click.echo("  * 警告リストにあり: 無害か共用かも。 On a warning list: probably harmless or shared.")

"""`hikeshi timeline`: a finished triage in time order, for people, spreadsheets and Timesketch."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from hikeshi.cli.output import count, fitted, plain, say, wrapped
from hikeshi.errors import UsageError

if TYPE_CHECKING:
    from hikeshi.model.text import Text
    from hikeshi.timeline.logons import Logons
    from hikeshi.timeline.opened import Opened
    from hikeshi.timeline.rows import Filter, Row

_LEVELS = ("critical", "high", "medium", "low", "info")
_FORMATS = ("table", "csv", "jsonl", "timesketch")
_SHOWN = 200  # rows of a table; files have all


@click.command("timeline")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(_FORMATS), default="table", show_default=True,
              help="How it is written. 出力形式")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file. 出力先")
@click.option("--all", "every", is_flag=True, help="Every record, not only those with a finding. 全記録")
@click.option("--from", "since", help="From this time on, e.g. 2026-10-09T00:00. 開始")
@click.option("--to", "until", help="Before this time. 終了")
@click.option("--zone", help="Zone of --from, --to and of the table. [default: UTC] 時刻帯")
@click.option("--host", "hosts", multiple=True, help="Only this machine; may be repeated. 機器")
@click.option("--account", "accounts", multiple=True, help="Only this account; may be repeated. アカウント")
@click.option("--level", type=click.Choice(_LEVELS[::-1]), default="info", help="The lowest level. 最低レベル")
@click.option("--tactic", "tactics", multiple=True, help="Only this ATT&CK tactic, e.g. lateral-movement. 戦術")
@click.option("--search", multiple=True, help="Only records that hold this text; all of several. 検索語")
@click.option("--logons", "by_logon", is_flag=True,
              help="Instead: who signed on where, from where, how often, or tried to. ログオンの集計")
@click.option("--machines", is_flag=True, help="With --logons: machines' own accounts (NAME$) too. 機器アカウントも")
@click.option("--pivots", "by_value", is_flag=True,
              help="Instead: values of the records with findings, the rarest first. 次に探す値")
@click.pass_context
def command(ctx: click.Context, results: tuple[Path, ...], form: str, out: Path | None, every: bool, since: str | None,
            until: str | None, zone: str | None, hosts: tuple[str, ...], accounts: tuple[str, ...], level: str,
            tactics: tuple[str, ...], search: tuple[str, ...], by_logon: bool, machines: bool, by_value: bool) -> None:
    """What happened, record by record, in time order. 時系列

    RESULT is the folder that `hikeshi triage --out` wrote. Exit code 0, or 3 where nothing fits.
    """
    from hikeshi.events.time import parse_zone
    from hikeshi.timeline.opened import Opened
    from hikeshi.timeline.rows import Filter

    if by_logon and by_value:
        raise UsageError("--logons and --pivots are two lists", hint="ask for one of them")
    if machines and not by_logon:
        raise UsageError("--machines goes with --logons")
    shown_in = parse_zone(zone) if zone else UTC
    wanted = Filter(since=_moment(since, shown_in, "--from"), until=_moment(until, shown_in, "--to"), hosts=hosts,
                    accounts=accounts, level=level, tactics=tactics, search=search, every=every)
    if (by_logon or by_value) and wanted != Filter():
        raise UsageError("filters don't go with --logons and --pivots", hint="leave them out; both tell all")
    if form == "timesketch" and (by_logon or by_value):
        raise UsageError("Timesketch takes the timeline only", hint="--format csv or jsonl")
    with Opened(results) as opened:
        if by_logon:
            written = _logons(opened, form, out, machines=machines, zone=shown_in)
        elif by_value:
            written = _pivots(opened, form, out)
        else:
            written = _timeline(opened, wanted, form, out, shown_in)
    if out is not None:
        say(f"{out}: {count(written, 'row')}")
    if not written:
        say("該当する記録はありません。 Nothing fits.")
        say("次 Next: fewer filters, or --all for records without a finding" if wanted != Filter() or not every
            else "次 Next: hikeshi triage EVIDENCE --out RESULT")
        ctx.exit(3)


def _moment(text: str | None, zone: tzinfo, option: str) -> int | None:
    from hikeshi.events.time import NO_TIME, parse_iso

    if text is None:
        return None
    day = f"{text}T00:00:00" if len(text) == 10 else f"{text}:00" if len(text) == 16 else text
    found = parse_iso(day, zone)
    if found == NO_TIME:
        raise UsageError(f"{option} {plain(text)!r} is no time", hint="e.g. 2026-10-09 or 2026-10-09T21:30")
    return found


# ------------------------------------------------------------------------------------------------ the timeline itself


def _timeline(opened: Opened, wanted: Filter, form: str, out: Path | None, zone: tzinfo) -> int:
    from hikeshi.timeline import export
    from hikeshi.timeline.rows import rows

    seen = _Counted(rows(opened, wanted))
    if form == "table":
        with _to(out) as file:
            before: tuple[Text, ...] = ()
            for row in seen:
                if out is None and seen.number > _SHOWN:
                    continue
                file.write("".join(f"{line}\n" for line in _told(row, before, zone)).encode())
                before = row.titles
        if out is None and seen.number > _SHOWN:
            say(f"… 他 {seen.number - _SHOWN:,} 件 more; --out FILE or --format csv has all")
    else:
        write = {"csv": export.as_csv, "jsonl": export.as_jsonl, "timesketch": export.as_timesketch}[form]
        with _to(out) as file:
            for line in write(seen):
                file.write(line)
        if form == "timesketch" and seen.timeless:
            say(f"{count(seen.timeless, 'row')} without a time left out: Timesketch needs one")
    listed = sum(len(m.places) for m in opened.marks if m.kind == "detection")
    more = sum(m.count for m in opened.marks if m.kind == "detection") - listed
    if more > 0:
        say(f"{more:,} further hits of these rules are counted in findings.jsonl, not listed; hikeshi hunt lists all")
    return seen.number


class _Counted:
    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows, self.number, self.timeless = rows, 0, 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.number += 1
            self.timeless += row.at is None
            yield row


def _told(row: Row, before: tuple[Text, ...], zone: tzinfo) -> list[str]:
    """Some lines; what the row before said too is not said again."""
    head = f"{_when(row.at, zone):19}  {row.level:8} {plain(row.host)}"
    said = "; ".join(f"{t.ja} {t.en}" for t in row.titles if t not in before)
    return [fitted(head), *(f"    {line}" for line in wrapped(plain(said), 74)),
            *(f"    {line}" for line in wrapped(plain(row.detail), 74)), fitted(f"    [{plain(row.place)}]")]


def _when(at: int | None, zone: tzinfo) -> str:
    from hikeshi.events.time import to_datetime

    return "-" if at is None else f"{to_datetime(at).astimezone(zone):%Y-%m-%d %H:%M:%S}"


# ---------------------------------------------------------------------------------------------- logons and next values


def _logons(opened: Opened, form: str, out: Path | None, *, machines: bool, zone: tzinfo) -> int:
    from hikeshi.timeline.logons import logons

    found = logons(opened, machines=machines)
    if form != "table":
        return _as_rows((one.to_dict() for one in found), form, out)
    written = 0
    with _to(out) as file:
        file.write(f"{'fail':>7} {'success':>7}  account ← source @ host, way; first and last\n".encode())
        for one in found:
            written += 1
            if out is None and written > _SHOWN:
                continue
            file.write("".join(f"{line}\n" for line in _logon(one, zone)).encode())
    if out is None and written > _SHOWN:
        say(f"… 他 {written - _SHOWN:,} 件 more; --out FILE or --format csv has all")
    return written


def _logon(one: Logons, zone: tzinfo) -> list[str]:
    from hikeshi.timeline.logons import WAYS

    way = WAYS.get(one.way)
    said = f"{way.ja} {way.en}" if way and way.ja != way.en else way.en if way else one.way
    account = f"{one.domain}\\{one.account}" if one.domain else one.account
    head = f"{plain(account)} ← {plain(one.source or one.source_name or '-')} @ {plain(one.host or '-')}, {said}"
    times = [f"{name} {_when(first, zone)} – {_when(last, zone)}" for name, first, last in (
        ("failure", one.first_failure, one.last_failure), ("success", one.first_success, one.last_success))
        if first is not None]
    lines = wrapped(head, 62)
    return [f"{one.failures:>7,} {one.successes:>7,}  {lines[0]}",
            *(f"{'':17}{line}" for line in (*lines[1:], *times))]


def _pivots(opened: Opened, form: str, out: Path | None) -> int:
    from hikeshi.timeline.pivots import pivots

    found = pivots(opened)
    if form != "table":
        return _as_rows((one.to_dict() for one in found), form, out)
    written, kind = 0, ""
    with _to(out) as file:
        for one in found:
            written += 1
            if one.kind != kind:
                kind = one.kind
                file.write(f"\n{kind}: with a finding, of all records\n".encode())
            file.write(f"  {one.marked:>6,} of {one.everywhere:>8,}  {fitted(plain(one.value), 56)}\n".encode())
    return written


# ------------------------------------------------------------------------------------------------------------- writing


def _as_rows(rows: Iterator[dict[str, Any]], form: str, out: Path | None) -> int:
    from hikeshi.timeline.export import as_dicts

    written = 0
    with _to(out) as file:
        for line in as_dicts(rows, form):
            written += 1
            file.write(line)
    return written - (form == "csv" and written > 0)  # its heading is no row


@contextmanager
def _to(out: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears only when it is whole."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    from hikeshi.evidence.atomic import atomic_file

    with atomic_file(out) as file:
        yield file

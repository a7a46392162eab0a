"""`hikeshi parse`: logs as a table of events."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from hikeshi.cli.output import count, fitted, plain, say, say_not_read, short_name
from hikeshi.cli.progress import progress
from hikeshi.errors import UsageError

_FILES = 20  # shown with their first events
_REJECTING = 20  # files whose rejects are told
_SHOWN = (
    "source.ip",
    "source.domain",
    "user.name",
    "event.action",
    "destination.domain",
    "destination.ip",
    "url.full",
    "host.name",
    "message",
)


@click.command("parse")
@click.argument("evidence", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--format", "format_name", help="Read everything as this format. [default: by content] 形式")
@click.option("--zone", help="Zone of times that name none, e.g. Asia/Tokyo or +09:00. 時刻帯")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each event. JSON Linesで出力")
@click.option("--formats", is_flag=True, help="List what can be read, and stop. 対応形式の一覧")
@click.option("--recover", is_flag=True, help="Also event records from slack and damage. 空き領域などから復元")
@click.option("--workers", type=click.IntRange(1, 256), help="Child processes. [default: all cores]")
@click.pass_context
def command(
    ctx: click.Context,
    evidence: tuple[Path, ...],
    format_name: str | None,
    zone: str | None,
    as_json: bool,
    formats: bool,
    recover: bool,
    workers: int | None,
) -> None:
    """Logs as a table of events: one set of names, times in UTC. ログの正規化

    Reads files, folders and archives. What can't be read stays as an event of dataset "unparsed".
    Exit codes: 0 read, 3 nothing could be read.
    """
    if formats:
        _print_formats()
        return
    if not evidence:
        raise UsageError("no file given", hint="hikeshi parse FILE..., or hikeshi parse --formats")
    from hikeshi.triage.parse import ParsedFile, parse_evidence

    began = time.monotonic()
    done: list[ParsedFile] = []
    with (
        progress(printing=as_json) as advance,
        parse_evidence(
            evidence, zone=zone, format=format_name, rows=as_json, workers=workers, recover=recover, on_progress=advance
        ) as parsed,
    ):
        for file in parsed.files:
            done.append(file)
            if as_json and file.rows is not None:
                with file.rows.open("rb") as rows:
                    shutil.copyfileobj(rows, sys.stdout.buffer, 1 << 20)
        sys.stdout.flush()
        not_read = list(parsed.not_read)
    events, rejected = sum(f.events for f in done), sum(f.rejected for f in done)
    if not as_json and done:
        _print_summary(done, events)
    sys.stdout.flush()
    _tell_rejects(done)
    say_not_read([(item.path, item.reason) for item in not_read])
    say(
        f"{count(events, 'event')} in {count(len(done), 'file')}, {rejected:,} rejected, "
        f"{count(len(not_read), 'file')} not read, {time.monotonic() - began:.1f} s"
    )
    if not done:
        say("読めるログがありません。 No log among the evidence.")
        say("次 Next: hikeshi parse --formats   (what can be read)")
        ctx.exit(3)
    if not as_json:
        say("次 Next: hikeshi parse EVIDENCE --json, or hikeshi triage EVIDENCE --out RESULT")


def known_format(name: str) -> None:
    """Raises UsageError for a format that nobody reads."""
    from hikeshi.parse.registry import BY_NAME

    if name not in BY_NAME:
        raise UsageError(f"unknown format '{name}'", hint="hikeshi parse --formats lists them")


def _print_formats() -> None:
    from hikeshi.parse.registry import FORMATS

    width = max(len(row.name) for row in FORMATS)
    for row in FORMATS:
        print(f"{row.name:{width}}  {row.title.en} / {row.title.ja}")


def _print_summary(files: list[Any], events: int) -> None:
    """How many of what; then the first events of the first files."""
    total: Counter[str] = Counter()
    for file in files:
        total.update(file.datasets)
    print(f"{events:,} 件のイベント(ファイル {len(files):,} 件)。 "
          f"{count(events, 'event')} in {count(len(files), 'file')}.")
    width = max((len(plain(name)) for name in total), default=0)
    for name, number in total.most_common():
        print(f"  {plain(name):{width}}  {number:>12,}")
    for file in files[:_FILES]:
        _print_file(file)
    if len(files) > _FILES:
        print(f"\n… 他 {count(len(files) - _FILES, 'file')} more (--json)")


def _print_file(file: Any) -> None:
    print(f"\n{short_name(file.name)}: {count(file.events, 'event')}, read as {file.format}")
    for row in file.first_rows:
        print(f"  {row.get('@timestamp', '時刻なし no time')}")
        parts = [f"{name}={plain(row[name])}" for name in _SHOWN if row.get(name) is not None]
        if parts:
            print(fitted(f"    {'  '.join(parts)}"))


def _tell_rejects(files: list[Any]) -> None:
    """Rejects go to standard error: counted, and the first ones with their place and reason."""
    rejecting = [file for file in files if file.rejected]
    if len(rejecting) > _REJECTING:
        say(f"rejected: in {len(rejecting):,} files; the first {_REJECTING}:")
    for file in rejecting[:_REJECTING]:
        say(f"rejected: {short_name(file.name)}: {file.rejected:,}")
        for reject in file.rejects[:5]:
            place = (
                f"line {reject.line}"
                if reject.line is not None
                else f"record {reject.record}"
                if reject.record is not None
                else ""
            )
            at = f"byte {reject.offset}" if reject.offset is not None else ""
            say(f"  {', '.join(p for p in (place, at) if p) or 'file'}: {plain(reject.reason)}")

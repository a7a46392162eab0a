"""`hikeshi parse`: logs as a table of events."""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from hikeshi.cli.output import plain, say
from hikeshi.cli.progress import progress
from hikeshi.errors import UsageError

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
@click.option("--workers", type=click.IntRange(1, 256), help="Child processes. [default: all cores]")
@click.pass_context
def command(
    ctx: click.Context,
    evidence: tuple[Path, ...],
    format_name: str | None,
    zone: str | None,
    as_json: bool,
    formats: bool,
    workers: int | None,
) -> None:
    """Logs as a table of events: one set of names, times in UTC. ログの正規化

    Reads files, folders and archives. What can't be read stays as an event of dataset "unparsed".
    Exit code 0, or 3 if nothing could be read.
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
        progress() as advance,
        parse_evidence(
            evidence, zone=zone, format=format_name, rows=as_json, workers=workers, on_progress=advance
        ) as parsed,
    ):
        for file in parsed.files:
            done.append(file)
            if as_json and file.rows is not None:
                with file.rows.open("rb") as rows:
                    shutil.copyfileobj(rows, sys.stdout.buffer, 1 << 20)
            elif not as_json:
                _print_file(file)
        sys.stdout.flush()
        not_read = list(parsed.not_read)
    _tell_rejects(done)
    for item in not_read:
        say(f"not read: {plain(item.path)}: {item.reason.en}")
    events, rejected = sum(f.events for f in done), sum(f.rejected for f in done)
    if not as_json:
        _print_summary(done)
    say(
        f"{events:,} events in {len(done):,} files, {rejected:,} rejected, {len(not_read):,} files not read, "
        f"{time.monotonic() - began:.1f} s"
    )
    if not done:
        ctx.exit(3)


def _print_formats() -> None:
    from hikeshi.parse.registry import FORMATS

    width = max(len(row.name) for row in FORMATS)
    for row in FORMATS:
        print(f"{row.name:{width}}  {row.title.en} / {row.title.ja}")


def _print_file(file: Any) -> None:
    print(f"{plain(file.name)}: {file.events:,} events, read as {file.format}")
    for row in file.first_rows:
        parts = [f"{name}={plain(row[name])[:60]}" for name in _SHOWN if row.get(name) is not None]
        print(f"  {row.get('@timestamp', 'no time'):27}  {'  '.join(parts)}"[:200])
    print()


def _print_summary(files: list[Any]) -> None:
    total: Counter[str] = Counter()
    for file in files:
        total.update(file.datasets)
    if not total:
        return
    width = max(len(plain(name)) for name in total)
    print("Events by dataset / 種類別の件数")
    for name, count in total.most_common():
        print(f"  {plain(name):{width}}  {count:>12,}")


def _tell_rejects(files: list[Any]) -> None:
    """Rejects go to standard error: counted, and the first ones with their place and reason."""
    for file in files:
        if not file.rejected:
            continue
        say(f"{plain(file.name)}: {file.rejected:,} rejected")
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

"""`hikeshi indicators`: addresses, names and hashes in a text, with their places; lists made ready for a sweep."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hikeshi.cli.output import count, defang, plain, say, say_not_read, write_json_lines
from hikeshi.cli.progress import progress
from hikeshi.errors import UnsupportedFormat
from hikeshi.model.text import Text

if TYPE_CHECKING:
    from hikeshi.evidence.source import Source
    from hikeshi.indicators import IndicatorSet

_DEFANGED = frozenset({"ipv4", "ipv6", "cidr", "domain", "url", "email"})
_SEARCHED = ("text", "binary")  # "binary" may be a text with control characters; the child looks
_NO_TEXT = Text("文章ではありません(PDFなどはテキストで保存してください)",
                "not a text (save a PDF or office file as text first)")


class _FindByDefault(click.Group):
    """`hikeshi indicators FILE...` means `hikeshi indicators find FILE...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["find", *args]
        return super().parse_args(ctx, args)


@click.group("indicators", cls=_FindByDefault)
def command() -> None:
    """Indicators in texts, and lists of them. 指標の抽出とリストの準備

    `hikeshi indicators FILE...` is short for `hikeshi indicators find FILE...`.
    """


@command.command("compile")
@click.argument("lists", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="The file to write, e.g. list.hksweep. 出力ファイル")
def compile_(lists: tuple[Path, ...], out: Path) -> None:
    """Make lists ready for `hikeshi sweep`: one file that is mapped, not read. リストの事前準備

    LISTS: text, CSV, STIX 2.1 or MISP JSON. A million indicators take some seconds, once. On this machine's
    first run the scanner's machine code is made too.
    """
    import time

    from hikeshi.sweep import compile_lists, open_compiled
    from hikeshi.sweep.kernel import location

    began = time.monotonic()
    compiled, loaded = compile_lists(lists)
    compiled.write(out)
    ready = open_compiled(out)
    say_problems(loaded)
    click.echo(f"{len(ready):,} 件の指標を準備しました。 {count(len(ready), 'indicator')} ready in {plain(out)} "
               f"({out.stat().st_size / 2**20:,.1f} MiB, {time.monotonic() - began:.1f} s)")
    if loaded.duplicates:
        say(f"{count(loaded.duplicates, 'duplicate')} left out")
    if location(make=True) is None:
        say("機械語なしで動きます(遅くなります)。 No machine code here: sweeping works, but slower.")
    click.echo(f"次 Next: hikeshi sweep LOGS --indicators {plain(out)}")


@command.command("find")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line. JSON Lines")
@click.option("--no-warning-lists", is_flag=True, help="Do not look at the warning lists. 警告リストを見ない")
@click.option("--workers", type=click.IntRange(1, 256), help="Child processes. [default: all cores]")
@click.pass_context
def find(ctx: click.Context, files: tuple[Path, ...], as_json: bool, no_warning_lists: bool,
            workers: int | None) -> None:
    """Find indicators in reports, mails and notes, also defanged and in Japanese prose. 文章からの指標抽出

    FILES: texts, folders or archives; "-" reads standard input. Offsets count characters of the
    original text.
    """
    from hikeshi.evidence.acquire import acquire

    with tempfile.TemporaryDirectory(prefix="hikeshi-") as folder, progress(printing=as_json) as advance:
        acquired = acquire(files, Path(folder), workers=workers,
                           on_progress=lambda p: advance("reading", p.done, p.total))
        not_read = [*acquired.not_read,
                    *((s.name, _NO_TEXT) for s in acquired.sources if s.kind not in (*_SEARCHED, "empty"))]
        readable = [Path(folder), *(path for path in files if str(path) != "-")]
        single = len(files) == 1 and len(acquired.sources) == 1
        rows = _rows([s for s in acquired.sources if s.kind in _SEARCHED], readable, not_read, workers=workers,
                     marked=not no_warning_lists, named=not single)
        if as_json:
            found = write_json_lines(rows)
        else:
            kept = list(rows)
            found = len(kept)
    read = bool(acquired.sources) and len(not_read) < len(acquired.sources) + len(acquired.not_read)
    if not as_json and read:
        _print(kept)
    sys.stdout.flush()
    say_not_read(not_read)
    if not read:
        say("読める文章がありません。 No text to search.")
        say("次 Next: give a text file; for logs hikeshi sweep LOGS --indicators LIST")
    ctx.exit(1 if found else 0 if read else 3)


def say_problems(indicators: IndicatorSet) -> None:
    """What of the lists was not used, the first five with their place."""
    if not indicators.skipped:
        return
    say(f"{indicators.skipped:,} entries of the list were not used:")
    for problem in indicators.problems[:5]:
        say(f"  {plain(problem.where)}: {plain(problem.reason)}: {plain(problem.text[:60])}")
    if indicators.skipped > 5:
        say(f"  ... and {indicators.skipped - 5:,} more")


def _rows(sources: Sequence[Source], readable: Sequence[Path], not_read: list[tuple[str, Text]], *, marked: bool,
          named: bool, workers: int | None) -> Iterator[dict[str, Any]]:
    """In the order of the texts; each is searched in a limited child, what a child can't read joins `not_read`."""
    from hikeshi.evidence.sandbox import Limits, Task, run

    tasks = [Task(str(number), (source.path, _encoding(source))) for number, source in enumerate(sources)]
    if not tasks:
        return
    waiting: dict[int, list[dict[str, Any]]] = {}
    next_one = 0
    for outcome in run("hikeshi.indicators.child:find", tasks, setup="hikeshi.indicators.child:set_up",
                       setup_argument=marked, workers=min(workers or len(tasks), len(tasks)), readable=readable,
                       limits=Limits(cpu_s=1800, wall_s=3600)):
        source = sources[int(outcome.key)]
        if outcome.error is not None:
            why = outcome.error.what
            said = _NO_TEXT if isinstance(outcome.error, UnsupportedFormat) else Text(why, why)
            not_read.append((source.name, said))
        waiting[int(outcome.key)] = [
            {"value": value, "type": kind, "start": start, "end": end, "text": text, "warning_lists": list(marks),
             **({"file": source.name} if named else {})}
            for value, kind, start, end, text, marks in outcome.value or ()]
        while next_one in waiting:
            yield from waiting.pop(next_one)
            next_one += 1


def _encoding(source: Source) -> str | None:
    """A byte order mark counts as a character: offsets are those of the file."""
    if source.kind != "text":
        return None
    return {"utf-8-sig": "utf-8"}.get(source.encoding or "utf-8", source.encoding or "utf-8")


def _print(rows: list[dict[str, Any]]) -> None:
    """For people: how many, then each once with how often it stands there."""
    if not rows:
        click.echo("指標は見つかりませんでした。 No indicator in the text.")
        return
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["type"], row["value"])
        counts[key] = counts.get(key, 0) + 1
    marks = {(r["type"], r["value"]): r["warning_lists"] for r in rows}
    click.echo(f"{len(counts):,} 件の指標({len(rows):,} か所)。 "
               f"{count(len(counts), 'indicator')} in {count(len(rows), 'place')}.\n")
    for (kind, value), times in counts.items():
        shown = plain(defang(value) if kind in _DEFANGED else value)
        note = f"  * {', '.join(marks[kind, value][:3])}" if marks[kind, value] else ""
        click.echo(f"{kind:7} {times:>4}  {shown}{note}")
    if any(marks.values()):
        click.echo("\n* on warning lists: probably harmless, or shared by many. 誤検知に注意")
    click.echo("\n次 Next: hikeshi sweep LOGS --indicators FILE   (ログとの突合)")

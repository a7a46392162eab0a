"""`hikeshi indicators`: addresses, names and hashes in a text, with their places."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hikeshi.cli.output import defang, plain, say, write_json_lines
from hikeshi.errors import InputError, Location

if TYPE_CHECKING:
    from hikeshi.indicators import Found

_BLOCK = 1 << 20  # characters searched at a time, cut at a line end
_LARGEST = 1 << 30
_DEFANGED = frozenset({"ipv4", "ipv6", "cidr", "domain", "url", "email"})


@click.command("indicators")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line. JSON Lines")
@click.option("--no-warning-lists", is_flag=True, help="Do not look at the warning lists. 警告リストを見ない")
@click.pass_context
def command(ctx: click.Context, files: tuple[Path, ...], as_json: bool, no_warning_lists: bool) -> None:
    """Find indicators in reports, mails and notes, also defanged and in Japanese prose. 文章からの指標抽出

    Offsets count characters of the original text. "-" reads standard input.
    """
    rows = _rows(files, not no_warning_lists)
    if as_json:
        ctx.exit(1 if write_json_lines(rows) else 0)
    ctx.exit(1 if _print(list(rows)) else 0)


def _rows(files: tuple[Path, ...], marked: bool) -> Iterator[dict[str, Any]]:
    from hikeshi.indicators import warning_lists

    lists = warning_lists() if marked else None
    for path in files:
        for found in _found(_read(path)):
            marks = list(lists.of(found.type, found.value)) if lists else []
            row: dict[str, Any] = {"value": found.value, "type": found.type, "start": found.start, "end": found.end,
                                   "text": found.text, "warning_lists": marks}
            if len(files) > 1:
                row["file"] = str(path)
            yield row


def _found(text: str) -> Iterator[Found]:
    """Finds in order; a large text is searched in blocks so that memory stays small."""
    from hikeshi.indicators import Found, extract

    at = 0
    while at < len(text):
        end = len(text)
        if end - at > _BLOCK:
            end = text.rfind("\n", at, at + _BLOCK) + 1 or at + _BLOCK
        for found in extract(text[at:end]):
            yield Found(found.value, found.type, found.start + at, found.end + at, found.text)
        at = end


def _read(path: Path) -> str:
    """The text as it is: line ends stay, so that offsets are those of the file."""
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with path.open("rb") as file:
                data = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", source=Location(str(path))) from error
    if len(data) > _LARGEST:
        raise InputError("a text of more than 1 GiB", source=Location(str(path)),
                         hint="split it; logs belong to `hikeshi sweep`")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8") if _is_utf8(data) else data.decode("cp932", "replace")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _print(rows: list[dict[str, Any]]) -> int:
    """For people: how many, then each once with how often it stands there."""
    if not rows:
        click.echo("指標は見つかりませんでした。 No indicator in the text.")
        return 0
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["type"], row["value"])
        counts[key] = counts.get(key, 0) + 1
    marks = {(r["type"], r["value"]): r["warning_lists"] for r in rows}
    click.echo(f"{len(counts):,} 件の指標({len(rows):,} か所)。 {len(counts):,} indicators in {len(rows):,} places.\n")
    for (kind, value), count in counts.items():
        shown = plain(defang(value) if kind in _DEFANGED else value)
        note = f"  * {', '.join(marks[kind, value][:3])}" if marks[kind, value] else ""
        click.echo(f"{kind:7} {count:>4}  {shown}{note}")
    if any(marks.values()):
        say("* on warning lists: probably harmless, or shared by many. 誤検知に注意")
    click.echo("\n次: ログと突き合わせます。 Next: hikeshi sweep LOGS --indicators FILE")
    return len(rows)

"""`hikeshi desk`: what is done with a desk from the command line."""

from __future__ import annotations

import json
import os
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from hikeshi.cli.output import say
from hikeshi.cli.progress import progress
from hikeshi.errors import OutputError, UsageError


@click.group("desk")
def command() -> None:
    """A consultation desk's data folder. 相談窓口のデータ"""


@command.command("seed")
@click.option("--data", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="The desk's data folder; made when missing. データフォルダ")
@click.option("--cases", default=1000, show_default=True, type=click.IntRange(0, 1_000_000), help="How many. 件数")
@click.option("--years", default=2, show_default=True, type=click.IntRange(1, 20), help="Over how long. 年数")
@click.option("--seed", "number", default=1, show_default=True, help="Same number, same desk. 乱数の種")
def seed(data: Path, cases: int, years: int, number: int) -> None:
    """Fill an empty desk with generated cases. 生成した相談で埋める

    Refuses a desk that has cases. People get no password.
    """
    os.environ["HIKESHI_DATA"] = str(data.absolute())
    os.environ["DJANGO_SETTINGS_MODULE"] = "hikeshi_desk.settings"
    # By name, and only now: the library does not know the desk, and its settings need the folder first.
    import_module("django").setup()
    import_module("django.core.management").call_command("migrate", verbosity=0)
    fill = import_module("hikeshi_desk.seed").seed
    with progress() as advance:
        unfinished = fill(cases, years, number, on_progress=lambda done, total: advance("cases", done, total))
    say(f"{cases:,} 件の相談を作りました（対応中 {unfinished:,} 件）。 {cases:,} cases, {unfinished:,} of them open.")


@command.command("reseal")
@click.option("--data", required=True, type=click.Path(file_okay=False, exists=True, path_type=Path),
              help="The desk's data folder. データフォルダ")
def reseal(data: Path) -> None:
    """Encrypt evidence that an older desk kept plain. 平文で保管した証拠を暗号化する

    May be stopped and run again at any time, also while the desk is open. A file that is not what its hash says is
    left as it is and named.
    """
    os.environ["HIKESHI_DATA"] = str(data.absolute())
    os.environ["DJANGO_SETTINGS_MODULE"] = "hikeshi_desk.settings"
    import_module("django").setup()
    store = import_module("hikeshi_desk.cases.store")
    files = size = 0
    for _, one in store.reseal():
        files, size = files + 1, size + one
    say(f"{files:,} 件（{size:,} バイト）を暗号化しました。 {files:,} files, {size:,} bytes are sealed now.")


_DATA = click.option("--data", required=True, type=click.Path(file_okay=False, exists=True, path_type=Path),
                     help="The desk's data folder. データフォルダ")


@command.command("mail-key")
@click.argument("act", type=click.Choice(["create", "show"]))
@_DATA
def mail_key(act: str, data: Path) -> None:
    """Make the desk's OpenPGP key pair, or show its fingerprint. 窓口のPGP鍵を作る・表示する

    With HIKESHI_MAIL_KEY_PASSPHRASE set, the secret key is kept encrypted with it; the desk then needs it to start.
    """
    os.environ["HIKESHI_DATA"] = str(data.absolute())
    os.environ["DJANGO_SETTINGS_MODULE"] = "hikeshi_desk.settings"
    import_module("django").setup()
    management = import_module("django.core.management")
    try:
        management.call_command("mail_key", act)
    except management.CommandError as fault:
        raise UsageError(str(fault)) from fault


@command.command("report")
@_DATA
@click.option("--year", required=True, type=click.IntRange(2000, 2200), help="Of which year. 対象の年")
@click.option("--as-of", "until", type=click.DateTime(["%Y-%m-%d"]),
              help="30 June or 31 December: the last day that counts. [default: the last one] 何日までの記録か")
@click.option("--language", type=click.Choice(["ja", "en"]), default="ja", show_default=True, help="言語")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path),
              help="Markdown; must not exist. 出力先")
def technical_report(data: Path, year: int, until: datetime | None, language: str, out: Path) -> None:
    """Write the yearly technical report's skeleton. 年次技術レポートのひな形

    Figures by kind, month, way in and family with the two years before, rounded so that no single case shows, and
    places for the author. The same data and day give the same file.
    """
    _open_desk(data)
    yearly = import_module("hikeshi_desk.analysis.yearly")
    last = until.date() if until else yearly.last_end(year, datetime.now().astimezone().date())
    if last.year < year or not yearly.is_end(last):
        raise UsageError("a report is as of the end of a half-year", hint=f"give {year}-06-30, {year}-12-31 or later")
    written = yearly.report(year, last, language)
    try:
        with out.open("x", encoding="utf-8", newline="\n") as file:
            file.write(written)
    except OSError as fault:
        raise OutputError(f"{out}: {fault.strerror}", hint="choose a new file in a folder you may write to") from fault
    say(f"{out} に書き出しました。読んでから公開してください。 Written to {out}: read it before you publish it.")


@command.command("audit-head")
@_DATA
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path),
              help="Add it to this file, one line each. ファイルに追記")
def audit_head(data: Path, save: Path | None) -> None:
    """Print the audit log's last number, hash and time, to keep elsewhere. 操作記録の末尾を控える

    Note it down, mail it or have it time-stamped: without a head noted earlier, rows cut off at the log's end can't be
    seen. tools/verify_audit.py takes it with --head or --head-file.
    """
    line = _audit_log(data).head_line()
    if save:
        with save.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    print(f"{line['sequence']}:{line['digest']} {line['at']}")


@command.command("audit-export")
@_DATA
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path),
              help="JSON Lines, one row each; must not exist. 出力先")
def audit_export(data: Path, out: Path) -> None:
    """Write the audit log as JSON Lines, to be checked by tools/verify_audit.py. 操作記録を書き出す

    It holds who did what: keep it as closely as the desk itself.
    """
    log = _audit_log(data)
    try:
        file = os.fdopen(os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
    except OSError as fault:
        raise OutputError(f"{out}: {fault.strerror}", hint="choose a new file in a folder you may write to") from fault
    with file:
        rows = sum(1 for line in log.lines() if file.write(line))
    say(f"{rows:,} 行を書き出しました。 {rows:,} rows.")


def _audit_log(data: Path) -> Any:
    _open_desk(data)
    return import_module("hikeshi_desk.audit.log")


def _open_desk(data: Path) -> None:
    """The desk's settings and models, for a folder that is a desk's. Raises UsageError."""
    os.environ["HIKESHI_DATA"] = str(data.absolute())
    os.environ["DJANGO_SETTINGS_MODULE"] = "hikeshi_desk.settings"
    if not os.environ.get("DATABASE_URL") and not (data / "desk.sqlite3").exists():
        raise UsageError(f"{data}: no desk's data folder", hint="the folder that `hikeshi serve --data` opened")
    import_module("django").setup()

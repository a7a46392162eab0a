"""`hikeshi`: finds the command's module, runs it, turns errors into exit codes.

A command's module is loaded only when it is called, so that a start stays under a second.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import signal
import sys
import threading
from typing import TextIO

import click

from hikeshi import __version__
from hikeshi.errors import (
    ChildError,
    HikeshiError,
    IndicatorError,
    InputError,
    KnowledgeError,
    LimitExceeded,
    Location,
    OutputError,
    RemoteError,
    RuleError,
    UsageError,
)
from hikeshi.model.text import plain

# In the order a responder meets them, not the alphabet's.
COMMANDS: dict[str, str] = {
    "triage": "Point it at a folder of evidence: which ransomware, how they got in, how far. 証拠フォルダの一括分析",
    "hunt": "Event logs, and other logs, against Sigma rules. ログの検知",
    "rules": "Rule packs, and what of them can be applied. ルール集の管理",
    "sweep": "Logs against a list of indicators. 通信先リストとの突合",
    "parse": "Logs as a table of events. ログの正規化",
    "identify": "Which ransomware, or unknown. ランサムウェアの特定",
    "indicators": "Addresses, names and hashes in a text. 文章からの指標抽出",
    "trace": "Entry, spread, hosts and accounts. 侵入経路と横展開",
    "timeline": "Record by record, for people, spreadsheets, Timesketch. 時系列",
    "contain": "Block lists, their price, proof that they hold. 遮断・見積・確認",
    "knowledge": "What Hikeshi knows, as one signed file that travels. 知識パック",
    "submit": "Evidence to a consultation desk, in parts that survive a broken line. 証拠を窓口へ送る",
    "desk": "A consultation desk: generated data. 相談窓口のデータ",
    "serve": "The consultation desk on this machine. 相談窓口を開く",
    "demo": "A worked incident from end to end. 実演",
    "test": "Run Hikeshi's own tests. 自己テスト",
}


# Their answers rest on the knowledge pack: one that can't be used is told before they begin.
_KNOWING = ("triage", "identify")


class ReaderGone(Exception):
    """Whoever read our output (head, less) has closed it."""


class LazyCommands(click.Group):
    """A group that imports a command's module when it is asked for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"hikeshi.cli.{cmd_name}").command
        if cmd_name in _KNOWING:
            importlib.import_module("hikeshi.cli.knowledge").say_problem()
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # The default would import every module only to read its first line.
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # Click would end with 1, which is "found something" here.
            raise ReaderGone from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message} Known: {', '.join(COMMANDS)}.", ctx) from error


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hikeshi")
def cli() -> None:
    """First response to cyber incidents. 火消し: サイバーインシデントの初動対応

    Exit codes: 0 nothing found, 1 found something, 2 usage, 3 input unreadable, 4 own failure.
    """


# What a refusal is called in Japanese; the sentence behind it stays as it was raised.
_JAPANESE: tuple[tuple[type[HikeshiError], str], ...] = (
    (UsageError, "使い方が正しくありません"),
    (LimitExceeded, "上限を超えています"),
    (InputError, "入力を読めません"),
    (RuleError, "ルールを使えません"),
    (IndicatorError, "指標リストを使えません"),
    (KnowledgeError, "知識データを読めません"),
    (ChildError, "解析の途中で止まりました"),
    (OutputError, "結果を書けません"),
    (RemoteError, "窓口に届きません"),
)
# The place for the result or for temporary files, never a fault of the program.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG) if hasattr(errno, "EDQUOT") else (
    errno.ENOSPC, errno.EROFS, errno.EFBIG)


class Stopped(KeyboardInterrupt):
    """Asked to end by a signal other than Ctrl-C; everything is left as orderly as then."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def main(arguments: list[str] | None = None) -> int:
    """Run and give the exit code; a bug of ours keeps its traceback and gives 4."""
    _prepare()
    try:
        code = cli.main(arguments, prog_name="hikeshi", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except HikeshiError as error:
        return _tell(error)
    except click.ClickException as error:
        _tell_usage(error)
        return 2
    except Stopped as stop:
        _say(f"hikeshi: {_STOPPED}")
        return 128 + stop.number
    except (KeyboardInterrupt, click.Abort) as stop:
        # Click turns every KeyboardInterrupt into Abort.
        cause = stop.__cause__ or stop.__context__
        _say(f"hikeshi: {_STOPPED}")
        return 128 + cause.number if isinstance(cause, Stopped) else 130
    except (ReaderGone, BrokenPipeError):
        return _closed_pipe()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 4
    except Exception as error:  # noqa: BLE001 - the outermost edge: show the whole fault, then exit as contracted
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            _discard(sys.stdout)
            return _tell(OutputError(f"can't write: {error.strerror}",
                                     source=Location(str(error.filename)) if error.filename else None,
                                     hint="free some space, or write elsewhere (TMPDIR is the place for copies)"))
        import traceback

        traceback.print_exc()
        _say("hikeshi: this is a fault in Hikeshi itself; please report the lines above. Hikeshiの不具合です")
        return 4


_STOPPED = "中断しました。同じコマンドでやり直せます。 stopped. Run the same command again."


def _prepare() -> None:
    """Output that can't spell Japanese spells it out; a closing terminal or `kill` leaves no copies behind."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def stop(number: int, frame: object) -> None:
        raise Stopped(number)

    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):  # whichever the machine has
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, stop)


def _tell(error: HikeshiError) -> int:
    japanese = next((text for kind, text in _JAPANESE if isinstance(error, kind)), "失敗しました")
    where = f" ({plain(error.source)})" if error.source else ""
    _say(f"hikeshi: {japanese}: {plain(error.what)}{where}")
    if error.hint:
        _say(f"  次 Next: {plain(error.hint)}")
    return error.exit_code


def _tell_usage(error: click.ClickException) -> None:
    """Click's own sentences, in one shape with ours."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say(error.format_message())
        return
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "hikeshi"
    kinds = ((click.MissingParameter, "指定が足りません"), (click.NoSuchOption, "そのオプションはありません"),
             (click.BadParameter, "値が正しくありません"))
    japanese = next((text for kind, text in kinds if isinstance(error, kind)), "使い方が正しくありません")
    _say(f"hikeshi: {japanese}: {plain(error.format_message())}")
    if isinstance(error, click.NoSuchOption):
        _say("  - で始まる名前は ./-name と書きます。 Write a name that begins with - as ./-name")
    _say(f"  次 Next: {path} --help")


def _closed_pipe() -> int:
    """The reader has seen enough; what is left must not raise at exit. 141 is the shell's number for it:
    neither "nothing found" nor "found something" would be true."""
    _discard(sys.stdout)
    return 141


def _discard(stream: TextIO) -> None:
    """What still waits in the buffer goes nowhere, so that the interpreter's last flush can't fail."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr)

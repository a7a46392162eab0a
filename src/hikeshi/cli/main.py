"""`hikeshi`: finds the command's module, runs it, turns errors into exit codes.

A command's module is loaded only when it is called, so that a start stays under a second.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from hikeshi import __version__
from hikeshi.errors import HikeshiError

# In the order a responder meets them, not the alphabet's.
COMMANDS: dict[str, str] = {
    "triage": "Point it at a folder of evidence: which ransomware, how they got in, how far. 証拠フォルダの一括分析",
    "hunt": "Windows event logs against Sigma rules. イベントログの検知",
    "sweep": "Logs against a list of indicators. 通信先リストとの突合",
    "parse": "Logs as a table of events. ログの正規化",
    "identify": "Which ransomware, or unknown. ランサムウェアの特定",
    "indicators": "Addresses, names and hashes in a text. 文章からの指標抽出",
    "trace": "Entry, spread, hosts and accounts. 侵入経路と横展開",
    "demo": "A worked incident from end to end. 実演",
    "test": "Run Hikeshi's own tests. 自己テスト",
}


class LazyCommands(click.Group):
    """A group that imports a command's module when it is asked for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"hikeshi.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # The default would import every module only to read its first line.
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

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


def main(arguments: list[str] | None = None) -> int:
    """Run and give the exit code; a bug of ours keeps its traceback and gives 4."""
    try:
        code = cli.main(arguments, prog_name="hikeshi", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except HikeshiError as error:
        print(f"hikeshi: {error}", file=sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        print("hikeshi: stopped. Run the same command again to go on.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what is left must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 4
    except Exception:  # noqa: BLE001 - the outermost edge: show the whole fault, then exit as contracted
        import traceback

        traceback.print_exc()
        print("hikeshi: this is a fault in Hikeshi itself; please report the lines above.", file=sys.stderr)
        return 4

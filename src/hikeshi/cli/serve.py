"""`hikeshi serve`: the consultation desk, on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hikeshi.errors import UsageError


@click.command("serve")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), default=Path("hikeshi-data"),
              show_default=True, envvar="HIKESHI_DATA",
              help="The desk's folder: database, spool, evidence. データの置き場所")
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Address to listen on; a TLS proxy belongs in front. 待ち受けるアドレス")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
              help="Port; 0 takes a free one. ポート番号")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True,
              help="Web processes. Webプロセス数")
def command(data: Path, host: str, port: int, workers: int) -> None:
    """Open the consultation desk: web, jobs and mail as one group. 相談窓口を開く

    The first start prints a link that makes the first lead; there is no default password. Ctrl-C or SIGTERM
    stops everything in order. DATABASE_URL chooses PostgreSQL instead of SQLite.
    """
    if not sys.platform.startswith("linux"):
        raise UsageError("the desk runs on Linux", hint="the other commands run here as well")
    from hikeshi_desk.serve import serve

    def say(text: str) -> None:
        print(text, flush=True)

    serve(data, host=host, port=port, workers=workers, say=say)

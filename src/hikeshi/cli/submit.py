"""`hikeshi submit`: evidence to a desk, in one piece or in as many as the line allows."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hikeshi.cli.output import count, say
from hikeshi.cli.progress import progress
from hikeshi.errors import UsageError
from hikeshi.model.text import plain

KINDS = ("ransomware", "targeted", "unauthorised_access", "malware", "web_compromise", "data_leak", "phishing", "fraud",
         "lost_device", "supply_chain", "ddos", "spam", "vulnerability", "information", "other", "unknown")


@click.command("submit")
@click.argument("sources", nargs=-1, required=True, metavar="DIR_OR_FILES...",
                type=click.Path(path_type=Path, exists=True))
@click.option("--to", required=True, metavar="URL",
              help="The desk: https://…; http:// only on this machine. 送り先の窓口")
@click.option("--what", default="", help="What happened, in your words. 何が起きたか")
@click.option("--kind", type=click.Choice(KINDS), default="unknown", show_default=True, metavar="KIND",
              help=f"{', '.join(KINDS)}. 種類")
@click.option("--contact", default="", help="Mail or telephone; without it you stay anonymous. 連絡先")
@click.option("--name", "asker", default="", help="Your organisation. 組織名")
@click.option("--code", default="", envvar="HIKESHI_RECEIPT_CODE",
              help="Receipt code: more for a consultation you sent before; better in HIKESHI_RECEIPT_CODE. 受付コード")
@click.option("--resume", is_flag=True, help="Go on where the same command stopped. 途中から続ける")
@click.option("--ca", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="PEM file of the desk's certificate authority. 認証局")
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False),
              help="Where to remember how far it got. [default: in ~/.hikeshi] 途中経過の置き場所")
@click.option("--language", type=click.Choice(("ja", "en")), default="ja", show_default=True,
              help="Of the answers. 回答の言語")
@click.option("--json", "as_json", is_flag=True, help="One JSON object. JSONで出力")
def command(sources: tuple[Path, ...], to: str, what: str, kind: str, contact: str, asker: str, code: str, resume: bool,
            ca: Path | None, state: Path | None, language: str, as_json: bool) -> int:
    """Send evidence and a question to a consultation desk. 証拠を相談窓口へ送る

    Files and folders are packed on the way (names, times and a manifest with SHA-256; nothing is written beside
    them). Parts are acknowledged when they are on the desk's disk. The receipt code is printed once: keep it.
    HIKESHI_TOKEN sends it as a person with an API token.
    """
    from hikeshi.remote import submit
    from hikeshi.remote.desk import Desk
    from hikeshi.remote.pack import plan

    if not what.strip() and not code:
        raise UsageError("say what happened", hint='--what "…"; one sentence is enough')
    code = _ascii(code)
    desk = Desk(to, ca=ca, token=os.environ.get("HIKESHI_TOKEN", ""))
    file = submit.StateFile(state or submit.state_place(list(sources), to))
    before = file.load()
    if before is not None and not resume:
        say("途中の送信があります。続けるには --resume を付けてください。今回は最初から送ります。 "
            "An earlier sending was not finished; --resume goes on with it. Beginning anew.")
    with progress() as advance:
        total = sum(_size(source) for source in sources)
        pack = plan(sources, lambda done: advance("読み取り Reading", done, total))
        known = before if resume and before is not None and before.sha256 == pack.sha256 else None
        if resume and before is not None and known is None:
            say("ファイルが前回から変わったため、最初から送ります。 The files changed since; beginning anew.")
        answer = submit.send(
            desk, pack, _name(sources), _said(what, kind, contact, asker, language, code), code=code,
            state=known or submit.State(pack.sha256), file=file,
            advance=lambda done: advance("送信 Sending", done, pack.size))
    desk.close()
    if as_json:
        print(json.dumps(answer | {"files": pack.files, "bytes": pack.size, "sha256": pack.sha256}, ensure_ascii=False))
    else:
        _tell(answer, pack.files, pack.size, to, code)
    return 0


def _said(what: str, kind: str, contact: str, asker: str, language: str, code: str) -> Mapping[str, Any]:
    if code:
        return {"what": what.strip() or "追加のファイルを送ります。 More files."}
    return {"what": what, "incident": kind, "anonymous": not contact.strip(), "contact": contact, "asker_name": asker,
            "language": language}


def _ascii(code: str) -> str:
    """The code as a header can carry it, also when it was typed full-width."""
    plain_code = unicodedata.normalize("NFKC", code).strip()
    if not plain_code.isascii() or not plain_code.isprintable():
        raise UsageError("this is no receipt code", hint="28 letters and digits in groups of four")
    return plain_code


def _name(sources: tuple[Path, ...]) -> str:
    first = sources[0].resolve().name or "evidence"
    return plain(first)[:200] + ("" if len(sources) == 1 else f"+{len(sources) - 1}") + ".tar"


def _size(source: Path) -> int:
    if source.is_file():
        return source.stat().st_size
    return sum(path.lstat().st_size for path in source.rglob("*") if path.is_file() and not path.is_symlink())


def _tell(answer: Mapping[str, Any], files: int, size: int, to: str, code: str) -> None:
    print(f"受け付けました。 Received: {count(files, 'file')}, {size:,} bytes.")
    if code:
        print("同じ受付コードの相談に加えました。 Added to the consultation of your receipt code.")
        return
    print(f"\n  受付コード Receipt code:  {plain(answer['receipt_code'])}\n")
    print("この番号は、ここで一度だけ表示します。控えてください。 Shown only now: write it down.")
    if answer.get("answer_by"):
        print(f"回答の期限 Answer by: {plain(answer['answer_by'])}")
    steps = answer.get("first_steps", {})
    for title, name in (("まず行うこと Do first", "steps"), ("しないこと Do not", "never")):
        if steps.get(name):
            print(f"\n{title}:")
            for line in steps[name]:
                print(f"  - {plain(line)}")
    print(f"\n次 Next: {plain(to.rstrip('/'))}/code/ を開き、受付コードを入れると回答を読めます。 "
          "Open it and type the code to read the answer.")

"""`hikeshi knowledge`: what Hikeshi knows, as one signed file that travels."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hikeshi.cli.output import count, plain, say, write_json_lines
from hikeshi.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hikeshi.knowledge.importers import Imported
    from hikeshi.knowledge.pack import Pack, PackSource

_OLD_DAYS = 90
_SHOWN = 40
_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group("knowledge")
def command() -> None:
    """What Hikeshi knows, as one signed file: build, import, compare. 知識パック

    Nothing here opens a connection: packs travel as files.
    """


@command.command("build")
@click.option("--out", type=_FILE, required=True, help="The pack to write, NAME.hkpack. 書き出すファイル")
@click.option("--key", type=_FILE, help="Private key to sign with (see `knowledge key`). 署名の鍵")
@click.option("--notes", type=_FOLDER, help="Ransom notes: with labels.tsv, or one folder a family. 脅迫文のフォルダ")
@click.option("--galaxy", type=_FOLDER, help="A checkout of the MISP galaxy. MISP galaxyのフォルダ")
@click.option("--vulnerabilities", type=_FOLDER, help="Markdown tables: who used which CVE. 悪用された脆弱性の表")
@click.option("--tools", type=_FOLDER, help="Markdown tables: who used which tool. 使われた道具の表")
@click.option("--kev", type=_FILE, help="CISA KEV as JSON. CISAの悪用確認済み脆弱性")
@click.option("--as-of", metavar="DATE", help="Day the folders were fetched, e.g. 2026-11-22 (a SOURCE.toml inside "
                                              "says it for itself). フォルダの取得日")
@click.option("--serial", type=click.IntRange(1, 10**12), help="A number higher than the last pack's. [default: the "
                                                               "newest source's date] 通し番号")
@click.option("--name", default="Hikeshi knowledge", show_default=True, help="What the pack is called. 名前")
def build(out: Path, key: Path | None, notes: Path | None, galaxy: Path | None, vulnerabilities: Path | None,
          tools: Path | None, kev: Path | None, as_of: str | None, serial: int | None, name: str) -> None:
    """Make a pack from the installed knowledge and from folders you name. パックを作る

    The same input gives the same file. Of notes only facts and hashes go in, no text.
    """
    from hikeshi.evidence.atomic import write_atomic
    from hikeshi.identify.learn import learnt
    from hikeshi.knowledge.importers import Origin, read_galaxy, read_kev, read_tools, read_vulnerabilities
    from hikeshi.knowledge.importers.folder import check_date
    from hikeshi.knowledge.pack import read_bytes
    from hikeshi.knowledge.pack_build import Input
    from hikeshi.knowledge.pack_build import build as build_pack

    if not 0 < len(name) <= 120:
        raise UsageError("a pack's name has 1 to 120 signs")
    told = check_date(as_of, "--as-of") if as_of else "unknown"
    given = Input(
        galaxy=read_galaxy(Origin(galaxy, told)) if galaxy else None,
        notes=learnt(Origin(notes, told)) if notes else None,
        vulnerabilities=read_vulnerabilities(Origin(vulnerabilities, told)) if vulnerabilities else None,
        tools=read_tools(Origin(tools, told)) if tools else None,
        kev=read_kev(Origin(kev, told)) if kev else None)
    raw = build_pack(given, name=name, serial=serial, key=key)
    write_atomic(out, raw)
    pack = read_bytes(raw, str(out))
    for imported in given.imported():
        _say_broken(imported)
    _print_pack(pack)
    sys.stdout.flush()
    if not pack.signer:
        say("署名がありません。取り込むには署名が要ります。 Not signed: it can't be imported as it is (--key).")
    say(f"次 Next: hikeshi knowledge import {plain(out)}")


@command.command("import")
@click.argument("file", type=_FILE)
@click.option("--trust", "key", type=_FILE, help="Public key of its signer, taken from now on. 署名者の公開鍵")
@click.option("--older", is_flag=True, help="Also one that is not newer than the pack in use. 古くても取り込む")
def import_(file: Path, key: Path | None, older: bool) -> None:
    """Check a pack and use it from now on. パックを取り込む

    Refused: unsigned, signed by somebody unknown, changed, damaged, not newer than the one in use.
    """
    from hikeshi.knowledge import installed
    from hikeshi.knowledge.admit import admit
    from hikeshi.knowledge.keys import key_id, read_public

    public = read_public(key) if key else None
    known = public is None or any(one.public == public for one in installed.trusted())
    if public is not None and not known:
        installed.trust(public)
    try:
        pack = admit(file, older=older)
    except BaseException:
        if public is not None and not known:
            installed.distrust(key_id(public))  # a pack that is refused brings no trust either
        raise
    _print_pack(pack)
    sys.stdout.flush()
    say("取り込みました。今からこの知識で答えます。 Imported; answers come from it from now on.")
    say("次 Next: hikeshi knowledge status")


@command.command("remove")
def remove() -> None:
    """Go back to the knowledge that comes with Hikeshi. 取り込んだパックを外す"""
    from hikeshi.knowledge import installed

    if installed.remove():
        click.echo("外しました。組み込みの知識で答えます。 Removed; the built-in knowledge answers.")
    else:
        click.echo("取り込んだパックはありません。 No pack is installed.")


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line. JSON Lines")
@click.option("--old", "old_days", type=click.IntRange(1, 36500), default=_OLD_DAYS, show_default=True,
              help="Days from which a source counts as old. 古いとみなす日数")
def status(as_json: bool, old_days: int) -> None:
    """Which knowledge answers, from which sources, how old each is. 使っている知識と出典の古さ"""
    from hikeshi.knowledge import installed
    from hikeshi.knowledge.pack_build import built_in_sources, days_old

    pack = installed.installed()
    sources = pack.sources if pack else built_in_sources()
    today = datetime.now(UTC).date()
    ages = [(one, days_old(one, today)) for one in sources]
    problem = installed.problem()
    if as_json:
        write_json_lines({"id": one.id, "name": one.name, "licence": one.licence, "version": one.version,
                          "date": one.date, "dated": _dated(one, pack), "days": days,
                          "old": days is None or days > old_days,
                          "pack": pack.id if pack else None} for one, days in ages)
    else:
        if pack:
            _print_pack(pack)
        else:
            click.echo("組み込みの知識で答えています。 The built-in knowledge answers; no pack is in use.")
        click.echo()
        for one, days in ages:
            _print_source(one, days, old_days, _dated(one, pack))
        for signer in installed.trusted():
            click.echo(f"信頼する署名者 trusted signer: {signer.id}")
    sys.stdout.flush()
    if problem is not None:
        say_problem()
    old = [one for one, days in ages if days is not None and days > old_days]
    if old:
        say(f"注意 Warning: {len(old)}個の出典が{old_days}日より古いです。 {count(len(old), 'source')} older than "
            f"{count(old_days, 'day')}.")
        say("次 Next: import a newer pack (hikeshi knowledge import FILE)")


@command.command("verify")
@click.argument("file", type=_FILE)
def verify(file: Path) -> None:
    """Is a pack whole, usable by this version, and by whom is it signed? パックを検査する

    Exit code 0: whole, and its signer is trusted here. 3: refused, with the reason.
    """
    from hikeshi.knowledge import installed
    from hikeshi.knowledge.admit import check
    from hikeshi.knowledge.pack import read_file

    pack = check(read_file(file), str(file))
    _print_pack(pack)
    sys.stdout.flush()
    installed.check_signer(pack)
    say("改ざんはなく、署名者は信頼されています。 Whole, and signed by somebody trusted here.")


@command.command("diff")
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line. JSON Lines")
@click.pass_context
def diff(ctx: click.Context, old: Path, new: Path, as_json: bool) -> None:
    """What NEW knows that OLD does not, and the other way round. 二つのパックの違い

    Exit code 0: the same knowledge, 1: differences.
    """
    from hikeshi.knowledge.pack import read_pack
    from hikeshi.knowledge.pack_diff import diff as differences

    found = differences(read_pack(old), read_pack(new))
    if as_json:
        write_json_lines({"change": one.what, "kind": one.kind, "value": one.value} for one in found)
    else:
        click.echo(f"{count(len(found), 'difference')}  違い {len(found):,} 件")
        kinds: dict[tuple[str, str], list[str]] = {}
        for one in found:
            kinds.setdefault((one.kind, one.what), []).append(one.value)
        for (kind, what), values in kinds.items():
            click.echo(f"\n{kind} {what}: {len(values):,}")
            for value in values[:_SHOWN]:
                click.echo(f"  {_SIGN[what]} {plain(value)}")
            if len(values) > _SHOWN:
                click.echo(f"  … {len(values) - _SHOWN:,} more (--json lists all)")
    ctx.exit(1 if found else 0)


_SIGN = {"added": "+", "removed": "-", "changed": "~"}


@command.command("key")
@click.argument("name", type=_FILE)
def key(name: Path) -> None:
    """Make a pair of keys: NAME to sign packs with, NAME.pub for those who import them. 署名の鍵を作る"""
    from hikeshi.knowledge.keys import key_id, make_key

    public = make_key(name)
    click.echo(f"{plain(name)}  秘密鍵。人に渡さないこと。 private: keep it where only the signer reads it")
    click.echo(f"{plain(name)}.pub  公開鍵 public key, short name {key_id(public)}")
    say("取り込む人に公開鍵を渡し、短い名前を電話などで確かめてもらいます。")
    say("Hand out the public key, and have its short name checked by phone.")


@command.command("forget")
@click.argument("signer")
def forget(signer: str) -> None:
    """Trust a signer no longer (SIGNER as `status` shows it). 署名者の信頼をやめる"""
    from hikeshi.knowledge import installed

    if not installed.distrust(signer):
        raise UsageError("no trusted signer has this name", hint="hikeshi knowledge status lists them")
    click.echo("信頼をやめました。 No longer trusted; a pack signed by it is no longer used.")


@command.command("learn")
@click.argument("notes", type=_FOLDER)
@click.option("--out", type=_FOLDER, required=True, help="Folder for observed.toml and wordings.npz. 書き出すフォルダ")
def learn(notes: Path, out: Path) -> None:
    """Facts and hashes of the wording from a folder with labels.tsv; no text. 脅迫文から特徴を学ぶ

    Makes the built-in data anew; for a pack use `build --notes`.
    """
    from hikeshi.identify.learn import learn as learn_notes

    given, quoted = learn_notes(notes, out)
    click.echo(f"{count(given, 'note')} of the folder, {count(quoted, 'note')} quoted in the galaxy → {plain(out)}")


def say_problem() -> None:
    """On standard error, why an installed pack is not used; nothing where all is well."""
    from hikeshi.knowledge import installed

    problem = installed.problem()
    if problem is not None:
        say(f"注意 Warning: 知識パックを使えません。組み込みの知識で答えます。 {plain(problem.what)}; "
            "the built-in knowledge answers.")
        if problem.hint:
            say(f"  次 Next: {plain(problem.hint)}")


def _print_pack(pack: Pack) -> None:
    from hikeshi.knowledge import installed
    from hikeshi.knowledge.keys import key_id

    known = {one.public for one in installed.trusted()}
    signer = "署名なし unsigned" if not pack.signer else (
        f"{key_id(pack.signer)} ({'信頼 trusted' if pack.signer in known else '未確認 not trusted here'})")
    data, facts = pack.json("families.json"), pack.json("facts.json")
    click.echo(f"{plain(pack.name)}  通し番号 serial {pack.serial}")
    click.echo(f"  id {pack.id}")
    click.echo(f"  署名 signer {signer}")
    counts = {"families": len(data["families"]), "facts": sum(map(len, facts.values()))}
    counts |= {part: pack.members[f"{part}.jsonl"].count(b"\n") for part in _parts(pack)}
    click.echo("  " + ", ".join(f"{number:,} {what}" for what, number in counts.items()))


def _parts(pack: Pack) -> Sequence[str]:
    from hikeshi.knowledge.pack import PARTS

    return [part for part in PARTS if f"{part}.jsonl" in pack.members]


def _dated(one: PackSource, pack: Pack | None) -> str:
    """Whose date it is, as SOURCES.toml says of the built-in sources; of a pack's own sources "data"."""
    from hikeshi.knowledge.sources import load_sources

    known = load_sources().get(one.id)
    same = known is not None and known.date == one.date and (pack is None or known.url == one.url)
    return known.dated if known is not None and same else "data"


def _print_source(one: PackSource, days: int | None, old_days: int, dated: str) -> None:
    from hikeshi.knowledge.sources import DATED

    age = "日付不明 date unknown" if days is None else f"{one.date} ({count(days, 'day')})"
    mark = "  * 古い old" if days is not None and days > old_days else ""
    click.echo(f"{plain(one.name)}: {age}{mark}")
    click.echo(f"    {plain(one.version)}; {plain(one.licence)}")
    if dated != "data" and days is not None:
        click.echo(f"    {DATED[dated].ja} {DATED[dated].en}")


def _say_broken(imported: Imported) -> None:
    if imported.count_broken:
        say(f"{plain(imported.source.name)}: {count(imported.count_broken, 'broken row')} left out. "
            "壊れた行を除きました")
        for place, why in imported.broken[:10]:
            say(f"  {plain(place)}: {plain(why)}")

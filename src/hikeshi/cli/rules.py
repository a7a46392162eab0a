"""`hikeshi rules`: rule packs of this machine, and what of a rule set can be applied."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hikeshi.cli.output import count, fitted, plain, say, short_name, write_json_lines
from hikeshi.errors import KnowledgeError, UsageError

if TYPE_CHECKING:
    from hikeshi.detect.compile import CompiledRules
    from hikeshi.detect.coverage import CoverageRow
    from hikeshi.knowledge.rulepack import RulePack

_FILE = click.Path(path_type=Path, dir_okay=False)
_PATH = click.Path(path_type=Path)
_SHOWN = 20


@click.group("rules")
def command() -> None:
    """Rule packs, and what of a rule set can be applied. ルール集の管理

    Nothing here opens a connection: rules travel as folders, archives or packs.
    """


@command.command("import")
@click.argument("rules", type=_PATH)
@click.option("--name", help="What the pack is called here: a-z, 0-9, hyphen. 名前")
@click.option("--as-of", metavar="DATE", help="Day of the rules. [default: today] ルールの日付")
@click.option("--licence", default="unknown", show_default=True, help="Licence of the rules. 使用許諾")
@click.option("--retired", is_flag=True, help="Also deprecated, unsupported rules. 廃止ルールも含める")
@click.option("--trust", "key", type=_FILE,
              help="For a pack: public key of its signer, taken from now on. 署名者の公開鍵")
def import_(rules: Path, name: str | None, as_of: str | None, licence: str, retired: bool, key: Path | None) -> None:
    """Store the rules of a folder, an archive or a pack. ルールを取り込む

    RULES: a folder or archive (SigmaHQ's, Hayabusa's) or NAME.hkrules. What was left out is counted, with
    the reason; names that point outside an archive and archives that expand too far are refused.
    """
    from hikeshi.knowledge import rulepack

    if rules.suffix == rulepack.SUFFIX:
        if name or as_of or retired:
            raise UsageError("a pack has its own name, date and rules", hint="--name, --as-of and --retired are for "
                                                                          "folders and archives")
        pack = _import_pack(rules, key)
    else:
        raw = _built(rules, name, as_of, licence, retired, rulepack.own_key())
        pack = rulepack.read_bytes(raw, str(rules))
        rulepack.install(raw, pack)
    _print_pack(pack)
    _print_left_out(pack)
    sys.stdout.flush()
    compiled = _compiled([rulepack.installed_path(pack.info.name)])
    _say_totals(compiled)
    say(f"次 Next: hikeshi hunt EVIDENCE --pack {plain(pack.info.name)}")


@command.command("build")
@click.argument("rules", type=_PATH)
@click.option("--name", required=True, help="What the pack is called. 名前")
@click.option("--key", type=_FILE, required=True, help="Private key to sign with (hikeshi knowledge key). 署名の鍵")
@click.option("--out", type=_FILE, required=True, help="The pack to write, NAME.hkrules. 書き出すファイル")
@click.option("--as-of", metavar="DATE", help="Day of the rules. [default: today] ルールの日付")
@click.option("--licence", default="unknown", show_default=True, help="Licence of the rules. 使用許諾")
@click.option("--retired", is_flag=True, help="Also deprecated, unsupported rules. 廃止ルールも含める")
def build(rules: Path, name: str, key: Path, out: Path, as_of: str | None, licence: str, retired: bool) -> None:
    """A signed pack for other machines. 他の機器のためのパックを作る"""
    from hikeshi.evidence.atomic import write_atomic
    from hikeshi.knowledge.rulepack import SUFFIX, read_bytes

    if out.suffix != SUFFIX:
        raise UsageError(f"a rule pack's file ends with {SUFFIX}")
    raw = _built(rules, name, as_of, licence, retired, key)
    write_atomic(out, raw)
    pack = read_bytes(raw, str(out))
    _print_pack(pack)
    _print_left_out(pack)
    say(f"次 Next: hikeshi rules import {plain(out)} --trust KEY.pub   (there)")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line. JSON Lines")
def list_(as_json: bool) -> None:
    """The packs of this machine. 取り込んだルール集の一覧"""
    from hikeshi.knowledge import rulepack

    found: list[tuple[str, RulePack | None, str]] = []
    for name in rulepack.names():
        try:
            pack = rulepack.read_rule_pack(rulepack.rules_folder() / f"{name}{rulepack.SUFFIX}")
            rulepack.check_signer(pack)
            found.append((name, pack, ""))
        except KnowledgeError as error:
            found.append((name, None, error.what))
    if as_json:
        write_json_lines({"name": name, "problem": problem or None, **(_told(held) if held else {})}
                         for name, held, problem in found)
        return
    if not found:
        click.echo("取り込んだルール集はありません。 No rule pack is imported.")
    for name, held, problem in found:
        if held is not None:
            _print_pack(held)
        else:
            click.echo(f"{plain(name)}  使えません not usable: {plain(problem)}")


@command.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove a pack from this machine. ルール集を外す"""
    from hikeshi.knowledge import rulepack

    if not rulepack.remove(name):
        raise UsageError(f"no rule pack is called {name}", hint="hikeshi rules list")
    click.echo(f"{plain(name)}  外しました。 Removed.")


@command.command("verify")
@click.argument("pack", metavar="NAME|FILE")
def verify(pack: str) -> None:
    """Is a pack whole, its signer trusted here? ルール集を検査する

    Exit code 0: yes. 3: refused, with the reason.
    """
    from hikeshi.knowledge import rulepack

    path = Path(pack)
    if path.suffix != rulepack.SUFFIX:
        path = rulepack.rules_folder() / f"{rulepack.check_name(pack)}{rulepack.SUFFIX}"
    found = rulepack.read_rule_pack(path)
    _print_pack(found)
    sys.stdout.flush()
    rulepack.check_signer(found)
    say("改ざんはなく、署名者は信頼されています。 Whole, and signed by somebody trusted here.")


@command.command("coverage")
@click.option("--rules", multiple=True, type=_PATH, help="Folder or file of rules; may be repeated. ルール")
@click.option("--pack", "packs", multiple=True, help="An imported pack; may be repeated. 取り込んだルール集")
@click.option("--site", type=_FILE, help="This site's placeholders (TOML or YAML). 現場ごとの調整")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per log source. JSON Lines")
@click.option("--markdown", "as_markdown", is_flag=True, help="The table as Markdown. Markdownの表")
def coverage_(rules: tuple[Path, ...], packs: tuple[str, ...], site: Path | None, as_json: bool,
              as_markdown: bool) -> None:
    """Rules applicable or not, by log source. 適用できるルールの数と理由"""
    from hikeshi.detect.coverage import coverage, markdown

    compiled = _compiled(rule_paths(rules, packs), site)
    rows = coverage(compiled)
    if as_json:
        write_json_lines(_row(row) for row in rows)
    elif as_markdown:
        click.echo(markdown(rows))
    else:
        for line in coverage_lines(rows):
            click.echo(line)
    sys.stdout.flush()
    _say_totals(compiled)


def rule_paths(rules: Iterable[Path], packs: Iterable[str]) -> tuple[Path, ...]:
    """Rule folders and the files of packs; Hikeshi's own rules where neither is named. Raises KnowledgeError."""
    from hikeshi.cli.hunt import own_rules
    from hikeshi.knowledge.rulepack import installed_path

    return (*rules, *map(installed_path, packs)) or (own_rules(),)


def coverage_lines(rows: Iterable[CoverageRow]) -> Iterator[str]:
    """The table for people, line by line."""
    yield f"{'rules':>7} {'applied':>8}  log source (product/category/service): where it is looked for"
    for row in rows:
        where = f": {'; '.join(row.answered_by)}" if row.answered_by else ""
        yield fitted(f"{row.loaded:>7,} {row.applicable:>8,}  {plain(row.logsource) or '(none)'}{plain(where)}", 120)
        for reason, number in row.reasons.most_common(3):
            yield fitted(f"{'':17} {number:,} not: {plain(reason)}", 120)


def _row(row: CoverageRow) -> dict[str, object]:
    return {"logsource": row.logsource, "loaded": row.loaded, "applicable": row.applicable,
            "not_applicable": row.not_applicable, "reasons": dict(row.reasons.most_common()),
            "looked_for_in": list(row.answered_by)}


def _built(rules: Path, name: str | None, as_of: str | None, licence: str, retired: bool, key: Path) -> bytes:
    from hikeshi.knowledge.rulepack import check_name
    from hikeshi.triage.rule_import import build as build_pack
    from hikeshi.triage.rule_import import gather

    if not name:
        raise UsageError("the pack needs a name", hint="--name sigma")
    check_name(name)
    today = datetime.now(UTC).date()
    gathered = gather(rules, retired=retired)
    for what, why in gathered.refused[:_SHOWN]:
        say(f"refused   {short_name(what)}: {plain(why)}")
    return build_pack(name, gathered, source=rules.resolve().name, licence=licence,
                      as_of=_date(as_of) if as_of else today, made=today, key=key)


def _import_pack(file: Path, key: Path | None) -> RulePack:
    """A pack from outside: its signer must be trusted here, or be trusted now."""
    from hikeshi.knowledge import installed, rulepack
    from hikeshi.knowledge.keys import key_id, read_public

    pack = rulepack.read_rule_pack(file)
    public = read_public(key) if key else None
    new = public is not None and all(one.public != public for one in installed.trusted())
    if public is not None and new:
        installed.trust(public)
    try:
        rulepack.install(file.read_bytes(), pack)
    except BaseException:
        if public is not None and new:
            installed.distrust(key_id(public))      # a pack that is refused brings no trust either
        raise
    return pack


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--as-of {text[:40]!r} is no date", hint="write it as 2026-11-22") from error


def _compiled(paths: Iterable[Path], site: Path | None = None) -> CompiledRules:
    from hikeshi.detect.compile import compile_rules
    from hikeshi.detect.rules import load_rules
    from hikeshi.detect.site import NO_SITE, load_site
    from hikeshi.knowledge.cache import cache_folder

    decided = load_site(site) if site else NO_SITE
    return compile_rules(load_rules(paths), cache=cache_folder("rules"), placeholders=decided.placeholders)


def _say_totals(compiled: CompiledRules) -> None:
    from collections import Counter

    say(f"rules     {compiled.loaded:,} loaded, {compiled.applicable:,} applicable, "
        f"{len(compiled.skipped):,} not applicable, {count(len(compiled.correlations), 'correlation')}, "
        f"{count(len(compiled.filters), 'filter')}, {count(len(compiled.errors), 'file')} not readable")
    for reason, number in Counter(s.reason for s in compiled.skipped).most_common(5):
        say(f"skipped   {number:,} rules: {plain(reason)}")


def _told(pack: RulePack) -> dict[str, object]:
    info = pack.info
    return {"date": info.date, "imported": info.made, "files": info.files, "source": info.source,
            "licence": info.licence, "left_out": dict(info.left_out), "id": pack.id, "signer": pack.signer}


def _print_pack(pack: RulePack) -> None:
    from hikeshi.knowledge.keys import key_id

    info = pack.info
    signer = key_id(pack.signer) if pack.signer else "署名なし unsigned"
    click.echo(f"{plain(info.name)}  {info.date}  {count(info.files, 'rule file')}  {plain(info.licence)}")
    click.echo(f"  取込 imported {info.made} from {plain(info.source)}; 署名 signer {signer}")


def _print_left_out(pack: RulePack) -> None:
    for reason, number in sorted(pack.info.left_out, key=lambda item: -item[1])[:_SHOWN]:
        click.echo(f"  除外 left out {number:,}: {plain(reason)}")

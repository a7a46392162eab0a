"""`hikeshi identify`: which ransomware, or unknown."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hikeshi.cli.output import count, plain, say, say_not_read, wrapped, write_json_lines
from hikeshi.cli.progress import progress
from hikeshi.errors import UsageError
from hikeshi.model.text import Text

if TYPE_CHECKING:
    from hikeshi.identify import Answer, Examined

_SHOWN_REASONS = 4
_SHOWN_STEPS = 4
_SHOWN_WAYS = 3
_WIDTH = 71


@click.command("identify")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--text", metavar="TEXT", help="The text of a note, pasted. 脅迫文の文面")
@click.option("--name", "names", multiple=True, metavar="NAME", help="Name of a note or encrypted file. ファイル名")
@click.option("--extension", "extensions", multiple=True, metavar="EXT", help="Added extension (.xyz). 付いた拡張子")
@click.option("--contact", "contacts", multiple=True, metavar="ADDRESS",
              help="E-mail, onion, Tox, Session, Telegram or coin address. 連絡先")
@click.option("--tool", "tools", multiple=True, metavar="NAME", help="Tool or process seen. 見つかった道具")
@click.option("--leak-site", "leak_sites", multiple=True, metavar="NAME", help="Leak site. リークサイトの名前")
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True,
              help="How many days back a way in counts as recent. 最近とみなす日数")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each input. JSON Lines で出力")
@click.option("--workers", type=click.IntRange(1, 256), help="Child processes. [default: all cores]")
@click.pass_context
def command(ctx: click.Context, paths: tuple[Path, ...], text: str | None, names: tuple[str, ...],
            extensions: tuple[str, ...], contacts: tuple[str, ...], tools: tuple[str, ...],
            leak_sites: tuple[str, ...], days: int, as_json: bool, workers: int | None) -> None:
    """Which ransomware is it? Takes notes, encrypted files, folders and archives. ランサムウェアの特定

    PATH may be "-" for standard input; notes may be text, HTML, RTF, Word, ODT, PDF or mails. With options everything
    given makes one answer, one JSON object. Answers identified, candidates, unknown or not_ransomware, with reasons.
    """
    from hikeshi.evidence.acquire import acquire
    from hikeshi.identify import Question, ask, merge, prepare
    from hikeshi.triage.identity import examine_all

    question = Question(names, extensions, contacts, tools, leak_sites)
    asked = any((names, extensions, contacts, tools, leak_sites))
    if not paths and text is None and not asked:
        raise UsageError("nothing was given to identify",
                         hint="give files, or --text, --name, --extension, --contact, --tool or --leak-site")
    with tempfile.TemporaryDirectory(prefix="hikeshi-") as folder, progress() as advance:
        given = list(paths)
        if text is not None:
            pasted = Path(folder) / "pasted.txt"
            pasted.write_text(text, encoding="utf-8", errors="replace")
            given.append(pasted)
        acquired = acquire(given, Path(folder) / "work", workers=workers,
                           on_progress=lambda p: advance("reading", p.done, p.total))
        given_singly = len(acquired.sources) == len(given)
        examined, failed = examine_all(acquired.sources, workers=workers, pictures=given_singly, on_progress=advance)
    say_not_read([*acquired.not_read, *((n.path, n.reason) for n in failed)])
    if asked:
        examined.append(ask(question, prepare()))
    named = {source.name for source in acquired.sources} if given_singly else set()
    shown = [one for one in examined
             if one.answer.is_worth_a_line or one.answer.kind == "asked" or one.answer.path in named]
    as_one = asked or (text is not None and len(examined) > 1)
    if as_json:
        answers = [merge(examined)] if as_one else [one.answer for one in shown]
        write_json_lines(_told(one, days) for one in answers)
        found = any(one.verdict in ("identified", "candidates") for one in answers)
    else:
        whole = merge(examined) if examined else None
        if whole is not None:
            _print_answer(whole, [one for one in shown if one.answer.kind != "asked"], days)
        found = whole is not None and whole.verdict in ("identified", "candidates")
    if not examined:
        say("調べられるファイルがありません。 Nothing here could be examined.")
        say("Next: give ransom notes, encrypted files, or a folder that holds them.")
        ctx.exit(3)
    ctx.exit(1 if found else 0)


def _print_answer(answer: Answer, examined: Sequence[Examined], days: int) -> None:
    """The answer, its reasons, the first steps and what to type next; 80 columns, Japanese and English."""
    _headline(answer)
    for note in answer.notes:
        _put("  ", note)
    for candidate in answer.candidates[: 1 if answer.verdict == "identified" else 3]:
        print(f"\n{plain(candidate.family)}  {candidate.score:.2f}")
        for reason in candidate.reasons[:_SHOWN_REASONS]:
            _put("  - ", reason)
    if answer.actors:
        print("\n使う者として報告されている / reported to use it:")
        for actor in answer.actors[:5]:
            print(f"  {plain(actor.name)} ({plain(actor.relation)}, {plain(actor.source)})")
    _print_ways(answer, days)
    _print_advice(answer)
    notes = sum(1 for one in examined if one.is_note)
    encrypted = sum(1 for one in examined if one.facts.is_encrypted)
    sys.stdout.flush()
    say(f"{count(len(examined), 'file')} shown, {count(notes, 'note')}, {encrypted:,} encrypted")
    say("次 Next: hikeshi triage EVIDENCE --out RESULT   (how they got in, how far)")


def _told(answer: Answer, days: int) -> dict[str, Any]:
    """One line of --json: the answer with who is reported to use the family and the ways in, as of today in UTC."""
    from hikeshi.knowledge.vectors import actors_of, recent_vectors

    told = answer.to_dict() | {"vectors": None}
    if answer.family_id is not None:
        known = [actor.to_dict() for actor in actors_of(answer.family_id)]
        told["vectors"] = recent_vectors(answer.family_id, datetime.now(UTC).date(), days).to_dict()
        told["actors"] = [{**actor, **next((one for one in known if one["name"] == actor["name"]), {}),
                           "relation": actor["relation"]} for actor in told["actors"]]
    return told


def _print_ways(answer: Answer, days: int) -> None:
    """Recent ways in, or that there is no recent data; nothing where no family was named."""
    from hikeshi.knowledge.vectors import recent_vectors

    if answer.family_id is None:
        return
    vectors = recent_vectors(answer.family_id, datetime.now(UTC).date(), days)
    print()
    _put("", vectors.says)
    for seen in vectors.recent[:_SHOWN_WAYS]:
        what = " ".join(filter(None, (seen.cve, seen.technique, seen.product)))
        print(f"  {plain(what)} ({seen.first_seen} – {seen.last_seen}, {seen.count:,})")


def _put(lead: str, text: Text) -> None:
    """Both languages, Japanese first, under a common indent."""
    for line in (*wrapped(plain(text.ja), _WIDTH), *wrapped(plain(text.en), _WIDTH)):
        print(lead + line)
        lead = " " * len(lead)


def _headline(answer: Answer) -> None:
    if answer.verdict == "identified":
        print(f"ランサムウェア Ransomware: {plain(answer.family or '')}")
    elif answer.verdict == "candidates":
        names = ", ".join(plain(c.family) for c in answer.candidates[:3])
        print(f"ランサムウェア Ransomware: 断定できません undecided. 候補 candidates: {names}")
    elif answer.verdict == "unknown":
        print("ランサムウェア Ransomware: わかりません unknown")
    else:
        print("脅迫文でも暗号化されたファイルでもありません / neither a ransom note nor encrypted files")


def _print_advice(answer: Answer) -> None:
    from hikeshi.knowledge.advice import advice_by_id, decryptor_lines

    if answer.verdict == "not_ransomware":
        return
    records = [advice for one in answer.advice_ids if (advice := advice_by_id(one)) is not None]
    for advice in records:
        print()
        _put("", advice.title)
        for number, step in enumerate(advice.steps[:_SHOWN_STEPS], 1):
            _put(f"  {number}. ", step)
        for fact in advice.facts:
            _put("  - ", fact)
        for line in advice.section("theft") if advice.family else ():
            _put("  - ", line)
        if advice.family and advice.verified_on == "unverified":
            print("    （確かめていません / unverified）")
    if answer.family_id is not None:
        print("\n復号ツール / decryption tools")
        for line in decryptor_lines(answer.family_id):
            _put("  - ", line)

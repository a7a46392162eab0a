"""`hikeshi demo`: worked incidents from end to end, whether every answer equals its truth; the desk with them."""

from __future__ import annotations

import os
import shutil
import sys
import time
from importlib import import_module
from pathlib import Path

import click

from hikeshi.cli.output import count, say
from hikeshi.cli.progress import progress
from hikeshi.cli.story import print_story
from hikeshi.errors import Location, OutputError, UsageError
from hikeshi.model.text import plain

_MARK = ".hikeshi-demo"  # says that an earlier demo made the folder
_DESK = "desk"
_WAYS_IN = """\
  相談の画面 Consult       {desk}/
  担当者で入る Handler     {handler}
  責任者で入る Lead        {lead}
  連携先で入る Partner     {partner}
    （リンクは1回だけ使えます。別の人で入るときは別のブラウザーかプライベートウィンドウで。
      Each link works once; use another browser or a private window for another person.）"""
_CODE = """\
  匿名の相談者の受付番号 The anonymous consultee's code
    {code}   → {address}/code/
  解析は裏で進み、終わると案件に結果が出ます。 The analyses run now; their results appear in the cases.
  終わるには Ctrl-C。 Ctrl-C stops.
"""


@click.command("demo")
@click.option("--check", is_flag=True, help="Compare every answer with the truth; exit 0 only if all are equal. 検証")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("hikeshi-demo"),
              show_default=True, help="Folder for evidence and reports. 書き出すフォルダ")
@click.option("--only", metavar="NAME", help="One incident only. 1つの事案だけ")
@click.option("--workers", type=click.IntRange(1, 256), help="Child processes. [default: all cores]")
@click.option("--serve/--no-serve", "open_desk", default=None,
              help="Open the desk afterwards, or not. [default: on a terminal, without --check] 窓口を開くか")
@click.option("--port", type=click.IntRange(0, 65535),
              help="The desk's port. [default: 8000, else a free one] ポート番号")
@click.pass_context
def command(ctx: click.Context, check: bool, out: Path, only: str | None, workers: int | None,
            open_desk: bool | None, port: int | None) -> None:
    """Make three worked incidents, tell the story and open the desk. 3つの事案の実演

    Each incident is a week of logs of a made-up company with an attack in it: ransomware through the VPN,
    a mail attachment with theft of data, a web shell. Then a consultation desk opens with them as cases, on this
    machine only, until Ctrl-C.
    """
    from hikeshi.demo import scenarios, write_scenario
    from hikeshi.demo.check import compare
    from hikeshi.triage.run import triage

    if open_desk is None:
        open_desk = not check and sys.stdout.isatty() and sys.platform.startswith("linux")
    if open_desk and not sys.platform.startswith("linux"):
        raise UsageError("the desk runs on Linux", hint="give --no-serve: the stories and reports are made here too")
    chosen = [s for s in scenarios() if only in (None, s.name)]
    if not chosen:
        raise click.UsageError(f"no incident '{only}'. Known: {', '.join(s.name for s in scenarios())}.")
    if open_desk:
        _fresh_desk(out)
    began, wrong = time.monotonic(), 0
    for scenario in chosen:
        folder = out / scenario.name
        _claim(folder)
        # Only what an earlier demo wrote here is replaced.
        for child in ("evidence", "result", "truth.json", "indicators.txt"):
            target = folder / child
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        print(f"\n■ {scenario.title.ja} / {scenario.title.en}")
        print(f"  {scenario.description.ja}\n  {scenario.description.en}\n")
        say(f"writing the evidence to {folder / 'evidence'} …")
        truth = write_scenario(scenario.name, folder / "evidence")
        lists = [p for p in [folder / "indicators.txt"] if p.exists()]
        with progress() as advance:
            result = triage([folder / "evidence"], folder / "result", indicators=lists, zone="Asia/Tokyo",
                            workers=workers, on_progress=advance)
        print_story(result.case, result.findings)
        print(f"  Report: {folder / 'result' / 'report.html'}")
        differences = compare(truth.to_dict(), result.case.to_dict())
        for difference in differences:
            print(f"  DIFFERS {difference.what}: {plain(difference.text.ja)} / {plain(difference.text.en)}")
        print("  検証: 正解と一致しました / equal to the truth" if not differences
              else f"  検証: {len(differences)} か所が違います / {len(differences)} differences")
        wrong += bool(differences)
    sys.stdout.flush()
    say(f"{count(len(chosen), 'incident')}, {len(chosen) - wrong} equal to their truth, "
        f"{time.monotonic() - began:.0f} s")
    say(f"次 Next: open {plain(out / chosen[0].name / 'result' / 'report.html')}\n"
        "         or your own evidence: hikeshi triage EVIDENCE --out RESULT")
    if open_desk:
        _open_desk(out / _DESK, {scenario.name: out / scenario.name / "evidence" for scenario in chosen}, port)
    ctx.exit(1 if check and wrong else 0)


def _fresh_desk(out: Path) -> None:
    """The desk of an earlier demo goes; one that is open, or that no demo made, stays and is told."""
    desk = out / _DESK
    if desk.exists() and not (desk / _MARK).exists():
        raise UsageError(f"{desk} holds something that no demo made", hint="choose another folder with --out")
    if desk.exists() and import_module("hikeshi_desk.serve").is_open(desk):
        raise UsageError("an earlier demo's desk is still open", source=Location(str(desk)),
                         hint="stop it with Ctrl-C, or choose another folder with --out")
    shutil.rmtree(desk, ignore_errors=True)
    try:
        desk.mkdir(mode=0o700, parents=True)
        (desk / _MARK).touch()
    except OSError as error:
        raise OutputError(f"can't write: {error.strerror}", source=Location(str(desk)),
                          hint="choose another folder with --out") from error


def _open_desk(desk: Path, evidence: dict[str, Path], port: int | None) -> None:
    """Serve the incidents as cases until stopped, with settings of the demo's own: nothing of a real desk is used."""
    for name in [name for name in os.environ if name.startswith("HIKESHI_") or name == "DATABASE_URL"]:
        del os.environ[name]
    os.environ |= {"HIKESHI_DATA": str(desk.absolute()), "DJANGO_SETTINGS_MODULE": "hikeshi_desk.worked.settings"}
    # By name, and only now: the library does not know the desk, and its settings need the folder first.
    serve = import_module("hikeshi_desk.serve").serve

    def tell(text: str) -> None:
        print(text, flush=True)

    def furnish(address: str) -> None:
        ways = import_module("hikeshi_desk.worked.cases").fill(evidence)
        tell(_WAYS_IN.format(desk=address, handler=address + ways.handler, lead=address + ways.lead,
                             partner=address + ways.partner))
        if ways.code:
            tell(_CODE.format(code=ways.code, address=address))

    print("\n■ 相談窓口を開きます。会社・人・記録はすべて架空です。\n"
          "  Opening the desk. Every company, person and record in it is invented.\n")
    serve(desk, host="127.0.0.1", port=port, workers=1, say=tell, furnish=furnish)


def _claim(folder: Path) -> None:
    """An earlier demo is replaced; somebody's own evidence of the same name is not."""
    if (folder / "evidence").exists() and not (folder / _MARK).exists():
        raise UsageError(f"{folder} holds evidence that no demo wrote", hint="choose another folder with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).touch()
    except OSError as error:
        raise OutputError(f"can't write: {error.strerror}", source=Location(str(folder)),
                          hint="choose another folder with --out") from error

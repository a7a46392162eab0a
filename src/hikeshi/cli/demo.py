"""`hikeshi demo`: worked incidents from end to end, and whether every answer equals its truth."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import click

from hikeshi.cli.output import count, say
from hikeshi.cli.progress import progress
from hikeshi.cli.story import print_story
from hikeshi.errors import Location, OutputError, UsageError
from hikeshi.model.text import plain

_MARK = ".hikeshi-demo"  # says that an earlier demo made the folder


@click.command("demo")
@click.option("--check", is_flag=True, help="Compare every answer with the truth; exit 0 only if all are equal. 検証")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("hikeshi-demo"),
              show_default=True, help="Folder for evidence and reports. 書き出すフォルダ")
@click.option("--only", metavar="NAME", help="One incident only. 1つの事案だけ")
@click.option("--workers", type=click.IntRange(1, 256), help="Child processes. [default: all cores]")
@click.pass_context
def command(ctx: click.Context, check: bool, out: Path, only: str | None, workers: int | None) -> None:
    """Make three worked incidents, analyse them and tell the story. 3つの事案の実演

    Each incident is a week of logs of a made-up company with an attack in it: ransomware through the VPN,
    a mail attachment with theft of data, a web shell.
    """
    from hikeshi.demo import scenarios, write_scenario
    from hikeshi.demo.check import compare
    from hikeshi.triage.run import triage

    chosen = [s for s in scenarios() if only in (None, s.name)]
    if not chosen:
        raise click.UsageError(f"no incident '{only}'. Known: {', '.join(s.name for s in scenarios())}.")
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
    ctx.exit(1 if check and wrong else 0)


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

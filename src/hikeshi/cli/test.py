"""`hikeshi test`: our own checks, and in the last lines which groups ran and which did not, and why."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import click

from hikeshi.errors import UsageError

ROOT = Path(__file__).parents[3]
POSTGRES = ROOT / "tests" / "desk" / "postgres.py"
NO_POSTGRES = 75  # what that script ends with when there is nothing to start
# The desk again, as far as the database can make a difference.
ON_POSTGRES = ("tests/desk", "-m", "not any_database")


@dataclass(frozen=True, slots=True)
class Group:
    """One line of the summary: what ran and how it ended."""

    name: str
    passed: int
    failed: int
    skipped: int
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0  # of all its tests together: with two workers twice the time that passed

    def line(self) -> str:
        state = "FAILED" if self.failed else "ran" if self.passed else "SKIPPED"
        counts = f"{self.passed:,} passed, {self.failed:,} failed, {self.skipped:,} skipped"
        counts += f", {self.seconds:,.0f} s" if self.seconds >= 1 else ""
        why = "".join(f"\n      skipped: {reason}" for reason in self.reasons)
        return f"  {state:8}{self.name:18} {counts}{why}"


@click.command("test", context_settings={"ignore_unknown_options": True})
@click.option("--workers", default=os.cpu_count() or 2, show_default="all cores", help="Processes for the tests.")
@click.option("--database", type=click.Choice(("both", "sqlite", "postgres")), envvar="HIKESHI_TEST_DATABASE",
              help="Where the desk's tests keep their rows; both, unless PYTEST_ARGUMENTS are given (then sqlite).")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, workers: int, database: str | None, pytest_arguments: tuple[str, ...]) -> None:
    """Run the tests, the style checks and the import rule. 自己テスト

    The desk's tests run twice: on SQLite and on a private PostgreSQL cluster, if its programs are installed.
    PYTEST_ARGUMENTS go to pytest as they are, for example: hikeshi test tests/parse -k squid
    """
    if not (ROOT / "tests").is_dir():
        raise UsageError("the tests are not here", hint="run ./hikeshi test in a checkout of the repository")
    began = time.monotonic()
    groups = [] if pytest_arguments else [_check(name, arguments) for name, arguments in CHECKS]
    database = database or ("sqlite" if pytest_arguments else "both")
    if database != "postgres":
        groups += _pytest(workers, pytest_arguments)
    if database != "sqlite":
        groups.append(_on_postgres(workers, pytest_arguments or ON_POSTGRES))
    print(f"\nWhat ran ({time.monotonic() - began:.0f} s):")
    for group in groups:
        print(group.line())
    failed = sum(g.failed for g in groups)
    print(f"{sum(g.passed for g in groups)} passed, {failed} failed, {sum(g.skipped for g in groups)} skipped")
    ctx.exit(1 if failed or not sum(g.passed for g in groups) else 0)


CHECKS = (
    ("style", ("ruff", "check", "--quiet", ".")),
    ("types", ("mypy", "--no-error-summary")),
    ("imports", ("importlinter.cli", "lint-imports")),
)


def _check(name: str, arguments: tuple[str, ...]) -> Group:
    """A checker as one passed or failed test; what it says is shown only when it fails."""
    if arguments[0] == "importlinter.cli":
        call = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    else:
        call = [sys.executable, "-m", *arguments]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}:\n{done.stdout}{done.stderr}")
    return Group(name, int(done.returncode == 0), int(done.returncode != 0), 0)


def _on_postgres(workers: int, arguments: tuple[str, ...]) -> Group:
    """All of it as one group; skipped, with the reason, where no PostgreSQL can be started."""
    name = "desk on PostgreSQL"
    if os.name != "posix":
        return Group(name, 0, 0, 1, ("the desk runs on Linux",))
    started = subprocess.run([sys.executable, str(POSTGRES), "true"], capture_output=True, text=True, check=False)
    if started.returncode == NO_POSTGRES:
        return Group(name, 0, 0, 1, (started.stderr.strip(),))
    groups = _pytest(workers, arguments, inside=(sys.executable, str(POSTGRES)))
    reasons = tuple(reason for group in groups for reason in group.reasons)
    return Group(name, sum(g.passed for g in groups), sum(g.failed for g in groups),
                 sum(g.skipped for g in groups), reasons[:5], sum(g.seconds for g in groups))


def _pytest(workers: int, arguments: tuple[str, ...], *, inside: tuple[str, ...] = ()) -> list[Group]:
    """`inside` is a command that runs the one given to it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        call = [*inside, sys.executable, "-m", "pytest", f"--junitxml={report}", "-o", "junit_family=xunit1",
                "--durations=15", "--durations-min=5", *arguments]
        if workers > 1:
            call += ["-n", str(workers), "--dist", "loadfile"]
        code = subprocess.run(call, cwd=ROOT, check=False).returncode
        if not report.exists():
            return [Group("pytest", 0, 1, 0, (f"pytest ended with {code} and wrote no report",))]
        groups = _groups(report)
    if code and not any(g.failed for g in groups):
        groups.append(Group("pytest", 0, 1, 0, (f"pytest ended with {code}",)))
    return groups


def _groups(report: Path) -> list[Group]:
    """One group for each folder under tests/."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):
        parts = Path(case.get("file") or case.get("classname", "").replace(".", "/")).parts
        name = parts[1] if len(parts) > 2 else parts[-1] if parts else "?"
        seconds[name] += float(case.get("time", 0))
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            counts[name]["failed"] += 1
        elif skipped is not None:
            counts[name]["skipped"] += 1
            reasons[name][skipped.get("message", "no reason given")] += 1
        else:
            counts[name]["passed"] += 1
    return [
        Group(name, c["passed"], c["failed"], c["skipped"],
              tuple(f"{why} ({number})" for why, number in reasons[name].most_common(5)), seconds[name])
        for name, c in sorted(counts.items())
    ]

"""A progress bar on a terminal, silence elsewhere: done, total, rate and time left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is."""


@contextmanager
def progress(*, printing: bool = False) -> Iterator[Advance]:
    """Gives the function to call; it draws on standard error only.

    `printing`: the command writes its result meanwhile; no bar then where both would meet on one terminal.
    """
    if not sys.stderr.isatty() or (printing and sys.stdout.isatty()):
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text as Line

    class Description(ProgressColumn):
        def render(self, task: Task) -> Line:
            return Line(task.description)  # never markup

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Line:
            speed = task.finished_speed or task.speed
            return Line("" if speed is None else f"{speed:,.0f}/s")

    columns = (Description(), BarColumn(bar_width=24), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    # Rich would otherwise send our standard output to its console, and `> file` would stay empty.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False,
                  redirect_stderr=False) as bar:
        tasks: dict[str, object] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield advance

"""A real `hikeshi serve` for tests: its own data folder, home and temporary folder, stopped by its own id."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


class Served:
    """`folder` holds data/, tmp/, home/ and serve.log; `url` has no slash at its end."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.data, self.log = folder, folder / "data", folder / "serve.log"
        for one in (self.data, folder / "tmp", folder / "home"):
            one.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("HIKESHI_", "DJANGO_", "DATABASE_"))}
        kept |= {"PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1", "TMPDIR": str(folder / "tmp"),
                 "HOME": str(folder / "home"), "NO_COLOR": "1"}
        command = [sys.executable, "-m", "hikeshi", "serve", "--data", str(self.data), "--port", "0", "--workers", "1"]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(command, env=kept | environment, stdout=out, stderr=out, cwd=folder)
        self.url = ""

    def wait(self, seconds: float = 300) -> Served:
        """Until pages are answered."""
        until = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None and time.monotonic() < until, self.text
            found = re.search(r"open: http://localhost:(\d+)/", self.text)
            if found:
                self.url = f"http://127.0.0.1:{found[1]}"
                with suppress(OSError), urllib.request.urlopen(f"{self.url}/code/", timeout=20):
                    return self
            time.sleep(0.1)

    @property
    def text(self) -> str:
        return self.log.read_text()

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def setup_link(self) -> str:
        found = re.search(r"http://localhost:\d+(/desk/account/link/[\w-]+/)", self.text)
        assert found, self.text
        return self.url + found[1]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def served(folder: Path, **environment: str) -> Iterator[Served]:
    desk = Served(folder, **environment)
    try:
        yield desk.wait()
    finally:
        desk.stop()


def one_row(desk: Served, question: str, *values: object) -> tuple[object, ...] | None:
    """The first row of the answer, None without one."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(desk.data / "desk.sqlite3", timeout=30)) as base:
        return base.execute(question, values).fetchone()
    return None


def wait_for_analysis(page, case: str, seconds: float = 300) -> None:
    """Look at the case page again and again in a browser that is signed in."""
    until = time.monotonic() + seconds
    while page.locator("#analysis .state.done").count() == 0:
        state = page.locator("#analysis .state").first.inner_text() if page.locator("#analysis .state").count() else ""
        assert time.monotonic() < until, f"not analysed: {state}"
        time.sleep(0.5)
        page.goto(case)

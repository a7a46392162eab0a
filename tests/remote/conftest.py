"""A real desk on loopback, one for all tests of this folder."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

SOURCE = Path(__file__).parents[2] / "src"


class Served:
    """`hikeshi serve` with a folder of its own; `shell` runs a few lines inside its Django."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.data, self.log = folder / "data", folder / "serve.log"
        self.data.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HIKESHI_", "DJANGO_", "DATABASE_"))}
        self.environment = kept | {"PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1", "HOME": str(folder),
                                   "HIKESHI_SECOND_FACTOR": "optional"} | more
        self.start()

    def start(self, port: int = 0) -> None:
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hikeshi", "serve", "--data", str(self.data), "--port", str(port), "--workers", "1"],
                env=self.environment, stdout=out, stderr=out)
        self.wait_for(lambda: re.search(r"open: http://localhost:\d+/", self.log.read_text()))
        self.port = int(re.search(r"open: http://localhost:(\d+)/", self.log.read_text())[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.wait_for(lambda: self.get("/api/v1/openapi.json")[0] == 200)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.process.kill()
            self.process.wait()

    def kill_web(self) -> None:
        """The web server and its workers, without a goodbye; the group starts them again."""
        for child in psutil.Process(self.process.pid).children():
            if any("gunicorn" in part for part in child.cmdline()):
                for one in [*child.children(recursive=True), child]:
                    one.kill()

    def wait_for(self, what: Any, seconds: float = 300) -> None:
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until and self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def get(self, path: str, timeout: float = 20, **headers: str) -> tuple[int, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", headers=named), timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def shell(self, lines: str) -> Any:
        """What `lines` leaves in `told`."""
        run = subprocess.run(
            [sys.executable, "-c", f"import django, json; django.setup()\n{lines}\nprint(json.dumps(told))"],
            env=self.environment | {"HIKESHI_DATA": str(self.data), "DJANGO_SETTINGS_MODULE": "hikeshi_desk.settings"},
            capture_output=True, text=True, timeout=300, check=False)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if not sys.platform.startswith("linux"):
        pytest.skip("the desk runs on Linux")
    desk = Served(tmp_path_factory.mktemp("desk"))
    yield desk
    desk.stop()

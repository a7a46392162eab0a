"""The desk starts as one group, mends itself, stops as one group, and refuses clearly."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

SOURCE = Path(__file__).parents[2] / "src"
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the desk runs on Linux")


def _environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HIKESHI_", "DJANGO_", "DATABASE_"))}
    return kept | {"PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"} | more


def _command(data: Path, port: int = 0) -> list[str]:
    return [sys.executable, "-m", "hikeshi", "serve", "--data", str(data), "--port", str(port), "--workers", "1"]


def _refused(data: Path, port: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(data, port), env=_environment(), capture_output=True, text=True, timeout=300, check=False)


class Running:
    def __init__(self, data: Path) -> None:
        self.log = data.parent / "serve.log"
        with self.log.open("w") as out:
            self.process = subprocess.Popen(_command(data), env=_environment(), stdout=out, stderr=out)
        self.wait_for(lambda: re.search(r"open: http://localhost:\d+/", self.text))
        self.url = re.search(r"open: (http://localhost:\d+)/", self.text)[1]
        self.wait_for(lambda: self.get("/desk/account/sign-in/"))

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, what, seconds: float = 300) -> None:
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until and self.process.poll() is None, self.text
            time.sleep(0.1)

    def get(self, path: str) -> bytes:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}{path}", timeout=20) as answer:
            return answer.read()
        return b""

    def child(self, word: str) -> psutil.Process | None:
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children():
                if any(word in part for part in child.cmdline()):
                    return child
        return None


@pytest.fixture
def running_desk(tmp_path):
    desk = Running(tmp_path / "data")
    yield desk
    if desk.process.poll() is None:
        desk.process.kill()
        desk.process.wait()


def test_it_starts_mends_itself_and_stops_in_order(running_desk, tmp_path):
    desk = running_desk
    link = re.search(r"http://localhost:\d+(/desk/account/link/[\w-]+/)", desk.text)[1]
    assert desk.get(link).count(b"<input") >= 6
    assert desk.get("/static/css/tokens.css")
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    assert (tmp_path / "data" / "desk.sqlite3").stat().st_mode & 0o077 == 0

    second = _refused(tmp_path / "data")
    assert second.returncode == 2 and "already open" in second.stderr

    first = {name: desk.child(name).pid for name in ("gunicorn", "db_worker")}
    for pid in first.values():
        os.kill(pid, signal.SIGKILL)
    for name, pid in first.items():
        desk.wait_for(lambda name=name, pid=pid: (found := desk.child(name)) and found.pid != pid)
    desk.wait_for(lambda: desk.get("/desk/account/sign-in/"))

    # Nonsense and a page that does not exist: neither may leave the visitor's address in the log.
    host, port = desk.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"NONSENSE\0\r\n\r\n")
        raw.recv(1000)
    desk.get("/no/such/page/")

    family = psutil.Process(desk.process.pid).children(recursive=True)
    desk.process.send_signal(signal.SIGTERM)
    assert desk.process.wait(30) == 0
    assert not [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert "127.0.0.1" not in desk.text and "::1" not in desk.text
    assert "stopped" in desk.text


def test_nothing_stays_behind_when_the_parent_is_killed(running_desk):
    family = psutil.Process(running_desk.process.pid).children(recursive=True)
    assert len(family) >= 3
    running_desk.process.kill()
    running_desk.process.wait()
    _, alive = psutil.wait_procs(family, timeout=120)
    assert alive == []


def test_a_busy_port_is_told_with_its_number(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = _refused(tmp_path / "data", port)
    assert answer.returncode == 2
    assert f"port {port}" in answer.stderr and "--port" in answer.stderr and "Traceback" not in answer.stderr


def test_a_folder_that_can_t_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    answer = _refused(tmp_path / "file" / "data")
    assert answer.returncode == 4
    assert "can't write" in answer.stderr and "--data" in answer.stderr and "Traceback" not in answer.stderr


@pytest.mark.django_db
def test_a_database_that_may_lose_commits_is_refused(monkeypatch):
    from hikeshi.errors import OutputError
    from hikeshi_desk import serve

    class Weak:
        vendor = "postgresql"

        def cursor(self):
            return self

        __enter__ = cursor

        def __exit__(self, *_):
            return None

        def execute(self, question):
            self.answer = {"SHOW fsync": "on", "SHOW synchronous_commit": "off", "PRAGMA journal_mode": "wal",
                           "PRAGMA synchronous": 1}[question]

        def fetchone(self):
            return (self.answer,)

    for vendor in ("postgresql", "sqlite"):
        weak = Weak()
        weak.vendor = vendor
        monkeypatch.setattr("django.db.connection", weak)
        with pytest.raises(OutputError, match="may lose"):
            serve.check_durable()


def test_large_files_follow_within_seconds_and_nobody_waits_for_them(running_desk, tmp_path):
    desk, size = running_desk, 40 << 20
    fields = {"what": "大きなファイルです", "request": "first_steps", "incident": "ransomware", "anonymous": "on"}
    jar = urllib.request.HTTPCookieProcessor()
    opener = urllib.request.build_opener(jar)
    page = opener.open(f"{desk.url}/consult/", timeout=30).read().decode()
    fields |= dict(re.findall(r'name="(csrfmiddlewaretoken|key)" value="([^"]+)"', page))
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
             for name, value in fields.items()]
    parts += [b'--edge\r\nContent-Disposition: form-data; name="files"; filename="disk.img"\r\n\r\n',
              os.urandom(size), b"\r\n--edge--\r\n"]
    answer = opener.open(urllib.request.Request(f"{desk.url}/consult/", data=b"".join(parts), headers={
        "Content-Type": "multipart/form-data; boundary=edge"}), timeout=60)
    assert answer.url.endswith("/receipt/"), answer.read().decode()
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "desk.sqlite3")) as database:
        assert database.execute("SELECT urgency FROM cases_case").fetchall() == [("high",)]
        began = time.monotonic()
        desk.wait_for(lambda: database.execute("SELECT size FROM cases_attachment").fetchall() == [(size,)], 240)
        print(f"filed after {time.monotonic() - began:.1f} s")
    desk.wait_for(lambda: not list((tmp_path / "data").glob("spool/*/files")))
    assert next((tmp_path / "data").glob("evidence/??/*.age")).stat().st_size > size

"""`hikeshi demo` in a terminal: the story, then a desk whose links work, until Ctrl-C."""

from __future__ import annotations

import contextlib
import http.cookiejar
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the desk runs on Linux")


def _environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HIKESHI_", "DJANGO_", "DATABASE_"))}
    return kept | {"PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"} | more


def _command(out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "hikeshi", "demo", "--only", "webshell", "--out", str(out), *more]


class Browser:
    def __init__(self) -> None:
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, url: str) -> tuple[int, str]:
        return self._ask(url, None)

    def press(self, url: str, **fields: str) -> tuple[int, str]:
        """Open a page and send its form."""
        _, page = self.get(url)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
        return self._ask(url, urllib.parse.urlencode({"csrfmiddlewaretoken": token, **fields}).encode())

    def _ask(self, url: str, body: bytes | None) -> tuple[int, str]:
        try:
            with self._opener.open(urllib.request.Request(url, body), timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()


@pytest.fixture(scope="module")
def on_a_terminal(tmp_path_factory):
    """The demo in a pseudo-terminal, up to the open desk; its text, and the process."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    ours, theirs = pty.openpty()
    # What a real desk on this machine would use must not leak into the demo's.
    process = subprocess.Popen(_command(out, "--port", "0"), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                               env=_environment(HIKESHI_DATA=str(out.parent / "real"), HIKESHI_HTTPS="1",
                                                DATABASE_URL="postgres://nobody@127.0.0.1:9/none", NO_COLOR="1"))
    os.close(theirs)
    said = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 65536):
                said.extend(piece)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    until = time.monotonic() + 300
    while "The desk is open" not in said.decode(errors="replace"):
        assert time.monotonic() < until and process.poll() is None, said.decode(errors="replace")
        time.sleep(0.2)
    yield process, out, lambda: said.decode(errors="replace").replace("\r\n", "\n")
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
    os.close(ours)


def _way(text: str, name: str) -> str:
    return re.search(name + r"\s+(http://localhost:\d+\S*)", text)[1]


def test_its_links_open_the_desk_for_each_role_once(on_a_terminal):
    _, out, text = on_a_terminal
    assert "equal to the truth" in text() and "invented" in text()
    desk = _way(text(), "Consult")
    handler = Browser()
    until = time.monotonic() + 300
    while handler.get(desk)[0] != 200 and time.monotonic() < until:
        time.sleep(0.3)
    link = _way(text(), "Handler")
    status, page = handler.get(link)
    assert status == 200 and "架空" in page
    status, queue = handler.press(link)
    assert status == 200 and "document root" in queue and "担当者（デモ）" in queue
    assert Browser().get(link)[0] == 404  # it worked once
    case = desk + re.search(r'href="/(desk/case/[\w-]+/)"', queue)[1]
    assert "client-evidence.zip" in handler.get(case)[1]

    partner = Browser()
    assert partner.press(_way(text(), "Partner"))[0] == 200
    assert partner.get(case)[0] == 404  # nobody invited it here
    assert Browser().press(_way(text(), "Lead"))[0] == 200
    assert (out / "desk" / "desk.sqlite3").exists() and not (out.parent / "real").exists()
    assert (out / "desk").stat().st_mode & 0o077 == 0


def test_a_second_demo_leaves_the_open_desk_alone_and_a_signal_closes_it(on_a_terminal):
    process, out, text = on_a_terminal
    second = subprocess.run(_command(out, "--serve"), env=_environment(), capture_output=True, text=True, timeout=300, check=False)
    assert second.returncode == 2 and "still open" in second.stderr
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 0 and "stopped" in text()


def test_without_a_terminal_it_ends_and_with_check_too(tmp_path):
    done = subprocess.run(_command(tmp_path / "demo", "--check"), env=_environment(), capture_output=True, text=True,
                          timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "equal to the truth" in done.stdout and not (tmp_path / "demo" / "desk").exists()


def test_a_folder_that_no_demo_made_is_not_touched(tmp_path):
    mine = tmp_path / "demo" / "desk"
    mine.mkdir(parents=True)
    (mine / "letters").write_text("mine")
    done = subprocess.run(_command(tmp_path / "demo", "--serve"), env=_environment(), capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 2 and "--out" in done.stderr and (mine / "letters").read_text() == "mine"

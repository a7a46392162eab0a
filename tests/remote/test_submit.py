"""`hikeshi submit` against a real desk: sent, resumed after every kind of end, one consultation in the end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from hikeshi.remote import submit
from hikeshi.remote.desk import Desk
from hikeshi.remote.pack import plan

CASES = """
from hikeshi_desk.cases.models import Attachment, Case, Message
from hikeshi_desk.intake.models import Upload
told = {"cases": Case.objects.count(), "files": [[a.name, a.sha256, a.size] for a in Attachment.objects.order_by("message__at")],
        "channels": list(Message.objects.order_by("at").values_list("channel", flat=True)),
        "words": list(Message.objects.order_by("at").values_list("body", flat=True)),
        "kinds": list(Case.objects.order_by("serial").values_list("incident", "is_anonymous", "contact"))}
"""


@pytest.fixture
def evidence(tmp_path):
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "big.bin").write_bytes(os.urandom(8 << 20))
    (folder / "メモ.txt").write_text("身代金")
    return folder


def _run(served, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hikeshi", "submit", *arguments, "--to", served.url],
                          env=served.environment | more, capture_output=True, text=True, timeout=300, check=False)


def test_evidence_goes_there_and_the_code_reads_the_answer(served, evidence):
    before = served.shell(CASES)["cases"]
    run = _run(served, str(evidence), "--kind", "ransomware", "--what", "ファイルが開けません")
    assert run.returncode == 0, run.stderr
    codes = re.findall(r"(?:[0-9A-Z]{4}-){6}[0-9A-Z]{4}", run.stdout)
    assert len(codes) == 1 and "/code/" in run.stdout
    pack, told = plan([evidence]), served.shell(CASES)
    assert told["cases"] == before + 1 and told["kinds"][-1] == ["ransomware", True, ""]
    assert told["files"][-1] == ["evidence.tar", pack.sha256, pack.size] and told["channels"][-1] == "cli"
    status, thread = served.get("/api/v1/thread", Receipt_Code=codes[0])
    assert status == 200 and json.loads(thread)["entries"][0]["files"][0]["sha256"] == pack.sha256
    # A follow-up; the code in small and full-width letters, from the environment.
    wide = codes[0].lower().translate({ord(sign): ord(sign) + 0xFEE0 for sign in "0123456789abcdefghijklmnopqrstuvwxyz"})
    run = _run(served, str(evidence / "メモ.txt"), "--json", HIKESHI_RECEIPT_CODE=wide)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["files"] == 1 and "receipt_code" not in run.stdout
    told = served.shell(CASES)
    assert told["cases"] == before + 1 and told["files"][-1][0] == "メモ.txt.tar"
    assert told["channels"][-2:] == ["cli", "cli"]
    home = served.data.parent / ".hikeshi"
    assert not list(home.glob("submit-*.json"))  # nothing of it stays on this machine


def test_a_killed_client_goes_on_where_it_stopped(served, evidence, tmp_path):
    state = tmp_path / "state.json"
    arguments = [str(evidence), "--what", "途中で止まった", "--state", str(state), "--json"]
    with Relay(served.port, cut_after=3 << 20, hang=True) as relay:
        child = subprocess.Popen([sys.executable, "-m", "hikeshi", "submit", *arguments, "--to", relay.url],
                                 env=served.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        relay.reached.wait(60)
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert state.stat().st_mode & 0o077 == 0
    before = json.loads(state.read_text())
    cases = served.shell(CASES)["cases"]

    def standing() -> int:
        return json.loads(served.get(f"/api/v1/uploads/{before['upload']}", Upload_Key=before["upload_key"])[1])["offset"]

    served.wait_for(lambda: standing() > 0, 240)
    run = _run(served, *arguments, "--resume")
    assert run.returncode == 0, run.stderr
    assert standing() == plan([evidence]).size  # the same upload, no second one
    told = served.shell(CASES)
    assert told["cases"] == cases + 1 and told["files"][-1][1] == plan([evidence]).sha256
    assert json.loads(run.stdout)["receipt_code"] and not state.exists()


@pytest.mark.slow
def test_a_line_that_breaks_again_and_again_gets_it_through(served, evidence, tmp_path):
    pack, pauses = plan([evidence]), []
    with Relay(served.port, cut_after=2 << 20) as relay:
        desk = Desk(relay.url)
        answer = submit.send(desk, pack, "e.tar", {"what": "細い回線", "anonymous": True}, code="",
                             state=submit.State(pack.sha256), file=submit.StateFile(tmp_path / "s.json"), pause=pauses.append)
        desk.close()
    assert answer["receipt_code"] and relay.cuts >= 3 and pauses
    assert served.shell(CASES)["files"][-1][1] == pack.sha256


def test_a_desk_killed_in_the_middle_loses_nothing(served, evidence, tmp_path, monkeypatch):
    monkeypatch.setattr(submit, "PART", 1 << 20)
    pack, killed = plan([evidence]), []

    def advance(done: int) -> None:
        if 0 < done < pack.size and not killed:
            killed.append(done)
            served.kill_web()

    desk = Desk(served.url)
    answer = submit.send(desk, pack, "e.tar", {"what": "窓口が落ちた", "anonymous": True}, code="", state=submit.State(pack.sha256),
                         file=submit.StateFile(tmp_path / "s.json"), advance=advance, pause=lambda s: time.sleep(min(s, 1.5)))
    desk.close()
    assert killed and answer["receipt_code"] and served.shell(CASES)["files"][-1][1] == pack.sha256


def test_an_answer_that_got_lost_is_asked_for_again_and_is_one_consultation(served, evidence, tmp_path):
    pack, state, file = plan([evidence / "メモ.txt"]), submit.State("x"), submit.StateFile(tmp_path / "s.json")
    said = {"what": "答えが届かない", "anonymous": True}
    first = submit.send(Desk(served.url), pack, "e.tar", said, code="", state=state, file=file)
    cases = served.shell(CASES)["cases"]
    again = submit.send(Desk(served.url), pack, "e.tar", said, code="", state=state, file=file)
    assert again["duplicate"] and again["receipt_code"] == first["receipt_code"] and served.shell(CASES)["cases"] == cases


def test_changed_files_begin_anew(served, evidence, tmp_path):
    state = tmp_path / "state.json"
    submit.StateFile(state).save(submit.State("0" * 64, upload="3f3f3f3f-0000-4000-8000-000000000000", upload_key="k"))
    run = _run(served, str(evidence), "--what", "x", "--state", str(state), "--resume", "--json")
    assert run.returncode == 0 and "beginning anew" in run.stderr


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["--what", " "], 2, "--what"), (["--what", "x", "--to", "http://desk.example"], 2, "https"),
    (["--code", "コード"], 2, "receipt code"), (["--what", "x", "--ca", __file__], 2, "PEM"),
    (["--code", "ABCD-ABCD-ABCD-ABCD-ABCD-ABCD-ABCD"], 4, "receipt")])
def test_what_can_t_be_sent_says_why(served, tmp_path, arguments, code, words):
    (tmp_path / "a.log").write_text("x")
    run = subprocess.run([sys.executable, "-m", "hikeshi", "submit", "--to", served.url, *arguments, str(tmp_path / "a.log")],
                         env=served.environment, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == code and "Traceback" not in run.stderr and "Next" in run.stderr, run.stderr
    assert words in run.stderr or words in run.stdout or code == 4


def test_nothing_of_it_stands_in_the_log(served):
    text = served.log.read_text()
    assert "127.0.0.1" not in text and "/api/v1/uploads/" not in text and "Traceback" not in text, text


class Relay:
    """A bad line: lets `cut_after` bytes through a connection, then cuts it (or goes silent)."""

    def __init__(self, port: int, *, cut_after: int, hang: bool = False) -> None:
        self.port, self.cut_after, self.hang = port, cut_after, hang
        self.cuts, self.reached = 0, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.open: list[socket.socket] = []

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        for line in self.open:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            self.open += [client, server]
            threading.Thread(target=self._carry, args=(client, server, self.cut_after), daemon=True).start()
            threading.Thread(target=self._carry, args=(server, client, 1 << 40), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, left: int) -> None:
        try:
            while left > 0:
                data = source.recv(min(65_536, left))
                if not data:
                    break
                target.sendall(data)
                left -= len(data)
            if left <= 0:
                self.cuts += 1
                self.reached.set()
                if self.hang:
                    return
            for line in (source, target):
                line.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


"""Slow, silent and vanishing senders: the desk answers the others meanwhile, and lets go of them."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path

import pytest

from hikeshi_desk.intake import worker

FORM = (b"POST /consult/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=B\r\n"
        b"Content-Length: 1000000000\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.bin\"\r\n"
        b"Content-Type: application/octet-stream\r\n\r\n")


@pytest.fixture
def lines():
    found: list[socket.socket] = []
    yield found
    for line in found:
        line.close()


def _line(served, lines: list[socket.socket], data: bytes) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", served.port))
    lines.append(line)
    line.sendall(data)
    return line


def _is_gone(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return line.recv(1000) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_fifty_slow_ones_leave_the_desk_answering(served, lines):
    for kind in (b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", FORM):
        for _ in range(50):
            _line(served, lines, kind)
    for _ in range(3):
        for line in lines:
            with contextlib.suppress(OSError):
                line.sendall(b"1")
        # Not a speed: without letting go of anybody it would never come.
        assert served.get("/consult/", timeout=50)[0] == 200


def test_an_upload_that_ends_in_the_middle_leaves_nothing(served, lines):
    incoming = served.data / "spool" / "incoming"

    def files() -> set[Path]:
        return {path for path in incoming.iterdir() if path.is_file()} if incoming.exists() else set()

    # What a desk that was killed before has left is swept later; other tests' senders may still be there.
    before = files()
    line = _line(served, lines, FORM + os.urandom(3 << 20))
    served.wait_for(lambda: files() - before, 240)
    own = files() - before
    with contextlib.suppress(OSError):  # the desk may have closed it already
        line.shutdown(socket.SHUT_RDWR)
    served.wait_for(lambda: not own & files(), 240)
    assert "Traceback" not in served.log.read_text() and "127.0.0.1" not in served.log.read_text()


# ------------------------------------------------------------------------ the waiting room by itself, without waiting


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_who_brings_less_than_the_pace_is_let_go(pair, monkeypatch):
    monkeypatch.setattr(worker, "GRACE_S", 0.2)
    ours, theirs = pair
    sender = worker.Paced(ours, worker.WaitingRoom(4), 1_000)
    theirs.sendall(b"x" * 100)
    assert sender.recv(1000) == b"x" * 100
    began = time.monotonic()
    with pytest.raises(ConnectionResetError, match="too slow"):
        while True:
            sender.recv(1000)
    assert time.monotonic() - began < 30
    with pytest.raises(ConnectionResetError):
        sender.recv(1000)


def test_who_keeps_the_pace_stays_also_when_the_desk_is_slow(pair, monkeypatch):
    monkeypatch.setattr(worker, "GRACE_S", 0.2)
    ours, theirs = pair
    sender = worker.Paced(ours, worker.WaitingRoom(4), 1_000)
    for _ in range(3):
        theirs.sendall(b"x" * 500)
        assert len(sender.recv(1000)) == 500
        time.sleep(0.3)  # our own work is not the sender's fault
    theirs.close()
    assert sender.recv(1000) == b""


def test_the_slowest_makes_room_and_the_young_are_not_judged(monkeypatch):
    class Line:
        def __init__(self) -> None:
            self.left = False

        def shutdown(self, _: int) -> None:
            self.left = True

    room = worker.WaitingRoom(2)
    slow, quick, young = (worker.Paced(Line(), room, 2000) for _ in range(3))
    slow.received, slow.waited_s = 1_000, 100.0
    quick.received, quick.waited_s = 10_000_000, 100.0
    for sender in (slow, quick, young):
        room.enter(sender)
    assert [one._sock.left for one in (slow, quick, young)] == [True, False, False]
    other = worker.Paced(Line(), room, 2000)
    other.received, other.waited_s = 5_000_000, 0.5
    room.enter(other)  # young ones wait to be judged; of the old ones only the quick one is there
    assert [one._sock.left for one in (quick, young, other)] == [True, False, False]


def test_who_is_quick_stays_when_others_wait_for_a_thread():
    class Line:
        left = False

        def shutdown(self, _: int) -> None:
            self.left = True

    room = worker.WaitingRoom(10)
    slow, quick = (worker.Paced(Line(), room, 2000) for _ in range(2))
    slow.received, quick.received = 100_000, 10_000_000
    slow.waited_s = quick.waited_s = 10.0
    room.enter(slow)
    room.enter(quick)
    room.make_room(0)
    assert not slow._sock.left
    room.make_room(5)
    assert slow._sock.left and not quick._sock.left


def test_nobody_leaves_while_there_are_seats():
    room = worker.WaitingRoom(2)
    pairs = [socket.socketpair() for _ in range(2)]
    for ours, _ in pairs:
        sender = worker.Paced(ours, room, 2000)
        sender.waited_s = 1000.0
        room.enter(sender)
    room.make_room()
    for ours, theirs in pairs:
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"
        ours.close()
        theirs.close()

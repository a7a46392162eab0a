"""Children from one that is set up already: what every child must load is loaded once, then forked.

A nursery is a process started like a child. It sets up (imports, `setup`, machine code), never sees a byte
of evidence, takes no locks and forks a child for each request; the child locks itself down before it is handed a
task. Nothing but the pool can ask it: a forked child closes the way to it first.
Linux only. Where `setup` leaves threads running nothing is forked, and children are started one by one.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import socket  # noqa: TID251  a nameless pair between two of our own processes, to pass pipe ends; no connection
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Any, NamedTuple

from hikeshi.evidence.sandbox import child, wire
from hikeshi.evidence.sandbox.locks import end_with_parent, thread_count

OFFERED = sys.platform == "linux" and hasattr(socket, "send_fds")
_FORK, _REAP, _READY = b"f", b"r", b"ready"
_REAPED = struct.Struct("<qddq")        # status or -1, user and system seconds, most resident memory in KiB
_NUMBER = struct.Struct("<q")


class Usage(NamedTuple):
    """What a process used, as resource.struct_rusage names it."""

    ru_utime: float
    ru_stime: float
    ru_maxrss: int


class Forked:
    """A child of the nursery; for the pool like one that subprocess started."""

    def __init__(self, nursery: Nursery, pid: int, pipes: tuple[IO[bytes], IO[bytes], IO[bytes]]) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = pipes
        self.returncode: int | None = None
        self._nursery = nursery

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> Usage | None:
        """Wait until it has ended; what it used, None if nobody knows."""
        found = None
        while self.returncode is None:
            try:
                found = self._nursery.reaped(self.pid)
            except OSError:         # the nursery is gone, and its children with it
                self.returncode = -signal.SIGKILL
                return None
            if found is None:
                time.sleep(0.005)
            else:
                self.returncode = os.waitstatus_to_exitcode(found[0])
        return found[1] if found else None


class Nursery:
    """The parent's side. Its process ends with the thread that made it."""

    def __init__(self, start: Callable[[int], subprocess.Popen[bytes]], order: bytes) -> None:
        """`start`: runs `command` with that socket left open, standard input and output pipes."""
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = start(theirs.fileno())
        self._asking = threading.Lock()
        with contextlib.suppress(OSError):
            wire.write_frame(self._stdin, order)

    @property
    def stderr(self) -> IO[bytes]:
        assert self._process.stderr
        return self._process.stderr

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin
        return self._process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout
        return self._process.stdout

    def wait_ready(self) -> bool:
        """Whether it can fork. If not, a child started in the usual way will say why."""
        try:
            return wire.read_frame(self._stdout, len(_READY)) == _READY
        except (wire.Refused, OSError, ValueError):
            return False

    def fork(self) -> Forked:
        """A child that locks itself down and says hello. OSError if there is none to be had."""
        pairs = [os.pipe() for _ in range(3)]
        theirs, ours = zip(pairs[0], pairs[1][::-1], pairs[2][::-1], strict=True)
        try:
            with self._asking:
                socket.send_fds(self._control, [_FORK], theirs)
                pid, = _NUMBER.unpack(_received(self._control, _NUMBER.size))
            if pid < 0:
                raise OSError("no child could be forked")
        except OSError:
            for number in ours:
                os.close(number)
            raise
        finally:
            for number in theirs:
                os.close(number)
        return Forked(self, pid, (os.fdopen(ours[0], "wb"), os.fdopen(ours[1], "rb"), os.fdopen(ours[2], "rb")))

    def reaped(self, pid: int) -> tuple[int, Usage] | None:
        """Status and use of a child that has ended, once; None while it runs."""
        with self._asking:
            self._control.sendall(_REAP + _NUMBER.pack(pid))
            status, user, system, most = _REAPED.unpack(_received(self._control, _REAPED.size))
        return None if status < 0 else (status, Usage(user, system, most))

    def end(self) -> None:
        """Its children must have ended."""
        self._control.close()
        for stream in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):
                stream.close()
        self._process.kill()
        self._process.wait()


def _received(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = control.recv(size - len(data))
        if not more:
            raise ConnectionResetError("the nursery has ended")
        data += more
    return data


# ---- in the nursery's process --------------------------------------------------------------


def main(parent: int, control: int) -> None:
    """`control`: the number of the socket on which the pool asks."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = socket.socket(fileno=control)
    orders, answers = child.take_pipes()
    first = wire.read_frame(orders)
    if first is None:
        return
    order: child.Order = pickle.loads(first)  # noqa: S301  from our parent, over our own pipe
    function, context = child.prepare(order)
    if thread_count() != 1:
        return
    gc.collect()
    gc.freeze()             # what all children share stays shared: no collector writes into it
    wire.write_frame(answers, _READY)
    own = os.getpid()
    while (request := _next(asked)) is not None:
        kind, pid, pipes = request
        if kind == _REAP:
            asked.sendall(_waited(pid))
            continue
        try:
            born = os.fork()
        except OSError:
            born = -1
        if not born:
            # Nothing that leads to the nursery is left open in a child.
            for end in (asked, orders, answers):
                end.close()
            _grow_up(own, pipes, order, function, context)
        for number in pipes:
            os.close(number)
        asked.sendall(_NUMBER.pack(born))


def _next(asked: socket.socket) -> tuple[bytes, int, list[int]] | None:
    """What the pool wants: a fork and three pipe ends, or word of a child; None at the end."""
    kind, pipes, _, _ = socket.recv_fds(asked, 1, 3)
    if kind == _FORK:
        return kind, 0, pipes
    if kind != _REAP:
        return None
    return kind, _NUMBER.unpack(_received(asked, _NUMBER.size))[0], []


def _waited(pid: int) -> bytes:
    try:
        done, status, usage = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return _REAPED.pack(0, 0, 0, 0)
    return _REAPED.pack(status if done else -1, usage.ru_utime, usage.ru_stime, usage.ru_maxrss)


def _grow_up(nursery: int, pipes: list[int], order: child.Order, function: Any, context: Any) -> None:
    """The forked child's whole life; never returns."""
    code = 1
    try:
        os.setsid()
        for number, pipe in enumerate(pipes):
            os.dup2(pipe, number)
            os.close(pipe)
        end_with_parent(nursery)
        child.attend(*child.take_pipes(), order, function, context)
        code = 0
    finally:
        os._exit(code)


def command(paths: list[str], control: int) -> list[str]:
    """What follows the interpreter and its flags."""
    boot = ("import sys; n = int(sys.argv[3]); sys.path[:0] = sys.argv[4:4 + n]; "
            "from hikeshi.evidence.sandbox.nursery import main; main(int(sys.argv[1]), int(sys.argv[2]))")
    return ["-c", boot, str(os.getpid()), str(control), str(len(paths)), *paths]

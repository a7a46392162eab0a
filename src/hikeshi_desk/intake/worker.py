"""The web server's worker: senders that send nothing, or almost nothing, do not keep others waiting.

A connection takes a thread only when its first byte is there. From then on it must bring its bytes at a pace, header
and body alike; time that the desk itself takes is not counted. When more senders are being waited for than there are
seats, the slowest one leaves. All of this is kept in memory for as long as the connection lasts: no address is.
"""

from __future__ import annotations

import functools
import selectors
import socket
import threading
import time
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from hikeshi_desk.intake.limits import limits

GRACE_S = 20.0  # a header, or the first bytes on a bad line
YOUNG_S = 3.0  # too new to be judged against others
SEATS = 0.75  # of the threads may wait for senders


class Paced:
    """A socket as the parser reads it: every wait is measured, and ended when the sender is too slow."""

    def __init__(self, sock: socket.socket, room: WaitingRoom, slowest: float) -> None:
        self._sock, self._room, self._slowest = sock, room, max(slowest, 1.0)
        self.begin()

    def begin(self) -> None:
        """The next request of the same connection is measured by itself."""
        self.received, self.waited_s = 0, 0.0

    def recv(self, size: int) -> bytes:
        allowed = GRACE_S + self.received / self._slowest - self.waited_s
        if allowed <= 0:
            raise ConnectionResetError("the sender is too slow")
        self._sock.settimeout(allowed)
        began = time.monotonic()
        try:
            with self._room.seat(self):
                data = self._sock.recv(size)
        except TimeoutError as slow:
            raise ConnectionResetError("the sender is too slow") from slow
        finally:
            self.waited_s += time.monotonic() - began
            self._sock.settimeout(None)
        self.received += len(data)
        return data

    @property
    def pace(self) -> float:
        return self.received / max(self.waited_s, 0.001)

    def leave(self) -> None:
        """Wakes whoever waits for this sender; the connection is over."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class WaitingRoom:
    """The senders that threads wait for at this moment."""

    def __init__(self, seats: int) -> None:
        self.seats = max(seats, 1)
        self._lock = threading.Lock()
        self._waiting: dict[Paced, float] = {}

    def seat(self, sender: Paced) -> _Seat:
        return _Seat(self, sender)

    def enter(self, sender: Paced) -> None:
        now = time.monotonic()
        with self._lock:
            self._waiting[sender] = now
            if len(self._waiting) > self.seats:
                self._make_room(now)

    def make_room(self) -> None:
        """Looked at every second, too: who was too young to be judged grows older."""
        now = time.monotonic()
        with self._lock:
            if len(self._waiting) > self.seats:
                self._make_room(now)

    def exit(self, sender: Paced) -> None:
        with self._lock:
            self._waiting.pop(sender, None)

    def _make_room(self, now: float) -> None:
        def waited(one: Paced) -> float:
            return one.waited_s + now - self._waiting[one]

        old = [one for one in self._waiting if waited(one) > YOUNG_S]
        old.sort(key=lambda one: one.received / max(waited(one), 0.001))
        for slowest in old[:len(self._waiting) - self.seats]:
            slowest.leave()
            del self._waiting[slowest]


class _Seat:
    def __init__(self, room: WaitingRoom, sender: Paced) -> None:
        self._room, self._sender = room, sender

    def __enter__(self) -> None:
        self._room.enter(self._sender)

    def __exit__(self, *_: object) -> None:
        self._room.exit(self._sender)


class PatientWorker(ThreadWorker):
    """gunicorn's threads with a waiting room."""

    def init_process(self) -> None:
        self.room = WaitingRoom(int(self.cfg.threads * SEATS))
        super().init_process()

    def accept(self, listener: socket.socket) -> None:
        """A new connection waits in the poller, where waiting costs nothing."""
        try:
            client, address = listener.accept()
        except OSError:
            return
        self.nr_conns += 1
        conn = TConn(self.cfg, client, address, listener.getsockname())
        conn.timeout = time.monotonic() + GRACE_S
        self.pending_conns.append(conn)
        self.poller.register(client, selectors.EVENT_READ, functools.partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: TConn) -> Any:
        if not conn.initialized:
            conn.init()
            conn.parser.unreader.sock = Paced(conn.sock, self.room, limits().slowest_bytes_per_s)
        else:
            conn.parser.unreader.sock.begin()
        return super().handle(conn)

    def murder_pending(self) -> None:
        super().murder_pending()
        self.room.make_room()

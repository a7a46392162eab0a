"""The web server's worker: senders that send nothing, or almost nothing, do not keep others waiting.

A connection takes a thread only when its whole header is there. From then on it must bring its body at a pace and
never be silent for longer than the grace; time that the desk itself takes is not counted. When more senders are
waited for than there are seats, or others wait for a thread, the slowest leave. All of this is kept in memory for as
long as the connection lasts; no address is.
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
YOUNG_S = 1.0  # too new to be judged against others
QUICK = 100_000  # bytes a second; who brings as much is not sent away for those who wait
LONGEST_HEADER = 32_768
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
        self._sock.settimeout(min(allowed, GRACE_S))  # also who was quick before may not fall silent
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

    def make_room(self, queued: int = 0) -> None:
        """Looked at every second, too: who was too young to be judged grows older. `queued` wait for a thread."""
        now = time.monotonic()
        with self._lock:
            if queued or len(self._waiting) > self.seats:
                self._make_room(now, queued)

    def exit(self, sender: Paced) -> None:
        with self._lock:
            self._waiting.pop(sender, None)

    def _make_room(self, now: float, queued: int = 0) -> None:
        paces = {}
        for one, since in self._waiting.items():
            waited_s = one.waited_s + now - since
            if waited_s > YOUNG_S:
                paces[one] = one.received / waited_s
        slowest = sorted(paces, key=lambda one: paces[one])
        too_many = max(len(self._waiting) - self.seats, 0)
        leaving = slowest[:too_many] + [one for one in slowest[too_many:too_many + queued] if paces[one] < QUICK]
        for one in leaving:
            one.leave()
            del self._waiting[one]


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
        self.half: list[TConn] = []  # of these a part of the header is there
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

    def on_pending_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        if _has_header(client):
            super().on_pending_socket_readable(conn, client)
        else:
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self.half.append(conn)

    def murder_pending(self) -> None:
        """Every second, and after every event."""
        super().murder_pending()
        now = time.monotonic()
        for conn in self.half[:]:
            if _has_header(conn.sock):
                self.half.remove(conn)
                conn.data_ready = True
                self.enqueue_req(conn)
            elif now > conn.timeout:
                self.half.remove(conn)
                self.nr_conns -= 1
                conn.close()
        self.room.make_room(self.tpool._work_queue.qsize())


def _has_header(client: socket.socket) -> bool:
    """Is a whole header in the kernel's buffer, or an end, or more than a header may have?"""
    try:
        seen = client.recv(LONGEST_HEADER, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return not seen or b"\r\n\r\n" in seen or len(seen) >= LONGEST_HEADER

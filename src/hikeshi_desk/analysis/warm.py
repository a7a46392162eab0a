"""One look at words without waiting for a child to start: a locked child with knowledge loaded, kept while it is used.

Starting one costs half a second on a resting machine, two under load: imports, families, locks. The same child
looks at the words of several cases, one after the other (decision 0010 says why that is fair); it goes after a
quarter of an hour without a question, after some hundred questions, and when the knowledge in use changes.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import cast

from hikeshi.errors import HikeshiError
from hikeshi.evidence import sandbox
from hikeshi.identify import Examined, Input
from hikeshi.knowledge.installed import installed_id

Looked = Sequence[tuple[Examined, list[str]]]
LIMITS = sandbox.Limits(cpu_s=30, wall_s=60, memory_bytes=2 * 2**30)
IDLE_S = 900.0
PAUSE_S = 60.0
MOST = 200
_FUNCTION, _SET_UP = "hikeshi_desk.analysis.child:look", "hikeshi.identify.child:set_up"


class Warm:
    """A child, and the thread that it belongs to. `ask` from any thread; one question at a time."""

    def __init__(self, knowledge: str) -> None:
        self.knowledge = knowledge
        self.is_over = False
        self._asked: queue.Queue[tuple[list[Input], Future[Looked]] | None] = queue.Queue()
        self._open: dict[str, Future[Looked]] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True, name="warm-look")
        self._thread.start()

    def ask(self, inputs: list[Input]) -> Future[Looked]:
        answer: Future[Looked] = Future()
        with self._lock:
            if self.is_over:
                answer.set_exception(_Over())
            else:
                self._asked.put((inputs, answer))
        return answer

    def stop(self) -> None:
        self._asked.put(None)

    def _tasks(self) -> Iterator[sandbox.Task]:
        for number in itertools.count():
            # The first nothing brings the child up before anybody asks.
            inputs, answer = ([], Future()) if number == 0 else self._next()
            if inputs is None or number > MOST:
                if inputs is not None:
                    answer.set_exception(_Over())
                return
            self._open[str(number)] = answer
            yield sandbox.Task(str(number), inputs)

    def _next(self) -> tuple[list[Input] | None, Future[Looked]]:
        with contextlib.suppress(queue.Empty):
            asked = self._asked.get(timeout=IDLE_S)
            if asked is not None:
                return asked
        return None, Future()

    def _run(self) -> None:
        global _failed_at
        fault: BaseException = _Over()
        try:
            for outcome in sandbox.run(_FUNCTION, self._tasks(), setup=_SET_UP, setup_argument=(), workers=1,
                                       limits=LIMITS):
                answer = self._open.pop(outcome.key)
                if outcome.error is not None:
                    answer.set_exception(outcome.error)
                else:
                    answer.set_result(cast("Looked", outcome.value))
        except HikeshiError as error:
            fault, _failed_at = error, time.monotonic()
        finally:
            with self._lock:
                self.is_over = True
            for answer in self._open.values():
                answer.set_exception(fault)
            with contextlib.suppress(queue.Empty):
                while True:
                    left = self._asked.get_nowait()
                    if left is not None:
                        left[1].set_exception(_Over())


class _Over(Exception):
    """The child went before it took the question; nothing is lost, ask another."""


_kept: Warm | None = None
_keeping = threading.Lock()
_busy = threading.Lock()
_failed_at = float("-inf")


def start() -> None:
    """Have a child ready soon; returns at once. One that could not start is not tried with every page."""
    if time.monotonic() - _failed_at > PAUSE_S:
        _ready()


def look(inputs: list[Input]) -> Looked:
    """The answer of the child that is kept; of one of its own where that is busy or gone.

    Raises HikeshiError where no child can start, or where the look itself fails."""
    if _busy.acquire(blocking=False):
        try:
            return _ready().ask(inputs).result(timeout=LIMITS.wall_s + 60)
        except (_Over, NotYet):
            pass
        finally:
            _busy.release()
    return look_once(inputs)


def look_once(inputs: list[Input]) -> Looked:
    """The same by a child of its own, for jobs that nobody waits for. Raises HikeshiError."""
    (outcome,) = sandbox.run(_FUNCTION, [sandbox.Task("words", inputs)], setup=_SET_UP, setup_argument=(), workers=1,
                             limits=LIMITS)
    if outcome.error is not None:
        raise outcome.error
    return cast("Looked", outcome.value)


def _ready() -> Warm:
    """A child that knows what is known now."""
    global _kept
    with _keeping:
        now = installed_id()
        if _kept is not None and (_kept.is_over or _kept.knowledge != now):
            _kept.stop()
            _kept = None
        if _kept is None:
            _kept = Warm(now)
        return _kept


def stop() -> None:
    """Let the child go, if there is one."""
    global _kept
    with _keeping:
        if _kept is not None:
            _kept.stop()
            _kept._thread.join(5)
        _kept = None


atexit.register(stop)

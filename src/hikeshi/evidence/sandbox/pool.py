"""run(): many tasks over a few long-lived children; a dying child loses only the task it had.

Each child has a thread of the parent to itself, which starts it, hands it one task at a time
and waits for the answer; one more thread watches the clock. PR_SET_PDEATHSIG follows the
starting thread, so a child lives exactly as long as its thread; with `forked` children are
forked from one that is set up already, which lives as long as a thread of its own (nursery.py).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import hikeshi
from hikeshi.errors import ChildError, ChildKilled, ChildTimeout, HikeshiError
from hikeshi.evidence.sandbox import nursery, wire
from hikeshi.evidence.sandbox.child import Order, peak_bytes
from hikeshi.evidence.sandbox.locks import Protection

_BOOT = ("import sys; n = int(sys.argv[2]); sys.path[:0] = sys.argv[3:3 + n]; "
         "from hikeshi.evidence.sandbox.child import main; main(int(sys.argv[1]))")
_KEPT_ENVIRONMENT = ("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "WINDIR",
                     "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONTZPATH",
                     # Where the user's knowledge pack lies: a child answers from the same as its parent.
                     "HOME", "USERPROFILE", "XDG_DATA_HOME", "LOCALAPPDATA",
                     # And where machine code is kept.
                     "XDG_CACHE_HOME")
_SET_ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # mimalloc reserves what it may never use
    # Landlock binds only the thread that asks for it: libraries must not start others on import.
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MALLOC_ARENA_MAX": "2",
}
_START_LIMIT_S = 300.0
_CRASHES = {"SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Per task: CPU and wall-clock seconds, bytes of one written file; per child: memory."""

    cpu_s: float = 600
    wall_s: float = 1800
    memory_bytes: int = 2 * 2**30
    file_bytes: int = 20 * 2**30


@dataclass(frozen=True, slots=True)
class Task:
    """`argument` is picklable plain data; `key` comes back in the Outcome."""

    key: str
    argument: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one task: `value`, or `error` and value None.

    `protection` names the locks the child had; `peak_bytes` is the most memory that child
    ever had, `cpu_s` what this task used (for a child that died: as the system counted it).
    """

    key: str
    value: Any
    error: HikeshiError | None
    protection: str
    cpu_s: float
    peak_bytes: int


def usable_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(function: str, tasks: Iterable[Task], *, setup: str | None = None, setup_argument: Any = None,
        workers: int | None = None, limits: Limits = Limits(), readable: Sequence[Path] = (),
        writable: Sequence[Path] = (), on_done: Callable[[Outcome], None] | None = None, forked: bool = False
        ) -> Iterator[Outcome]:
    """Outcomes as they finish, one for each task, in no particular order.

    `function` and `setup` are "module:name". Each child calls `context = setup(setup_argument)`
    while still free, locks itself down, then calls `function(context, task.argument)` for
    many tasks. With `forked`, where the system can and there are several children, `setup` is called once and the
    children are forked from what it left: it must open no file, connection or thread that a child goes on using.
    `tasks` may be a generator; it is read from other threads, one item at a time,
    as children become free. Closing the iterator, or an exception, ends all children.

    An error in a task is in its Outcome: a HikeshiError as it was raised, any other exception
    as ChildError with the traceback in `hint`; ChildKilled or ChildTimeout if the child died.
    No task is tried twice. Raises the error of `setup`, or ChildError, if no child can start.
    """
    pool = _Pool(_order(function, setup, setup_argument, limits, readable, writable), iter(tasks), limits,
                 workers or usable_cores(), forked=forked)
    try:
        for outcome in pool.outcomes():
            if on_done is not None:
                on_done(outcome)
            yield outcome
    finally:
        pool.stop()


def _order(function: str, setup: str | None, setup_argument: Any, limits: Limits, readable: Sequence[Path],
           writable: Sequence[Path]) -> bytes:
    order = Order(function, setup, setup_argument, limits.cpu_s, limits.memory_bytes, limits.file_bytes,
                  tuple(Path(p).resolve() for p in readable), tuple(Path(p).resolve() for p in writable))
    return pickle.dumps(order, protocol=5)


class _Stopped(Exception):
    """The run was closed while a thread waited."""


class _Pool:
    def __init__(self, order: bytes, tasks: Iterator[Task], limits: Limits, workers: int, *, forked: bool) -> None:
        self._order, self._tasks, self._limits = order, tasks, limits
        self._drawing = threading.Lock()
        self._stopping = threading.Event()
        self._results: queue.Queue[Outcome | BaseException | None] = queue.Queue(maxsize=4 * workers)
        self._children: set[_Child] = set()
        self._children_lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(max(1, workers))]
        self._clock = threading.Thread(target=self._watch, daemon=True)
        self._nursery: nursery.Nursery | None = None
        self._nursed = threading.Event()        # whether there is one is known
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        if not forked or workers < 2 or not nursery.OFFERED:
            self._nursed.set()

    # ------------------------------------------------------------- the caller's thread

    def outcomes(self) -> Iterator[Outcome]:
        if not self._nursed.is_set():
            self._keeper.start()
        for thread in (*self._threads, self._clock):
            thread.start()
        running = len(self._threads)
        while running:
            try:
                result = self._results.get(timeout=0.5)  # with a timeout Ctrl-C also works on Windows
            except queue.Empty:
                if any(thread.is_alive() for thread in self._threads) or not self._results.empty():
                    continue
                raise ChildError("the sandbox's own threads ended without an answer",
                                 hint="this is a fault in Hikeshi; please report it") from None
            if result is None:
                running -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result

    def stop(self) -> None:
        self._stopping.set()
        with self._children_lock:
            children = list(self._children)
        for child in children:
            child.kill()
        for thread in (*self._threads, self._keeper):
            if thread.ident is not None:
                thread.join()

    # ------------------------------------------------------------- a child's thread

    def _work(self) -> None:
        child: _Child | None = None
        try:
            while (task := self._draw()) is not None:
                child, outcome = self._do(child, task)
                self._put(outcome)
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread and raised there
            with contextlib.suppress(_Stopped):
                self._put(error)
        finally:
            if child is not None:
                self._end(child)
            with contextlib.suppress(_Stopped):
                self._put(None)

    def _draw(self) -> Task | None:
        with self._drawing:
            if self._stopping.is_set():
                raise _Stopped
            return next(self._tasks, None)

    def _put(self, item: Outcome | BaseException | None) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Full):
                self._results.put(item, timeout=0.2)
                return
        raise _Stopped

    def _do(self, child: _Child | None, task: Task) -> tuple[_Child | None, Outcome]:
        """One task, in the given child or a fresh one; the child to go on with, and the outcome."""
        argument = pickle.dumps(task.argument, protocol=5)
        while True:
            child = child or self._start()
            outcome = child.do(task.key, argument)
            if outcome is None:  # it had died before it took the task: nothing is lost
                self._end(child)
                child = None
                continue
            if not child.usable:
                self._end(child)
                child = None
            return child, outcome

    def _start(self) -> _Child:
        """A child that is ready; the second try is for a machine short of something for a moment."""
        while not self._nursed.wait(0.5):
            if self._stopping.is_set():
                raise _Stopped
        for attempt in (1, 2):
            child = self._new_child()
            with self._children_lock:
                self._children.add(child)
            if self._stopping.is_set():
                self._end(child)
                raise _Stopped
            error = child.wait_ready()
            if error is None:
                return child
            self._end(child)
            if self._stopping.is_set():
                raise _Stopped
            if attempt == 2 or type(error) is not ChildKilled:
                raise error
        raise AssertionError("unreachable")

    def _new_child(self) -> _Child:
        if self._nursery is not None:
            # The nursery may be gone (killed for memory): then as without one.
            with contextlib.suppress(OSError):
                return _Child(self._nursery.fork(), self._limits)
        child = _Child(_spawn(), self._limits)
        child.give(self._order)
        return child

    def _end(self, child: _Child) -> None:
        with self._children_lock:
            self._children.discard(child)
        child.end()

    # ------------------------------------------------------------- the nursery's thread

    def _keep(self) -> None:
        """The nursery lives as long as this thread, and this as long as any child's."""
        try:
            made = nursery.Nursery(_spawn, self._order)
            said = _Tail(made.stderr)
            if made.wait_ready():
                self._nursery = made
            self._nursed.set()
            if self._nursery is not None:
                for thread in self._threads:
                    thread.join()
            made.end()
            said.close()
        except (OSError, HikeshiError):
            pass                    # children are started one by one, and say what is wrong
        finally:
            self._nursed.set()

    # ------------------------------------------------------------- the clock's thread

    def _watch(self) -> None:
        while not self._stopping.wait(0.1):
            if not any(thread.is_alive() for thread in self._threads):
                return
            now = time.monotonic()
            with self._children_lock:
                late = [c for c in self._children if c.deadline is not None and c.deadline < now]
            for child in late:
                child.late = True
                child.kill()


class _Child:
    """One child process as its thread sees it."""

    def __init__(self, process: subprocess.Popen[bytes] | nursery.Forked, limits: Limits) -> None:
        self._limits = limits
        self.deadline: float | None = time.monotonic() + _START_LIMIT_S
        self.late = False
        self.usable = True
        self._protection = ""
        self._cpu_s = 0.0
        self._peak_bytes = 0
        self._usage: Any = None
        self._parents_peak = peak_bytes()
        self._process = process
        assert process.stdin and process.stdout and process.stderr
        self._in, self._out = process.stdin, process.stdout
        self._said = _Tail(process.stderr)

    def give(self, order: bytes) -> None:
        """What to set up, for a child that has not been."""
        with contextlib.suppress(OSError):  # a child dead on arrival is found by wait_ready
            wire.write_frame(self._in, order)

    def wait_ready(self) -> HikeshiError | None:
        try:
            message = self._receive()
        except wire.Refused as error:
            return error
        self.deadline = None
        match message:
            case ("ready", Protection() as locks):
                self._protection = str(locks)
                return None
            case ("failed", HikeshiError() as reason):
                return reason
            case None:
                death = self._post_mortem()
                return type(death)(f"no parsing child could start: {death.what}", hint=death.hint)
        return wire.Refused("the parsing child did not say hello")

    def do(self, key: str, argument: bytes) -> Outcome | None:
        """The outcome of one task; None if the child was dead before it took it."""
        self.late = False
        self.deadline = time.monotonic() + self._limits.wall_s
        try:
            with contextlib.suppress(OSError):
                wire.write_frame(self._in, argument)
            if self._receive() != ("taken",):
                if self.late:
                    return self._lost(key, self._post_mortem())
                return None
            return self._outcome(key, self._receive())
        except wire.Refused as error:
            self.kill()
            return self._lost(key, error)
        finally:
            self.deadline = None

    def _receive(self) -> Any:
        frame = wire.read_frame(self._out, wire.FRAME_LIMIT)
        return None if frame is None else wire.load(frame)

    def _outcome(self, key: str, message: Any) -> Outcome:
        match message:
            case ("done", value, error, float(cpu_s), int(peak), bool(recycle)) if (
                    (value is None or isinstance(value, bytes)) and (error is None or isinstance(error, HikeshiError))):
                self._cpu_s, self._peak_bytes, self.usable = self._cpu_s + cpu_s, peak, not recycle
                loaded = None if value is None else wire.load(value)
                return Outcome(key, loaded, error, self._protection, cpu_s, peak)
            case None:
                return self._lost(key, self._post_mortem())
        raise wire.Refused("the parsing child sent an answer of the wrong shape",
                           hint="treat the file as hostile; it is listed as not read")

    def _lost(self, key: str, error: HikeshiError) -> Outcome:
        self.usable = False
        self._reap()
        cpu_s, peak = 0.0, self._peak_bytes
        if self._usage is not None:
            cpu_s = max(0.0, self._usage.ru_utime + self._usage.ru_stime - self._cpu_s)
            most = self._usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            # On Linux the figure starts with our own size at the fork; below that it says nothing.
            peak = max(peak, most) if most > self._parents_peak else peak
        return Outcome(key, None, error, self._protection, round(cpu_s, 3), peak)

    def _post_mortem(self) -> HikeshiError:
        """Which limit it hit, or how it died, in one sentence."""
        self._reap()
        code, limits = self._process.returncode or 0, self._limits
        if self.late:
            return ChildTimeout(f"the parsing child ran longer than {limits.wall_s:g} seconds and was ended",
                                hint="give it more time, or split the file")
        name = signal.Signals(-code).name if code < 0 and -code in list(signal.Signals) else str(code)
        said = self._said.text()
        if name == "SIGXCPU":
            return ChildKilled(f"the parsing child used more than {limits.cpu_s:g} seconds of CPU time and was ended",
                               hint="give it more CPU time, or look at the file by hand")
        if "memory allocation" in said or "bad_alloc" in said:
            return ChildKilled(f"the parsing child needed more memory than the {limits.memory_bytes >> 20:,} MiB "
                               "allowed and ended", hint="give it more memory, or split the file")
        if name == "SIGKILL":
            return ChildKilled("the parsing child was killed from outside, probably because the machine's memory "
                               "ran out", hint="use fewer workers (--workers 1), or a machine with more memory")
        if name in _CRASHES:
            return ChildKilled(f"the parsing child crashed ({name}){': ' + said if said else ''}",
                               hint="treat the file as hostile; look at it with another tool")
        return ChildKilled(f"the parsing child ended by itself (exit code {code}){': ' + said if said else ''}",
                           hint="treat the file as hostile; look at it with another tool")

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            if sys.platform == "win32" or self._process.returncode is not None:
                self._process.kill()
            else:  # its own process group, should the machine have let it start something
                if isinstance(self._process, nursery.Forked):
                    self._process.kill()    # it may not have its own group yet
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Ends it if need be, and leaves nothing behind."""
        with contextlib.suppress(OSError):
            self._in.close()
        if self._process.returncode is None:
            self.kill()
        self._reap()
        with contextlib.suppress(OSError):
            self._out.close()
        self._said.close()

    def _reap(self) -> None:
        if self._process.returncode is not None:
            return
        if isinstance(self._process, nursery.Forked):
            self._usage = self._process.reap()
            return
        if not hasattr(os, "wait4"):
            self._process.wait()
            return
        try:  # like Popen.wait, but with the figures
            _, status, self._usage = os.wait4(self._process.pid, 0)
            self._process.returncode = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            self._process.returncode = 0
        except ImportError:  # a Python built without the resource module
            self._process.wait()


class _Tail:
    """The last words on standard error, in plain characters; read all the time so that it never blocks."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._last = b""
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(self._stream.fileno(), 65536):
                self._last = (self._last + data)[-2000:]

    def text(self) -> str:
        self._thread.join(timeout=1)
        lines = [line for line in self._last.decode("utf-8", "replace").splitlines() if line.strip()]
        return "".join(c if c.isprintable() else "?" for c in (lines[-1] if lines else ""))[:300]

    def close(self) -> None:
        self._thread.join(timeout=1)
        self._stream.close()


def _spawn(nursery_on: int | None = None) -> subprocess.Popen[bytes]:
    """A child, or with the number of its socket a nursery."""
    root = str(Path(hikeshi.__file__).resolve().parents[1])
    paths = [root, *(os.path.abspath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p)]  # noqa: PTH100
    # -I: no code from the current folder (it may be the evidence's), no user site, no PYTHON* variables.
    flags = ["-I", "-X", "utf8", *(["-B"] if sys.dont_write_bytecode else [])]
    environment = {k: v for k, v in os.environ.items() if k in _KEPT_ENVIRONMENT or k.startswith(("LC_", "HIKESHI_"))}
    extra: dict[str, Any] = {"start_new_session": True}
    command = ["-c", _BOOT, str(os.getpid()), str(len(paths)), *paths]
    if nursery_on is not None:
        command, extra["pass_fds"] = nursery.command(paths, nursery_on), (nursery_on,)
    if sys.platform == "win32":
        extra = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    try:
        return subprocess.Popen(
            [sys.executable, *flags, *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment | _SET_ENVIRONMENT, **extra)
    except OSError as error:
        raise ChildError(f"no parsing child could be started: {error.strerror}",
                         hint="close other programs or use fewer workers") from error

"""The child's side: set up while still free, lock down, then serve tasks until the pipe ends.

Started by pool.py. Tasks come in on what was standard input, answers go out on what was
standard output; both are moved away first, so that a library which prints can't spoil them.
Frames out: ("ready", protection), then per task ("taken",) and
("done", value, error, cpu_s, peak_bytes, recycle); or once ("failed", error).
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hikeshi.errors import ChildError, ChildKilled, HikeshiError
from hikeshi.evidence.sandbox import wire
from hikeshi.evidence.sandbox.locks import end_with_parent, limit_cpu, lock_down

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Order:
    """What the parent sends first."""

    function: str
    setup: str | None
    setup_argument: Any
    cpu_s: float
    memory_bytes: int
    file_bytes: int
    readable: tuple[Path, ...]
    writable: tuple[Path, ...]


def main(parent: int) -> None:
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business: it ends us
    tasks, answers = take_pipes()
    first = wire.read_frame(tasks)
    if first is None:
        return
    order: Order = pickle.loads(first)  # noqa: S301  from our parent, over our own pipe
    try:
        function, context = prepare(order)
    except BaseException as error:  # noqa: BLE001  the parent must hear why no child starts
        wire.write_frame(answers, wire.dump(("failed", _as_error(error, order))))
        return
    attend(tasks, answers, order, function, context)


def attend(tasks: IO[bytes], answers: IO[bytes], order: Order, function: Callable[[Any, Any], Any],
           context: Any) -> None:
    """Lock this process, say hello, and serve until the pipe ends."""
    try:
        locks = lock_down(memory_bytes=order.memory_bytes, file_bytes=order.file_bytes,
                          readable=order.readable, writable=order.writable)
    except BaseException as error:  # noqa: BLE001  the parent must hear why no child starts
        wire.write_frame(answers, wire.dump(("failed", _as_error(error, order))))
        return
    wire.write_frame(answers, wire.dump(("ready", locks)))
    _serve(tasks, answers, order, function, context)


def take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """What was standard input and output; a library that prints now does so on standard error."""
    tasks, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  for good
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
    return tasks, answers


def prepare(order: Order) -> tuple[Callable[[Any, Any], Any], Any]:
    """The function and what `setup` gives, while still free. Machine code of what was imported is loaded too: after
    the lock its cache can't be read."""
    gc.disable()  # what is imported stays: the collector would only walk through it, again and again
    try:
        function = _find(order.function)
        setup = _find(order.setup) if order.setup else None
        machine = sys.modules.get("hikeshi.machine")
        if machine is not None:
            machine.load_ahead()
        return function, setup(order.setup_argument) if setup else None
    finally:
        gc.enable()


def _find(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def _serve(tasks: IO[bytes], answers: IO[bytes], order: Order, function: Callable[[Any, Any], Any],
           context: Any) -> None:
    while (frame := wire.read_frame(tasks)) is not None:
        wire.write_frame(answers, wire.dump(("taken",)))
        limit_cpu(order.cpu_s)
        began = time.process_time()
        value, error, broken = _call(order, function, context, frame)
        spent = time.process_time() - began
        recycle = broken or _resident_bytes() > order.memory_bytes // 2
        answer, error = _pack(value, error, order)
        wire.write_frame(answers, wire.dump(("done", answer, error, spent, peak_bytes(), recycle)))
        if recycle:
            return


def _call(order: Order, function: Callable[[Any, Any], Any], context: Any,
          frame: bytes) -> tuple[Any, HikeshiError | None, bool]:
    """Value, error, and whether this process had better not go on."""
    try:
        argument = pickle.loads(frame)  # noqa: S301  from our parent, over our own pipe
        return function(context, argument), None, False
    except HikeshiError as error:
        return None, error, False
    except BaseException as error:  # noqa: BLE001  the edge of the stage: reported with its traceback
        return None, _as_error(error, order), isinstance(error, MemoryError)


def _pack(value: Any, error: HikeshiError | None, order: Order) -> tuple[Any, HikeshiError | None]:
    """The value as bytes the parent reads separately, or the reason why it can't be sent."""
    if error is not None:
        return None, error
    try:
        packed = wire.dump(value)
    except BaseException as problem:  # noqa: BLE001  a result that can't be sent is our bug: say so
        return None, _as_error(problem, order)
    if len(packed) > wire.FRAME_LIMIT - 4096:
        return None, ChildKilled(f"the answer for this file is larger than {wire.FRAME_LIMIT:,} bytes",
                                 hint="split the file and run again")
    return packed, None


def _as_error(error: BaseException, order: Order) -> HikeshiError:
    if isinstance(error, HikeshiError):
        return error
    if isinstance(error, MemoryError):
        return ChildKilled(f"reading this file needs more memory than the {_mebibytes(order.memory_bytes)} allowed",
                           hint="give it more memory, or split the file")
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return ChildKilled(f"reading this file would write a file larger than "
                           f"{_mebibytes(order.file_bytes)}", hint="give it a higher limit, or look at it by hand")
    if isinstance(error, PermissionError):
        return ChildError(_clean(f"the parsing child tried what it may not: {type(error).__name__}: {error}")[:500],
                          hint="treat the file as hostile, or name the folder it needs\n" + _traceback(error))
    return ChildError(_clean(f"{type(error).__name__}: {error}")[:500],
                      hint="this is a fault in Hikeshi; please report it with the following lines\n"
                           + _traceback(error))


def _traceback(error: BaseException) -> str:
    return _clean("".join(traceback.format_exception(error)), keep="\n")[-8000:]


def _clean(text: str, keep: str = "") -> str:
    return "".join(c if c.isprintable() or c in keep else "?" for c in text)


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


def peak_bytes() -> int:
    """The most memory this process has had so far; 0 where the system doesn't say."""
    try:
        # Not ru_maxrss: on Linux it starts with the size of the process that started this one.
        with open("/proc/self/status", "rb") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(b"VmHWM:"))
    except (OSError, StopIteration):
        pass
    if resource is None:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb") as numbers:
            return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak_bytes()

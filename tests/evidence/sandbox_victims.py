"""Functions that misbehave inside a sandbox child; imported there by name."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hikeshi.errors import DamagedInput, Location
from hikeshi.model.evidence import RecordRef


def load(argument: Any) -> Any:
    return {"loaded": argument, "pid": os.getpid()}


def load_with_thread(argument: Any) -> Any:
    start_thread(argument)
    return load(argument)


def with_setup(context: Any, argument: tuple[str, Any]) -> tuple[int, int]:
    """Where `load` ran, and where this runs."""
    if argument[0] == "die_first":
        os._exit(3)
    time.sleep(0.01)        # so that more than one child gets some
    return context["pid"], os.getpid()


def _open_files(_: Any) -> list[str]:
    """What each open file number stands for."""
    out = []
    for number in range(64):
        try:
            status = os.fstat(number)
        except OSError:
            continue
        kind = "pipe" if stat.S_ISFIFO(status.st_mode) else "socket" if stat.S_ISSOCK(status.st_mode) else "file"
        out.append(f"{kind} {status.st_ino}")
    return out


def load_badly(argument: Any) -> Any:
    raise DamagedInput("the rules are broken")


def echo(context: Any, argument: Any) -> Any:
    return context, argument


def pid(context: Any, argument: Any) -> int:
    return os.getpid()


def act(context: Any, argument: tuple[str, Any]) -> Any:
    """Do what the argument names."""
    return ACTIONS[argument[0]](argument[1])


def _segfault(_: Any) -> Any:
    return ctypes.string_at(0)


def _allocate(size: int) -> int:
    return len(b"x" * size)


def _allocate_shared(size: int) -> int:
    import mmap

    return len(mmap.mmap(-1, size))


def _spin(_: Any) -> None:
    while True:
        pass


def _sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def _exit(code: int) -> None:
    os._exit(code)


def _raise(_: Any) -> None:
    raise KeyError("our own bug")


def _damaged(_: Any) -> None:
    raise DamagedInput("chunk is broken", source=Location("a.evtx", record=7), hint="try another copy")


def _write(path: str) -> str:
    Path(path).write_text("was here")
    return path


def _append_to(path: str, size: int = 3 * 2**20) -> int:
    with open(path, "wb") as out:
        for _ in range(size // 2**16):
            out.write(b"x" * 2**16)
    return size


def _lambda(_: Any) -> Any:
    return lambda: 1


def _deep(_: Any) -> Any:
    def down(n: int) -> int:
        return down(n + 1)

    return down(0)


def _speak(frame: bytes) -> None:
    """Write bytes of our own straight into the pipe to the parent, as a taken-over child would."""
    for link in Path("/proc/self/fd").iterdir():
        try:
            if int(link.name) > 2 and str(link.readlink()).startswith("pipe:"):
                os.write(int(link.name), frame)
        except OSError:
            continue
    time.sleep(30)


ACTIONS: dict[str, Any] = {
    "segfault": _segfault, "allocate": _allocate, "allocate_shared": _allocate_shared, "spin": _spin,
    "sleep": _sleep, "exit": _exit, "raise": _raise, "damaged": _damaged, "write": _write, "fill": _append_to,
    "speak": _speak, "lambda": _lambda, "deep": _deep,
    "echo": lambda x: x,
    "kill_self": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "kill_parent": lambda _: os.kill(os.getppid(), signal.SIGTERM),
    "signal_parent_0": lambda _: os.kill(os.getppid(), 0),
    "fork": lambda _: os.fork(),
    "exec": lambda _: os.execv("/bin/true", ["true"]),
    "run": lambda _: subprocess.run(["/bin/true"], check=True),
    "socket": lambda _: socket.socket(),
    "unix_socket": lambda _: socket.socket(socket.AF_UNIX),
    "connect": lambda port: socket.create_connection(("127.0.0.1", port), 1),
    "symlink": lambda pair: Path(pair[1]).symlink_to(pair[0]),
    "chmod": lambda path: Path(path).chmod(0o777),
    "read": lambda path: Path(path).read_bytes(),
    "list": lambda path: sorted(str(p) for p in Path(path).iterdir()),
    "print": lambda text: print(text, flush=True),
    "shout": lambda text: (sys.stderr.write(text), sys.stderr.flush(), os._exit(9)),
    "environment": lambda name: os.environ.get(name),
    "record": lambda _: RecordRef("a.evtx", "0" * 64, record_id=1),
    "thread": lambda _: _in_thread(),
    "stop_forever": lambda _: signal.pause(),
    "pid": lambda _: os.getpid(),
    "open_files": _open_files,
}


def _in_thread() -> int:
    import threading

    out: list[int] = []
    thread = threading.Thread(target=lambda: out.append(1))
    thread.start()
    thread.join()
    return len(out)


KEPT: list[bytes] = []


def hoard(context: Any, size: int) -> int:
    """Keep memory from one task to the next."""
    KEPT.append(b"x" * size)
    return os.getpid()


def read_before_lock(path: str) -> bytes:
    return Path(path).read_bytes()


def import_libraries(names: list[str]) -> None:
    for name in names:
        __import__(name)


def start_thread(_: Any) -> None:
    import threading

    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()

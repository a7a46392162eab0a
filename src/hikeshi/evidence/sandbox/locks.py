"""The locks a parsing child puts on itself, and what this machine has of them.

rlimits    memory, CPU time, size of written files, open files, no core dumps (POSIX)
seccomp    no network, no programs, no new processes, no tracing, no mounts, no changing of
           modes or owners: refused with EPERM (Linux, x86_64 and aarch64)
landlock   reading only the named folders and the Python installation, writing only the named
           ones, no TCP (Linux with Landlock, ABI 1 and newer)

Each lock that the machine lacks is left out, and `Protection` says so. Windows has none of
them: there a child is only a separate process whose death costs nothing but its task.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hikeshi.model.text import Text

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_ACTION_AVAIL, _SECCOMP_TSYNC = 1, 2, 1
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_SIGKILL = 9


@dataclass(frozen=True, slots=True)
class Protection:
    """The locks on one child, or (from `protection()`) those this machine can give."""

    rlimits: bool = False
    seccomp: bool = False
    landlock: int = 0
    other_threads: int = 0  # started by `setup` before the lock: Landlock does not bind these

    def __str__(self) -> str:
        parts = ["process"]
        if self.rlimits:
            parts.append("rlimits")
        if self.seccomp:
            parts.append("seccomp")
        if self.landlock:
            threads = f" ({self.other_threads} threads without)" if self.other_threads else ""
            parts.append(f"landlock {self.landlock}{threads}")
        return ", ".join(parts)

    def describe(self) -> Text:
        """One short paragraph for people: what a parsing child can't do here."""
        ja, en = ["解析は別のプロセスで行います。"], ["Files are parsed in separate processes."]
        if self.rlimits:
            ja.append("メモリーと CPU 時間に上限があります。")
            en.append("Memory and CPU time are limited.")
        if self.seccomp:
            ja.append("通信と、ほかのプログラムの起動はできません。")
            en.append("They can't use the network or start programs.")
        if self.landlock:
            ja.append(f"決めたフォルダーのほかは読み書きできません(Landlock {self.landlock})。")
            en.append(f"They can't read or write outside the named folders (Landlock {self.landlock}).")
        missing_ja = [n for n, has in (("上限", self.rlimits), ("通信の禁止", self.seccomp),
                                       ("フォルダーの制限", self.landlock)) if not has]
        missing_en = [n for n, has in (("limits", self.rlimits), ("a ban on network use", self.seccomp),
                                       ("folder limits", self.landlock)) if not has]
        if missing_ja:
            ja.append(f"この機械では次の保護が使えません: {'、'.join(missing_ja)}。")
            en.append(f"This machine does not offer: {', '.join(missing_en)}.")
        return Text("".join(ja), " ".join(en))


@lru_cache(maxsize=1)
def protection() -> Protection:
    """What this machine gives; asks the kernel, changes nothing."""
    return Protection(rlimits=resource is not None, seccomp=_seccomp_offered(), landlock=_landlock_abi())


def lock_down(*, memory_bytes: int, file_bytes: int, readable: Sequence[Path],
              writable: Sequence[Path]) -> Protection:
    """Lock this process, for good; returns the locks that hold."""
    limited = _limit(memory_bytes, file_bytes)
    _drop_capabilities()
    others = thread_count() - 1
    landlock = _restrict_folders([*readable, *python_folders()], writable)
    return Protection(limited, _filter_syscalls(), landlock, others if landlock else 0)


def end_with_parent(parent: int) -> None:
    """The kernel ends this process when its parent ends (Linux); elsewhere the pipe's end does."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)


# --------------------------------------------------------------------------------- limits


def _limit(memory_bytes: int, file_bytes: int) -> bool:
    if resource is None:
        return False
    # On Linux RLIMIT_DATA counts what is really writable and private; RLIMIT_AS would also count
    # the address space that allocators and mapped files merely reserve.
    memory = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    wanted = [(memory, memory_bytes), (resource.RLIMIT_FSIZE, file_bytes), (resource.RLIMIT_NOFILE, 256),
              (resource.RLIMIT_CORE, 0)]
    held = True
    for which, value in wanted:
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(which, (value, value))
        except (ValueError, OSError):  # macOS refuses some values
            held = False
    return held


def limit_cpu(seconds: float) -> None:
    """End this process (SIGXCPU) once it has used `seconds` more of CPU time than now."""
    if resource is None:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


# --------------------------------------------------------------------------------- capabilities


def _drop_capabilities() -> None:
    """Root keeps only the right to read any file (evidence is often mode 0600 of someone else)."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    keep = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    header = struct.pack("Ii", 0x20080522, 0)
    _libc().capset(header, struct.pack("6I", keep, keep, 0, 0, 0, 0))


# --------------------------------------------------------------------------------- landlock

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << n for n in range(6))
_MAKE_DIR, _MAKE_REG, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 7, 1 << 8, 1 << 13, 1 << 14, 1 << 15
_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


def _landlock_abi() -> int:
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def _restrict_folders(readable: Iterable[Path], writable: Iterable[Path]) -> int:
    abi = _landlock_abi()
    if not abi:
        return 0
    libc = _libc()
    handled = (1 << 13) - 1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        handled |= right if abi >= since else 0
    attributes = struct.pack("Q", handled)
    if abi >= 4:
        attributes += struct.pack("Q", 3)  # no TCP bind, no TCP connect
    if abi >= 6:
        attributes += struct.pack("Q", 3)  # no abstract sockets, no signals to outside
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        return 0
    try:
        held = all([_allow(ruleset, path, _READ & handled) for path in readable]
                   + [_allow(ruleset, path, _WRITE & handled) for path in writable])
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        held = libc.syscall(_LANDLOCK_RESTRICT, ruleset, ctypes.c_uint32(0)) == 0 and held
    finally:
        os.close(ruleset)
    return abi if held else 0


def _allow(ruleset: int, path: Path, rights: int) -> bool:
    try:
        folder = path.is_dir()
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what isn't there can't be read either
        return True
    try:
        rule = struct.pack("=Qi", rights if folder else rights & _FILE_RIGHTS, fd)
        return int(_libc().syscall(_LANDLOCK_ADD, ruleset, 1, rule, ctypes.c_uint32(0))) == 0
    finally:
        os.close(fd)


def python_folders() -> list[Path]:
    """What Python itself must be able to read: modules, libraries, time zones, its own numbers."""
    system = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/usr/share/zoneinfo",
              "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom",
              "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")
    own = {sys.prefix, sys.base_prefix, sys.exec_prefix, *(p for p in sys.path if p)}
    return [Path(p) for p in (*sorted(own), *system)]


def thread_count() -> int:
    """Threads of this process, those of C libraries too."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208  must see threads of C libraries, cheaply
    except OSError:
        return threading.active_count()


# --------------------------------------------------------------------------------- seccomp

_DENIED_X86_64 = (
    # network
    41, 42, 43, 44, 45, 46, 47, 49, 50, 53, 288, 299, 307,
    # processes, programs, tracing, signals to others
    57, 58, 59, 322, 101, 310, 311, 312, 200, 129, 297, 424, 434, 438, 440, 448, 135,
    # mounts, namespaces, kernel, devices, keys
    155, 161, 163, 165, 166, 167, 168, 169, 170, 171, 172, 173, 175, 176, 179, 103, 153, 154, 164, 227, 159, 305,
    246, 320, 313, 248, 249, 250, 272, 308, 298, 321, 323, 300, 303, 304, 256, 279, 428, 429, 430, 431, 432, 433,
    442, 443, 425, 426, 427,
    # memory that limits do not count, shared with others
    29, 30, 64, 68, 319, 447,
    # links, device files, modes, owners, times, attributes: Landlock does not guard these
    86, 265, 88, 266, 133, 259, 90, 91, 92, 93, 94, 260, 268, 452, 132, 235, 261, 280,
    188, 189, 190, 197, 198, 199, 463, 466,
)
_DENIED_AARCH64 = (
    198, 199, 200, 201, 202, 203, 206, 207, 211, 212, 242, 243, 269,
    221, 281, 117, 270, 271, 272, 130, 138, 240, 424, 434, 438, 440, 448, 92,
    41, 51, 89, 40, 39, 224, 225, 142, 161, 162, 105, 106, 60, 116, 58, 170, 112, 171, 266,
    104, 294, 273, 217, 218, 219, 97, 268, 241, 280, 282, 262, 264, 265, 238, 239, 428, 429, 430, 431, 432, 433,
    442, 443, 425, 426, 427,
    194, 196, 190, 186, 279, 447,
    36, 37, 33, 52, 53, 54, 55, 452, 88, 5, 6, 7, 14, 15, 16, 463, 466,
)


@dataclass(frozen=True, slots=True)
class _Machine:
    """System call numbers the filter needs by name."""

    audit: int
    denied: tuple[int, ...]
    clone: int
    kill: int
    tgkill: int
    prlimit: int
    mmap: int
    x32: bool = False


_MACHINES = {
    "x86_64": _Machine(0xC000003E, _DENIED_X86_64, 56, 62, 234, 302, 9, x32=True),
    "aarch64": _Machine(0xC00000B7, _DENIED_AARCH64, 220, 129, 131, 261, 222),
}
_CLONE3 = 435
_CLONE_THREAD = 0x10000
_SHARED_ANONYMOUS = 0x21
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS = 0x00050001, 0x00050026


def _machine() -> _Machine | None:
    if sys.platform != "linux" or struct.calcsize("P") != 8:
        return None
    return _MACHINES.get(platform.machine())


def _syscall_seccomp() -> int:
    return {"x86_64": 317, "aarch64": 277}[platform.machine()]


def _seccomp_offered() -> bool:
    if _machine() is None:
        return False
    action = ctypes.c_uint32(_EPERM & 0xFFFF0000)
    return bool(_libc().syscall(_syscall_seccomp(), _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0)


def _program(machine: _Machine, pid: int) -> list[tuple[int, int, int, int]]:
    """The filter as (code, jump if true, jump if false, value)."""
    number, argument0, flags_of_mmap = 0, 16, 16 + 3 * 8
    out = [(_LOAD, 0, 0, 4), (_JUMP_EQUAL, 1, 0, machine.audit), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, number)]
    if machine.x32:
        out += [(_JUMP_GREATER_EQUAL, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]
    for denied in machine.denied:
        out += [(_JUMP_EQUAL, 0, 1, denied), (_RETURN, 0, 0, _EPERM)]
    # clone3 hides its flags in memory: "not there" makes the C library fall back to clone.
    out += [(_JUMP_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ENOSYS)]
    out += [(_JUMP_EQUAL, 0, 4, machine.clone), (_LOAD, 0, 0, argument0), (_JUMP_ANY_BIT, 1, 0, _CLONE_THREAD),
            (_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW)]
    for call, own in ((machine.kill, pid), (machine.tgkill, pid), (machine.prlimit, 0)):
        out += [(_JUMP_EQUAL, 0, 4, call), (_LOAD, 0, 0, argument0), (_JUMP_EQUAL, 1, 0, own),
                (_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW)]
    out += [(_JUMP_EQUAL, 0, 5, machine.mmap), (_LOAD, 0, 0, flags_of_mmap), (_AND, 0, 0, _SHARED_ANONYMOUS),
            (_JUMP_EQUAL, 0, 1, _SHARED_ANONYMOUS), (_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _ALLOW)]
    return out


def _filter_syscalls() -> bool:
    machine = _machine()
    if machine is None:
        return False
    libc = _libc()
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    steps = _program(machine, os.getpid())
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
    return bool(libc.syscall(_syscall_seccomp(), _SECCOMP_SET_MODE_FILTER, _SECCOMP_TSYNC, program) == 0)


@lru_cache(maxsize=1)
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)

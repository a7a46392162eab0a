"""Python modules as machine code: made once by numba, kept in the user's cache, loaded by llvmlite alone.

Making it takes some seconds, loading it a tenth of one; numba itself is not imported for that. Where
numba or the cache is missing everything works without: each user of this has a slower way to the same answers.
The cache is a folder only its owner may write; the file's name holds a hash of the source, of
llvmlite's version and of the processor, its first line the hash of its content.
HIKESHI_KERNEL=off turns it off (also for comparing).
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
import stat
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from hikeshi.knowledge.cache import cache_folder


class Loaded(NamedTuple):
    """The entry points as C functions, in the order in which the module's `build` gives them; `engines` keeps
    their code alive."""

    functions: tuple[Any, ...]
    engines: list[Any]


_ahead: list[MachineCode] = []


def load_ahead() -> None:
    """Load the code of all imported modules that want it before their process is locked."""
    for code in _ahead:
        code.load()


class MachineCode:
    """One module's code. Its `build(numba)` gives C callbacks that all take `arguments` addresses."""

    def __init__(self, module: str, arguments: int, folder: str, *, ahead: bool = False,
                 parts: tuple[str, ...] = ()) -> None:
        """`ahead`: every sandbox child that imports this loads the code before it locks itself. `parts`: further
        modules the code is made of."""
        self._sources = (module, *parts)
        if ahead:
            _ahead.append(self)
        self._module, self._arguments, self._part = module, arguments, folder
        self._given: list[Path | None] = []
        self._loaded: list[Loaded | None] = []

    def use(self, path: Path | None) -> None:
        """In a child: load the machine code its parent found, or none; nothing is looked for or made."""
        self._given = [path]
        self.forget()

    def forget(self) -> None:
        """Look anew at the next call of `load`."""
        self._loaded = []

    def load(self) -> Loaded | None:
        """The machine code if it has been made; None where there is none. Looked for once."""
        if not self._loaded:
            self._loaded = [self._load()]
        return self._loaded[0]

    def _load(self) -> Loaded | None:
        if os.environ.get("HIKESHI_KERNEL") == "off":
            return None
        path = self._given[0] if self._given else self._kept()
        content = _read(path) if path is not None else None
        if content is None:
            return None
        try:
            return _loaded(content, self._arguments)
        except Exception:  # noqa: BLE001  whatever a foreign compiler says, the slow way is right too
            return None

    def location(self, *, make: bool) -> Path | None:
        """Where the machine code lies; made now if it must be (some fifteen seconds) and `make` says so."""
        if os.environ.get("HIKESHI_KERNEL") == "off":
            return None
        path = self._given[0] if self._given else self._kept()
        if path is None:
            return None
        if _read(path) is not None:
            return path
        if not make:
            return None
        try:
            _keep(path, _made(self._module))
        except Exception:  # noqa: BLE001  as above
            return None
        self.forget()
        return path if _read(path) is not None else None

    def _kept(self) -> Path | None:
        """Where the machine code of this source, this llvmlite and this processor lies. Asked at every start:
        nothing heavy is imported for it."""
        found, modules = find_spec("llvmlite"), [find_spec(name) for name in self._sources]
        origins = [m.origin for m in modules if m is not None and m.origin is not None]
        if found is None or found.origin is None or len(origins) < len(modules):
            return None
        installed = sorted(p.name for p in Path(found.origin).parents[1].glob("llvmlite-*.dist-info"))
        source = b"".join(Path(origin).read_bytes() for origin in origins)
        parts = (source, str(installed).encode(), sys.platform.encode(), _processor())
        name = hashlib.sha256(b"\0".join(hashlib.sha256(p).digest() for p in parts)).hexdigest()[:32]
        folder = _folder(self._part)
        return folder / f"{self._module.rpartition('.')[2]}-{name}.o" if folder else None


def _processor() -> bytes:
    """What the machine code was made for."""
    try:
        with open("/proc/cpuinfo", "rb") as info:
            head = info.read(1 << 16).split(b"\n\n")[0]
        return b"\n".join(line for line in head.split(b"\n") if line.startswith((b"model name", b"flags", b"Features")))
    except OSError:
        import platform

        return f"{platform.machine()} {platform.processor()}".encode()


def _folder(part: str) -> Path | None:
    folder = cache_folder(part)
    if folder is None:
        return None
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder if _own(folder) else None
    return None


def _own(path: Path) -> bool:
    """Ours, and nobody else may write there: machine code is loaded from it."""
    if not hasattr(os, "getuid"):
        return True
    status = path.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read(path: Path) -> bytes | None:
    try:
        if not _own(path):
            return None
        data = path.read_bytes()
    except OSError:
        return None
    return data[32:] if hashlib.sha256(data[32:]).digest() == data[:32] else None


def _keep(path: Path, content: bytes) -> None:
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".code-")
        with os.fdopen(handle, "wb") as out:
            out.write(hashlib.sha256(content).digest() + content)
        Path(name).replace(path)


def _made(module: str) -> bytes:
    """Length-prefixed parts: the functions' names, the names they call, then an object file each."""
    import llvmlite.binding as llvm
    import numba

    functions = import_module(module).build(numba)
    names = [f._wrapper_name for f in functions]
    machine = _machine(llvm)
    needed: set[str] = set()
    codes = []
    for function in functions:
        text = function.inspect_llvm()
        needed.update(re.findall(r'^declare [^@]*@"?([A-Za-z_][\w]*)"?\(', text, re.MULTILINE))
        codes.append(machine.emit_object(llvm.parse_assembly(text)))
    parts = ["\n".join(names).encode(), "\n".join(sorted(needed)).encode(), *codes]
    return b"".join(len(p).to_bytes(8, "little") + p for p in parts)


def _machine(llvm: Any) -> Any:
    for step in (llvm.initialize_native_target, llvm.initialize_native_asmprinter):
        step()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(),
                                        features=llvm.get_host_cpu_features().flatten(), opt=3, jit=True,
                                        codemodel="jitdefault")


def _loaded(content: bytes, arguments: int) -> Loaded:
    import llvmlite.binding as llvm

    parts, at = [], 0
    while at < len(content):
        size = int.from_bytes(content[at:at + 8], "little")
        parts.append(content[at + 8:at + 8 + size])
        at += 8 + size
    machine = _machine(llvm)
    # Numba's wrapper names functions for errors that this code never raises: there they would end the process.
    ending = ctypes.cast(ctypes.CDLL(None).abort if sys.platform != "win32" else ctypes.cdll.msvcrt.abort,
                         ctypes.c_void_p).value
    for name in parts[1].decode().split("\n"):
        if name and llvm.address_of_symbol(name) is None:
            llvm.add_symbol(name, ending)
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *([ctypes.c_void_p] * arguments))
    engines, functions = [], []
    for name, code in zip(parts[0].decode().split("\n"), parts[2:], strict=True):
        # One engine each: both object files hold the shared helpers under the same names.
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        functions.append(kind(engine.get_function_address(name)))
        engines.append(engine)
        machine = _machine(llvm)
    return Loaded(tuple(functions), engines)

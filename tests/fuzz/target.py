"""One fuzzing process, started by run.py: python -m tests.fuzz.target NAME FOLDER [libFuzzer's options]."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["hikeshi.parse"]):
    from hikeshi.parse import evtx, evtx_fast, evtx_native, evtx_plans, evtx_recover, windows_reader  # noqa: F401
    from hikeshi.parse.file import File  # noqa: F401

from tests.fuzz import targets
from tests.fuzz.mutate import mutated

# A child that reads logs takes some 130 MiB before it reads anything; together they must stay below 512.
MOST_GROWTH_MIB = 380


def _reset_peak() -> int:
    """Begin to measure this process's peak anew; gives what it has now, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_mib()


def _peak_mib() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def main() -> None:
    name, rest = sys.argv[1], sys.argv[2:]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    target: Callable[[bytes], None] = targets.TARGETS[name](folder / "input")

    def bounded(data: bytes) -> None:
        before = _reset_peak()
        target(data)
        grown = _peak_mib() - before
        if grown > MOST_GROWTH_MIB:
            raise MemoryError(f"{grown} MiB more than before for one input")

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        if seed % 8 == 0:
            return bytes(atheris.Mutate(data, len(data) if len(data) < most else most))
        return mutated(data, seed, most)

    options = {"custom_mutator": mutate} if name in targets.CHUNKS else {}
    try:
        atheris.Setup([sys.argv[0], *rest], bounded, **options)
        atheris.Fuzz()
    finally:
        with contextlib.suppress(OSError):
            (folder / "input").unlink()
            folder.rmdir()


if __name__ == "__main__":
    main()

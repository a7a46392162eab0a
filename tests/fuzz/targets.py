"""What is fuzzed: each target takes bytes and raises for what must not be."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import compare

from hikeshi.parse import evtx, evtx_fast, evtx_plans, evtx_recover

SLOWEST = 10.0          # seconds


def machine(path: Path) -> Callable[[bytes], None]:
    """The machine code and the package say the same."""
    evtx_fast.code.location(make=True)
    loaded = evtx_fast.code.load()
    if loaded is None:
        raise SystemExit("no machine code here: numba or the cache folder is missing")

    def run(data: bytes) -> None:
        if data:
            compare.check(path, data, loaded)

    return run


def bounds(path: Path) -> Callable[[bytes], None]:
    """The machine code's source as plain Python: never outside of its arrays, and the same as the package."""
    loaded = compare.plain_code()
    evtx.FastRows = compare.Checked  # type: ignore[misc]

    def run(data: bytes) -> None:
        if data:
            compare.check(path, data, loaded)

    return run


def plans(_: Path) -> Callable[[bytes], None]:
    """Any bytes as a template's canonical form: a plan or none."""
    def run(data: bytes) -> None:
        if len(data) % 2 == 0 or compare.is_form(data[1:]):
            evtx_plans.body_plan(data[1:], user=bool(data[:1] > b"\x7f"))
            if compare.is_form(data[1:]):
                evtx_plans.event_plan(data[1:])

    return run


def recover(_: Path) -> Callable[[bytes], None]:
    """Records found in plain bytes can be written as a log."""
    def run(data: bytes) -> None:
        began = time.process_time()
        for found in evtx_recover.recover(data):
            assert 0 <= found.offset < len(data)
        if time.process_time() - began > SLOWEST:
            raise TimeoutError(f"{len(data)} bytes")

    return run


TARGETS: dict[str, Callable[[Path], Callable[[bytes], None]]] = {
    "machine": machine, "bounds": bounds, "recover": recover}
CHUNKS = frozenset(("machine", "bounds", "recover"))

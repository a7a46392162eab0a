"""Seconds and peak memory of the intrusion story beside those of parsing alone, for logs of several sizes.

Each round makes a Squid log, parses it and nothing else (the floor), then digests it and tells the
story; then the same for Windows logons, whose floor is building their columns. Prints ratios and
bytes per distinct flow, which must not grow with the size.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from datetime import UTC
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from hikeshi.events.table import TableBuilder
from hikeshi.evidence.source import Source
from hikeshi.parse.registry import parse_source
from hikeshi.trace import Digest, Gathered, build_story, digest

_BATCH = 100_000


def write_log(path: Path, lines: int) -> None:
    """A Squid log of 3,000 clients and many destinations, made of random figures."""
    chance = random.Random(7)
    with path.open("w") as out:
        for number in range(lines):
            client = f"10.{chance.randrange(4)}.{chance.randrange(4)}.{chance.randrange(1, 250)}"
            name = f"h{chance.randrange(60_000)}.site{chance.randrange(97)}.example"
            out.write(
                f"{1_780_880_400 + number * 0.1:.3f} 12 {client} TCP_MISS/200 {chance.randrange(9000)} GET "
                f"http://{name}/p - HIER_DIRECT/198.51.{chance.randrange(100)}.{chance.randrange(250)} text/html\n"
            )


def logons(rows: int, told: bool) -> int:
    """So many network logons between 500 machines, built (and told)."""
    chance = random.Random(9)
    source = Source(Path("s"), "Security.evtx", "0" * 64, 1, kind="evtx")
    parts = Gathered()
    for start in range(0, rows, _BATCH):
        builder = TableBuilder()
        for number in range(start, min(start + _BATCH, rows)):
            builder.add(
                1_780_880_400_000_000 + number * 300_000,
                {
                    "event.code": "4624",
                    "winlog.channel": "Security",
                    "host.name": f"SRV{chance.randrange(20)}.corp.example",
                    "winlog.record_id": number,
                    "TargetUserName": f"user{chance.randrange(2000)}",
                    "LogonType": "3",
                    "IpAddress": f"10.9.{chance.randrange(2)}.{chance.randrange(1, 250)}",
                    "TargetLogonId": hex(number),
                },
            )
        table = builder.build()
        if told:
            parts.append(digest(source, table))
    if told:
        build_story([Digest.merge(parts)])
    return rows


def flows(path: Path, told: bool) -> int:
    """The log parsed (and told); returns how many distinct flows it holds."""
    source = Source(path, path.name, "0" * 64, path.stat().st_size, kind="text")
    parts = Gathered()
    for table in parse_source(source, zone=UTC, zone_assumed=True):
        if told:
            parts.append(digest(source, table))
    if not told:
        return 0
    whole = Digest.merge(parts)
    build_story([whole])
    return whole.flows.num_rows


def _child(answer: Connection, work: str, argument: Path | int, told: bool) -> None:
    answer.send(logons(int(str(argument)), told) if work == "logons" else flows(Path(str(argument)), told))


def measured(work: str, argument: Path | int, told: bool) -> tuple[float, int, int]:
    """(seconds, peak resident bytes, what it returned) of one process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_child, args=(there, work, argument, told))
    begun = time.perf_counter()
    process.start()
    watched, peak = psutil.Process(process.pid), 0
    while process.is_alive():
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.Error:
            break
        process.join(0.05)
    process.join()
    if process.exitcode:
        sys.exit(f"{work} failed")
    return time.perf_counter() - begun, peak, int(here.recv())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lines", type=int, nargs="+", default=[250_000, 1_000_000])
    parser.add_argument("--logons", type=int, nargs="+", default=[250_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=2)
    wanted = parser.parse_args()
    print("work    size       round  floor s  story s  ratio  floor MiB  story MiB  bytes/flow")
    with tempfile.TemporaryDirectory() as folder:
        for work, sizes in (("flows", wanted.lines), ("logons", wanted.logons)):
            for size in sizes:
                argument: Path | int = size
                if work == "flows":
                    argument = Path(folder) / "access.log"
                    write_log(argument, size)
                for number in range(wanted.rounds):
                    floor, low, _ = measured(work, argument, False)
                    full, high, distinct = measured(work, argument, True)
                    print(
                        f"{work:7} {size:10,} {number + 1:5} {floor:8.1f} {full:8.1f} {full / floor:6.2f}"
                        f" {low >> 20:10,} {high >> 20:10,} {max(high - low, 0) // max(distinct, 1):11,}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()

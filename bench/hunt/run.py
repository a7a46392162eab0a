"""Measure `hikeshi hunt`, beside the floor of reading the same files, and print ratios.

    PYTHONPATH=src python bench/hunt/run.py EVTX_DIR ... --rules DIR [--grow N ... --grower grow_evtx.py]

For each corpus (the folders given, then the first one grown to N records) it runs, in turn and `--rounds` times:
  floor     the evtx package to JSON and orjson, nothing else: what any hunt on this package must pay
  hunt      the whole command with --json, rules from the cache, children and start-up included
  compiled  the same with --no-cache, once a corpus: rules parsed and compiled in the run
and prints events per CPU second, wall seconds, the ratio of each pair, and the peak memory of the whole
process tree; at the end of a corpus the best and the median. Grown corpora lie in a temporary folder and are deleted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

FLOOR = """
import gc, sys, evtx, orjson
from pathlib import Path
gc.disable()
count = 0
for path in sorted(Path(sys.argv[1]).rglob("*.evtx")):
    for record in evtx.PyEvtxParser(str(path), number_of_threads=1).records_json():
        orjson.loads(record["data"])
        count += 1
print(count)
"""
HUNT = "import sys; from hikeshi.cli.main import main; sys.exit(main(sys.argv[1:]))"


@dataclass
class Cost:
    cpu_s: float
    wall_s: float
    peak_bytes: int


def measured(command: list[str], stdout: Path) -> Cost:
    """CPU of the command and all its children, and the highest sum of their resident memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    with open(stdout, "wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL) as process:
        peak, done = [0], threading.Event()
        watch = threading.Thread(target=_watch, args=(process.pid, peak, done))
        watch.start()
        code = process.wait()
        done.set()
        watch.join()
    if code not in (0, 1):
        raise SystemExit(f"{command[:3]} ended with exit code {code}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, time.monotonic() - started, peak[0])


def _watch(pid: int, peak: list[int], done: threading.Event) -> None:
    while not done.wait(0.05):
        total = 0
        try:
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
        except psutil.Error:
            return
        peak[0] = max(peak[0], total)


def compare(name: str, folder: Path, given: argparse.Namespace, work: Path) -> None:
    options = [part for rule in given.rules for part in ("--rules", rule)] + ["--workers", str(given.workers)]
    counted, hits = work / "count", work / "hits.jsonl"
    hunts: list[Cost] = []
    ratios: list[float] = []
    hunt_command = [sys.executable, "-c", HUNT, "hunt", str(folder), "--json", *options]
    compiled = measured([*hunt_command, "--no-cache"], hits)
    for number in range(1, given.rounds + 1):
        floor = measured([sys.executable, "-c", FLOOR, str(folder)], counted)
        hunt = measured(hunt_command, hits)
        events = int(counted.read_text())
        found = sum(1 for _ in hits.open("rb"))
        hunts.append(hunt)
        ratios.append(hunt.cpu_s / floor.cpu_s)
        print(f"{name:>10} round {number}: {events:>9,} events, {found:>8,} hits | "
              f"floor {events / floor.cpu_s:>9,.0f}/CPU-s | hunt {events / hunt.cpu_s:>8,.0f}/CPU-s | "
              f"ratio {ratios[-1]:5.2f} | {hunt.cpu_s:6.1f} CPU s, {hunt.wall_s:6.1f} s, "
              f"peak {hunt.peak_bytes / 2**20:,.0f} MiB (floor {floor.peak_bytes / 2**20:,.0f})", flush=True)
    cpu, wall = [h.cpu_s for h in hunts], [h.wall_s for h in hunts]
    peak = max(h.peak_bytes for h in hunts) / 2**20
    print(f"{name:>10} all    : events per CPU-s, best {events / min(cpu):,.0f}, median "
          f"{events / statistics.median(cpu):,.0f}, compiled {events / compiled.cpu_s:,.0f} | "
          f"wall, best {min(wall):.1f} s, median {statistics.median(wall):.1f} s, compiled {compiled.wall_s:.1f} s | "
          f"ratio, median {statistics.median(ratios):.2f} | peak {peak:,.0f} MiB", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="EVTX_DIR")
    parser.add_argument("--rules", action="append", default=[], help="as for hikeshi hunt")
    parser.add_argument("--grow", type=int, nargs="*", default=[], metavar="N", help="records of grown corpora")
    parser.add_argument("--grower", type=Path, help="grow_evtx.py")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if given.grow and not given.grower:
        parser.error("--grow needs --grower")
    with tempfile.TemporaryDirectory(prefix="hikeshi-bench-") as temporary:
        work = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(work / "cache")
        options = [part for rule in given.rules for part in ("--rules", rule)]
        small = min(given.folders[0].rglob("*.evtx"), key=lambda p: p.stat().st_size)
        first = measured([sys.executable, "-c", HUNT, "hunt", str(small), "--json", *options], work / "first")
        again = measured([sys.executable, "-c", HUNT, "hunt", str(small), "--json", *options], work / "again")
        print(f"one small file: {first.wall_s:.2f} s with compiling, {again.wall_s:.2f} s with cached rules")
        for folder in given.folders:
            compare(folder.name, folder, given, work)
        for records in given.grow:
            grown = work / f"grown-{records}"
            subprocess.run([sys.executable, str(given.grower), str(given.folders[0]), "--out", str(grown),
                            "--records", str(records)], check=True, stdout=subprocess.DEVNULL)
            manifest = json.loads((grown / "manifest.json").read_text())
            compare(f"{manifest['records']:,}", grown, given, work)
            for path in grown.iterdir():
                path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Sweep against ripgrep and `wc -l`: the same file, in turn, whole processes with everything they load.

    PYTHONPATH=src python bench/sweep/run.py LOG LIST.txt [--runs 3] [--rg-limit 600] [--without wc,rg]

LIST.txt is compiled once before (its time is printed apart); ripgrep gets the same list as text with -F -f.
CPU is the whole process tree's, memory the tree's peak: the sum of what each process holds alone and its share
of what several hold. Prints medians and ratios; asserts nothing. Needs ripgrep (Debian: ripgrep).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil


class Run(NamedTuple):
    wall: float
    cpu: float
    peak: float
    ended: bool


def measure(command: list[str], limit: float) -> Run:
    """One process tree from start to end; `ended` False if it was stopped at the limit."""
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, start_new_session=True)
        peak = [0.0]
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, peak, done))
        watcher.start()
        timer = threading.Timer(limit, lambda: os.killpg(process.pid, 9))
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        timer.cancel()
        done.set()
        watcher.join()
    code = os.waitstatus_to_exitcode(status)
    return Run(wall, usage.ru_utime + usage.ru_stime, peak[0], code >= 0)


def _watch(pid: int, peak: list[float], done: threading.Event) -> None:
    while not done.wait(0.1):
        total = 0
        with contextlib.suppress(psutil.Error):
            tree = psutil.Process(pid)
            for one in (tree, *tree.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    total += one.memory_full_info().pss
        peak[0] = max(peak[0], total / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("list", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rg-limit", type=float, default=600, help="seconds after which ripgrep is stopped")
    parser.add_argument("--without", default="", help="wc, rg or both, with a comma")
    chosen = parser.parse_args()
    left_out = chosen.without.split(",")
    with tempfile.TemporaryDirectory() as folder:
        ready = str(Path(folder) / "list.hksweep")
        hikeshi = [sys.executable, "-m", "hikeshi"]
        compiled = measure([*hikeshi, "indicators", "compile", str(chosen.list), "--out", ready], 3600)
        commands = {"hikeshi": [*hikeshi, "sweep", str(chosen.log), "--indicators", ready, "--json"]}
        if "rg" not in left_out:
            commands["rg"] = ["rg", "-F", "-f", str(chosen.list), str(chosen.log)]
        if "wc" not in left_out:
            commands["wc"] = ["wc", "-l", str(chosen.log)]
        chosen.log.read_bytes() if chosen.log.stat().st_size < 2**31 else None  # into the page cache
        runs: dict[str, list[Run]] = {name: [] for name in commands}
        for _ in range(chosen.runs):
            for name, command in commands.items():
                runs[name].append(measure(command, chosen.rg_limit if name == "rg" else 3600))
    lines = sum(1 for _ in chosen.list.open("rb"))
    print(f"{chosen.log.stat().st_size / 1e6:,.0f} MB, {lines:,} indicators, n = {chosen.runs}, "
          f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores; compiling {compiled.wall:.1f} s, once")
    middle = {}
    for name, all_ in runs.items():
        middle[name] = Run(*(statistics.median(r[i] for r in all_) for i in range(3)), all(r.ended for r in all_))
        wall, cpu, peak, ended = middle[name]
        print(f"{name:8} wall {wall:8.2f} s  cpu {cpu:8.2f} s  peak {peak:7.0f} MiB{'' if ended else '  (stopped)'}")
    ours = middle["hikeshi"]
    if "rg" in middle:
        print(f"ripgrep / hikeshi: wall {middle['rg'].wall / ours.wall:.2f}, cpu {middle['rg'].cpu / ours.cpu:.2f}")
    if "wc" in middle:
        print(f"hikeshi / wc -l:   wall {ours.wall / middle['wc'].wall:.1f}, cpu {ours.cpu / middle['wc'].cpu:.1f}")


if __name__ == "__main__":
    main()

"""A desk whose process is killed again and again; tells what was acknowledged and what is there.

Run by test_kills.py in a process of its own: python kill_driver.py <random kills> <seed>. HIKESHI_DATA is a fresh folder.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import django

django.setup()

import desk_work as work  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from hikeshi_desk.intake import steps  # noqa: E402

# A slow machine acknowledges less before it is killed: it gets more rounds until there is something to lose.
ENOUGH = Counter(web=25, mail=5, reply=25)


def child(start: int, out: int) -> None:
    """Recovers, then works until it is killed. One in five is a mail: each child pays for a mail reader of its own."""
    os.write(out, f"recovered {work.recover():.4f}\n".encode())
    for number in range(start, start + 100_000):
        acknowledgement = work.mail(number) if number % 5 == 4 else work.web(number)
        os.write(out, f"{acknowledgement}\n".encode())
        case = work.finish(acknowledgement)
        os.write(out, f"{work.reply(number, case)}\n".encode())


def round_of(start: int, *, after_s: float | None, failpoint: str) -> tuple[list[str], float, bool]:
    """Starts a child and ends it; gives the acknowledgements it got out, its recovery in seconds, and whether it
    died by SIGKILL."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        if failpoint:
            os.environ["HIKESHI_FAILPOINT"] = failpoint
        try:
            child(start, write)
        finally:
            os._exit(3)
    os.close(write)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(read) as lines:
        got = [line.strip() for line in lines if line.endswith("\n")]
    by_kill = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    took = [float(line.split()[1]) for line in got if line.startswith("recovered")]
    return [line for line in got if not line.startswith("recovered")], max(took, default=0.0), by_kill


def main(kills: int, seed: int) -> None:
    settings.SPOOL.mkdir(parents=True, exist_ok=True)
    (Path(settings.DATA) / "desk.toml").write_text(work.DESK_TOML)
    call_command("migrate", verbosity=0)
    work.make_handler()
    first = work.web(0)
    work.finish(first)  # whatever is loaded at first use is loaded before the children are made
    connections.close_all()
    chance = random.Random(seed)
    plans = [(None, f"{step}:{chance.randint(1, 3)}") for step in steps.STEPS for _ in range(2)]
    plans += [(chance.uniform(0.02, 0.5), "") for _ in range(kills)]
    acknowledged = [first]
    following, killed, slowest = 1, 0, 0.0
    rounds, most = 0, 20 * len(plans)
    while rounds < len(plans) or (rounds < most and not Counter(line.split()[0] for line in acknowledged) >= ENOUGH):
        after_s, failpoint = plans[rounds] if rounds < len(plans) else (chance.uniform(0.1, 2.0), "")
        rounds += 1
        got, took, by_kill = round_of(following, after_s=after_s, failpoint=failpoint)
        acknowledged += got
        killed, slowest = killed + by_kill, max(slowest, took)
        # The one that was under way is sent again with its key, as a browser or a mail server does.
        following = int(got[-1].split()[1]) + 1 if got else following
    last = work.recover()
    print(json.dumps({"rounds": rounds, "killed": killed, "slowest recovery s": max(slowest, last),
                      **work.check(acknowledged)}, ensure_ascii=False))
    # A mail reader of ours may still wait for orders.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

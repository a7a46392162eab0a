"""Submits without end in a child that is killed again and again; tells what was acknowledged and what is there.

Run by test_crash.py in a process of its own: python crash_driver.py <random kills> <seed>. HIKESHI_DATA is a fresh folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from hikeshi_desk.intake import spool, steps  # noqa: E402
from hikeshi_desk.intake.models import Submission  # noqa: E402
from hikeshi_desk.intake.receipt import hmac_of  # noqa: E402
from hikeshi_desk.intake.submit import IncomingFile, Payload, replay, submit  # noqa: E402


def send(number: int) -> tuple[str, str]:
    """One submission with two files, the same for the same number."""
    files = []
    for part in range(2):
        content = f"file {part} of {number} ".encode() * 500
        path = spool.incoming() / f"{os.getpid()}-{number}-{part}-{time.monotonic_ns()}"
        path.write_bytes(content)
        files.append(IncomingFile(f"証拠{part}.log", path, hashlib.sha256(content).hexdigest(), len(content)))
    accepted = submit(Payload(channel="web", what=f"no. {number}"), files, idempotency_key=f"key-of-number-{number:06d}")
    return str(accepted.submission_id), accepted.receipt_code or ""


def child(start: int, out: int) -> None:
    replay()
    for number in range(start, start + 100_000):
        submission, code = send(number)
        os.write(out, f"{number} {submission} {code}\n".encode())


def round_of(start: int, *, after_s: float | None, failpoint: str) -> tuple[list[tuple[str, ...]], bool]:
    """Starts a child and ends it; gives the acknowledgements it got out, and whether it died by SIGKILL."""
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
        got = [tuple(line.split()) for line in lines if line.endswith("\n")]
    return got, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def check(acknowledged: list[tuple[str, ...]]) -> dict[str, object]:
    replay()
    rows = {str(row.pk): row for row in Submission.objects.all()}
    lost, wrong = [], []
    for number, submission, code in acknowledged:
        row = rows.get(submission)
        if row is None or row.receipt != hmac_of(code):
            lost.append(number)
            continue
        payload, files = spool.read(row.pk)
        whole = all(hashlib.sha256(file.path.read_bytes()).hexdigest() == file.sha256 for file in files)
        if payload.what != f"no. {number}" or len(files) != 2 or not whole:
            wrong.append(number)
    folders = {str(one) for one in spool.folders()}
    said = [spool.read(row.pk)[0].what for row in rows.values()]
    return {"acknowledged": len(acknowledged), "lost": lost, "wrong": wrong, "rows": len(rows),
            "doubled": len(said) - len(set(said)), "unequal": sorted(folders ^ set(rows))}


def main(kills: int, seed: int) -> None:
    settings.SPOOL.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0)
    connections.close_all()
    chance = random.Random(seed)
    plans = [(None, f"{step}:{chance.randint(1, 3)}") for step in steps.STEPS for _ in range(2)]
    plans += [(chance.uniform(0.01, 0.15), "") for _ in range(kills)]
    acknowledged: list[tuple[str, ...]] = []
    following, killed = 0, 0
    for after_s, failpoint in plans:
        got, by_kill = round_of(following, after_s=after_s, failpoint=failpoint)
        acknowledged += got
        killed += by_kill
        # The one that was under way is sent again with its key, as a browser or a mail fetcher does.
        following = int(got[-1][0]) + 1 if got else following
    print(json.dumps({"rounds": len(plans), "killed": killed, **check(acknowledged)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

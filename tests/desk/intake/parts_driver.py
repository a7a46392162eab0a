"""One sender of one upload, killed at one step after the other and started again until everything is submitted.

Run by test_parts.py in a process of its own: python parts_driver.py <step>… . What the sender was told is in
acknowledged.txt, on the disk before the next act.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
from pathlib import Path

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from hikeshi_desk.intake import parts, spool  # noqa: E402
from hikeshi_desk.intake.models import Submission  # noqa: E402
from hikeshi_desk.intake.submit import Payload, replay, submit  # noqa: E402

CONTENT = bytes(range(256)) * 4000
PART = 20_000
TOLD = Path(settings.DATA) / "acknowledged.txt"
CODES = Path(settings.DATA) / "codes.txt"


def tell(path: Path, text: str) -> None:
    with path.open("a") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())


def life() -> None:
    if not TOLD.exists():
        row, key = parts.begin(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
        tell(TOLD, f"{row.pk} {key}")
    (upload, key), *acknowledged = [line.split() for line in TOLD.read_text().splitlines()]
    row = parts.find(upload, key)
    replay()
    lost = sum(int(one[0]) > row.offset for one in acknowledged)
    most = 3 if os.environ["HIKESHI_FAILPOINT"].startswith("part") else 1000
    for _ in range(0 if row.finished_at else most):
        if row.offset == row.size:
            break
        length = min(PART, row.size - row.offset)
        tell(TOLD, str(parts.append(row, row.offset, length, io.BytesIO(CONTENT[row.offset:row.offset + length]))))
    if row.offset == row.size:
        parts.finish(row)
        accepted = submit(Payload(channel="cli", what="x"), parts.as_files([(row, "evidence.tar")]),
                          idempotency_key="the same key each time")
        tell(CODES, accepted.receipt_code or "")
        parts.use([row])
    if lost:
        sys.exit(9)


def whole() -> dict[str, object]:
    submissions = list(Submission.objects.all())
    files = [file for one in submissions for file in spool.read(one.pk)[1]]
    return {"submissions": len(submissions), "codes": len(set(CODES.read_text().split())),
            "whole": bool(files) and all(file.path.read_bytes() == CONTENT for file in files),
            "left": len(list((Path(settings.SPOOL) / "uploads").iterdir()))}


def main(steps: list[str]) -> None:
    call_command("migrate", interactive=False, verbosity=0)
    connections.close_all()
    ends = []
    for step in [*steps, ""]:
        pid = os.fork()
        if pid == 0:
            os.environ["HIKESHI_FAILPOINT"] = step
            life()
            os._exit(0)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    print(json.dumps({"killed": ends.count(-signal.SIGKILL), "ends": ends, **whole()}))


main(sys.argv[1:])

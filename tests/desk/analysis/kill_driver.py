"""A desk whose job is killed in the middle again and again. Run by test_kill.py: python kill_driver.py <case>.

"resumed": one kill after the evidence was read, then the desk starts as always. "parked": every start is killed.
Prints what is there afterwards as JSON. HIKESHI_DATA is a fresh folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402

from hikeshi_desk import serve  # noqa: E402
from hikeshi_desk.analysis import folder, service  # noqa: E402
from hikeshi_desk.analysis.models import Analysis  # noqa: E402
from hikeshi_desk.cases.opening import open_submission  # noqa: E402
from hikeshi_desk.intake import spool  # noqa: E402
from hikeshi_desk.intake.models import Submission  # noqa: E402
from hikeshi_desk.intake.submit import IncomingFile, Payload, submit  # noqa: E402

LOG = b"2026-10-09T01:02:03+09:00 host sshd[1]: Failed password for root from 203.0.113.7 port 4242 ssh2\n"


def job(failpoint: str) -> int:
    """One worker as in production; its end."""
    return subprocess.run([sys.executable, "-m", "django", "db_worker", "--queue-name", "*", "--batch", "--interval",
                           "0", "--no-startup-delay", "--no-reload"], check=False, capture_output=True,
                          env={**os.environ, "HIKESHI_FAILPOINT": failpoint}).returncode


def main(kind: str) -> None:
    for path in (settings.SPOOL, settings.EVIDENCE):
        path.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0)
    place = spool.incoming() / "upload"
    place.write_bytes(LOG)
    accepted = submit(Payload(channel="web", what="ログです", request="first_steps", anonymous=True),
                      [IncomingFile("auth.log", place, hashlib.sha256(LOG).hexdigest(), len(LOG))],
                      idempotency_key="a-key-that-is-long-enough")
    case = open_submission(Submission.objects.get(pk=accepted.submission_id)).case
    row = Analysis.objects.get(case=case)
    ends, states, runs = [], [], []
    points = ["analysis_read"] if kind == "resumed" else ["analysis_claimed", "analysis_read", "analysis_claimed"]
    for point in points:
        ends.append(job(point))
        row.refresh_from_db()
        states.append((row.state, row.attempts))
        runs.append(str(row.run))
        # Half of the times as a start of the desk does it, half as the look every two minutes.
        again = sum(serve.requeue()) if len(ends) % 2 else service.take_up()
        assert again, "nobody noticed"
    ends.append(job(""))
    row.refresh_from_db()
    left = sorted(path.name for path in folder.root().iterdir() if path.name != "locks")
    print(json.dumps({"killed": ends[:-1].count(-signal.SIGKILL), "last": ends[-1], "states": states,
                      "one_run": len(set(runs)) == 1, "state": row.state, "problem": row.problem,
                      "attempts": row.attempts, "counts": row.summary.get("counts", {}),
                      "left": left, "result": str(row.result)}))


if __name__ == "__main__":
    main(sys.argv[1])

"""The named points of taking something in, so that a test can end the process at each of them.

HIKESHI_FAILPOINT=<step>[:<n>] ends the process without any goodbye at the n-th time the step is reached.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

STEPS = ("begun", "files_moved", "files_synced", "payload_written", "folders_synced", "renamed", "spooled",
         "row_written")
PART_STEPS = ("part_written", "part_synced", "part_counted")  # of an upload in parts
_reached: Counter[str] = Counter()


def reached(step: str) -> None:
    """Says that `step` is done. Does nothing unless the environment asks to die here."""
    wanted = os.environ.get("HIKESHI_FAILPOINT", "")
    if not wanted:
        return
    name, _, nth = wanted.partition(":")
    _reached[step] += 1
    if name == step and _reached[step] >= int(nth or 1):
        if hasattr(signal, "SIGKILL"):
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(137)

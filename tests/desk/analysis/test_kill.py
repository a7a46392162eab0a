"""kill -9 of a job: it is done again, and after three times it is parked with a reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL")


def driven(tmp_path: Path, kind: str) -> dict:
    environment = {**os.environ, "HIKESHI_DATA": str(tmp_path), "DJANGO_SETTINGS_MODULE": "hikeshi_desk.settings",
                   "PYTHONPATH": str(Path(__file__).parents[3] / "src"), "DATABASE_URL": ""}
    done = subprocess.run([sys.executable, str(Path(__file__).with_name("kill_driver.py")), kind], env=environment,
                          capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_killed_job_is_done_again_in_the_same_folder(tmp_path):
    found = driven(tmp_path, "resumed")
    assert (found["killed"], found["states"]) == (1, [["running", 1]])
    assert (found["state"], found["attempts"], found["counts"]["records"]) == ("done", 0, 1)
    assert found["left"] == [found["result"]]  # one result, nothing half


def test_a_job_killed_three_times_is_parked_with_a_reason(tmp_path):
    found = driven(tmp_path, "parked")
    assert (found["killed"], found["one_run"]) == (3, True)
    assert found["states"] == [["running", 1], ["running", 2], ["running", 3]]
    assert (found["state"], found["problem"], found["last"]) == ("failed", "interrupted", 0)
    assert found["left"] == []

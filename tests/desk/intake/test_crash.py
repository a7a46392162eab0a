"""kill -9 at every named step and at random: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def killed_again_and_again(tmp_path: Path, kills: int, seed: int) -> dict[str, object]:
    environment = {**os.environ, "HIKESHI_DATA": str(tmp_path), "DJANGO_SETTINGS_MODULE": "hikeshi_desk.settings",
                   "PYTHONPATH": str(Path(__file__).parents[3] / "src"), "DATABASE_URL": ""}
    done = subprocess.run([sys.executable, str(Path(__file__).with_name("crash_driver.py")), str(kills), str(seed)],
                          env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def expect_nothing_lost(found: dict[str, object]) -> None:
    assert found["killed"] == found["rounds"]  # every child died by SIGKILL, none of an error of its own
    assert int(str(found["acknowledged"])) > 20
    assert found["lost"] == []
    assert found["wrong"] == []
    assert found["doubled"] == 0
    assert found["unequal"] == []


def test_nothing_acknowledged_is_lost_or_doubled_when_the_process_is_killed(tmp_path):
    kills = int(os.environ.get("HIKESHI_TEST_KILLS", "30"))
    expect_nothing_lost(killed_again_and_again(tmp_path, kills, seed=int(os.environ.get("HIKESHI_TEST_SEED", "7"))))

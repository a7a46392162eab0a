"""kill -9 at every named step and at random: nothing acknowledged is lost, nothing is there twice or by half.

HIKESHI_TEST_KILLS asks for more random kills than 30, HIKESHI_TEST_SEED for others. With DATABASE_URL the rows are in
PostgreSQL. (What a kill can't show, a missing fsync, is test_power_cut.py's.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
SOUND = {"lost": [], "unopened": [], "doubled": [], "answered twice": [], "half there": [], "unequal": [],
         "left behind": [], "audit breaks at": None}


@pytest.fixture
def database(request) -> str:
    """Where the rows go: a file in the data folder, or a database of its own beside the tests' one."""
    if connection.vendor != "postgresql":
        yield ""
        return
    import psycopg

    server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    name = f"kills_{os.getpid()}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield f"{server}/{name}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_nothing_acknowledged_is_lost_doubled_or_half_there_when_the_process_is_killed(tmp_path, database):
    kills, seed = (os.environ.get(name, usual) for name, usual in (("HIKESHI_TEST_KILLS", "30"), ("HIKESHI_TEST_SEED", "7")))
    environment = {**os.environ, "HIKESHI_DATA": str(tmp_path), "DJANGO_SETTINGS_MODULE": "hikeshi_desk.settings",
                   "PYTHONPATH": str(Path(__file__).parents[3] / "src"), "DATABASE_URL": database}
    done = subprocess.run([sys.executable, str(Path(__file__).with_name("kill_driver.py")), kills, seed],
                          env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    print({name: value for name, value in found.items() if value not in ([], None)})
    assert found["killed"] == found["rounds"]  # every child died by SIGKILL, none of an error of its own
    assert found["web"] > 20 and found["mail"] > 3 and found["replies"] > 20
    assert {name: found[name] for name in SOUND} == SOUND

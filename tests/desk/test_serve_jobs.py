"""A job that was stopped hard runs again, three times; then it is parked with its reason."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from hikeshi_desk import serve
from hikeshi_desk.analysis.tasks import analyse

SOURCE = Path(__file__).parents[2] / "src"


def a_job(status: str, starts: int) -> DBTaskResult:
    made = analyse.enqueue("00000000-0000-0000-0000-000000000000")
    job = DBTaskResult.objects.get(pk=made.id)
    job.status, job.started_at, job.worker_ids = status, timezone.now(), [f"worker-{n}" for n in range(starts)]
    job.save()
    return job


@pytest.mark.django_db
def test_three_times_it_is_put_back_and_then_parked():
    from django.db import connection

    if connection.vendor != "sqlite":
        pytest.skip("with PostgreSQL another node may be running it")
    job, waiting, done = a_job("RUNNING", 1), a_job("READY", 0), a_job("SUCCESSFUL", 9)
    for _ in range(3):
        assert serve.requeue() == (1, 0)
        job.refresh_from_db()
        assert job.status == TaskResultStatus.READY
        job.claim("another worker")
    assert serve.requeue() == (0, 1)
    job.refresh_from_db()
    assert job.status == TaskResultStatus.FAILED and job.finished_at
    assert "interrupted 4 times" in job.traceback and job.exception_class_path.endswith("Interrupted")
    assert job.task_result.errors[0].traceback == job.traceback
    assert serve.requeue() == (0, 0)
    for other, status in ((waiting, "READY"), (done, "SUCCESSFUL")):
        other.refresh_from_db()
        assert other.status == status


@pytest.mark.django_db
def test_other_nodes_jobs_are_left_alone(monkeypatch):
    job = a_job("RUNNING", 9)

    class Elsewhere:
        vendor = "postgresql"

    monkeypatch.setattr("django.db.connection", Elsewhere())
    assert serve.requeue() == (0, 0)
    job.refresh_from_db()
    assert job.status == TaskResultStatus.RUNNING


# -------------------------------------------------------------------------------- with the real processes

_FILL = """
import sys; from pathlib import Path
import django; django.setup()
from django.core.management import call_command
from hikeshi.demo import write_scenario
from hikeshi_desk.cases import store
from hikeshi_desk.worked.cases import fill
store.prepare(); call_command("migrate", verbosity=0)
write_scenario("webshell", Path(sys.argv[1]) / "evidence")
fill({"webshell": Path(sys.argv[1]) / "evidence"})
"""


@pytest.fixture
def a_desk_with_work(tmp_path):
    """A data folder whose case waits for its analysis; gives a way to serve it and to ask its database."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HIKESHI_", "DJANGO_", "DATABASE_"))}
    env = kept | {"PYTHONPATH": str(SOURCE), "HIKESHI_DATA": str(data), "DJANGO_SETTINGS_MODULE": "hikeshi_desk.worked.settings"}
    subprocess.run([sys.executable, "-c", _FILL, str(tmp_path)], env=env, check=True, timeout=120)
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("ab") as log:
            started.append(subprocess.Popen([sys.executable, "-m", "hikeshi", "serve", "--data", str(data), "--port", "0",
                                             "--workers", "1"], env=env, stdout=log, stderr=log))
        return started[-1]

    def state() -> tuple[str, str]:
        with contextlib.closing(sqlite3.connect(data / "desk.sqlite3", timeout=30)) as database:
            (analysis,), = database.execute("SELECT state FROM analysis_analysis").fetchall()
            jobs = database.execute("SELECT status FROM django_tasks_database_dbtaskresult").fetchall()
        return analysis, ",".join(sorted(status for status, in jobs))

    def until(what, seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        while not what(*state()):
            assert time.monotonic() < end and started[-1].poll() is None, (state(), (tmp_path / "log").read_text()[-3000:])
            time.sleep(0.1)

    yield start, state, until
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the desk runs on Linux")
def test_a_stop_in_the_middle_of_an_analysis_loses_nothing(a_desk_with_work):
    start, state, until = a_desk_with_work
    desk = start()
    until(lambda analysis, jobs: analysis == "running")
    desk.send_signal(signal.SIGTERM)
    assert desk.wait(40) == 0
    assert state()[0] in ("running", "done")  # cut off after the grace, or ended within it
    desk = start()
    until(lambda analysis, jobs: analysis == "done" and "RUNNING" not in jobs and "READY" not in jobs)
    desk.send_signal(signal.SIGTERM)
    # Where the first run ended within the grace, the second desk may be asked to stop before it has opened.
    assert desk.wait(40) in (0, -signal.SIGTERM)

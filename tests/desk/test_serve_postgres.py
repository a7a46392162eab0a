"""The desk on PostgreSQL as an operator runs it: start, a consultation over HTTP, its case and its job, stop."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import pytest

psycopg = pytest.importorskip("psycopg")

from tests.desk.postgres import NoPostgres, cluster  # noqa: E402

SOURCE = Path(__file__).parents[2] / "src"
pytestmark = [pytest.mark.any_database, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")]


@pytest.fixture
def database():
    try:
        with cluster() as running:
            yield running.url
    except NoPostgres as why:
        pytest.skip(str(why))


def wait_for(what, log: Path, process: subprocess.Popen, seconds: float = 300):
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until and process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.2)
    return found


def test_the_desk_on_postgresql_takes_a_consultation_opens_its_case_and_runs_its_job(database, tmp_path):
    log, data = tmp_path / "serve.log", tmp_path / "data"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HIKESHI_", "DJANGO_", "DATABASE_"))}
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-m", "hikeshi", "serve", "--data", str(data), "--port", "0",
                                    "--workers", "1"], stdout=out, stderr=out,
                                   env=kept | {"PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1",
                                               "DATABASE_URL": database, "HIKESHI_TAKE_IN_S": "1"})
    try:
        url = wait_for(lambda: re.search(r"open: (http://localhost:\d+)/", log.read_text()), log, process)[1]

        def send() -> dict | None:
            body = json.dumps({"what": "画面に「ファイルは暗号化された」と出ています", "request": "first_steps",
                               "incident": "ransomware", "anonymous": True}).encode()
            asked = urllib.request.Request(f"{url}/api/v1/consultations", body, {
                "Content-Type": "application/json", "Idempotency-Key": key})
            with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=30) as answer:
                assert answer.status in (200, 201)
                return json.loads(answer.read())
            return None

        key = str(uuid.uuid4())
        assert wait_for(send, log, process)["receipt_code"]

        def done() -> tuple | None:
            with psycopg.connect(database) as connection:
                return connection.execute(
                    "SELECT c.number, a.state FROM cases_case c JOIN analysis_analysis a ON a.case_id = c.id "
                    "WHERE a.state = 'done'").fetchone()

        assert wait_for(done, log, process)[1] == "done"
        with psycopg.connect(database) as connection:
            assert connection.execute("SELECT count(*) FROM cases_case").fetchone() == (1,)
        assert not (data / "desk.sqlite3").exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()

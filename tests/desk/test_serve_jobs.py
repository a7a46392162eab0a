"""A job that was stopped hard runs again, three times; then it is parked with its reason."""

from __future__ import annotations

import pytest
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from hikeshi_desk import serve
from hikeshi_desk.analysis.tasks import analyse


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

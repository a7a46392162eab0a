"""The job of the database queue."""

from __future__ import annotations

from uuid import UUID

from django_tasks import task


@task()
def analyse(case_id: str) -> None:
    """Analyse one case; ends at once where nothing is asked for or somebody is at it."""
    from hikeshi_desk.analysis.run import work

    work(UUID(case_id))

"""The job of the database queue."""

from __future__ import annotations

from uuid import UUID

from django_tasks import task


@task()
def propose(case_id: str) -> None:
    """Measures out of the case's newest analysis; ends at once where they are made already."""
    from hikeshi_desk.respond import propose as make

    if make.waits(UUID(case_id)):
        make.propose(UUID(case_id))

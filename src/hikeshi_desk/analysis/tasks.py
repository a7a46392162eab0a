"""The jobs of the database queue."""

from __future__ import annotations

from uuid import UUID

from django_tasks import task


@task()
def analyse(case_id: str) -> None:
    """Analyse one case; ends at once where nothing is asked for or somebody is at it."""
    from hikeshi_desk.analysis.run import work

    work(UUID(case_id))


@task()
def look_again() -> None:
    """Quick looks that older knowledge answered, once more; a changed answer waits for a person."""
    from hikeshi_desk.analysis.pasted import look_again as look

    look()


@task()
def regroup() -> None:
    """Provisional names of cases that nobody could name, after a person said who it was."""
    from hikeshi_desk.analysis.groups import regroup as again

    again()

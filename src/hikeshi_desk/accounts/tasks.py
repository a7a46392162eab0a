"""What is done after the answer, so that the answer tells nothing by its time."""

from __future__ import annotations

from django.db import transaction
from django_tasks import task

from hikeshi_desk.accounts import forgotten


@task()
def answer_forgotten(sealed: str) -> None:
    """The link for a forgotten password, if the address that was typed in has an account."""
    opened = forgotten.unseal(sealed)
    if opened is not None:
        with transaction.atomic():
            forgotten.send_link(*opened)

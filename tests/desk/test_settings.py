"""What the settings promise holds on the running database."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection


def test_the_data_folder_and_the_secret_are_private():
    assert (settings.DATA / "secret-key").stat().st_mode & 0o077 == 0
    assert len(settings.SECRET_KEY) >= 64


@pytest.mark.django_db
def test_sqlite_keeps_what_was_committed():
    if connection.vendor != "sqlite":
        pytest.skip("another database")
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.django_db
def test_no_model_waits_for_a_migration():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)

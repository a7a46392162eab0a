"""The desk's tests run on a data folder of their own, made before Django reads its settings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

os.environ["HIKESHI_DATA"] = tempfile.mkdtemp(prefix="hikeshi-test-")
(Path(os.environ["HIKESHI_DATA"]) / "static").mkdir()
# Answers come from the built-in knowledge, whatever pack the person at this machine has imported.
os.environ["HIKESHI_KNOWLEDGE"] = str(Path(os.environ["HIKESHI_DATA"]) / "knowledge")
# Tests of the second factor switch it on; everybody else signs in with one step.
os.environ["HIKESHI_SECOND_FACTOR"] = "optional"
# A browser of an earlier test leaves its event loop in this thread; Django would then refuse every query.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hikeshi_desk.settings")


def pytest_configure(config: pytest.Config) -> None:
    import django

    django.setup()
    if config.getoption("numprocesses", default=None) and "PYTEST_XDIST_WORKER" not in os.environ:
        # A worker that inherits the settings' name reads them before it reads this file, and would
        # then share this process's data folder with its sister.
        del os.environ["DJANGO_SETTINGS_MODULE"]

"""The desk's tests run on a data folder of their own, made before Django reads its settings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ["HIKESHI_DATA"] = tempfile.mkdtemp(prefix="hikeshi-test-")
(Path(os.environ["HIKESHI_DATA"]) / "static").mkdir()
# Tests of the second factor switch it on; everybody else signs in with one step.
os.environ["HIKESHI_SECOND_FACTOR"] = "optional"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hikeshi_desk.settings")


def pytest_configure() -> None:
    import django

    django.setup()

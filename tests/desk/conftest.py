"""No test leaves its language to the next one."""

from __future__ import annotations

import pytest
from django.utils import translation


@pytest.fixture(autouse=True)
def japanese_unless_said():
    with translation.override("ja"):
        yield

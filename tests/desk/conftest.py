"""What all tests of the desk share: no test leaves its language to the next one; our own pictures are listed once."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation
from whitenoise.middleware import WhiteNoiseMiddleware

_list_files = WhiteNoiseMiddleware.add_files_from_finders
_listed: dict[str, Any] = {}


def _list_files_once(self: WhiteNoiseMiddleware) -> None:
    """Each test client makes its middleware anew; the same files then take half the time of a small request."""
    if not _listed:
        _list_files(self)
        _listed.update(self.files)
    self.files.update(_listed)


WhiteNoiseMiddleware.add_files_from_finders = _list_files_once


@pytest.fixture(autouse=True)
def japanese_unless_said():
    with translation.override("ja"):
        yield

"""The two worlds are a module beside this file; it is found from here however pytest was started."""

from __future__ import annotations

import sys
from pathlib import Path

import django

django.setup()
sys.path.insert(0, str(Path(__file__).parent))

from two_worlds import still, world  # noqa: E402, F401

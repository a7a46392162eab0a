"""Generated pages say what the code says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_generated_pages_are_current():
    # In a process of its own: click remembers help texts of commands that other tests have called.
    done = subprocess.run([sys.executable, str(ROOT / "tools" / "generate_docs.py"), "--check"], check=False,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
    assert done.returncode == 0, done.stderr

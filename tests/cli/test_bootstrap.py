"""./hikeshi on a machine that is not ready: a clear word and no half-made .venv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the bootstrap is a POSIX shell script")
ROOT = Path(__file__).parents[2]
NEEDED = ("cat", "cmp", "cp", "dirname", "mkdir", "mv", "rm", "sh", "sleep")


@pytest.fixture
def machine(tmp_path):
    """A checkout without .venv, and a PATH that holds the basic tools and the given python3 only."""
    checkout, tools = tmp_path / "checkout", tmp_path / "bin"
    checkout.mkdir()
    tools.mkdir()
    for name in ("hikeshi", "requirements.txt"):
        shutil.copy(ROOT / name, checkout / name)
    for name in NEEDED:
        (tools / name).symlink_to(shutil.which(name) or "/bin/false")

    def start(python3: str) -> subprocess.CompletedProcess[str]:
        (tools / "python3").write_text(f"#!/bin/sh\n{python3}\n")
        (tools / "python3").chmod(0o755)
        done = subprocess.run(["/bin/sh", str(checkout / "hikeshi"), "--version"], check=False, capture_output=True,
                              text=True, env={"PATH": str(tools), "HOME": str(tmp_path)})
        assert not [p.name for p in checkout.iterdir() if p.name.startswith(".venv")]
        return done

    return start


def test_an_old_python_is_named_with_what_to_do(machine):
    done = machine('[ "$1" = --version ] && echo "Python 3.9.2" && exit 0; exit 1')
    assert done.returncode == 2
    assert "found: Python 3.9.2." in done.stderr and "Next: install python3.11" in done.stderr


def test_a_python_without_venv_is_named_with_what_to_do(machine):
    done = machine('[ "$1" = -c ] && exit 0; exit 1')
    assert done.returncode == 2
    assert "python3-venv" in done.stderr and "Next:" in done.stderr


def test_a_checkout_that_is_ready_starts_at_once():
    if not (ROOT / ".venv" / "installed.txt").exists():
        pytest.skip("this checkout was not installed by ./hikeshi")
    done = subprocess.run([str(ROOT / "hikeshi"), "--version"], check=False, capture_output=True, text=True)
    assert done.returncode == 0 and "hikeshi, version" in done.stdout, sys.version

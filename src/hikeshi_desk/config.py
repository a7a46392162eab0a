"""The operator's file, `desk.toml` in the data folder: read once, its tables named in one place.

Each part of the desk checks its own table; a table that nobody knows stops the start with ImproperlyConfigured,
because a misspelt name would otherwise be an emergency number that nobody sees.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

TABLES = frozenset({
    "name", "logo", "emergency", "hours", "cost", "does", "does_not", "who", "information",  # consult.desk: what the
    "privacy",  # public page says
    "mail",  # mail.post
    "egress",  # egress: the only addresses the desk may call
    "oncall",  # oncall: who is called for an urgent case
    "knowledge",  # analysis.knowledge: how old is old, how far back "lately" goes, which cases are looked at again
    "oidc",  # accounts: sign-in by the organisation's own service
    "limits",  # intake: largest upload and the like
})


def table(name: str, path: Path | None = None) -> Mapping[str, Any]:
    """One table of desk.toml as it stands there; empty when it or the file is missing."""
    if name not in TABLES:
        raise KeyError(name)
    found = load(path or Path(settings.DATA) / "desk.toml").get(name, {})
    if not isinstance(found, dict):
        raise ImproperlyConfigured(f"desk.toml: [{name}] is a table")
    return found


@cache
def load(path: Path) -> Mapping[str, Any]:
    """The whole file; empty when there is none."""
    if not path.exists():
        return {}
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"{path}: {error}") from error
    unknown = set(told) - TABLES
    if unknown:
        raise ImproperlyConfigured(f"{path}: unknown {', '.join(sorted(unknown))}; "
                                   f"it may have {', '.join(sorted(TABLES))}")
    return told

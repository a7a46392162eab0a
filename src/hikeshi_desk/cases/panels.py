"""Parts of the case page that other apps bring: the page asks them, it does not know them.

An app registers in its `ready()`; the page shows the panels in order. `build` gets the case and the viewer
(who may see the case already) and gives the template's context, or None where there is nothing for this viewer.
`reads` names the queries that it needs: the page asks all of them in one statement (see `together`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet

from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.cases.models import Case

Build = Callable[[Case, Viewer], Mapping[str, Any] | None]
Reads = Callable[[Case, Viewer], Mapping[str, QuerySet[Any]]]


@dataclass(frozen=True)
class Panel:
    """`place` is "main" (above the conversation) or "side"; `order` sorts within it."""

    name: str
    template: str
    build: Build
    place: str = "main"
    order: int = 50
    reads: Reads | None = None


@dataclass(frozen=True)
class Filled:
    name: str
    template: str
    context: Mapping[str, Any]


_panels: dict[str, Panel] = {}


def register(panel: Panel) -> None:
    if panel.name in _panels:
        raise ImproperlyConfigured(f"panel {panel.name} is registered already")
    if panel.place not in ("main", "side"):
        raise ImproperlyConfigured(f"panel {panel.name}: no place '{panel.place}'")
    _panels[panel.name] = panel


def reads(case: Case, viewer: Viewer) -> dict[str, QuerySet[Any]]:
    """What all panels will ask for, by name."""
    return {name: query for panel in _panels.values() if panel.reads
            for name, query in panel.reads(case, viewer).items()}


def filled(case: Case, viewer: Viewer, place: str) -> list[Filled]:
    """The panels of one place that have something to show this viewer."""
    found = []
    for panel in sorted(_panels.values(), key=lambda one: (one.order, one.name)):
        if panel.place == place:
            context = panel.build(case, viewer)
            if context is not None:
                found.append(Filled(panel.name, panel.template, context))
    return found

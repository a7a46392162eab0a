"""Reply texts and results of tasks that other apps can write from what they know: the case page asks them.

An app registers in its `ready()`. A draft stands beside the desk's own templates and fills the reply form; a
proposal fills the result of a task of its kind. A person reads and sends either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.cases.models import Case


@dataclass(frozen=True)
class Draft:
    """`label` is a text's key; `is_offered` says whether there is something to write about; `build` writes it."""

    name: str
    label: str
    is_offered: Callable[[Case, Viewer], bool]
    build: Callable[[Case, Viewer], str]


_drafts: dict[str, Draft] = {}
_proposals: dict[str, Callable[[Case, Viewer], str]] = {}


def register(draft: Draft) -> None:
    if draft.name in _drafts:
        raise ImproperlyConfigured(f"draft {draft.name} is registered already")
    _drafts[draft.name] = draft


def register_proposal(task: str, build: Callable[[Case, Viewer], str]) -> None:
    """What a task of this kind may say as its result; "" where nothing is known."""
    if task in _proposals:
        raise ImproperlyConfigured(f"task {task} has a proposal already")
    _proposals[task] = build


def offered(case: Case, viewer: Viewer) -> list[Draft]:
    return [draft for draft in _drafts.values() if draft.is_offered(case, viewer)]


def written(case: Case, viewer: Viewer, name: str) -> str | None:
    """The draft of that name, or None where nobody offers it for this case."""
    draft = _drafts.get(name)
    return draft.build(case, viewer) if draft and draft.is_offered(case, viewer) else None


def proposal(case: Case, viewer: Viewer, task: str) -> str:
    build = _proposals.get(task)
    return build(case, viewer) if build else ""

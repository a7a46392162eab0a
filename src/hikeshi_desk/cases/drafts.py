"""Reply texts and results of tasks that other apps can write from what they know: the case page asks them.

An app registers in its `ready()`. A draft stands beside the desk's own templates and fills the reply form; its parts
are ticked before it is written. A proposal fills the result of a task of its kind. A person reads and sends either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.cases.models import Case


@dataclass(frozen=True)
class Part:
    """A part that a person may leave out; `title` in the reader's language; `is_usual` is ticked at first."""

    id: str
    title: str
    is_usual: bool = True


@dataclass(frozen=True)
class Draft:
    """`label` is a text's key; `is_offered` says whether there is something to write about; `build` writes it with
    the chosen parts of those that `parts` names."""

    name: str
    label: str
    is_offered: Callable[[Case, Viewer], bool]
    build: Callable[[Case, Viewer, Collection[str]], str]
    parts: Callable[[Case, Viewer], Sequence[Part]]


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


def parts(case: Case, viewer: Viewer, name: str) -> Sequence[Part]:
    """What may be left out of the draft of that name; nothing where nobody offers it for this case."""
    draft = _offered(case, viewer, name)
    return draft.parts(case, viewer) if draft else ()


def written(case: Case, viewer: Viewer, name: str, chosen: Collection[str]) -> str | None:
    """The draft of that name with these parts, or None where nobody offers it for this case."""
    draft = _offered(case, viewer, name)
    return draft.build(case, viewer, chosen) if draft else None


def _offered(case: Case, viewer: Viewer, name: str) -> Draft | None:
    draft = _drafts.get(name)
    return draft if draft and draft.is_offered(case, viewer) else None


def proposal(case: Case, viewer: Viewer, task: str) -> str:
    build = _proposals.get(task)
    return build(case, viewer) if build else ""

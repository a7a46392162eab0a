"""The guided way: which questions stand on which step, and what a step's fields look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hikeshi_desk.accounts.texts import load_texts, text
from hikeshi_desk.consult.forms import Consultation, Pick

# The second step depends on what is asked; a request without one has no such step.
MORE = {"second_opinion": ("hypothesis",), "vulnerability": ("product", "vendor", "publication"),
        "sample_analysis": ("sample_origin",)}
FIELDS: dict[str, tuple[str, ...]] = {
    "what": ("what", "incident"),
    "request": ("request",),
    "more": tuple(name for names in MORE.values() for name in names),
    "who": ("asker_kind", "on_behalf", "asker_name", "contact", "anonymous"),
    "facts": ("noticed_at", "detected_by", "machines", "affected", "ongoing", "seen", "extension", "note_text",
              "done_so_far", "other_bodies"),
    "send": (),
}
STEPS = tuple(FIELDS)
_ROWS = {"what": 7, "hypothesis": 6, "note_text": 6, "seen": 4, "affected": 3, "ongoing": 3, "done_so_far": 4,
         "other_bodies": 3, "vendor": 3, "sample_origin": 4}
_AUTO = {"contact": "email", "asker_name": "name"}
_RADIOS = frozenset({"incident", "request", "asker_kind", "detected_by", "publication"})


@dataclass(frozen=True)
class Question:
    """One field as a template shows it. `kind`: line, area, radios, pick, check."""

    name: str
    label: str
    hint: str
    kind: str
    value: str
    errors: Sequence[str]
    must: bool
    rows: int = 0
    auto: str = ""
    empty: str = ""
    options: Sequence[tuple[str, str, bool]] = ()


@dataclass(frozen=True)
class Given:
    """One answer in the summary before sending, with the step where it can be changed."""

    label: str
    value: str
    step: str


def steps(words: Mapping[str, str]) -> tuple[str, ...]:
    """The steps of this consultation; more is asked only where there is more to ask."""
    return tuple(step for step in STEPS if step != "more" or words.get("request") in MORE)


def fields_of(step: str, words: Mapping[str, str]) -> tuple[str, ...]:
    return MORE.get(words.get("request", ""), ()) if step == "more" else FIELDS[step]


def questions(form: Consultation, names: Sequence[str], *, folded: bool = False) -> list[Question]:
    """The fields ready to be shown, in this order; `folded` shows choices as lists instead of buttons."""
    return [_question(form, name, folded=folded) for name in names]


def _question(form: Consultation, name: str, *, folded: bool) -> Question:
    field, errors = form.fields[name], [str(error) for error in form.errors.get(name, [])]
    value = str(form[name].value() or "")
    hint = text(f"consult.form.{name}_hint") if f"consult.form.{name}_hint" in load_texts() else ""
    kind, options, empty = ("area" if name in _ROWS else "line"), (), ""
    if isinstance(field, Pick):
        kind = "radios" if name in _RADIOS and not folded else "pick"
        options = field.options(value)
        empty = text("consult.form.choose" if field.required else "consult.form.not_chosen")
    elif name == "anonymous":
        kind = "check"
    return Question(name, text(f"consult.form.{name}"), hint, kind, value, errors, field.required,
                    _ROWS.get(name, 0), _AUTO.get(name, ""), empty, tuple(options))


def summary(words: Mapping[str, str]) -> list[Given]:
    """Everything that was answered, in the order of the steps."""
    form = Consultation()
    found = []
    for step in steps(words):
        for name in fields_of(step, words):
            value = words.get(name, "")
            field: Any = form.fields[name]
            if not value or (name in ("contact", "asker_name") and words.get("anonymous")):
                continue
            if isinstance(field, Pick):
                value = text(f"consult.{field.area}.{value}") if value in field.codes else ""
            elif name == "anonymous":
                value = text("consult.guide.yes")
            found.append(Given(text(f"consult.form.{name}"), value, step))
    return found


def first_open(words: Mapping[str, str]) -> str:
    """The first step that can't be passed yet, or "send"."""
    for step in steps(words):
        form = Consultation(dict(words)).only(fields_of(step, words))
        if not form.is_valid():
            return step
    return "send"

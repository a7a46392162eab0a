"""Why a rule fires on a record, or doesn't: each selection, each field, each value, asked of the engine itself.

Nothing is worked out a second way: every part of the rule becomes a small rule of its own, and the
matcher says which of them hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hikeshi.detect.columns import Columns, View
from hikeshi.detect.compile import CompiledRules, Program, Unsupported, key_name
from hikeshi.detect.logsource import Place, load_log_sources
from hikeshi.detect.match import Matcher
from hikeshi.detect.place import Places
from hikeshi.detect.rules import ParsedRule, RuleInfo
from hikeshi.events.table import EventTable

_FILTER = re.compile(r"_filt_[a-z]{10}_")
_SHOWN_VALUES = 200
_SHOWN_CHARS = 400


@dataclass(slots=True)
class Value:
    """One value a rule asks for, in the rule's words, and whether the record has it."""

    wanted: str
    holds: bool


@dataclass(slots=True)
class Item:
    """One field of a selection, with its modifiers.

    `found` is what the record holds there, None where it has no such field; `column` is what the record
    calls it; `all` whether every value is needed; `negated` for `|neq`.
    """

    name: str
    column: str
    found: str | None
    holds: bool
    all: bool
    negated: bool
    values: list[Value] = field(default_factory=list)


@dataclass(slots=True)
class Selection:
    """One search identifier; `items` of alternatives (a list of mappings) are one list each."""

    name: str
    holds: bool
    of_filter: bool
    alternatives: list[list[Item]] = field(default_factory=list)


@dataclass(slots=True)
class Explanation:
    """What a rule says of one record in one of the places of its log source."""

    rule_id: str
    title: str
    fires: bool
    place: str
    of_this_log: bool
    condition: str
    selections: list[Selection] = field(default_factory=list)


def explain(parsed: ParsedRule, table: EventTable, row: int, placeholders: dict[str, Sequence[str]] | None = None
            ) -> list[Explanation]:
    """One Explanation for each place of the rule that the record lies in; else one for a place it doesn't.

    Raises ValueError with the reason where the rule can't be applied at all.
    """
    if parsed.problem is not None:
        raise ValueError(parsed.problem)
    assert parsed.rule is not None
    one = table.take(np.array([row], dtype=np.int32))
    source = parsed.rule.logsource
    sources = load_log_sources()
    found = sources.resolve(source.product, source.category, source.service)
    if isinstance(found, str):
        if not parsed.any_log:
            raise ValueError(found)
        found = [Place(())]
    places = list(found)
    fits = Places(Columns(one), 1, [(p.channels, p.codes) for p in places]).fits[:, 0].tolist()
    chosen = [(p, True) for p, fit in zip(places, fits, strict=True) if fit] or [(places[0], False)]
    return [_explain(parsed, one, place, placeholders or {}, inside=inside) for place, inside in chosen]


class _Asked:
    """Trees, each as a rule of its own; `answers` once all are there."""

    def __init__(self, place: Place, placeholders: dict[str, Sequence[str]], table: EventTable) -> None:
        self.program = Program(load_log_sources(), placeholders)
        self.binder = self.program.binder(place)
        # Which log it is was decided before: this takes every record.
        other = "winlog.channel" not in table.columns and "event.dataset" in table.columns
        self.spec = self.program.specs.setdefault((("#*",) if other else (), ()), 0)
        self.infos: list[RuleInfo] = []

    def ask(self, condition: Any) -> int:
        """The number of a question: does this condition hold?"""
        return self.tree(self.binder.tree(condition))

    def tree(self, tree: Any) -> int:
        number = len(self.infos)
        self.program.variants.append([number, self.spec, tree, self.program.clauses(tree)])
        self.infos.append(RuleInfo(str(number), str(number), "", "low", (), (), ""))
        return number

    def answers(self, table: EventTable) -> set[int]:
        compiled = CompiledRules(len(self.infos), len(self.infos), [], [], self.infos, self.program.to_plain(), "")
        matcher = Matcher(compiled)
        return {int(match.rule.id) for match in matcher.match(table)}


def _explain(parsed: ParsedRule, table: EventTable, place: Place, placeholders: dict[str, Sequence[str]], *,
             inside: bool) -> Explanation:
    from sigma.exceptions import SigmaError

    asked = _Asked(place, placeholders, table)
    detections = parsed.rule.detection
    columns = Columns(table)
    later: list[tuple[Any, str, int]] = []            # object, attribute, question
    selections: list[Selection] = []
    try:
        trees = [condition.parsed for condition in detections.parsed_condition]
        whole = asked.tree(asked.program.either([asked.binder.tree(t) for t in trees]))
        required = [asked.tree(asked.binder.literals(asked.binder.key(name), [
            (1, t[:-1]) if t[-1:] == "*" else (3, t) for t in texts])) for name, texts in place.require.items()]
        for name, detection in detections.detections.items():
            shown = _FILTER.sub("", name)
            selection = Selection(shown, False, shown != name)
            selections.append(selection)
            later.append((selection, "holds", asked.ask(detection.postprocess(detections))))
            for items in _alternatives(detection):
                alternative: list[Item] = []
                selection.alternatives.append(alternative)
                for item in items:
                    told = _item(item, place, columns)
                    alternative.append(told)
                    later.append((told, "holds", asked.ask(item.postprocess(detections))))
                    for value, held in _values(item):
                        told.values.append(held)
                        later.append((held, "holds", asked.tree(asked.binder.value(item.field, value))))
    except Unsupported as reason:
        raise ValueError(str(reason)) from reason
    except (SigmaError, RecursionError) as error:
        raise ValueError(f"not a valid rule: {' '.join(str(error).split())[:300]}") from error
    true = asked.answers(table)
    for target, attribute, number in later:
        setattr(target, attribute, number in true)
    here = inside and all(number in true for number in required)
    return Explanation(parsed.info.id, parsed.info.title, here and whole in true, _described(place), here,
                       " | ".join(_FILTER.sub("", c) for c in detections.condition), selections)


def _alternatives(detection: Any) -> Iterator[list[Any]]:
    """The items that stand together; a list of mappings has several such groups."""
    own = [i for i in detection.detection_items if not hasattr(i, "detection_items")]
    if own:
        yield own
    for inner in detection.detection_items:
        if hasattr(inner, "detection_items"):
            yield from _alternatives(inner)


def _item(item: Any, place: Place, columns: Columns) -> Item:
    from sigma.conditions import ConditionAND

    name = item.field or ""
    column, found = "", None
    if name:
        keys = [key_name(load_log_sources(), place, home) for home in place.homes(name)]
        column = keys[0]
        for key in keys:
            text = _cell(columns.view(key))
            if text is not None:
                column, found = key, text
                break
    modifiers = "".join(f"|{m}" for m in _modifiers(item))
    return Item(f"{name}{modifiers}", _plain_key(column), found, False, item.value_linking is ConditionAND,
                bool(getattr(item, "negated", False)))


def _modifiers(item: Any) -> list[str]:
    from sigma.modifiers import reverse_modifier_mapping

    return [reverse_modifier_mapping.get(m.__name__, m.__name__) for m in item.modifiers]


def _values(item: Any) -> Iterator[tuple[Any, Value]]:
    original = item.original_value if isinstance(item.original_value, list) else [item.original_value]
    for number, value in enumerate(item.value[:_SHOWN_VALUES]):
        # One value a rule wrote may be several by now (base64offset): then each is shown as it is looked for.
        said = original[number] if len(original) == len(item.value) else value
        yield value, Value(str(said if not hasattr(said, "original") else said.original)[:_SHOWN_CHARS], False)


def _cell(view: View | None) -> str | None:
    if view is None or int(view.dense[0]) < 0:
        return None
    text = view.values[int(view.dense[0])]
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}… ({len(text):,})"


def _plain_key(key: str) -> str:
    if key[:1] in ("@", "="):
        return key[1:]
    return key[1:].replace("@", ", ") if key[:1] == "?" else key


def _described(place: Place) -> str:
    channels = ", ".join(c.removeprefix("#") for c in place.channels) or "*"
    return f"{channels} {', '.join(place.codes)}".strip()

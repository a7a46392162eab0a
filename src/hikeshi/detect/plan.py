"""From the correlations of a rule set to what has to be kept of which hit, and worked out in which order.

A plan is plain data, so that the cache can hold it. One entry of `correlations`:

    rule        number of its RuleInfo in CompiledRules.rules
    kind, span_us, limits, percentile, expression     as in `correlation.Correlation`; names are input numbers
    inputs      [["rule", number of the rule] | ["correlation", number of the entry, earlier in the list], …]
    group       names of the group-by fields
    group_fields, value_fields    per input: the fields that give the group and the value
    listens     whether a later correlation needs it

`wanted`: rule number → field → [[spec, key], …], the column that holds it in each place of the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hikeshi.detect.correlation import Correlation
from hikeshi.detect.rules import ParsedRule, RuleInfo

FieldKeys = Callable[[int, str], list[list[int]]]
_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Base:
    """An applicable rule and the names under which correlations find it."""

    info: RuleInfo
    names: tuple[str, ...]
    inner: bool


@dataclass(slots=True)
class Plan:
    """The applicable correlations in an order in which each comes after those it refers to."""

    correlations: list[dict[str, Any]] = field(default_factory=list)
    infos: list[RuleInfo] = field(default_factory=list)
    wanted: dict[str, dict[str, list[list[int]]]] = field(default_factory=dict)
    quiet: set[int] = field(default_factory=set)
    reasons: list[tuple[ParsedRule, str]] = field(default_factory=list)


class _Unusable(Exception):
    """Why a correlation can't be worked out."""


def make_plan(base: Sequence[Base], waiting: Sequence[ParsedRule], field_keys: FieldKeys,
              refused: Mapping[str, str]) -> Plan:
    """Link correlations to rules and to each other. `refused`: names of rules that are not applicable → why."""
    return _Maker(base, waiting, field_keys, refused).make()


class _Maker:
    def __init__(self, base: Sequence[Base], waiting: Sequence[ParsedRule], field_keys: FieldKeys,
                 refused: Mapping[str, str]) -> None:
        self.base, self.waiting, self.field_keys = base, waiting, field_keys
        self.refused = dict(refused)
        self.plan = Plan()
        self.rules: dict[str, int] = {}
        self.others: dict[str, int] = {}
        for number, rule in enumerate(base):
            for name in rule.names:
                self.rules.setdefault(name.lower(), number)
        for number, parsed in enumerate(waiting):
            for name in parsed.names:
                self.others.setdefault(name.lower(), number)
        self.entries: dict[int, int] = {}          # waiting → entry of the plan
        self.problems: dict[int, str] = {}

    def make(self) -> Plan:
        for number, parsed in enumerate(self.waiting):
            try:
                self._add(number, ())
            except _Unusable as reason:
                self.problems.setdefault(number, str(reason))
            if number in self.problems:
                self.plan.reasons.append((parsed, self.problems[number]))
        # Rules nobody asked for but a correlation that says so: an aggregation's events, at least.
        for number, rule in enumerate(self.base):
            if rule.inner:
                self.plan.quiet.add(number)
        return self.plan

    def _add(self, number: int, above: tuple[int, ...]) -> int:
        """The entry of a correlation, made with all it refers to."""
        if number in self.entries:
            return self.entries[number]
        if number in self.problems:
            raise _Unusable(self.problems[number])
        if number in above:
            raise _Unusable("it refers to itself")
        if len(above) > _MAX_DEPTH:
            raise _Unusable(f"correlations of correlations more than {_MAX_DEPTH} deep")
        parsed = self.waiting[number]
        model = parsed.correlation
        assert model is not None
        try:
            inputs = [self._input(name, (*above, number)) for name in model.rules]
            entry = self._entry(model, inputs)
        except _Unusable as reason:
            self.problems[number] = str(reason)
            raise
        entry["rule"] = len(self.base) + len(self.plan.infos)
        self.plan.infos.append(parsed.info)
        self.plan.correlations.append(entry)
        self.entries[number] = len(self.plan.correlations) - 1
        for kind, other in inputs:
            if kind == "correlation":
                self.plan.correlations[other]["listens"] = True
            if not model.generate:
                if kind == "rule":
                    self.plan.quiet.add(other)
                else:
                    self.plan.correlations[other]["quiet"] = True
        return self.entries[number]

    def _input(self, name: str, above: tuple[int, ...]) -> tuple[str, int]:
        key = name.lower()
        if key in self.rules:
            return "rule", self.rules[key]
        shown = name.rpartition("\0")[2]
        if key in self.others:
            try:
                return "correlation", self._add(self.others[key], above)
            except _Unusable as reason:
                raise _Unusable(f"it needs {shown}, which is not applicable: {reason}") from reason
        for known, why in self.refused.items():
            if known.lower() == key:
                raise _Unusable(f"it needs {shown}, which is not applicable: {why}")
        raise _Unusable(f"it needs {shown}, which is not among the loaded rules")

    def _entry(self, model: Correlation, inputs: list[tuple[str, int]]) -> dict[str, Any]:
        places = {name: place for place, name in enumerate(model.rules)}
        group = [[self._field(model, ref, kind, number, name) for name in model.group_by]
                 for ref, (kind, number) in zip(model.rules, inputs, strict=True)]
        value = [[self._field(model, ref, kind, number, name) for name in model.fields]
                 for ref, (kind, number) in zip(model.rules, inputs, strict=True)]
        return {"kind": model.kind, "span_us": model.span_s * 1_000_000, "limits": [list(x) for x in model.limits],
                "percentile": model.percentile, "expression": _numbered(model.expression, places),
                "inputs": [list(x) for x in inputs], "group": list(model.group_by), "group_fields": group,
                "value_fields": value, "listens": False, "quiet": False}

    def _field(self, model: Correlation, ref: str, kind: str, number: int, name: str) -> str:
        """What a group-by or condition field is called in one of the inputs."""
        own = model.aliases.get(name, {}).get(ref, name)
        if kind == "correlation":
            inner = self.plan.correlations[number]
            if own not in inner["group"]:
                raise _Unusable(f"it asks for {own} of {ref}, which is not grouped by it")
            return own
        fields = self.plan.wanted.setdefault(str(number), {})
        if own not in fields:
            fields[own] = self.field_keys(number, own)
        return own


def _numbered(tree: Any, places: Mapping[str, int]) -> Any:
    if tree is None:
        return None
    return places[tree] if isinstance(tree, str) else [tree[0], *(_numbered(p, places) for p in tree[1:])]

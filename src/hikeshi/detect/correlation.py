"""A Sigma correlation as plain data: read by pySigma, checked for what we can work out.

What the specification leaves open is decided here and in docs/hunting.md:
    a range        several comparisons in one condition hold together (`gte: 3`, `lte: 9`)
    percentile     from 1 to 99, and only for value_percentile
    expressions    `a and b and not c` for temporal; for temporal_ordered only without "or"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

OPERATORS = ("lt", "lte", "gt", "gte", "eq", "neq")
TEMPORAL = ("temporal", "temporal_ordered")
MEASURES = ("value_sum", "value_avg", "value_percentile", "value_median")
_MAX_SPAN_S = 100 * 366 * 86_400
_MAX_RULES = 60                        # a window's rules are bits of one number
_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Correlation:
    """`rules` are references by id or name, in the order of the document. `limits` hold together.

    `expression`: a reference, or ["&"|"|", part…], ["!", part]; None where `limits` count.
    `aliases`: name → reference → the field it is called there.
    """

    kind: str
    rules: tuple[str, ...]
    generate: bool
    span_s: int
    group_by: tuple[str, ...]
    aliases: Mapping[str, Mapping[str, str]]
    limits: tuple[tuple[str, float], ...]
    fields: tuple[str, ...] = ()
    percentile: int | None = None
    expression: Any = None


def read_correlation(document: Mapping[str, Any]) -> Correlation:
    """The correlation of a rule document. Raises ValueError with the reason."""
    from sigma.correlations import SigmaCorrelationRule
    from sigma.exceptions import SigmaError

    own = document.get("correlation")
    if not isinstance(own, dict):
        raise ValueError("not a valid correlation: no mapping")
    condition = own.get("condition")
    limits: tuple[tuple[str, float], ...] = ()
    if isinstance(condition, dict):
        limits = tuple(_limits(condition))
        first = next(op for op in OPERATORS if op in condition)
        condition = {k: v for k, v in condition.items() if k not in OPERATORS or k == first}
    try:
        found = SigmaCorrelationRule.from_dict(
            {"title": "-", "correlation": {**own, **({"condition": condition} if condition is not None else {})}})
    except (SigmaError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a valid correlation: {' '.join(str(error).split())[:300]}") from error
    kind = found.type.name.lower()
    expression = _tree(found.condition.parsed) if hasattr(found.condition, "parsed") else None
    named = tuple(str(r.reference) for r in found.rules or ()) or tuple(dict.fromkeys(_names(expression)))
    if not named:
        raise ValueError("not a valid correlation: it names no rules")
    if len(named) > _MAX_RULES:
        raise ValueError(f"more than {_MAX_RULES} rules in one correlation")
    if found.timespan.seconds > _MAX_SPAN_S:
        raise ValueError("a timespan of more than a hundred years")
    if kind in TEMPORAL and expression is None and not limits:
        limits = (("gte", float(len(named))),)
    field = getattr(found.condition, "fieldref", None)
    fields = tuple(str(f) for f in field) if isinstance(field, list) else (str(field),) if field else ()
    result = Correlation(
        kind, named, bool(found.generate), int(found.timespan.seconds), tuple(found.group_by or ()),
        {alias.alias: {str(ref.reference): str(name) for ref, name in alias.mapping.items()}
         for alias in found.aliases}, limits, fields, getattr(found.condition, "percentile", None), expression)
    _check(result)
    return result


def _limits(condition: Mapping[Any, Any]) -> Iterator[tuple[str, float]]:
    given = [op for op in OPERATORS if op in condition]
    if not given:
        raise ValueError("not a valid correlation: its condition compares nothing")
    for op in given:
        number = condition[op]
        if isinstance(number, bool) or not isinstance(number, int | float) or number != number or abs(number) > 1e18:
            raise ValueError(f"not a valid correlation: {op} {str(number)[:40]!r} is no number")
        yield op, number


def _check(found: Correlation) -> None:
    if len(set(found.rules)) != len(found.rules):
        raise ValueError("not a valid correlation: it names a rule twice")
    if found.kind == "value_count" and not found.fields:
        raise ValueError("not a valid correlation: value_count counts the values of a field")
    if found.kind in MEASURES and len(found.fields) != 1:
        raise ValueError("not a valid correlation: a measure is taken of one field")
    if found.kind == "value_percentile":
        if found.percentile is None or not 1 <= found.percentile <= 99:
            raise ValueError("not a valid correlation: value_percentile needs a percentile from 1 to 99")
    elif found.percentile is not None:
        raise ValueError(f"not a valid correlation: a percentile in {found.kind}")
    if found.fields and found.kind in ("event_count", *TEMPORAL):
        raise ValueError(f"not a valid correlation: a field in {found.kind}")
    if found.kind == "temporal_ordered":
        if found.expression is None:
            if found.limits != (("gte", float(len(found.rules))),):
                raise ValueError("an ordered correlation over some of its rules; only all of them have an order")
        elif not _is_chain(found.expression):
            raise ValueError("an ordered correlation with 'or'; only 'and' and 'not' keep an order")


def _is_chain(tree: Any) -> bool:
    """One rule, its absence, or several of these joined with "and", at least one of them present."""
    parts = tree[1:] if isinstance(tree, list) and tree[0] == "&" else [tree]
    flat = [q for p in parts for q in (p[1:] if isinstance(p, list) and p[0] == "&" else [p])]
    return (all(isinstance(p, str) or (p[0] == "!" and isinstance(p[1], str)) for p in flat)
            and any(isinstance(p, str) for p in flat))


def _tree(item: Any, depth: int = 0) -> Any:
    from sigma import correlations as c

    if depth > _MAX_DEPTH:
        raise ValueError("not a valid correlation: its condition is nested too deep")
    if isinstance(item, c.SigmaRuleReference):
        return str(item.reference)
    kind = "&" if isinstance(item, c.CorrelationConditionAND) else \
        "|" if isinstance(item, c.CorrelationConditionOR) else "!"
    return [kind, *(_tree(part, depth + 1) for part in item.args)]


def _names(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif tree:
        for part in tree[1:]:
            yield from _names(part)

"""Other ways to write a Sigma rule, brought to the form of the specification before pySigma reads it.

Hayabusa's keys    `|equalsfield`, `|startswithfield`, `|endswithfield`, `|containsfield` are `fieldref`;
                   a field with `min_length` and `value` is a length and a value; `details` and
                   `ruletype` are left where they are. Lists in other files (`regexes`, `allowlist`) are
                   not followed: said as a reason.
Old aggregations   `condition: selection | count(Field) by A, B > 5` with `timeframe` becomes a
                   correlation over the selection.
`|any`             is what a list of values means anyway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_FIELD_MODIFIERS = {"equalsfield": ("fieldref",), "startswithfield": ("fieldref", "startswith"),
                    "endswithfield": ("fieldref", "endswith"), "containsfield": ("fieldref", "contains")}
_NOT_A_SELECTION = ("condition", "timeframe")
_AGGREGATION = re.compile(
    r"(?P<what>count|sum|avg|min|max|near)\s*(?:\(\s*(?P<field>[\w.\-]*)\s*\))?\s*(?:by\s+(?P<by>[\w.\-,\s]+?))?\s*"
    r"(?P<op>>=|<=|==|=|!=|>|<)\s*(?P<number>\d{1,18})", re.ASCII)
_OPERATORS = {">=": "gte", "<=": "lte", "==": "eq", "=": "eq", "!=": "neq", ">": "gt", "<": "lt"}
_MAX_LENGTH = 20_000


class Unreadable(Exception):
    """Why a rule of another dialect can't be brought to the form of the specification."""


def is_hayabusa(document: Mapping[str, Any]) -> bool:
    return str(document.get("ruletype") or "").strip().lower() == "hayabusa"


def plain_detection(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its selections in the specification's words. Raises Unreadable."""
    detection = document.get("detection")
    if not isinstance(detection, dict):
        return document
    changed = {name: value if name in _NOT_A_SELECTION else _selection(value) for name, value in detection.items()}
    return {**document, "detection": changed} if changed != detection else document


def _selection(value: Any) -> Any:
    if isinstance(value, list):
        return [_selection(v) for v in value]
    if not isinstance(value, dict):
        return value
    out: dict[Any, Any] = {}
    extra: dict[Any, Any] = {}
    for name, wanted in value.items():
        key = _key(name) if isinstance(name, str) else name
        if isinstance(wanted, dict):
            wanted = _conditions(key, wanted, extra)
            if wanted is None:
                continue
        if key in out:
            raise Unreadable(f"two items of one selection read {key}")
        out[key] = wanted
    return {**out, **extra}


def _key(name: str) -> str:
    field, *modifiers = name.split("|")
    if not modifiers:
        return name
    new: list[str] = []
    for modifier in modifiers:
        new.extend(_FIELD_MODIFIERS.get(modifier, () if modifier == "any" else (modifier,)))
    return "|".join((field, *new))


def _conditions(key: Any, wanted: Mapping[Any, Any], extra: dict[Any, Any]) -> Any:
    """Hayabusa's mapping below a field: its plain value, if there is one; lengths go to `extra`."""
    for name in wanted:
        if name in ("regexes", "allowlist"):
            raise Unreadable(f"Hayabusa's '{name}' names a list in another file")
        if name not in ("min_length", "value"):
            raise Unreadable(f"a mapping below the field {key}, with '{name}'")
    least = wanted.get("min_length")
    if least is not None:
        if type(least) is not int or not 0 < least <= _MAX_LENGTH:
            raise Unreadable(f"min_length {str(least)[:20]!r} is no number from 1 to {_MAX_LENGTH:,}")
        # RE2 repeats at most a thousand times at once.
        pattern = ".{1000}" * (least // 1000) + (f".{{{least % 1000}}}" if least % 1000 else "")
        extra[f"{str(key).split('|', 1)[0]}|re|s"] = pattern
    return wanted.get("value")


def split_aggregation(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """A rule with an aggregation as its plain rule and the correlation over it; None where there is none.

    Raises Unreadable for an aggregation that no correlation can say.
    """
    detection = document.get("detection")
    condition = detection.get("condition") if isinstance(detection, dict) else None
    if isinstance(condition, list) and len(condition) == 1:
        condition = condition[0]
    if not isinstance(detection, dict) or not isinstance(condition, str) or "|" not in condition:
        return None
    selection, _, aggregation = condition.partition("|")
    found = _AGGREGATION.fullmatch(aggregation.strip())
    if found is None or found["what"] in ("near", "min", "max"):
        raise Unreadable(f"an aggregation that no correlation can say: {' '.join(aggregation.split())[:80]}")
    span = detection.get("timeframe")
    if not isinstance(span, str):
        raise Unreadable("an aggregation without a timeframe")
    limit: dict[str, Any] = {_OPERATORS[found["op"]]: int(found["number"])}
    kind = "event_count"
    if found["what"] != "count" or found["field"]:
        if not found["field"]:
            raise Unreadable("an aggregation without a field")
        limit["field"] = found["field"]
        kind = {"count": "value_count", "sum": "value_sum", "avg": "value_avg"}[found["what"]]
    by = [name.strip() for name in (found["by"] or "").split(",") if name.strip()]
    plain = {**document, "detection": {k: v for k, v in detection.items() if k != "timeframe"} | {
        "condition": selection.strip()}}
    head = {k: v for k, v in document.items() if k not in ("detection", "logsource")}
    correlation = {**head, "correlation": {"type": kind, "rules": [document.get("id") or document.get("title")],
                                           "group-by": by or None, "timespan": span, "condition": limit}}
    if not by:
        del correlation["correlation"]["group-by"]
    return plain, correlation

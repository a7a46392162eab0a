"""JSON records as flat names and text values.

Nested objects become dotted names; a text that is itself JSON is opened under its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

_DEEPEST = 24
_MOST_NAMES = 2000
_LONGEST_INNER = 200_000


# Longer than 64 bits can hold: orjson would make a float of it.
_LONG_NUMBER = re.compile(r"[:\[,]\s*-?\d{20}")


def load(text: str) -> Any:
    """The JSON value, or None if it is none. Half surrogates and huge numbers are survived."""
    try:
        value = orjson.loads(text)
        if not _LONG_NUMBER.search(text):
            return value
    except orjson.JSONDecodeError:
        if "\\u" not in text and not re.search(r"\d{19}|NaN|Infinity", text):
            return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def flatten(value: Mapping[str, Any]) -> dict[str, str]:
    """Dotted names and text values; a list of plain values is joined by ", "."""
    out: dict[str, str] = {}
    _gather(value, "", out, 0)
    return out


def _gather(value: Any, name: str, out: dict[str, str], depth: int) -> None:
    if len(out) >= _MOST_NAMES:
        out["(more)"] = "names beyond 2,000 were left out"
        return
    if isinstance(value, Mapping) and depth < _DEEPEST:
        for key, inner in value.items():
            clean = _clean(str(key))
            _gather(inner, f"{name}.{clean}" if name else clean, out, depth + 1)
    elif isinstance(value, list) and depth < _DEEPEST:
        _gather_list(value, name, out, depth)
    elif value is not None:
        opened = _opened(value) if depth < _DEEPEST else None
        if opened is not None:
            _gather(opened, name, out, depth + 1)
        else:
            out[name] = _text(value)


def _opened(value: Any) -> Any:
    """What a text that is JSON itself holds; None for any other."""
    if not isinstance(value, str) or len(value) > _LONGEST_INNER:
        return None
    text = value.strip()
    if (text[:1] == "{" and text[-1:] == "}" and len(text) > 2) or (text[:2] == "[{" and text[-2:] == "}]"):
        opened = load(text)
        return opened if opened else None
    return None


def _gather_list(values: list[Any], name: str, out: dict[str, str], depth: int) -> None:
    values = [v if (opened := _opened(v)) is None else opened for v in values]
    if not any(isinstance(v, dict | list) for v in values):
        if values:
            out[name] = ", ".join(_text(v) for v in values if v is not None)
        return
    for number, inner in enumerate(values):
        # [{"Name": "UserAgent", "Value": "…"}] is a list of fields.
        if (
            isinstance(inner, dict)
            and len(inner) == 2
            and {k.lower() for k in inner} in ({"name", "value"}, {"key", "value"})
        ):
            key, held = (
                next(v for k, v in inner.items() if k.lower() == w)
                for w in ("name" if any(k.lower() == "name" for k in inner) else "key", "value")
            )
            _gather(held, f"{name}.{_clean(str(key))}", out, depth + 1)
        elif len(values) == 1:
            _gather(inner, name, out, depth + 1)
        else:
            _gather(inner, f"{name}.{number}", out, depth + 1)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, dict | list):
        return _clean(json.dumps(value, ensure_ascii=False, default=str)[:10_000])
    return str(value)


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()

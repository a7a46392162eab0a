"""Several small questions in one statement: what stands on a case's page, its own parts and those of other apps.

Each query's rows come back as one JSON value and are made into the objects that the query alone would have given.
Annotations come along as plain values; related objects do not (annotate their names instead).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Field, QuerySet

from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.cases.models import Case

_KEPT = "_read_together"
# As a database writes them into JSON; what is not named here is JSON's own.
_FROM_JSON: dict[str, Callable[[Any], Any]] = {
    "DateTimeField": lambda told: _in_utc(datetime.fromisoformat(told)), "DateField": date.fromisoformat,
    "UUIDField": UUID, "BooleanField": bool}


def read_ahead(case: Case, viewer: Viewer, parts: Mapping[str, QuerySet[Any]]) -> None:
    """Reads all parts now and keeps them on the case, which lives as long as one request."""
    case.__dict__[_KEPT] = (viewer, together(parts))


def rows(case: Case, viewer: Viewer, name: str, query: QuerySet[Any]) -> list[Any]:
    """A part that was read ahead; else its query is asked alone."""
    kept_for, kept = case.__dict__.get(_KEPT, (None, {}))
    return kept[name] if kept_for is viewer and name in kept else list(query)


def together(parts: Mapping[str, QuerySet[Any]]) -> dict[str, list[Any]]:
    """The rows of each query, in its order; one statement for all."""
    asked: list[tuple[str, str, tuple[Any, ...]]] = []
    for name, query in parts.items():
        try:
            sql, params = query.values(*_columns(query)).query.sql_with_params()
        except EmptyResultSet:
            continue
        asked.append((name, _as_json(sql, _columns(query)), params))
    found: dict[str, list[Any]] = {name: [] for name in parts}
    if asked:
        with connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(sql for _, sql, _ in asked), [one for *_, ps in asked for one in ps])
            answers = cursor.fetchone()
        for (name, *_), answer in zip(asked, answers, strict=True):
            told = json.loads(answer) if isinstance(answer, str | bytes) else answer
            found[name] = [_made(parts[name], row) for row in told or ()]
    return found


def _columns(query: QuerySet[Any]) -> list[str]:
    return [field.attname for field in query.model._meta.concrete_fields] + list(query.query.annotations)


def _as_json(sql: str, columns: list[str]) -> str:
    array, all_of = (("json_build_array", "json_agg") if connection.vendor == "postgresql"
                     else ("json_array", "json_group_array"))
    named = ", ".join(f"part.{connection.ops.quote_name(column)}" for column in columns)
    return f"(SELECT {all_of}({array}({named})) FROM ({sql}) AS part)"


def _made(query: QuerySet[Any], row: list[Any]) -> Any:
    fields = query.model._meta.concrete_fields
    values = [_value(field, told) for field, told in zip(fields, row, strict=False)]
    made = query.model.from_db(query.db, [field.attname for field in fields], values)
    for name, told in zip(query.query.annotations, row[len(fields):], strict=True):
        setattr(made, name, told)
    return made


def _value(field: Field[Any, Any], told: Any) -> Any:
    if told is None:
        return None
    plain = field.target_field if field.is_relation else field
    kind = plain.get_internal_type()
    if kind == "JSONField":
        return json.loads(told) if connection.vendor == "sqlite" else told
    return _FROM_JSON.get(kind, _as_it_is)(told)


def _as_it_is(told: Any) -> Any:
    return told


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

"""The OpenAPI 3.1 document: ninja's, with what it can't know (problem details, uploads, optional tokens)."""

from __future__ import annotations

from functools import cache
from typing import Any

from hikeshi_desk.api.problems import MEDIA_TYPE
from hikeshi_desk.api.tokens import MaybeBearer
from hikeshi_desk.api.views import api

PREFIX = "/api/v1"


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = api.get_openapi_schema(path_prefix="")
    found["openapi"] = "3.1.0"
    found["info"]["summary"] = "Incident consultation desk"
    found["servers"] = [{"url": "/"}]
    found["paths"] = {f"{PREFIX}{path}": _path(operations) for path, operations in found["paths"].items()}
    found["components"]["securitySchemes"] = {"token": {
        "type": "http", "scheme": "bearer", "description": "A token of a person of the desk or of a partner."}}
    return found


def _path(operations: dict[str, Any]) -> dict[str, Any]:
    optional = {api.get_openapi_operation_id(operation) for operation in _operations()
                if any(isinstance(one, MaybeBearer) for one in operation.auth_callbacks)}
    for operation in operations.values():
        if "security" in operation:
            operation["security"] = [{"token": []}]
            if operation["operationId"] in optional:
                operation["security"].append({})
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}
    return operations


def _operations() -> list[Any]:
    return [operation for _, view in api.operations() for operation in view.operations]


def by_tag() -> dict[str, list[dict[str, Any]]]:
    """Operations for the page: method, path, summary, description, fields, scope."""
    found: dict[str, list[dict[str, Any]]] = {}
    schemas = document()["components"]["schemas"]
    scopes = {api.get_openapi_operation_id(operation): next((one.scope for one in operation.auth_callbacks), "")
              for operation in _operations()}
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            schema = schemas.get(body.get("$ref", "").rsplit("/", 1)[-1], {})
            found.setdefault(operation["tags"][0], []).append({
                "method": method.upper(), "path": path, "summary": operation["summary"],
                "about": operation.get("description", ""), "scope": scopes.get(operation["operationId"], ""),
                "is_optional": {} in operation.get("security", []),
                "fields": [{"name": name, "kind": _kind(field), "must": name in schema.get("required", [])}
                           for name, field in schema.get("properties", {}).items()],
                "headers": [one["name"] for one in operation.get("parameters", []) if one["in"] == "header"],
                "queries": [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]})
    return found


def _kind(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in field:
        return " | ".join(_kind(one) for one in field["anyOf"])
    if "enum" in field:
        return " | ".join(f'"{one}"' for one in field["enum"])
    kind = str(field.get("type", "object"))
    if kind == "array":
        return f"[{_kind(field.get('items', {}))}]"
    if "maxLength" in field:
        return f"{kind} ≤ {field['maxLength']:,}"
    return f"{kind} ({field['format']})" if "format" in field else kind

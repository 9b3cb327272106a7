"""The OpenAPI 3.1 document, from the same table that routes: it cannot say anything else than what is served."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from zhiyin import __version__
from zhiyin.serve.errors import Problem
from zhiyin.serve.operation import Operation, Scope

_ENCODED = "Percent-encoded UTF-8, of any characters: a slash is %2F."
_REF = "#/components/schemas/{name}"


def described(operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole document as plain values."""
    types = [t for op in operations for t in (op.body, op.gives, op.query) if t not in (None, bytes)]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template=_REF)
    by_type = {id(t): schema for t, schema in zip([*types, Problem], schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for op in operations:
        paths.setdefault(op.path, {})[op.method.lower()] = _operation(op, by_type, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "zhiyin", "version": __version__, "description": "Search and recommendation from one server."},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(op: Operation, by_type: dict[int, dict[str, Any]], components: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "description": _ENCODED, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", op.path)
    ]
    if op.query is not None:
        parameters += [_parameter(f) for f in msgspec.structs.fields(op.query)]
    good: dict[str, Any] = {"description": "Done."}
    if op.gives is not bytes:
        good["content"] = {"application/json": {"schema": by_type[id(op.gives)]}}
    wrong = {"description": "A problem.", "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}}}
    said: dict[str, Any] = {
        "operationId": op.name,
        "summary": op.summary,
        "tags": list(op.tags) or [op.path.split("/")[3] if op.path.count("/") > 2 else "server"],
        "parameters": parameters,
        "responses": {str(op.status): good, "default": wrong},
        "x-scope": op.scope.name.lower(),
    }
    if op.scope is not Scope.PUBLIC:
        said["security"] = [{"key": []}]
    if op.body is not None:
        content = {"application/octet-stream": {}} if op.body is bytes else {"application/json": {"schema": by_type[id(op.body)]}}
        said["requestBody"] = {"required": True, "content": content}
    return said


def _parameter(f: msgspec.structs.FieldInfo) -> dict[str, Any]:
    schema = msgspec.json.schema(f.type)
    return {"name": f.encode_name, "in": "query", "required": f.required, "schema": schema}

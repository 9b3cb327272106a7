"""Calls of an API, made from its OpenAPI document: a right one of every operation, for tests that must miss none.

document = client.get("/openapi.json").json()
for operation in operations_of(document):
    call = operation.call({"tenant": "shop", "item": "i1"})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

Schema = Mapping[str, Any]
JSON = "application/json"


@dataclass(frozen=True)
class ToCall:
    """One request that can be sent; ``body`` None = none."""

    method: str
    path: str
    body: bytes | None = None
    media: str = JSON

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.body is None else {"content-type": self.media}


@dataclass(frozen=True)
class Described:
    """An operation as the document says it: ``names`` of its path, its ``query`` by name, the schema of its body."""

    name: str
    method: str
    path: str
    scope: str
    names: tuple[str, ...]
    query: Mapping[str, Schema]
    body: Schema | None
    media: str
    schemas: Mapping[str, Schema]

    def call(self, ids: Mapping[str, Any], *, full: bool = False) -> ToCall:
        """A right call about these ids, by the names in path and body (any value may be said so); ``full`` says all there is to say."""
        said = {name: sample(schema, self.schemas, ids, full=full, name=name) for name, schema in self.query.items()} if full else {}
        body = None if self.body is None else sample(self.body, self.schemas, ids, full=full)
        return self.sent(ids, said, body)

    def sent(self, ids: Mapping[str, Any], query: Mapping[str, Any], body: Any) -> ToCall:
        """The request with these parts, right or wrong."""
        path = self.path
        for name in self.names:
            path = path.replace(f"{{{name}}}", quote(str(ids.get(name, "none")), safe=""))
        if query:
            path += "?" + urlencode({name: str(value) for name, value in query.items()})
        if body is not None and not isinstance(body, bytes):
            body = msgspec.json.encode(body)
        return ToCall(self.method, path, body, self.media)


def operations_of(document: Mapping[str, Any]) -> list[Described]:
    """Every operation of an OpenAPI 3.1 document, in its order."""
    schemas = document["components"]["schemas"]
    found = []
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            content = said.get("requestBody", {}).get("content", {})
            media, body = next(((m, c.get("schema", {"type": "string"})) for m, c in content.items()), (JSON, None))
            parameters = said["parameters"]
            found.append(
                Described(
                    said["operationId"], method.upper(), path, said["x-scope"],
                    tuple(p["name"] for p in parameters if p["in"] == "path"),
                    {p["name"]: p["schema"] for p in parameters if p["in"] == "query"}, body, media, schemas,
                )
            )  # fmt: skip
    return found


def sample(
    schema: Schema, schemas: Mapping[str, Schema], ids: Mapping[str, Any], *, full: bool = False, name: str = "", depth: int = 0
) -> Any:
    """A small value that the schema allows. What is called ``name`` is ``ids[name]`` where that is given."""
    schema = resolved(schema, schemas)
    kind = schema.get("type")
    if depth and name in ids and (kind == "string" or not isinstance(ids[name], str)):
        return ids[name]
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if kind == "object":
        wanted = schema.get("properties", {}) if full and depth < 4 else {k: schema["properties"][k] for k in schema.get("required", [])}
        return {k: sample(part, schemas, ids, full=full, name=k, depth=depth + 1) for k, part in wanted.items()}
    if kind == "array":
        items = schema.get("items", {"type": "string"})
        return [sample(items, schemas, ids, full=full, name=name.removesuffix("s"), depth=depth + 1)] * max(schema.get("minItems", 0), 1)
    if kind == "integer":
        return max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
    if kind == "number":
        return float(max(schema.get("minimum", 0.5), schema.get("exclusiveMinimum", 0) + 0.5))
    plain: dict[str | None, Any] = {"boolean": True, "null": None}
    return plain.get(kind, "some"[: schema.get("maxLength", 512)])


def resolved(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    """The schema itself: references followed, of several the first that is not null."""
    while True:
        if "$ref" in schema:
            schema = schemas[str(schema["$ref"]).rpartition("/")[2]]
        elif branches := schema.get("anyOf") or schema.get("oneOf"):
            schema = next((b for b in branches if b.get("type") != "null"), branches[0])
        else:
            return schema


def fields_of(value: Any, path: Sequence[str | int] = ()) -> list[tuple[str | int, ...]]:
    """The place of every value within a value, from the outside in; of a list the first element stands for all."""
    found: list[tuple[str | int, ...]] = [tuple(path)]
    if isinstance(value, dict):
        for key, part in value.items():
            found += fields_of(part, (*path, key))
    elif isinstance(value, list) and value:
        found += fields_of(value[0], (*path, 0))
    return found


def changed(value: Any, path: Sequence[str | int], to: Any) -> Any:
    """The value with another one at a place; ``GONE`` takes it out."""
    if not path:
        return to
    first, rest = path[0], path[1:]
    if isinstance(value, dict):
        left = {k: v for k, v in value.items() if k != first}
        return left if to is GONE and not rest else {**left, first: changed(value[first], rest, to)}
    copy = list(value)
    if to is GONE and not rest:
        del copy[int(first)]
    else:
        copy[int(first)] = changed(copy[int(first)], rest, to)
    return copy


class Gone:
    """Nothing at all, where null would be something."""


GONE = Gone()

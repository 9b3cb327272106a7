"""What a filter says, as a frozen tree that is written back as text or as JSON.

Two-valued on purpose: a comparison with a value that is missing is false, also ``!=``, so that nobody is
shown something because nothing is known of it; ``not`` turns exactly that answer round, so
``not brand = "x"`` keeps items without a brand and ``brand != "x"`` does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Op = Literal["=", "!=", "<", "<=", ">", ">="]
Value = str | float | bool | datetime

JSON_OF: dict[Op, str] = {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
RESERVED = ("and", "or", "not", "in", "contains", "is", "true", "false")
PLAIN_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Compare:
    """A column against one value; times are UTC instants."""

    column: str
    op: Op
    value: Value

    def __str__(self) -> str:
        return f"{name_text(self.column)} {self.op} {value_text(self.value)}"

    def as_json(self) -> dict[str, Any]:
        return {"column": self.column, JSON_OF[self.op]: _json_value(self.value)}


@dataclass(frozen=True, slots=True)
class OneOf:
    """A column's value is one of these."""

    column: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{name_text(self.column)} in [{', '.join(value_text(v) for v in self.values)}]"

    def as_json(self) -> dict[str, Any]:
        return {"column": self.column, "in": [_json_value(v) for v in self.values]}


@dataclass(frozen=True, slots=True)
class Contains:
    """A list holds this value, or a text these words one after another, whatever their case."""

    column: str
    value: str

    def __str__(self) -> str:
        return f"{name_text(self.column)} contains {value_text(self.value)}"

    def as_json(self) -> dict[str, Any]:
        return {"column": self.column, "contains": self.value}


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing is known: null, NaN, empty text or an empty list."""

    column: str

    def __str__(self) -> str:
        return f"{name_text(self.column)} is missing"

    def as_json(self) -> dict[str, Any]:
        return {"column": self.column, "missing": True}


@dataclass(frozen=True, slots=True)
class Within:
    """At most ``radius_m`` metres along the sphere from a point. ``column`` holds latitudes with ``other``
    the longitudes beside them, or "latitude,longitude" in one text (``other`` None)."""

    column: str
    other: str | None
    latitude: float
    longitude: float
    radius_m: float

    def __str__(self) -> str:
        point = f"{value_text(self.latitude)}, {value_text(self.longitude)}"
        return f"within({name_text(self.column)}, {point}, {value_text(self.radius_m)} m)"

    def as_json(self) -> dict[str, Any]:
        said = {"column": self.column, "latitude": self.latitude, "longitude": self.longitude, "radius_m": self.radius_m}
        return {"within": said}


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter

    def __str__(self) -> str:
        return f"not ({self.part})"

    def as_json(self) -> dict[str, Any]:
        return {"not": self.part.as_json()}


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds. Made by ``all_of``, which brings the parts into one order."""

    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " and ".join(f"({p})" if isinstance(p, AnyOf) else str(p) for p in self.parts)

    def as_json(self) -> dict[str, Any]:
        return {"all": [part.as_json() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds. Made by ``any_of``."""

    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " or ".join(str(p) for p in self.parts)

    def as_json(self) -> dict[str, Any]:
        return {"any": [part.as_json() for part in self.parts]}


Filter = Compare | OneOf | Contains | Missing | Within | Not | All | AnyOf
"""A filter. ``str`` of it is canonical: what means the same after reordering and flattening reads the same."""


def all_of(parts: list[Filter]) -> Filter:
    """Flat, without doubles, in one order; a single part stands for itself."""
    flat = {str(inner): inner for part in parts for inner in (part.parts if isinstance(part, All) else (part,))}
    ordered = tuple(flat[text] for text in sorted(flat))
    return ordered[0] if len(ordered) == 1 else All(ordered)


def any_of(parts: list[Filter]) -> Filter:
    flat = {str(inner): inner for part in parts for inner in (part.parts if isinstance(part, AnyOf) else (part,))}
    ordered = tuple(flat[text] for text in sorted(flat))
    return ordered[0] if len(ordered) == 1 else AnyOf(ordered)


def negated(part: Filter) -> Filter:
    return part.part if isinstance(part, Not) else Not(part)


def one_of(column: str, values: list[Value]) -> Filter:
    ordered = tuple({value_text(v): v for v in sorted(values, key=value_text)}.values())
    return Compare(column, "=", ordered[0]) if len(ordered) == 1 else OneOf(column, ordered)


def name_text(column: str) -> str:
    """A column as it is written in a filter: in backticks where it is no plain word."""
    plain = PLAIN_NAME.fullmatch(column) and column.lower() not in RESERVED
    return column if plain else "`" + column.replace("\\", "\\\\").replace("`", "\\`") + "`"


def value_text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    text = value.isoformat() if isinstance(value, datetime) else value
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json_value(value: Value) -> str | float | bool:
    return value.isoformat() if isinstance(value, datetime) else value

"""Which columns a filter may ask about, and the parts of a filter checked against them.

Both ways of writing a filter build their parts here, so that no unchecked filter exists and a mistake
has one sentence whichever way it was written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import polars as pl

from zhiyin.base.errors import ConfigError, UnknownNameError, nearest
from zhiyin.data.catalog import Catalog
from zhiyin.data.filters_tree import Compare, Contains, Filter, Missing, Op, Value, Within, negated, one_of, value_text
from zhiyin.data.schema import Manifest
from zhiyin.spacetime.calendar import zone

Kind = Literal["text", "list", "number", "time", "flag", "latitude", "longitude", "point"]

NOUNS: dict[str, str] = {
    "text": "text", "list": "lists", "number": "numbers", "time": "times", "flag": "true or false", "latitude": "latitudes",
    "longitude": "longitudes", "point": "places",
}  # fmt: skip
MAX_DEPTH = 20
MAX_PARTS = 500
"""Parts and listed values together: a filter is written by a person or a small program, not a data set."""
POINT = r"^\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*$"
HALF_ROUND_M = 20_037_509.0


@dataclass(frozen=True)
class Columns:
    """What can be asked: column -> kind. ``time_zone`` reads times that are written without an offset."""

    kinds: Mapping[str, Kind] = field(default_factory=dict)
    time_zone: str = "UTC"

    @classmethod
    def of(cls, catalog: Catalog, manifest: Manifest | None = None) -> Columns:
        """Every column of the item table, by how it is stored and what the manifest calls it.

        A column is of points where its texts read "latitude,longitude".
        """
        said = manifest.items.columns if manifest is not None and manifest.items is not None else {}
        kinds = {name: _kind(catalog.table[name], said.get(name, "")) for name in catalog.table.columns}
        return cls({n: k for n, k in kinds.items() if k is not None}, manifest.time_zone if manifest is not None else "UTC")

    def kind(self, column: str, at: str) -> Kind:
        if column not in self.kinds:
            raise UnknownNameError(f"{at}: the items have no column '{column}'", nearest(column, self.kinds))
        return self.kinds[column]

    def named(self, kind: Kind) -> list[str]:
        return [name for name, its in self.kinds.items() if its == kind]


def _kind(column: pl.Series, said: str) -> Kind | None:
    if isinstance(column.dtype, pl.List | pl.Array):
        return "list"
    if column.dtype.is_numeric():
        return said if said in ("latitude", "longitude") else "number"  # type: ignore[return-value]
    if column.dtype in (pl.Datetime, pl.Date):
        return "time"
    if column.dtype == pl.Boolean:
        return "flag"
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        return None  # nested or binary: nothing to compare with
    some = column.drop_nulls().head(100).cast(pl.String)
    return "point" if len(some) and some.str.contains(POINT).all() else "text"


def problem(at: str, message: str, hint: str = "") -> ConfigError:
    return ConfigError(f"{at}: {message}", hint)


def compare(columns: Columns, column: str, op: Op, value: Any, at: str) -> Filter:
    kind = columns.kind(column, at)
    if kind == "list":
        raise problem(at, f"column '{column}' holds lists, which '{op}' does not compare", f'Say: {column} contains "...".')
    if op not in ("=", "!=") and kind in ("text", "flag", "point"):
        raise problem(at, f"column '{column}' holds {NOUNS[kind]}, which '{op}' does not order", "Use = or != or in.")
    return Compare(column, op, _value(columns, column, kind, value, at))


def among(columns: Columns, column: str, values: list[Any], at: str) -> Filter:
    kind = columns.kind(column, at)
    if kind == "list":
        raise problem(at, f"column '{column}' holds lists, which 'in' does not compare", f'Say: {column} contains "..." or ...')
    if not values:
        raise problem(at, "'in' has no values", "Give at least one.")
    return one_of(column, [_value(columns, column, kind, value, at) for value in values])


def contains(columns: Columns, column: str, value: Any, at: str) -> Filter:
    kind = columns.kind(column, at)
    if kind not in ("list", "text"):
        raise problem(at, f"column '{column}' holds {NOUNS[kind]}, which contain nothing", "contains asks lists and texts.")
    if not isinstance(value, str) or not value.strip():
        raise problem(at, f"contains takes text, not {shown(value)}", 'Write it in quotes: contains "sale".')
    return Contains(column, value.strip())


def missing(columns: Columns, column: str, at: str, *, wanted: bool = True) -> Filter:
    columns.kind(column, at)
    return Missing(column) if wanted else negated(Missing(column))


def within(columns: Columns, column: str | None, point: tuple[Any, Any], radius_m: Any, at: str) -> Filter:
    """``column`` None = the one column of latitudes, or of points."""
    latitude, longitude = (_degrees(value, limit, at) for value, limit in zip(point, (90, 180), strict=True))
    radius = _number(radius_m, at)
    if not 0 < radius <= HALF_ROUND_M:
        raise problem(at, f"a radius of {radius:g} m is not on this earth", "Give more than 0 and at most 20,037 km.")
    if column is None:
        places = columns.named("latitude") or columns.named("point")
        if len(places) != 1:
            raise problem(at, "which place is meant is not clear" if places else "the items have no place", _places(columns))
        column = places[0]
    kind = columns.kind(column, at)
    if kind not in ("latitude", "point"):
        raise problem(at, f"column '{column}' holds {NOUNS[kind]}, not places", _places(columns))
    return Within(column, _beside(columns, column, at) if kind == "latitude" else None, latitude, longitude, radius)


def _beside(columns: Columns, column: str, at: str) -> str:
    """The longitudes that go with a column of latitudes: the same in order."""
    longitudes, place = columns.named("longitude"), columns.named("latitude").index(column)
    if place >= len(longitudes):
        raise problem(at, f"no column of longitudes goes with '{column}'", 'Give it the type "longitude" in items.columns.')
    return longitudes[place]


def _places(columns: Columns) -> str:
    known = [*columns.named("latitude"), *columns.named("point")]
    return f"Known: {', '.join(known)}." if known else 'Give columns the types "latitude" and "longitude" in items.columns.'


def _value(columns: Columns, column: str, kind: Kind, value: Any, at: str) -> Value:
    if kind in ("text", "point"):
        if not isinstance(value, str):
            raise problem(at, f"column '{column}' holds text, not {shown(value)}", 'Write it in quotes: "...".')
        if not value:
            raise problem(at, "empty text is no value", f"Say: {column} is missing.")
        return value
    if kind == "flag":
        if not isinstance(value, bool):
            raise problem(at, f"column '{column}' is true or false, not {shown(value)}")
        return value
    if kind == "time":
        return _instant(columns, column, value, at)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise problem(at, f"column '{column}' holds numbers, not {shown(value)}", "Write it without quotes: 20 or 2.5.")
    return _number(value, at)


def _instant(columns: Columns, column: str, value: Any, at: str) -> datetime:
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
        if read is not None:
            return (read if read.tzinfo else read.replace(tzinfo=zone(columns.time_zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    hint = 'Write "2024-05-01" or "2024-05-01T18:30" or with an offset "2024-05-01T18:30+08:00".'
    raise problem(at, f"column '{column}' holds times, not {shown(value)}", hint)


def _number(value: Any, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise problem(at, f"a number is needed, not {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise problem(at, "a number is not finite", "Leave the comparison out.")
    return number


def _degrees(value: Any, limit: int, at: str) -> float:
    number = _number(value, at)
    if abs(number) > limit:
        raise problem(at, f"{number:g} degrees lie outside -{limit} .. {limit}", "The order is latitude, longitude.")
    return number


def shown(value: Any) -> str:
    """What was given, short: a message is no place for a megabyte."""
    text = value_text(value) if isinstance(value, str | bool) or (isinstance(value, float) and math.isfinite(value)) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
